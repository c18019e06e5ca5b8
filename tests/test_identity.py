"""A run goes on with the teacher and the code that it began with, or says otherwise."""

import json
import shutil

import numpy as np
import pytest

import commands
from common.digests import file_digest
from nets import saving
from tests import test_resume
from tests.test_bad_input import assert_one_clear_line
from training.run import fingerprint

OTHER = "0123456789ab" + 52 * "0"
FLAGS = ("--train_dir=run", "--teacher=wrn_10_1", "--teacher_epochs=1", "--epochs=4")
FLAGS += ("--student=resnet8", "--data_fraction=0.5", "--checkpoint_every=4")


def command(folder, *flags):
    return commands.Command("train_w_distill.py", *FLAGS, *flags, cwd=folder)


@pytest.fixture(scope="module")
def halfway(tmp_path_factory):
    """A folder with a trained teacher, and a run that was killed."""
    folder = tmp_path_factory.mktemp("halfway")
    test_resume.stop_at(command(folder), folder, 4)
    assert not (folder / "run/result.json").exists()
    return folder


@pytest.fixture
def folder(halfway, tmp_path):
    """A copy of it."""
    return shutil.copytree(halfway, tmp_path / "copy")


def teacher_of(folder):
    [path] = folder.glob("runs/teachers/*/student.keras")
    return path


def disturb(path):
    """Adds noise to a net's weights; the digests before and after."""
    net, rng = saving.load(path), np.random.default_rng(0)
    before = fingerprint.net_digest(net)
    noisy = [w + rng.normal(0, 0.3, w.shape).astype(w.dtype) for w in net.get_weights()]
    net.set_weights(noisy)
    saving.save(net, path)
    return before[:12], fingerprint.net_digest(net)[:12]


def test_another_teacher_is_refused_whatever_the_flags(folder):
    path = teacher_of(folder)
    record = path.parent / "result.json"
    before, after = disturb(path)
    # Its own record is that of the teacher before.
    for more in (), ("--dry_run",):
        refused = command(folder, *more).wait()
        assert_one_clear_line(refused, "student.keras is not what the run wrote")
    # It was trained anew, for example by another version.
    result = json.loads(record.read_text())
    result["files"]["student.keras"] = file_digest(str(path))
    record.write_text(json.dumps(result))
    config = (folder / "run/config.json").read_bytes()
    for more in ("--allow_other_code",), ("--dry_run",):
        refused = command(folder, *more).wait()
        assert_one_clear_line(refused, "the teacher's weights", before, after)
    assert (folder / "run/config.json").read_bytes() == config


@pytest.mark.slow  # tests/training/run/test_run_folder.py has the rule
def test_other_code_needs_a_flag_and_is_recorded(folder):
    path = folder / "run/config.json"
    config = json.loads(path.read_text())
    [began] = config["provenance"]
    now = began["sources_sha256"]
    began["sources_sha256"] = OTHER
    path.write_text(json.dumps(config))
    words = "sources", OTHER[:12], now[:12], "--allow_other_code"
    assert_one_clear_line(command(folder).wait(), *words)
    finished = command(folder, "--allow_other_code").wait()
    assert finished.code == 0, finished.err
    assert "note: run goes on, although the sources' SHA-256 was 0123" in finished.out
    result = json.loads((folder / "run/result.json").read_text())
    for told in (result, json.loads(path.read_text())):
        digests = [entry["sources_sha256"] for entry in told["provenance"]]
        assert digests == [OTHER, now]
