"""Files of torch.save: what is read, and that nothing in them runs.

tests/data/import/tensors_*.pt were written by PyTorch 2.13, in both formats.
"""

import os
import pathlib
import pickle
import tarfile
import tracemalloc
import types
import zipfile

import numpy as np
import pytest

from nets.published import pickle_reader, torch_file

DATA = pathlib.Path(__file__).parents[2] / "data" / "import"
FORMATS = ("zip", "legacy")
NUMBERS = np.arange(24, dtype="float32").reshape(2, 3, 4)
EXPECTED = {
    "transposed": NUMBERS.transpose(2, 0, 1),
    "sliced": NUMBERS[1, :, 1::2],
    "scalar": np.float32(3.5),
    "empty": np.zeros((0, 3), "float32"),
    "parameter": NUMBERS[0],
    "half": NUMBERS.astype("float16"),
    "bfloat16": NUMBERS / 3,
    "double": NUMBERS.astype("float64") / 3,
    "int64": -NUMBERS.astype("int64") * 2**40,
    "int32": NUMBERS.astype("int32"),
    "int16": NUMBERS.astype("int16"),
    "int8": -NUMBERS.astype("int8"),
    "uint8": NUMBERS.astype("uint8"),
    "bool": NUMBERS > 5,
    "expanded_once": NUMBERS[:, :1, :1],
}


@pytest.fixture(params=FORMATS)
def real_file(request):
    return DATA / f"tensors_{request.param}.pt"


def test_tensors_are_those_that_were_saved(real_file):
    tensors = torch_file.read(real_file)["state_dict"]
    assert list(tensors) == list(EXPECTED)
    for key, expected in EXPECTED.items():
        array = tensors[key].array()
        # bfloat16 has 8 significant bits and becomes float32.
        rtol = 2**-8 if key == "bfloat16" else 0
        assert (key, array.dtype) == (key, expected.dtype)
        assert tensors[key].shape == array.shape
        np.testing.assert_allclose(array, expected, rtol=rtol, err_msg=key, strict=True)


def test_what_lies_beside_the_tensors(real_file):
    tree = torch_file.read(real_file)
    assert list(tree) == ["opt", "epoch", "best_acc", "state_dict"]
    assert isinstance(tree["opt"], types.SimpleNamespace)
    assert (tree["opt"].model, tree["opt"].decay) == ("resnet8", [150, 180])
    assert tree["epoch"] == 240


def test_as_pytorch_reads_them(real_file):
    torch = pytest.importorskip("torch")
    theirs = torch.load(real_file, weights_only=False)["state_dict"]
    ours = torch_file.read(real_file)["state_dict"]
    for key, tensor in theirs.items():
        expected = tensor.detach().to(torch.float64).numpy()
        np.testing.assert_array_equal(ours[key].array().astype("float64"), expected)


# Hostile files.


class Evil:
    """Pickles as a call of os.system that makes the file `path`."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.system, (f"touch {self.path}",)


def _opcodes(pickled: bytes) -> bytes:
    """A pickle of protocol 2 without its beginning and end, to be nested."""
    assert pickled.startswith(b"\x80\x02") and pickled.endswith(b".")
    return pickled[2:-1]


def _payloads(path) -> dict[str, bytes]:
    """Pickles that would make the file, by how they go about it."""
    evil = _opcodes(pickle.dumps(Evil(path), protocol=2))
    command = f"touch {path}".encode()
    call = b"(S'%s'\n" % command
    return {
        "reduce": b"\x80\x02" + evil + b".",
        "frames": pickle.dumps(Evil(path), protocol=4),
        "instance": call + b"ios\nsystem\n.",
        "object": b"(cos\nsystem\nS'%s'\no." % command,
        "rebuild arguments": b"\x80\x02ctorch._utils\n_rebuild_tensor_v2\n("
        + evil
        + b"tR.",
        "state": b"\x80\x02cargparse\nNamespace\n)\x81}X\x01\x00\x00\x00a"
        + evil
        + b"sb.",
        "dotted": b"\x80\x04\x8c\x0bcollections\x8c\x20OrderedDict.__init__."
        b"__globals__\x93.",
        "eval": b'cbuiltins\neval\n(S\'__import__("os").system("%s")\'\ntR.' % command,
        "nested read": b"ctorch.storage\n_load_from_bytes\n(S''\ntR.",
        "argument of a dictionary": b"ccollections\nOrderedDict\n("
        + b"]"
        + evil
        + b"atR.",
        "storage type": b"(S'storage'\ncos\nsystem\nS'0'\nS'cpu'\nI1\ntQ.",
    }


def _zip_file(path, pickled: bytes, **storages: bytes):
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("archive/data.pkl", pickled)
        for key, content in storages.items():
            archive.writestr(f"archive/data/{key}", content)
    return path


def _legacy_file(path, pickled: bytes):
    header = (torch_file._LEGACY_MAGIC, 1001, {"little_endian": True})
    parts = [*(pickle.dumps(part, protocol=2) for part in header), pickled]
    path.write_bytes(b"".join([*parts, pickle.dumps([], protocol=2)]))
    return path


def _plain_file(path, pickled: bytes):
    path.write_bytes(pickled)
    return path


@pytest.mark.parametrize("how", ["reduce", "frames", "instance", "object", "eval"])
def test_the_payloads_are_real(tmp_path, how):
    pickle.loads(_payloads(tmp_path / "made")[how])
    assert (tmp_path / "made").exists()


@pytest.mark.parametrize("make_file", [_zip_file, _legacy_file, _plain_file])
@pytest.mark.parametrize("how", _payloads(""))
def test_nothing_in_a_file_runs(tmp_path, make_file, how):
    payload = _payloads(tmp_path / "made")[how]
    path = make_file(tmp_path / "evil.pth", payload)
    with pytest.raises(torch_file.RefusedGlobal) as info:
        torch_file.read(path)
    assert not (tmp_path / "made").exists()
    message = str(info.value)
    names = ("system'", "eval'", "_load_from_bytes'", "__globals__'")
    assert "\n" not in message and "evil.pth" in message
    assert "global='" in message and any(name in message for name in names)


STORAGE = b"(S'storage'\nctorch\nFloatStorage\nS'0'\nS'cpu'\nI4\ntQ"


def test_a_pickle_cannot_change_what_it_made(tmp_path):
    # A longer storage than there are bytes would let tensors read what lies behind.
    longer = STORAGE + b"(dS'length'\nI4000\nsb."
    path = _zip_file(tmp_path / "net.pth", longer, **{"0": bytes(16)})
    with pytest.raises(ValueError, match="a pickle changes a _Storage"):
        torch_file.read(path)


def _tensor(offset, shape, strides) -> bytes:
    numbers = b"".join(
        b"(" + b"".join(b"I%d\n" % number for number in axes) + b"t"
        for axes in (shape, strides)
    )
    head = b"ctorch._utils\n_rebuild_tensor\n(" + STORAGE
    return head + b"I%d\n" % offset + numbers + b"tR."


def _read_tensor(folder, *view):
    content = np.arange(4, dtype="<f4").tobytes()
    return torch_file.read(
        _zip_file(folder / "net.pth", _tensor(*view), **{"0": content})
    )


def test_a_view_of_a_storage(tmp_path):
    array = _read_tensor(tmp_path, 1, (2, 2), (1, 1)).array()
    np.testing.assert_array_equal(array, [[1, 2], [2, 3]])


@pytest.mark.parametrize(
    ("offset", "shape", "strides"),
    [
        (0, (5,), (1,)),
        (1, (4,), (1,)),
        (0, (2, 2), (3, 1)),
        (-1, (1,), (1,)),
        (3, (2,), (-1,)),
        (0, (-1,), (1,)),
        (0, (2**40,), (0,)),
        (2**62, (2,), (2**62,)),
    ],
)
def test_views_outside_their_storage(tmp_path, offset, shape, strides):
    with pytest.raises(ValueError, match="outside its storage"):
        _read_tensor(tmp_path, offset, shape, strides)


# Small files that ask for much.


def _peak_of(call) -> int:
    """The most memory that Python had at once, in bytes, while a call is refused."""
    tracemalloc.start()
    try:
        with pytest.raises(ValueError, match="damaged or not of PyTorch") as info:
            call()
        assert "\n" not in str(info.value) and len(str(info.value)) < 500
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def _in_place(opcode: bytes, number: int, width: int) -> bytes:
    return opcode + number.to_bytes(width, "little")


MANY = 1000
_PAIRS = b"(" + b"".join(b"(X\x04\0\0\0%04dNt" % i for i in range(MANY)) + b"lq\0"
_STATE = b"(" + b"".join(b"X\x04\0\0\0%04dN" % i for i in range(MANY)) + b"dq\0"
_DICT, _OPTIONS = b"ccollections\nOrderedDict\nq\1", b"cargparse\nNamespace\nq\1"
GREEDY = {
    # Python's unpickler makes room for 2^25 objects: 256 MiB.
    "place in the memo": b"\x80\x02]" + _in_place(b"r", 2**24, 4) + b".",
    "place in text": b"]p16777216\n.",
    "negative place": b"]p-1\n.",
    "bytes to be filled": b"\x80\x05" + _in_place(b"\x96", 2**28, 8) + b"abc.",
    "bytes": b"\x80\x04" + _in_place(b"\x8e", 2**28, 8) + b"abc.",
    "more bytes than fit": b"\x80\x04" + _in_place(b"\x8e", 2**63, 8) + b"abc.",
    "text": b"\x80\x04" + _in_place(b"\x8d", 2**28, 8) + b"abc.",
    "frame": b"\x80\x04" + _in_place(b"\x95", 2**28, 8) + b"].",
    "integer": b"\x80\x02" + _in_place(b"\x8a", 200, 1) + b"\1" * 200 + b".",
    "digits": b"L" + b"1" * 5000 + b"L\n.",
    # Each repetition copies what is there once: 10^6 entries.
    "dictionaries": _PAIRS + _DICT + b"".join([b"0h\1h\0\x85R"] * MANY) + b".",
    "options": _STATE + _OPTIONS + b"".join([b"0h\1)\x81h\0b"] * MANY) + b".",
    "shapes": b"("
    + b"K\0" * MANY
    + b"tq\0"
    + _tensor(0, (1,), (1,))[:-6]
    + b"h\0h\0tR.",
    # Their hashes take 2^60 steps, or a stack of as many calls as there are bytes.
    "a key of pairs": b"})" + b"2\x86" * 60 + b"Ns.",
    "a deep key": b"})" + b"\x85" * 10**4 + b"Ns.",
    "a set of pairs": b"\x80\x04\x8f()" + b"2\x86" * 60 + b"\x90.",
    "a storage of pairs": STORAGE.replace(b"S'0'\n", b")" + b"2\x86" * 60) + b".",
}


@pytest.mark.parametrize("how", GREEDY)
def test_a_small_file_gets_little_memory(tmp_path, how):
    pickled = GREEDY[how].ljust(127, b".")  # what is behind the end does not matter
    allowed = 2**20 + 60 * len(pickled)
    path = _zip_file(tmp_path / "small.pth", pickled)
    assert _peak_of(lambda: torch_file.read(path)) < allowed
    legacy = _legacy_file(tmp_path / "small.pth", pickled)
    assert _peak_of(lambda: torch_file.read(legacy)) < allowed


def test_a_pickle_has_an_end_of_its_opcodes(tmp_path, monkeypatch):
    path = _zip_file(tmp_path / "net.pth", b"(" + b"N" * 98 + b"l.")
    monkeypatch.setattr(pickle_reader, "_MAX_OPCODES", 101)
    assert torch_file.read(path) == [None] * 98
    monkeypatch.setattr(pickle_reader, "_MAX_OPCODES", 100)
    with pytest.raises(ValueError, match="more than 100 opcodes"):
        torch_file.read(path)


def test_storages_longer_than_their_file(tmp_path):
    path = _zip_file(tmp_path / "net.pth", STORAGE.replace(b"I4", b"I9999") + b".")
    assert _peak_of(lambda: torch_file.read(path)) < 2**20


@pytest.mark.parametrize("protocol", range(6))
def test_all_protocols_give_what_was_written(tmp_path, protocol):
    value = {
        "numbers": [0, -1, 255, 65536, 2**40, -(2**70), True, False, None, 0.5, -1e300],
        "texts": ["", "ä\n", "x" * 300],
        "tuples": [(), (1,), (1, 2), (1, 2, 3), (1, 2, 3, 4)],
        "keys": {1: "one", 2.5: {}, (1, "a"): [], None: 0},
    }
    if protocol == 5:  # The ones before call functions for some of these.
        value["sets"] = [{1, 2}, frozenset({3})]
        value["bytes"] = [b"abc", b"y" * 300, bytearray(b"z")]
    value["again"] = value["texts"]
    path = _zip_file(tmp_path / "tree.pth", pickle.dumps(value, protocol))
    found = torch_file.read(path)
    assert found == value
    assert found["again"] is found["texts"]


# Damaged files.


def test_damaged_files_are_one_clear_line(tmp_path, real_file):
    good = real_file.read_bytes()
    path = tmp_path / "cut.pth"
    for length in (0, 3, 10, len(good) // 2, len(good) - 1):
        path.write_bytes(good[:length])
        with pytest.raises(ValueError, match=r"damaged or not of PyTorch.*cut\.pth"):
            torch_file.read(path)


def test_other_files(tmp_path):
    text = _plain_file(tmp_path / "text.pth", b"not a net\n")
    number = _plain_file(tmp_path / "number.pth", pickle.dumps(7))
    big = _legacy_file(tmp_path / "big.pth", pickle.dumps({}))
    big.write_bytes(big.read_bytes().replace(b"\x88s.", b"\x89s."))
    short = _zip_file(tmp_path / "short.pth", _tensor(0, (4,), (1,)), **{"0": b"1234"})
    foreign = tmp_path / "foreign.pth"
    with zipfile.ZipFile(foreign, "w") as archive:
        archive.writestr("model.json", "{}")
    with pytest.raises(ValueError, match="archive of one file.*model.json.*foreign"):
        torch_file.read(foreign)
    for path in (text, number, big, short):
        with pytest.raises(ValueError, match=f"damaged or not of.*{path.name}") as info:
            torch_file.read(path)
        assert not isinstance(info.value, torch_file.RefusedGlobal)
    with pytest.raises(ValueError, match="big-endian"):
        torch_file.read(big)
    with pytest.raises(ValueError, match="cut off"):
        torch_file.read(short)
    with pytest.raises(FileNotFoundError):
        torch_file.read(tmp_path / "missing.pth")


def test_a_pickle_cannot_change_the_reader(tmp_path):
    """BUILD sets attributes of what it finds, and a function is found by its name."""
    function = b"ctorch._utils\n_rebuild_parameter\n"
    state = b"(N}X\x04\x00\x00\x00nameI1\nstb."
    path = _zip_file(tmp_path / "a.pth", function + state)
    with pytest.raises(ValueError, match="changes a Function"):
        torch_file.read(path)


def test_a_dictionary_keeps_its_methods(tmp_path):
    dictionary = b"ccollections\nOrderedDict\n)R}X\x06\x00\x00\x00valuesI1\nsb."
    path = _zip_file(tmp_path / "a.pth", dictionary)
    assert list(torch_file.read(path).values()) == []


def test_a_compressed_file_is_not_unpacked(tmp_path):
    path = tmp_path / "a.pth"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("archive/data.pkl", b"]." + bytes(1000))
    with pytest.raises(ValueError, match="it is compressed"):
        torch_file.read(path)


@pytest.mark.parametrize("kind", ["zip", "tar"])
def test_an_archive_of_several_checkpoints_names_them(kind, tmp_path):
    names = ["resnet56_vanilla/ckpt_epoch_240.pth", "vgg13_vanilla/ckpt_epoch_240.pth"]
    path = tmp_path / f"cifar_teachers.{kind}"
    (tmp_path / "one").write_bytes(b"weights")
    if kind == "zip":
        with zipfile.ZipFile(path, "w") as archive:
            for name in names:
                archive.write(tmp_path / "one", name)
    else:
        with tarfile.open(path, "w") as archive:
            for name in names:
                archive.add(tmp_path / "one", name)
    with pytest.raises(ValueError) as info:
        torch_file.read(path)
    text = str(info.value)
    assert "archive of 2 files" in text and "Expected one checkpoint" in text
    assert ", ".join(names) in text and str(path) in text
