import numpy as np
import pytest
from sklearn import datasets

import dataloader


@pytest.fixture(scope="module")
def digits():
    return dataloader.load("digits")


def test_facts(digits):
    assert digits.name == "digits"
    assert (digits.input_shape, digits.num_classes) == ((8, 8, 1), 10)
    assert digits.class_names == tuple("0123456789")
    assert (len(digits.train), len(digits.test)) == (1438, 359)
    assert not digits.crops and not digits.flips
    for split in (digits.train, digits.test):
        assert (split.images.dtype, split.labels.dtype) == (np.uint8, np.int32)
        assert len(split.images) == len(split.labels)
    assert (digits.train.images.min(), digits.train.images.max()) == (0, 255)


def test_each_image_comes_once(digits):
    published = np.rint(datasets.load_digits().images * 255 / 16).astype(np.uint8)
    images = np.concatenate([digits.train.images, digits.test.images])[..., 0]

    def rows(array):
        return sorted(image.tobytes() for image in array)

    assert rows(images) == rows(published)


def test_classes_are_balanced(digits):
    train, test = (np.bincount(s.labels) for s in (digits.train, digits.test))
    np.testing.assert_array_equal(test, np.rint(0.2 * (train + test)))


def test_every_load_is_the_same(digits):
    again = dataloader.load("digits")
    np.testing.assert_array_equal(again.train.images, digits.train.images)
    np.testing.assert_array_equal(again.test.labels, digits.test.labels)
    # Stored numbers: the split must outlive new versions of NumPy and scikit-learn,
    # or results of different machines cannot be compared.
    assert digits.test.labels[:12].tolist() == [7, 8, 5, 9, 0, 6, 0, 5, 7, 1, 1, 6]
    assert int(digits.test.images.sum(dtype=np.int64)) == 1787897


def test_statistics_normalise_the_training_split(digits):
    pixels = (digits.train.images / 255 - digits.mean) / digits.std
    np.testing.assert_allclose([pixels.mean(), pixels.std()], [0, 1], atol=1e-9)
