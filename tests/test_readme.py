"""The README's table of methods is the registry's."""

import inspect
import pathlib
import re

from distiller import registry
from tests.cases import every_method

README = (pathlib.Path(__file__).parent.parent / "README.md").read_text()


@every_method
def test_every_method_has_a_row_with_its_aliases_and_paper(name):
    (row,) = re.findall(rf"^\| `{name}` \|.*$", README, re.MULTILINE)
    method, aliases = registry.METHODS[name]
    for alias in aliases:
        # One that is spelled as another but for - and _ is not repeated.
        assert f"`{alias}`" in row or registry.canonical(alias) == name
    if method.uses_teacher:
        assert re.search(r"https?://[^\s,]+[^\s,.]", inspect.getdoc(method))[0] in row
