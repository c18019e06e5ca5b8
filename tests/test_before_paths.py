"""What the documents of the state before name: import paths, commands, flags.

The lists are in data/before/documents, which documents.py made of that state. A module
that has moved since is in `common.moved.MOVED`: its old path gives the same module, and
a DeprecationWarning that names the new one.
"""

import contextlib
import importlib
import json
import pathlib
import re
import subprocess
import sys
import warnings

import pytest

import commands
from common import moved

LISTS = pathlib.Path(__file__).parent / "data/before/documents"
ROOT = LISTS.parents[3]
IMPORTS, MODULES, COMMANDS = (
    (LISTS / f"{name}.txt").read_text().splitlines()
    for name in ("imports", "modules", "commands")
)
NAMES = json.loads((LISTS / "names.json").read_text())
FLAGS = json.loads((LISTS / "flags.json").read_text())
RUN_AS_MODULES = [n.removeprefix("-m ") for n in FLAGS if n.startswith("-m ")]


def is_here(module: str) -> bool:
    """Whether the module is a file of the repository under this very path."""
    path = ROOT / module.replace(".", "/")
    return path.with_suffix(".py").is_file() or (path / "__init__.py").is_file()


@contextlib.contextmanager
def forgotten(module: str):
    """Python forgets a module's old path, as if nobody had imported it."""
    package, _, name = module.rpartition(".")
    parent, kept = sys.modules.get(package), sys.modules.pop(module, None)
    attribute = vars(parent).pop(name, None) if parent else None
    try:
        yield
    finally:
        if kept is not None:
            sys.modules[module] = kept
        if attribute is not None:
            setattr(parent, name, attribute)


def user_imports(statement: str) -> tuple[dict, list[str]]:
    """What a user's statement defines, and what it is warned of in the user's file."""
    names, code = {}, compile(statement, "users_file.py", "exec")
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        exec(code, names)
    names = {n: value for n, value in names.items() if not n.startswith("__")}
    found = [w for w in caught if issubclass(w.category, DeprecationWarning)]
    return names, [str(w.message) for w in found if w.filename == "users_file.py"]


def module_of(name: str) -> str:
    """The module of before that a documented name is in, or is."""
    while name not in MODULES:
        name = name.rpartition(".")[0]
    return name


def resolved(name: str):
    """What a documented name stands for: a module, or an attribute of one."""
    module = module_of(name)
    found = importlib.import_module(module)
    for attribute in name.removeprefix(module).split(".")[1:]:
        found = getattr(found, attribute)
    return found


def test_the_table_has_what_is_not_where_it_was_and_nothing_else():
    gone = {name for name in MODULES if not is_here(name)}
    assert gone <= moved.MOVED.keys(), "no way from the old path"
    assert not {name for name in moved.MOVED if is_here(name)}, "old and new code"
    assert all(map(is_here, moved.MOVED.values())), "an alias of an alias, or of none"


@pytest.mark.parametrize("old", sorted(moved.MOVED.keys() - set(RUN_AS_MODULES)))
def test_a_moved_module_is_the_same_one_and_says_where_it_is(old):
    new = moved.MOVED[old]
    package, _, name = old.rpartition(".")
    there = importlib.import_module(new)
    for statement in (f"import {old} as found", f"from {package} import {name}"):
        with forgotten(old):
            found, told = user_imports(statement)
        (found,) = found.values()
        assert found is there
        assert found.__name__ == found.__spec__.name == new  # of itself, not the alias
        assert len(told) == 1 and old in told[0] and new in told[0]


@pytest.mark.parametrize("old", sorted(moved.MOVED.keys() - set(RUN_AS_MODULES)))
def test_a_room_has_what_moved_out_of_it_as_before(old):
    """`import distiller` alone gave `distiller.base`."""
    room, _, name = old.rpartition(".")
    with forgotten(old):
        found, told = user_imports(f"import {room} as room; found = room.{name}")
    assert found["found"] is importlib.import_module(moved.MOVED[old])
    assert len(told) == 1 and moved.MOVED[old] in told[0]


def test_every_room_that_something_left_keeps_the_old_names():
    """By its own line: another room's may not have been imported yet."""
    for room in {old.partition(".")[0] for old in moved.MOVED}:
        assert (
            "moved.keep_old_names(__name__" in (ROOT / room / "__init__.py").read_text()
        )


# Names of modules that are on no page of documents, which promise their path alone.
GONE = {
    "comparison.blocks": {"Block", "Grid"},
    "comparison.contents": {"blocks"},
    "comparison.figures": {"percent"},
    "comparison.published_table": {"blocks"},
    "comparison.statistics": {"spread"},
    "dataloader.autotune": {"without"},
    "nets.published_weights": {"names"},
    "op_utils.cache_options": {"CacheOptions", "ONLY_WITH_CACHE"},
    "op_utils.data_options": {
        "DataOptions",
        "ONLY_WITH_CROPS",
        "ONLY_WITH_FOLDERS",
        "ONLY_WITH_VARIATION",
    },
    "op_utils.known_to_keras": {"add"},
    "op_utils.net_options": {
        "NetOptions",
        "ONLY_WITH_TEACHER",
        "ONLY_WITH_TEACHER_FILE",
        "SCALINGS",
    },
    "op_utils.options": {"ONLY_WITH_INIT"},
    "op_utils.phase_run": {"SECONDS_PER_CALL"},
}


def test_an_old_path_has_the_names_of_before():
    missing = {}
    for old, new in moved.MOVED.items():
        if old not in RUN_AS_MODULES:
            here = vars(importlib.import_module(new))
            if gone := set(NAMES.get(old, ())) - here.keys():
                missing[old] = gone
    assert missing == GONE


# Commands, which define flags, are run and not imported.
@pytest.mark.parametrize("name", [n for n in IMPORTS if n not in RUN_AS_MODULES])
def test_a_documented_import_works_and_tells_of_a_move_alone(name):
    module = module_of(name)
    with forgotten(module) if module in moved.MOVED else contextlib.nullcontext():
        _, told = user_imports(f"import {module}")
        assert resolved(name) is not None
    new = moved.MOVED.get(module)
    assert len(told) == bool(new) and all(new in text for text in told)


def test_modules_that_stayed_give_no_warning():
    stayed = [name for name in MODULES if is_here(name)]
    stayed = [n for n in stayed if n not in RUN_AS_MODULES]
    _, told = user_imports("\n".join(f"import {name}" for name in stayed))
    assert told == []


@pytest.mark.parametrize("path", sorted(LISTS.glob("python/*")), ids=lambda p: p.stem)
def test_imports_of_the_shown_python_run(path):
    lines = re.findall(r"^(?:import|from) .*$", path.read_text(), re.MULTILINE)
    user_imports("\n".join(lines))


@pytest.mark.parametrize("name", RUN_AS_MODULES)
def test_python_finds_the_code_of_a_command(name):
    """`python -m NAME` asks the loader for it, that of an alias, too."""
    with forgotten(name):
        spec = importlib.util.find_spec(name)
    assert spec.loader.get_code(name) is not None
    assert spec.origin, "it becomes sys.argv[0]"


def helped(*command: str) -> set[str]:
    """The flags that a script lists."""
    done = subprocess.run(
        [sys.executable, *command, "--helpshort"],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    assert done.returncode in (0, 1), done.stderr
    assert "Traceback" not in done.stderr
    return flags_in(done.stdout)


def flags_in(text: str) -> set[str]:
    return set(re.findall(r"^  --(?:\[no\])?(\w+):", text, re.MULTILINE))


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(n, marks=[] if n == "op_utils.curves" else [pytest.mark.slow])
        for n in RUN_AS_MODULES
        if FLAGS[f"-m {n}"]  # Others would begin their work.
    ],
)
def test_a_command_of_before_answers(name):
    assert {*FLAGS[f"-m {name}"]} <= helped("-m", name)


@pytest.mark.parametrize(
    "script",
    [
        "train_w_distill.py",
        pytest.param("test.py", marks=pytest.mark.slow),
        pytest.param("benchmark.py", marks=pytest.mark.slow),
    ],
)
def test_the_flags_of_a_script_are_known(script, tmp_path):
    told = commands.run(script, "--helpshort", cwd=tmp_path)
    assert {*FLAGS[script]} <= flags_in(told.out)


def test_documented_commands_are_there_with_their_flags():
    """Each script, file of flags and target of make; flags are known from the above."""
    targets = re.findall(r"^([\w-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE)
    for line in COMMANDS:
        program, *words = line.split()
        if program == "make":
            assert words[0] in targets, line
            continue
        script = " ".join(words[: 2 if words and words[0] == "-m" else 1])
        if script in FLAGS:
            given = {w[2:].partition("=")[0] for w in words if w.startswith("--")}
            assert given <= {*FLAGS[script], "flagfile"}, line
        for file in re.findall(r"configs/[\w/]+\.flags", line):
            assert (ROOT / file).is_file() or "NAME" in file, line
