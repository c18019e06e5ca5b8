"""A run on a folder of photographs: sizes differ, one file is bad."""

import json

import numpy as np
import pytest
import tensorflow as tf

import commands

DATA = ("--dataset=folder:photos", "--image_size=16", "--skip_bad_images")


@pytest.mark.slow
def test_train_and_evaluate(tmp_path):
    rng = np.random.default_rng(0)
    for split, size in (("train", 8), ("test", 3)):
        for label, name in enumerate(("dark", "light")):
            folder = tmp_path / "photos" / split / name
            folder.mkdir(parents=True)
            for i in range(size):
                shape = (*rng.integers(20, 40, 2), 3)
                image = rng.integers(0, 100, shape) + 150 * label
                content = tf.io.encode_jpeg(tf.cast(image, tf.uint8)).numpy()
                (folder / f"{i}.jpg").write_bytes(content)
    (tmp_path / "photos/train/dark/7.jpg").write_bytes(b"")
    trained = commands.run(
        "train_w_distill.py",
        *(*DATA, "--distiller=none", "--epochs=8", "--batch_size=5"),
        *("--evaluate_every=8", "--train_dir=run", "--pad_mode=zero"),
        cwd=tmp_path,
    )
    assert trained.code == 0, trained.err
    notes = [line for line in trained.out.splitlines() if line.startswith("note: ")]
    assert notes == [
        "note: --pad_mode has no effect with --image_size=16",
        "note: 1 bad image files are left out: train/dark/7.jpg (empty)",
    ]
    result = json.loads((tmp_path / "run/result.json").read_text())
    tested = commands.run(
        "test.py", *DATA, "--checkpoint=run/student.keras", cwd=tmp_path
    )
    assert tested.code == 0, tested.err
    figures = json.loads((tmp_path / "run/student.json").read_text())
    assert figures["top1"] == result["student"]["top1"] > 0.5
