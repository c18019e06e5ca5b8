import dataclasses
import json
import pathlib
import subprocess
import sys

import pytest

from options.settings import Options
from tests.options.settings import VALUES

ROOT = pathlib.Path(__file__).parents[2]


def with_flags(code, *arguments):
    """Runs code in a process of its own: absl's flags are global."""
    prelude = (
        "import dataclasses, json, sys, types\nfrom absl import flags\n"
        "from options import flags as option_flags\n"
    )
    return subprocess.run(
        [sys.executable, "-c", prelude + code, *arguments],
        capture_output=True,
        text=True,
        cwd=ROOT,
    )


ROUND_TRIP = """
option_flags.define()
flags.FLAGS(sys.argv)
print(json.dumps(dataclasses.asdict(option_flags.read())))
"""


def parsed(*arguments):
    process = with_flags(ROUND_TRIP, *arguments)
    assert process.returncode == 0, process.stderr
    values = json.loads(process.stdout)
    for name in ("hparam", "imports", "decay_points"):
        values[name] = tuple(values[name])
    return Options(**values)


def as_flags(values):
    for name, value in values.items():
        if name in ("hparam", "imports"):
            yield from (f"--{name}={x}" for x in value)
        elif isinstance(value, tuple):
            yield f"--{name}={','.join(map(str, value))}"
        else:
            yield f"--{name}={value}"


def test_a_wrong_flag_is_told_without_waiting_for_tensorflow():
    assert with_flags("print('tensorflow' in sys.modules)").stdout == "False\n"


def test_flags_without_arguments_are_the_defaults():
    assert parsed() == Options()


def test_every_flag_is_read_back(tmp_path):
    defaults = {field.name: field.default for field in dataclasses.fields(Options)}
    assert VALUES.keys() == defaults.keys()
    assert not [name for name, value in VALUES.items() if value == defaults[name]]
    assert parsed(*as_flags(VALUES)) == Options(**VALUES)
    flagfile = tmp_path / "flags"
    flagfile.write_text("\n".join(as_flags(VALUES)))
    assert parsed(f"--flagfile={flagfile}") == Options(**VALUES)


@pytest.mark.parametrize("text", ["", "0.5,", "half"])
def test_decay_points_are_numbers(text):
    process = with_flags(ROUND_TRIP, f"--decay_points={text}")
    assert "flag --decay_points=" in process.stderr
    assert "a comma-separated list of numbers" in process.stderr


def test_flags_as_text_are_read_back():
    code = """
option_flags.define()
flags.FLAGS(["x", "--decay_points=0.25,3", "--hparam=a=1"])
print(flags.FLAGS.flags_into_string())
"""
    text = with_flags(code).stdout
    assert "--decay_points=0.25,3.0\n" in text
    assert "--hparam=a=1\n" in text


def test_a_script_may_define_some_of_the_flags():
    code = """
option_flags.define(only=("dataset", "data_dir"))
print([f.name for f in flags.FLAGS.flags_by_module_dict()["options.flags"]])
"""
    assert with_flags(code).stdout == "['dataset', 'data_dir']\n"


def test_help_names_the_choices():
    code = "option_flags.define()\nprint(flags.FLAGS['schedule'].help)"
    assert with_flags(code).stdout.endswith("One of: cosine, step, constant.\n")


NOTES = """
option_flags.define()
flags.FLAGS(sys.argv)
settings = option_flags.read()
has_init, is_mutual = settings.distiller == "FitNet", settings.distiller == "DML"
if settings.distiller == "none":
    method = {"uses_teacher": False, "trains_teacher": False, "has_init_phase": False}
    settings = settings.used_by(types.SimpleNamespace(**method))
lengths = ["init", "train"] if has_init else ["train"]
phases = [types.SimpleNamespace(length=x, trains_teacher=is_mutual) for x in lengths]
is_cropped = settings.dataset != "digits"
varies = is_cropped or settings.cutout > 0
augmentation = types.SimpleNamespace(crops=is_cropped, varies=varies)
option_flags.print_notes(settings, phases, augmentation)
"""


@pytest.mark.parametrize(
    ("arguments", "noted"),
    [
        ([], []),
        (["--teacher=a", "--teacher_seed=1", "--epochs=5"], []),
        (
            ["--distiller=none", "--teacher=a", "--teacher_seed=0"],
            ["teacher", "teacher_seed"],
        ),
        (
            ["--teacher_checkpoint=a", "--teacher=a", "--teacher_epochs=3"],
            ["teacher", "teacher_epochs"],
        ),
        (
            ["--distiller=DML", "--teacher=a", "--teacher_seed=1", "--seed=2"],
            ["teacher_seed"],
        ),
        (
            ["--continue_from=a", "--teacher_checkpoint=a", "--teacher_dir=b"],
            [],
        ),
        (["--init_epochs=3"], ["init_epochs"]),
        (["--init_epochs=3", "--distiller=FitNet"], []),
        (["--decay_rate=0.5", "--decay_points=3"], ["decay_points", "decay_rate"]),
        (["--decay_rate=0.5", "--schedule=step"], []),
        (["--nesterov", "--momentum=0"], ["nesterov"]),
        (["--nesterov"], []),
        (
            ["--augmentation_period=2", "--pad_mode=reflect"],
            ["pad_mode", "augmentation_period"],
        ),
        (["--augmentation_period=2", "--pad_mode=zero", "--dataset=cifar10"], []),
        (["--pad_mode=zero", "--image_size=64", "--dataset=cifar10"], ["pad_mode"]),
        (
            ["--merge_valid", "--skip_bad_images", "--cache_gib=1"],
            ["merge_valid", "skip_bad_images", "cache_gib"],
        ),
        (["--merge_valid", "--skip_bad_images", "--dataset=folder:a"], []),
        (["--normalisation=teacher"], ["normalisation"]),
        (["--normalisation=teacher", "--distiller=none"], ["normalisation"]),
        (["--normalisation=teacher", "--teacher_checkpoint=a"], []),
        (
            [
                *("--normalisation=teacher", "--teacher_checkpoint=a"),
                "--student=a.keras",
            ],
            ["normalisation"],
        ),
        (["--cache_gib=1", "--dataset=cifar10"], []),
        (["--teacher_cache", "--teacher_cache_taps", "--teacher_cache_dir=a"], []),
        (
            ["--teacher_cache_taps", "--teacher_cache_precision=float16"],
            ["teacher_cache_taps", "teacher_cache_precision"],
        ),
        (
            ["--teacher_cache", "--teacher_cache_taps", "--distiller=none"],
            ["teacher_cache", "teacher_cache_taps"],
        ),
        (
            [
                *("--augmentation_period=2", "--pad_mode=zero", "--cutout=2"),
                "--randaugment_magnitude=5",
            ],
            ["randaugment_magnitude", "pad_mode"],
        ),
    ],
)
def test_flags_without_effect_are_noted(arguments, noted):
    lines = with_flags(NOTES, *arguments).stdout.splitlines()
    assert [line.split()[1] for line in lines] == [f"--{name}" for name in noted]
    assert all(" has no effect with --" in line for line in lines)


def test_a_shorter_warm_up_of_the_teacher_is_noted():
    given = "--warmup_epochs=5", "--teacher_epochs=4"
    assert with_flags(NOTES, *given).stdout == (
        "note: the teacher is warmed up for 2 epochs, half of --teacher_epochs\n"
    )
    assert with_flags(NOTES, "--warmup_epochs=5").stdout == ""


def test_the_home_folder_may_be_abbreviated(monkeypatch):
    monkeypatch.setenv("HOME", "/home/me")
    settings = parsed(
        "--train_dir=~/a", "--data_dir=~/b", "--teacher_checkpoint=~/c.keras"
    )
    found = settings.train_dir, settings.data_dir, settings.teacher_checkpoint
    assert found == ("/home/me/a", "/home/me/b", "/home/me/c.keras")


FILE = """
option_flags.define()
flags.FLAGS(sys.argv[:-1])
try:
    found = option_flags.of_file(sys.argv[-1])
except ValueError as error:
    sys.exit(f"refused: {error}")
print(json.dumps([found, option_flags.given()]))
"""


def test_a_file_is_read_apart_from_the_command_line(tmp_path):
    (tmp_path / "common.flags").write_text("--epochs=7\n--hparam=weight=1\n")
    text = f"--flagfile={tmp_path}/common.flags\n--hparam=p=2\n--data_dir=~/x\n"
    (tmp_path / "a.flags").write_text(text)
    arguments = "--epochs=3", "--seed=4", str(tmp_path / "a.flags")
    found, given = json.loads(with_flags(FILE, *arguments).stdout)
    assert found == {
        "epochs": 7,
        "hparam": ["weight=1", "p=2"],
        "data_dir": str(pathlib.Path.home() / "x"),
    }
    assert given == {"epochs": 3, "seed": 4}


def test_a_wrong_file_is_named(tmp_path):
    (tmp_path / "a.flags").write_text("--epochz=7\n")
    process = with_flags(FILE, str(tmp_path / "a.flags"))
    assert process.stderr.splitlines()[-1].startswith("refused: ")
    assert "a.flags is no flag file for this" in process.stderr
    assert "epochz" in process.stderr


AS_ARGUMENTS = """
option_flags.define()
flags.FLAGS(sys.argv)
options = option_flags.read()
flags.FLAGS.unparse_flags()
for field in dataclasses.fields(options):
    flags.FLAGS[field.name].unparse()
flags.FLAGS([sys.argv[0], *option_flags.as_arguments(options)])
print(option_flags.read() == options, len(option_flags.as_arguments(options)))
"""


def test_arguments_give_the_options_again():
    values = {name: value for name, value in VALUES.items() if name != "train_dir"}
    given = list(as_flags(values))
    process = with_flags(AS_ARGUMENTS, *given)
    assert process.stdout.split()[0] == "True", process.stderr
    assert int(process.stdout.split()[1]) >= len(values)
    assert with_flags(AS_ARGUMENTS).stdout.split() == ["True", "0"]
