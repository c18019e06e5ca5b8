"""Rows of a table compared with a reference row: y = row + block + error.

Blocks are whole repetitions that all rows share, such as seeds. All functions take
stacks of tables, too: values [..., R, B] with the same cells missing in all of them.
"""

import collections
import dataclasses
import functools
from collections.abc import Sequence

import numpy as np
from scipy.sparse import csgraph

from comparison.report import dunnett

LEVEL = 0.95  # of all intervals of a table together
_ROUNDING = 1e-9  # below this share of the largest value a spread is rounding
_MOST_BLOCKS = 10**6


class Design:
    """Which cells of a table there are, and what least squares makes of them.

    Args:
        present: bools [R, B]; each row and each block has a cell.
    """

    def __init__(self, present: np.ndarray):
        self.present = np.asarray(present, bool)
        self._cells = self.present.astype(np.float64)
        rows, blocks = self.present.shape
        edges = np.zeros((rows + blocks,) * 2)
        edges[:rows, rows:] = self._cells
        parts, labels = csgraph.connected_components(edges, directed=False)
        self.parts = labels[:rows]  # Rows of two parts cannot be compared.
        cells = int(self.present.sum())
        self.df = cells - rows - blocks + int(parts)  # cells less the rank
        self.per_row = self._cells.sum(1)  # [R]
        # The blocks' normal equations after the rows are eliminated: [B, B].
        shares = self._cells / self.per_row[:, None]
        self._inverse = np.linalg.pinv(
            np.diag(self._cells.sum(0)) - self._cells.T @ shares
        )

    def estimates(self, values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Row effects [..., R] and residuals [..., R, B], which are 0 without a cell.

        Effects of different parts differ by an unknown number.
        """
        values = np.where(self.present, values, 0.0)
        means = values.sum(-1) / self.per_row
        rest = (values - means[..., None]) * self._cells
        blocks = rest.sum(-2) @ self._inverse  # [..., B]
        effects = means - blocks @ (self._cells / self.per_row[:, None]).T
        left = values - effects[..., None] - blocks[..., None, :]
        return effects, left * self._cells

    def contrast(self, row: int, other: int) -> np.ndarray:
        """[R, B]: how much of each cell is in the difference of two rows' effects."""
        shares = self._cells / self.per_row[:, None]
        own = np.zeros_like(self._cells)
        own[row] += shares[row]
        own[other] -= shares[other]
        return own - np.tensordot(shares[row] - shares[other], self._of_blocks, 1)

    @functools.cached_property
    def _of_blocks(self) -> np.ndarray:
        """[B, R, B]: how much of each cell is in each block's effect."""
        rows, blocks = self.present.shape
        shares = self._cells / self.per_row[:, None]
        sums = np.eye(blocks)[:, None, :] - shares.T[:, :, None]  # [B, R, B]
        return np.tensordot(self._inverse, sums * self._cells, 1)


@dataclasses.dataclass(frozen=True)
class Comparison:
    """Differences of a table's rows from their references, in the values' unit.

    Attributes:
        family: how many rows are compared with each reference.
        df: degrees of freedom of s.
        s: standard deviation of the errors; None without a degree of freedom, or if
            there is no error, which no number of blocks shows.
        blocks: B.
        rows: those with a cell.
        difference: [..., R], NaN where there is none.
        se: [..., R], its standard error; NaN where there is none.
    """

    family: tuple[int, ...]
    df: int
    s: np.ndarray | None
    blocks: int
    rows: int
    difference: np.ndarray
    se: np.ndarray

    @property
    def critical(self) -> float | None:
        """Half of an interval in standard errors."""
        if self.s is None or not self.family:
            return None
        return dunnett.critical(self.family, self.df, LEVEL)

    @property
    def half_width(self) -> np.ndarray | None:
        """Of the interval of whole rows with the table's spread: c s sqrt(2 / B)."""
        if self.critical is None:
            return None
        return self.critical * self.s * np.sqrt(2 / self.blocks)

    def p(self) -> np.ndarray:
        """[..., R], 1 - P(|d| / SE): adjusted for all comparisons of the table."""
        found = np.full(self.difference.shape, np.nan)
        known = np.isfinite(self.se)
        t = np.abs(self.difference[known]) / self.se[known]
        if self.critical is not None:
            found[known] = 1 - dunnett.probability(t, self.family, self.df)
        return found

    def blocks_to_show(self, size: float) -> int | None:
        """The least number of blocks of a whole table whose half width is that small.

        With the same s and rows, and the degrees of freedom that it would have.
        """
        if self.critical is None:
            return None

        def shows(blocks: int) -> bool:
            c = dunnett.critical(self.family, (self.rows - 1) * (blocks - 1), LEVEL)
            return c * float(self.s) * (2 / blocks) ** 0.5 <= size

        low, high = 1, 2  # The first shows nothing.
        while not shows(high):
            low, high = high, 2 * high
            if high > _MOST_BLOCKS:
                return None
        while high - low > 1:
            middle = (low + high) // 2
            low, high = (low, middle) if shows(middle) else (middle, high)
        return high


def compare(values: np.ndarray, references: Sequence[int | None]) -> Comparison:
    """Compares rows with their references.

    SE^2 sums (weight of a cell in the difference)^2 times its row's variance, which is
    max(s^2, s_m^2) with s_m^2 = the row's residual sum of squares / (its cells - 1): a
    row that is noisier than the rest is judged by its own spread. In a whole table it
    is (max(s^2, s_m^2) + max(s^2, s_0^2)) / B.

    Args:
        values: [..., R, B], NaN where a cell is missing; rows and blocks without any
            cell are allowed, and are left out.
        references: of each row the number of the row it is compared with; None, or its
            own number, where it is not compared.
    """
    values = np.asarray(values, np.float64)
    present = np.isfinite(values).reshape(-1, *values.shape[-2:]).all(0)
    rows, blocks = np.flatnonzero(present.any(1)), np.flatnonzero(present.any(0))
    difference = np.full(values.shape[:-1], np.nan)
    se = difference.copy()
    if not rows.size:
        return Comparison((), 0, None, 0, 0, difference, se)
    design = Design(present[np.ix_(rows, blocks)])
    place = {row: i for i, row in enumerate(rows)}
    pairs = [
        (place[m], place[r])
        for m, r in enumerate(references)
        if m in place and r in place and m != r
    ]
    pairs = [(m, r) for m, r in pairs if design.parts[m] == design.parts[r]]
    cells = values[..., rows[:, None], blocks]
    effects, residuals = design.estimates(cells)
    for row, base in pairs:
        difference[..., rows[row]] = effects[..., row] - effects[..., base]
    s = _spread(design, residuals, cells)
    if s is not None:
        variances = _row_variances(design, residuals, s)
        for row, base in pairs:
            squares = (design.contrast(row, base) ** 2).sum(-1)  # [R]
            se[..., rows[row]] = np.sqrt(variances @ squares)
    family = tuple(sorted(collections.Counter(base for _, base in pairs).values()))
    return Comparison(family, design.df, s, blocks.size, rows.size, difference, se)


def _spread(design: Design, residuals, values) -> np.ndarray | None:
    """Of the errors, [...]; None if it cannot be known."""
    if design.df < 1:
        return None
    s = np.sqrt((residuals**2).sum((-2, -1)) / design.df)
    largest = np.abs(np.where(design.present, values, 0.0)).max()
    return None if np.any(s <= _ROUNDING * largest) else s


def _row_variances(design: Design, residuals, s) -> np.ndarray:
    """max(s^2, s_m^2) [..., R]; a row of one cell has no spread of its own."""
    own = (residuals**2).sum(-1) / np.maximum(design.per_row - 1, 1)
    return np.maximum(np.asarray(s)[..., None] ** 2, own)
