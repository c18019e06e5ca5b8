import pytest
import tensorflow as tf

import distiller
import fakes
from teacher_cache import outputs_read
from tests.training import tiny

STUDENT, TEACHER = fakes.Net(seed=1), fakes.Net(seed=2)
SHAPE = (fakes.IMAGE_SIZE, fakes.IMAGE_SIZE, 3)
ALL = {"logits", *TEACHER.tap_specs}


def read(method):
    phases = method.phases()
    return outputs_read.read(phases, method, STUDENT, TEACHER, SHAPE, 4)


def build(name, *hparams):
    taps = STUDENT.tap_specs, TEACHER.tap_specs
    return distiller.build(name, *taps, fakes.data(), hparams)


@pytest.mark.parametrize(
    ("method", "expected"),
    [
        (("Soft_logits",), [{"logits"}]),
        (("RKD",), [{"embedding"}]),
        (("AT", "taps=stage1,stage3"), [{"stage1", "stage3"}]),
        (("FitNet", "taps=stage2"), [{"stage2"}, {"logits"}]),
        (("FSP", "taps=stage1,stage2"), [{"stage1", "stage2"}, set()]),
        (("BSS",), [{"logits"}]),  # in the student's forward pass
        (
            ("FitNet+RKD", "FitNet.taps=stage2"),
            [{"stage2"}, {"logits", "embedding"}],
        ),
    ],
)
def test_what_methods_read(method, expected):
    assert read(build(*method)) == expected


def copies(student, teacher, batch):
    taps = {**teacher.taps}
    return {"x": tf.reduce_sum(taps["stage1"])}


def replaces(student, teacher, batch):
    return {"x": tf.reduce_sum(teacher._replace(logits=0).taps["stage1"])}


def unpacks(student, teacher, batch):
    logits, taps = teacher
    return {"x": tf.reduce_sum(logits)}


def looks(student, teacher, batch):
    names = list(teacher.taps)
    assert "stage1" in teacher.taps and len(names) == len(teacher.taps)
    return {"x": tf.reduce_sum(teacher.taps.get("stage2", 0.0))}


@pytest.mark.parametrize(
    ("loss", "expected"),
    [
        (copies, ALL - {"logits"}),
        (replaces, ALL),
        (unpacks, ALL),
        (looks, {"stage2"}),
        (lambda *_: {}, set()),
    ],
)
def test_no_way_of_reading_is_missed(loss, expected):
    assert read(tiny.Method(loss)) == [expected]


def test_nothing_is_run_and_nothing_made():
    method = build("CRD", "num_negatives=4")  # which writes to its banks
    variables = (*method.variables, *STUDENT.variables, *TEACHER.variables)
    before = tiny.values(variables)
    assert read(method) == [{"embedding"}]
    of_all = (*method.variables, *STUDENT.variables, *TEACHER.variables)
    assert len(of_all) == len(variables)
    tiny.assert_equal(tiny.values(variables), before)


def test_a_phase_that_does_not_train_the_student_is_traced_as_it_runs():
    seen = []

    class Watched(tiny.Method):
        def student_forward(self, *arguments):
            seen.append(arguments)
            return super().student_forward(*arguments)

    assert read(Watched(trains_student=False)) == [set()]
    assert not seen
    assert read(Watched()) == [set()]
    assert len(seen) == 1


def test_a_part_of_a_sum_draws_for_itself():
    class Draws(tiny.Method):
        def draw(self, batch):
            return {"noise": tf.zeros([])}

    method = tiny.Method(
        lambda student, teacher, batch: {"x": batch["noise"] + teacher.taps["stage1"]},
        method=Draws(),
    )
    assert read(method) == [{"stage1"}]
