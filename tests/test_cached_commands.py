"""The teacher cache by the command line: two at once, kills, half precision."""

import json
import os
import re
import signal
import time

import numpy as np
import pytest

import commands
import dataloader
from options.settings import Options
from teacher_cache import array_facts, array_file
from test_resume import assert_same, final_state

TRAIN = "train_w_distill.py"


def command(teacher, folder, *flags, train_dir="run"):
    return commands.Command(
        TRAIN,
        "--student=resnet8",
        "--data_fraction=0.3",
        "--batch_size=20",
        "--epochs=2",
        "--init_epochs=1",
        "--cutout=2",  # without it digits do not vary
        f"--teacher_checkpoint={teacher}",
        f"--train_dir={train_dir}",
        *flags,
        cwd=folder,
    )


def numbers(folder):
    """The final state, but for who gave the teacher's outputs."""
    state, rows = final_state(folder)
    for row in rows:
        row.pop("teacher_forward_passes", None)
        row.pop("reads_teacher_cache", None)
    return state, rows


@pytest.mark.slow
def test_phases_that_need_taps_go_on_without_the_cache(teacher, tmp_path):
    flags = "--distiller=FitNet", "--teacher_cache", "--teacher_cache_precision=float16"
    finished = command(teacher, tmp_path, *flags).wait()
    assert finished.code == 0, finished.err
    notes = re.findall(r"note: --teacher_cache .*", finished.out)
    assert len(notes) == 1 and "phase hint of --distiller=FitNet" in notes[0]
    assert "434 images x 2 versions of embedding, logits" in finished.out
    assert "logits as float16 is wrong by at most" in finished.out
    config = json.loads((tmp_path / "run/config.json").read_text())
    assert config["teacher_cache_precision"] == "float16"
    _, rows = final_state(tmp_path)
    assert [row["reads_teacher_cache"] for row in rows] == ["", "1", "1"]
    assert json.loads((tmp_path / "run/result.json").read_text())["teacher_cache"]
    arrays = sorted(p.name for p in tmp_path.glob("runs/teacher_cache/*/v*-*.npy"))
    assert arrays.pop(0) == "v00000-test_logits.npy"
    assert arrays == [
        f"v0000{version}-{name}.npy"
        for version in (1, 2)  # the epochs after the hint
        for name in ("embedding", "logits")
    ]


@pytest.mark.slow
@pytest.mark.parametrize(
    "flags",
    [
        (),
        ("--augmentation_period=1",),
        ("--precision=mixed_bfloat16",),
        ("--distiller=AT", "--teacher_cache_taps"),
        ("--distiller=FitNet+RKD", "--teacher_cache_taps"),
        ("--distiller=BSS",),
        ("--distiller=CRD", "--hparam=num_negatives=100", "--batch_size=8"),
    ],
    ids=" ".join,
)
def test_two_at_once_are_equal_to_the_run_without(flags, teacher, tmp_path):
    alone = command(teacher, tmp_path, *flags, train_dir="alone")
    finished = alone.wait()
    assert finished.code == 0, finished.err
    (tmp_path / "alone").rename(tmp_path / "run")
    expected = numbers(tmp_path)
    (tmp_path / "run").rename(tmp_path / "alone")
    flags = (*flags, "--teacher_cache")
    pair = [command(teacher, tmp_path, *flags, train_dir=name) for name in "ab"]
    for name, process in zip("ab", pair, strict=True):
        finished = process.wait()
        assert finished.code == 0, finished.err
        assert "teacher cache: " in finished.out
        assert "not equal" not in finished.out
        (tmp_path / name).rename(tmp_path / "run")
        assert_same(numbers(tmp_path), expected)
        (tmp_path / "run").rename(tmp_path / name)
    # One for what the teacher says of the training images, one of the test images.
    kept = {path.parent for path in tmp_path.glob("runs/teacher_cache/*/v*-logits.npy")}
    assert len(kept) == 1
    assert len(list(tmp_path.glob("runs/teacher_cache/*"))) == 2


def unfinished(folder):
    return list(folder.glob("runs/teacher_cache/*/.v*-*.npy"))


@pytest.mark.slow
def test_killed_while_it_is_built(teacher, tmp_path):
    finished = command(teacher, tmp_path).wait()
    assert finished.code == 0, finished.err
    expected = numbers(tmp_path)
    (tmp_path / "run").rename(tmp_path / "live")
    for _ in range(3):
        before = set(unfinished(tmp_path))
        process = command(teacher, tmp_path, "--teacher_cache")
        deadline = time.monotonic() + 100
        while set(unfinished(tmp_path)) <= before:
            assert time.monotonic() < deadline
            time.sleep(0.001)
        os.kill(process.pid, signal.SIGKILL)
        assert process.wait().code == -signal.SIGKILL
    finished = command(teacher, tmp_path, "--teacher_cache").wait()
    assert finished.code == 0, finished.err
    assert not unfinished(tmp_path)
    assert_same(numbers(tmp_path), expected)


def damage_the_last_batch(path, epoch, monkeypatch):
    """Flips a bit of a row that is read last, in an array whose rows are blocks."""
    options = Options(dataset="digits", data_fraction=0.3, batch_size=20, cutout=2)
    data = dataloader.prepare(**options.data())
    row = int(list(data.batches(epoch, 1, 0))[-1]["index"][0])
    rows = np.load(path)
    monkeypatch.setattr(array_facts, "BLOCK_BYTES", 1)
    with array_file.ArrayWriter(path, rows.shape, "float32") as writer:
        writer.append(rows)
    content = bytearray(path.read_bytes())
    content[row * rows[0].nbytes - rows.nbytes] ^= 64
    path.write_bytes(content)


@pytest.mark.slow
def test_a_gap_is_in_the_result_and_damage_is_one_line(teacher, tmp_path, monkeypatch):
    flags = "--teacher_cache", "--checkpoint_every=10"
    finished = command(teacher, tmp_path, *flags).wait()
    assert finished.code == 0, finished.err
    result = json.loads((tmp_path / "run/result.json").read_text())
    assert result["teacher_cache_gap"] == {"embedding": 0.0, "logits": 0.0}
    expected = numbers(tmp_path)
    (tmp_path / "run").rename(tmp_path / "first")
    [path] = tmp_path.glob("runs/teacher_cache/*/v00001-embedding.npy")
    damage_the_last_batch(path, 1, monkeypatch)
    finished = command(teacher, tmp_path, *flags).wait()
    assert finished.code == 2
    [line] = finished.error_lines
    assert f"{path.name} is damaged" in line and "same command" in line
    assert "Traceback" not in finished.err
    assert list(tmp_path.glob("run/checkpoints/step-*"))
    finished = command(teacher, tmp_path, *flags).wait()
    assert finished.code == 0, finished.err
    assert "434 images x 1 version of embedding" in finished.out
    assert_same(numbers(tmp_path), expected)
    (tmp_path / "run").rename(tmp_path / "second")

    for path in tmp_path.glob("runs/teacher_cache/*/v0000?-logits.npy"):
        rows = np.load(path)
        with array_file.ArrayWriter(path, rows.shape, "float32") as writer:
            writer.append(rows + np.float32(0.5))
    finished = command(teacher, tmp_path, *flags).wait()
    assert finished.code == 0, finished.err
    assert "outputs differ: logits by up to 0.5" in finished.out
    result = json.loads((tmp_path / "run/result.json").read_text())
    assert result["teacher_cache_gap"]["logits"] == pytest.approx(0.5, abs=1e-5)


def test_a_folder_that_cannot_be_is_told_in_one_line(teacher, tmp_path):
    (tmp_path / "cache").write_text("no folder")
    flags = "--teacher_cache", "--teacher_cache_dir=cache"
    finished = command(teacher, tmp_path, *flags).wait()
    assert finished.code == 2
    [line] = finished.error_lines
    assert "cache" in line and "Traceback" not in finished.err
