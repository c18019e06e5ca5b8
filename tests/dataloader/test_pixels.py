import numpy as np

from dataloader import pixels


def test_statistics_are_those_of_numpy():
    images = np.random.default_rng(0).integers(0, 256, [1500, 5, 4, 3], np.uint8)
    images[..., 1] //= 3
    mean, std = pixels.pixel_statistics(images)
    np.testing.assert_allclose(mean, (images / 255).mean(axis=(0, 1, 2)), rtol=1e-12)
    np.testing.assert_allclose(std, (images / 255).std(axis=(0, 1, 2)), rtol=1e-12)
    assert all(type(number) is float for number in mean + std)  # goes into JSON


def test_a_constant_channel_can_be_divided_by_its_deviation():
    _, std = pixels.pixel_statistics(np.full([2, 3, 3, 1], 9, np.uint8))
    assert std == (1 / 255,)
