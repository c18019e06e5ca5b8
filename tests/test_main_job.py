"""The main job end to end, as its users run it."""

import csv
import json
import re

import numpy as np
import pytest

import commands

TRAIN = "train_w_distill.py"
QUICK = ("--student=resnet8", "--epochs=2", "--data_fraction=0.5")


def results(folder):
    return sorted(folder.glob("runs/**/result.json"))


def test_bare_command_trains_its_teacher_once(tmp_path):
    """Two that start together share one teacher; a third one finds it."""
    quick = (*QUICK, "--teacher=wrn_10_1", "--teacher_epochs=2")
    pair = [
        commands.Command(TRAIN, *quick, f"--seed={seed}", cwd=tmp_path)
        for seed in (0, 1)
    ]
    for process in pair:
        finished = process.wait()
        assert finished.code == 0, finished.err
    [teacher] = tmp_path.glob("runs/teachers/*/student.keras")
    trained = teacher.stat().st_mtime_ns
    finished = commands.run(TRAIN, *quick, "--distiller=AT", cwd=tmp_path)
    assert finished.code == 0, finished.err
    assert teacher.stat().st_mtime_ns == trained
    assert len(results(tmp_path)) == 4
    assert re.search(r"teacher +wrn_10_1 .*\nstudent +resnet8 ", finished.out)


def test_evaluation_agrees_with_training(teacher):
    folder = teacher.parent.parent
    finished = commands.run(
        "test.py",
        "--checkpoint=run/student.keras",
        "--teacher_checkpoint=run/student.keras",
        "--output=figures.json",
        cwd=folder,
    )
    assert finished.code == 0, finished.err
    figures = json.loads((folder / "figures.json").read_text())
    result = json.loads((folder / "run/result.json").read_text())["student"]
    sizes = ("parameters", "non_trainable_parameters", "multiply_accumulates")
    for name in ("top1", "top5", "loss", *sizes):
        assert figures[name] == result[name]
    assert figures["agreement"] == 1.0
    assert f"{figures['top1']:.6g}" in finished.out
    assert figures["class_names"] == list("0123456789")
    images = [one["images"] for one in figures["per_class"]]
    recalls = [one["recall"] for one in figures["per_class"]]
    assert [one["class"] for one in figures["per_class"]] == figures["class_names"]
    assert np.average(recalls, weights=images) == pytest.approx(figures["top1"])
    assert figures["balanced_accuracy"] == pytest.approx(np.mean(recalls))
    shown = rf"^3 +{images[3]} +{100 * recalls[3]:.2f} +[0-9.-]+$"
    assert re.search(shown, finished.out, re.M)
    assert re.search("^classes +0, 1, 2, 3, 4, 5, 6, 7, 8, 9$", finished.out, re.M)


@pytest.mark.parametrize(
    "flags",
    [
        ("--validation=0.2", "--evaluate_every=2", "--warmup_epochs=1"),
        *(
            pytest.param(flags, marks=pytest.mark.slow)
            for flags in [
                ("--distiller=AT", "--randaugment=1", "--mixup=0.2", "--cutmix=1"),
                ("--distiller=hint", "--init_epochs=1", "--precision=mixed_float16"),
                ("--distiller=VID+Soft_logits", "--hparam=VID.weight=0.5"),
                ("--distiller=FitNet", "--hparam=variant=one_phase"),
                ("--distiller=hint", "--init_epochs=1", "--schedule=step"),
                ("--precision=mixed_bfloat16",),
                ("--precision=mixed_float16", "--distiller=VID"),
                ("--xla", "--distiller=AT"),
                ("--xla", "--distiller=VID+Soft_logits", "--hparam=VID.weight=0.5"),
            ]
        ),
    ],
    ids=lambda flags: " ".join(flags),
)
def test_choices_of_a_run(flags, teacher, tmp_path):
    finished = commands.run(
        TRAIN,
        *QUICK,
        *flags,
        f"--teacher_checkpoint={teacher}",
        "--train_dir=run",
        cwd=tmp_path,
    )
    assert finished.code == 0, finished.err
    result = json.loads((tmp_path / "run/result.json").read_text())
    assert np.isfinite(result["student"]["loss"])
    with open(tmp_path / "run/metrics.csv") as file:
        *_, before, after = (float(row["loss"]) for row in csv.DictReader(file))
    assert after < before
    assert (result["best_on_validation"] is not None) == ("--validation=0.2" in flags)


@pytest.mark.slow  # tests/test_resume.py has it, of a run that is also killed
def test_same_command_same_bits(teacher, tmp_path):
    logs = []
    for name in ("a", "b"):
        finished = commands.run(
            TRAIN,
            *QUICK,
            "--distiller=VID",
            f"--teacher_checkpoint={teacher}",
            f"--train_dir={name}",
            cwd=tmp_path,
        )
        assert finished.code == 0, finished.err
        result = json.loads((tmp_path / name / "result.json").read_text())
        logs.append(result["student"])
    assert logs[0] == logs[1]


def test_flags_without_effect_are_named(teacher, tmp_path):
    finished = commands.run(
        TRAIN,
        *QUICK,
        "--distiller=none",
        "--teacher=resnet20",
        "--decay_rate=0.5",
        "--init_epochs=3",
        cwd=tmp_path,
    )
    assert finished.code == 0, finished.err
    notes = re.findall(r"note: --(\w+) has no effect", finished.out)
    assert notes == ["teacher", "init_epochs", "decay_rate"]


def test_list_names_methods_with_hyperparameters(tmp_path):
    finished = commands.run(TRAIN, "--list", cwd=tmp_path)
    assert finished.code == 0
    for text in ("Soft_logits", "KD", "arxiv.org", "temperature", "resnet20", "digits"):
        assert text in finished.out
