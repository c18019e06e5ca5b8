"""Writes documents/ with the state before: what its documents name; see README.md.

python tests/data/before/documents.py
"""

import ast
import json
import os
import pathlib
import re
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parents[3]
OUT = pathlib.Path(__file__).resolve().parent / "documents"
ROOMS = ("nets", "distiller", "dataloader", "op_utils", "comparison", "benchmarks")
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
SCRIPTS = ("train_w_distill.py", "test.py", "benchmark.py")
FENCED = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
NAMED = re.compile(rf"`((?:{'|'.join(ROOMS)})(?:\.\w+)+)")
COMMAND = re.compile(r"(?:\S+/)?(?:python|make) [^`]*")
FOLDERS = """
import json, pathlib, sys
sys.path.insert(0, "tests")
import benchmark
from tests import test_configs
from tests.comparison import test_ready_grids

runs = {}
for path in test_configs.FILES:
    try:
        settings = test_configs.settings_of(path)
        found = [settings.default_train_dir()]
        if settings.teacher:
            found.append(settings.for_teacher().train_dir)
    except (OSError, ValueError) as error:  # the demo's teacher, which is not here
        print(path, error, file=sys.stderr)
        continue
    runs[path.as_posix()] = found
cells = {
    name: sorted({cell.record.folder.name for cell in test_ready_grids.cells_of(name)})
    for name in ("smoke", "kd_grid_search")
}
print(json.dumps({"runs": runs, "cells": cells}))
"""


def python_of_documents() -> dict[str, str]:
    """The Python that pages, the notebook and examples/ show, by file and number."""
    found = {}
    for path in PAGES:
        blocks = [code for kind, code in FENCED.findall(path.read_text()) if kind]
        found |= {f"{path.stem}-{i}": code for i, code in enumerate(blocks)}
    notebook = json.loads((ROOT / "docs/quickstart.ipynb").read_text())
    cells = [c["source"] for c in notebook["cells"] if c["cell_type"] == "code"]
    found["quickstart-0"] = "\n\n".join("".join(cell) for cell in cells) + "\n"
    found |= {f"{p.stem}-0": p.read_text() for p in (ROOT / "examples").glob("*.py")}
    return found


def used(code: str) -> set[str]:
    """Names of the project in some Python, with the module's path in front."""
    aliases, found, tree = {name: name for name in ROOMS}, set(), ast.parse(code)
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            for alias in node.names:
                aliases[alias.asname or alias.name] = f"{node.module}.{alias.name}"
                found.add(f"{node.module}.{alias.name}")
    for node in ast.walk(tree):
        name = ast.unparse(node) if isinstance(node, ast.Attribute) else ""
        root, _, rest = name.partition(".")
        if root in aliases and re.fullmatch(r"[\w.]+", name):
            found.add(f"{aliases[root]}.{rest}")
    return {name for name in found if name.split(".")[0] in ROOMS}


def imports() -> list[str]:
    """Every import path that a document names, attributes of modules, too."""
    found = set().union(*map(used, python_of_documents().values()))
    for path in PAGES:
        found |= set(NAMED.findall(path.read_text()))
    return sorted(name for name in found if not name.endswith(".py"))


def modules() -> list[str]:
    """Every module of the rooms."""
    listed = subprocess.check_output(["git", "ls-files", *ROOMS], cwd=ROOT, text=True)
    paths = (p for p in listed.split() if p.endswith(".py"))
    found = {p.removesuffix(".py").replace("/", ".") for p in paths}
    return sorted(name.removesuffix(".__init__") for name in found)


def names() -> dict[str, list[str]]:
    """The public names that each module defines at its top."""
    found = {}
    for module in modules():
        path = ROOT / module.replace(".", "/")
        file = path.with_suffix(".py") if not path.is_dir() else path / "__init__.py"
        own = set()
        for node in ast.parse(file.read_text()).body:
            targets = getattr(node, "targets", [getattr(node, "target", None)])
            own |= {target.id for target in targets if isinstance(target, ast.Name)}
            own |= {node.name} if hasattr(node, "name") else set()
        found[module] = sorted(name for name in own if name[0] != "_")
    return {module: own for module, own in found.items() if own}


def commands() -> list[str]:
    """Every command that a page names, one a line, each once."""
    found = []
    for path in PAGES:
        text = path.read_text()
        for kind, block in FENCED.findall(text):
            lines = block.replace("\\\n", " ").splitlines() if not kind else []
            found += [re.sub(r"\s+", " ", line.strip()) for line in lines]
        plain = FENCED.sub("", text)
        found += [
            " ".join(inline.split()) for inline in re.findall(r"`([^`]+)`", plain)
        ]
    return list(dict.fromkeys(line for line in found if COMMAND.fullmatch(line)))


def flags_of(*command: str) -> list[str]:
    """The names of a script's flags, as its --helpshort lists them."""
    done = subprocess.run(
        [sys.executable, *command, "--helpshort"],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    return re.findall(r"^  --(?:\[no\])?(\w+):", done.stdout, re.MULTILINE)


def folders() -> dict:
    """The folders of runs: of each flag file, and of the cells of some grids."""
    done = subprocess.run(
        [sys.executable, "-c", FOLDERS],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
        check=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    return json.loads(done.stdout.splitlines()[-1])


def main():
    """Writes all lists."""
    (OUT / "python").mkdir(parents=True, exist_ok=True)
    for name, code in python_of_documents().items():
        (OUT / f"python/{name}.txt").write_text(code)
    for name, lines in (
        ("imports", imports()),
        ("modules", modules()),
        ("commands", commands()),
    ):
        (OUT / f"{name}.txt").write_text("\n".join(lines) + "\n")
    known = {script: flags_of(script) for script in SCRIPTS}
    for line in commands():
        if found := re.match(r"\S*python (-m (?!pytest)\S+)", line):
            module = found[1].removeprefix("-m ")
            source = (ROOT / f"{module.replace('.', '/')}.py").read_text()
            # What has no flags would do its work, of minutes.
            known[found[1]] = flags_of("-m", module) if "absl" in source else []
    for name, found in (
        ("flags", known),
        ("folders", folders()),
        ("names", names()),
    ):
        (OUT / f"{name}.json").write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()
