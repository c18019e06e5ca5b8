"""A report's parts as Markdown (GitHub's)."""

import re
from collections.abc import Sequence

from tabulate import DataRow, TableFormat, tabulate

from comparison.report.parts import Code, Heading, Paragraph, Part, Plot, TextTable

PAGE = "report.html"  # beside it

# An underscore inside of a word is none that begins emphasis.
_SPECIAL = re.compile(r"([\\`*\[\]<>|~#&])|(?<![^\W_])(_)|(_)(?![^\W_])")

# Unpadded, so that a number that changes changes one line.
_ROW = DataRow("|", "|", "|")
_TABLE = TableFormat(None, None, None, None, _ROW, _ROW, 1, None)


def render(parts: Sequence[Part]) -> str:
    """The text of the file; it names the plots, which are in the page."""
    return "\n\n".join(map(_part, parts)) + "\n"


def escaped(text: str) -> str:
    """One line that shows `text` as it is."""
    return _SPECIAL.sub(lambda match: "\\" + match[0], " ".join(text.split()))


def _part(part: Part) -> str:
    match part:
        case Heading():
            return f"{'#' * part.level} {escaped(part.text)}"
        case Paragraph():
            return escaped(part.text)
        case Code():
            longest = max(map(len, re.findall("`+", part.text)), default=0)
            fence = "`" * max(3, longest + 1)
            return f"{fence}\n{part.text}\n{fence}"
        case TextTable():
            columns = range(len(part.header))
            rule = ["---" if i in part.words else "---:" for i in columns]
            head, *rows = (map(escaped, row) for row in (part.header, *part.rows))
            return tabulate(
                (head, rule, *rows), (), _TABLE, stralign=None, disable_numparse=True
            )
        case Plot():
            return f"- [{escaped(part.text)}]({PAGE})"
