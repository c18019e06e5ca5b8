"""Mean and spread of a few numbers."""

import dataclasses
import math
from collections.abc import Sequence


@dataclasses.dataclass(frozen=True)
class Spread:
    """Mean and sample standard deviation (n - 1); None where n is too small."""

    n: int
    mean: float | None = None
    std: float | None = None

    @classmethod
    def of(cls, values: Sequence[float]) -> "Spread":
        """The mean and spread of numbers, of which there may be none."""
        n = len(values)
        if not n:
            return cls(0)
        mean = math.fsum(values) / n
        if n == 1:
            return cls(1, mean)
        squares = math.fsum((value - mean) ** 2 for value in values)
        return cls(n, mean, math.sqrt(squares / (n - 1)))
