"""Trains methods with two states of the repository and compares every bit.

`make same-bits BASE=COMMIT` belongs to a change that must change no number: the work
tree as it is, with what is not committed, is compared with a commit. Each of both
trains the methods for a few steps of each phase, on this machine and with these
libraries. No digest is stored, because another processor rounds otherwise. Compared by
name and bytes is what the runs leave: the checkpoints at the ends of the phases (the
student, the method's own variables, a teacher that learns, the optimizer, the totals of
the losses), the `.keras` files, and the same of the teachers that are trained first.

Exit codes: 0 all bits are equal; 1 some are not, or a run failed; 2 nothing could be
compared.
"""

import argparse
import collections
import contextlib
import io
import json
import os
import pathlib
import pickle
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Mapping, Sequence

import ml_dtypes  # noqa: F401, tells NumPy what bfloat16 is
import numpy as np

ROOT = pathlib.Path(__file__).resolve().parent.parent
RUNS = pathlib.Path(__file__).with_name("same_bits_runs.py")
DIFFERENT, BAD_INPUT = 1, 2
SHOWN = 5  # the first different variables of so many groups

# Together they have two phases, gradients that they combine, draws, the images' index,
# banks and layers of their own, both forward passes, a teacher that learns.
METHODS = ("MHGD", "CRD", "Sobolev", "DML")
# What is no method's: name of the run -> flags.
OPTIONS = {
    "sum": "--distiller=FitNet+Soft_logits --equal_epochs --epochs=3",
    "data-and-cache": "--distiller=Soft_logits --teacher_cache --augmentation_period=1 "
    "--data_fraction=0.5 --validation=0.25 --class_weight=balanced --nesterov "
    "--schedule=step --warmup_epochs=0.5 --randaugment=1 --cutout=4 --mixup=0.5",
}
# On a CPU, float16 computes slowly and XLA compiles slowly.
SLOW_OPTIONS = {
    "float16": "--distiller=DML --precision=mixed_float16 --epochs=1 "
    "--data_fraction=0.34",
    "xla": "--distiller=Logits --xla",
}


class CannotCompare(Exception):
    """Why there is nothing to compare; what the user can mend, in one line."""


def compare(base: Mapping, now: Mapping) -> tuple[dict[str, str], int]:
    """What differs between the variables that two runs left.

    Bits that are at another place of the same file are no difference, because the
    numbers are the same. Whether files of before can still be read is the question of
    other tests.

    Args:
        base, now: place -> array.

    Returns:
        Place -> difference, of each variable whose bits the other side lacks; and the
        number of variables whose bits are at another place.
    """
    base_rest = {k: v for k, v in base.items() if not _is_at(k, v, now)}
    now_rest = {k: v for k, v in now.items() if not _is_at(k, v, base)}
    lost, new = _without(base_rest, now_rest), _without(now_rest, base_rest)
    found = {key: "only in the base" for key in lost.keys() - new.keys()}
    found |= {key: "only in now" for key in new.keys() - lost.keys()}
    found |= {k: _difference(lost[k], new[k]) for k in lost.keys() & new.keys()}
    in_order = dict.fromkeys((*base, *now))
    return {k: found[k] for k in in_order if k in found}, len(now_rest) - len(new)


def _bits(array: np.ndarray) -> tuple:
    return str(array.dtype), array.shape, array.tobytes()


def _is_at(key: str, array: np.ndarray, others: Mapping) -> bool:
    return key in others and _bits(array) == _bits(others[key])


def _without(ours: Mapping, theirs: Mapping) -> dict:
    """Ours without those that have an equal in theirs, each of which counts once."""
    left = collections.Counter((_file(k), _bits(v)) for k, v in theirs.items())
    rest = {}
    for key, array in ours.items():
        place = _file(key), _bits(array)
        if left[place]:
            left[place] -= 1
        else:
            rest[key] = array
    return rest


def _file(key: str) -> str:
    return key.rpartition(": ")[0]


def _difference(base: np.ndarray, now: np.ndarray) -> str:
    kinds = [f"{array.dtype}{list(array.shape)}" for array in (base, now)]
    if kinds[0] != kinds[1]:
        return f"was {kinds[0]} and is now {kinds[1]}"
    pair = [np.ascontiguousarray(array).reshape(-1) for array in (base, now)]
    bits = [array.view(np.uint8).reshape(array.size, -1) for array in pair]
    different = (bits[0] != bits[1]).any(axis=1)
    before, after = (array[different].astype(np.float64) for array in pair)
    with np.errstate(invalid="ignore"):  # inf - inf
        largest = np.abs(after - before).max()
    count = f"{different.sum()} of {different.size} entries differ"
    return f"{count}, the largest difference is {largest:.3g}"


class State:
    """A process that trains with one state of the repository.

    Args:
        name: "base" or "now".
        tree: its files.
        folder: a new one, for what it writes.
    """

    def __init__(self, name: str, tree: pathlib.Path, folder: pathlib.Path):
        self.name, self.folder, self._log = name, folder, folder / "log.txt"
        folder.mkdir()
        write_images(folder / "images.npz")
        # As many threads for both: another number rounds sums otherwise.
        threads = str(max(1, (os.cpu_count() or 1) // 2))
        with open(self._log, "w") as log:
            self._process = subprocess.Popen(
                [sys.executable, str(RUNS), str(folder)],
                cwd=tree,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
                env={"TF_NUM_INTRAOP_THREADS": threads, **os.environ},
            )

    def ask(self, name: str, flags: str) -> None:
        """Begins a run; `answer` waits for its end."""
        run = {"name": name, "flags": flags.split()}
        print(json.dumps(run), file=self._process.stdin, flush=True)

    def answer(self):
        """The next answer, see `same_bits_runs.work`.

        Raises:
            CannotCompare: the process has ended.
        """
        line = self._process.stdout.readline()
        if not line:
            lines = [line.strip() for line in self._log.read_text().splitlines()]
            last = [*[x for x in lines if x.startswith("File ")][-1:], *lines[-1:]]
            raise CannotCompare(
                f"the process of the state '{self.name}' ended: {'; '.join(last)}"
            )
        return json.loads(line)

    def variables(self, name: str) -> dict:
        """Place -> (label, array) of a run that has ended."""
        return pickle.loads((self.folder / f"{name}.pickle").read_bytes())

    def stop(self) -> None:
        """Ends the process, whatever it does."""
        self._process.kill()
        self._process.communicate()


def write_images(path: pathlib.Path) -> None:
    """Few images of 4 classes, not equally many of each, told apart by brightness."""
    rng, arrays = np.random.default_rng(0), {}
    for split, size in (("train", 96), ("test", 16)):
        labels = np.arange(size) % 7 // 2
        noise = rng.normal(0, 25, (size, 16, 16, 3))
        images = np.clip(50 + 50 * labels[:, None, None, None] + noise, 0, 255)
        arrays[f"{split}_images"] = images.astype(np.uint8)
        arrays[f"{split}_labels"] = labels
    np.savez(path, **arrays)


def run_both(name: str, flags: str, base: State, now: State) -> bool | None:
    """Trains with both states and tells what came of it: whether it is the same.

    Returns:
        None where the base does not know a flag, so that nothing is compared.
    """
    base.ask(name, flags)
    now.ask(name, flags)
    answers = {state.name: state.answer() for state in (base, now)}
    if "unknown" in answers["base"] and not answers["now"]:
        tell(f"{name}: not compared, the base: {answers['base']['unknown']}")
        return None
    if any(answers.values()):
        for state, answer in answers.items():
            for text in answer.values():
                tell(f"{name}: FAILED in {state}: {' '.join(text.split())}")
        return False
    variables = [state.variables(name) for state in (base, now)]
    arrays = [{k: array for k, (_, array) in side.items()} for side in variables]
    differing, num_moved = compare(*arrays)
    is_same = bool(arrays[1]) and not differing
    words = "equal" if is_same else f"DIFFERENT in {len(differing)}"
    tell(f"{name}: {words}, {len(arrays[1])} variables")
    labels = {k: label for side in variables for k, (label, _) in side.items()}
    firsts = {key.rpartition("/")[0]: key for key in reversed(differing)}
    for key in list(reversed(firsts.values()))[:SHOWN]:
        tell(f"  {key} {labels[key]}: {differing[key]}")
    if num_moved:
        tell(f"  note: {num_moved} have the same bits, but at another place")
    return is_same


def tell(text: str) -> None:
    """Prints at once."""
    print(text, flush=True)


def chosen(arguments, base: Sequence[str], now: Sequence[str]) -> dict[str, str]:
    """Name -> flags of the runs; tells which methods only one of the states has.

    Args:
        arguments: the parsed command line.
        base, now: the methods of each.

    Raises:
        CannotCompare: a name is unknown, or nothing is left.
    """
    options = {**OPTIONS, **SLOW_OPTIONS}
    known = list(dict.fromkeys((*now, *base, *options)))
    names = known if arguments.all else [*METHODS, *OPTIONS]
    names = arguments.methods.split(",") if arguments.methods else names
    if unknown := [name for name in names if not _has(known, name)]:
        raise CannotCompare(
            f"there is no such method. Expected some of {', '.join(known)}, or a sum "
            f"of methods. Received: METHODS={','.join(unknown)}"
        )
    methods = [name for name in names if name not in options]
    one_sided = [name for name in methods if not (_has(base, name) and _has(now, name))]
    for name in one_sided:
        tell(
            f"{name}: not compared, only in {'now' if _has(now, name) else 'the base'}"
        )
    runs = {n: options.get(n, f"--distiller={n}") for n in names if n not in one_sided}
    if not runs:
        raise CannotCompare("no method is in both states")
    return runs


def _has(methods: Sequence[str], name: str) -> bool:
    return all(part in methods for part in name.split("+"))


def extract(commit: str, folder: pathlib.Path) -> None:
    """Writes the files of a commit.

    Raises:
        CannotCompare: there is no such commit.
    """
    git = ["git", "-C", str(ROOT)]
    wanted = ["rev-parse", "--verify", "--quiet", "--end-of-options"]
    found = subprocess.run([*git, *wanted, f"{commit}^{{commit}}"], capture_output=True)
    if found.returncode:
        raise CannotCompare(
            "there is no such commit. Expected a commit, branch or tag of this "
            f"repository, as in make same-bits BASE=HEAD~1. Received: BASE={commit!r}"
        )
    digest = found.stdout.decode().strip()
    files = subprocess.run([*git, "archive", digest], capture_output=True, check=True)
    with tarfile.open(fileobj=io.BytesIO(files.stdout)) as archive:
        archive.extractall(folder, filter="data")


def main() -> int:
    """Does what the command line says; returns the exit code."""
    parser = argparse.ArgumentParser(description="Compares the bits of two states.")
    parser.add_argument("--base", required=True, help="the commit to compare with")
    parser.add_argument("--all", action="store_true", help="all methods; float16, XLA")
    parser.add_argument("--methods", default="", help="A,B: these runs alone")
    arguments = parser.parse_args()
    with contextlib.ExitStack() as stack:
        folder = pathlib.Path(stack.enter_context(tempfile.TemporaryDirectory()))
        try:
            extract(arguments.base, folder / "tree")
            states = []
            for name, tree in (("base", folder / "tree"), ("now", ROOT)):
                states.append(State(name, tree, folder / name))
                stack.callback(states[-1].stop)
            runs = chosen(arguments, *[state.answer() for state in states])
            found = [run_both(name, flags, *states) for name, flags in runs.items()]
            if not (same := [x for x in found if x is not None]):
                raise CannotCompare("the base knows the flags of no run")
        except CannotCompare as error:
            print(f"error: {error}.", file=sys.stderr)
            return BAD_INPUT
    tell(f"{sum(same)} of {len(same)} runs show no difference to {arguments.base}")
    return 0 if all(same) else DIFFERENT


if __name__ == "__main__":
    sys.exit(main())
