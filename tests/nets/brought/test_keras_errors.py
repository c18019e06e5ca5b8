"""Of Keras' errors the line that says what went wrong is told."""

import keras
import numpy as np
import pytest

from nets.brought.keras_errors import line_of


class Failing(keras.layers.Layer):
    """A layer whose call fails."""

    def call(self, x):
        raise ValueError("these sizes do not fit.\nAnd more.")


def test_the_reason_follows_the_layers_name():
    with pytest.raises(ValueError, match="Exception encountered") as caught:
        Failing()(np.zeros((1, 2), np.float32))
    line = line_of(caught.value)
    assert "Failing.call()" in line and line.endswith("these sizes do not fit")
    assert "\n" not in line and "\x1b" not in line


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("one.\ntwo", "one"),
        ("<class X>\nException encountered: bad kernel\nconfig={}", "bad kernel"),
        ("", ""),
    ],
)
def test_only_one_line(text, line):
    assert line_of(ValueError(text)) == line
