"""A report's parts as one HTML file that needs no other: no network, no script."""

import base64
import html
from collections.abc import Sequence

from comparison.report.parts import Code, Heading, Paragraph, Part, Plot, TextTable

# So many sections are found without a list of them.
_FEW = 6

_STYLE = """
:root { color-scheme: light; }
* { box-sizing: border-box; }
body { margin: 0 auto; padding: 1rem; max-width: 75rem; color: #1b1f24;
  background: #fff; line-height: 1.5;
  font-family: system-ui, -apple-system, "Segoe UI", Roboto, "Liberation Sans",
    sans-serif; }
h1 { font-size: 1.7rem; margin: .5rem 0; }
h2 { font-size: 1.3rem; margin: 2.5rem 0 .5rem; padding-bottom: .25rem;
  border-bottom: 1px solid #d0d7de; }
h3 { font-size: 1.05rem; margin: 1.5rem 0 .5rem; }
h1, h2, h3, p, li { overflow-wrap: anywhere; }
p { max-width: 50rem; margin: .6rem 0; }
pre, .scroll { overflow-x: auto; max-width: 100%; }
pre { background: #f6f8fa; padding: .75rem; border-radius: 4px; }
table { border-collapse: collapse; font-size: .875rem;
  font-variant-numeric: tabular-nums; }
th, td { padding: .25rem .6rem; border-bottom: 1px solid #d8dee4; text-align: right;
  vertical-align: top; white-space: nowrap; }
th { background: #f6f8fa; vertical-align: bottom; white-space: normal; }
.word { text-align: left; }
.long { white-space: normal; min-width: 16rem; max-width: 36rem;
  overflow-wrap: anywhere; }
th:first-child, td:first-child { position: sticky; left: 0; background: #fff; }
th:first-child { background: #f6f8fa; }
td:first-child.long { min-width: 12rem; max-width: 22rem; }
tbody tr:hover td { background: #f6f8fa; }
nav { background: #f6f8fa; border-radius: 4px; padding: .75rem 1rem; margin: 1rem 0; }
nav ul { margin: 0; padding: 0; list-style: none; }
nav .h3 { padding-left: 1.1rem; font-size: .9rem; }
a { color: #0550ae; }
figure { margin: 1rem 0; }
figure img { display: block; }
figcaption { color: #57606a; font-size: .875rem; }
@media (max-width: 40rem) { body { padding: .6rem; } h1 { font-size: 1.3rem; }
  td:first-child, td:first-child.long { white-space: normal; min-width: 5rem;
    max-width: 10rem; overflow-wrap: break-word; } }
"""

# Of a cell: longer ones are broken into lines.
_LONG = 32


def render(parts: Sequence[Part]) -> str:
    """The text of the file."""
    names = {id(b): f"s{i}" for i, b in enumerate(parts) if isinstance(b, Heading)}
    body, listed = [], False
    for part in parts:
        if isinstance(part, Heading) and part.level == 2 and not listed:
            body.append(_contents(parts, names))
            listed = True
        body.append(_part(part, names))
    title = next((b.text for b in parts if isinstance(b, Heading)), "")
    text = "\n".join(filter(None, body))
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{html.escape(title)}</title>\n<style>{_STYLE}</style>\n</head>\n"
        f"<body>\n{text}\n</body>\n</html>\n"
    )


def _contents(parts: Sequence[Part], names: dict[int, str]) -> str:
    found = [b for b in parts if isinstance(b, Heading) and b.level > 1]
    if len(found) <= _FEW:
        return ""
    links = "\n".join(
        f'<li class="h{b.level}"><a href="#{names[id(b)]}">{html.escape(b.text)}</a>'
        for b in found
    )
    return f'<nav aria-label="Contents"><ul>\n{links}\n</ul></nav>'


def _part(part: Part, names: dict[int, str]) -> str:
    match part:
        case Heading():
            tag = f"h{part.level}"
            return f'<{tag} id="{names[id(part)]}">{html.escape(part.text)}</{tag}>'
        case Paragraph():
            return f"<p>{html.escape(part.text)}</p>"
        case Code():
            return f"<pre>{html.escape(part.text)}</pre>"
        case TextTable():
            return _table(part)
        case Plot():
            data, text = base64.b64encode(part.svg).decode(), html.escape(part.text)
            return (
                '<figure><div class="scroll" tabindex="0">'
                f'<img alt="{text}" src="data:image/svg+xml;base64,{data}"></div>'
                f"<figcaption>{text}</figcaption></figure>"
            )


def _table(table: TextTable) -> str:
    def row(cells: Sequence[str], tag: str) -> str:
        found = (cell(i, text, tag) for i, text in enumerate(cells))
        return f"<tr>{''.join(found)}</tr>"

    def cell(i: int, text: str, tag: str) -> str:
        classes = "word" * (i in table.words) + " long" * (len(text) > _LONG)
        attribute = f' class="{classes.strip()}"' if classes.strip() else ""
        return f"<{tag}{attribute}>{html.escape(text)}</{tag}>"

    body = "\n".join(row(cells, "td") for cells in table.rows)
    return (
        f'<div class="scroll" tabindex="0"><table>\n<thead>{row(table.header, "th")}'
        f"</thead>\n<tbody>\n{body}\n</tbody>\n</table></div>"
    )
