import pytest

from common import quantities


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(None, "unknown"), (0, "0 s"), (89, "89 s"), (90, "2 min"), (5370, "1 h 30 min"),
     (5300, "88 min"), (36000, "10 h 00 min")],
)  # fmt: skip
def test_durations(seconds, text):
    assert quantities.duration(seconds) == text


@pytest.mark.parametrize(
    ("count", "text"),
    [(0, "0.0 bytes"), (1536, "1.5 KiB"), (3 << 20, "3.0 MiB"),
     (5 << 40, "5,120.0 GiB")],
)  # fmt: skip
def test_sizes(count, text):
    assert quantities.size(count) == text
