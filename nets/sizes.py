"""What each net costs at given images: parameters, multiply-accumulates, file size."""

import dataclasses
import math
import pathlib
import tempfile
from collections.abc import Iterable
from concurrent import futures

import keras
import tensorflow as tf

from nets import costs, registry

MEGABYTE = 10**6


@dataclasses.dataclass(frozen=True)
class Sizes:
    """Of one net, for images of one shape and so many classes.

    Attributes:
        name: canonical.
        parameters: see `costs.count_parameters`.
        multiply_accumulates: see `costs.multiply_accumulates`.
        file: bytes that `nets.save` writes in float32; the digits of seeds in it make
            some tens of bytes more or fewer.
    """

    name: str
    parameters: int
    multiply_accumulates: int
    file: int


@dataclasses.dataclass(frozen=True)
class Data:
    """What of a data set counts for a net's size; see `nets.build`.

    Attributes:
        num_classes: number of labels.
        input_shape: (H, W, C).
        mean: per channel.
        std: per channel.
        class_names: which the file holds, too, or None.
    """

    num_classes: int
    input_shape: tuple[int, int, int]
    mean: tuple[float, ...] | None = None
    std: tuple[float, ...] | None = None
    class_names: tuple[str, ...] | None = None

    @property
    def shape(self) -> str:
        """The images, as in "32x32x3"."""
        return "x".join(map(str, self.input_shape))


def measure(
    data: Data, names: Iterable[str] = (), limit: float = math.inf
) -> tuple[list[Sizes], dict[str, list[str]]]:
    """Sizes of nets.

    Args:
        data: for which they are built.
        names: of the nets; none means all of `registry.names()`.
        limit: bytes; larger nets are left out, but not the one with the fewest weights.

    Returns:
        The sizes, the smallest file first; and of what cannot be built, the reason ->
        names.
    """
    # In a thread: what Keras remembers of these nets ends with it.
    with futures.ThreadPoolExecutor(max_workers=1) as thread:
        return thread.submit(_measure, data, names or registry.names(), limit).result()


def _measure(data: Data, names: Iterable[str], limit: float):
    built, refused = [], {}
    # Weights are shapes alone until they are written: twice as fast.
    with (
        keras.StatelessScope(initialize_variables=False),
        tempfile.TemporaryDirectory() as folder,
    ):
        for name in names:
            try:
                built.append(_build(name, data))
            except ValueError as error:
                refused.setdefault(_reason(name, error), []).append(name)
        built.sort(key=_bytes_of_weights)
        small = [net for net in built if _bytes_of_weights(net) <= limit] or built[:1]
        found = [_sizes(net, pathlib.Path(folder, "net.keras")) for net in small]
    return sorted(found, key=lambda sizes: sizes.file), refused


def _reason(name: str, error: ValueError) -> str:
    """Why a net cannot be built, in one line; of the repository's nets what they need.

    A user's own may fail by any mistake, which only the whole error tells.
    """
    text = " ".join(str(error).split())
    if registry.is_registered(name):
        return text.removesuffix(".")
    # "What happened. Expected this. Received: that."
    return (text.partition("Expected ")[2] or text).partition(". Received")[0]


def _build(name: str, data: Data):
    scale = {"mean": data.mean, "std": data.std, "dtype": "float32"}
    # A seed, for the file tells it: with another one it is some bytes more or fewer.
    net = registry.build(name, data.num_classes, data.input_shape, **scale, seed=0)
    net.class_names = data.class_names
    return net


def _bytes_of_weights(net) -> int:
    return 4 * sum(math.prod(variable.shape) for variable in net.weights)


def _sizes(net, path: pathlib.Path) -> Sizes:
    zeros = [(v, tf.zeros(v.shape, v.dtype)) for v in net.variables]
    with keras.StatelessScope(zeros, initialize_variables=False):
        net.save(path)  # its layout depends on Keras and HDF5
        return Sizes(
            net.name,
            costs.count_parameters(net),
            costs.multiply_accumulates(net),
            path.stat().st_size,
        )


def table(data: Data) -> list[str]:
    """The nets as lines of text, the smallest file first."""
    rows, refused = measure(data)
    wide = max((len(row.name) for row in rows), default=0)
    lines = [f"{'net':{wide}}{'parameters':>13}{'mult.-acc.':>16}{'file MB':>10}"]
    lines += [
        f"{row.name:{wide}}{row.parameters:13,}{row.multiply_accumulates:16,}"
        f"{row.file / MEGABYTE:10.2f}"
        for row in rows
    ]
    for reason, names in refused.items():
        lines.append(f"not for {data.shape} ({reason}): {', '.join(names)}")
    return lines
