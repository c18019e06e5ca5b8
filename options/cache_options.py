"""Whether and how the teacher's outputs are kept for other epochs and other runs."""

import dataclasses

from options.option import option

ONLY_WITH_CACHE = (
    "teacher_cache_taps",
    "teacher_cache_dir",
    "teacher_cache_precision",
)


@dataclasses.dataclass(frozen=True)
class CacheOptions:
    """The settings of the teacher cache; see `settings.Options`."""

    teacher_cache: bool = option(
        False,
        "Keep the teacher's logits and embedding on disk and ask it only once for each "
        "version of an image (see --augmentation_period).",
        is_number_free=True,
    )
    teacher_cache_taps: bool = option(
        False,
        "Keep the feature maps that the method reads, too; they are large.",
        is_number_free=True,
    )
    teacher_cache_dir: str = option(
        "runs/teacher_cache",
        "Where they are kept; runs may share it.",
        is_number_free=True,
    )
    teacher_cache_precision: str = option(
        "float32",
        "How they are kept; float32 changes no bit, the others halve the size.",
        choices=("float32", "float16", "bfloat16"),
    )
