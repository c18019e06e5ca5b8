"""Published checkpoints with expected outputs, and weights made up for a net."""

import os
import pathlib
import zlib

import numpy as np

from nets.published import weights as published_weights

DATA = pathlib.Path(__file__).parents[2] / "data" / "import"
# IMPORT_DIR=... pytest tests/nets reads other checkpoints than these.
DIRECTORY = pathlib.Path(os.environ.get("IMPORT_DIR") or DATA)


def checkpoints() -> list[pathlib.Path]:
    """The files that have their expected outputs beside them."""
    found = [p for s in ("pth", "mat") for p in sorted(DIRECTORY.glob(f"*.{s}"))]
    return [path for path in found if path.with_suffix(".npz").exists()]


def published_shape(variable) -> tuple[int, ...]:
    """The shape that one of our variables has in a state_dict."""
    return published_weights._as_in_pytorch(np.empty(variable.shape)).shape


def made_up(key: str, shape: tuple[int, ...]) -> np.ndarray:
    """An array that depends on its key alone, for a state_dict."""
    rng = np.random.default_rng(zlib.crc32(key.encode()))
    if len(shape) > 1:
        return rng.normal(size=shape) * (2 / np.prod(shape[1:])) ** 0.5
    if key.endswith((".weight", "running_var")):
        return rng.uniform(0.5, 1.5, shape)
    return rng.normal(size=shape) * 0.3
