"""docs/applications_taps.md is what wrapping says, and the taps are the models' own."""

import re

import keras
import numpy as np
import pytest

from docs.tables import applications_taps
from nets.brought import applications, opened

TABLE = applications_taps.TABLE
ROWS = TABLE.read_text().removeprefix(applications_taps.HEAD).splitlines(True)
QUICK = ("MobileNet",)  # no name of its layers is counted by Keras


def test_the_table_is_whole():
    assert TABLE.read_text().startswith(applications_taps.HEAD)
    assert [row.split()[1] for row in ROWS] == list(applications.names())


@pytest.mark.parametrize("name", QUICK)
def test_quick_models_are_as_the_table_says(name):
    check(name, [row for row in ROWS if row.startswith(f"| {name} ")])


@pytest.mark.slow
@pytest.mark.parametrize("name", applications.names())
def test_every_model_is_as_the_table_says(name):
    keras.backend.clear_session()  # and its counters of names
    check(name, [row for row in ROWS if row.startswith(f"| {name} ")])


def check(name, rows):
    """Logits and taps are those of the model by itself, on noise and with noisy norms.

    The taps are computed by a model made of the layers that the table names.
    """
    net = applications_taps.build(name)
    assert [applications_taps.row(name, net)] == rows
    (row,) = rows
    names = re.findall(r"`(\w+)`", row)
    model = net.model
    made_by = {x.name: x.output for x in opened.operations(model)}
    alone = keras.Model(model.inputs, [made_by[x] for x in names])
    rng = np.random.default_rng(0)
    for variable in model.variables:
        if variable.name in ("beta", "moving_mean"):
            variable.assign(rng.normal(0, 0.1, variable.shape))
    pixels = rng.integers(0, 256, (2, *net.image_shape), np.uint8)
    images = net.as_the_model_expects(net.normalise(pixels))
    logits, taps = net(net.normalise(pixels), with_taps=True)
    expected = [*alone(images, training=False), model(images, training=False)]
    found = [*(taps[f"stage{i}"] for i in range(1, len(names) + 1)), logits]
    for ours, own in zip(found, expected, strict=True):
        assert np.all(np.isfinite(own)) and np.std(own) > 0
        np.testing.assert_allclose(
            ours, own, rtol=1e-5, atol=1e-6 * np.max(np.abs(own))
        )
    np.testing.assert_array_equal(net(net.normalise(pixels)), logits)
