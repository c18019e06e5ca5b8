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
from distiller import DataSpec, describe, registry, resolve
from distiller.framework.hyperparameters import as_text
from options import flags as option_flags
from training import recipe

ROOT = pathlib.Path(__file__).parent.parent
FILES = sorted(
    path.relative_to(ROOT)
    for path in ROOT.glob("configs/*/*.flags")
    if path.parent.name != "grids"  # those are for benchmark.py
)
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
    recipe.learning_rates(settings, DATA.num_examples // settings.batch_size)
    method = resolve(settings.distiller, settings.hparam)
    teacher = tap_specs(teacher_of(settings)) if method.uses_teacher else {}
    keras.utils.set_random_seed(0)
    phases = method.build(tap_specs(settings.student), teacher, DATA).phases()
    given = path.read_text()
    if "--init_" in given and "--distiller=" in given:
        assert any(phase.length == "init" for phase in phases)


# What the code bases publish: the recipe and, by file, the hyperparameters.
RECIPES = {
    "repdistiller": (240, 64, 0.05, (150, 180, 210), 0.1, False, 5e-4, "zero"),
    "kd_zoo": (200, 128, 0.1, (100, 150), 0.1, True, 1e-4, "reflect"),
    "tf2_repo": (100, 128, 0.1, (0.3, 0.6, 0.8), 0.2, True, 5e-4, "reflect"),
    "tf1_repo": (100, 128, 0.1, (0.3, 0.6, 0.8), 0.1, True, 5e-4, "reflect"),
    "cinic10": (140, 96, 0.01, (100, 120), 0.1, True, 5e-4, "zero"),
}
PUBLISHED = {
    "cinic10/kd": {"weight": 0.2, "temperature": 16.0},
    "cinic10/sp": {"weight": 3000.0, "taps": ("stem", "stages")},
    "repdistiller/kd": {"weight": 0.9, "temperature": 4.0},
    "repdistiller/fitnet": {"weight": 100.0, "regressor": True, "taps": ("stage2",)},
    "repdistiller/at": {"weight": 1000.0, "p": 2.0, "taps": ("stages",)},
    "repdistiller/sp": {"weight": 3000.0, "taps": ("last_stage",)},
    "repdistiller/cc": {"weight": 0.02, "embed_dim": 128, "variant": "neighbours"},
    "repdistiller/vid": {"weight": 1.0, "initial_variance": 5.0, "eps": 1e-5},
    "repdistiller/rkd": {"distance_weight": 25.0, "angle_weight": 50.0},
    "repdistiller/pkt": {"weight": 30000.0, "eps": 1e-7, "taps": ("embedding",)},
    "repdistiller/ab": {"weight": 0.003, "margin": 1.0},
    "repdistiller/ft": {"weight": 200.0, "rate": 0.5, "batch_norm": "translator"},
    "repdistiller/nst": {"weight": 50.0, "taps": ("stages",)},
    "repdistiller/crd": {"weight": 0.8, "temperature": 0.07, "num_negatives": 16384},
    "kd_zoo/logits": {"weight": 0.1},
    "kd_zoo/st": {"weight": 0.1, "temperature": 4.0},
    "kd_zoo/at": {"weight": 1000.0, "variant": "AT_sum", "taps": ("stages",)},
    "kd_zoo/fitnet": {"weight": 0.1, "regressor": False, "taps": ("last_stage",)},
    "kd_zoo/nst": {"weight": 10.0, "taps": ("last_stage",)},
    "kd_zoo/pkt": {"weight": 10000.0, "eps": 1e-6},
    "kd_zoo/fsp": {"weight": 0.333333, "taps": ("stem", "stages")},
    "kd_zoo/ft": {"weight": 200.0, "rate": 0.5, "batch_norm": "both"},
    "kd_zoo/rkd": {"distance_weight": 25.0, "angle_weight": 50.0},
    "kd_zoo/ab": {"margin": 2.0, "weight": 0.000813802},
    "kd_zoo/sp": {"weight": 1000.0, "taps": ("stages",)},
    "kd_zoo/sobolev": {"weight": 20.0},
    "kd_zoo/bss": {"weight": 2.0, "temperature": 3.0, "attack_size": 32},
    "kd_zoo/cc": {"weight": 100.0, "gamma": 0.4, "order": 2, "variant": "rbf"},
    "kd_zoo/lwm": {"weight": 0.4, "variant": "gradient"},
    "kd_zoo/vid": {"weight": 0.333333, "initial_variance": 5.0, "eps": 1e-6},
    "kd_zoo/ofd": {"weight": 0.5, "variant": "batch_margin"},
    "kd_zoo/afd": {"weight": 500.0, "attention_factor": 1.0},
    "kd_zoo/crd": {"weight": 0.2, "temperature": 0.1, "momentum": 0.5},
    "kd_zoo/dml": {"weight": 1.0, "temperature": 1.0},
    "tf2_repo/soft_logits": {"temperature": 5.0, "weight": 0.02},
    "tf2_repo/ofd": {"weight": 0.001, "variant": "paper"},
    "tf2_repo/kd_svd": {"k": 4, "variant": "teacher_projection"},
    "tf1_repo/soft_logits": {"temperature": 4.0, "weight": 0.01875},
    "tf1_repo/kd_svd": {"k": 1, "clip": True},
    "tf1_repo/mhgd": {"heads": 8},
}


@pytest.mark.parametrize("folder", RECIPES)
def test_the_recipe_is_the_published_one(folder, monkeypatch):
    monkeypatch.chdir(ROOT)
    for path in pathlib.Path(f"configs/{folder}").glob("*.flags"):
        found = settings_of(path)
        assert RECIPES[folder] == (
            found.epochs,
            found.batch_size,
            found.learning_rate,
            found.decay_points,
            found.decay_rate,
            found.nesterov,
            found.weight_decay,
            found.pad_mode,
        ), path
        assert (found.momentum, found.schedule) == (0.9, "step"), path


@pytest.mark.parametrize("name", PUBLISHED)
def test_hyperparameters_are_the_published_ones(name, monkeypatch):
    monkeypatch.chdir(ROOT)
    settings = settings_of(f"configs/{name}.flags")
    given = dict(one.split("=", 1) for one in settings.hparam)
    expected = {key: as_text(value) for key, value in PUBLISHED[name].items()}
    assert {key: given[key] for key in expected} == expected


def test_crd_kd_differs_from_its_name_in_the_weight_of_kd_as_it_is_said(monkeypatch):
    monkeypatch.chdir(ROOT)
    by_name = resolve("CRD+Soft_logits")
    settings = settings_of("configs/repdistiller/crd_kd.flags")
    published = resolve(settings.distiller, settings.hparam)
    differing = set(by_name.settings) ^ set(published.settings)
    assert differing == {"Soft_logits.weight=0.9", "Soft_logits.weight=1.0"}
    assert (by_name.task_weight, settings.task_weight) == (1.0, 1.0)
    (shown,) = (str(one) for one in describe() if one.name == "Soft_logits")
    texts = [shown, *((ROOT / x).read_text() for x in ("README.md", "docs/recipes.md"))]
    assert all("Soft_logits.weight=1" in text for text in texts)


@pytest.mark.parametrize("folder", RECIPES)
def test_the_file_of_a_method_is_named_after_it(folder):
    for path in ROOT.glob(f"configs/{folder}/*.flags"):
        if path.stem not in ("common", "st", "kd", "crd_kd"):
            assert f"--distiller={registry.canonical(path.stem)}" in path.read_text()
