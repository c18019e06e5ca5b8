"""Nets that users register: `nets.register`."""

import keras
import numpy as np
import pytest

import nets
from nets import given, registry, resnet
from nets.taps import TapSpec

SHAPE = (8, 8, 1)


@pytest.fixture(autouse=True)
def none_registered(monkeypatch):
    monkeypatch.setattr(registry, "_REGISTERED", {})


def tiny(num_classes, input_shape):
    """A Keras model that takes neither a scale, nor a seed, nor a precision."""
    return keras.Sequential(
        [
            keras.Input(input_shape),
            keras.layers.Conv2D(4, 3, activation="relu", name="first"),
            keras.layers.GlobalAveragePooling2D(),
            keras.layers.Dense(num_classes),
        ]
    )


class Small(nets.Net):
    """As docs/your_model.md writes one: it hands on what it does not use."""

    def __init__(self, num_classes, input_shape, *, mean=None, std=None, **kwargs):
        size = {"num_classes": num_classes, "input_shape": input_shape}
        super().__init__(**size, stride=1, mean=mean, std=std, **kwargs)
        self.first = keras.layers.Conv2D(4, 3, padding="same", dtype=self.dtype_policy)
        self.head = keras.layers.Dense(num_classes, dtype=self.dtype_policy)
        self.build((None, *self.image_shape))

    def build(self, input_shape):
        self.first.build(input_shape)
        self.head.build((None, 4))

    def maps(self, images, training):
        return {"last_map": keras.ops.relu(self.first(images))}

    def map_specs(self):
        return {"last_map": TapSpec((*self.image_shape[:2], 4), stride=1)}


def own(num_classes, input_shape, **options):
    """One of the repository's of another depth."""
    return resnet.ResNet(num_classes, input_shape, blocks=(1,), widths=(4,), **options)


MAKERS = {"function": tiny, "class": Small, "net": own}
every_maker = pytest.mark.parametrize("maker", MAKERS.values(), ids=MAKERS)


@every_maker
def test_it_is_known_by_its_name_behind_the_built_in_ones(maker):
    built_in = nets.names()
    assert nets.register("My_Net")(maker) is maker
    assert nets.names() == (*built_in, "My_Net")
    assert nets.canonical_name("my-net") == given.canonical_name("mynet") == "My_Net"
    with pytest.raises(ValueError, match="Did you mean 'My_Net'.*wrn_40_4, My_Net, or"):
        nets.build("MyNett", 10)


@every_maker
@pytest.mark.parametrize("dtype", [None, "mixed_bfloat16"])
def test_it_is_built_as_asked(maker, dtype):
    nets.register("mine")(maker)
    net = nets.build("Mine", 5, SHAPE, mean=(0.5,), std=(0.25,), dtype=dtype, seed=3)
    assert (net.name, net.num_classes, net.image_shape) == ("mine", 5, SHAPE)
    assert (net.mean, net.std) == ((0.5,), (0.25,))
    assert net.dtype_policy.name == (dtype or "float32")
    images = net.normalise(np.full((2, *SHAPE), 9, np.uint8))
    output = net(images, with_taps=True)
    assert output.logits.shape == (2, 5)
    assert output.taps.keys() == net.tap_specs.keys()
    assert {"last_map", "embedding"} <= output.taps.keys()
    assert keras.config.dtype_policy().name == "float32"


@every_maker
def test_equal_seeds_give_equal_nets(maker):
    nets.register("mine")(maker)
    first, same, other = (nets.build("mine", 5, SHAPE, seed=s) for s in (3, 3, 4))
    for a, b in zip(first.get_weights(), same.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)
    assert np.any(first.get_weights()[0] != other.get_weights()[0])


@every_maker
def test_its_file_gives_it_again(maker, tmp_path):
    nets.register("mine")(maker)
    net = nets.build("mine", 5, SHAPE, mean=(0.5,), std=(0.25,), seed=3)
    nets.save(net, tmp_path / "mine.keras")
    again = nets.load(tmp_path / "mine.keras")
    images = net.normalise(
        np.random.default_rng(0).integers(0, 9, (2, *SHAPE), np.uint8)
    )
    np.testing.assert_array_equal(again(images).numpy(), net(images).numpy())
    assert (again.name, again.mean) == ("mine", (0.5,))


def test_a_class_is_registered_with_keras_unless_it_is_already():
    class Fresh(Small):
        pass

    @keras.saving.register_keras_serializable("test_own_nets")
    class Known(Small):
        pass

    nets.register("fresh")(Fresh)
    nets.register("known")(Known)
    assert keras.saving.get_registered_name(Fresh) == "registered>fresh"
    assert keras.saving.get_registered_name(Known) == "test_own_nets>Known"


def test_the_usual_size_of_images():
    nets.register("tiny")(tiny)
    assert nets.build("tiny", 10).image_shape == (32, 32, 3)

    @nets.register("other")
    def other(num_classes, input_shape=(16, 16, 1)):
        return tiny(num_classes, input_shape)

    assert nets.build("other", 10).image_shape == (16, 16, 1)


@pytest.mark.parametrize(
    ("scaling", "first", "factor", "offset"),
    [
        (None, (), 4, -2),  # as normalised by mean 0.5 and std 0.25
        ("unit", (), 1, 0),
        (None, (keras.layers.Rescaling(1 / 255),), 1, 0),  # it wants pixels
        ("pixels", (keras.layers.Rescaling(1 / 51),), 5, 0),
    ],
)
def test_the_pixels_of_a_keras_model(scaling, first, factor, offset):
    @nets.register("mine", scaling=scaling)
    def mine(num_classes, input_shape):
        layers = (*first, keras.layers.Flatten(), keras.layers.Dense(num_classes))
        return keras.Sequential([keras.Input(input_shape), *layers])

    net = nets.build("mine", 3, (2, 2, 1), mean=(0.5,), std=(0.25,), seed=0)
    net.model.layers[-1].kernel.assign(np.eye(4, 3))
    pixels = np.arange(12, dtype=np.uint8).reshape(3, 2, 2, 1) * 20
    expected = pixels.reshape(3, 4)[:, :3] / 255 * factor + offset
    logits = net(net.normalise(pixels)).numpy()
    np.testing.assert_allclose(logits, expected, atol=1e-5)


def test_pixels_that_are_not_clear_raise():
    @nets.register("dim")
    def dim(num_classes, input_shape):
        layers = keras.layers.Rescaling(1 / 51), keras.layers.Flatten()
        stack = [keras.Input(input_shape), *layers, keras.layers.Dense(num_classes)]
        return keras.Sequential(stack)

    with pytest.raises(ValueError, match="not clear.*register.'dim', scaling="):
        nets.build("dim", 3, (2, 2, 1))


def test_the_same_function_or_class_again_takes_the_earlier_one_s_place():
    made = []
    for width in (3, 5):
        code = "@nets.register('cell')\ndef cell(num_classes, input_shape):\n"
        code += f"    return make(num_classes, input_shape, {width})"

        def make(num_classes, input_shape, width):
            made.append(width)
            return tiny(num_classes, input_shape)

        exec(code, {"__name__": "__main__", "nets": nets, "make": make})
        nets.build("cell", 3, SHAPE)
    assert made == [3, 5]
    assert nets.names().count("cell") == 1


@pytest.mark.parametrize(
    ("name", "taken"),
    [
        ("resnet8", "resnet8"),
        ("ResNet-20", "resnet20"),
        ("WRN-22-2", "wrn_22_2"),
        ("other", "other"),
        ("Oth-er", "other"),
    ],
)
def test_a_name_that_is_taken_is_refused(name, taken):
    nets.register("other")(tiny)
    before = nets.names()
    with pytest.raises(ValueError, match=f"name of another net.*which is {taken}"):
        nets.register(name)(own)
    assert nets.names() == before


@pytest.mark.parametrize(
    "name",
    ["", "my net", "1st", "a/b", "a:b", "a,b", "a=b", "my.keras", "é", "Auto-1", tiny],
)
def test_a_name_that_cannot_be_one_is_refused(name):
    with pytest.raises(ValueError, match="cannot be the name.*Received: name="):
        nets.register(name)


@pytest.mark.parametrize("what", [dict, keras.Model, 3, keras.Sequential()])
def test_what_makes_no_nets_is_refused(what):
    with pytest.raises(ValueError, match="Expected a subclass of nets.Net, or a func"):
        nets.register("mine")(what)


@pytest.mark.parametrize(
    "maker",
    [
        lambda: None,
        lambda num_classes: None,
        lambda num_classes, input_shape, width: None,
        lambda num_classes, input_shape, *, width, **others: None,
    ],
)
def test_another_signature_is_refused(maker):
    with pytest.raises(ValueError, match=r"Expected \(num_classes, input_shape\), and"):
        nets.register("mine")(maker)
    assert "mine" not in nets.names()


class NotBuilt(Small):
    def __init__(self, num_classes, input_shape, *, mean=None, std=None, **kwargs):
        size = {"num_classes": num_classes, "input_shape": input_shape}
        nets.Net.__init__(self, **size, stride=1, mean=mean, std=std, **kwargs)


class Lost(Small):
    """Hides from Keras what it needs to be read again."""

    def __init__(self, num_classes, input_shape, *, mean=None, std=None):
        super().__init__(num_classes, input_shape, mean=mean, std=std)


@pytest.mark.parametrize(
    ("maker", "words"),
    [
        (lambda n, s: tiny(n + 1, s), r"\(8, 8, 1\) and 5 classes.*and 6 classes"),
        (lambda n, s: Small(n, (4, 4, 1)), r"one for \(4, 4, 1\) and 5 classes"),
        (lambda n, s: None, "is none.*return a nets.Net or a Keras model.*None"),
        (lambda n, s: n + s, r"cannot be built.*TypeError.*test_own_nets.py, line \d+"),
        (NotBuilt, "not built"),
        (Lost, r"could not be read.*\*\*kwargs.*Lost\(num_classes"),
    ],
)
def test_another_net_than_asked_for_is_refused(maker, words):
    nets.register("mine")(maker)
    with pytest.raises(ValueError, match=f"The net mine .*{words}"):
        nets.build("mine", 5, SHAPE)


def test_a_scaling_without_effect_is_refused():
    with pytest.raises(ValueError, match="says itself.*scaling='unit' of mine"):
        nets.register("mine", scaling="unit")(Small)
    nets.register("mine", scaling="unit")(own)
    with pytest.raises(ValueError, match="says itself.*scaling='unit' of mine"):
        nets.build("mine", 5, SHAPE)
    nets.register("other", scaling="units")(tiny)
    with pytest.raises(ValueError, match="pixels, unit.*'units'"):
        nets.build("other", 5, SHAPE)


def test_the_same_model_at_each_call_is_refused():
    model = tiny(5, SHAPE)
    nets.register("mine")(lambda num_classes, input_shape: model)
    nets.build("mine", 5, SHAPE)
    with pytest.raises(ValueError, match="The net mine is the same one again"):
        nets.build("mine", 5, SHAPE)


def test_a_function_may_choose_the_taps():
    @nets.register("mine")
    def mine(num_classes, input_shape, *, mean, std):
        model = tiny(num_classes, input_shape)
        return nets.wrap(model, {"stage1": "first"}, mean=mean, std=std)

    net = nets.build("mine", 5, SHAPE, mean=(0.5,), std=(0.25,))
    assert (net.name, net.mean, net.scaling) == ("mine", (0.5,), "normalised")
    assert net.tap_layers == {"stage1": "first"}
    assert net.get_config()["name"] == "mine"


def test_a_net_s_own_error_stays_as_it_is():
    nets.register("mine")(own)
    with pytest.raises(ValueError, match="^num_classes is not usable"):
        nets.build("mine", 1, SHAPE)
