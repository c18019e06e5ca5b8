"""Each file of an interrupted run damaged in turn, and the same command again.

It ends with the same student and the same metrics, or with one clear line and nothing
lost. The run has trained its teacher and was killed between two checkpoints.
"""

import shutil

import keras
import numpy as np
import pytest

import train_w_distill
from common import files
from nets import saving
from options import command_line
from options.settings import Options
from training.checkpoint import Checkpoints
from training.observers import metrics_table
from training.run import fingerprint

pytestmark = pytest.mark.slow

KILLED_AT = 24  # of 32 steps, 8 an epoch: epoch 3 is over, and a checkpoint is due
TIMINGS = metrics_table._TIMING
SETTINGS = {
    "student": "little.keras",
    "teacher": "little.keras",
    "distiller": "Soft_logits",
    "data_fraction": 0.25,
    "validation": 0.2,
    "batch_size": 32,
    "epochs": 4,
    "teacher_epochs": 1,
    "checkpoint_every": 4,
    "train_dir": "run",
    "teacher_dir": "teachers",
}

_OF_CHECKPOINTS = [
    f"checkpoints/{step}/{name}"
    for step in ("older", "newest")
    for name in (
        "manifest.json",
        "variables.index",
        "variables.data-00000-of-00001",
        "metrics.csv",
        "best_student.keras",
    )
]
_OF_RUNS = [
    ".lock",
    "config.json",
    "train_indices.txt",
    "metrics.csv",
    "best_student.keras",
    "tensorboard/events",
    *_OF_CHECKPOINTS,
]
# Of the finished teacher, what is compared with its result, and the settings.
_READ = ["config.json", "result.json", "student.keras"]
_READ += ["train_indices.txt", "metrics.csv", "best_student.keras"]
FILES = {f"run/{name}": (f"run/{name}",) for name in _OF_RUNS}
FILES |= {f"teacher/{name}": (f"teacher/{name}",) for name in _READ}
# What nobody reads is damaged together, to save time.
FILES["teacher/others"] = tuple(
    f"teacher/{name}"
    for name in _OF_RUNS
    # Its older checkpoint lies within its first epoch.
    if name not in (*_READ, *_OF_CHECKPOINTS[3:5])
)


def _flip(content: bytes, share: float) -> bytes:
    place = int(share * len(content))
    changed = content[place : place + 1]
    return content[:place] + bytes(byte ^ 1 for byte in changed) + content[place + 1 :]


DAMAGES = {
    "truncate": lambda content: content[: len(content) // 2],
    "flip early": lambda content: _flip(content, 0.25),
    "flip late": lambda content: _flip(content, 0.75),
    "empty": lambda content: b"",
    "garbage": lambda content: np.random.default_rng(1).bytes(max(len(content), 9)),
    "delete": None,
}


class Killed(BaseException):
    """The process ends here."""


def little():
    """A Keras model that is built and traced in a moment."""
    layers = [
        keras.layers.Rescaling(1 / 255),
        keras.layers.Flatten(name="flat"),
        keras.layers.Dense(12, activation="relu", name="hidden"),
        keras.layers.Dense(10, name="logits"),
    ]
    return keras.Sequential([keras.Input((8, 8, 1)), *layers], name="little")


def train():
    """The command, in the current folder; its exit code."""
    try:
        command_line._guarded(
            lambda: train_w_distill.train(
                train_w_distill.canonical(Options(**SETTINGS))
            )
        )
    except SystemExit as stop:
        return stop.code
    return 0


def contents(folder):
    return {p: p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def path_of(folder, name):
    """The file that `FILES` calls by this name."""
    run, _, name = name.partition("/")
    if run == "teacher":
        (folder,) = (folder / "teachers").iterdir()
    else:
        folder = folder / run
    older, newest = sorted((folder / "checkpoints").iterdir())
    name = name.replace("checkpoints/older", f"checkpoints/{older.name}")
    name = name.replace("checkpoints/newest", f"checkpoints/{newest.name}")
    if name == "tensorboard/events":
        (path,) = (folder / "tensorboard").iterdir()
        return path
    return folder / name


def outcome(folder):
    """All that must be the same: nets, result and metrics but for the seconds."""
    result = files.read_json(folder / "run/result.json")
    names = "student", "teacher", "best_on_validation", "epochs", "forward_passes"
    nets = {
        name: fingerprint.net_digest(saving.load(folder / "run" / name))
        for name in ("student.keras", "best_student.keras")
    }
    rows = [
        {name: value for name, value in row.items() if name not in TIMINGS}
        for row in metrics_table.read(folder / "run/metrics.csv")
    ]
    indices = (folder / "run/train_indices.txt").read_bytes()
    return {name: result[name] for name in names} | nets, rows, indices


@pytest.fixture(scope="module")
def interrupted(tmp_path_factory):
    """The folder of the killed run, and the outcome of one that was not killed."""
    folder = tmp_path_factory.mktemp("interrupted")
    little().save(folder / "little.keras")
    save = Checkpoints.save

    def dying(self, step, *arguments):
        if step == KILLED_AT and self.directory.parent.name == "run":
            raise Killed
        save(self, step, *arguments)

    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setattr(Checkpoints, "save", dying)
        with pytest.raises(Killed):
            train()
    whole = tmp_path_factory.mktemp("whole")
    shutil.copytree(folder / "teachers", whole / "teachers")
    shutil.copy(folder / "little.keras", whole)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(whole)
        assert train() == 0
    return folder, outcome(whole)


def test_the_campaign_misses_no_file(interrupted):
    folder, (_, rows, _) = interrupted
    found = set(contents(folder)) - {folder / "little.keras"}
    names = [name for group in FILES.values() for name in group]
    assert found == {path_of(folder, name) for name in names}
    assert len(rows) == 4
    assert len(metrics_table.read(folder / "run/metrics.csv")) == 3


@pytest.mark.parametrize("damage", DAMAGES)
@pytest.mark.parametrize("group", FILES)
def test_a_damaged_file(interrupted, group, damage, tmp_path, monkeypatch, capfd):
    folder, expected = interrupted
    shutil.copytree(folder, tmp_path, dirs_exist_ok=True)
    for path in [path_of(tmp_path, name) for name in FILES[group]]:
        if DAMAGES[damage] is None:
            path.unlink()
        else:
            path.write_bytes(DAMAGES[damage](path.read_bytes()))
    before = contents(tmp_path)
    for path in tmp_path.rglob(".lock"):
        before.pop(path, None)  # Whoever takes it empties it.
    monkeypatch.chdir(tmp_path)
    capfd.readouterr()
    code = train()
    errors = capfd.readouterr().err.splitlines()
    if code == 0:
        assert outcome(tmp_path) == expected
        return
    assert code == command_line.BAD_INPUT
    (line,) = (line for line in errors if line.startswith("error: "))
    after = contents(tmp_path)
    assert {p: after.get(p) for p in before} == before, "something was lost"
    print(line)
