"""What a finished run wrote, checked against its own record before it is believed."""

import pathlib
from collections.abc import Callable, Mapping

from common import files
from common.digests import file_digest, short
from common.errors import wrong
from training.run import fingerprint

RESULT = "result.json"
_KEPT = ("student.keras", "best_student.keras", "teacher.keras")
NAMES = ("metrics.csv", "train_indices.txt", *_KEPT)


def digests(folder: pathlib.Path) -> dict[str, str]:
    """Name -> SHA-256 of those files that are there."""
    return {
        name: file_digest(str(folder / name))
        for name in NAMES
        if (folder / name).exists()
    }


def check(folder: pathlib.Path, result: Mapping) -> None:
    """Raises ValueError if a file that is there is not the one that the run wrote.

    A finished run may be passed on without its nets. Earlier versions recorded nothing.

    Args:
        folder: of a finished run.
        result: what its `result.json` holds.
    """
    recorded = result.get("files", {})
    texts = [*recorded, *recorded.values()] if isinstance(recorded, dict) else [None]
    if not all(isinstance(text, str) for text in texts):
        raise wrong(
            f"{folder / RESULT} is damaged", expected="digests of files", files=recorded
        )
    for name, digest in recorded.items():
        path = folder / name
        if path.exists() and (found := file_digest(str(path))) != digest:
            raise ValueError(_refusal(path, "", digest, found))


def check_given(path: pathlib.Path) -> None:
    """The same of one file that a user names, if it lies in a finished run's folder."""
    record = path.parent / RESULT
    if not record.exists():
        return
    try:
        result = files.read_json(record)
    except ValueError:  # Whose file it is, nobody knows.
        return
    if isinstance(result, dict) and isinstance(result.get("files"), dict):
        own = {n: d for n, d in result["files"].items() if n == path.name}
        check(path.parent, {"files": own})


def check_all(folder, load: Callable) -> None:
    """The same, and of a run whose files were not recorded the student's weights.

    Args:
        folder: the `run_folder.RunFolder` of a finished run.
        load: path -> net.

    Raises:
        ValueError: see `check`; or the result, or the student, cannot be read.
    """
    result = files.read_json(folder.result)
    if not isinstance(result, dict):
        raise wrong(
            f"{folder.result} is damaged", expected="a result", received=f"{result!r}"
        )
    check(folder.path, result)
    recorded = result.get("student", {}).get("weights_sha256")
    if "files" not in result and recorded and folder.student.exists():
        found = fingerprint.net_digest(load(folder.student))
        if found != recorded:
            raise ValueError(_refusal(folder.student, " of weights", recorded, found))


def _refusal(path: pathlib.Path, what: str, expected: str, found: str) -> str:
    return (
        f"{path} is not what the run wrote. Expected the SHA-256{what} in "
        f"{RESULT} beside it, {short(expected)}. Received: {short(found)}. Bring the "
        "file back, or move the folder away: the same command then trains it anew."
    )
