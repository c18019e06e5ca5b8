"""The command that makes a .keras file of a published checkpoint."""

import os
import pickle
import shutil
import zipfile

import numpy as np
import pytest

import commands
import nets
from tests.nets.published import published

RESNET8 = published.DATA / "resnet8.pth"
MAT = published.DATA / "WResNet-10-1.mat"


def run(folder, *arguments):
    return commands.run("nets/import_weights.py", *map(str, arguments), cwd=folder)


def _check_logits(path, source):
    expected, net = np.load(source.with_suffix(".npz")), nets.load(path)
    scale = np.abs(expected["logits"]).max()
    logits = net(expected["images"])
    np.testing.assert_allclose(logits, expected["logits"], rtol=0, atol=1e-4 * scale)
    return net


def test_a_pytorch_file(tmp_path):
    finished = run(
        tmp_path, RESNET8, "--net=ResNet-8", "--out=a/b.keras", "--dataset=cifar100"
    )
    assert (finished.code, finished.error_lines) == (0, [])
    net = _check_logits(tmp_path / "a/b.keras", RESNET8)
    assert (net.mean, net.std) == ((0.5071, 0.4867, 0.4408), (0.2675, 0.2565, 0.2761))
    words = " ".join(finished.out.split())
    assert "net resnet8 (as given) classes 100 parameters 83,892" in words
    assert "of cifar100" in words and "saved a/b.keras" in words


def test_a_mat_file(tmp_path):
    finished = run(tmp_path, MAT, "--out=b.keras", "--mean=.5,.4,.3", "--std=1,2,3")
    assert (finished.code, finished.error_lines) == (0, [])
    net = _check_logits(tmp_path / "b.keras", MAT)
    assert (net.name, net.shortcut, net.padding) == ("wrn_10_1", "raw", "same")
    assert (net.mean, net.std) == ((0.5, 0.4, 0.3), (1.0, 2.0, 3.0))


def test_the_net_may_be_known_by_its_folder(tmp_path):
    (tmp_path / "resnet8_vanilla").mkdir()
    shutil.copy(RESNET8, tmp_path / "resnet8_vanilla/ckpt_epoch_240.pth")
    finished = run(tmp_path, "resnet8_vanilla/ckpt_epoch_240.pth", "--out=a.keras")
    assert finished.code == 0
    assert "resnet8 (by the folder's name)" in finished.out
    assert "mean (0.0, 0.0, 0.0), std (1.0, 1.0, 1.0) (unknown" in finished.out
    _check_logits(tmp_path / "a.keras", RESNET8)


def _write_with_options(path, model: bytes, dataset: bytes):
    """A copy of resnet8.pth with options of a training, which are given as opcodes."""
    with zipfile.ZipFile(RESNET8) as archive:
        content = {name: archive.read(name) for name in archive.namelist()}
    # One more entry in front of the others: the pickle is a dictionary.
    pickled = content["resnet8/data.pkl"]
    assert pickled.startswith(b"\x80\x02}")
    options = b"X\x03\x00\x00\x00optcargparse\nNamespace\n)\x81}(X\x05\x00\x00\x00model"
    options += model + b"X\x07\x00\x00\x00dataset" + dataset + b"ubs"
    content["resnet8/data.pkl"] = pickled[:3] + options + pickled[3:]
    with zipfile.ZipFile(path, "w") as archive:
        for name, part in content.items():
            archive.writestr(name, part)


def test_the_options_in_the_file_say_net_and_dataset(tmp_path):
    # tensors_zip.pt names resnet8 and cifar100, but its tensors are no net's.
    finished = run(tmp_path, published.DATA / "tensors_zip.pt", "--out=a.keras")
    assert finished.code == 2
    assert "has no head" in finished.error_lines[0]
    name, dataset = b"X\x07\x00\x00\x00resnet8", b"X\x08\x00\x00\x00cifar100"
    _write_with_options(tmp_path / "last.pth", name, dataset)
    finished = run(tmp_path, "last.pth", "--out=a.keras")
    assert finished.code == 0, finished.err
    assert "resnet8 (by the file's options)" in finished.out
    assert "of cifar100, which the file names" in finished.out
    assert nets.load(tmp_path / "a.keras").mean == (0.5071, 0.4867, 0.4408)


class Evil:
    def __reduce__(self):
        return os.mkdir, ("made",)


def test_a_hostile_file_is_refused(tmp_path):
    (tmp_path / "net.pth").write_bytes(pickle.dumps({"model": Evil()}))
    finished = run(tmp_path, "net.pth", "--net=resnet8", "--out=a.keras")
    assert finished.code == 2
    (line,) = finished.error_lines
    assert "global='posix.mkdir'" in line and "Traceback" not in finished.err
    assert not (tmp_path / "made").exists() and not (tmp_path / "a.keras").exists()


def test_nothing_is_overwritten(tmp_path):
    out = tmp_path / "a.keras"
    out.write_text("mine")
    finished = run(tmp_path, RESNET8, "--out=a.keras")
    assert finished.code == 2
    assert "exists already" in finished.error_lines[0] and out.read_text() == "mine"
    wrong = run(tmp_path, RESNET8, "--net=resnet14", "--out=a.keras", "--overwrite")
    assert wrong.code == 2 and out.read_text() == "mine"
    assert "30 missing (layer1.1.conv1.weight" in wrong.error_lines[0]
    assert run(tmp_path, RESNET8, "--out=a.keras", "--overwrite").code == 0
    assert nets.load(out).name == "resnet8"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ((), "one file is imported at a time"),
        ((RESNET8, MAT, "--out=a.keras"), "one file is imported at a time"),
        ((RESNET8,), "--out=FILE.keras"),
        ((RESNET8, "--out=a.h5"), "--out=FILE.keras"),
        (("none.pth", "--out=a.keras"), "cannot use none.pth: No such file"),
        ((".", "--out=a.keras"), "cannot use .: Is a directory"),
        (("none.mat", "--out=a.keras"), "cannot use none.mat: No such file"),
        ((RESNET8, "--out=a.keras", "--net=lenet"), "no net of this name"),
        ((RESNET8, "--out=a.keras", "--mean=1,2,3"), "normalisation is not clear"),
        ((RESNET8, "--out=a.keras", "--mean=1,2,3", "--std=1"), "std does not fit"),
        ((RESNET8, "--out=a.keras", "--mean=x", "--std=1"), "Received: --mean=x"),
        ((RESNET8, "--out=a.keras", "--dataset=mnist"), "cifar100"),
        ((MAT, "--out=a.keras", "--net=resnet8"), "the file holds another net"),
        (("text.mat", "--out=a.keras"), "damaged or not of MATLAB"),
        (("text.pth", "--out=a.keras"), "damaged or not of PyTorch"),
        (("nameless.pth", "--out=a.keras"), "Expected --net=NAME"),
    ],
)
def test_wrong_input_is_one_clear_line(tmp_path, arguments, words):
    (tmp_path / "text.mat").write_text("no net, " * 40)
    (tmp_path / "text.pth").write_text("no net")
    # Written out, these pairs of pairs would be 2^60 of them.
    pairs = b")" + b"2\x86" * 60
    _write_with_options(tmp_path / "nameless.pth", pairs, pairs)
    finished = run(tmp_path, *arguments)
    assert finished.code == 2, finished.err
    (line,) = finished.error_lines
    assert words in line and "Traceback" not in finished.err
    assert not list(tmp_path.glob("a.*"))
