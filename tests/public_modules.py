"""The files in which the names of docs/api.md are defined: what `make typecheck` reads.

The methods' classes, one in each file of distiller/, are on the page by a rule.

    python tests/public_modules.py

Nothing is imported: TensorFlow's start costs more than the check.
"""

import ast
import pathlib
import re
import sys

ROOT = pathlib.Path(__file__).parent.parent
_ROW = re.compile(r"^\| `([\w.]+)` \|", re.MULTILINE)


def names() -> list[str]:
    """The names of docs/api.md that are not deprecated, in its order."""
    page = (ROOT / "docs/api.md").read_text()
    return _ROW.findall(page.partition("\n## Deprecated")[0])


def file_of(name: str) -> pathlib.Path:
    """The file that defines a name such as "nets.Net" or is a module such as "a.b".

    Raises:
        ValueError: there is no such module, or it neither defines nor imports the name.
    """
    module, attribute = name, ""
    while (file := _file(module)) is None:
        module, _, attribute = module.rpartition(".")
        if not module:
            raise ValueError(
                "A name of docs/api.md has no module. Expected one below "
                f"{ROOT.name}/. Received: name={name!r}."
            )
    if not attribute:
        return file
    tree = ast.parse(file.read_text())
    if any(attribute in _defined(statement) for statement in tree.body):
        return file
    for node in ast.walk(tree):  # of a lazy attribute it is below TYPE_CHECKING
        if isinstance(node, ast.ImportFrom) and node.module:
            for alias in node.names:
                if attribute == (alias.asname or alias.name):
                    return file_of(f"{node.module}.{alias.name}")
    raise ValueError(
        f"{file.relative_to(ROOT)} does not say where a name of docs/api.md is from. "
        f"Expected a definition or an import of it. Received: name={name!r}."
    )


def _file(module: str) -> pathlib.Path | None:
    """The file of a module of this repository."""
    path = ROOT.joinpath(*module.split("."))
    found = (path.with_suffix(".py"), path / "__init__.py")
    return next((file for file in found if file.is_file()), None)


def _defined(statement: ast.stmt) -> list[str]:
    """The names that a statement of a module gives a value."""
    if isinstance(statement, ast.ClassDef | ast.FunctionDef):
        return [statement.name]
    targets = statement.targets if isinstance(statement, ast.Assign) else []
    return [target.id for target in targets if isinstance(target, ast.Name)]


def main() -> None:
    """Prints the files, one a line."""
    found = {*map(file_of, names()), *(ROOT / "distiller").glob("*.py")}
    files = {str(file.relative_to(ROOT)) for file in found}
    sys.stdout.writelines(f"{file}\n" for file in sorted(files))


if __name__ == "__main__":
    main()
