"""Who may import whom, as docs/architecture.md draws it."""

import ast
import functools
import pathlib
import re
import sys

import pytest

from common import moved

ROOT = pathlib.Path(__file__).parent.parent
PAGE = (ROOT / "docs/architecture.md").read_text()
ROW = re.compile(r"^\| `(\w+)/` \|[^|]*\| ?([^|]*?) ?\|$", re.MULTILINE)
FLOORS = {room: set(re.findall(r"\w+", names)) for room, names in ROW.findall(PAGE)}
MODULES = sorted(p for room in FLOORS for p in (ROOT / room).glob("**/*.py"))
# What a file of the repository may be imported as: rooms, scripts, what is no room.
TOP = {p.stem for p in ROOT.glob("*.py")} | {p.parts[-2] for p in ROOT.glob("*/*.py")}
TOP |= {"docs"}

# Old names of modules are kept by the rooms that these left.
OLD_NAMES = "common.moved"
# Command-line modules report wrong input as the scripts do, and nothing imports them.
COMMANDS = {
    "nets/import_weights.py": "options.command_line",
    "comparison/report/plots/curves.py": "options.command_line",
}
# Asked for as `distiller.DistillationModel`, and imported when it is.
OF_FIT = {"distiller/__init__.py": "keras_fit."}


@functools.cache
def imported(path: pathlib.Path) -> frozenset[str]:
    """Modules of the project that a file imports."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: imports are absolute"
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
    return frozenset(n for n in names if n.partition(".")[0] in TOP)


def told(path: pathlib.Path) -> str:
    return path.relative_to(ROOT).as_posix()


@pytest.mark.parametrize("room", FLOORS)
def test_a_room_imports_from_the_rooms_that_the_page_names(room):
    files = [path for path in MODULES if path.relative_to(ROOT).parts[0] == room]
    assert files
    for path in files:
        strangers = {
            name
            for name in imported(path)
            if name.partition(".")[0] not in FLOORS[room] | {room}
            and name != OLD_NAMES
            and name != COMMANDS.get(told(path))
            and not name.startswith(OF_FIT.get(told(path), "-"))
        }
        assert not strangers, f"{told(path)} imports {strangers}"


def test_no_file_uses_an_old_name():
    """By which a room could import from above as if it were its own module."""
    for path in MODULES:
        assert not imported(path) & moved.MOVED.keys(), told(path)


def test_modules_are_imported_by_statements():
    """Which the tests here read. What is imported by a text is the user's, or old."""
    texts = re.compile(r"import_module\(|__import__\(")
    users = {told(path) for path in MODULES if texts.search(path.read_text())}
    assert users == {
        "common/moved.py",
        "options/user_code.py",
        "training/run/provenance.py",  # a library, for its version
    }


def test_rooms_stand_on_those_below_alone():
    """The page lists them from the ground up, so there is no circle."""
    below = set()
    for room, names in FLOORS.items():
        assert names <= below, f"{room} imports from above: {names - below}"
        below.add(room)


def test_the_page_has_every_room():
    folders = {path.relative_to(ROOT).parts[0] for path in ROOT.glob("*/**/*.py")}
    others = {"benchmarks", "docs", "examples", "tests", "runs"}  # an old name; texts
    assert {name for name in folders - others if name[0] != "."} == FLOORS.keys()
    for room in FLOORS:  # Without it Python finds the folder, and tests do not.
        assert (ROOT / room / "__init__.py").exists()


def test_no_file_imports_itself_through_others():
    files = {told(p).removesuffix(".py").replace("/", "."): p for p in MODULES}
    graph = {
        name: {m for i in imported(p) for m in (i, i.rpartition(".")[0]) if m in files}
        for name, p in files.items()
    }
    done, way = set(), []

    def visit(name):
        assert name not in way, f"a circle: {way[way.index(name) :]}"
        if name not in done:
            way.append(name)
            for other in graph[name]:
                visit(other)
            done.add(way.pop())

    for name in graph:
        visit(name)


@pytest.mark.parametrize("name", COMMANDS)
def test_nothing_imports_a_command_line_module(name):
    module = name.removesuffix(".py").replace("/", ".")
    assert not [told(path) for path in MODULES if module in imported(path)]


def test_what_is_given_a_net_knows_no_nets():
    """Methods know of a net what its taps say."""
    for path in MODULES:
        if told(path).startswith("distiller/"):
            own = {n for n in imported(path) if n.startswith("nets.")}
            assert own <= {"nets.taps", "nets.taps.TapSpec", "nets.taps.as_map"} | {
                n for n in own if n.startswith("nets.taps.")
            }, told(path)


def test_only_scripts_and_flag_modules_know_flags():
    users = {
        told(path)
        for path in MODULES
        if not told(path).startswith("speed/")
        and (
            "absl import flags" in path.read_text()
            or "absl import app" in path.read_text()
        )
    }
    assert users == {
        "comparison/grid/flags.py",
        "nets/import_weights.py",
        "options/command_line.py",
        "options/flags.py",
        "comparison/report/plots/curves.py",
    }


def test_no_module_takes_a_name_of_the_standard_library():
    """Scripts put the repository first on the path."""
    paths = [path.relative_to(ROOT).with_suffix("") for path in MODULES]
    names = {part for path in paths for part in path.parts}
    names |= {path.stem for path in ROOT.glob("*.py")} - {"test"}  # the design card's
    assert not names & set(sys.stdlib_module_names)


def test_scripts_stay_short():
    for script in ("train_w_distill.py", "test.py"):
        assert len((ROOT / script).read_text().splitlines()) <= 150
