"""The one line that matters of what Keras raises."""

import re

_COLOUR = re.compile(r"\x1b\[\d*m")


def line_of(error: Exception) -> str:
    """What went wrong, without the configurations and arguments that Keras adds.

    Of an error in a layer's `call`, Keras puts the layer's name in front and the reason
    on the next line; both are told.
    """
    text = _COLOUR.sub("", str(error)).strip()
    text = text.rpartition("Exception encountered:")[2].strip() or text
    lines = [line.strip() for line in text.splitlines() if line.strip()] or [""]
    parts = (
        lines[:2] if lines[0].startswith("Exception encountered when") else lines[:1]
    )
    return " ".join(parts).rstrip(".")
