"""What a teacher's kept outputs depend on, to the last bit."""

import dataclasses
import hashlib
import json

import numpy as np

from training.run import fingerprint, provenance

FORMAT = 1


def facts(data, teacher, function, mean, std, precision: str) -> dict:
    """All that decides the arrays; JSON values.

    The augmentation's period is none of it: it says which versions of an image an epoch
    shows, not what they look like.

    Args:
        data: a `dataloader.TrainingData`.
        teacher: the net.
        function: its concrete forward function, with all that it gives.
        mean: per channel, what the images are normalised by.
        std: the same.
        precision: of the arrays.
    """
    augmentation = dataclasses.asdict(data.augmentation)
    del augmentation["period"]
    first = next(iter(data.version(0)))["image"].numpy()
    found = {
        **_common(data, teacher, function),
        "indices": _digest(np.asarray(data.indices, np.int64)),
        "images": len(data.indices),
        # Should the code of an augmentation change, its pixels tell.
        "first_images": _digest(first),
        "augmentation": augmentation,
        "data_seed": data.seed,
        "mean": list(map(float, mean)),
        "std": list(map(float, std)),
        "batch_size": data.batch_size,  # rounding depends on it
        "kept_as": precision,
    }
    return json.loads(json.dumps(found))


def test_facts(data, teacher, function) -> dict:
    """All that decides a teacher's logits on the test images; JSON values.

    Args:
        data: a `dataloader.TrainingData`.
        teacher: the net.
        function: its concrete forward function, from the pixels of a batch to logits.
    """
    batch = function.inputs[0].shape.as_list()
    found = {**_common(data, teacher, function), "split": "test", "batch": batch}
    return json.loads(json.dumps(found))


def _common(data, teacher, function) -> dict:
    return {
        "format": FORMAT,
        "teacher": {
            "name": teacher.name,
            "computation": fingerprint.graph_digest(function),
            "weights": fingerprint.weights_digest(function, teacher.variables),
            "precision": teacher.compute_dtype,
        },
        "data": data.digest,
        "image_shape": list(data.train.image_shape),
        "image_size": data.train.image_size,
        "versions": _versions(),
        "device": _device(),
    }


def of(found: dict) -> str:
    """A folder's name for these facts."""
    # Two nets that are called differently may be one net.
    teacher = {k: v for k, v in found["teacher"].items() if k != "name"}
    text = json.dumps({**found, "teacher": teacher}, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _digest(array: np.ndarray) -> str:
    text = f"{array.dtype.name}{array.shape}".encode()
    return hashlib.sha256(text + array.tobytes()).hexdigest()


def _versions() -> dict[str, str]:
    """Of what computes a forward pass."""
    found = provenance.versions()
    names = ("tensorflow", "keras", "numpy", provenance.KERNELS)
    return {name: found[name] for name in names}


def _device() -> dict:
    """What computes: another processor, or number of threads, rounds differently."""
    found = provenance.hardware()
    first, *_ = found.pop("devices")
    return {"kind": first, **found}
