"""What each family of nets must do, on one net of each and small images.

A new class is found in the registry. Where its maps are no ReLUs of its
pre-activations, or these no outputs of a batch norm, `ONE_MAP`, `OTHER_MAPS` and
`CLOSING` say so.
"""

import functools

import keras
import numpy as np
import pytest
import tensorflow as tf

import nets
from nets import registry
from nets.grouped import GroupedConv2D, channel_shuffle
from nets.mobilenet_v2 import MobileNetV2
from nets.resnet import ResNet
from nets.shufflenet_v2 import ShuffleNetV2
from nets.vgg import VGG
from tests.nets.checkpoints import assert_a_checkpoint_holds_all

BOTTLENECK = functools.partial(
    ResNet, blocks=(1, 2), widths=(32, 64), bottleneck=True, large_stem=True
)
HEIGHTS = (8, 16, 32)  # of the images: the first that the net takes
# Nets whose maps are no ReLU of what they have as pre-activations, but the same; and
# those whose maps are something else, which a test of their own says.
ONE_MAP = ("MobileNetV2", "shufflenetV2-0.5")
OTHER_MAPS = ("ShuffleV2",)
# Taps with the batch norm in front of their ReLU, where not all `_pre` have one.
CLOSING = {
    "MobileNetV2": {"last_map_pre"},
    "ShuffleV2": {"last_map_pre"},
    "shufflenetV2-0.5": {"last_map_pre", "stage4_pre"},
}


def _families() -> tuple[str, ...]:
    """The first name of each class, and two that differ much from theirs."""
    first = {}
    for name, maker in registry._NETS.items():
        first.setdefault(getattr(maker, "func", maker), name)
    del first[ResNet]  # whose basic blocks are those of test_net_taps.py
    return ("bottleneck", *first.values(), "shufflenetV2-0.5")


FAMILIES = _families()
every_family = pytest.mark.parametrize("name", FAMILIES)


@functools.cache
def _family(name, perturb):
    build = BOTTLENECK if name == "bottleneck" else functools.partial(nets.build, name)
    for height in HEIGHTS:
        try:
            return perturb(build(10, input_shape=(height, height, 3), seed=7))
        except ValueError as error:
            refusal = error
    raise refusal


@pytest.fixture
def net(name, perturb):
    """A net that tests share: they leave it as it was."""
    return _family(name, perturb)


@pytest.fixture
def images(net):
    shape = (4, *net.image_shape)
    return np.random.default_rng(1).normal(size=shape).astype("float32")


def _same(got, expected, tolerance=0.0):
    np.testing.assert_allclose(got, expected, rtol=tolerance, atol=tolerance)


@every_family
def test_taps(net, images, name):
    logits, taps = net(images, with_taps=True)
    assert {n: tap.shape[1:] for n, tap in taps.items()} == {
        n: spec.shape for n, spec in net.tap_specs.items()
    }
    _same(net.head(taps["embedding"]), logits)
    _same(taps["stem_pre"], taps["stem"])
    for stage in net.stages:
        post, pre = taps[stage.name], taps[f"{stage.name}_pre"]
        assert np.min(pre) < 0
        if name in ONE_MAP:
            _same(pre, post)
        elif name not in OTHER_MAPS:
            _same(tf.nn.relu(pre), post)
    _same(tf.nn.relu(taps["last_map_pre"]), taps["last_map"])
    assert np.min(taps["last_map_pre"]) < 0


def test_shufflenet_v2_shows_its_pre_activation_unshuffled(perturb):
    net = _family("ShuffleV2", perturb)
    images = np.random.default_rng(1).normal(size=(2, 8, 8, 3)).astype("float32")
    taps = net(images, with_taps=True).taps
    for stage in net.stages:
        post, pre = taps[stage.name], taps[f"{stage.name}_pre"]
        _same(channel_shuffle(tf.nn.relu(pre), 2), post)
        assert not np.any(np.min(pre[..., : stage.filters // 2], axis=0) < 0)


@every_family
def test_closing_batch_norms(net, name):
    has_one = {n for n, s in net.tap_specs.items() if s.batch_norm is not None}
    stages = {f"{stage.name}_pre" for stage in net.stages}
    assert has_one == CLOSING.get(name, {"last_map_pre", *stages})


@every_family
def test_the_batch_norm_of_a_tap_moves_it(net, images, name):
    """Adding 1 to its beta adds 1 to the tap: nothing but a sum is in between."""
    before = net(images, with_taps=True).taps
    for tap, spec in net.tap_specs.items():
        if spec.batch_norm is not None:
            spec.batch_norm.beta.assign_add(tf.ones(spec.channels))
            after = net(images, with_taps=True).taps[tap]
            spec.batch_norm.beta.assign_sub(tf.ones(spec.channels))
            _same(after, before[tap] + 1, tolerance=1e-4)


@every_family
def test_every_trainable_variable_gets_a_gradient(net, images, name):
    kept = net.get_weights()
    with tf.GradientTape() as tape:
        loss = tf.reduce_mean(net(images, training=True) ** 2)
    variables = net.trainable_variables
    for variable, gradient in zip(
        variables, tape.gradient(loss, variables), strict=True
    ):
        # A batch norm takes the bias in front of it away: its gradient is only noise.
        takes_part = variable.name != "bias" or "head" in variable.path
        assert gradient is not None, variable.path
        assert np.any(gradient) or not takes_part, variable.path
    moved = [np.any(a != b) for a, b in zip(kept, net.get_weights(), strict=True)]
    assert sum(moved) == len(net.non_trainable_variables)
    net.set_weights(kept)


# Compiling takes seconds; the other families have no operation of their own. That of
# ShuffleV1 has a fast test below.
@pytest.mark.parametrize(
    "name", ["bottleneck", pytest.param("ShuffleV1", marks=pytest.mark.slow)]
)
def test_xla_gives_the_same(net, images, name):
    @tf.function(jit_compile=True)
    def compiled(x):
        return net(x, with_taps=True)

    plain, fast = net(images, with_taps=True), compiled(images)
    _same(fast.logits, plain.logits, tolerance=1e-4)
    for tap in plain.taps:
        _same(fast.taps[tap], plain.taps[tap], tolerance=1e-4)


@every_family
def test_a_loaded_net_is_the_saved_one(net, images, name, tmp_path):
    nets.save(net, tmp_path / "net.keras")
    loaded = nets.load(tmp_path / "net.keras")
    assert loaded.get_config() == net.get_config()
    _same(loaded(images), net(images))


@pytest.mark.parametrize(
    "net",
    [
        lambda: BOTTLENECK(3, (16, 8, 1), stem_width=4),
        lambda: VGG(3, (4, 8, 1), blocks=(2, 1, 3), widths=(4, 8, 4)),
        lambda: MobileNetV2(3, (16, 32, 1), width=0.25),
        lambda: ShuffleNetV2(3, (8, 8, 1), widths=(8, 12, 8), last_width=5),
    ],
)
def test_a_config_holds_every_argument(net):
    net = net()
    copy = type(net).from_config(net.get_config())
    assert copy.get_config() == net.get_config()
    shapes = [[v.shape for v in each.variables] for each in (net, copy)]
    assert shapes[0] == shapes[1]
    taps = copy(np.zeros((2, *net.image_shape), "float32"), with_taps=True).taps
    for tap, spec in net.tap_specs.items():
        assert taps[tap].shape == (2, *spec.shape)


@pytest.mark.parametrize(
    ("name", "policy", "tolerance"),
    [
        *((name, "bfloat16", 0.1) for name in FAMILIES),
        ("bottleneck", "float16", 0.01),
        ("ShuffleV1", "float16", 0.01),
    ],
)
def test_precision_policy_reaches_every_layer(net, images, name, policy, tolerance):
    config = {**net.get_config(), "dtype": f"mixed_{policy}"}
    copy = type(net).from_config(config)
    copy.set_weights(net.get_weights())
    output = copy(images, with_taps=True)
    for tensor in (output.logits, *output.taps.values()):
        assert tensor.dtype == policy
    assert {v.dtype for v in copy.variables} == {"float32"}
    exact = net(images)
    scale = np.max(np.abs(exact))
    _same(tf.cast(output.logits, "float32") / scale, exact / scale, tolerance)


@every_family
def test_a_checkpoint_holds_every_variable(net, name, tmp_path):
    assert_a_checkpoint_holds_all(net, tmp_path)


@pytest.mark.parametrize("name", ["bottleneck", "ShuffleV1"])
def test_input_gradients_are_differentiable(net, images, name):
    images = tf.constant(images)
    with tf.GradientTape() as outer:
        with tf.GradientTape() as inner:
            inner.watch(images)
            score = tf.reduce_sum(net(images) ** 2)
        loss = tf.reduce_sum(inner.gradient(score, images) ** 2)
    assert np.any(outer.gradient(loss, net.trainable_variables[0]))


def test_vgg_halves_the_last_stage_of_images_64_high():
    def strides(*shape):
        net = VGG(5, shape, widths=(4, 4, 4, 4, 4))
        assert net(np.zeros((1, *shape), "float32")).shape == (1, 5)
        return [net.tap_specs[f"stage{i}"].stride for i in (1, 2, 3, 4)]

    assert strides(64, 64, 3) == [2, 4, 8, 16]
    assert strides(32, 64, 1) == [2, 4, 8, 8]
    assert strides(128, 128, 3) == [2, 4, 8, 8]


def test_grouped_convolution_is_that_of_keras():
    x = np.random.default_rng(0).normal(size=(2, 6, 5, 12)).astype("float32")
    arguments = {
        "strides": 2,
        "groups": 3,
        "bias_initializer": "ones",
        "padding": "same",
    }
    ours, keras_own = (
        layer(6, 3, **arguments) for layer in (GroupedConv2D, keras.layers.Conv2D)
    )
    ours.build(x.shape)
    keras_own.build(x.shape)
    keras_own.set_weights(ours.get_weights())
    _same(ours(x), keras_own(x), tolerance=1e-5)
    _same(tf.function(ours, jit_compile=True)(x), ours(x), tolerance=1e-5)


def test_channel_shuffle_takes_the_groups_in_turn():
    x = np.broadcast_to(np.arange(6), (1, 2, 2, 6))
    assert channel_shuffle(x, 2)[0, 1, 1].numpy().tolist() == [0, 3, 1, 4, 2, 5]
    assert channel_shuffle(x, 3)[0, 0, 1].numpy().tolist() == [0, 2, 4, 1, 3, 5]
    y = np.random.default_rng(0).normal(size=(2, 3, 5, 4))
    _same(channel_shuffle(y, 2), y[..., [0, 2, 1, 3]])


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: nets.build("vgg8", 10, (12, 8, 3)), r"8 divides.*\(12, 8, 3\)"),
        (lambda: nets.build("vgg8", 10, (64, 72, 3)), r"16 divides.*\(64, 72, 3\)"),
        (lambda: nets.build("MobileNetV2", 10, (8, 8, 3)), "16 divides"),
        (lambda: nets.build("ResNet50-ImageNet", 10, (48, 48, 3)), "32 divides"),
        (lambda: nets.build("ShuffleV1", 1), "at least 2.*num_classes=1"),
        (lambda: VGG(10, blocks=(1,), widths=(8,)), r"at least 2.*len\(widths\)=1"),
        (lambda: VGG(10, blocks=(1, 1)), "as many of the one"),
        (lambda: ResNet(10, bottleneck=True, widths=(4, 6, 8)), "4 divides.*4, 6, 8"),
        (lambda: ShuffleNetV2(10, widths=(4, 8)), r"3 even.*widths=\(4, 8\)"),
        (lambda: ShuffleNetV2(10, widths=(4, 8, 9)), r"3 even.*widths=\(4, 8, 9\)"),
        (lambda: ShuffleNetV2(10, widths=(4, 8, 0)), "at least 1.*widths=0"),
        (lambda: ShuffleNetV2(10, order="post"), "one of.*order='post'"),
        (lambda: MobileNetV2(10, width=0), "1/16.*width=0"),
        (lambda: MobileNetV2(10, width="1"), "width='1'"),
    ],
)
def test_bad_arguments(build, message):
    with pytest.raises(ValueError, match=message):
        build()
