"""What the models of keras.applications show as taps: docs/applications_taps.md.

Runs as `python -m docs.tables.applications_taps`.
"""

import common.before_tensorflow  # noqa: F401

# isort: split

import pathlib

import keras

from common import files
from nets.brought import applications
from nets.brought.wrapped import WrappedNet

SIZE, LARGEST = 64, 80  # of the images; the least that all models accept is 75
CLASSES = 10

# No flag: tests import this module beside others that have flags of the same names.
TABLE = pathlib.Path(__file__).parents[1] / "applications_taps.md"

HEAD = f"""# Taps of keras.applications

What `nets.wrap` takes of every model of `keras.applications` as the ends of its stages
([your_model.md](your_model.md#taps) says by which rules), at {SIZE}x{SIZE} pixels or
the least size that the model accepts. Each cell: the layer, how many times smaller than
the image its map is, its channels. At larger images the layers are the same; the
Inceptions have one more stage, whose map is a single pixel here. A name such as `add_2`
or `activation_94` is counted by Keras: it is another one if models were built before.
`embedding` is the width of what the head gets; "mean" if the head is no dense layer and
it is the mean of `last_map`, the last of the stages. Written by
`python -m docs.tables.applications_taps`.

| model | size | stage1 | stage2 | stage3 | stage4 | stage5 | stage6 | embedding |
|---|---|---|---|---|---|---|---|---|
"""


def build(name: str) -> WrappedNet:
    """The model with fresh weights, at the table's size."""
    for size in range(SIZE, LARGEST):
        try:
            return applications.build(
                f"{applications.PREFIX}{name}/{size}", CLASSES, (size, size, 3), seed=1
            )
        except ValueError as error:
            if "larger size" not in str(error) or size + 1 == LARGEST:
                raise
    raise AssertionError("unreachable")


def row(name: str, net: WrappedNet) -> str:
    """The line of a model."""
    height, width, _ = net.image_shape
    stages = [
        f"`{layer}` /{net.tap_specs[tap].stride}, {net.tap_specs[tap].channels}"
        for tap, layer in net.tap_layers.items()
    ]
    stages += [""] * (6 - len(stages))
    embedding = str(net.tap_specs["embedding"].channels)
    if net.head is None:
        embedding += ", mean"
    return "| " + " | ".join([name, f"{height}x{width}", *stages, embedding]) + " |\n"


def main() -> None:
    """Builds all models and writes the table."""
    text = HEAD
    for name in applications.names():
        keras.backend.clear_session()  # and its counters of names
        text += row(name, build(name))
    files.write_atomically(TABLE, lambda path: path.write_text(text))


if __name__ == "__main__":
    main()
