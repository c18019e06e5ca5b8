"""docs/api.md: what may be imported is there, imports, and is what the docs use."""

import ast
import importlib.util
import inspect
import json
import pathlib
import re
import tomllib

import pytest

import dataloader
import distiller
import nets
import public_modules
from common import moved
from distiller import registry

ROOT = pathlib.Path(__file__).parent.parent
PAGE = (ROOT / "docs/api.md").read_text()
STABLE, _, DEPRECATED = PAGE.partition("\n## Deprecated\n")
ROWS = dict(re.findall(r"^\| `([\w.]+)` \| (.+) \|$", STABLE, re.MULTILINE))
OLD_NAMES = re.findall(r"^\| `([\w.]+)` \| `([\w.]+)`", DEPRECATED, re.MULTILINE)
PACKAGES = ("nets", "distiller", "dataloader", "op_utils", "common", "comparison")
USERS = sorted([ROOT / "README.md", *(ROOT / "docs").glob("*.md")])
FENCED = re.compile(r"^```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def resolved(name: str):
    """What a name of the page stands for."""
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError:
        module, _, attribute = name.rpartition(".")
        return getattr(importlib.import_module(module), attribute)


def is_command(name: str) -> bool:
    """Whether it is run, not imported: a script's flags may be there once only."""
    return f"`python -m {name}`" in ROWS[name]


# The page has these by a rule, so that a new method needs no row there.
METHOD_CLASSES = {
    f"{method.__module__}.{method.__name__}" for method, _ in registry.METHODS.values()
}


def is_stable(name: str, is_import: bool = False) -> bool:
    """Whether the page has it, or whose attribute it is; modules on the way, too."""
    stable = {*ROWS, *METHOD_CLASSES}
    if any(name == known or name.startswith(f"{known}.") for known in stable):
        return True
    return is_import and any(known.startswith(f"{name}.") for known in stable)


@pytest.mark.parametrize("package", [nets, distiller, dataloader])
def test_the_page_has_all_of_a_package_and_nothing_else(package):
    own = re.compile(rf"{package.__name__}\.(\w+)")
    listed = [match[1] for name in ROWS if (match := own.fullmatch(name))]
    names = {name for name in listed if not is_command(f"{package.__name__}.{name}")}
    assert names == set(package.__all__)
    assert all(hasattr(package, name) for name in package.__all__)
    assert len(ROWS) == len(re.findall(r"^\| `", STABLE, re.M)), "a row twice"


@pytest.mark.parametrize("name", ROWS)
def test_what_is_on_the_page_imports_and_is_explained(name):
    if is_command(name):
        assert importlib.util.find_spec(name)
    else:
        assert inspect.getdoc(resolved(name))
    assert ROWS[name].endswith(".")


@pytest.mark.parametrize(("old", "new"), OLD_NAMES)
def test_a_deprecated_name_is_kept(old, new):
    known = {*moved.MOVED.items(), ("distiller.base", "distiller")}
    assert (old, new) in known or old == "benchmarks"


@pytest.mark.parametrize("name", public_modules.names())
def test_the_type_checker_reads_what_defines_a_name(name):
    """It is told by reading alone, without an import, and so might be told wrong."""
    source = public_modules.file_of(name)
    if is_command(name):
        assert source == pathlib.Path(importlib.util.find_spec(name).origin)
    else:
        assert source == pathlib.Path(inspect.getsourcefile(resolved(name)))


def test_the_type_checker_passes_no_error_by():
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["mypy"]
    assert not {"ignore_errors", "exclude", "disable_error_code"} & {
        key for part in (settings, *settings["overrides"]) for key in part
    }
    assert {name for part in settings["overrides"] for name in part["module"]} == {
        "keras.*",
        "scipy.*",
        "sklearn.*",
        "tensorflow.*",
    }


def test_every_method_can_be_built_on():
    """As the page says: in a file of `distiller/`, which has no other method."""
    for method, _ in registry.METHODS.values():
        assert re.fullmatch(r"distiller\.\w+", method.__module__)
        module = importlib.import_module(method.__module__)
        public = {name: one for name, one in vars(module).items() if name[0] != "_"}
        own = [
            name
            for name, one in public.items()
            if inspect.isclass(one) and issubclass(one, distiller.Distiller)
        ]
        assert own == [method.__name__]


def sources() -> dict[str, str]:
    """The Python that documents show."""
    found = {
        f"{path.name}, block {number}": block
        for path in USERS
        for number, block in enumerate(FENCED.findall(path.read_text()))
    }
    notebook = json.loads((ROOT / "docs/quickstart.ipynb").read_text())
    cells = [c["source"] for c in notebook["cells"] if c["cell_type"] == "code"]
    found["quickstart.ipynb"] = "\n\n".join("".join(cell) for cell in cells)
    found |= {p.name: p.read_text() for p in (ROOT / "examples").glob("*.py")}
    return found


def used(source: str) -> list[tuple[str, bool]]:
    """Names of the project that a source uses, and whether it imports them."""
    found, aliases = [], {name: name for name in PACKAGES}
    tree = ast.parse(source)
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found += [(alias.name, True) for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            for alias in node.names:
                aliases[alias.asname or alias.name] = f"{node.module}.{alias.name}"
                found.append((f"{node.module}.{alias.name}", True))
    inner = {id(n.value) for n in ast.walk(tree) if isinstance(n, ast.Attribute)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and id(node) not in inner:
            name = ast.unparse(node)
            root, _, rest = name.partition(".")
            if re.fullmatch(r"[\w.]+", name) and root in aliases:
                found.append((f"{aliases[root]}.{rest}", False))
    return [(n, i) for n, i in found if n.split(".")[0] in PACKAGES]


def test_documents_use_only_what_is_on_the_page():
    names = {
        (name, where, is_import)
        for where, source in sources().items()
        for name, is_import in used(source)
    }
    assert len(names) > 20
    assert not [entry for entry in names if not is_stable(entry[0], entry[2])]


def test_documents_name_only_what_is_on_the_page():
    pattern = re.compile(rf"`((?:{'|'.join(PACKAGES)})(?:\.\w+)+)")
    for path in USERS:
        named = set(pattern.findall(path.read_text().replace(DEPRECATED, "")))
        named -= {n for n in named if n.endswith(".flags")}  # a file of configs/
        assert not {n for n in named if not is_stable(n, is_import=True)}, path.name
