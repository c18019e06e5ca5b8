import numpy as np
import pytest
import tensorflow as tf

from op_utils import pooling


def pooled(maps, height, width):
    """Cell by cell, as the definition says."""
    _, rows, columns, _ = maps.shape
    result = np.empty((maps.shape[0], height, width, maps.shape[3]))
    for i in range(height):
        for j in range(width):
            top, bottom = (
                int(np.floor(i * rows / height)),
                int(np.ceil((i + 1) * rows / height)),
            )
            left, right = (
                int(np.floor(j * columns / width)),
                int(np.ceil((j + 1) * columns / width)),
            )
            result[:, i, j] = maps[:, top:bottom, left:right].mean((1, 2))
    return result


SIZES = [
    ((8, 8), (4, 4)),  # bins side by side
    ((7, 7), (4, 4)),  # overlapping bins
    ((8, 6), (4, 5)),  # side by side along one axis alone
    ((5, 3), (1, 1)),
    ((6, 4), (6, 4)),
]


@pytest.mark.parametrize("jit", [False, True])
@pytest.mark.parametrize("before, after", SIZES)
def test_pooling_and_its_gradient_equal_the_definition(before, after, jit):
    rng = np.random.default_rng(0)
    maps = rng.normal(size=(2, *before, 3)).astype(np.float32)
    weights = rng.normal(size=(2, *after, 3)).astype(np.float32)

    @tf.function(jit_compile=jit)
    def run(x):
        with tf.GradientTape() as tape:
            tape.watch(x)
            y = pooling.adaptive_average_pool(x, *after)
            total = tf.reduce_sum(y * weights)
        return y, tape.gradient(total, x)

    y, gradient = run(tf.constant(maps))
    np.testing.assert_allclose(y, pooled(maps, *after), rtol=1e-5, atol=1e-6)
    # Pooling is linear: the gradient's product with any maps is that of the result.
    other = rng.normal(size=maps.shape)
    np.testing.assert_allclose(
        (gradient * other).numpy().sum(),
        (pooled(other, *after) * weights).sum(),
        rtol=1e-4,
    )


@pytest.mark.parametrize("height, width", [(5, 4), (4, 5), (0, 4)])
def test_sizes_out_of_range_raise(height, width):
    with pytest.raises(ValueError, match=f"height={height}, width={width}"):
        pooling.adaptive_average_pool(tf.zeros([1, 4, 4, 1]), height, width)


@pytest.mark.parametrize("height, width", [(8, 6), (5, 3), (2, 7)])
def test_maps_can_be_enlarged_where_that_is_meant(height, width):
    maps = np.random.default_rng(0).normal(size=(2, 4, 3, 5))
    result = pooling.adaptive_average_pool(maps, height, width, enlarge=True)
    np.testing.assert_allclose(result, pooled(maps, height, width), rtol=1e-6)
    with pytest.raises(ValueError, match="height=0"):
        pooling.adaptive_average_pool(maps, 0, 6, enlarge=True)


def test_the_larger_map_is_pooled_along_each_axis():
    student, teacher = np.ones((2, 8, 3, 1)), np.ones((2, 4, 6, 5))
    s, t = pooling.pool_to_smaller(tf.constant(student), tf.constant(teacher))
    assert (s.shape, t.shape) == ((2, 4, 3, 1), (2, 4, 3, 5))


@pytest.mark.parametrize("before, after", [(6, 6), (6, 3), (6, 2), (6, 4), (5, 3)])
def test_channels_are_averaged_in_the_same_bins(before, after):
    maps = np.random.default_rng(0).normal(size=(2, 4, 3, before))
    found = pooling.average_channels(maps, after)
    assert found.shape == (2, 4, 3, after)
    as_rows = maps.reshape(2, 12, before, 1)
    expected = pooled(as_rows, 12, after).reshape(2, 4, 3, after)
    np.testing.assert_allclose(found, expected, rtol=1e-6)


@pytest.mark.parametrize("channels", [0, 5])
def test_channels_out_of_range_raise(channels):
    with pytest.raises(ValueError, match=f"channels={channels}"):
        pooling.average_channels(tf.zeros([1, 2, 2, 4]), channels)
