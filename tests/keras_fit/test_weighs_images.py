"""Methods that weigh images do what a mean over each image by itself would do."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import distiller
from distiller import registry
from nets.taps import Output
from tests import fakes
from tests.cases import methods

WEIGHERS = [n for n in distiller.names() if registry.method_class(n).weighs_images]
# Regressors with batch norms see the other images, whatever these weigh.
WITHOUT_NORMS = {"FitNet": ("regressor=false",), "AB": ("taps=stages_pre",)}
WEIGHTS = tf.constant([0.0, 1.0, 2.5, 0.5])


def outputs_terms(method, seen, given, batch):
    found = {}
    for phase in method.phases():
        found |= {
            f"{phase.name} {name}": float(term)
            for name, term in phase.loss(seen, given, batch).items()
        }
    return found


def one(output, i):
    """An output for one image alone."""
    taps = {name: tap[i : i + 1] for name, tap in output.taps.items()}
    return Output(output.logits[i : i + 1], taps)


@pytest.mark.parametrize("name", methods(WEIGHERS))
def test_a_weighted_term_is_the_mean_of_the_images_own(name):
    student, teacher = fakes.Net(seed=1), fakes.Net(seed=53)
    spec = distiller.resolve(name, WITHOUT_NORMS.get(name, ()))
    keras.utils.set_random_seed(1)
    taps = teacher.tap_specs if spec.uses_teacher else {}
    method = spec.build(student.tap_specs, taps, fakes.data())
    batch = fakes.batch()
    given = method.teacher_forward(teacher, student, batch)
    seen = method.student_forward(student, teacher, batch, given)
    weighted = outputs_terms(method, seen, given, {**batch, "sample_weight": WEIGHTS})
    plain = outputs_terms(method, seen, given, batch)
    ones = {**batch, "sample_weight": tf.ones(4)}
    assert outputs_terms(method, seen, given, ones) == pytest.approx(plain, rel=1e-5)
    of_images = {name: batch[name] for name in ("image", "label", "index")}
    alone = []
    for i in range(4):
        cut = {**batch, **{name: x[i : i + 1] for name, x in of_images.items()}}
        alone.append(outputs_terms(method, one(seen, i), one(given, i), cut))
    expected = {
        term: np.mean([w * own[term] for w, own in zip(WEIGHTS, alone, strict=True)])
        for term in plain
    }
    assert weighted == pytest.approx({k: float(v) for k, v in expected.items()}, 1e-4)
    assert bool(plain) == (name != "none")


def test_which_methods_weigh_images():
    """Those whose terms are a mean over the images, and no others."""
    assert set(WEIGHERS) >= set(
        "none Soft_logits Logits DML FitNet AT NST AB VID AFD LwM Sobolev FSP".split()
    )
    for relating in ("RKD", "PKT", "SP", "CC", "IRG", "CRD", "MLKD"):
        assert not registry.method_class(relating).weighs_images
