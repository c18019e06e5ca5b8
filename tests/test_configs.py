"""Every flag file in configs/ names flags, nets and hyperparameters that exist."""

import functools
import pathlib

import keras
import numpy as np
import pytest
from absl import flags
from absl.testing import flagsaver

import nets
import train_w_distill as script
from distiller import DataSpec, registry, resolve
from op_utils import option_flags

ROOT = pathlib.Path(__file__).parent.parent
FILES = sorted(path.relative_to(ROOT) for path in ROOT.glob("configs/*/*.flags"))
NUM_CLASSES = 3
DATA = DataSpec(
    num_examples=20_000,
    num_classes=NUM_CLASSES,
    labels=np.arange(20_000, dtype=np.int32) % NUM_CLASSES,
    batch_size=64,
)


def settings_of(path):
    with flagsaver.flagsaver():
        flags.FLAGS([script.__file__, f"--flagfile={path}"])
        return script.canonical(option_flags.read())


@functools.cache
def tap_specs(net) -> dict:
    return nets.build(net, NUM_CLASSES, (32, 32, 3)).tap_specs


def teacher_of(settings) -> str:
    """Of a trained one the name is in the file's: pretrained/DATASET_NET.keras."""
    _, _, name = pathlib.Path(settings.teacher_checkpoint).stem.partition("_")
    # The demo's is trained by its first command.
    return name or settings.teacher or "wrn_16_2"


@pytest.mark.parametrize("path", FILES, ids=str)
def test_the_method_can_be_built(path, monkeypatch):
    monkeypatch.chdir(ROOT)
    settings = settings_of(path)
    settings.rates(DATA.num_examples // settings.batch_size)
    method = resolve(settings.distiller, settings.hparam)
    teacher = tap_specs(teacher_of(settings)) if method.uses_teacher else {}
    keras.utils.set_random_seed(0)
    phases = method.build(tap_specs(settings.student), teacher, DATA).phases()
    given = path.read_text()
    if "--init_" in given and "--distiller=" in given:
        assert any(phase.length == "init" for phase in phases)


@pytest.mark.parametrize("folder", ["repdistiller", "kd_zoo", "tf2_repo", "tf1_repo"])
def test_the_file_of_a_method_is_named_after_it(folder):
    for path in ROOT.glob(f"configs/{folder}/*.flags"):
        if path.stem not in ("common", "st", "kd", "crd_kd"):
            assert f"--distiller={registry.canonical(path.stem)}" in path.read_text()
