"""docs/your_model.md: its Python runs as written, and its flags exist."""

import contextlib
import dataclasses
import pathlib
import re
import shlex

import keras
import numpy as np
import pytest

import nets
from options.settings import Options

ROOT = pathlib.Path(__file__).parent.parent
TEXT = (ROOT / "docs/your_model.md").read_text()


def blocks(language: str) -> list[str]:
    """The fenced blocks of a language; those of commands name none."""
    fenced = re.findall(r"^```(\w*)\n(.*?)^```$", TEXT, re.MULTILINE | re.DOTALL)
    return [block for name, block in fenced if name == language]


def documented_commands() -> list[list[str]]:
    """The words of each command."""
    lines = "".join(blocks("")).replace("\\\n", " ").splitlines()
    return [shlex.split(line) for line in lines]


def flags_of(script: str) -> set[str]:
    """The flags of a script, which defines them only when it runs."""
    source = (ROOT / script).read_text()
    shared = re.search(r"SHARED = \((.*?)\)", source)
    options = {field.name for field in dataclasses.fields(Options)}
    options = set(re.findall(r"\w+", shared[1])) if shared else options
    return options | set(re.findall(r'flags\.DEFINE_\w+\(\s*"(\w+)"', source))


def test_its_python_runs(tmp_path):
    """All blocks in order; the files that they leave are what the text says."""
    names = {}
    with contextlib.chdir(tmp_path):
        for block in blocks("python"):
            exec(block, names)
    student = keras.saving.load_model(tmp_path / "little.keras")
    assert type(student) is keras.Sequential
    shown = names["images"][:9]
    np.testing.assert_allclose(student(shown), names["little"](shown), atol=1e-6)
    net = nets.load(tmp_path / "mine.keras")
    assert type(net) is names["MyNet"]
    output = net(net.normalise(names["pixels"][:2]), with_taps=True)
    shapes = {name: tuple(tap.shape[1:]) for name, tap in output.taps.items()}
    assert shapes == {name: spec.shape for name, spec in net.tap_specs.items()}
    changed = names["vid"].log_scales[0].numpy()
    assert np.ptp(changed) > 0  # of one value before: VID's own are trained


def test_its_commands_have_only_known_flags():
    scripts = []
    for python, script, *flags in documented_commands():
        assert python == "python"
        scripts.append(script)
        named = {flag.removeprefix("--").partition("=")[0] for flag in flags}
        assert named <= flags_of(script), script
    assert scripts == ["train_w_distill.py", "train_w_distill.py", "test.py"]


@pytest.mark.parametrize("name", sorted(set(re.findall(r"`--(\w+)", TEXT))))
def test_a_flag_in_its_text_exists(name):
    assert name in flags_of("train_w_distill.py")
