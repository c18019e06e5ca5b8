"""A report's parts as one HTML file that needs no other: no network, no script."""

import base64
import pathlib
from collections.abc import Sequence

import jinja2

from comparison.report.parts import Heading, Part

_TEMPLATES = jinja2.Environment(
    loader=jinja2.FileSystemLoader(pathlib.Path(__file__).parent),
    autoescape=True,
    undefined=jinja2.StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
    keep_trailing_newline=True,
)
_TEMPLATES.filters["base64"] = lambda data: base64.b64encode(data).decode()


def render(parts: Sequence[Part]) -> str:
    """The text of the file; the first part is the title."""
    places = enumerate(parts)
    return _TEMPLATES.get_template("page.html.jinja").render(
        parts=[(type(part).__name__, part) for part in parts],
        headings=[(i, p) for i, p in places if isinstance(p, Heading) and p.level > 1],
    )
