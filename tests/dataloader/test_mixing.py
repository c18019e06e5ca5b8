import numpy as np
import pytest
import scipy.stats
import tensorflow as tf

from dataloader import mixing

RNG = np.random.default_rng(0)
IMAGES = RNG.integers(0, 256, [5, 6, 8, 3], np.uint8)
BATCH = {"image": tf.constant(IMAGES), "label": tf.range(5), "index": tf.range(5) + 20}


def draw(count=2000, height=32, width=24, *, seed=0, epoch=0, mixup=0.0, cutmix=0.0):
    drawn = mixing.draw(seed, epoch, count, height, width, mixup=mixup, cutmix=cutmix)
    return {name: value.numpy() for name, value in drawn.items()}


# What is drawn


@pytest.mark.parametrize("alpha", [0.01, 0.2, 1.0, 8.0, 1e6])
def test_mixups_share_has_a_beta_distribution(alpha):
    drawn = draw(mixup=alpha)
    share = drawn["share"].astype(np.float64)
    assert not drawn["is_cutmix"].any()
    assert drawn["share"].dtype == np.float32
    assert share.min() >= 0 and share.max() <= 1
    beta = scipy.stats.beta(alpha, alpha)
    # Half of a small alpha's shares are so near to 1 that a float says 1.
    points = np.linspace(0.01, 0.99, 99)
    gaps = (share[:, np.newaxis] <= points).mean(axis=0) - beta.cdf(points)
    assert np.abs(gaps).max() < 0.03


def test_boxes_are_the_papers():
    """Any pixel is the centre; the sides are sqrt(1 - lambda) of the image's."""
    drawn = draw(5000, cutmix=1.0)
    top, bottom, left, right = drawn["box"].T
    assert drawn["is_cutmix"].all()
    assert (top >= 0).all() and (bottom <= 32).all() and (top <= bottom).all()
    assert (left >= 0).all() and (right <= 24).all() and (left <= right).all()
    area = (bottom - top) * (right - left) / (32 * 24)
    np.testing.assert_allclose(drawn["share"], 1 - area, rtol=0, atol=1e-6)
    # Boxes that no border clips keep the image's shape, but for whole pixels.
    is_whole = (top > 0) & (bottom < 32) & (left > 0) & (right < 24)
    heights, widths = (bottom - top)[is_whole], (right - left)[is_whole]
    assert is_whole.sum() > 500
    assert np.abs(heights / 32 - widths / 24).max() < 2 / 24
    assert (heights % 2 == 0).all() and (widths % 2 == 0).all()
    # Beta(1, 1) is uniform, so P(side < s) = s^2; at the centre few are clipped.
    rows, columns = (top + bottom) / 2, (left + right) / 2
    centred = (np.abs(rows - 16) < 3) & (np.abs(columns - 12) < 3)
    shares = ((bottom - top) / 32)[centred]
    assert abs((shares < 0.5).mean() - 0.25) < 0.12
    # Centres lie everywhere: 1 - area is larger than lambda by what is clipped.
    assert (top == 0).mean() > 0.2 and (right == 24).mean() > 0.2
    assert 0.6 < drawn["share"].mean() < 0.75


def test_of_both_each_batch_gets_one():
    both = draw(mixup=0.2, cutmix=1.0)
    assert abs(both["is_cutmix"].mean() - 0.5) < 0.04
    alone = {"mixup": draw(mixup=0.2), "cutmix": draw(cutmix=1.0)}
    is_cutmix = both["is_cutmix"]
    np.testing.assert_array_equal(
        both["share"],
        np.where(is_cutmix, alone["cutmix"]["share"], alone["mixup"]["share"]),
    )
    np.testing.assert_array_equal(both["box"], alone["cutmix"]["box"])
    # The choice says nothing of the share.
    assert abs(np.corrcoef(is_cutmix, alone["mixup"]["share"])[0, 1]) < 0.07


def test_draw_is_a_function_of_seed_epoch_and_batch():
    alphas = {"mixup": 0.4, "cutmix": 1.0}
    first, fewer = draw(50, **alphas), draw(20, **alphas)
    for name, value in first.items():
        np.testing.assert_array_equal(value[:20], fewer[name], name)
    for other in ({"seed": 1}, {"epoch": 1}):
        others = draw(50, **alphas, **other)
        assert (first["share"] == others["share"]).mean() < 0.2


# What is done with it


def numpy_mix(drawn):
    others = np.roll(IMAGES, -1, axis=0)
    if drawn["is_cutmix"]:
        top, bottom, left, right = drawn["box"]
        images = IMAGES.copy()
        images[:, top:bottom, left:right] = others[:, top:bottom, left:right]
        return images
    return drawn["share"] * IMAGES + (1 - drawn["share"]) * others


@pytest.mark.parametrize(
    "alphas", [{"mixup": 1.0}, {"cutmix": 1.0}, {"mixup": 1.0, "cutmix": 1.0}]
)
def test_images_are_mixed_with_the_next_one(alphas):
    drawn = draw(6, 6, 8, **alphas)
    alphas = {"mixup": 0.0, "cutmix": 0.0, **alphas}
    for i in range(6):
        one = {name: value[i] for name, value in drawn.items()}
        found = mixing.mix(BATCH, one, **alphas)
        assert found["image"].dtype == tf.uint8
        # Half a grey level is what the rounding costs.
        gaps = found["image"].numpy().astype(float) - numpy_mix(one)
        assert np.abs(gaps).max() <= 0.5 + 1e-4
        np.testing.assert_array_equal(found["label"], [0, 1, 2, 3, 4])
        np.testing.assert_array_equal(found["other_label"], [1, 2, 3, 4, 0])
        np.testing.assert_array_equal(found["label_share"], [one["share"]] * 5)
        np.testing.assert_array_equal(found["index"], BATCH["index"])


def test_the_ends_of_the_share_are_the_images_themselves():
    others = np.roll(IMAGES, -1, axis=0)
    for share, expected in ((0.0, others), (1.0, IMAGES)):
        found = mixing.blended(BATCH["image"], tf.constant(others), share)
        np.testing.assert_array_equal(found, expected)
    one = tf.constant(IMAGES)
    np.testing.assert_array_equal(mixing.blended(one, one, 0.3), IMAGES)
