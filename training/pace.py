"""How many steps a call into TensorFlow runs, and what an epoch's steps took."""

from training.recipe import Recipe

# Python's signal handlers wait for the end of a call into TensorFlow; a call of
# this length leaves room below the two seconds that a stop may take.
SECONDS_PER_CALL = 1.5


class Pace:
    """Learns from the calls so far how long a step takes.

    Args:
        recipe: of the training.
    """

    def __init__(self, recipe: Recipe):
        self._recipe = recipe
        self._seconds_per_step: float | None = None
        self._seconds, self._steps = 0.0, 0  # of this epoch in this process

    def steps(self, first_step: int, start: int) -> int:
        """As many as fit into a call, but none beyond the next thing that is due.

        Args:
            first_step: steps of the phases before.
            start: steps done in this one.
        """
        recipe, step = self._recipe, first_step + start
        limits = [
            recipe.steps_per_epoch - start % recipe.steps_per_epoch,
            recipe.log_every - step % recipe.log_every,
            recipe.checkpoint_every - step % recipe.checkpoint_every,
        ]
        if self._seconds_per_step is None:
            return 1
        return max(1, min(*limits, int(SECONDS_PER_CALL / self._seconds_per_step)))

    def took(self, n: int, seconds: float) -> None:
        """Notes what a call of n steps took."""
        if self._seconds_per_step is None:
            self._seconds_per_step = SECONDS_PER_CALL  # the first call compiles
            return
        self._seconds_per_step = seconds / n
        self._seconds += seconds
        self._steps += n

    def of_epoch(self) -> dict[str, float]:
        """Columns of the epoch's row, and the next epoch begins.

        None of them if a restart found the epoch trained.
        """
        seconds, steps = self._seconds, self._steps
        self._seconds, self._steps = 0.0, 0
        if not steps:
            return {}
        images = steps * self._recipe.batch_size
        return {"seconds": seconds, "images_per_second": images / seconds}
