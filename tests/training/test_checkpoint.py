import itertools
import json
import os
import shutil

import keras
import numpy as np
import pytest
import tensorflow as tf

from tests.training import tiny
from training.checkpoint import Checkpoints
from training.optimizer import SGD


def make_groups(seed=0):
    rng = np.random.default_rng(seed)
    return {
        "net": [
            keras.Variable(rng.normal(size=(3, 2)), name="same"),
            tf.Variable(rng.normal(size=(3, 2)), name="same"),
        ],
        "method": (),
        "progress": (tf.Variable(rng.integers(99), dtype=tf.int64),),
    }


def everything(groups):
    return tiny.values(v for group in groups.values() for v in group)


@pytest.fixture
def checkpoints(tmp_path):
    return Checkpoints(tmp_path / "checkpoints")


def save(checkpoints, *steps):
    for step in steps:
        checkpoints.save(step, make_groups(step), {"step": step, "best": step / 3})


def newest(checkpoints):
    lines = []
    found = checkpoints.newest(lines.append)
    return found, lines


def names(checkpoints):
    return sorted(os.listdir(checkpoints.directory))


def test_without_a_folder_there_is_none(checkpoints):
    assert newest(checkpoints) == (None, [])
    checkpoints.directory.mkdir()
    assert newest(checkpoints) == (None, [])


def test_what_is_saved_is_restored(checkpoints):
    save(checkpoints, 7)
    (path, position), lines = newest(checkpoints)
    assert position == {"step": 7, "best": 7 / 3}
    assert checkpoints.position(path) == position
    assert lines == []
    other = make_groups(1)
    checkpoints.restore(path, other)
    tiny.assert_equal(everything(other), everything(make_groups(7)))


def test_the_newest_two_are_kept(checkpoints):
    save(checkpoints, 2, 9, 10, 100)
    assert names(checkpoints) == ["step-0000000010", "step-0000000100"]
    assert newest(checkpoints)[0][1]["step"] == 100


def test_more_may_be_kept(tmp_path):
    checkpoints = Checkpoints(tmp_path, keep=3)
    save(checkpoints, 1, 2, 3, 4)
    assert len(names(checkpoints)) == 3


# Damage


def index_of(path):
    return path / "variables.index"


def data_of(path):
    return path / "variables.data-00000-of-00001"


def manifest_of(path):
    return path / "manifest.json"


def truncate(file):
    os.truncate(file, file.stat().st_size // 2)


def empty(file):
    os.truncate(file, 0)


def flip(file, place=0.5):
    content = bytearray(file.read_bytes())
    content[int(place * len(content))] ^= 1
    file.write_bytes(content)


def extend(file):
    with file.open("ab") as opened:
        opened.write(b"\0")


DAMAGES = {
    f"{damage.__name__} {part.__name__}": lambda path, d=damage, p=part: d(p(path))
    for damage, part in itertools.product(
        (truncate, empty, flip, extend, os.remove), (index_of, data_of, manifest_of)
    )
} | {
    "empty folder": lambda path: (shutil.rmtree(path), path.mkdir()),
    "a file instead": lambda path: (shutil.rmtree(path), path.touch()),
    "manifest {}": lambda path: manifest_of(path).write_text("{}"),
    "manifest []": lambda path: manifest_of(path).write_text("[]"),
    "manifest is a folder": lambda path: (
        manifest_of(path).unlink(),
        manifest_of(path).mkdir(),
    ),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_one_is_passed_by_and_named(checkpoints, damage):
    save(checkpoints, 3, 6)
    newest_path = newest(checkpoints)[0][0]
    DAMAGES[damage](newest_path)
    (path, position), (line,) = newest(checkpoints)
    assert position["step"] == 3
    assert line.startswith(f"skipping the damaged checkpoint {newest_path}: ")
    assert line[-1] != " "
    groups = make_groups(1)
    checkpoints.restore(path, groups)
    tiny.assert_equal(everything(groups), everything(make_groups(3)))


def test_a_changed_number_in_the_manifest_is_damage(checkpoints):
    """Still JSON, but it would go on at another place."""
    save(checkpoints, 3, 6)
    manifest = manifest_of(newest(checkpoints)[0][0])
    text = manifest.read_text()
    assert '"step": 6' in text
    manifest.write_text(text.replace('"step": 6', '"step": 4'))
    (_, position), (line,) = newest(checkpoints)
    assert position["step"] == 3
    assert "manifest.json is not what was written" in line


def test_another_format_is_not_read(checkpoints):
    save(checkpoints, 3, 6)
    manifest = manifest_of(newest(checkpoints)[0][0])
    manifest.write_text(json.dumps(json.loads(manifest.read_text()) | {"format": 2}))
    (_, position), (line,) = newest(checkpoints)
    assert position["step"] == 3
    assert "format 2, this version reads 1" in line


def test_if_all_are_damaged_that_is_an_error(checkpoints):
    save(checkpoints, 3, 6)
    for path in checkpoints.directory.iterdir():
        flip(data_of(path))
    lines = []
    with pytest.raises(ValueError, match="no checkpoint in .* of 2 to be undamaged"):
        checkpoints.newest(lines.append)
    assert len(lines) == 2


def test_a_damaged_one_is_replaced(checkpoints):
    save(checkpoints, 3, 6)
    truncate(data_of(newest(checkpoints)[0][0]))
    save(checkpoints, 6)
    assert newest(checkpoints)[0][1]["step"] == 6


def test_damaged_later_ones_do_not_push_out_good_ones(checkpoints):
    """After walking back, what lies ahead counts for nothing."""
    checkpoints.keep = 3
    save(checkpoints, 3, 6, 9)
    checkpoints.keep = 2
    for step in (6, 9):
        truncate(data_of(checkpoints.directory / f"step-000000000{step}"))
    save(checkpoints, 4)
    assert names(checkpoints) == ["step-0000000003", "step-0000000004"]
    assert newest(checkpoints)[0][1]["step"] == 4


# Crashes


def test_leftovers_of_a_killed_process_count_for_nothing_and_go(checkpoints):
    save(checkpoints, 3)
    leftover = checkpoints.directory / ".writing-12345"
    shutil.copytree(checkpoints.directory / "step-0000000003", leftover)
    (checkpoints.directory / "notes.txt").write_text("mine")
    (_, position), lines = newest(checkpoints)
    assert (position["step"], lines) == (3, [])
    save(checkpoints, 6)
    assert names(checkpoints) == ["notes.txt", "step-0000000003", "step-0000000006"]


class Killed(BaseException):
    """Ends the process at this point, as far as the folder is concerned."""


@pytest.mark.parametrize("cleans_up", [False, True])
@pytest.mark.parametrize("call", range(12))
def test_a_crash_at_any_moment_leaves_a_good_one(
    checkpoints, monkeypatch, call, cleans_up
):
    """`save` dies in its nth call into the file system."""
    save(checkpoints, 3, 6)
    calls = itertools.count()

    def dying(function):
        def wrapper(*arguments, **keywords):
            if next(calls) == call:
                raise Killed
            return function(*arguments, **keywords)

        return wrapper

    with monkeypatch.context() as patch:
        for name in ("fsync", "replace", "rename", "mkdir"):
            patch.setattr(os, name, dying(getattr(os, name)))
        rmtree = dying(shutil.rmtree)
        if not cleans_up:  # Nobody does when the power fails.
            rmtree = dying(lambda *_, **__: None)
        patch.setattr(shutil, "rmtree", rmtree)
        try:
            save(checkpoints, 9)
        except Killed:
            pass
    found, lines = newest(checkpoints)
    assert found[1]["step"] in (6, 9)
    assert lines == []
    groups = make_groups(1)
    checkpoints.restore(found[0], groups)
    tiny.assert_equal(everything(groups), everything(make_groups(found[1]["step"])))
    save(checkpoints, 12)
    assert newest(checkpoints)[0][1]["step"] == 12
    assert len(names(checkpoints)) == 2


# What a checkpoint holds


@pytest.mark.parametrize(
    "change",
    [
        lambda groups: groups.pop("progress"),
        lambda groups: groups.update(more=()),
        lambda groups: groups["net"].pop(),
        lambda groups: groups["net"].append(tf.Variable(1.0)),
        lambda groups: groups.update(method=groups["progress"], progress=()),
        lambda groups: groups["net"].__setitem__(0, keras.Variable(np.zeros((2, 3)))),
    ],
)
def test_other_groups_raise(checkpoints, change):
    save(checkpoints, 3)
    groups = make_groups(1)
    change(groups)
    with pytest.raises(ValueError, match="(?i)another training|shape"):
        checkpoints.restore(newest(checkpoints)[0][0], groups)


class Listed(keras.Model):
    """Holds layers as one should not: tf.train.Checkpoint would lose some."""

    def __init__(self):
        super().__init__()
        self.first = keras.layers.Dense(2)
        self.listed = [keras.layers.Dense(2), keras.layers.BatchNormalization()]
        self.by_name = {"last": keras.layers.Dense(2)}
        self(tf.zeros([1, 2]))

    def call(self, x):
        x = self.first(x)
        for layer in self.listed:
            x = layer(x)
        return self.by_name["last"](x)


def test_layers_in_lists_and_dicts_are_saved(checkpoints):
    one, two = Listed(), Listed()
    assert len(one.variables) == 10
    for i, variable in enumerate(one.variables):
        variable.assign(tf.fill(variable.shape, float(i)))
    checkpoints.save(1, {"net": one.variables}, {})
    checkpoints.restore(newest(checkpoints)[0][0], {"net": two.variables})
    tiny.assert_equal(tiny.values(one.variables), tiny.values(two.variables))


@pytest.mark.parametrize("scale_loss", [False, True])
def test_a_net_and_its_optimizer_go_on_as_if_nothing_had_been(checkpoints, scale_loss):
    def make(seed):
        net = tiny.Net(seed)
        sgd = SGD(
            net.trainable_variables,
            momentum=0.9,
            nesterov=True,
            weight_decay=1e-3,
            scale_loss=scale_loss,
        )
        return net, sgd, {"net": net.variables, "optimizer": sgd.variables}

    def train(net, sgd):
        for seed in range(2):
            with tf.GradientTape() as tape:
                logits = net(tiny.batch(seed=seed)["image"], training=True)
                loss = sgd.scale(tf.reduce_sum(logits**2))
            gradients = tape.gradient(loss, net.trainable_variables)
            sgd.apply(gradients, tf.constant(0.1))

    one, one_sgd, groups = make(0)
    train(one, one_sgd)
    checkpoints.save(1, groups, {})
    two, two_sgd, other = make(5)
    checkpoints.restore(newest(checkpoints)[0][0], other)
    for net, sgd in ((one, one_sgd), (two, two_sgd)):
        train(net, sgd)
    tiny.assert_equal(everything(groups), everything(other))
