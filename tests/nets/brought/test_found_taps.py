"""Which tensors of a Keras model are its taps: ends of stages, never preprocessing."""

import keras
import numpy as np
import pytest
from keras import layers, ops

import distiller
import nets
from nets.brought import found_taps

SHAPE = (16, 16, 3)
PIXELS = np.random.default_rng(0).integers(0, 256, (3, *SHAPE), np.uint8)


def conv(width, **options):
    return layers.Conv2D(width, 3, padding="same", **options)


def head(x, classes=5):
    x = layers.GlobalAveragePooling2D()(x) if len(x.shape) == 4 else x
    return layers.Dense(classes)(x)


def base_model(shape=SHAPE):
    """conv, batch norm, ReLU "one" -> pool -> conv "two", as a model of its own."""
    images = keras.Input(shape)
    x = conv(4)(images)
    x = layers.BatchNormalization(name="norm")(x)
    x = layers.MaxPooling2D()(layers.ReLU(name="one")(x))
    return keras.Model(images, conv(6, activation="relu", name="two")(x), name="base")


def transfer(before=None, base=None, **options):
    """A classifier on a base that is one layer of it."""
    images = keras.Input(SHAPE)
    x = images if before is None else before(images)
    return keras.Model(images, head((base or base_model())(x, **options)))


def outputs(model, images):
    """Layer name -> what it computes in the model by itself."""
    layers_of = [x for x in model.layers if not isinstance(x, layers.InputLayer)]
    values = keras.Model(model.inputs, [x.output for x in layers_of])(images)
    return {x.name: v for x, v in zip(layers_of, values, strict=True)}


PREPROCESSING = {
    "augmentation": lambda: keras.Sequential(
        [layers.RandomFlip(), layers.RandomRotation(0.1), layers.RandomZoom(0.1)],
        name="stage1",  # a name says nothing
    ),
    "rescaling": lambda: keras.Sequential([layers.Rescaling(1 / 255)]),
    "resizing": lambda: keras.Sequential(
        [layers.Resizing(20, 20), layers.CenterCrop(16, 16), layers.Normalization()]
    ),
    "pipeline": lambda: layers.Pipeline([layers.RandomContrast(0.2)]),
    "batch norm": lambda: layers.BatchNormalization(),
    "function": lambda: layers.Lambda(lambda x: x / 255.0),
    "nested": lambda: keras.Sequential(
        [keras.Sequential([layers.RandomFlip()]), layers.Rescaling(1 / 255)]
    ),
}


@pytest.mark.parametrize("name", PREPROCESSING)
def test_preprocessing_is_no_tap(name):
    """The first convolution has stride 2, so that only pixels have the full size."""
    before = PREPROCESSING[name]()
    images = keras.Input(SHAPE)
    pixels = before(images)
    x = conv(4, strides=2, activation="relu", name="features")(pixels)
    net = nets.wrap(keras.Model(images, head(x)))
    assert net.tap_layers == {"stage1": "features"}
    assert net.tap_specs["stage1"].stride == 2
    with pytest.raises(ValueError, match="Preprocessing is no tap.*x=" + before.name):
        nets.wrap(keras.Model(images, head(x)), {"x": before.name})


def test_resolutions_are_counted_from_the_resized_pixels():
    """45 and 23 are two resolutions, however large the images are."""
    images = keras.Input((32, 32, 3))
    x = conv(4, activation="relu", name="first")(layers.Resizing(45, 45)(images))
    x = conv(6, strides=2, activation="relu", name="second")(x)
    net = nets.wrap(keras.Model(images, head(x)))
    assert net.tap_layers == {"stage1": "first", "stage2": "second"}
    assert [net.tap_specs[f"stage{i}"].stride for i in (1, 2)] == [1, 1]


def test_arithmetic_on_pixels_is_no_tap():
    images = keras.Input(SHAPE)
    pixels = ops.flip(images / 127.5 - 1, axis=-1)
    x = conv(4, strides=2, activation="relu", name="features")(pixels)
    model = keras.Model(images, head(x))
    assert nets.wrap(model).tap_layers == {"stage1": "features"}
    with pytest.raises(ValueError, match="Preprocessing is no tap.*x=subtract"):
        nets.wrap(model, {"x": images_end(model, "Subtract")})


def images_end(model, kind):
    (name,) = (x.name for x in model.operations if type(x).__name__ == kind)
    return name


@pytest.mark.parametrize("options", [{}, {"training": False}])
def test_the_layers_of_a_model_inside_are_the_taps(options, tmp_path, perturb):
    """Transfer learning as Keras' guide builds it, saved and read again."""
    base = perturb(base_model())
    model = transfer(PREPROCESSING["augmentation"](), base, **options)
    net = nets.wrap(model, scaling="pixels")
    assert net.tap_layers == {"stage1": "base/one", "stage2": "base/two"}
    assert net.tap_specs["stage1_pre"].batch_norm is base.get_layer("norm")
    images = PIXELS.astype(np.float32)
    expected = outputs(base, images)
    nets.save(net, tmp_path / "net.keras")
    for one in (net, nets.load(tmp_path / "net.keras")):
        logits, taps = one(one.normalise(PIXELS), with_taps=True)
        np.testing.assert_allclose(logits, model(images, training=False), rtol=1e-4)
        np.testing.assert_allclose(taps["stage1"], expected["one"], atol=1e-3)
        np.testing.assert_allclose(taps["stage1_pre"], expected["norm"], atol=1e-3)
        np.testing.assert_allclose(taps["stage2"], expected["two"], atol=1e-3)
        assert one.tap_layers == net.tap_layers
    named = nets.wrap(model, {"a": "base/norm", "b": "base"}, scaling="pixels")
    taps = named(named.normalise(PIXELS), with_taps=True).taps
    np.testing.assert_allclose(taps["a"], expected["norm"], atol=1e-3)
    np.testing.assert_allclose(taps["b"], expected["two"], atol=1e-3)
    with pytest.raises(ValueError, match="no such layer. It is inside .*: base/norm"):
        nets.wrap(model, {"a": "norm"})


@pytest.mark.parametrize("frozen", [True, False])
def test_a_base_trains_with_taps_as_it_does_without(frozen):
    """A frozen base stays in inference; one that is not moves as Keras moves it."""
    states = []
    for wrapped in (False, True):
        keras.utils.set_random_seed(3)
        base = base_model()
        base.trainable = not frozen
        model = transfer(None, base, training=False)
        if wrapped:
            net = nets.wrap(model, scaling="pixels")
            net(net.normalise(PIXELS), training=True, with_taps=True)
            assert len(net.trainable_variables) == len(model.trainable_variables)
            assert frozen != any("base.trainable = False" in x for x in net.notes)
        else:
            model(PIXELS.astype(np.float32), training=True)
        states.append(np.asarray(base.get_layer("norm").moving_mean.value))
    np.testing.assert_allclose(*states, rtol=1e-5)
    assert np.any(states[1] != 0) != frozen


def test_models_inside_models_are_opened_at_any_depth():
    inner = base_model((16, 16, 4))
    middle = keras.Sequential([keras.Input(SHAPE), conv(4), inner], name="middle")
    top = keras.Sequential(
        [layers.GlobalAveragePooling2D(), layers.Dense(7, "relu"), layers.Dense(5)],
        name="top",
    )
    images = keras.Input(SHAPE)
    model = keras.Model(images, top(middle(images)))
    net = nets.wrap(model)
    expected = {"stage1": "middle/base/one", "stage2": "middle/base/two"}
    assert net.tap_layers == expected
    assert net.tap_specs["embedding"].shape == (7,)
    logits, taps = net(net.normalise(PIXELS), with_taps=True)
    np.testing.assert_allclose(net.head(taps["embedding"]), logits, atol=1e-5)


def test_layers_inside_and_outside_may_have_one_name(tmp_path):
    """As a base read from a file and new layers often have."""
    inside = keras.Input(SHAPE)
    base = keras.Model(inside, conv(4, activation="relu", name="a")(inside), name="b")
    images = keras.Input(SHAPE)
    x = conv(6, strides=2, activation="relu", name="a")(base(images))
    net = nets.wrap(keras.Model(images, head(x)), scaling="unit")
    assert net.tap_layers == {"stage1": "b/a", "stage2": "a"}
    assert [x.name for x in (base.layers[1], net.model.layers[2])] == ["a", "a"]
    nets.save(net, tmp_path / "net.keras")
    again = nets.load(tmp_path / "net.keras")
    found, same = (n(n.normalise(PIXELS), with_taps=True).taps for n in (net, again))
    for name, tap in found.items():
        np.testing.assert_array_equal(tap, same[name])


def test_a_model_with_a_call_of_its_own_stays_one_layer():
    class Scaled(keras.Model):
        def call(self, images):
            return 2 * super().call(images)

    images = keras.Input(SHAPE)
    inner = Scaled(images, conv(4, activation="relu", name="hidden")(images))
    model = transfer(None, inner)
    net = nets.wrap(model)
    assert net.tap_layers == {"stage1": inner.name}
    with pytest.raises(ValueError, match="inside .*, which is one layer.*outer input"):
        nets.wrap(model, {"x": "hidden"})


def residual(x, activation=layers.ReLU):
    y = conv(x.shape[-1], activation="relu")(x)
    y = layers.Add(name=None)([x, conv(x.shape[-1])(y)])
    return activation()(y)


def inverted(x, width, stride, name):
    """A block of EfficientNet and MobileNetV2: expand, depthwise, project."""
    y = layers.Conv2D(4 * x.shape[-1], 1, use_bias=False, name=f"{name}_expand")(x)
    y = layers.ReLU(6)(layers.BatchNormalization()(y))
    y = layers.DepthwiseConv2D(3, stride, padding="same", use_bias=False)(y)
    y = layers.ReLU(6)(layers.BatchNormalization()(y))
    y = layers.Conv2D(width, 1, use_bias=False)(y)
    y = layers.BatchNormalization(name=f"{name}_project")(y)
    same = stride == 1 and width == x.shape[-1]
    return layers.Add(name=f"{name}_add")([x, y]) if same else y


def inverted_net(images):
    x = conv(8, strides=2, activation="relu")(images)
    x = inverted(x, 6, 1, "a")
    x = inverted(x, 8, 2, "b")
    x = inverted(x, 8, 1, "c")
    x = inverted(x, 10, 2, "d")
    return layers.Conv2D(20, 1, activation="relu", name="top")(x)


def residual_net(images):
    x = conv(4, activation="relu")(images)
    y = layers.Add()([x, conv(4)(conv(4, activation="relu")(x))])
    x = layers.ReLU(name="first")(y)
    y = conv(6)(conv(6, strides=2, activation="relu")(x))
    x = layers.ReLU(name="second")(layers.Conv2D(6, 1, 2)(x) + y)
    return x


def preactivated_net(images):
    x = conv(4, strides=2)(images)
    for width, name in ((6, "first"), (8, "second")):
        y = layers.ReLU(name=f"{name}_in")(layers.BatchNormalization()(x))
        x = conv(width, strides=2)(y)
        y = layers.ReLU()(layers.BatchNormalization()(x))
        x = layers.Add(name=name)([x, conv(width)(y)])
    return layers.ReLU(name="last")(layers.BatchNormalization()(x))


def dense_net(images):
    x = conv(4, activation="relu")(images)
    x = layers.Concatenate(name="dense")([x, conv(4, activation="relu")(x)])
    x = layers.ReLU()(layers.BatchNormalization()(x))
    x = layers.AveragePooling2D(2)(layers.Conv2D(4, 1)(x))
    return conv(4, activation="relu", name="last")(x)


def separable_net(images):
    """MobileNet: here the wide 1x1 convolution is the end of a block."""
    x = conv(4, activation="relu")(images)
    x = layers.DepthwiseConv2D(3, padding="same", activation="relu")(x)
    x = layers.Conv2D(8, 1, activation="relu", name="wide")(x)
    x = layers.DepthwiseConv2D(3, 2, padding="same", activation="relu")(x)
    return layers.Conv2D(9, 1, activation="relu", name="last")(x)


def plain_net(images):
    """What came after a sum belongs to its stage, if it is more than a block's end."""
    x = conv(4, activation="relu")(images)
    x = layers.Add()([x, conv(4, activation="relu")(x)])
    x = conv(4, activation="relu", name="first")(x)
    x = layers.MaxPooling2D()(x)
    return conv(4, activation="relu", name="second")(x)


def features_of_all_stages(images):
    """Each stage is pooled into the head as well: nothing is on every path."""
    x = conv(4, activation="relu", name="first")(images)
    y = conv(6, strides=2, activation="relu", name="second")(x)
    return layers.Concatenate()([layers.GlobalAveragePooling2D()(z) for z in (x, y)])


@pytest.mark.parametrize(
    "body, expected",
    [
        (inverted_net, "2:a_project 4:c_add 8:top"),
        (residual_net, "1:first 2:second"),
        (preactivated_net, "2:first_in 4:first 8:last"),
        (dense_net, "1:dense 2:last"),
        (separable_net, "1:wide 2:last"),
        (plain_net, "1:first 2:second"),
        (features_of_all_stages, "1:first 2:second"),
    ],
    ids=lambda x: getattr(x, "__name__", ""),
)
def test_stages_end_where_blocks_end(body, expected):
    images = keras.Input(SHAPE)
    net = nets.wrap(keras.Model(images, head(body(images))))
    found = [
        f"{net.tap_specs[tap].stride}:{name}" for tap, name in net.tap_layers.items()
    ]
    assert " ".join(found) == expected


def test_a_sum_that_is_no_layer_and_an_activation_used_often(tmp_path):
    """`x + y` and a shared ReLU are stages, and found again in the file."""
    relu, images = layers.ReLU(name="relu"), keras.Input(SHAPE)
    x = relu(conv(4)(images))
    x = layers.MaxPooling2D()(x)
    x = relu(conv(4)(x))
    x = x + conv(4)(x)
    x = relu(conv(6, strides=2)(x))
    model = keras.Model(images, head(x))
    net = nets.wrap(model, scaling="unit")
    add = images_end(model, "Add")
    assert net.tap_layers == {"stage1": "relu@1", "stage2": add, "stage3": "relu"}
    widths = [net.tap_specs[f"stage{i}"].shape for i in (1, 2, 3)]
    assert widths == [(16, 16, 4), (8, 8, 4), (4, 4, 6)]
    nets.save(net, tmp_path / "net.keras")
    again = nets.load(tmp_path / "net.keras")
    assert again.tap_layers == net.tap_layers
    found, same = (n(n.normalise(PIXELS), with_taps=True).taps for n in (net, again))
    for name, tap in found.items():
        np.testing.assert_array_equal(tap, same[name])


def test_parallel_branches_show_no_stage_unless_named():
    images = keras.Input(SHAPE)
    branches = [
        conv(4, strides=2, activation="relu", name=name)(images) for name in "ab"
    ]
    ends = [layers.GlobalAveragePooling2D()(x) for x in branches]
    model = keras.Model(images, layers.Dense(5)(layers.Concatenate()(ends)))
    net = nets.wrap(model)
    assert list(net.tap_specs) == ["embedding"]
    with pytest.raises(ValueError, match="no map was found that all of it flows"):
        build_method("AT", net)
    assert nets.wrap(model, {"stage1": "b"}).tap_specs["stage1"].shape == (8, 8, 4)


def build_method(name, teacher, hparams=()):
    student = nets.build("resnet8", 5, SHAPE)
    data = distiller.DataSpec(10, 5, np.arange(10) % 5, batch_size=5)
    return distiller.build(name, student.tap_specs, teacher.tap_specs, data, hparams)


def vision_transformer(patch=True):
    """A ViT in standard layers: patch convolution, tokens, attention."""
    images = keras.Input(SHAPE)
    x = layers.Rescaling(1 / 255)(images)
    if patch:
        x = layers.Conv2D(8, 4, 4, name="patch")(x)
        x = layers.Reshape((16, 8))(x)
    else:
        x = layers.Dense(8)(layers.Reshape((16, 48))(x))
    y = layers.LayerNormalization()(x)
    x = layers.Add(name="tokens")([x, layers.MultiHeadAttention(2, 4)(y, y)])
    y = layers.Dense(8, "gelu")(layers.LayerNormalization()(x))
    x = layers.LayerNormalization()(x + y)
    return keras.Model(images, layers.Dense(5, name="out")(x[:, 0]), name="vit")


def mlp_mixer():
    images = keras.Input(SHAPE)
    x = layers.Reshape((16, 8))(layers.Conv2D(8, 4, 4, name="patch")(images))
    y = layers.Permute((2, 1))(layers.LayerNormalization()(x))
    x = x + layers.Permute((2, 1))(layers.Dense(16, "gelu")(y))
    x = layers.GlobalAveragePooling1D()(x)
    return keras.Model(images, layers.Dense(5, name="out")(x))


@pytest.mark.parametrize("model", [vision_transformer, mlp_mixer])
def test_patches_of_pixels_are_no_tap_of_a_net_of_tokens(model):
    model = model()
    net = nets.wrap(model)
    assert list(net.tap_specs) == ["embedding"]
    assert net.head is model.get_layer("out")
    assert any("no maps, because it computes tokens" in note for note in net.notes)
    for method in ("AT", "FT", "FSP"):
        with pytest.raises(ValueError, match="teacher shows no maps: it computes toke"):
            build_method(method, net)
    build_method("Soft_logits", net)
    build_method("SP", net, ["taps=embedding"])
    with pytest.raises(ValueError, match="no tap: tokens are not supp.*stage1=patch"):
        nets.wrap(model, {"stage1": "patch"})


def test_tokens_are_no_tap():
    with pytest.raises(ValueError, match="tokens are not supported yet.*'tokens'"):
        nets.wrap(vision_transformer(), {"stage1": "tokens"})
    assert list(nets.wrap(vision_transformer(patch=False)).tap_specs) == ["embedding"]


def test_a_hybrid_shows_its_convolutions_and_says_so():
    images = keras.Input(SHAPE)
    x = conv(8, strides=2, activation="relu", name="stem")(images)
    x = layers.Reshape((64, 8))(x)
    x = layers.Add()([x, layers.MultiHeadAttention(2, 4)(x, x)])
    pooled = layers.GlobalAveragePooling1D()(x)
    net = nets.wrap(keras.Model(images, layers.Dense(5)(pooled)))
    assert net.tap_layers == {"stage1": "stem"}
    assert any("goes on in tokens" in note for note in net.notes)


def test_a_mixer_of_convolutions_is_a_convnet():
    images = keras.Input(SHAPE)
    x = layers.Conv2D(8, 4, 4, activation="gelu")(images)
    y = layers.DepthwiseConv2D(3, padding="same", activation="gelu")(x)
    x = layers.Conv2D(8, 1, activation="gelu", name="end")(layers.Add()([x, y]))
    net = nets.wrap(keras.Model(images, head(x)))
    assert net.tap_layers == {"stage1": "end"}


def test_a_linear_stem_is_no_stage_but_a_linear_net_has_one():
    images = keras.Input(SHAPE)
    x = conv(4, name="linear")(images)
    assert nets.wrap(keras.Model(images, head(x))).tap_layers == {"stage1": "linear"}
    y = conv(6, strides=2, activation="relu", name="second")(x)
    net = nets.wrap(keras.Model(images, head(y)))
    assert net.tap_layers == {"stage1": "second"}
    assert nets.wrap(net.model, {"x": "linear"}).tap_specs["x"].stride == 1


@pytest.mark.parametrize("layer", ["before", "patch"])
def test_files_of_before_keep_the_taps_that_they_name(layer):
    """What was a tap by itself once is one in such a file still."""
    if layer == "patch":
        model, shape = vision_transformer(), (4, 4, 8)
    else:
        flip = layers.RandomFlip(name="flip")
        model, shape = transfer(keras.Sequential([flip], name="before")), SHAPE
    config = {**nets.wrap(model).get_config(), "taps": {"stage1": layer}}
    net = found_in(config)
    expected = {"before": "before/flip", "patch": "patch"}[layer]
    assert net.tap_layers == {"stage1": expected}
    assert net.tap_specs["stage1"].shape == shape
    assert found_in(net.get_config()).tap_layers == net.tap_layers


def found_in(config):
    return nets.brought.wrapped.WrappedNet.from_config(config)


def test_of_a_big_model_the_names_are_told_that_are_alike():
    names = [f"layer{i}" for i in range(300)]
    said = found_taps._some(names, "layer_17")
    assert said.startswith("the model's 300 layers, such as layer17, ")
    assert said.count(",") <= 20
    assert found_taps._some(names, "x").endswith("layer299")


keras_hub_nets = {
    "ResNet": (
        dict(
            input_conv_filters=[64],
            input_conv_kernel_sizes=[3],
            stackwise_num_filters=[64, 128],
            stackwise_num_blocks=[1, 1],
            stackwise_num_strides=[1, 2],
            block_type="basic_block",
        ),
        "2:conv1_relu 4:stack0_block0_out 8:stack1_block0_out",
    ),
    "DenseNet": (
        dict(stackwise_num_repeats=[2, 2], growth_rate=8),
        "2:conv1_relu 4:stack1_block2_concat 8:stack2_block2_concat",
    ),
    "ViT": (
        dict(patch_size=4, num_layers=1, num_heads=3, hidden_dim=12, mlp_dim=8),
        "",
    ),
}


@pytest.mark.parametrize("name", keras_hub_nets)
def test_a_classifier_of_keras_hub_shows_its_backbone(name):
    models = pytest.importorskip("keras_hub").models
    arguments, expected = keras_hub_nets[name]
    backbone = getattr(models, f"{name}Backbone")(image_shape=(32, 32, 3), **arguments)
    classifier = getattr(models, f"{name}ImageClassifier")
    model = classifier(backbone=backbone, num_classes=5)
    net = nets.wrap(model)
    found = [
        f"{net.tap_specs[tap].stride}:{layer.removeprefix(backbone.name + '/')}"
        for tap, layer in net.tap_layers.items()
    ]
    assert " ".join(found) == expected
    images = np.random.default_rng(1).normal(size=(2, 32, 32, 3)).astype(np.float32)
    logits, taps = net(images, with_taps=True)
    np.testing.assert_allclose(logits, model(images), atol=1e-5)
    np.testing.assert_allclose(net.head(taps["embedding"]), logits, atol=1e-5)


ON_LOGITS = {
    "temperature": lambda x: layers.Rescaling(0.25)(x),
    "operation": lambda x: x / 4.0,
    "norm": lambda x: layers.BatchNormalization()(x),
    "dropout": lambda x: layers.Dropout(0.5)(x),
}


@pytest.mark.parametrize("name", ON_LOGITS)
def test_logits_are_no_embedding_where_they_are_scaled(name):
    """They are as long as there are classes, and no dense layer gets them."""
    images = keras.Input(SHAPE)
    x = layers.Flatten()(conv(4, activation="relu")(images))
    x = layers.Dense(7, activation="relu", name="hidden")(x)
    logits = ON_LOGITS[name](layers.Dense(5, name="out")(x))
    model = keras.Model(images, layers.Softmax()(logits))
    net = nets.wrap(model)
    _, taps = net(net.normalise(PIXELS), with_taps=True)
    hidden = keras.Model(images, x)(net.normalise(PIXELS))
    np.testing.assert_allclose(taps["embedding"], hidden, rtol=1e-5)
    assert net.head is None  # none makes the logits by itself

    config = net.get_config()
    del config["keeps_head"]  # as files of before are
    before = type(net).from_config(config)
    if name != "operation":
        assert before.tap_specs["embedding"].shape == (5,)
        assert before.head is not None


def test_the_mean_of_the_last_map_has_a_name_of_its_own():
    """A file brings layers with the names that Keras gives the first of their kind."""
    keras.utils.clear_session()
    images = keras.Input(SHAPE)
    pool = layers.GlobalAveragePooling2D(name="global_average_pooling2d")
    x = layers.Reshape((1, 1, 4))(pool(conv(4, activation="relu")(images)))
    model = keras.Model(images, layers.Flatten()(layers.Conv2D(5, 1)(x)))
    assert nets.wrap(model).tap_specs["embedding"].shape == (4,)


@pytest.mark.parametrize("is_normed", [False, True])
def test_scores_of_a_convolution_are_no_stage(is_normed):
    """As in SqueezeNet: their mean is the logits, so they are no features."""
    images = keras.Input(SHAPE)
    x = conv(4, activation="relu", name="features")(images)
    x = layers.Dropout(0.5)(x)
    x = layers.Conv2D(5, 1, name="scores")(x)
    x = layers.BatchNormalization()(x) if is_normed else x
    x = layers.GlobalAveragePooling2D()(layers.ReLU()(x))
    net = nets.wrap(keras.Model(images, layers.Softmax()(x)))
    assert net.tap_layers == {"stage1": "features"}
    assert net.tap_specs["embedding"].shape == (4,)
    named = nets.wrap(net.model, {"stage1": "scores"})
    assert named.tap_specs["stage1"].channels == 5


def test_augmentation_between_convolutions_ends_no_stage():
    images = keras.Input(SHAPE)
    x = conv(4, activation="relu", name="one")(images)
    x = layers.RandomTranslation(0.1, 0.1)(x)
    x = conv(4, activation="relu", strides=2, name="two")(x)
    net = nets.wrap(keras.Model(images, head(x)))
    assert net.tap_layers == {"stage1": "one", "stage2": "two"}
