"""Turns a published checkpoint into a .keras file; docs/published_teachers.md.

python -m nets.import_weights resnet56.pth --net=resnet56 --out=teacher.keras
"""

import common.before_tensorflow  # noqa: F401

# isort: split

import os
import pathlib

import numpy as np
import scipy.io
from absl import flags

from common.errors import wrong
from nets import costs, registry, saving
from nets.base import Net
from nets.published import torch_file
from nets.published import weights as published_weights
from options import command_line

# Mean and standard deviation of pixels in [0, 1], as the published teachers want them.
NORMALISATIONS = {
    # RepDistiller's, which mdistiller's teachers share.
    "cifar100": ((0.5071, 0.4867, 0.4408), (0.2675, 0.2565, 0.2761)),
}

flags.DEFINE_string(
    "net", "", "Name of the net. Default: what the file, its name or its folder says."
)
flags.DEFINE_string("out", "", "The .keras file to write.")
flags.DEFINE_bool("overwrite", False, "Whether to replace an existing --out.")
flags.DEFINE_enum(
    "dataset",
    None,
    sorted(NORMALISATIONS),
    "Records the normalisation of this data set's published teachers.",
)
flags.DEFINE_list("mean", None, "To record: of pixels in [0, 1], for each channel.")
flags.DEFINE_list("std", None, "To record: of pixels in [0, 1], for each channel.")


def _checked_out() -> pathlib.Path:
    out = pathlib.Path(os.path.expanduser(flags.FLAGS.out))
    if out.suffix != ".keras":
        raise wrong(
            "it is not clear which file to write",
            expected="--out=FILE.keras",
            received=f"--out={flags.FLAGS.out}",
        )
    if out.exists() and not flags.FLAGS.overwrite:
        raise wrong(
            "the file exists already",
            expected="a new one, or --overwrite",
            received=f"--out={out}",
        )
    return out


def _numbers(name: str) -> tuple[float, ...] | None:
    words = flags.FLAGS[name].value
    if not words:
        return words
    try:
        return tuple(map(float, words))
    except ValueError:
        raise wrong(
            f"--{name} is not made of numbers",
            expected="one for each channel, separated by commas",
            received=f"--{name}={','.join(words)}",
        ) from None


def _normalisation(options: dict) -> tuple[dict, str]:
    """`mean` and `std` for the net, and in words where they are from."""
    mean, std, dataset = _numbers("mean"), _numbers("std"), flags.FLAGS.dataset
    if (mean is None) != (std is None) or (mean and dataset):
        raise wrong(
            "the normalisation is not clear",
            expected="--mean and --std, or --dataset, or neither",
            received=f"--mean={mean}, --std={std}, --dataset={dataset}",
        )
    if mean:
        return {"mean": mean, "std": std}, "as given"
    named = _text(options, "dataset")
    origin = f"of {dataset}" if dataset else f"of {named}, which the file names"
    if (dataset or named) not in NORMALISATIONS:
        return {}, "unknown; give --dataset or --mean and --std if there was any"
    mean, std = NORMALISATIONS[dataset or named]
    return {"mean": mean, "std": std}, origin


def _text(options: dict, name: str) -> str:
    """An option's value, if it is a text."""
    # Not the text of anything: of lists in lists, each twice, it would fill the memory.
    value = options.get(name)
    return value if isinstance(value, str) else "no text"


def _net_name(path: pathlib.Path, options: dict) -> tuple[str, str]:
    """The net's name, and in words where it is from."""
    if flags.FLAGS.net:
        return registry.canonical_name(flags.FLAGS.net), "as given"
    candidates = {
        "the file's options": _text(options, "model"),
        "the file's name": path.stem,
        # Such as resnet56_vanilla/ckpt_epoch_240.pth of mdistiller.
        "the folder's name": path.resolve().parent.name.removesuffix("_vanilla"),
    }
    for place, candidate in candidates.items():
        try:
            return registry.canonical_name(candidate), f"by {place}"
        except ValueError:
            continue
    raise wrong(
        "the file does not say which net it holds",
        expected="--net=NAME",
        received=", ".join(
            f"{word!r} as {place}" for place, word in candidates.items()
        ),
    )


def _import_torch(path: pathlib.Path) -> tuple[Net, str, str]:
    weights, options = published_weights.find(torch_file.read(path))
    name, origin = _net_name(path, options)
    normalisation, source = _normalisation(options)
    net = published_weights.net_of_state_dict(name, weights, **normalisation)
    return net, origin, source


def _import_mat(path: pathlib.Path) -> tuple[Net, str, str]:
    try:
        with path.open("rb") as file:
            arrays = scipy.io.loadmat(file)
    except OSError:
        raise
    except Exception as error:  # It has many, e.g. of zlib, for damaged files.
        raise wrong(
            "the file is damaged or not of MATLAB 5",
            expected="one that scipy.io.savemat wrote",
            received=f"{path} ({error})",
        ) from error
    arrays = {
        name: array
        for name, array in arrays.items()
        if isinstance(array, np.ndarray) and array.dtype.kind in "fiu"
    }
    normalisation, source = _normalisation({})
    net = published_weights.net_of_mat(arrays, **normalisation)
    wanted = flags.FLAGS.net and registry.canonical_name(flags.FLAGS.net)
    if wanted and wanted != net.name:
        raise wrong(
            "the file holds another net",
            expected=net.name,
            received=f"--net={flags.FLAGS.net}",
        )
    return net, "by its variables, with raw shortcuts and 'same' padding", source


def main(arguments: list[str]) -> None:
    """Imports one file."""
    if len(arguments) != 1:
        raise wrong(
            "one file is imported at a time",
            expected="SRC --out=FILE.keras",
            received=arguments,
        )
    path, out = pathlib.Path(arguments[0]).expanduser(), _checked_out()
    import_file = _import_mat if path.suffix.lower() == ".mat" else _import_torch
    net, origin, source = import_file(path)
    saving.save(net, out)
    print(f"net            {net.name} ({origin})")
    print(f"classes        {net.num_classes}")
    print(f"parameters     {costs.count_parameters(net):,}")
    print(f"normalisation  mean {net.mean}, std {net.std} ({source})")
    print(f"saved {out}")


if __name__ == "__main__":
    command_line.run(main, takes_arguments=True)
