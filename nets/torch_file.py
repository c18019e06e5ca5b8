"""Reads the files of `torch.save` without PyTorch, and runs nothing they hold."""

import dataclasses
import io
import math
import os
import pathlib
import pickle
import types
import zipfile
from collections import OrderedDict
from collections.abc import Callable, Sequence

import numpy as np

# The first of the five pickles of a file from before PyTorch 1.6.
_LEGACY_MAGIC = 0x1950A86A20F9469CFC6C

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


class _Sealed:
    """What a pickle builds and must not change afterwards (its BUILD could)."""

    def __setstate__(self, state):
        raise TypeError(f"a pickle changes a {type(self).__name__}")


@dataclasses.dataclass
class _Storage(_Sealed):
    """A flat array; its bytes come after the pickle that mentions it."""

    dtype: str
    length: int
    data: bytes = b""

    @property
    def num_bytes(self) -> int:
        width = 2 if self.dtype == _BFLOAT16 else np.dtype(self.dtype).itemsize
        return self.length * width


@dataclasses.dataclass(frozen=True)
class Tensor(_Sealed):
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

    def array(self) -> np.ndarray:
        """A copy of the entries; bfloat16 becomes float32.

        Raises:
            ValueError: the view does not lie inside its storage.
        """
        count = math.prod(self.shape)
        steps = zip(self.shape, self.strides, strict=True)
        last = self.offset + sum((size - 1) * stride for size, stride in steps)
        negative = min((self.offset, *self.shape, *self.strides)) < 0
        # The count, too, lest equal entries (stride 0) fill the memory.
        if negative or max(count, last + 1 if count else 0) > self.storage.length:
            raise ValueError(
                "A tensor lies outside its storage: the file is damaged. Expected a "
                f"file of torch.save. Received: shape={self.shape}, "
                f"strides={self.strides}, offset={self.offset}, "
                f"storage of {self.storage.length}."
            )
        if not count:
            return np.zeros(self.shape, np.float32)
        is_bfloat16 = self.storage.dtype == _BFLOAT16
        dtype = np.dtype("<u2" if is_bfloat16 else self.storage.dtype)
        flat = np.frombuffer(self.storage.data, dtype)[self.offset :]
        strides = [stride * dtype.itemsize for stride in self.strides]
        array = np.lib.stride_tricks.as_strided(flat, self.shape, strides).copy()
        if is_bfloat16:
            array = (array.astype("<u4") << 16).view("<f4")
        return array


class _Ignored:
    """Stands for what weights come with but do not need, e.g. the best accuracy."""

    def __init__(self, *arguments):
        pass

    def __setstate__(self, state):
        pass


class _Dict(OrderedDict):
    """A state_dict; what a pickle hangs on it, such as `_metadata`, is left out."""

    def __setstate__(self, state):
        pass


class _Function(_Sealed):
    """A function as a pickle may call it; its attributes cannot be set."""

    __slots__ = ("_function",)

    def __init__(self, function):
        object.__setattr__(self, "_function", function)

    def __call__(self, *arguments):
        return self._function(*arguments)


def _rebuild_tensor(storage, offset, shape, strides, *_) -> Tensor:
    numbers = (offset, *shape, *strides)
    are_integers = all(type(number) is int for number in numbers)
    if not isinstance(storage, _Storage) or not are_integers:
        raise TypeError("a tensor without storage or shape")
    return Tensor(storage, offset, tuple(shape), tuple(strides))


def _rebuild_parameter(tensor, *_):
    return tensor


# All that a file may name. Nothing else is looked up, so nothing else can run.
_ALLOWED = {
    ("collections", "OrderedDict"): _Dict,
    ("argparse", "Namespace"): types.SimpleNamespace,
    ("torch._utils", "_rebuild_tensor"): _Function(_rebuild_tensor),
    ("torch._utils", "_rebuild_tensor_v2"): _Function(_rebuild_tensor),
    ("torch._utils", "_rebuild_parameter"): _Function(_rebuild_parameter),
    **{("torch", name): dtype for name, dtype in _DTYPES.items()},
    # The parts of a pickled NumPy number.
    ("numpy.core.multiarray", "scalar"): _Ignored,
    ("numpy._core.multiarray", "scalar"): _Ignored,
    ("numpy", "dtype"): _Ignored,
    ("_codecs", "encode"): _Ignored,
    ("torch", "Size"): _Ignored,
    ("torch", "device"): _Ignored,
}


class _Unpickler(pickle.Unpickler):
    """Knows the names of `_ALLOWED` alone; collects the storages it meets."""

    def __init__(self, file):
        super().__init__(file, encoding="latin1")  # of strings from Python 2
        self.storages: dict[str, _Storage] = {}

    def find_class(self, module, name):
        try:
            return _ALLOWED[module, name]
        except KeyError:
            raise RefusedGlobal(
                "The file asks to load something that is no weight. Expected tensors, "
                "numbers, texts and an argparse.Namespace, as in a saved state_dict. "
                f"Received: global={f'{module}.{name}'!r}."
            ) from None

    def persistent_load(self, identifier):
        kind, dtype, key, _, length, *view = identifier
        known = kind == "storage" and dtype in _DTYPES.values()
        if not known or type(length) is not int or any(view):
            raise TypeError("a storage of an unknown kind")
        storage = self.storages.setdefault(key, _Storage(dtype, length))
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
    read_format = _read_zip if content.startswith(b"PK\x03\x04") else _read_legacy
    try:
        return read_format(content)
    except RefusedGlobal as error:
        raise RefusedGlobal(f"{path}: {error}") from None
    except Exception as error:  # There is nothing that damaged pickles do not raise.
        raise ValueError(
            "The file is damaged or not of PyTorch. Expected one that torch.save wrote "
            f"on a little-endian machine. Received: path={str(path)!r} "
            f"({type(error).__name__}: {error})."
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
        unpickler = _Unpickler(io.BytesIO(archive.read(pickled)))
        tree = unpickler.load()
        _fill(unpickler.storages, lambda key, _: archive.read(f"{folder}data/{key}"))
    return tree


def _is_pickle(name: str) -> bool:
    return name.count("/") == 1 and name.endswith("/data.pkl")


def _read_legacy(content: bytes):
    file = io.BytesIO(content)
    if _Unpickler(file).load() != _LEGACY_MAGIC:
        raise ValueError("it does not begin as such files do")
    _Unpickler(file).load()  # version of the format: there is only one
    if _Unpickler(file).load().get("little_endian") is False:
        raise ValueError("its numbers are big-endian")
    unpickler = _Unpickler(file)
    tree = unpickler.load()
    keys = _Unpickler(file).load()
    if set(keys) != set(unpickler.storages):
        raise ValueError("its list of storages is not that of its tensors")

    def read_bytes(_, storage):
        if int.from_bytes(file.read(8), "little") != storage.length:
            raise ValueError("a storage has another length than its tensors say")
        return file.read(storage.num_bytes)

    _fill({key: unpickler.storages[key] for key in keys}, read_bytes)
    return tree


def _fill(
    storages: dict[str, _Storage], read_bytes: Callable[[str, _Storage], Sequence]
):
    for key, storage in storages.items():
        storage.data = read_bytes(key, storage)
        if len(storage.data) != storage.num_bytes:
            raise ValueError("a storage is cut off")
