import dataclasses

import numpy as np
import pytest

import dataloader
from teacher_cache import evaluation_logits
from teacher_cache.array_file import ArrayWriter
from tests.teacher_cache import cached_runs
from training.evaluation import Evaluator

TEACHER = cached_runs.teacher()


def evaluator(data, mean=cached_runs.MEAN):
    return Evaluator(data.splits, dataloader.eval_batches, mean, cached_runs.STD)


def keep(folder, data=None, teacher=TEACHER, log=lambda _: None, **options):
    data = data or cached_runs.data()
    found = evaluator(data, **options)
    evaluation_logits.keep(found, data, teacher, folder, log)
    return found


def arrays(folder):
    return sorted(folder.glob("*/*.npy"))


def test_they_are_those_of_the_evaluator_to_the_bit(tmp_path):
    live = evaluator(cached_runs.data()).logits(TEACHER)
    for _ in range(2):
        np.testing.assert_array_equal(keep(tmp_path).logits(TEACHER), live)
    assert len(arrays(tmp_path)) == 1


def test_the_second_run_does_not_ask_the_teacher(tmp_path, monkeypatch):
    keep(tmp_path)
    monkeypatch.setattr(Evaluator, "_computed", None)  # for all of the images
    assert keep(tmp_path).logits(TEACHER).shape == (42, 5)


def test_other_splits_and_nets_are_asked(tmp_path):
    data = cached_runs.data()
    data = dataclasses.replace(data, validation=data.train.take(np.arange(5)))
    found, other = keep(tmp_path, data), cached_runs.teacher(3)
    plain = evaluator(data)
    for net, split in ((TEACHER, "validation"), (other, "test")):
        np.testing.assert_array_equal(
            found.logits(net, split), plain.logits(net, split)
        )


def other_images():
    images = cached_runs.IMAGES.copy()
    images[-1, 0, 0, 0] ^= 1
    return cached_runs.data(images=images)


@pytest.mark.parametrize(
    "changes",
    [
        {"teacher": cached_runs.teacher(3)},
        {"data": other_images()},
        {"mean": (0.5, 0.4, 0.31)},
    ],
)
def test_what_decides_them_changes_the_key(changes, tmp_path):
    keep(tmp_path)
    keep(tmp_path, **changes)
    assert len(arrays(tmp_path)) == 2


def test_they_do_not_depend_on_the_training(tmp_path):
    keep(tmp_path)
    keep(tmp_path, cached_runs.data(batch_size=16, seed=3, cutout=2))
    keep(tmp_path, cached_runs.data(indices=np.arange(20)))
    assert len(arrays(tmp_path)) == 1


def test_damage_is_told_and_mended(tmp_path):
    live = keep(tmp_path).logits(TEACHER)
    [path] = arrays(tmp_path)
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)
    lines = []
    np.testing.assert_array_equal(
        keep(tmp_path, log=lines.append).logits(TEACHER), live
    )
    assert "damaged" in lines[0]


def test_other_numbers_than_the_teachers_are_not_used(tmp_path):
    live = keep(tmp_path).logits(TEACHER)
    [path] = arrays(tmp_path)
    with ArrayWriter(path, live.shape, "float32") as writer:
        writer.append(live + 1)
    lines = []
    found = keep(tmp_path, log=lines.append)
    np.testing.assert_array_equal(found.logits(TEACHER), live)
    assert f"{path} is not used" in lines[0]
