"""What a model expects, by the numbers of its layers in front of its first weights."""

import keras
import numpy as np
import pytest
from keras import layers, ops

import nets
from nets import given
from nets.brought import preprocessing, scaling

SHAPE = (8, 8, 3)
MEAN, STD = np.array([0.485, 0.456, 0.406]), np.array([0.229, 0.224, 0.225])


def model(*before):
    """Layers, functions of a tensor or nothing, then a convolution and a head."""
    x = images = keras.Input(SHAPE)
    for part in before:
        x = part(x)
    x = layers.Conv2D(4, 3, activation="relu", name="conv")(x)
    return keras.Model(images, layers.Dense(3)(layers.Flatten()(x)))


def normalisation(mean, std):
    return layers.Normalization(mean=mean, variance=np.square(std))


def adapted(pixels):
    layer = layers.Normalization()
    layer.adapt(pixels)
    return layer


PIXELS = np.random.default_rng(0).integers(0, 256, (20, *SHAPE)).astype(np.float32)

EXPECTED = {
    "divided": ("pixels", lambda: [layers.Rescaling(1 / 255)]),
    "from -1 to 1": ("pixels", lambda: [layers.Rescaling(1 / 127.5, offset=-1)]),
    "by 128": ("pixels", lambda: [layers.Rescaling(1 / 128, offset=-1)]),
    "of 0 to 1": ("unit", lambda: [layers.Rescaling(2.0, offset=-1)]),
    "ConvNeXt": ("pixels", lambda: [normalisation(255 * MEAN, 255 * STD)]),
    "adapted": ("pixels", lambda: [adapted(PIXELS)]),
    "adapted, 0 to 1": ("unit", lambda: [adapted(PIXELS / 255)]),
    "normalised": ("unit", lambda: [normalisation(MEAN, STD)]),
    "EfficientNet": (
        "pixels",
        lambda: [
            layers.Rescaling(1 / 255),
            normalisation(MEAN, np.square(STD)),
            layers.Rescaling(1 / STD),
        ],
    ),
    "behind augmentation": (
        "pixels",
        lambda: [
            keras.Sequential([layers.RandomFlip(), layers.Resizing(10, 10)]),
            keras.Sequential([keras.Sequential([layers.Rescaling(1 / 255)])]),
        ],
    ),
    "arithmetic": ("pixels", lambda: [lambda x: ops.flip(x / 127.5 - 1, axis=-1)]),
    "arithmetic, 0 to 1": ("unit", lambda: [lambda x: (x - MEAN) / STD]),
    "means, as of VGG": ("pixels", lambda: [lambda x: x - 255 * MEAN]),
    "base": ("pixels", lambda: [model_without_head(layers.Rescaling(1 / 255))]),
    "padded": ("pixels", lambda: [layers.ZeroPadding2D(), layers.Rescaling(1 / 255)]),
    # What does not say it.
    "nothing": ("", lambda: []),
    "augmentation": ("", lambda: [keras.Sequential([layers.RandomFlip()])]),
    "doubled": ("", lambda: [layers.Rescaling(2.0)]),
    "halved and moved": ("", lambda: [layers.Rescaling(0.5, offset=0.5)]),
    "of -1 to 1": ("", lambda: [normalisation([0.0] * 3, [0.5] * 3)]),
    "negative": ("", lambda: [lambda x: 1 - x / 255]),
    "not adapted": ("", lambda: [normalisation([0.0] * 3, [1.0] * 3)]),
    "a function": ("", lambda: [layers.Lambda(lambda x: x / 255.0)]),
    "behind weights": ("", lambda: [layers.Conv2D(3, 1), layers.Rescaling(1 / 255)]),
    "two ways": (
        "",
        lambda: [lambda x: layers.Concatenate()([x, layers.Rescaling(1 / 255)(x)])],
    ),
}


def model_without_head(*before):
    full = model(*before)
    return keras.Model(full.inputs, full.get_layer("conv").output, name="base")


@pytest.mark.parametrize("name", EXPECTED)
def test_the_numbers_say_what_a_model_expects(name):
    expected, before = EXPECTED[name]
    assert preprocessing.scaling_of(model(*before())) == expected


def test_a_subclassed_model_begins_with_its_first_layers():
    class Mine(keras.Model):
        def __init__(self, *before):
            super().__init__()
            self.before = before
            self.flatten, self.out = layers.Flatten(), layers.Dense(3)

        def call(self, x):
            for layer in self.before:
                x = layer(x)
            return self.out(self.flatten(x))

    augment = keras.Sequential([layers.RandomFlip()])
    assert preprocessing.scaling_of(Mine(layers.Rescaling(1 / 255))) == "pixels"
    assert preprocessing.scaling_of(Mine(augment, layers.Rescaling(2, -1))) == "unit"
    assert preprocessing.scaling_of(Mine(augment)) == ""


@pytest.mark.parametrize(
    "name", ["MobileNetV3Small", "ConvNeXtTiny", "EfficientNetV2B0", "MobileNetV2"]
)
@pytest.mark.slow
def test_a_keras_application_with_its_preprocessing_inside(name):
    build = getattr(keras.applications, name)
    found = preprocessing.scaling_of(build(weights=None, input_shape=(64, 64, 3)))
    # ConvNeXt and EfficientNetV2-B keep statistics that come with their weights alone.
    assert found == {"MobileNetV3Small": "pixels", "EfficientNetV2B0": "pixels"}.get(
        name, "pixels" if name == "ConvNeXtTiny" else ""
    )


@pytest.mark.parametrize("name", ["behind augmentation", "of 0 to 1", "doubled"])
def test_a_file_says_what_it_expects_or_is_asked(name, tmp_path):
    expected, before = EXPECTED[name]
    path = str(tmp_path / "teacher.keras")
    model(*before()).save(path)
    teacher = given.Given("teacher", path)
    if expected:
        assert given.build(teacher, 3, SHAPE).scaling == expected
    else:
        with pytest.raises(ValueError, match="Expected --teacher_scaling with one of"):
            given.build(teacher, 3, SHAPE)


@pytest.mark.parametrize(
    "scale, offset, said",
    [
        (1 / 127.5, -1.0, "tf"),
        (1 / 255, 0.0, "unit"),
        (1 / (255 * STD), -MEAN / STD, "torch"),
        (1 / 255, 0.25, ""),
    ],
)
def test_what_a_converter_beside_the_model_does_is_told(scale, offset, said):
    class Preprocessor:
        class image_converter:
            pass

    Preprocessor.image_converter.scale = scale
    Preprocessor.image_converter.offset = offset
    net = model()
    assert preprocessing.told_by_converter(net) == ""
    net.preprocessor = Preprocessor()
    told = preprocessing.told_by_converter(net)
    assert "scale * pixel + offset" in told
    assert (f"is {said!r}" in told) == bool(said)
    for name in scaling.SCALINGS:
        assert (repr(name) in told) == (name == said)


def test_a_file_of_keras_hub_tells_of_its_converter(tmp_path):
    models = pytest.importorskip("keras_hub").models
    hub = pytest.importorskip("keras_hub").layers
    backbone = models.ResNetBackbone(
        input_conv_filters=[64],
        input_conv_kernel_sizes=[3],
        stackwise_num_filters=[64],
        stackwise_num_blocks=[1],
        stackwise_num_strides=[1],
        block_type="basic_block",
        image_shape=(32, 32, 3),
    )
    converter = hub.ResNetImageConverter(image_size=(32, 32), scale=1 / 255)
    preprocessor = models.ResNetImageClassifierPreprocessor(converter)
    path = str(tmp_path / "hub.keras")
    models.ResNetImageClassifier(
        backbone=backbone, num_classes=3, preprocessor=preprocessor
    ).save(path)
    with pytest.raises(ValueError, match="--teacher_scaling.*converter.*is 'unit'"):
        given.build(given.Given("teacher", path), 3, (32, 32, 3))
    net = nets.wrap(keras.saving.load_model(path), scaling="unit")
    assert list(net.tap_layers) == ["stage1", "stage2"]


def test_whole_numbers_are_rounded_not_cut():
    """Of a model for uint8 a pixel of 100, normalised and back, is 100 still."""
    images = keras.Input(SHAPE, dtype="uint8")
    x = layers.Conv2D(4, 3)(layers.Rescaling(1 / 255)(images))
    of_bytes = keras.Model(images, layers.Dense(3)(layers.Flatten()(x)))
    pixels = np.random.default_rng(0).integers(0, 256, (4, *SHAPE), np.uint8)
    net = nets.wrap(of_bytes, scaling="pixels", mean=MEAN, std=STD)
    normalised = net.normalise(pixels)
    np.testing.assert_array_equal(net.as_the_model_expects(normalised), pixels)
    np.testing.assert_allclose(net(normalised), of_bytes(pixels), rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("is_behind", [True, False])
def test_a_layer_of_ones_own_hides_no_rescaling_before_it(is_behind):
    """As the patches of a vision transformer; in front of it nothing is known."""

    class Doubled(layers.Layer):
        def call(self, x):
            return 2.0 * x

    stack = [layers.Rescaling(1 / 255), Doubled()]
    stack = stack if is_behind else stack[::-1]
    head = [layers.Flatten(), layers.Dense(3)]
    model = keras.Sequential([keras.Input(SHAPE), *stack, *head])
    assert preprocessing.scaling_of(model) == ("pixels" if is_behind else "")
