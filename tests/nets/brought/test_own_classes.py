"""Models with classes of the user's own: found by their names, or named."""

import json
import sys
import zipfile

import keras
import numpy as np
import pytest

import nets
from nets import given, saving
from nets.brought import own_classes
from options import user_code

SHAPE = (8, 8, 1)
CODE = """
import keras

def act(x):
    return keras.ops.tanh(3.0 * x)

def relu(x):  # a built-in name, which must not be taken for the built-in
    return x - 100.0

class TanhBlock(keras.layers.Layer):
    def __init__(self, width=2, **kwargs):
        super().__init__(**kwargs)
        self.width, self.dense = width, keras.layers.Dense(width)

    def build(self, shape):
        self.dense.build(shape)

    def call(self, x):
        return act(self.dense(x))

    def get_config(self):
        return {**super().get_config(), "width": self.width}

class TanhPlain(keras.Model):
    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.flatten, self.block = keras.layers.Flatten(), TanhBlock(4)
        self.out = keras.layers.Dense(3)

    def build(self, shape):
        self.block.build((None, 64))
        self.out.build((None, 4))

    def call(self, images):
        return self.out(self.block(self.flatten(images)))
"""


@pytest.fixture
def forget():
    """Leaves Keras' list of classes as it was."""
    known = dict(keras.saving.get_custom_objects())
    yield
    keras.saving.get_custom_objects().clear()
    keras.saving.get_custom_objects().update(known)
    sys.modules.pop("my_own_nets", None)


@pytest.fixture
def code(tmp_path, forget):
    path = tmp_path / "my_own_nets.py"
    path.write_text(CODE)
    return path


def make(kind, package):
    """A model with classes of CODE, registered under a package or not at all."""
    names = {"__name__": "elsewhere"}
    exec(CODE, names)
    if package:
        for name in ("TanhBlock", "TanhPlain", "act"):
            keras.saving.register_keras_serializable(package)(names[name])
    if kind == "subclassed":
        built = names["TanhPlain"](name="mine")
        built.build((None, *SHAPE))
        return built
    layers = [
        keras.layers.Conv2D(2, 3, activation=names["act"]),
        keras.layers.Conv2D(2, 3, activation="relu"),
        keras.layers.Flatten(),
        names["TanhBlock"](3),
        keras.layers.Dense(3),
    ]
    return keras.Sequential([keras.Input(SHAPE), *layers], name="mine")


@pytest.mark.parametrize("package", ["", "another"])
@pytest.mark.parametrize("kind", ["graph", "subclassed", "h5"])
def test_a_class_of_that_name_is_enough(kind, package, code, tmp_path):
    images = np.random.default_rng(0).normal(size=(2, *SHAPE)).astype("float32")
    before = dict(keras.saving.get_custom_objects())
    model = make(kind, package)
    expected = model(images)
    path = tmp_path / ("my.h5" if kind == "h5" else "my.keras")
    model.save(path)
    keras.saving.get_custom_objects().clear()
    keras.saving.get_custom_objects().update(before)
    source = given.Given("student", str(path), scaling="normalised")
    with pytest.raises(ValueError) as info:
        given.build(source, 3, SHAPE)
    text = str(info.value)
    own = "TanhPlain" if kind == "subclassed" else "TanhBlock"
    assert own in text and "--imports=FILE.py" in text and str(path) in text
    assert "\n" not in text

    user_code.load([str(code)])
    net = given.build(source, 3, SHAPE)
    np.testing.assert_allclose(net(images), expected, atol=1e-5)
    nets.save(net, tmp_path / "student.keras")
    again = nets.load(tmp_path / "student.keras", dtype="float32")
    np.testing.assert_allclose(again(images), expected, atol=1e-5)
    assert type(again.model) is type(net.model)


def test_two_of_a_name_are_not_guessed(tmp_path, code):
    make("graph", "").save(tmp_path / "my.keras")
    other = tmp_path / "other_nets.py"
    other.write_text(CODE)
    user_code.load([str(code), str(other)])
    sys.modules.pop("other_nets")
    with pytest.raises(ValueError, match="several.*my_own_nets.act, other_nets.act"):
        saving.load_model(tmp_path / "my.keras")


def test_a_class_that_keras_knows_needs_no_import(tmp_path, forget):
    model = make("graph", "registered")
    model.save(tmp_path / "my.keras")
    assert type(saving.load_model(tmp_path / "my.keras")) is keras.Sequential


def with_module(path, module, name):
    """Changes where a file says its first own class is from."""
    with zipfile.ZipFile(path) as old:
        content = {n: old.read(n) for n in old.namelist()}
    config = json.loads(content["config.json"])
    layer = config["config"]["layers"][-1]
    layer |= {"module": module, "class_name": name, "registered_name": f"a>{name}"}
    content["config.json"] = json.dumps(config).encode()
    with zipfile.ZipFile(path, "w") as new:
        for n, part in content.items():
            new.writestr(n, part)


@pytest.mark.parametrize(
    ("module", "words"),
    [
        ("keras_no_hub.src.models", "package keras_no_hub.*pip install keras-no-hub"),
        ("classification_models.keras", "pip install image-classifiers"),
        ("my_nets", "own: Head. Expected --imports=FILE.py.*as in my_nets"),
    ],
)
def test_a_package_that_is_missing_is_named(module, words, tmp_path):
    layers = [keras.Input(SHAPE), keras.layers.Flatten(), keras.layers.Dense(3)]
    keras.Sequential(layers).save(tmp_path / "my.keras")
    with_module(tmp_path / "my.keras", module, "Head")
    with pytest.raises(ValueError, match=words):
        saving.load_model(tmp_path / "my.keras")


def test_keras_hub_is_named_where_it_is_missing(tmp_path, monkeypatch):
    layers = [keras.Input(SHAPE), keras.layers.Flatten(), keras.layers.Dense(3)]
    keras.Sequential(layers).save(tmp_path / "my.keras")
    with_module(tmp_path / "my.keras", "keras_hub.src.models.vit", "ViTHead")
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(ValueError, match="ViTHead.*keras_hub.*pip install keras-hub"):
        saving.load_model(tmp_path / "my.keras")


def test_code_in_the_file_is_not_run(tmp_path):
    layer = keras.layers.Lambda(lambda x: 2.0 * x, name="twice")
    end = keras.layers.Flatten(), keras.layers.Dense(3)
    keras.Sequential([keras.Input(SHAPE), layer, *end]).save(tmp_path / "my.keras")
    with pytest.raises(ValueError, match="'twice' is Python code.*--imports"):
        saving.load_model(tmp_path / "my.keras")


def test_operations_of_keras_2_are_named(tmp_path):
    config = {"class_name": "TFOpLambda", "config": {"name": "tf.math.add"}}
    with pytest.raises(ValueError, match="'tf.math.add' is a TensorFlow operation"):
        own_classes.known(config, "a.h5")


def test_a_constructor_that_the_file_cannot_call(tmp_path, forget):
    @keras.saving.register_keras_serializable("needs")
    class Needs(keras.layers.Layer):
        def __init__(self, width):
            super().__init__()

        def call(self, x):
            return x

    end = keras.layers.Flatten(), keras.layers.Dense(3)
    keras.Sequential([keras.Input(SHAPE), Needs(2), *end]).save(tmp_path / "a.keras")
    with pytest.raises(ValueError, match="get_config.*unexpected .*'trainable'"):
        saving.load_model(tmp_path / "a.keras")


def test_the_scope_of_the_user_stays_open(tmp_path):
    """A custom_object_scope around the call is not hidden by what we add."""

    class Scoped(keras.layers.Dense):
        """Known by the user's scope alone."""

    layers = [keras.Input((4, 4, 1)), keras.layers.Flatten(), Scoped(3)]
    net = nets.wrap(keras.Sequential(layers))
    nets.save(net, tmp_path / "scoped.keras")
    before = dict(keras.saving.get_custom_objects())
    with keras.saving.custom_object_scope({"Scoped": Scoped}):
        again = nets.load(tmp_path / "scoped.keras")
    assert type(again.model.layers[-1]) is Scoped
    assert keras.saving.get_custom_objects() == before
