import random

import keras
import numpy as np
import pytest
import tensorflow as tf

import nets
from nets.conv_bn import ConvBN
from nets.layers import LayerMaker
from nets.resnet import ResNet
from nets.wresnet import WResNet


@pytest.mark.parametrize("name", ["resnet8", "wrn_10_1"])
@pytest.mark.parametrize("shape", [(48, 48, 1), (8, 8, 1), (4, 12, 5)])
def test_any_size_that_the_strides_divide(name, shape):
    net = nets.build(name, 5, shape)
    assert net(np.zeros((2, *shape), "float32")).shape == (2, 5)


@pytest.mark.parametrize("name", ["resnet8", "wrn_10_1"])
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"input_shape": (30, 32, 3)}, r"4 divides.*input_shape=\(30, 32, 3\)"),
        ({"input_shape": (32, 33, 3)}, r"4 divides.*input_shape=\(32, 33, 3\)"),
        ({"input_shape": (32, 32)}, r"\(height, width, channels\).*\(32, 32\)"),
        ({"input_shape": (0, 32, 3)}, "at least 1.*height=0"),
        ({"input_shape": (32, None, 3)}, "width=None"),
        ({"num_classes": 1}, "at least 2.*num_classes=1"),
        ({"num_classes": 10.0}, "num_classes=10.0"),
        ({"num_classes": True}, "num_classes=True"),
        ({"mean": (0.5, 0.5)}, r"3 finite numbers.*mean=\(0.5, 0.5\)"),
        ({"std": (1.0, float("nan"), 1.0)}, "3 finite numbers.*std="),
        ({"std": (1.0, 0.0, 1.0)}, r"positive.*std=\(1.0, 0.0, 1.0\)"),
        ({"seed": -1}, "seed=-1"),
        ({"seed": 0.5}, "seed=0.5"),
    ],
)
def test_bad_arguments(name, arguments, message):
    with pytest.raises(ValueError, match=message):
        nets.build(name, **{"num_classes": 10, **arguments})


def test_bad_architectures():
    with pytest.raises(ValueError, match="as many of the one as of the other"):
        ResNet(10, blocks=(1, 1), widths=(16, 32, 64))
    with pytest.raises(ValueError, match="at least 1.*blocks=0"):
        ResNet(10, blocks=(1, 0, 1))
    with pytest.raises(ValueError, match="one of .*'raw'.*shortcut='none'"):
        WResNet(10, shortcut="none")
    with pytest.raises(ValueError, match="one of .*'same'.*padding='valid'"):
        WResNet(10, padding="valid")


def test_normalise(make_net):
    mean, std = (0.5, 0.4, 0.3), (0.2, 0.25, 0.3)
    net = make_net("resnet8", mean=mean, std=std)
    pixels = np.random.default_rng(0).integers(0, 256, (2, 8, 8, 3), np.uint8)
    normalised = net.normalise(pixels)
    assert normalised.dtype == tf.float32
    np.testing.assert_allclose(normalised, (pixels / 255 - mean) / std, atol=1e-5)
    plain = make_net("resnet8").normalise(pixels)
    np.testing.assert_allclose(plain, pixels / 255, atol=1e-6)
    with pytest.raises(ValueError, match="uint8.*float32"):
        net.normalise(normalised)
    with pytest.raises(ValueError, match="normalise.*uint8"):
        net(pixels)


def test_images_of_another_size_are_refused(make_net):
    with pytest.raises(ValueError, match="expected shape=.None, 8, 8, 3"):
        make_net("resnet8")(np.zeros((1, 16, 16, 3), "float32"))


@pytest.mark.parametrize("name", ["resnet8", "wrn_10_1", "ShuffleV1"])
def test_a_seed_settles_the_weights(name):
    one = nets.build(name, 10, seed=3)
    nets.build("resnet8", 10)
    keras.utils.set_random_seed(99)
    same, other, fresh = (nets.build(name, 10, seed=s) for s in (3, 4, None))
    for a, b, c, d in zip(
        *(net.trainable_variables for net in (one, same, other, fresh)), strict=True
    ):
        np.testing.assert_array_equal(a, b)
        if a.name == "kernel":
            assert np.all(np.mean(np.equal(a, c)) < 0.01)
            assert np.all(np.mean(np.equal(a, d)) < 0.01)


def test_building_leaves_the_global_random_state_alone():
    before = random.getstate(), np.random.get_state()[1].tolist()
    nets.build("resnet8", 10, seed=3)
    nets.build("wrn_10_1", 10)
    assert (random.getstate(), np.random.get_state()[1].tolist()) == before


def test_layers_of_one_net_draw_differently():
    net = nets.build("resnet14", 10, seed=0)
    kernels = {}
    for variable in net.trainable_variables:
        if variable.name == "kernel":
            kernels.setdefault(tuple(variable.shape), []).append(variable.numpy())
    for same_shape in kernels.values():
        assert len({kernel.tobytes() for kernel in same_shape}) == len(same_shape)


@pytest.mark.parametrize(("name", "zero_bias"), [("resnet8x4", 0), ("wrn_10_4", 1)])
def test_initial_weights_follow_the_published_distributions(name, zero_bias):
    net = nets.build(name, 100, seed=0)
    kernel = net.stages[2].blocks[0].conv2.kernel.numpy()  # [3, 3, 256, 256]
    std = (2 / (3 * 3 * 256)) ** 0.5
    np.testing.assert_allclose([kernel.mean(), kernel.std()], [0, std], atol=std / 100)
    assert np.abs(kernel).max() > 3 * std  # not truncated at 2
    limit = 256**-0.5
    for weight in (net.head.kernel.numpy(), net.head.bias.numpy())[: 2 - zero_bias]:
        assert 0.9 * limit < np.abs(weight).max() <= limit
    assert np.any(net.head.bias.numpy()) != zero_bias
    for variable in net.variables:
        if variable.name in ("gamma", "moving_variance"):
            assert np.all(variable.numpy() == 1)
        elif variable.name in ("beta", "moving_mean"):
            assert not np.any(variable.numpy())


def _initial(layer, channels):
    layer.build((None, None, None, channels))
    return layer.kernel.numpy(), layer.bias.numpy() if layer.use_bias else None


@pytest.mark.parametrize("initial", ["fan_out", "fan_in"])
@pytest.mark.parametrize("groups", [1, 4])
def test_initial_convolutions(initial, groups):
    make = LayerMaker("float32", seed=0, initial=initial)
    kernel, bias = _initial(make.conv(256, 3, "conv", groups=groups), 128)
    assert bias is None
    assert kernel.shape == (3, 3, 128 // groups, 256)
    # PyTorch's fans: a filter reads one group, and all filters count in the fan-out.
    _check_spread(kernel, initial, fan_in=9 * 128 // groups, fan_out=9 * 256)


@pytest.mark.parametrize("initial", ["fan_out", "fan_in"])
def test_initial_depthwise_convolutions(initial):
    make = LayerMaker("float32", seed=0, initial=initial)
    kernel, bias = _initial(make.depthwise(2048, 3, "conv", bias_limit=0.5), 2048)
    assert kernel.shape == (3, 3, 2048, 1)
    _check_spread(kernel, initial, fan_in=9, fan_out=9 * 2048)
    assert 0.49 < np.abs(bias).max() <= 0.5


def _check_spread(kernel, initial, fan_in, fan_out):
    largest = np.abs(kernel).max()
    if initial == "fan_in":
        std = (3 * fan_in) ** -0.5
        assert 0.99 * fan_in**-0.5 < largest <= fan_in**-0.5 * 1.0001
    else:
        std = (2 / fan_out) ** 0.5
        assert largest > 3 * std  # not truncated at 2
    np.testing.assert_allclose([kernel.mean(), kernel.std()], [0, std], atol=std / 40)


@pytest.mark.parametrize(("initial", "largest"), [("fan_out", 0), ("fan_in", 1 / 12)])
def test_initial_bias_in_front_of_a_batch_norm(initial, largest):
    make = LayerMaker("float32", seed=0, initial=initial)
    layer = ConvBN(make, 16, 256, 3, "layer", bias=True)
    layer.build((None, None, None, 16))
    np.testing.assert_allclose(np.abs(layer.conv.bias).max(), largest, rtol=0.02)


def test_initial_head_of_vgg():
    net = nets.build("vgg8", 100, (8, 8, 3), seed=0)
    np.testing.assert_allclose(np.std(net.head.kernel), 0.01, rtol=0.02)
    assert not np.any(net.head.bias)
    assert not np.any(net.stages[0].blocks[0].conv_bn.conv.bias)


def test_the_distribution_must_be_known():
    with pytest.raises(ValueError, match="one of .*'fan_in'.*initial='lecun'"):
        LayerMaker("float32", initial="lecun")


def test_batch_norm_has_the_published_constants():
    batch_norm = LayerMaker("float32").batch_norm("bn")
    assert (batch_norm.epsilon, batch_norm.momentum) == (1e-5, 0.9)


def test_batch_norm_keeps_the_unbiased_variance():
    x = np.random.default_rng(0).normal(size=(2, 2, 2, 3)).astype("float32")
    batch_norm = LayerMaker("float32").batch_norm("bn")
    batch_norm.build(x.shape)
    normalised = batch_norm(x, training=True)
    axes = (0, 1, 2)
    expected = (x - x.mean(axes)) / np.sqrt(x.var(axes) + 1e-5)
    np.testing.assert_allclose(normalised, expected, atol=1e-5)
    np.testing.assert_allclose(batch_norm.moving_mean, 0.1 * x.mean(axes), atol=1e-6)
    np.testing.assert_allclose(
        batch_norm.moving_variance, 0.9 + 0.1 * x.var(axes, ddof=1), atol=1e-6
    )
