"""examples/my_method.py, as its user runs it: a file in a folder of its own."""

import csv
import json
import pathlib
import re
import shlex
import shutil
import subprocess
import sys

import pytest

import commands
from common.digests import file_digest
from tests.test_bad_input import assert_one_clear_line
from tests.test_docs import flags_of

ROOT = pathlib.Path(__file__).parent.parent
PAGES = ("docs/adding_a_method.md", "docs/adding_a_net.md")
DOCS = "".join((ROOT / page).read_text() for page in PAGES)
TRAIN = "train_w_distill.py"
NAME = "my_method.py"
IMPORTS = f"--imports={NAME}"
TINY = ("--epochs=2", "--data_fraction=0.1", "--batch_size=32")


@pytest.fixture
def folder(tmp_path):
    """Where there is nothing but the file."""
    shutil.copy(ROOT / "examples" / NAME, tmp_path)
    return tmp_path


def blocks(language: str) -> list[str]:
    """The fenced blocks of a language; those of commands name none."""
    fenced = re.findall(r"^```(\w*)\n(.*?)^```$", DOCS, re.MULTILINE | re.DOTALL)
    return [block for name, block in fenced if name == language]


def test_the_docs_examples_are_of_that_file():
    example = (ROOT / "examples" / NAME).read_text()
    whole, *_, net = blocks("python")
    assert whole == example
    imports, _, tiny = net.partition("\n\n\n")
    assert tiny.startswith("@nets.register") and tiny in example
    assert set(imports.split("\n")) <= set(example.split("\n"))


def test_the_docs_commands_have_only_known_flags():
    lines = "".join(blocks("")).replace("\\\n", " ").splitlines()
    of_grid = {f'"{name}"' for name in ("methods", "seeds", "vary", "jobs")}
    source = "".join(
        (ROOT / p).read_text() for p in ("benchmark.py", "comparison/grid/flags.py")
    )
    assert all(name in source for name in of_grid)
    scripts = set()
    for _, script, *words in map(shlex.split, lines):
        if script.endswith(".py"):
            scripts.add(script)
            known = {name.strip('"') for name in of_grid if script == "benchmark.py"}
            known |= flags_of("test.py" if script == "test.py" else TRAIN)
            named = {word.removeprefix("--").partition("=")[0] for word in words}
            assert named <= known, script
    assert scripts == {TRAIN, "benchmark.py", "test.py"}


def read(run):
    result = json.loads((run / "result.json").read_text())
    with open(run / "metrics.csv") as file:
        return result, list(csv.DictReader(file))


def test_alone_and_with_another_file_than_it_began_with(folder, teacher):
    flags = (*TINY, IMPORTS, "--distiller=my", "--hparam=weight=2", "--student=Tiny")
    flags += (f"--teacher={teacher}", "--train_dir=run")
    finished = commands.run(TRAIN, *flags, cwd=folder)
    assert finished.code == 0, finished.err
    result, rows = read(folder / "run")
    assert result["settings"]["distiller"] == "Mine"
    assert result["settings"]["hparam"] == ["weight=2.0"]
    assert result["student"]["net"] == result["settings"]["student"] == "tiny"
    assert result["inputs"][IMPORTS] == file_digest(str(folder / NAME))
    first, last = (float(row["loss/direction"]) for row in rows)
    assert 0 < last < first < 4
    # As if it had been killed: it must go on with what it began with.
    (folder / "run/result.json").unlink()
    with open(folder / NAME, "a") as file:
        file.write("# edited\n")
    resumed = commands.run(TRAIN, *flags, cwd=folder)
    assert_one_clear_line(resumed, "began with other input: --imports=my_method.py had")


@pytest.mark.slow
def test_in_a_sum(folder, teacher):
    flags = (*TINY, IMPORTS, "--student=tiny", f"--teacher={teacher}")
    flags += ("--distiller=Soft_logits+Mine", "--train_dir=run")
    finished = commands.run(TRAIN, *flags, "--hparam=My.weight=3", cwd=folder)
    assert finished.code == 0, finished.err
    result, rows = read(folder / "run")
    assert "Mine.weight=3.0" in result["settings"]["hparam"]
    assert float(rows[0]["loss/mine/direction"]) > 0


def test_list_shows_it(folder):
    finished = commands.run(TRAIN, "--list", IMPORTS, cwd=folder)
    assert finished.code == 0, finished.err
    assert "\nMine (My)\n  Me, The Direction" in finished.out
    assert "\n  weight=1.0: of the gap, >= 0.\n" in finished.out
    (line,) = (x for x in finished.out.splitlines() if x.startswith("nets: "))
    assert ", tiny, keras.applications" in line
    without = commands.run(TRAIN, "--distiller=Mine", cwd=folder)
    assert_one_clear_line(without, "one of your own needs --imports=FILE.py", "'Mine'")


def test_a_file_that_fails_is_one_line(folder):
    (folder / NAME).write_text("import distiller\n\nA = B\n")
    for script in (TRAIN, "test.py", "benchmark.py"):
        flags = ("--checkpoint=a.keras",) if script == "test.py" else ()
        finished = commands.run(script, IMPORTS, *flags, cwd=folder)
        words = "my_method.py, line 3: name 'B' is not defined"
        assert_one_clear_line(finished, IMPORTS, words)


@pytest.mark.slow
def test_a_planned_grid(folder, teacher):
    flags = (*TINY, IMPORTS, "--methods=my", "--vary=Mine.weight=1,2")
    flags += (f"--pairs={teacher}:TINY", "--dry_run", "--output=out")
    finished = commands.run("benchmark.py", *flags, cwd=folder)
    assert finished.code == 0, finished.err
    for part in ("Mine weight=1", "Mine weight=2", "-> tiny"):
        assert part in finished.out
    assert "cannot be measured" not in finished.out
    assert not (folder / "out").exists()
    flags = (IMPORTS, "--distiller=Mine", "--hparam=weight=-1", "--student=tiny")
    wrong = commands.run(TRAIN, *flags, f"--teacher={teacher}", cwd=folder)
    assert_one_clear_line(wrong, "weight is out of range", "Received: weight=-1.0")


@pytest.mark.slow
def test_in_a_grid(folder, teacher):
    """In processes of their own, side by side, also from a method's flag file."""
    (folder / "mine.flags").write_text(
        f"{IMPORTS}\n--distiller=Mine\n--hparam=weight=4\n"
    )
    flags = (*TINY, "--methods=Soft_logits,mine.flags", "--student=resnet8", "--jobs=2")
    flags += (f"--teacher={teacher}", "--output=out", "--seeds=0")
    finished = commands.run("benchmark.py", *flags, cwd=folder)
    assert finished.code == 0, finished.err
    flags = (*TINY, IMPORTS, "--methods=Mine+Soft_logits,Mine", "--student=tiny")
    flags += (f"--teacher={teacher}", "--output=other", "--jobs=2")
    finished = commands.run("benchmark.py", *flags, cwd=folder)
    assert finished.code == 0, finished.err
    text = (folder / "other/report.md").read_text()
    assert "| Mine+Soft_logits |" in text and "| Mine |" in text
    digest = file_digest(str(folder / NAME))
    assert f'| {IMPORTS} | "{digest}" |' in text  # a condition of all cells
    (run,) = folder.glob("other/cells/*-Mine-*")
    flags = (f"--checkpoint={run}/student.keras", "--output=figures.json")
    tested = commands.run("test.py", *flags, cwd=folder)
    assert tested.code == 0, tested.err  # without --imports: the layers are Keras' own
    figures = json.loads((folder / "figures.json").read_text())
    assert figures["top1"] == read(run)[0]["student"]["top1"]


@pytest.mark.slow
def test_the_conformance_tests_run_on_it(folder):
    """The command of the docs; without the gradient's stop they fail."""
    command = [sys.executable, "-m", "pytest", "tests/distiller/test_conformance.py"]
    command += [f"--imports={folder / NAME}", "-q", "-k", "Mine"]
    assert " ".join(command[1:4]) in DOCS
    kept = (folder / NAME).read_text()
    for text, code in ((kept, 0), (kept.replace("tf.stop_gradient", ""), 1)):
        (folder / NAME).write_text(text)
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
        assert done.returncode == code, done.stdout
    assert "test_gradients_reach_the_student_and_the_own_variables" in done.stdout


NET = """
import keras
import nets


@nets.register("MyNet")
class Whatever(nets.Net):
    def __init__(self, num_classes, input_shape, *, mean=None, std=None, **kwargs):
        size = {"num_classes": num_classes, "input_shape": input_shape}
        super().__init__(**size, stride=1, mean=mean, std=std, **kwargs)
        self.first = keras.layers.Conv2D(4, 3, padding="same")
        self.head = keras.layers.Dense(num_classes)
        self.build((None, *self.image_shape))

    def build(self, input_shape):
        self.first.build(input_shape)
        self.head.build((None, 4))

    def maps(self, images, training):
        first = keras.ops.relu(self.first(images))
        return {"stage1": first, "last_map": first}

    def map_specs(self):
        spec = nets.TapSpec((*self.image_shape[:2], 4), stride=1)
        return {"stage1": spec, "last_map": spec}
"""


@pytest.mark.slow
def test_a_class_as_teacher_and_student(tmp_path):
    """Its file is read by other processes, also from a file of another name."""
    (tmp_path / "my_net.py").write_text(NET)
    finished = commands.run(
        TRAIN, *TINY, "--imports=my_net.py", "--teacher=MyNet", "--student=mynet",
        "--teacher_epochs=1", "--distiller=AT", "--train_dir=run", cwd=tmp_path,
    )  # fmt: skip
    assert finished.code == 0, finished.err
    (tmp_path / "my_net.py").rename(tmp_path / "renamed.py")
    flags = ("--checkpoint=run/student.keras", "--imports=renamed.py")
    tested = commands.run("test.py", *flags, cwd=tmp_path)
    assert tested.code == 0, tested.err
    result, _ = read(tmp_path / "run")
    figures = json.loads((tmp_path / "run/student.json").read_text())
    assert figures["top1"] == result["student"]["top1"]
    without = commands.run("test.py", flags[0], cwd=tmp_path)
    assert_one_clear_line(without, "classes or functions of its own", "--imports=")
