"""What the seed of a grid's block decides: a replicate is a whole repetition."""

import dataclasses
from collections.abc import Collection, Sequence

from nets import given
from options.settings import FRESH

# Options that the blocks decide, and no flag file of a method.
NAMES = ("data_seed", "validation_seed", "teacher_data_seed")


@dataclasses.dataclass(frozen=True)
class BlockSeeds:
    """The data's seeds of all cells of a grid.

    Nothing here depends on which methods the grid has: a cell stays the same when
    others come or go.

    Attributes:
        data: of subset, order and augmentation; None: that of the block.
        validation: of the validation split; None: the data's.
        teacher: of the data of teachers that are trained first; None: the data's.
    """

    data: int | None = None
    validation: int | None = None
    teacher: int | None = None

    def of(self, seed: int) -> dict[str, int | None]:
        """The options of the block with this seed."""
        data = seed if self.data is None else self.data
        return dict(zip(NAMES, (data, self.validation, self.teacher), strict=True))


def read(pairs: Sequence[tuple[str, str]], settings, names: Collection) -> BlockSeeds:
    """What the command line says, and what it leaves open.

    Blocks have data seeds of their own unless one is given. Then what a teacher must
    not have seen is the same in all of them, and so is the teacher: one that was
    trained on the images of one block would know another's validation split.

    Args:
        pairs: of the grid, (teacher, student).
        settings: the `settings.Options` of all runs.
        names: options that were set by hand, though it be to their default.
    """
    found = {name: getattr(settings, name) for name in NAMES if name in names}
    is_given = settings.teacher_weights not in FRESH
    is_given |= any(given.is_file(teacher) for teacher, _ in pairs)
    has_blocks = "data_seed" not in found
    if is_given or has_blocks and any(teacher for teacher, _ in pairs):
        found.setdefault("validation_seed", 0)
    if has_blocks:
        found.setdefault("teacher_data_seed", 0)
    return BlockSeeds(*(found.get(name) for name in NAMES))


def note(seeds: BlockSeeds, settings, names: Collection) -> str:
    """What a user may not expect of a data seed that is given; "" if there is none."""
    if (
        not settings.validation
        or "validation_seed" in names
        or seeds.validation in (None, seeds.data)
        or seeds.data is None
    ):
        return ""
    return (
        f"note: the validation split is cut by seed {seeds.validation}, as for every "
        f"given teacher; --validation_seed={seeds.data} cuts it by the data seed"
    )
