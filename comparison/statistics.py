"""Mean, spread and paired comparison of a few numbers."""

import dataclasses
import math
from collections.abc import Sequence

from scipy import stats

# Below this share of the largest value a spread is rounding.
_ROUNDING = 1e-9


@dataclasses.dataclass(frozen=True)
class Spread:
    """Mean and sample standard deviation (n - 1); None where n is too small."""

    n: int
    mean: float | None = None
    std: float | None = None


@dataclasses.dataclass(frozen=True)
class Paired:
    """Differences of pairs: their mean, its 95 % t-interval, and the paired t-test.

    Attributes:
        n: number of pairs.
        mean: of the differences, in their unit.
        low, high: the interval.
        p: two-sided, for a mean of 0.
        adjusted: p after Holm's adjustment over a table; None until then.
    """

    n: int
    mean: float | None = None
    low: float | None = None
    high: float | None = None
    p: float | None = None
    adjusted: float | None = None


def spread(values: Sequence[float]) -> Spread:
    """Mean and sample standard deviation."""
    n = len(values)
    if not n:
        return Spread(0)
    mean = math.fsum(values) / n
    if n == 1:
        return Spread(1, mean)
    squares = math.fsum((value - mean) ** 2 for value in values)
    return Spread(n, mean, math.sqrt(squares / (n - 1)))


def paired(differences: Sequence[float], level: float = 0.95) -> Paired:
    """The mean of differences, with an interval and a test against 0.

    Both need an estimate of the spread. One difference has none, and equal ones claim
    that it is 0, which no number of seeds shows: then interval and p are None.

    Args:
        differences: one for each pair.
        level: of the interval, 0 to 1.
    """
    n, mean, std = dataclasses.astuple(spread(differences))
    if n < 2 or std <= _ROUNDING * max(map(abs, differences)):
        return Paired(n, mean)
    error = std / math.sqrt(n)
    half = error * float(stats.t.ppf((1 + level) / 2, n - 1))
    p = 2 * float(stats.t.sf(abs(mean) / error, n - 1))
    return Paired(n, mean, mean - half, mean + half, p)


def holm(ps: Sequence[float | None]) -> list[float | None]:
    """Holm's step-down adjustment: the k-th smallest of m times m - k + 1, rising.

    Holm, A simple sequentially rejective multiple test procedure, Scand. J. Stat. 1979.

    Args:
        ps: from 0 to 1; None where there was no test, which stays None and counts for
            nothing.
    """
    adjusted: list[float | None] = [None] * len(ps)
    tested = sorted((p, i) for i, p in enumerate(ps) if p is not None)
    highest = 0.0
    for done, (p, i) in enumerate(tested):
        highest = max(highest, min(1.0, (len(tested) - done) * p))
        adjusted[i] = highest
    return adjusted
