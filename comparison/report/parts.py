"""What a report is made of, before it is Markdown or HTML: plain text, unescaped."""

import dataclasses


@dataclasses.dataclass(frozen=True)
class Heading:
    """A heading; 1 is the title."""

    level: int
    text: str


@dataclasses.dataclass(frozen=True)
class Paragraph:
    """Sentences."""

    text: str


@dataclasses.dataclass(frozen=True)
class Code:
    """Text as it was typed."""

    text: str


@dataclasses.dataclass(frozen=True)
class TextTable:
    """A table of texts.

    Attributes:
        header: names of the columns.
        rows: as many texts each.
        words: numbers of the columns that hold words: they stand at the left.
    """

    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    words: tuple[int, ...] = (0,)


@dataclasses.dataclass(frozen=True)
class Plot:
    """A plot, which only the page shows.

    Attributes:
        svg: the image.
        text: what it shows.
    """

    svg: bytes
    text: str


Part = Heading | Paragraph | Code | TextTable | Plot
