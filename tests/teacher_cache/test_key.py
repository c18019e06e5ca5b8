import functools

import numpy as np
import pytest

from teacher_cache import batches as teacher_cache
from teacher_cache import key as cache_key
from tests.teacher_cache import cached_runs

MORE = np.arange(40)


def facts(teacher=None, precision="float32", mean=cached_runs.MEAN, **changes):
    data = cached_runs.data(**changes)
    teacher = teacher or net()
    forward = teacher_cache.forward_function(teacher, mean, cached_runs.STD, data)
    return cache_key.facts(data, teacher, forward, mean, cached_runs.STD, precision)


def key(**changes):
    return cache_key.of(facts(**changes))


@functools.cache
def net(seed=9, last=0.0):
    teacher = cached_runs.teacher(seed)
    teacher.norms[-1].moving_mean.assign_add([last] * 64)
    return teacher


@functools.cache
def plain():
    return facts()


def brighter():
    images = cached_runs.IMAGES.copy()
    images[-1, 0, 0, 0] ^= 1  # none of those in the first batch
    return images


@pytest.mark.parametrize(
    ("fact", "changes"),
    [
        ("teacher", {"teacher": net(10)}),
        ("teacher", {"teacher": net(9, 1e-3)}),
        ("kept_as", {"precision": "float16"}),
        ("mean", {"mean": (0.5, 0.4, 0.31)}),
        ("data", {"images": brighter()}),
        ("indices", {"indices": MORE}),
        ("data_seed", {"seed": 1}),
        ("batch_size", {"batch_size": 16}),
        ("augmentation", {"cutout": 2}),
        ("augmentation", {"pad_mode": "reflect"}),
        ("augmentation", {"flips": False}),
        ("first_images", {"flips": False}),
    ],
)
def test_what_decides_the_outputs_changes_the_key(fact, changes):
    found = facts(**changes)
    assert found[fact] != plain()[fact]
    assert cache_key.of(found) != cache_key.of(plain())


def test_every_fact_is_in_the_key():
    of_teacher = plain()["teacher"]
    for name in plain().keys() - {"teacher"}:
        assert cache_key.of({**plain(), name: "other"}) != cache_key.of(plain()), name
    for name in of_teacher.keys() - {"name"}:
        changed = {**plain(), "teacher": {**of_teacher, name: "other"}}
        assert cache_key.of(changed) != cache_key.of(plain()), name


@pytest.mark.parametrize("where", ["TF_NUM_INTRAOP_THREADS", "TF_ENABLE_ONEDNN_OPTS"])
def test_what_rounds_otherwise_changes_the_key(where, monkeypatch):
    monkeypatch.setenv(where, "7")
    assert key() != cache_key.of(plain())


def test_the_period_and_the_net_s_name_do_not():
    same = cached_runs.teacher(name="another")
    expected = cache_key.of(plain())
    assert expected == key(period=5) == key(period=None) == key(teacher=same)


def test_other_kernels_change_the_key(monkeypatch):
    monkeypatch.setenv("ONEDNN_MAX_CPU_ISA", "SSE41")
    assert facts()["device"] != plain()["device"]


def test_the_sources_do_not_but_the_graph_tells(monkeypatch):
    """What changes the computation changes the graph; the rest may change freely."""
    monkeypatch.setattr("training.run.provenance.sources_digest", lambda: "another")
    monkeypatch.setattr("training.run.provenance.commit", lambda: "another")
    assert facts() == plain()


def test_the_words_of_earlier_versions_find_their_folders(monkeypatch):
    """Each fact is in the key, so that no word of it may change."""
    monkeypatch.setattr(
        "training.run.provenance.hardware",
        lambda: {"devices": ["A", "B"], "processor": {}, "switches": {}, "threads": 2},
    )
    found = facts()
    of_device = {"kind": "A", "processor": {}, "switches": {}, "threads": 2}
    assert found["device"] == of_device
    libraries = {"tensorflow", "keras", "numpy", "TF_ENABLE_ONEDNN_OPTS"}
    assert found["versions"].keys() == libraries
