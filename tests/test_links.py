"""Every link and every path of the repository in README.md and docs/*.md is there."""

import pathlib
import re

import pytest

ROOT = pathlib.Path(__file__).parent.parent
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md")])
ROOMS = [p.name for p in ROOT.iterdir() if p.is_dir() and p.name[0] != "."]
OF_YOURS = re.compile("NAME|METHOD")  # stands for the name of some file
OUTPUTS = "runs"  # which commands of the documents make
LINK = re.compile(r"\]\(([^)\s]+)\)")
# In a room, and no part of a longer path or of a URL.
PATH = re.compile(rf"(?<![\w/.$~-])(?:{'|'.join(ROOMS)})/[\w./*-]*(?![\w$/{{])")
every_page = pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)


def anchors(page: pathlib.Path) -> set[str]:
    """What `#...` may be behind a page's name, as GitHub makes it of headings."""
    titles = re.findall(r"^#+ (.+)$", page.read_text(), re.MULTILINE)
    kept = (re.sub(r"[^\w\- ]", "", title.lower()) for title in titles)
    return {title.replace(" ", "-") for title in kept}


def broken_links(page: pathlib.Path) -> list[str]:
    broken = []
    for link in LINK.findall(page.read_text()):
        if re.match(r"[a-z]+:", link):
            continue
        name, _, anchor = link.partition("#")
        target = page.parent / name if name else page
        if not target.exists() or (anchor and anchor not in anchors(target)):
            broken.append(link)
    return broken


def missing_paths(page: pathlib.Path) -> list[str]:
    missing = []
    for path in PATH.findall(page.read_text()):
        pattern = OF_YOURS.sub("*", path.rstrip("."))
        if not path.startswith(OUTPUTS) and not any(ROOT.glob(pattern.rstrip("/"))):
            missing.append(path)
    return missing


@every_page
def test_links_lead_somewhere(page):
    assert not broken_links(page)


@every_page
def test_paths_exist(page):
    assert not missing_paths(page)


def test_faults_are_found(tmp_path):
    page = tmp_path / "page.md"
    page.write_text(
        "# One title\n[a](page.md#one-title) [b](page.md#two) [c](other.md) [d](#three)"
        "\n`nets/resnet.py` `nets/NAME.py` `nets/` `nets/resnets.py` a/nets/none.py\n"
        "https://example.org/nets/none.py configs/demo/*.flags configs/none/*.flags.\n"
    )
    assert broken_links(page) == ["page.md#two", "other.md", "#three"]
    assert missing_paths(page) == ["nets/resnets.py", "configs/none/*.flags."]
