import dataclasses

import numpy as np
import pytest
import tensorflow as tf

import distiller
from distiller import fitnet
from distiller.framework import base, composition
from tests import fakes

SPECS = fakes.specs((8, 8, 3), (4, 4, 4))
RNG = np.random.default_rng(0)


def outputs():
    return tuple(
        fakes.output(
            [RNG.normal(size=(4, *spec.shape)) for spec in SPECS.values()],
            RNG.normal(size=(4, fakes.NUM_CLASSES)),
        )
        for _ in range(2)
    )


def build(name, hparams=()):
    return distiller.build(name, SPECS, SPECS, fakes.data(), hparams)


def combine(task, method, batch):
    del method, batch
    return task


class Special(base.Distiller):
    """Overrides what its subclasses say."""

    def loss(self, student, teacher, batch):
        return {"one": tf.constant(1.0)}


class Forward(Special):
    def teacher_forward(self, teacher, student, batch):
        return "own teacher"

    def student_forward(self, student, teacher, batch, teacher_output):
        return "own student"


class Owner(Forward):
    def __init__(self, *arguments):
        super().__init__(*arguments)
        self.scale = tf.Variable(2.0)


class Deployed(Special):
    def deployed(self, student, teacher):
        return "own net"


class Combining(Special):
    task_weight = 0.5

    def phases(self):
        return (base.Phase("distill", self.loss, task_weight=0.3, combine=combine),)


class Mutual(Special):
    def phases(self):
        phase = base.Phase("distill", self.loss, task_weight=0.2, trains_teacher=True)
        return (base.Phase("warm", self.loss), phase)


class Drawing(Special):
    def draw(self, batch):
        return {"noise": tf.random.stateless_normal([2], batch["seed"])}


def compose(**parts):
    made = {name: part({}, {}, fakes.data()) for name, part in parts.items()}
    return composition.Composition({}, {}, fakes.data(), made)


def test_terms_are_those_of_the_parts():
    method = build("VID+KD+none", ["KD.weight=2"])
    student, teacher = outputs()
    terms = method.loss(student, teacher, {})
    vid, kd, _ = method.parts
    assert list(terms) == ["vid/nll", "soft_logits/kl"]
    np.testing.assert_allclose(
        terms["vid/nll"], vid.loss(student, teacher, {})["nll"], rtol=1e-6
    )
    np.testing.assert_allclose(
        terms["soft_logits/kl"], kd.loss(student, teacher, {})["kl"], rtol=1e-6
    )
    (phase,) = method.phases()
    assert (phase.name, phase.length, phase.task_weight) == ("distill", "train", None)
    assert method.task_weight == 1.0
    assert len(phase.own) == len(method.variables) == len(vid.variables) == 8


def test_extra_phases_run_first_and_by_themselves():
    method = build("VID+FitNet+AT")
    hint, joint = method.phases()
    of_fitnet = method.parts[1]
    assert (hint.name, hint.length, hint.task_weight) == ("fitnet.hint", "init", 0.0)
    assert {id(v) for v in hint.own} == {id(v) for v in of_fitnet.trainable_variables}
    assert len(joint.own) == 8, "the variables of VID, and not FitNet's"
    student, teacher = outputs()
    assert list(hint.loss(student, teacher, {})) == ["fitnet/hint"]
    terms = joint.loss(student, teacher, {"progress": tf.constant(0.0)})
    assert list(terms) == ["vid/nll", "fitnet/kl", "at/attention"]


def test_a_parts_phase_takes_its_own_forwards_and_draws():
    """Not those of the others: their attacks and views would cost, and move norms."""
    fitnet_phase, joint = build("BSS+FitNet").phases()
    assert type(fitnet_phase.method) is fitnet.FitNet
    assert not fitnet_phase.method.overrides("student_forward")
    assert joint.method is None


@pytest.mark.parametrize("other", ["FitNet", "FSP", "FT", "OFD"])
def test_no_method_needs_a_trained_teacher_where_it_starts_fresh(other):
    net = fakes.Net()
    taps = net.tap_specs, net.tap_specs
    with pytest.raises(ValueError, match=rf"Received: .*{other}.* in {other}\+DML"):
        distiller.build(f"{other}+DML", *taps, fakes.data())


def test_a_teacher_is_used_if_a_part_uses_one():
    assert build("none+KD").uses_teacher
    assert not compose(none=Drawing, other=Special).overrides("teacher_forward")


def test_the_special_part_is_asked():
    method = compose(a=Special, b=Forward)
    assert method.teacher_forward(None, None, {}) == "own teacher"
    assert method.student_forward(None, None, {}, None) == "own student"
    assert method.deployed("student", None) == "student"
    assert method.overrides("teacher_forward")
    assert not method.overrides("deployed")
    assert compose(a=Deployed, b=Special).deployed("student", None) == "own net"


def test_a_checkpoint_brings_the_variables_of_all_parts_back(tmp_path):
    def fresh():
        parts = {name: build(name) for name in ("VID", "FitNet")}
        parts["Owner"] = Owner({}, {}, fakes.data())
        return composition.Composition({}, {}, fakes.data(), parts)

    method, other = fresh(), fresh()
    assert len(method.variables) == 8 + 6 + 1
    path = tf.train.Checkpoint(method=method).write(str(tmp_path / "c"))
    for variable in other.variables:
        variable.assign(tf.zeros_like(variable))
    tf.train.Checkpoint(method=other).read(path).assert_consumed()
    for a, b in zip(method.variables, other.variables, strict=True):
        np.testing.assert_array_equal(a, b)


def test_the_default_forwards_are_kept():
    net = fakes.Net()
    method, batch = build("VID+KD"), fakes.batch()
    for got in (
        method.teacher_forward(net, None, batch),
        method.student_forward(net, None, batch, None),
    ):
        assert set(got.taps) == set(net.tap_specs)


def test_terms_of_the_others_join_the_task_side_of_combine():
    (phase,) = compose(A=Special, B=Combining, C=Drawing).phases()
    assert phase.combine is combine
    assert phase.task_terms == ("a/", "c/")
    assert phase.task_weight is None, "A and C follow the run"
    (alone,) = compose(B=Combining).phases()
    assert (alone.task_weight, alone.task_terms) == (0.3, ())


def test_a_part_may_train_the_teacher():
    warm, joint = compose(A=Special, B=Mutual).phases()
    assert (warm.name, warm.trains_teacher, joint.trains_teacher) == (
        "b.warm",
        False,
        True,
    )


@pytest.mark.parametrize("first", [Forward, Deployed, Combining, Mutual])
@pytest.mark.parametrize("second", [Forward, Deployed, Combining, Mutual])
def test_two_special_parts_raise(first, second):
    with pytest.raises(ValueError, match=r"at most one.*One \(.+\), Two \(.+\)\."):
        compose(One=first, Other=Special, Two=second)


def test_draws_are_merged_from_seeds_of_their_own():
    class Other(Drawing):
        def draw(self, batch):
            return {"other": super().draw(batch)["noise"]}

    drawn = compose(a=Drawing, b=Other, c=Special).draw(fakes.batch())
    assert sorted(drawn) == ["noise", "other"]
    assert np.all(drawn["noise"] != drawn["other"])
    with pytest.raises(ValueError, match="same name.*'noise'"):
        compose(a=Drawing, b=Drawing).draw(fakes.batch())


def test_phase_names_stay_unique():
    names = [phase.name for phase in compose(A=Mutual, B=Special).phases()]
    assert names == ["a.warm", "distill"]
    assert dataclasses.asdict(build("AT+KD").phases()[0])["name"] == "distill"
