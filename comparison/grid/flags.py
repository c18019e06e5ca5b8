"""The command line of a grid."""

import dataclasses
import sys

from absl import flags

from common.digests import file_digest
from common.errors import wrong
from comparison import catalogue
from comparison.grid import block_seeds, search
from comparison.grid import definition as grid
from nets import given
from options import flags as option_flags

_OWN = "methods", "pairs", "fractions", "seeds", "vary", "search", "trials", "shard"
# Flags of train_w_distill.py that the grid says otherwise, and how.
_TAKEN = {
    "distiller": "--methods",
    "hparam": "--vary=METHOD.name=value or a flag file among --methods",
    "train_dir": "--output",
}
_EITHER = {
    "seed": "seeds",
    "data_fraction": "fractions",
    "teacher": "pairs",
    "teacher_checkpoint": "pairs",
    "student": "pairs",
}


def define() -> None:
    """Defines the flags that say what is compared, and which part of it is run."""
    flags.DEFINE_list("methods", ["all"], "Names, sums A+B, flag files; all of them.")
    flags.DEFINE_list(
        "pairs", [], "TEACHER:STUDENT,...; default: --teacher and --student."
    )
    flags.DEFINE_list("fractions", [], "Shares of the training data.")
    flags.DEFINE_list(
        "seeds",
        [],
        "Blocks: the seed of a student is its data seed, too, unless --data_seed is "
        "given.",
    )
    flags.DEFINE_multi_string(
        "vary",
        [],
        "NAME=V1,V2,...: a flag or hyperparameter; METHOD.NAME of one method alone; "
        "NAME/OTHER=V1/W1,V2/W2 of two that change together.",
    )
    flags.DEFINE_multi_string(
        "search",
        [],
        "NAME:LOW:HIGH or NAME:LOW:HIGH:log: a flag or hyperparameter whose best value "
        "on the validation split is searched for, of each method that has it.",
    )
    flags.DEFINE_integer("trials", 20, "Values that a search tries.", lower_bound=1)
    flags.DEFINE_string("shard", "1/1", "I/N: only each N-th run, from the I-th on.")
    for name in _OWN:
        # --helpshort shows the key flags of the script that runs.
        flags.FLAGS.register_key_flag_for_module(sys.argv[0], flags.FLAGS[name])


def read(settings) -> grid.Grid:
    """The grid that the flags name; ValueError if they do not fit together."""
    for name in ("list", "list_nets"):
        if flags.FLAGS[name].value:
            raise wrong(
                f"--{name} is not the benchmark's",
                expected=f"train_w_distill.py --{name}",
                received=f"--{name}",
            )
    _check_modes()
    names = option_flags.given()
    for name, instead in _TAKEN.items():
        if name in names:
            raise wrong(
                f"--{name} is what a grid varies",
                expected=instead,
                received=f"--{name}={names[name]}",
            )
    for name, instead in _EITHER.items():
        if name in names and flags.FLAGS[instead].value:
            print(f"note: --{name} has no effect with --{instead}")
    teacher = settings.teacher_checkpoint or settings.teacher
    pairs = grid.read_pairs(flags.FLAGS.pairs) or ((teacher, settings.student),)
    pairs = tuple((t, catalogue.student(s, settings)) for t, s in pairs)
    seeds = [option_flags.parse("seed", x) for x in flags.FLAGS.seeds]
    fractions = [option_flags.parse("data_fraction", x) for x in flags.FLAGS.fractions]
    found = grid.Grid(
        methods=grid.read_methods(flags.FLAGS.methods),
        pairs=pairs,
        fractions=tuple(fractions) or (settings.data_fraction,),
        seeds=tuple(seeds) or (settings.seed,),
        axes=tuple(map(grid.read_axis, flags.FLAGS.vary)),
    )
    _check_sides(found, settings)
    _note_sides_of_files(found)
    seeds = block_seeds.read(pairs, settings, names)
    if note := block_seeds.note(seeds, settings, names):
        print(note)
    return found


def _check_modes() -> None:
    """Tells what has no effect; ValueError if two say what to do instead of running."""
    given = {name: flags.FLAGS[name].value for name in ("dry_run", "report_only")}
    if all(given.values()):
        raise wrong(
            "A dry run writes no report",
            expected="--dry_run or --report_only",
            received="both",
        )
    for mode, names in (
        ("dry_run", ("jobs", "report_dir", "published", "reference")),
        ("report_only", ("jobs", "shard")),
    ):
        for name in names:
            if given[mode] and flags.FLAGS[name].present:
                print(f"note: --{name} has no effect with --{mode}")


def _note_sides_of_files(found: grid.Grid) -> None:
    """Tells what has no effect in the methods' flag files."""
    names = {name for method in found.methods for name in method.settings}
    names = sorted(names & {*_EITHER, "train_dir", *block_seeds.NAMES})
    if names:
        print(
            "note: in flag files of methods, the grid's sides have no effect "
            f"({', '.join(f'--{name}' for name in names)})"
        )


def _check_sides(found: grid.Grid, settings) -> None:
    """Raises ValueError for what no method could be run with."""
    for seed in found.seeds:
        dataclasses.replace(settings, seed=seed)
    for fraction in found.fractions:
        dataclasses.replace(settings, data_fraction=fraction)
    # Who needs no teacher may name none.
    for name in {name for pair in found.pairs for name in pair} - {""}:
        if given.canonical_name(name) and given.is_file(name):
            file_digest(name)


def read_search() -> list[search.Range]:
    """What is searched; ValueError if it cannot be together with other flags."""
    ranges = [search.read_range(text) for text in flags.FLAGS.search]
    for name in ("vary", "shard"):
        if ranges and flags.FLAGS[name].present:
            value = flags.FLAGS[name].value
            raise wrong(
                "A search chooses its runs by the results of others",
                expected=f"no --{name} beside --search",
                received=f"--{name}={value}",
            )
    is_folder = flags.FLAGS.dataset.startswith("folder:")  # may have a split of its own
    if ranges and not flags.FLAGS.validation and not is_folder:
        raise wrong(
            "A search goes by the accuracy on held-out images",
            expected="a validation split, such as --validation=0.1",
            received="--validation=0",
        )
    if flags.FLAGS["trials"].present and not ranges:
        print("note: --trials has no effect without --search")
    return ranges


def read_shard() -> slice:
    """Which cells --shard=I/N runs; ValueError if it is none."""
    text = flags.FLAGS.shard
    first, _, count = text.partition("/")
    is_one = first.isdecimal() and count.isdecimal()
    if not is_one or not 1 <= int(first) <= int(count):
        raise wrong(
            "The shard is none",
            expected="I/N with I from 1 to N",
            received=f"--shard={text}",
        )
    return slice(int(first) - 1, None, int(count))
