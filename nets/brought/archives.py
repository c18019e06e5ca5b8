"""Archives that hold several checkpoints: what is in them, for a clear refusal."""

import contextlib
import pathlib
import tarfile
import zipfile

from common.errors import wrong

_SHOWN = 6  # names in a message


def members(path: pathlib.Path) -> tuple[str, ...]:
    """Names of the files in a zip or tar archive; empty if it is neither.

    A zip that is itself one model, of Keras or of `torch.save`, is no archive here.
    """
    with contextlib.suppress(OSError, zipfile.BadZipFile, tarfile.TarError, EOFError):
        if zipfile.is_zipfile(path):
            with zipfile.ZipFile(path) as archive:
                names = [x.filename for x in archive.infolist() if not x.is_dir()]
            is_model = is_keras(names) or sum(map(_is_of_torch, names)) == 1
            return () if is_model else tuple(names)
        if tarfile.is_tarfile(path):
            with tarfile.open(path) as archive:
                return tuple(x.name for x in archive if x.isfile())
    return ()


def is_keras(names) -> bool:
    """Whether these are the members of a `.keras` file."""
    return {"config.json", "metadata.json"} <= set(names)


def check_none(path: pathlib.Path, expected: str) -> None:
    """Raises ValueError, with the names of the members, if the file is an archive.

    Args:
        path: of any file.
        expected: what to give instead, such as "one .keras file".
    """
    names = members(path)
    if names:
        more = f", and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
        count = f"{len(names)} files" if len(names) > 1 else "one file"
        raise wrong(
            f"The file is an archive of {count}",
            expected=f"{expected}, unpacked from it: {', '.join(names[:_SHOWN])}{more}",
            path=path,
        )


def _is_of_torch(name: str) -> bool:
    return name.count("/") == 1 and name.endswith("/data.pkl")
