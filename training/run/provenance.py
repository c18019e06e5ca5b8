"""What a run's numbers depend on beside its settings and data, in one place."""

import hashlib
import importlib
import os
import pathlib
import platform
import subprocess
from collections.abc import Mapping, Sequence
from importlib import metadata

from common import digests
from common.digests import short

ROOT = pathlib.Path(__file__).parents[2]
# Rooms and scripts that decide numbers, whole rooms: which of their files decide none
# would have to be known of each new one. Tests, documents, reports decide none.
SOURCES = (
    "common",
    "dataloader",
    "distiller",
    "nets",
    "op_utils",
    "options",
    "teacher_cache",
    "train_w_distill.py",
    "training",
)
LIBRARIES = ("tensorflow", "keras", "numpy", "scipy", "ml_dtypes")
KERNELS = "TF_ENABLE_ONEDNN_OPTS"
SOURCES_NAME = "sources (SHA-256)"  # of a condition
_WORDS = {"threads": "number of threads", "devices": "list of devices"}
_WORDS |= {"switches": "set of kernel switches"}
_GIT_SECONDS = 1.0


def facts() -> dict:
    """All of it, as JSON values.

    Returns:
        `sources_sha256`: see `sources_digest`; `commit`: a note, see `commit`;
        `versions`: of the libraries, Python, and the choice of TensorFlow's kernels;
        `hardware`: devices, processor, threads, and switches of its libraries.
    """
    return {
        "sources_sha256": sources_digest(),
        "commit": commit(),
        "versions": versions(),
        "hardware": hardware(),
    }


def sources_digest(root: os.PathLike = ROOT, names: Sequence[str] = SOURCES) -> str:
    """`digests.tree_digest` of what decides numbers in the repository at `root`."""
    return digests.tree_digest(root, names)


def commit(root: os.PathLike = ROOT, names: Sequence[str] = SOURCES) -> str:
    """Git's commit, with "+" where the sources differ from it; "" where it is unknown.

    Args:
        root: the repository.
        names: the sources in it.
    """
    if not (pathlib.Path(root) / ".git").exists():  # Some folder above is another's.
        return ""
    command = ["git", "--no-optional-locks", "status", "--porcelain=v2", "--branch"]
    # A hook of git, for one, says by these which repository is meant.
    others = {k: v for k, v in os.environ.items() if not k.startswith("GIT_")}
    try:
        told = subprocess.run(
            [*command, "--", *names],
            cwd=root,
            env=others,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=_GIT_SECONDS,
            check=True,
            text=True,
            errors="replace",
        ).stdout
    except (OSError, subprocess.SubprocessError):  # no git, or it does not trust this
        return ""
    lines = told.splitlines()
    heads = [line.split()[-1] for line in lines if line.startswith("# branch.oid ")]
    if not heads or heads == ["(initial)"]:
        return ""
    return heads[0] + "+" * any(not line.startswith("#") for line in lines)


def versions() -> dict[str, str]:
    """Of libraries and Python, and the choice of TensorFlow's kernels."""
    return {
        **{name: _version(name) for name in LIBRARIES},
        "python": platform.python_version(),
        KERNELS: os.environ.get(KERNELS, ""),
    }


def hardware() -> dict:
    """What computes: another processor, or number of threads, rounds differently."""
    import tensorflow as tf  # Here: reading flags, which digests too, takes no seconds.

    details = tf.config.experimental.get_device_details
    gpus = tf.config.list_physical_devices("GPU")
    threads = tf.config.threading.get_intra_op_parallelism_threads()
    return {
        "devices": [details(gpu).get("device_name", "GPU") for gpu in gpus] or ["CPU"],
        "processor": processor(),
        "switches": switches(),
        "threads": threads or os.environ.get("TF_NUM_INTRAOP_THREADS") or _cores(),
    }


def processor() -> dict[str, str]:
    """Its name and what it can do, of which a virtual machine may hide some."""
    try:
        lines = pathlib.Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:  # no Linux
        lines = []
    pairs = (line.partition(":")[::2] for line in reversed(lines))
    found = {name.strip(): value.strip() for name, value in pairs}
    features = found.get("flags", found.get("Features", ""))
    return {
        "model": found.get("model name", platform.processor()),
        "features": hashlib.sha256(features.encode()).hexdigest()[:16],
    }


def switches() -> dict[str, str]:
    """Environment variables that choose other kernels."""
    starts = ("ONEDNN_", "DNNL_", "NVIDIA_TF32_", "TF_XLA_", "XLA_", "TF_CUDNN_")
    return {
        name: v for name, v in sorted(os.environ.items()) if name.startswith(starts)
    }


def other_code(before: Mapping, now: Mapping) -> list[str]:
    """What makes other numbers: sources and versions, as "... was ... and is now ...".

    What one of the two does not tell is no difference; neither is another commit.
    """
    pair = [facts.get("sources_sha256") for facts in (before, now)]
    found = []
    if all(pair) and pair[0] != pair[1]:
        shown = [_sources(facts) for facts in (before, now)]
        found.append(f"the sources' SHA-256 was {shown[0]} and is now {shown[1]}")
    versions = [facts.get("versions", {}) for facts in (before, now)]
    return found + _changed(*versions, "the version of ")


def other_hardware(before: Mapping, now: Mapping) -> list[str]:
    """What may round otherwise, in the same words."""
    return _changed(*map(_flat_hardware, (before, now)), "the ")


def history(record: Mapping) -> list[dict]:
    """Under what a run was trained, in order, as its config or result tells.

    Earlier versions told the versions alone, or nothing.

    Raises:
        ValueError: it is not what a run writes.
    """
    found = record.get("provenance", [{"versions": record.get("versions", {})}])
    if not (isinstance(found, list) and found and all(map(_is_entry, found))):
        raise ValueError(f"a list of facts was expected as provenance, not {found!r}")
    return found


def conditions(found: Mapping) -> dict[str, str]:
    """What of an entry of `history` must be equal in a fair comparison, as texts.

    The commit is none of it.
    """
    texts = {f"version of {k}": v for k, v in found.get("versions", {}).items()}
    if digest := found.get("sources_sha256"):
        texts[SOURCES_NAME] = digest
    if machine := found.get("hardware"):
        processor, devices = machine["processor"], ", ".join(machine["devices"])
        texts["hardware"] = (
            f"{devices}; {processor['model']} (features {processor['features']}), "
            f"{machine['threads']} threads"
        )
        switches = (f"{k}={v}" for k, v in machine["switches"].items())
        texts["kernel switches"] = ", ".join(switches) or "none"
    return texts


def _is_entry(found) -> bool:
    kinds = {"sources_sha256": str, "commit": str, "versions": dict, "hardware": dict}
    return (
        isinstance(found, dict)
        and all(isinstance(found.get(n, kind()), kind) for n, kind in kinds.items())
        and isinstance(found.get("hardware", {}).get("processor", {}), dict)
    )


def _sources(found: Mapping) -> str:
    commit = found.get("commit", "")
    note = f" (commit {commit[:7]}{commit[40:]})" if commit else ""
    return short(found["sources_sha256"]) + note


def _flat_hardware(found: Mapping) -> dict:
    rest = dict(found.get("hardware", {}))
    of_processor = rest.pop("processor", {}).items()
    return {
        **{f"processor's {name}": value for name, value in of_processor},
        **{_WORDS.get(name, name): value for name, value in rest.items()},
    }


def _changed(before: Mapping, now: Mapping, what: str) -> list[str]:
    return [
        f"{what}{name} was {before[name]!r} and is now {now[name]!r}"
        for name in now
        # The number of threads is a text where the environment says it.
        if name in before and str(before[name]) != str(now[name])
    ]


def _version(name: str) -> str:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:  # under another name, as tensorflow-cpu
        return str(getattr(importlib.import_module(name), "__version__", ""))


def _cores() -> int:
    """The cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
