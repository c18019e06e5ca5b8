"""Images that stay in their files, as PNG or JPEG, until a batch asks for them."""

import abc
import dataclasses
import os
from collections.abc import Callable

import numpy as np
import tensorflow as tf


class EncodedImages(abc.ABC):
    """Images to be read and decoded one by one; indexed like an array of images.

    Attributes:
        shape: (N, H, W, C) as they are once decoded to uint8; H and W are None
            where the images differ in size.
    """

    shape: tuple[int, int | None, int | None, int]

    @abc.abstractmethod
    def __getitem__(self, indices: np.ndarray) -> "EncodedImages":
        """The images at `indices`, in that order."""

    @abc.abstractmethod
    def reader(self) -> Callable[[tf.Tensor], tf.Tensor]:
        """A function for use in graphs: integer scalar -> that image's bytes."""

    def __len__(self) -> int:
        return self.shape[0]


@dataclasses.dataclass(frozen=True)
class ImageFiles(EncodedImages):
    """One file an image.

    Attributes:
        paths: bytes [N].
        image_shape: (H, W, C), H and W None where sizes differ.
    """

    paths: np.ndarray
    image_shape: tuple[int | None, int | None, int]

    @property
    def shape(self):
        """(N, H, W, C)."""
        return (len(self.paths), *self.image_shape)

    def __getitem__(self, indices):
        return ImageFiles(self.paths[indices], self.image_shape)

    def reader(self):
        """See `EncodedImages`."""
        with tf.device("CPU:0"):
            paths = tf.constant(self.paths)
        return lambda index: tf.io.read_file(paths[index])


@dataclasses.dataclass(frozen=True)
class Records(EncodedImages):
    """Images inside TFRecord files, by position: any order costs the same.

    Attributes:
        paths: the files.
        places: int64 [N, 3]: which file, first byte of the record's data, their
            number.
        feature: key of the image in the record, which is a `tf.train.Example`.
        image_shape: (H, W, C), H and W None where sizes differ.
    """

    paths: tuple[str, ...]
    places: np.ndarray
    feature: str
    image_shape: tuple[int | None, int | None, int]

    @property
    def shape(self):
        """(N, H, W, C)."""
        return (len(self.places), *self.image_shape)

    def __getitem__(self, indices):
        return dataclasses.replace(self, places=self.places[indices])

    def reader(self):
        """See `EncodedImages`."""
        with tf.device("CPU:0"):
            places = tf.constant(self.places)
        features = {self.feature: tf.io.FixedLenFeature([], tf.string)}

        def read(index):
            # TensorFlow's own readers go through a file from its start.
            record = tf.numpy_function(self._read, [places[index]], tf.string)
            record.set_shape([])
            return tf.io.parse_single_example(record, features)[self.feature]

        return read

    def _read(self, place):
        file, start, length = place.tolist()
        descriptor = os.open(self.paths[file], os.O_RDONLY)
        try:
            return os.pread(descriptor, length, start)
        finally:
            os.close(descriptor)
