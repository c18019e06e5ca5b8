"""Search for hyperparameters: trials are cells whose values Optuna proposes.

What is proposed is a function of the results before, in a fixed order. So nothing but
the cells is kept: the same command asks again, finds them finished and goes on.
"""

import dataclasses
import math
import statistics
from collections.abc import Callable, Iterator, Sequence

import optuna

from common.errors import wrong
from comparison.grid.definition import Axis, Grid, Method
from comparison.grid.record import Record

# Proposed together, so that they can run side by side; not --jobs, which must not
# decide what is tried.
TOGETHER = 4


@dataclasses.dataclass(frozen=True)
class Range:
    """Where to search.

    Attributes:
        name: of a flag or hyperparameter, as in `grid.Axis`.
        low: least value.
        high: largest value.
        log: whether all orders of magnitude are as likely.
        whole: whether only whole numbers are tried.
    """

    name: str
    low: float
    high: float
    log: bool
    whole: bool = False

    def distribution(self):
        """The range for Optuna."""
        if self.whole:
            low, high = self._whole_numbers()
            return optuna.distributions.IntDistribution(low, high, log=self.log)
        return optuna.distributions.FloatDistribution(self.low, self.high, log=self.log)

    def text(self, value: float) -> str:
        """A value as a flag or hyperparameter has it."""
        return str(round(value)) if self.whole else f"{value:.6g}"

    @property
    def ends(self) -> tuple[str, str]:
        """The least and the largest value, as text."""
        low, high = self._whole_numbers() if self.whole else (self.low, self.high)
        return self.text(low), self.text(high)

    def _whole_numbers(self) -> tuple[int, int]:
        """The least and the largest; ValueError if there are not two."""
        low, high = math.ceil(self.low), math.floor(self.high)
        if low >= high:
            raise wrong(
                f"{self.name} is a whole number",
                expected="a range with two of them",
                received=f"--search={self.name}:{self.low:g}:{self.high:g}",
            )
        return low, high


def read_range(text: str) -> Range:
    """A range from "NAME:LOW:HIGH" or "NAME:LOW:HIGH:log"; ValueError if it is none."""
    name, *rest = text.split(":")
    try:
        low, high = map(float, rest[:2])
    except ValueError:
        low = high = math.nan
    log = rest[2:] == ["log"]
    is_right = math.isfinite(high - low) and low < high and (low > 0 or not log)
    if not name or not is_right or rest[2:] not in ([], ["log"]):
        raise wrong(
            "What is searched cannot be read",
            expected="NAME:LOW:HIGH or NAME:LOW:HIGH:log, finite, with LOW below HIGH "
            "and, for log, above 0",
            received=f"--search={text}",
        )
    return Range(name, low, high, log)


class Study:
    """The search for one method, pair of nets and fraction.

    Args:
        grid: of this method, pair and fraction alone, without axes.
        ranges: what is searched.
    """

    def __init__(self, grid: Grid, ranges: Sequence[Range]):
        self.grid, self.ranges = grid, tuple(ranges)
        self._space = {r.name: r.distribution() for r in self.ranges}
        optuna.logging.set_verbosity(optuna.logging.ERROR)
        # The "liar" keeps proposals that are made together apart.
        sampler = optuna.samplers.TPESampler(seed=0, constant_liar=True)
        self._study = optuna.create_study(direction="maximize", sampler=sampler)
        self._asked = {}

    def ask(self, count: int) -> Grid:
        """The next proposals, as the cells of a grid."""
        trials = [self._study.ask(self._space) for _ in range(count)]
        self._asked = {}
        for trial in trials:  # Of whole numbers, two may be equal.
            values = tuple(r.text(trial.params[r.name]) for r in self.ranges)
            self._asked.setdefault(values, []).append(trial)
        return self._with(tuple(self._asked))

    def ends(self) -> Grid:
        """The cells of the least and of the largest values."""
        return self._with(tuple(zip(*(r.ends for r in self.ranges), strict=True)))

    def _with(self, values: tuple[tuple[str, ...], ...]) -> Grid:
        axis = Axis(tuple(r.name for r in self.ranges), values)
        return dataclasses.replace(self.grid, axes=(axis,))

    def tell(self, records: Sequence[Record]) -> None:
        """Learns from the cells of the grid that `ask` gave.

        Raises:
            ValueError: there was no validation split.
        """
        failed = optuna.trial.TrialState.FAIL
        for values, trials in self._asked.items():
            text = "/".join(values)
            # A run that is the same for all of them has no value of its own.
            own = [r for r in records if not r.varied or r.varied[0][1] == text]
            value = validation_accuracy(own)
            for trial in trials:
                state = failed if value is None else None
                self._study.tell(trial, value, state=state)


def validation_accuracy(records: Sequence[Record]) -> float | None:
    """The mean over the seeds of the best epoch's; None if a seed is not finished."""
    if not records or any(record.result is None for record in records):
        return None
    found = [record.best_validation for record in records]
    if None in found:
        raise wrong(
            "A search goes by the accuracy on held-out images",
            expected="a validation split, such as --validation=0.1",
            received="none",
        )
    return statistics.fmean(found)


def studies(grid: Grid, ranges: Sequence[Range]) -> tuple[list[Study], Grid | None]:
    """One study for each method that has all of it, and the grid of the others.

    Raises:
        ValueError: no method has what is searched.
    """
    values = tuple("1" for _ in ranges)
    axis = Axis(tuple(r.name for r in ranges), (values,))
    dataclasses.replace(grid, axes=(axis,))  # checks that a method has it
    searched = [method for method in grid.methods if axis.applies_to(method)]
    others = tuple(method for method in grid.methods if method not in searched)
    made = [
        Study(
            dataclasses.replace(
                grid, methods=(method,), pairs=(pair,), fractions=(fraction,)
            ),
            [_typed(r, method) for r in ranges],
        )
        for method in searched
        for pair in grid.pairs
        for fraction in grid.fractions
    ]
    return made, dataclasses.replace(grid, methods=others) if others else None


def with_effect(
    made: Sequence[Study], expand: Callable
) -> tuple[list[Study], list[Grid]]:
    """The studies whose ends are different runs, and the grids of the others.

    Args:
        made: of all methods that have what is searched.
        expand: grid -> its cells.

    Raises:
        ValueError: there is none.
    """
    found, others = [], []
    for study in made:
        is_varied = any(cell.record.varied for cell in expand(study.ends()))
        (found if is_varied else others).append(study)
    if not found:
        names = ", ".join(r.name for study in others[:1] for r in study.ranges)
        raise wrong(
            "What is searched changes nothing of the runs",
            expected="a flag or hyperparameter that they use",
            received=f"--search={names}",
        )
    return found, [study.grid for study in others]


def rounds(made: Sequence[Study], trials: int) -> Iterator[list[Grid]]:
    """The grids of each round; `Study.tell` is due before the next one."""
    for done in range(0, trials if made else 0, TOGETHER):
        yield [study.ask(min(TOGETHER, trials - done)) for study in made]


def _typed(searched: Range, method: Method) -> Range:
    """The range with the type that the method's hyperparameter, or the flag, has.

    Raises:
        ValueError: it is no number, or an end is none that the flag can have.
    """
    usual = Axis((searched.name,), ()).usual(method)[0]
    if isinstance(usual, bool | str | tuple):
        raise wrong(
            f"{searched.name} is no number",
            expected=f"a number, or --vary={searched.name}=... for values of another "
            "kind",
            received=f"--search={searched.name}:{searched.low:g}:{searched.high:g}",
        )
    found = dataclasses.replace(searched, whole=isinstance(usual, int))
    ends = tuple((text,) for text in found.ends)
    list(Axis((searched.name,), ends).changes(method))  # checks them
    return found
