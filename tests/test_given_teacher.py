"""A teacher from a file is measured before the training starts."""

import json

import keras
import numpy as np

import dataloader
import train_w_distill as script
from options.settings import Options
from tests.dataloader.test_folder import write
from training import teacher_check


def write_set(folder):
    """Dark and light images."""
    rng = np.random.default_rng(0)
    for label, name in enumerate(("dark", "light")):
        for split, size in (("train", 12), ("test", 4)):
            for i in range(size):
                image = rng.integers(0, 100, (8, 8, 1)) + 150 * label
                write(folder / split / name / f"{i}.png", image.astype(np.uint8))


def write_net(path, order):
    """A model of mean brightness whose logits are of "dark" and "light" in an order."""
    dense = keras.layers.Dense(2)
    model = keras.Sequential([keras.Input((8, 8, 1)), keras.layers.Flatten(), dense])
    signs = np.array([-1.0, 1.0])[order]
    dense.set_weights([np.tile(signs / 16, (64, 1)), -2 * signs])
    model.save(path)


def test_classes_in_another_order_than_the_folders(tmp_path, capsys, monkeypatch):
    """Without names in the file, all that shows it before the training."""
    write_set(tmp_path / "set")
    settings = {"dataset": f"folder:{tmp_path / 'set'}", "epochs": 1, "batch_size": 8}
    settings |= {"teacher": "", "teacher_scaling": "unit", "student_scaling": "unit"}
    settings["student"] = str(tmp_path / "student.keras")
    write_net(settings["student"], [0, 1])
    check, digests = teacher_check.before_training, []

    def check_first(settings, folder, *rest):
        assert folder.config.exists() and not folder.metrics.exists()
        check(settings, folder, *rest)

    path = tmp_path / "teacher.keras"
    write_net(path, [1, 0])
    for asks in (True, False):
        run = tmp_path / f"run-{asks}"
        replaced = check_first if asks else lambda *_: None
        monkeypatch.setattr(teacher_check, "before_training", replaced)
        how = {"teacher_checkpoint": str(path), "train_dir": str(run)}
        script.train(script.canonical(Options(**settings, **how)))
        out = capsys.readouterr().out
        result = json.loads((run / "result.json").read_text())
        digests.append(result["student"]["weights_sha256"])
        assert result["teacher"]["top1"] == 0.0
        told = "teacher: 0.00 % right on 24 training images (the commonest class is 50"
        assert (told in out) == ("warning: the teacher is no better" in out) == asks
        data = dataloader.load(settings["dataset"])
        for net in (result["student"], result["teacher"]):
            assert (net["mean"], net["std"]) == (list(data.mean), list(data.std))
    assert digests[0] == digests[1], "it changes no bit"
