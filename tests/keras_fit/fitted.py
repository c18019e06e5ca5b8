"""Small Keras models and data for tests of `fit`."""

import keras
import numpy as np

from keras_fit.model import DistillationModel

RNG = np.random.default_rng(0)
IMAGES = RNG.integers(0, 256, (20, 8, 8, 3), np.uint8)
LABELS = np.arange(20, dtype=np.int32) % 3


def plain(seed=1, width=4):
    """A Keras model of 8x8 images in three classes."""
    keras.utils.set_random_seed(seed)
    return keras.Sequential(
        [
            keras.Input((8, 8, 3)),
            keras.layers.Rescaling(1 / 255),
            keras.layers.Conv2D(width, 3, activation="relu"),
            keras.layers.GlobalAveragePooling2D(),
            keras.layers.Dense(3),
        ]
    )


def model(method="none", optimizer="sgd", *, hparams=(), width=4, **compiled):
    """A compiled one; the teacher is a little wider than the student."""
    made = DistillationModel(plain(width=width), plain(2, 5), method, hparams=hparams)
    made.compile(optimizer, **compiled)
    return made


def two_phases(optimizer="sgd", **compiled):
    """FitNet's hint, then its softened predictions."""
    return model("FitNet", optimizer, hparams=("taps=last_stage",), **compiled)


def fit(made, **options):
    """`fit` on all images, in batches of 5."""
    data = {"x": IMAGES, "y": LABELS, "batch_size": 5, "verbose": 0}
    return made.fit(**data | options)
