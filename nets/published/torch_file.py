"""Reads the files of `torch.save` without PyTorch, and runs nothing they hold."""

import dataclasses
import io
import math
import os
import pathlib
import types
import zipfile
from collections import OrderedDict
from collections.abc import Callable, Sequence

import numpy as np

from common.errors import wrong
from nets.brought import archives
from nets.published.pickle_reader import Function, Ignored, PickleReader

# The first of the five pickles of a file from before PyTorch 1.6.
_LEGACY_MAGIC = 0x1950A86A20F9469CFC6C

_MAX_AXES = 64  # of PyTorch and NumPy

# NumPy has no bfloat16: it is the upper half of a float32.
_BFLOAT16 = "bfloat16"
_DTYPES = {
    "DoubleStorage": "<f8",
    "FloatStorage": "<f4",
    "HalfStorage": "<f2",
    "BFloat16Storage": _BFLOAT16,
    "LongStorage": "<i8",
    "IntStorage": "<i4",
    "ShortStorage": "<i2",
    "CharStorage": "|i1",
    "ByteStorage": "|u1",
    "BoolStorage": "|b1",
}


class RefusedGlobal(ValueError):
    """A pickle asks for a function or class that no weights need."""


@dataclasses.dataclass
class _Storage:
    """A flat array; its bytes come after the pickle that mentions it."""

    dtype: str
    length: int
    data: bytes = b""

    @property
    def num_bytes(self) -> int:
        width = 2 if self.dtype == _BFLOAT16 else np.dtype(self.dtype).itemsize
        return self.length * width


@dataclasses.dataclass(frozen=True)
class Tensor:
    """A view of a storage.

    Attributes:
        storage: the flat array.
        offset: position of the first entry in it.
        shape: sizes of the axes.
        strides: entries, not bytes, between neighbours along each axis.
    """

    storage: _Storage
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]

    def check(self) -> None:
        """Raises ValueError if the view does not lie inside its storage."""
        count = math.prod(self.shape)
        steps = zip(self.shape, self.strides, strict=True)
        last = self.offset + sum((size - 1) * stride for size, stride in steps)
        negative = min((self.offset, *self.shape, *self.strides)) < 0
        # The count, too, lest equal entries (stride 0) fill the memory.
        if negative or max(count, last + 1 if count else 0) > self.storage.length:
            raise wrong(
                "A tensor lies outside its storage: the file is damaged",
                expected="a file of torch.save",
                received=f"shape={self.shape}, strides={self.strides}, "
                f"offset={self.offset}, storage of {self.storage.length}",
            )

    def array(self) -> np.ndarray:
        """A copy of the entries; bfloat16 becomes float32."""
        if 0 in self.shape:
            return np.zeros(self.shape, np.float32)
        is_bfloat16 = self.storage.dtype == _BFLOAT16
        dtype = np.dtype("<u2" if is_bfloat16 else self.storage.dtype)
        flat = np.frombuffer(self.storage.data, dtype)[self.offset :]
        strides = [stride * dtype.itemsize for stride in self.strides]
        array = np.lib.stride_tricks.as_strided(flat, self.shape, strides).copy()
        if is_bfloat16:
            array = (array.astype("<u4") << 16).view("<f4")
        return array


def _ordered_dict(pairs=()) -> OrderedDict:
    """A state_dict; Python 2 gives its entries as a list."""
    if not all(isinstance(part, list | tuple) for part in (pairs, *pairs)):
        raise TypeError("an OrderedDict of something else than pairs")
    if not all(len(pair) == 2 and isinstance(pair[0], str) for pair in pairs):
        raise TypeError("an OrderedDict of something else than names and values")
    return OrderedDict(pairs)


def _rebuild_tensor(storage, offset, shape, strides, *_) -> Tensor:
    lists = shape, strides
    are_axes = all(isinstance(x, tuple | list) and len(x) <= _MAX_AXES for x in lists)
    numbers = (offset, *shape, *strides) if are_axes else (None,)
    are_integers = all(type(number) is int for number in numbers)
    if not isinstance(storage, _Storage) or not are_integers:
        raise TypeError("a tensor without storage or shape")
    tensor = Tensor(storage, offset, tuple(shape), tuple(strides))
    tensor.check()  # Nobody makes room for a shape that the file cannot fill.
    return tensor


def _rebuild_parameter(tensor, *_):
    return tensor


_IGNORED = Function(lambda *_: Ignored())
# All that a file may name. Nothing else is looked up, so nothing else can run.
_ALLOWED = {
    ("collections", "OrderedDict"): Function(_ordered_dict),
    ("argparse", "Namespace"): Function(lambda: types.SimpleNamespace()),
    ("torch._utils", "_rebuild_tensor"): Function(_rebuild_tensor),
    ("torch._utils", "_rebuild_tensor_v2"): Function(_rebuild_tensor),
    ("torch._utils", "_rebuild_parameter"): Function(_rebuild_parameter),
    **{("torch", name): dtype for name, dtype in _DTYPES.items()},
    # The parts of a pickled NumPy number.
    ("numpy.core.multiarray", "scalar"): _IGNORED,
    ("numpy._core.multiarray", "scalar"): _IGNORED,
    ("numpy", "dtype"): _IGNORED,
    ("_codecs", "encode"): _IGNORED,
    ("torch", "Size"): _IGNORED,
    ("torch", "device"): _IGNORED,
}


def _find(module: str, name: str):
    """What a pickle names."""
    try:
        return _ALLOWED[module, name]
    except KeyError:
        raise RefusedGlobal(
            "The file asks to load something that is no weight. Expected tensors, "
            "numbers, texts and an argparse.Namespace, as in a saved state_dict. "
            f"Received: global={f'{module}.{name}'[:100]!r}."
        ) from None


class _Storages(dict):
    """The storages that a pickle mentions, by their keys."""

    def load(self, identifier) -> _Storage:
        """The storage that a pickle calls by this identifier."""
        if not isinstance(identifier, tuple):
            raise TypeError("a storage of an unknown kind")
        kind, dtype, key, _, length, *view = identifier
        known = kind == "storage" and dtype in _DTYPES.values()
        if not known or any(view) or not isinstance(key, str | int):
            raise TypeError("a storage of an unknown kind")
        if type(length) is not int or length < 0:
            raise TypeError("a storage without a length")
        storage = self.setdefault(key, _Storage(dtype, length))
        if (storage.dtype, storage.length) != (dtype, length):
            raise TypeError("a storage has two types")
        return storage


def read(path: str | os.PathLike):
    """Reads a file that `torch.save` wrote.

    Dictionaries, lists, numbers and texts are what they are in Python; tensors and
    parameters are a `Tensor`, an argparse.Namespace is a `types.SimpleNamespace`; NumPy
    numbers are replaced by an object without meaning.

    Args:
        path: of a zip file (PyTorch 1.6 and later) or one in the format before it.

    Raises:
        RefusedGlobal: the file names a function or class that weights do not need.
        ValueError: it is no file of `torch.save`, or damaged.
        OSError: it cannot be read.
    """
    content = pathlib.Path(path).read_bytes()
    archives.check_none(pathlib.Path(path), "one checkpoint")
    read_format = _read_zip if content.startswith(b"PK\x03\x04") else _read_legacy
    try:
        return read_format(content)
    except RefusedGlobal as error:
        raise RefusedGlobal(f"{path}: {error}") from None
    except Exception as error:  # There is nothing that damaged pickles do not raise.
        raise wrong(
            "The file is damaged or not of PyTorch",
            expected="one that torch.save wrote on a little-endian machine",
            received=f"path={str(path)!r} ({type(error).__name__}: {error})",
        ) from error


def _read_zip(content: bytes):
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        # PyTorch compresses nothing; a small file must not unpack to gigabytes.
        if any(x.compress_type != zipfile.ZIP_STORED for x in archive.infolist()):
            raise ValueError("it is compressed")
        (pickled,) = (n for n in archive.namelist() if _is_pickle(n))
        folder = pickled.removesuffix("data.pkl")
        order = f"{folder}byteorder"  # since PyTorch 2.1
        if order in archive.namelist() and archive.read(order) != b"little":
            raise ValueError("its numbers are big-endian")
        tree, storages = _read_pickle(io.BytesIO(archive.read(pickled)))

        def read_bytes(key, storage):
            name = f"{folder}data/{key}"
            if archive.getinfo(name).file_size != storage.num_bytes:
                raise ValueError("a storage is cut off")
            return archive.read(name)

        _fill(storages, len(content), read_bytes)
    return tree


def _read_pickle(file: io.BytesIO):
    """The next object of the file, and the storages that it mentions."""
    storages = _Storages()
    return PickleReader(file, _find, storages.load).read(), storages


def _is_pickle(name: str) -> bool:
    return name.count("/") == 1 and name.endswith("/data.pkl")


def _read_legacy(content: bytes):
    file = io.BytesIO(content)
    if _read_pickle(file)[0] != _LEGACY_MAGIC:
        raise ValueError("it does not begin as such files do")
    _read_pickle(file)  # version of the format: there is only one
    if _read_pickle(file)[0].get("little_endian") is False:
        raise ValueError("its numbers are big-endian")
    tree, storages = _read_pickle(file)
    keys, _ = _read_pickle(file)
    if not all(isinstance(k, str | int) for k in keys) or set(keys) != set(storages):
        raise ValueError("its list of storages is not that of its tensors")

    def read_bytes(_, storage):
        if int.from_bytes(file.read(8), "little") != storage.length:
            raise ValueError("a storage has another length than its tensors say")
        return file.read(storage.num_bytes)

    _fill({key: storages[key] for key in keys}, len(content), read_bytes)
    return tree


def _fill(
    storages: dict[str, _Storage],
    size: int,
    read_bytes: Callable[[str, _Storage], Sequence],
):
    """Reads all storages of a file of so many bytes."""
    if sum(storage.num_bytes for storage in storages.values()) > size:
        raise ValueError("its storages are longer than the file; it is cut off")
    for key, storage in storages.items():
        storage.data = read_bytes(key, storage)
        if len(storage.data) != storage.num_bytes:
            raise ValueError("a storage is cut off")
