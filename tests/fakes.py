"""Small nets and batches for tests of the methods."""

import keras
import numpy as np
import tensorflow as tf

from dataloader.without_autotuning import without_autotuning
from distiller.framework.base import DataSpec
from nets.taps import Output, TapSpec

NUM_CLASSES = 5
IMAGE_SIZE = 8
LABELS = np.arange(40, dtype=np.int32) % NUM_CLASSES


class Data(DataSpec):
    """A DataSpec that knows whether its labels were read."""

    labels_were_read = False

    def __getattribute__(self, name):
        if name == "labels":
            object.__setattr__(self, "labels_were_read", True)
        return super().__getattribute__(name)


def data(batch_size=4) -> Data:
    return Data(len(LABELS), NUM_CLASSES, LABELS, batch_size)


def shuffled(
    images, labels, batch_size, first_epoch, num_epochs, skip_batches
) -> tf.data.Dataset:
    """What a trainer asks for: whole batches, in an order that depends on the epoch."""
    orders = [
        np.random.default_rng(epoch).permutation(len(images))
        for epoch in range(first_epoch, first_epoch + num_epochs)
    ]
    index = np.concatenate([np.zeros(0, np.int32), *orders]).astype(np.int32)
    index = index[skip_batches * batch_size :]
    data = {"image": images[index], "label": labels[index], "index": index}
    dataset = tf.data.Dataset.from_tensor_slices(data)
    return without_autotuning(dataset.batch(batch_size, drop_remainder=True))


def batch(size=4, progress=0.5, seed=0) -> dict[str, tf.Tensor]:
    rng = np.random.default_rng(seed)
    index = np.arange(size) * 3
    images = rng.normal(size=(size, IMAGE_SIZE, IMAGE_SIZE, 3))
    return {
        "image": tf.constant(images, tf.float32),
        "label": tf.constant(LABELS[index]),
        "index": tf.constant(index, tf.int32),
        "epoch": tf.constant(1.0),
        "progress": tf.constant(progress),
        "seed": tf.constant([seed, 7], tf.int32),
    }


def specs(*shapes, names=None) -> dict[str, TapSpec]:
    """Taps `stage1`, `stage2`, ... of the given (H, W, C)."""
    names = names or [f"stage{i + 1}" for i in range(len(shapes))]
    return {
        name: TapSpec(tuple(shape), IMAGE_SIZE // shape[0])
        for name, shape in zip(names, shapes, strict=True)
    }


def output(maps=None, logits=None) -> Output:
    """An Output of arrays; taps as in `specs` where `maps` is a list."""
    if not isinstance(maps, dict):
        maps = {f"stage{i + 1}": m for i, m in enumerate(maps or ())}
    logits = np.zeros((2, NUM_CLASSES)) if logits is None else logits
    return Output(
        tf.constant(logits, tf.float32),
        {name: tf.constant(m, tf.float32) for name, m in maps.items()},
    )


class Net(keras.Model):
    """A stem and stages of convolution, batch norm and ReLU, with the usual taps."""

    converts_pixels = False

    def __init__(self, widths=(4, 6, 8), strides=(1, 2, 2), seed=0, name=None):
        super().__init__(dtype="float32", name=name)
        self.strides = strides
        self.stem = self._conv(widths[0], 1, seed)
        self.convs = tuple(
            self._conv(width, stride, seed + 1 + i)
            for i, (width, stride) in enumerate(zip(widths, strides, strict=True))
        )
        self.norms = tuple(
            keras.layers.BatchNormalization(momentum=0.9, epsilon=1e-5, dtype="float32")
            for _ in widths
        )
        self.head = keras.layers.Dense(
            NUM_CLASSES,
            kernel_initializer=keras.initializers.GlorotNormal(seed),
            dtype="float32",
        )
        self(tf.zeros([1, IMAGE_SIZE, IMAGE_SIZE, 3]))

    @staticmethod
    def _conv(width, stride, seed):
        return keras.layers.Conv2D(
            width,
            3,
            stride,
            padding="same",
            use_bias=False,
            kernel_initializer=keras.initializers.HeNormal(seed),
            dtype="float32",
        )

    def call(self, images, training=False, with_taps=False):
        x = tf.nn.relu(self.stem(images))
        taps = {"stem": x, "stem_pre": x}
        for i, (conv, norm) in enumerate(zip(self.convs, self.norms, strict=True), 1):
            taps[f"stage{i}_pre"] = norm(conv(x), training=training)
            x = taps[f"stage{i}"] = tf.nn.relu(taps[f"stage{i}_pre"])
        taps["last_map"], taps["last_map_pre"] = x, taps[f"stage{i}_pre"]
        taps["embedding"] = tf.reduce_mean(x, [1, 2])
        logits = self.head(taps["embedding"])
        return Output(logits, taps) if with_taps else logits

    @property
    def tap_specs(self) -> dict[str, TapSpec]:
        stride, found = 1, {}
        stem = TapSpec((IMAGE_SIZE, IMAGE_SIZE, self.stem.filters), 1)
        found["stem"] = found["stem_pre"] = stem
        for i, (conv, norm) in enumerate(zip(self.convs, self.norms, strict=True), 1):
            stride *= self.strides[i - 1]
            size = IMAGE_SIZE // stride
            shape = (size, size, conv.filters)
            found[f"stage{i}"] = TapSpec(shape, stride)
            found[f"stage{i}_pre"] = TapSpec(shape, stride, norm)
        found["last_map"] = found[f"stage{i}"]
        found["last_map_pre"] = found[f"stage{i}_pre"]
        found["embedding"] = TapSpec((conv.filters,), stride)
        return found

    def kill(self, channels=slice(None)):
        """Makes these channels of every stage's maps exactly 0."""
        for norm in self.norms:
            gamma = norm.gamma.numpy()
            gamma[channels] = 0.0
            norm.gamma.assign(gamma)
        return self
