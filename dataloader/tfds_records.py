"""Where each example of a prepared TFDS set lies in its files, for random access."""

import dataclasses
import functools
import hashlib
import json
import os
import pathlib

import numpy as np
import tensorflow as tf

from common.errors import wrong
from dataloader import fetching, result_cache
from dataloader.dataset import Split
from dataloader.encoded import Records
from dataloader.pixels import count_values
from dataloader.threads import in_threads
from dataloader.without_autotuning import without_autotuning

KEPT = ".record_places.npz"  # beside the prepared files
SAMPLE = 5000  # images that mean and deviation are taken from, at least, if it has them
_FORMAT = 1  # of that file
# TFRecord: the data's length (8 bytes) and its checksum (4), the data, theirs (4).
_BEFORE, _AFTER = 12, 4


@dataclasses.dataclass(frozen=True)
class Found:
    """Splits whose images are left in the files.

    Attributes:
        splits: in the order that was asked for.
        digest: SHA-256 of the content. Of images of one size it is that of the
            decoded arrays, as for images in memory; otherwise of the records.
        counts: int64 [C, 256], how often each channel has each value in the first
            split; of images of several sizes, in `SAMPLE` of them at even distances.
    """

    splits: tuple[Split, ...]
    digest: str
    counts: np.ndarray


def find(builder, splits: tuple[str, ...], keys: tuple[str, str]) -> Found:
    """Finds all examples, without holding an image.

    The first time all files are read once, which also verifies their checksums; what
    is found is kept beside them and holds while their names and sizes stay the same.

    Args:
        builder: a prepared TFDS builder.
        splits: names of splits.
        keys: names of the image and the label.

    Raises:
        ValueError: the files are not TFRecords.
    """
    if builder.info.file_format.value != "tfrecord":
        raise wrong(
            "The prepared data cannot be read at random",
            expected="TFRecord files",
            received=f"{builder.name} as {builder.info.file_format.value}",
        )
    infos = [builder.info.splits[split] for split in splits]
    paths = [tuple(str(path) for path in info.filepaths) for info in infos]
    shape = builder.info.features[keys[0]].shape

    def made(arrays):
        return tuple(
            Split(
                Records(files, arrays[f"{split}.places"], keys[0], shape),
                arrays[f"{split}.labels"],
            )
            for split, files in zip(splits, paths, strict=True)
        )

    def search():
        arrays = {}
        for split, files in zip(splits, paths, strict=True):
            for name, array in _find(files, keys[1], split).items():
                arrays[f"{split}.{name}"] = array
        return arrays | _content(made(arrays), arrays)

    sizes = [
        (os.path.basename(path), os.path.getsize(path))
        for files in paths
        for path in files
    ]
    key = json.dumps([_FORMAT, str(builder.version), splits, keys, shape, sizes])
    key = hashlib.sha256(key.encode()).hexdigest()
    arrays = result_cache.recall(
        pathlib.Path(str(builder.data_path)) / KEPT, key, search
    )
    return Found(made(arrays), arrays["digest"].tobytes().hex(), arrays["counts"])


def _content(splits, arrays):
    """Digest and counts, see `Found`."""
    digest, train = hashlib.sha256(), splits[0].images
    if None in train.shape:
        for name, array in arrays.items():
            if name.endswith(".sha256"):
                digest.update(array)
        step = max(len(train) // SAMPLE, 1)
        sample = train[np.arange(0, len(train), step)]
        counts = sum(
            count_values(image[np.newaxis])
            for image in fetching.decoded(sample).as_numpy_iterator()
        )
    else:
        counts = 0
        for split in splits:
            digest.update(f"uint8{split.images.shape}".encode())
            for batch in fetching.decoded(split.images).batch(256).as_numpy_iterator():
                digest.update(batch)
                if split is splits[0]:
                    counts += count_values(batch)
            digest.update(f"int32{split.labels.shape}".encode())
            digest.update(split.labels)
    return {"digest": np.frombuffer(digest.digest(), np.uint8), "counts": counts}


def _find(paths, label_key, split):
    """All records of one split, in the order of the files."""
    files, labels, digest = [], [], hashlib.sha256()
    read = functools.partial(_find_in_file, label_key=label_key)
    found = in_threads(read, paths, f"reading {split}", "files", [1] * len(paths))
    for number, (lengths, file_labels, file_digest) in enumerate(found):
        ends = np.cumsum(lengths + _BEFORE + _AFTER)
        starts = ends - lengths - _AFTER
        file = np.full_like(starts, number)
        files.append(np.stack([file, starts, lengths], axis=1))
        labels.append(file_labels)
        digest.update(file_digest)
    return {
        "places": np.concatenate(files),
        "labels": np.concatenate(labels).astype(np.int32),
        "sha256": np.frombuffer(digest.digest(), np.uint8),
    }


def _find_in_file(path, label_key):
    """Lengths and labels of a file's records, and the SHA-256 of their bytes."""
    features = {label_key: tf.io.FixedLenFeature([], tf.int64)}

    def with_labels(records):
        return records, tf.io.parse_example(records, features)[label_key]

    lengths, labels, digest = [], [], hashlib.sha256()
    batches = tf.data.TFRecordDataset(path).batch(64).map(with_labels)
    for records, some_labels in without_autotuning(batches).as_numpy_iterator():
        labels.extend(some_labels.tolist())
        for record in records:
            lengths.append(len(record))
            digest.update(len(record).to_bytes(8, "little") + record)
    return np.array(lengths, np.int64), np.array(labels, np.int64), digest.digest()
