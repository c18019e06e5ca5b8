import numpy as np
import pytest
import tensorflow as tf

from dataloader import cutout

MEAN = (0.2, 0.5001, 1.0)


@pytest.mark.parametrize("size", [1, 2, 3, 6])
@pytest.mark.parametrize("shape", [(7, 6, 3), (6, 9, 1)], ids=str)
def test_squares_are_clipped_and_filled_with_the_mean(size, shape):
    centres = np.array(list(np.ndindex(shape[:2])), np.int32)
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, [len(centres), *shape], np.uint8)
    mean = MEAN[: shape[-1]]
    found = cutout.cut_out(tf.constant(images), centres, size, mean)
    assert (found.dtype, found.shape) == (tf.uint8, images.shape)
    expected = images.copy()
    for image, (row, column) in zip(expected, centres, strict=True):
        top, left = row - size // 2, column - size // 2
        square = image[max(top, 0) : top + size, max(left, 0) : left + size]
        square[:] = np.array([51, 128, 255], np.uint8)[: shape[-1]]
    np.testing.assert_array_equal(found, expected)


def test_one_mean_may_serve_all_channels():
    images = tf.zeros([2, 5, 5, 3], tf.uint8)
    found = cutout.cut_out(images, np.full([2, 2], 2, np.int32), 1, (0.5,))
    assert found[1, 2, 2].numpy().tolist() == [128, 128, 128]
    assert found.numpy().sum() == 2 * 3 * 128


def test_draw_covers_all_pixels_evenly():
    centres = cutout.draw(0, 0, 9000, 9, 5).numpy()
    assert (centres.dtype, centres.shape) == (np.int32, (9000, 2))
    for column, size in zip(centres.T, (9, 5), strict=True):
        counts = np.bincount(column)
        assert len(counts) == size
        np.testing.assert_allclose(counts, 9000 / size, rtol=0.12)
    assert abs(np.corrcoef(centres.T)[0, 1]) < 0.05


def test_draw_is_a_function_of_seed_epoch_and_index():
    first = cutout.draw(3, 5, 100, 32, 32)
    np.testing.assert_array_equal(first[:37], cutout.draw(3, 5, 37, 32, 32))
    for seed, epoch in ((3, 6), (4, 5), (5, 3)):
        assert (first == cutout.draw(seed, epoch, 100, 32, 32)).numpy().mean() < 0.1
