"""Models that do not classify images as they are: what the line says of each."""

import keras
import numpy as np
import pytest

import nets
from nets import for_data, given, saving

SHAPE = (8, 8, 3)
IMAGES = np.random.default_rng(0).normal(size=(4, *SHAPE)).astype("float32")


def graph(*end, name="mine", shape=SHAPE):
    """A small convolutional net with this end."""
    x = images = keras.Input(shape, name="image")
    for layer in (keras.layers.Conv2D(4, 3, activation="relu"), *end):
        x = layer(x)
    return keras.Model(images, x, name=name)


def pooled(*end):
    return graph(keras.layers.GlobalAveragePooling2D(name="pool"), *end)


def binary(kind):
    """A model of one sigmoid unit, written in the ways that Keras allows."""
    keras.utils.set_random_seed(1)
    unit, names = keras.layers.Dense, {"name": "yes", "bias_initializer": "normal"}
    if kind == "activation":
        return pooled(unit(1, activation="sigmoid", **names))
    if kind == "without bias":
        return pooled(unit(1, activation="sigmoid", use_bias=False, name="yes"))
    if kind == "layer":
        return pooled(unit(1, **names), keras.layers.Activation("sigmoid", name="s"))
    if kind == "operation":
        return pooled(unit(1, **names), keras.ops.sigmoid)
    if kind == "logit":
        return pooled(unit(1, **names))
    layers = pooled(unit(1, activation="sigmoid", **names)).layers[1:]
    return keras.Sequential([keras.Input(SHAPE), *layers], name="mine")


KINDS = ("activation", "without bias", "layer", "operation", "logit", "sequential")


@pytest.mark.parametrize("kind", KINDS)
def test_one_unit_is_refused_and_becomes_two_classes(kind, tmp_path):
    model = binary(kind)
    path = str(tmp_path / "binary.keras")
    model.save(path)
    source = given.Given("teacher", path, scaling="normalised")
    with pytest.raises(ValueError) as info:
        given.build(source, 2, SHAPE)
    text = str(info.value)
    layer = {"layer": "'s'", "operation": "'sigmoid"}.get(kind, "'yes'")
    assert path in text and "'mine'" in text and f"layer {layer}" in text
    unit = "one unit" if kind == "logit" else "one sigmoid unit"
    assert unit in text and "nets.two_classes(" in text and "\n" not in text

    p = np.asarray(model(IMAGES))[:, 0].astype(np.float64)
    p = 1 / (1 + np.exp(-p)) if kind == "logit" else p
    both = nets.two_classes(saving.load_model(path))
    np.testing.assert_allclose(both(IMAGES), np.stack([1 - p, p], 1), atol=1e-6)
    both.save(path)
    net = given.build(source, 2, SHAPE)
    logits = np.asarray(net(IMAGES))
    np.testing.assert_array_equal(logits[:, 0], 0)
    np.testing.assert_allclose(logits[:, 1], np.log(p / (1 - p)), atol=1e-5)
    assert {"stage1", "embedding"} <= net.tap_specs.keys()


@pytest.mark.parametrize("end", ["softmax", "relu", "nested", "subclassed"])
def test_only_a_unit_becomes_two_classes(end):
    models = {
        "softmax": lambda: pooled(keras.layers.Dense(3, activation="softmax")),
        "relu": lambda: pooled(keras.layers.Dense(1, activation="relu")),
        "nested": lambda: keras.Sequential([keras.Input(SHAPE), binary("logit")]),
        "subclassed": lambda: GivesTwo(),
    }
    with pytest.raises(ValueError, match="one unit|neither a sigmoid nor a logit"):
        nets.two_classes(models[end]())


@pytest.mark.parametrize("is_nested", [False, True])
def test_several_sigmoids_are_refused(is_nested):
    model = pooled(keras.layers.Dense(3, activation="sigmoid", name="labels"))
    if is_nested:
        model = keras.Sequential([keras.Input(SHAPE), model])
    with pytest.raises(ValueError, match="3 sigmoid units, layer 'labels'.*multi-lab"):
        nets.wrap(model)


@pytest.mark.parametrize("kind", ["maps", "tokens"])
def test_a_backbone_says_what_to_add(kind):
    end = [] if kind == "maps" else [keras.layers.Reshape((36, 4))]
    model = graph(*end)
    with pytest.raises(ValueError) as info:
        nets.wrap(model)
    assert "backbone without a head" in str(info.value)
    code = str(info.value).partition("classes: ")[2].partition(". Received")[0]
    whole = eval(code, {"keras": keras, "model": model, "num_classes": 5})
    assert nets.wrap(whole).num_classes == 5
    unknown = graph(*end[:0], shape=(None, None, 3))
    with pytest.raises(ValueError, match="backbone without a head"):
        nets.wrap(unknown)


class Data:
    """What `for_data` asks of a data set."""

    num_classes, input_shape, class_names = 5, SHAPE, None
    mean = std = (1.0, 1.0, 1.0)


def test_a_pooled_backbone_says_what_to_add(tmp_path):
    path = str(tmp_path / "my.keras")
    model = pooled()
    model.save(path)
    source = given.Given("teacher", path, scaling="normalised")
    with pytest.raises(ValueError) as info:
        for_data.build(source, Data)
    text = str(info.value)
    assert "4 classes. It ends in GlobalAveragePooling2D" in text
    code = text.partition("added by ")[2].partition(", and has")[0]
    assert nets.wrap(eval(code, {"keras": keras, "model": model})).num_classes == 5
    pooled(keras.layers.Dense(4)).save(path)
    with pytest.raises(ValueError, match="4 classes.$"):
        for_data.build(source, Data)


@pytest.mark.parametrize("as_dict", [False, True])
def test_several_inputs_and_outputs_are_named(as_dict):
    image, meta = keras.Input(SHAPE, name="image"), keras.Input((2,), name="meta")
    flat = keras.layers.Flatten()(image)
    first = keras.layers.Dense(3, name="first")(flat)
    second = keras.layers.Dense(2, name="second")(meta)
    both = keras.layers.Concatenate()([flat, meta])
    inputs = {"picture": image, "facts": meta} if as_dict else [image, meta]
    words = "several inputs.*'picture' .*'facts'" if as_dict else "several inputs.*'im"
    with pytest.raises(ValueError, match=words):
        nets.wrap(keras.Model(inputs, keras.layers.Dense(3)(both)))
    other = keras.layers.Dense(2, name="other")(flat)
    outputs = {"one": first, "two": other} if as_dict else [first, other]
    words = r"several outputs.*'one' \(None, 3\), 'two' \(None, 2\)"
    words = words if as_dict else r"several outputs.*'first' \(None, 3\), 'other'"
    with pytest.raises(ValueError, match=words):
        nets.wrap(keras.Model(image, outputs))
    del second


@pytest.mark.parametrize("size", [8, None])
def test_a_dict_of_one_image_is_taken(size, tmp_path):
    images = keras.Input((size, size, 3), name="images")
    x = keras.layers.Conv2D(4, 3, activation="relu")(images)
    x = keras.layers.GlobalAveragePooling2D()(x)
    model = keras.Model({"images": images}, keras.layers.Dense(3)(x))
    net = nets.wrap(model, image_shape=SHAPE)
    expected = model({"images": IMAGES})
    np.testing.assert_allclose(net(IMAGES), expected, atol=1e-6)
    nets.save(net, tmp_path / "net.keras")
    again = nets.load(tmp_path / "net.keras")
    np.testing.assert_allclose(again(IMAGES), expected, atol=1e-6)


class TakesDict(keras.Model):
    def call(self, inputs):
        return inputs["images"][:, 0, 0]


class GivesTwo(keras.Model):
    def call(self, inputs):
        return {"a": inputs[:, 0, 0], "b": inputs[:, 0, 1]}


def test_subclassed_models_of_dicts():
    with pytest.raises(ValueError, match="cannot be called with images.*takes a dict"):
        nets.wrap(TakesDict(), image_shape=SHAPE)
    with pytest.raises(ValueError, match=r"several outputs.*'b' \(None, 3\)"):
        nets.wrap(GivesTwo(), image_shape=SHAPE)
