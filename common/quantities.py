"""Durations and sizes in words."""


def duration(seconds: float | None) -> str:
    """A duration in words, such as "3 h 05 min"."""
    if seconds is None:
        return "unknown"
    if seconds < 90:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    hours = f"{minutes // 60} h {minutes % 60:02d} min"
    return hours if minutes >= 90 else f"{minutes} min"


def size(count: float) -> str:
    """Bytes in words, such as "1.5 MiB"."""
    for unit in ("bytes", "KiB", "MiB"):
        if count < 1024:
            return f"{count:.1f} {unit}"
        count /= 1024
    return f"{count:,.1f} GiB"
