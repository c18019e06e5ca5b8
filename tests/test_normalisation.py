"""The same pixels for all: the student's scale is the data set's, whatever teaches."""

import dataclasses
import json
import pathlib
import types

import numpy as np
import pytest

import dataloader
import nets
import train_w_distill as script
from nets import costs
from options.settings import Options
from tests.dataloader import test_folder, test_npz
from training import normalisation
from training.run import provenance

ROOT = pathlib.Path(__file__).parent.parent
SCALE_OF_CIFAR10 = (0.4914, 0.4822, 0.4465), (0.2470, 0.2435, 0.2616)
QUICK = {"epochs": 1, "data_fraction": 0.1, "teacher": ""}


def teacher_file(folder, mean=(0.0,), std=(1.0,)):
    """Settings of a run with a teacher of this normalisation."""
    path = folder / "teacher.keras"
    nets.save(nets.build("resnet8", 10, (8, 8, 1), mean=mean, std=std, seed=3), path)
    return {**QUICK, "teacher_checkpoint": str(path)}


def pair(settings, data):
    """(given teacher, student, the teacher as it sees the student's images)."""
    teacher = None
    if settings.uses_teacher:
        teacher = script.build_net(settings.net("teacher"), settings, data, 0)
    student, seen, _ = script.build_pair(settings, data, teacher)
    return teacher, student, seen


def scale(net):
    return net.mean, net.std


def test_the_students_pixels_are_those_of_the_student_alone(tmp_path):
    given = teacher_file(tmp_path)
    alone = script.canonical(Options(**given, distiller="none"))
    taught = script.canonical(Options(**given, distiller="Soft_logits"))
    data = dataloader.prepare(**taught.data())
    _, expected, _ = pair(alone, data)
    teacher, student, seen = pair(taught, data)
    assert scale(student) == scale(expected) == scale(data.dataset)
    pixels = data.train.images[:20]
    np.testing.assert_allclose(
        seen(student.normalise(pixels)), teacher(teacher.normalise(pixels)), atol=1e-4
    )
    assert "in its own size and normalisation" in seen.notes[0]
    own = {"mean": list(teacher.mean), "std": list(teacher.std)}
    assert own == {"mean": [0.0], "std": [1.0]}
    assert costs.facts(seen) == {**costs.sizes(teacher), **own}


def test_it_can_be_the_teachers(tmp_path):
    settings = Options(**teacher_file(tmp_path), normalisation="teacher")
    settings = script.canonical(settings)
    teacher, student, seen = pair(settings, dataloader.prepare(**settings.data()))
    assert scale(student) == ((0.0,), (1.0,))
    assert seen is teacher


def test_a_student_from_a_file_keeps_its_own(tmp_path):
    path = tmp_path / "student.keras"
    given = teacher_file(tmp_path)
    nets.save(nets.build("resnet8", 10, (8, 8, 1), mean=(0.25,), std=(2.0,)), path)
    for choice in ("data", "teacher"):
        settings = Options(**given, student=str(path), normalisation=choice)
        _, student, _ = pair(settings, dataloader.prepare(**settings.data()))
        assert scale(student) == ((0.25,), (2.0,))


@pytest.mark.parametrize("name", ["digits", "folder", "npz"])
def test_a_teacher_trained_on_the_data_sees_the_students_pixels(tmp_path, name):
    """To the bit: nothing is converted, with a fraction and a validation split too."""
    if name == "folder":
        test_folder.write_set(tmp_path / "set", train=10, test=2)
        name = f"folder:{tmp_path / 'set'}"
    if name == "npz":
        images = np.random.default_rng(1).integers(0, 99, (16, 8, 8, 3), np.uint8)
        split = {"train_images": images[:12], "test_images": images[12:]}
        np.savez(tmp_path / "set.npz", **test_npz.arrays(**split))
        name = f"npz:{tmp_path / 'set.npz'}"
    settings = {"dataset": name, "distiller": "Soft_logits", "batch_size": 3}
    settings |= {"teacher": "resnet8", "teacher_dir": str(tmp_path)}
    settings = Options(**settings, data_fraction=0.5, validation=0.2, data_seed=2)
    of_teacher = settings.for_teacher()
    data = dataloader.prepare(**of_teacher.data())
    trained = script.build_net(of_teacher.net("student"), of_teacher, data, 0)
    nets.save(trained, tmp_path / "net.keras")
    data = dataloader.prepare(**settings.data())
    given = Options(teacher="", teacher_checkpoint=str(tmp_path / "net.keras"))
    given = dataclasses.replace(given, batch_size=3)
    teacher, student, seen = pair(given, data)
    assert seen is teacher and scale(student) == scale(data.dataset)


def test_the_given_teacher_of_cifar10_sees_the_students_pixels():
    teacher = nets.load(ROOT / "pretrained/cifar10_resnet20.keras")
    mean, std = SCALE_OF_CIFAR10
    student = nets.build("resnet8", 10, (32, 32, 3), mean=mean, std=std)
    assert nets.seen_by(teacher, student) is teacher


def earlier_run(folder, settings):
    """A run of these settings that was begun before there was such an option."""
    data = dataloader.prepare(**settings.data())
    phases = [types.SimpleNamespace(length="train")]
    settings = settings.without_unused(phases, data.augmentation)
    config = {"format": 1, **settings.config(), "data_sha256": data.digest}
    del config["normalisation"]
    folder.mkdir()
    versions = {"versions": provenance.versions()}
    (folder / "config.json").write_text(json.dumps(config | versions))
    return folder


def test_a_run_of_before_goes_on_with_its_teachers_scale_or_not_at_all(
    tmp_path, monkeypatch
):
    def train(*, student, **_):
        assert scale(student) == ((0.0,), (1.0,))
        raise InterruptedError("all that is asked here")

    monkeypatch.setattr(script, "Trainer", train)
    settings = script.canonical(Options(**teacher_file(tmp_path)))
    folder = earlier_run(tmp_path / "run", settings)
    before = json.loads((folder / "config.json").read_text())
    del before["versions"]  # told among the provenance from now on
    settings = dataclasses.replace(settings, train_dir=str(folder))
    message = "--normalisation was 'teacher' and is now 'data'"
    with pytest.raises(ValueError, match=message):
        script.train(settings)
    assert [p.name for p in folder.iterdir() if p.name[0] != "."] == ["config.json"]
    with pytest.raises(InterruptedError):
        script.train(dataclasses.replace(settings, normalisation="teacher"))
    after = json.loads((folder / "config.json").read_text())
    assert {name: after[name] for name in before} == before


def test_what_an_earlier_version_did():
    found = normalisation.of_earlier_versions
    teacher, data = {"normalisation": "teacher"}, {"normalisation": "data"}
    assert found(Options(), is_converted=False) == data
    assert found(Options(), is_converted=True) == teacher
    assert found(Options(**teacher), is_converted=False) == teacher
    file = {"student": "mine.keras"}  # whose scale was its own
    assert found(Options(**file), is_converted=True) == data


@pytest.mark.parametrize("method", ["none", "Soft_logits", "DML"])
def test_without_a_teachers_file_the_choice_says_nothing(method):
    asked = Options(distiller=method, normalisation="teacher")
    usual = script.canonical(Options(distiller=method))
    assert script.canonical(asked) == usual
