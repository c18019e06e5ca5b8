import dataclasses
import os
import types

import numpy as np
import pytest

import dataloader
from common import files
from common.digests import file_digest
from distiller.framework import base
from nets import saving
from options.settings import Options
from tests.training import tiny
from training import report
from training.evaluation import Evaluator
from training.observers.metrics_table import MetricsTable
from training.observers.observer import Moment
from training.run import fingerprint, provenance, run_result
from training.run.run_folder import RunFolder

RNG = np.random.default_rng(0)
SPLIT = dataloader.Split(
    RNG.integers(0, 256, (9, *tiny.IMAGE_SHAPE), np.uint8),
    RNG.integers(0, 3, 9).astype(np.int32),
)
KEPT = "student.keras"
SIZES = {"parameters": 12, "non_trainable_parameters": 2, "multiply_accumulates": 24}


def make_trainer(*, teacher=True, trains_teacher=False):
    phase = base.Phase("distill", lambda *_: {}, trains_teacher=trains_teacher)
    return types.SimpleNamespace(
        student="never looked at",
        deployed=tiny.Linear(0),
        teacher=tiny.Linear(1) if teacher else None,
        wall_seconds=12.5,
        phases=(base.Phase("init", phase.loss, length="init"), phase),
    )


@pytest.fixture
def evaluator():
    return Evaluator({"test": SPLIT}, dataloader.eval_batches, (0.5,), (0.25,))


@pytest.fixture
def folder(tmp_path):
    folder = RunFolder(tmp_path)
    with folder.open({}):
        folder.check_inputs({"x": "0"})
    config = files.read_json(folder.config)
    files.write_json(folder.config, {**config, "teacher_cache_gap": {"logits": 0.5}})
    table = MetricsTable(folder.metrics)
    for epoch, accuracy in ((1, 0.25), (2, 0.75), (3, 0.5)):
        row = {"epoch": epoch, "step": epoch, "test_accuracy": accuracy / 2}
        row |= {"student_forward_passes": 1.0, "teacher_forward_passes": epoch + 0.5}
        moment = Moment("distill", epoch, 3, epoch, epoch, 0.1)
        table.epoch_finished(moment, row | {"validation_accuracy": accuracy})
    return folder


def test_measure(evaluator):
    trainer = make_trainer()
    entries = run_result.measure(trainer, evaluator, lambda net: SIZES)
    assert list(entries) == ["teacher", "student"]
    for role, net in (("teacher", trainer.teacher), ("student", trainer.deployed)):
        quality = report.quality(evaluator.logits(net), SPLIT.labels)
        digest = fingerprint.net_digest(net)
        own = {"net": net.name, **quality, **SIZES, "weights_sha256": digest}
        assert entries[role] == own


def test_without_a_teacher_there_is_no_entry_for_it(evaluator):
    entries = run_result.measure(
        make_trainer(teacher=False), evaluator, lambda _: SIZES
    )
    assert list(entries) == ["student"]


@pytest.mark.parametrize("trains_teacher", [False, True])
def test_save(evaluator, folder, trains_teacher, capsys):
    trainer = make_trainer(trains_teacher=trains_teacher)
    entries = run_result.measure(trainer, evaluator, lambda net: SIZES)
    saved = {}

    def save_net(net, path):
        assert not folder.is_finished, "the result comes last"
        saved[path.name] = net
        if path.name == KEPT:
            path.write_text("a net")

    settings = dataclasses.replace(Options(), epochs=3)
    run_result.save(folder, settings, trainer, entries, save_net)
    expected = {"student.keras": trainer.deployed}
    if trains_teacher:
        expected["teacher.keras"] = trainer.teacher
    assert saved == expected
    assert files.read_json(folder.result) == {
        **entries,
        "best_on_validation": {
            "epoch": 2,
            "validation_accuracy": 0.75,
            "test_accuracy": 0.375,
        },
        "forward_passes": {"student": 1.0, "teacher": 2.5},
        "epochs": 3,
        "teacher_cache": False,
        "teacher_cache_gap": {"logits": 0.5},
        "wall_seconds": 12.5,
        "settings": settings.config(),
        "provenance": [provenance.facts()],
        "inputs": {"x": "0"},
        "files": {
            name: file_digest(str(folder.path / name)) for name in ("metrics.csv", KEPT)
        },
    }
    out = capsys.readouterr().out
    assert out.startswith(report.table(entries))
    assert out.endswith(f"saved {folder.student}\n")


def test_the_nets_are_on_the_disk_before_the_run_counts_as_finished(
    evaluator, folder, disk
):
    trainer = make_trainer(trains_teacher=True)
    entries = run_result.measure(trainer, evaluator, lambda net: SIZES)
    run_result.save(folder, Options(), trainer, entries, saving.save)
    own, parent = os.getpid(), folder.path.name
    expected = []
    for stem, suffix in (("student", ".keras"), ("teacher", ".keras")):
        expected.append(("sync", f".{stem}.{own}{suffix}"))
        expected += [("replace", f"{stem}{suffix}"), ("sync", parent)]
    expected += [("sync", f".result.{own}.json"), ("replace", "result.json")]
    assert disk == [*expected, ("sync", parent)]


def test_a_net_that_cannot_be_saved_leaves_the_run_unfinished(evaluator, folder):
    trainer = make_trainer()
    entries = run_result.measure(trainer, evaluator, lambda net: SIZES)

    def fail(net, path):
        raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        run_result.save(folder, Options(), trainer, entries, fail)
    assert not folder.is_finished
