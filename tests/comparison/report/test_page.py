"""The page as an HTML parser reads it, and as a browser shows it."""

import html.parser
import json
import pathlib
import re
import shutil
import subprocess

import pytest

from comparison.report import page
from comparison.report import report_files as report
from comparison.report.parts import Code, Heading, Paragraph, Plot, TextTable
from tests.comparison.make import grid

COMMITTED = pathlib.Path(__file__).parents[3] / "results/cifar10_fractions"
ODD = " a\n  b <b>{{ 7 * 7 }}{% raw %}&amp; \"c\" 'd' "
BROWSERS = "chromium", "chromium-browser", "google-chrome"
BROWSER = next(filter(None, map(shutil.which, BROWSERS)), None)
# What a browser makes of a page: its width, what is wider, and images without a size.
LOOK = """<script>addEventListener("load", () => console.log(JSON.stringify({
  width: innerWidth, needed: document.documentElement.scrollWidth,
  images: document.images.length,
  lost: [...document.images].filter(image => !image.naturalWidth).length})))</script>"""


class Parser(html.parser.HTMLParser):
    """Of a page: (tag, attributes, text up to the next tag) in their order."""

    def __init__(self, text):
        super().__init__()
        self.found = []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.found.append([tag, dict(attrs), ""])

    def handle_data(self, data):
        if self.found:
            self.found[-1][2] += data


def test_every_text_is_shown_as_it_is():
    table = TextTable((ODD, "short"), ((ODD, "x" * 32), (ODD, "x" * 33)), words=(1,))
    parts = [Heading(1, ODD), Paragraph(ODD), Code(ODD), table, Plot(b"<svg/>", ODD)]
    found = Parser(page.render(parts)).found
    shown = [tag for tag, _, text in found if text.rstrip("\n") == ODD]
    assert shown == ["title", "h1", "p", "pre", "th", "td", "td", "figcaption"]
    (image,) = [attributes for tag, attributes, _ in found if tag == "img"]
    assert image == {"alt": ODD, "src": "data:image/svg+xml;base64,PHN2Zy8+"}
    classes = [a.get("class") for tag, a, _ in found if tag in ("td", "th")]
    assert classes == ["long", "word", "long", "word", "long", "word long"]


@pytest.mark.parametrize("count", [6, 7])
def test_many_sections_are_listed(count):
    parts = [Heading(1, "title"), Paragraph("first")]
    parts += [Heading(2 + i % 2, f"section {i}") for i in range(count)]
    found = Parser(page.render(parts)).found
    links = [attributes["href"] for tag, attributes, _ in found if tag == "a"]
    places = [f"#{a['id']}" for tag, a, _ in found if tag in ("h2", "h3")]
    assert len(places) == count
    assert links == (places if count == 7 else [])
    tags = [tag for tag, _, _ in found]
    assert count == 6 or tags.index("p") < tags.index("nav") < tags.index("h2")


def console(path, home):
    """What a page says in a browser's console."""
    flags = "--headless --no-sandbox --disable-gpu --hide-scrollbars "
    flags += "--enable-logging=stderr --dump-dom"
    told = subprocess.run(
        [BROWSER, *flags.split(), "--window-size=1400,900", f"--user-data-dir={home}",
         path.as_uri()], capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    assert "</html>" in told.stdout, told.stderr
    return re.findall(r'CONSOLE\W\d+\W+? "(.*)", source: ', told.stderr)


@pytest.mark.slow
@pytest.mark.skipif(not BROWSER, reason="there is no browser")
@pytest.mark.parametrize("committed", [True, False], ids=["committed", "written"])
def test_a_browser_shows_the_page(committed, tmp_path):
    if not committed:
        report.write(grid(epochs=4), tmp_path, title=ODD, published=True)
    path = (COMMITTED if committed else tmp_path) / report.PAGE
    assert console(path, tmp_path / "home") == []
    text = path.read_text()
    (tmp_path / "looked_at.html").write_text(text.replace("</body>", f"{LOOK}</body>"))
    for width in (390, 1280):  # a window is not as narrow as a telephone
        frame = tmp_path / "frame.html"
        frame.write_text(
            f'<iframe src="looked_at.html" style="width: {width}px; height: 800px; '
            'border: 0"></iframe>'
        )
        (seen,) = console(frame, tmp_path / "home")
        images = 2 if committed else 4
        expected = {"width": width, "needed": width, "images": images, "lost": 0}
        assert json.loads(seen) == expected
