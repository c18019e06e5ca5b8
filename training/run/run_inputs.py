"""Digests of what a run takes from outside and its settings do not digest."""

import pathlib
from collections.abc import Mapping

from options import user_code
from options.settings import FILES
from training.run import fingerprint, run_files

IMPORTS = "--imports="  # how the entries of a user's files begin
TEACHER = "the teacher's weights"
STUDENT = "the student's first weights"


def digests(settings, method, teacher, student) -> dict[str, str]:
    """What -> SHA-256, in the words of errors.

    Files of nets and weights are in the settings by their content. A teacher that was
    trained before is found by its settings alone, weights from the network by their
    name, and a user's code by its file's.

    Args:
        settings: the `settings.Options`.
        method: the distiller.
        teacher: the net, trained unless the method does it; None if there is none.
        student: the net, before its training.

    Raises:
        ValueError: a file in the folder of a finished run is not what that run wrote.
    """
    for name in FILES:
        if settings.is_file(name):
            run_files.check_given(pathlib.Path(getattr(settings, name)))
    found = {f"{IMPORTS}{name}": user_code.digest(name) for name in settings.imports}
    # One that learns along begins with fresh weights, which nothing brings.
    if teacher is not None and not method.trains_teacher:
        found[TEACHER] = fingerprint.net_digest(teacher)
    if settings.student_weights == "imagenet":
        found[STUDENT] = fingerprint.net_digest(student)
    return found


def changed_code(result: Mapping) -> tuple[str, ...]:
    """The user's files that are not what they were when a run was made, by their names.

    Args:
        result: of a finished run; one of an earlier version says nothing.
    """
    inputs = result.get("inputs", {})
    found = {
        entry.removeprefix(IMPORTS): digest
        for entry, digest in (inputs if isinstance(inputs, dict) else {}).items()
        if entry.startswith(IMPORTS)
    }
    return tuple(name for name, digest in found.items() if _now(name) != digest)


def _now(name: str) -> str:
    try:
        return user_code.digest(name)
    except (ImportError, OSError, ValueError):
        return "not here"
