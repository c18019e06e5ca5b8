"""Decodes every image file once: which are bad, their sizes, colours and content."""

import hashlib
from collections.abc import Sequence

import numpy as np
import tensorflow as tf

from dataloader import decoding, exif
from dataloader.pixels import count_values
from dataloader.threads import in_threads

_CHUNK = 32  # files a task: fewer keep the progress line moving, more cost less
_PNG, _JPEG = b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff"
_GREY_PNG = (0, 4)  # colour types: grey, grey with transparency


# What is known of a file; nothing but the problem, where there is one.
FACTS = np.dtype(
    [
        ("problem", "S32"),  # empty: the image is good
        ("size", np.int32, 2),  # height, width
        ("is_grey", np.bool_),  # of one channel, transparency apart
        ("orientation", np.uint8),  # of EXIF: 1 is upright
        ("sha256", np.uint8, 32),  # of the file
    ]
)


def check(paths: Sequence[bytes], label: str) -> tuple[np.ndarray, np.ndarray]:
    """Reads and decodes all files, in parallel.

    Args:
        paths: of PNG or JPEG files.
        label: what the progress line calls them; there is one only if it takes long
            and stderr is a terminal.

    Returns:
        facts: `FACTS` [N].
        counts: int64 [3, 256], how often red, green and blue have each value in all
            good images; grey counts as each of the three.
    """
    chunks = [paths[i : i + _CHUNK] for i in range(0, len(paths), _CHUNK)]
    facts, counts = [], np.zeros([3, 256], np.int64)
    sizes = list(map(len, chunks))
    found = in_threads(_check_chunk, chunks, f"checking {label}", "images", sizes)
    for chunk_facts, chunk_counts in found:
        facts.append(chunk_facts)
        counts += chunk_counts
    return np.concatenate(facts), counts


def _check_chunk(paths):
    facts, counts = np.zeros(len(paths), FACTS), np.zeros([3, 256], np.int64)
    for fact, path in zip(facts, paths, strict=True):
        fact["problem"] = _check_file(path, fact, counts)
    return facts, counts


def _check_file(path, fact, counts):
    """What is wrong with a file; if nothing, its facts are written, pixels counted."""
    try:
        with open(path, "rb") as file:
            encoded = file.read()
    except OSError as error:
        return str(error.strerror).encode("ascii", "replace")
    if not encoded:
        return b"empty"
    if not encoded.startswith((_PNG, _JPEG)):
        return b"neither PNG nor JPEG"
    try:
        image = decoding.decode(encoded, 3).numpy()
        fact["is_grey"] = _is_grey(encoded)
    except tf.errors.OpError:
        return b"damaged"
    fact["size"] = image.shape[:2]
    fact["orientation"] = exif.orientation(encoded)
    fact["sha256"] = np.frombuffer(hashlib.sha256(encoded).digest(), np.uint8)
    counts += count_values(image[np.newaxis])
    return b""


def _is_grey(encoded):
    if encoded.startswith(_PNG):
        return encoded[25] in _GREY_PNG
    return int(tf.image.extract_jpeg_shape(encoded)[2]) == 1
