"""A report's blocks as Markdown (GitHub's)."""

import re
from collections.abc import Sequence

from comparison.report.parts import Block, Code, Heading, Paragraph, Plot, TextTable

PAGE = "report.html"  # beside it

# An underscore inside of a word is none that begins emphasis.
_SPECIAL = re.compile(r"([\\`*\[\]<>|~#&])|(?<![^\W_])(_)|(_)(?![^\W_])")


def render(blocks: Sequence[Block]) -> str:
    """The text of the file; it names the plots, which are in the page."""
    return "\n\n".join(map(_block, blocks)) + "\n"


def escaped(text: str) -> str:
    """One line that shows `text` as it is."""
    return _SPECIAL.sub(lambda match: "\\" + match[0], " ".join(text.split()))


def _block(block: Block) -> str:
    match block:
        case Heading():
            return f"{'#' * block.level} {escaped(block.text)}"
        case Paragraph():
            return escaped(block.text)
        case Code():
            longest = max(map(len, re.findall("`+", block.text)), default=0)
            fence = "`" * max(3, longest + 1)
            return f"{fence}\n{block.text}\n{fence}"
        case TextTable():
            columns = range(len(block.header))
            rule = ["---" if i in block.words else "---:" for i in columns]
            head, *rows = (map(escaped, row) for row in (block.header, *block.rows))
            return "\n".join(f"| {' | '.join(row)} |" for row in (head, rule, *rows))
        case Plot():
            return f"- [{escaped(block.text)}]({PAGE})"
