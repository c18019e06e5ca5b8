import keras
import numpy as np
import pytest
import tensorflow as tf

import nets

NAMES = ("resnet14", "resnet8x4", "wrn_16_1", "wrn_10_2")


def _same(got, expected, tolerance=0.0):
    np.testing.assert_allclose(got, expected, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("training", [False, True])
def test_logits_do_not_depend_on_with_taps(make_net, images, name, training):
    plain = make_net(name)(images, training=training)
    output = make_net(name)(images, training=training, with_taps=True)
    assert isinstance(output, nets.Output)
    _same(plain, output.logits)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("shape", [(8, 8, 3), (12, 16, 1)])
def test_specs_foretell_the_taps(make_net, name, shape):
    net = make_net(name, num_classes=5, input_shape=shape)
    output = net(np.zeros((2, *shape), "float32"), with_taps=True)
    assert list(output.taps) == list(net.tap_specs)
    for name, spec in net.tap_specs.items():
        assert output.taps[name].shape == (2, *spec.shape)
        assert spec.channels == spec.shape[-1]
        if name != "embedding":
            assert spec.shape[0] * spec.stride == shape[0]
    assert output.logits.shape == (2, 5)


@pytest.mark.parametrize("name", NAMES)
def test_every_map_has_a_pre_activation(make_net, images, name):
    taps = make_net(name)(images, with_taps=True).taps
    assert {f"{n}_pre" for n in taps if f"{n}_pre" in taps} == {
        f"{n}_pre" for n in ("stem", "stage1", "stage2", "stage3", "last_map")
    }
    for map_name in ("stage1", "stage2", "stage3", "last_map"):
        assert np.min(taps[f"{map_name}_pre"]) < 0
    _same(taps["stem_pre"], taps["stem"])
    _same(tf.nn.relu(taps["last_map_pre"]), taps["last_map"])


@pytest.mark.parametrize("name", ["resnet14", "resnet8x4"])
def test_resnet_maps_are_after_the_relu(make_net, images, name):
    taps = make_net(name)(images, with_taps=True).taps
    for stage in ("stage1", "stage2", "stage3"):
        _same(tf.nn.relu(taps[f"{stage}_pre"]), taps[stage])
    _same(taps["last_map"], taps["stage3"])


@pytest.mark.parametrize("name", ["wrn_16_1", "wrn_10_2"])
def test_wresnet_pre_activations_are_the_spec_batch_norm_of_the_sum(
    make_net, images, name
):
    net = make_net(name)
    taps = net(images, with_taps=True).taps
    for stage in ("stage1", "stage2", "stage3"):
        assert np.min(taps[stage]) < 0  # a raw sum
        batch_norm = net.tap_specs[f"{stage}_pre"].batch_norm
        _same(batch_norm(taps[stage], training=False), taps[f"{stage}_pre"])
    assert net.tap_specs["last_map_pre"].batch_norm is net.last_bn


def test_resnet_batch_norm_ends_the_residual_branch(make_net):
    net = make_net("resnet14")
    for stage in (1, 2, 3):
        batch_norm = net.tap_specs[f"stage{stage}_pre"].batch_norm
        assert batch_norm.gamma.path == f"resnet14/stage{stage}/block2/bn2/gamma"


@pytest.mark.parametrize("name", NAMES)
def test_head_maps_the_embedding_to_logits(make_net, images, name):
    net = make_net(name)
    output = net(images, with_taps=True)
    _same(net.head(output.taps["embedding"]), output.logits)
    pooled = np.mean(output.taps["last_map"], axis=(1, 2))
    _same(output.taps["embedding"], pooled, tolerance=1e-6)


@pytest.mark.parametrize(
    "name", ["resnet8", pytest.param("wrn_10_1", marks=pytest.mark.slow)]
)
def test_xla_gives_the_same(make_net, images, name):
    net = make_net(name)

    @tf.function(jit_compile=True)
    def compiled(x):
        return net(x, training=False, with_taps=True)

    plain, fast = net(images, with_taps=True), compiled(images)
    _same(fast.logits, plain.logits, tolerance=1e-5)
    for tap in plain.taps:
        _same(fast.taps[tap], plain.taps[tap], tolerance=1e-5)


@pytest.mark.parametrize("name", ["resnet8", "wrn_10_1"])
def test_every_trainable_variable_gets_a_gradient(make_net, images, name):
    net = make_net(name)
    with tf.GradientTape() as tape:
        logits = net(images, training=True)
        loss = tf.reduce_mean(logits**2)
    for variable, gradient in zip(
        net.trainable_variables,
        tape.gradient(loss, net.trainable_variables),
        strict=True,
    ):
        assert gradient is not None and np.any(gradient), variable.path


@pytest.mark.parametrize("training", [False, True])
def test_input_gradients_are_differentiable(make_net, images, training):
    net, images = make_net("wrn_10_1"), tf.constant(images)
    with tf.GradientTape() as outer:
        with tf.GradientTape() as inner:
            inner.watch(images)
            score = tf.reduce_sum(net(images, training=training) ** 2)
        loss = tf.reduce_sum(inner.gradient(score, images) ** 2)
    kernel = net.stages[0].blocks[0].conv1.kernel
    assert np.any(outer.gradient(loss, kernel))


@pytest.mark.parametrize("policy", ["mixed_bfloat16", "mixed_float16"])
@pytest.mark.parametrize("name", ["resnet8", "wrn_10_1"])
def test_precision_policy_reaches_every_layer(make_net, images, name, policy):
    net = make_net(name, dtype=policy)
    output = net(images, with_taps=True)
    expected = keras.DTypePolicy(policy).compute_dtype
    for tensor in (output.logits, *output.taps.values()):
        assert tensor.dtype == expected
    assert {v.dtype for v in net.variables} == {"float32"}
    exact = make_net(name)(images)
    _same(tf.cast(output.logits, tf.float32), exact, tolerance=0.1)


def test_compile_and_fit_work(make_net, images):
    net = make_net("resnet8")
    net.compile("sgd", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    before = net.get_weights()
    net.fit(images, np.arange(4), epochs=1, verbose=0)
    assert all(
        np.any(old != new) for old, new in zip(before, net.get_weights(), strict=True)
    )


def test_a_net_is_a_layer_of_a_functional_model(make_net, images):
    net = make_net("resnet8")
    inputs = keras.Input((8, 8, 3))
    model = keras.Model(inputs, keras.ops.softmax(net(inputs)))
    _same(model(images), tf.nn.softmax(net(images)), tolerance=1e-6)
