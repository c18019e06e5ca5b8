"""--class_weight=balanced, on a data set whose classes are not."""

import json

import numpy as np
import pytest
from sklearn.datasets import load_digits

import commands

SCRIPT = "train_w_distill.py"
QUICK = ("--dataset=npz:few.npz", "--teacher=wrn_10_1", "--student=wrn_10_1")
QUICK += ("--epochs=1", "--teacher_epochs=1", "--class_weight=balanced")


def write_unbalanced(path):
    """Digits 0, 1 and 2, ten times as many zeros as twos."""
    digits = load_digits()
    kept = [np.flatnonzero(digits.target == c)[:n] for c, n in enumerate((150, 50, 15))]
    images = (digits.images[..., np.newaxis] * 15).astype(np.uint8)
    train, test = (np.concatenate(x) for x in (kept, [k[:10] for k in kept]))
    np.savez(
        path,
        train_images=images[train],
        train_labels=digits.target[train],
        test_images=images[test],
        test_labels=digits.target[test],
    )


@pytest.mark.slow
def test_teacher_and_student_are_trained_with_it_and_a_run_without_labels_not(tmp_path):
    write_unbalanced(tmp_path / "few.npz")
    none = "--task_weight=0", "--dry_run"
    refused = commands.run(SCRIPT, *QUICK, *none, cwd=tmp_path)
    assert refused.code == 2
    (line,) = refused.error_lines
    assert "Classes weigh the label loss alone" in line and "task_weight=0" in line
    trained = commands.run(SCRIPT, *QUICK, "--train_dir=run", cwd=tmp_path)
    assert trained.code == 0, trained.err
    (teacher,) = (tmp_path / "runs/teachers").iterdir()
    for folder in (tmp_path / "run", teacher):
        config = json.loads((folder / "config.json").read_text())
        assert config["class_weight"] == "balanced"
