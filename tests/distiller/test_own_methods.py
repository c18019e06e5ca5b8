"""Methods that users register: `distiller.register`."""

import importlib.util
import json
import pathlib
import typing

import keras
import numpy as np
import pytest
import tensorflow as tf

import distiller
import nets
from comparison.grid import definition as grid
from distiller import registry
from distiller.framework import hyperparameters
from tests import fakes

TAPS = "student_taps, teacher_taps, data"
EXAMPLE = pathlib.Path(__file__).parents[2] / "examples/my_method.py"


@pytest.fixture(autouse=True)
def none_registered(monkeypatch):
    for kind in (registry, nets.registry):  # the example registers a net, too
        monkeypatch.setattr(kind, "_REGISTERED", {})


class Plain(distiller.Distiller):
    """A sum of squares."""

    def __init__(self, student_taps, teacher_taps, data, *, weight: float = 1):
        super().__init__(student_taps, teacher_taps, data)
        hyperparameters.check_positive(weight=weight)
        self.weight = weight

    def loss(self, student, teacher, batch):
        return {"plain": self.weight * tf.reduce_sum(student.logits**2)}


def with_arguments(text: str) -> type:
    """A method whose constructor takes these."""
    names = {"Distiller": distiller.Distiller, "typing": typing}
    code = f"def __init__(self, {text}): super().__init__({TAPS})"
    exec(code, names)
    body = {"__init__": names["__init__"], "loss": Plain.loss}
    return type("Made", (distiller.Distiller,), body)


def test_it_is_known_by_its_names_behind_the_built_in_ones():
    built_in = distiller.names()
    assert distiller.register("Mine", aliases=("My_own",))(Plain) is Plain
    assert distiller.names() == (*built_in, "Mine")
    assert distiller.canonical("my-own+kd") == "Mine+Soft_logits"
    assert distiller.resolve("MINE", ["weight=2"]).hyperparameters == {"weight": 2.0}
    spec = distiller.resolve("VID+mine", ["my_own.weight=3"])
    assert spec.hyperparameters["Mine.weight"] == 3.0
    assert distiller.resolve(spec.name, spec.settings) == spec
    with pytest.raises(ValueError, match="Did you mean 'Mine'.*, Mine \\(My_own\\)"):
        distiller.canonical("Miine")


def test_a_grid_has_it_among_all_methods():
    distiller.register("Mine")(Plain)
    assert grid.read_methods(["all"])[-1].name == "Mine"
    (method,) = grid.read_methods(["mine+AT"])
    assert method.label == "Mine+AT"


def test_it_is_built_alone_and_in_a_sum():
    distiller.register("Mine")(Plain)
    net = fakes.Net()
    arguments = net.tap_specs, net.tap_specs, fakes.data()
    method = distiller.build("Mine", *arguments, ["weight=2"])
    assert (type(method), method.weight) == (Plain, 2.0)
    with pytest.raises(ValueError, match=r"weight=-1\.0"):
        distiller.build("Mine", *arguments, ["weight=-1"])
    both = distiller.build("Mine+KD", *arguments)
    output = fakes.output(logits=np.full((2, fakes.NUM_CLASSES), 3.0))
    terms = both.loss(output, output, fakes.batch(2))
    assert float(terms["mine/plain"]) == 9.0 * 2 * fakes.NUM_CLASSES


def test_fit_takes_it():
    distiller.register("Mine")(Plain)
    model = keras.Sequential([keras.Input((4, 4, 1)), keras.layers.Flatten()])
    model.add(keras.layers.Dense(3))
    teacher = keras.models.clone_model(model)
    both = distiller.DistillationModel(model, teacher, "Mine", hparams=["weight=2"])
    both.compile("sgd")
    images = np.ones((8, 4, 4, 1), np.float32)
    both.fit(images, np.zeros(8, int), batch_size=4, verbose=0)


def test_it_is_described():
    @distiller.register("Mine")
    class Described(Plain):
        pass

    shown = distiller.describe()[-1]
    assert str(shown) == "Mine\n  weight=1.0"
    distiller.register("Other")(Plain)
    assert str(distiller.describe()[-1]).startswith("Other\n  A sum of squares.\n")


def test_a_link_is_shown_once():
    @distiller.register("Mine")
    class Linked(Plain):
        """Me, https://example.org/mine."""

    assert distiller.describe()[-1].paper == "Me, https://example.org/mine."


def test_a_whole_default_of_a_float_is_the_same_run_as_when_it_is_given():
    distiller.register("Mine")(Plain)
    spec = distiller.resolve("Mine")
    assert spec.settings == distiller.resolve("Mine", ["weight=1"]).settings
    assert spec.settings == ("weight=1.0",)


def test_the_same_class_again_takes_the_earlier_one_s_place():
    """A file that is run twice, under one module name or two, or a notebook's cell."""
    first, second, third = (load(name) for name in ("a_name", "a_name", "another_name"))
    assert distiller.names()[-1] == "Mine"
    assert registry.method_class(distiller.canonical("My")) is third.Mine
    assert len({first.Mine, second.Mine, third.Mine}) == 3
    for source in ("VALUE = 1", "VALUE = 2"):
        names = {"__name__": "__main__", "Plain": Plain, "distiller": distiller}
        code = f"@distiller.register('Cell')\nclass Cell(Plain): {source}"
        exec(code, names)
        assert registry.method_class("Cell") is names["Cell"]
    assert distiller.names()[-2:] == ("Mine", "Cell")


def test_an_alias_that_is_left_out_is_forgotten():
    distiller.register("Mine", aliases=("My",))(Plain)
    distiller.register("Mine")(Plain)
    with pytest.raises(ValueError, match="no method of this name"):
        distiller.canonical("My")


def load(name: str):
    spec = importlib.util.spec_from_file_location(name, EXAMPLE)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize(
    ("names", "taken"),
    [
        (["AT"], "AT, distiller.at.AT"),
        (["a-t"], "AT"),
        (["attention"], "AT"),
        (["Mine", "kd"], "Soft_logits"),
        (["Softlogits"], "Soft_logits"),
        (["Other"], r"Other, tests\.[\w.]+\.Plain"),
        (["Mine", "an_other"], "Other"),
    ],
)
def test_a_name_that_is_taken_is_refused(names, taken):
    distiller.register("Other", aliases=["an_other"])(Plain)

    class Mine(Plain):
        pass

    name, *aliases = names
    before = distiller.names()
    with pytest.raises(
        ValueError, match=f"name of another.*Received.*which is {taken}"
    ):
        distiller.register(name, aliases)(Mine)
    assert distiller.names() == before


@pytest.mark.parametrize(
    "name",
    ["A+B", "", "my method", "1st", "a.b", "a,b", "a=b", "a/b", "All", "é", None],
)
@pytest.mark.parametrize("is_alias", [False, True])
def test_a_name_that_cannot_be_one_is_refused(name, is_alias):
    with pytest.raises(ValueError, match="cannot be the name.*Received: name="):
        distiller.register("Mine", [name]) if is_alias else distiller.register(name)


def test_the_decorator_without_a_name_is_refused():
    with pytest.raises(ValueError, match=r'as in @distiller\.register\("Mine"\)'):
        distiller.register(Plain)


@pytest.mark.parametrize("what", [dict, len, Plain.loss, 3])
def test_what_is_no_method_is_refused(what):
    with pytest.raises(ValueError, match="Expected a subclass of distiller.Distiller"):
        distiller.register("Mine")(what)
    assert "Mine" not in distiller.names()


def test_a_method_without_a_loss_is_refused():
    class Empty(distiller.Distiller):
        pass

    with pytest.raises(ValueError, match=r"Expected loss\(self, .*Mine = class Empty"):
        distiller.register("Mine")(Empty)


TYPE = r"weight: TYPE = DEFAULT with TYPE one of int, float, str"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (f"{TAPS}, *, weight=1.0", "has no type.*" + TYPE),
        (f"{TAPS}, *, weight: float", "has no default.*" + TYPE),
        (f"{TAPS}, *, weight: float = 'much'", "does not fit.*weight.*'much'"),
        (f"{TAPS}, *, weight: float = None", "does not fit"),
        (f"{TAPS}, *, weight: int = 1.5", "does not fit"),
        (f"{TAPS}, *, weight: int = True", "does not fit"),
        (f"{TAPS}, *, weight: float = float('nan')", "does not fit"),
        (f"{TAPS}, *, weight: str = ''", "does not fit"),
        (f"{TAPS}, *, weight: tuple[int, ...] = [1]", "does not fit"),
        (f"{TAPS}, *, weight: dict = None", "cannot read.*" + TYPE),
        (f"{TAPS}, *, weight: list[int] = None", "cannot read"),
        (f"{TAPS}, *, weight: tuple[int, int] = (1, 2)", "cannot read"),
        (f"{TAPS}, *, weight: int | float = 1", "cannot read"),
        (f"{TAPS}, *, weight: typing.Literal[1, 2] = 1", "cannot read"),
        (f"{TAPS}, *, weight: 'Unknown' = 1", "cannot be read.*Unknown"),
        (f"{TAPS}, weight: float = 1.0", r"after the \*.*weight: float = 1\.0"),
        ("student_taps, teacher_taps, *, data=None", "takes other arguments"),
    ],
)
def test_a_constructor_that_hparam_cannot_serve_is_refused(arguments, words):
    with pytest.raises(ValueError, match=words) as error:
        distiller.register("Mine")(with_arguments(arguments))
    assert "Received: Mine = class Made with " in str(error.value)
    assert "Mine" not in distiller.names()


@pytest.mark.parametrize(
    ("annotation", "default", "given", "read"),
    [
        ("int", "2", "3", 3),
        ("str", "'a'", "b", "b"),
        ("bool", "True", "false", False),
        ("typing.Literal['a', 'b']", "'a'", "b", "b"),
        ("tuple[float, ...]", "(1, 2)", "3,4", (3.0, 4.0)),
        ("float | None", "None", "2", 2.0),
        ("typing.Optional[int]", "None", "2", 2),
        ("tuple[str, ...] | None", "None", "a,b", ("a", "b")),
    ],
)
def test_hyperparameters_of_every_type_are_read(annotation, default, given, read):
    method = with_arguments(f"{TAPS}, *, x: {annotation} = {default}")
    distiller.register("Mine")(method)
    spec = distiller.resolve("Mine", [f"x={given}"])
    assert spec.parts["Mine"]["x"] == read
    assert json.loads(json.dumps(spec.hyperparameters)) == spec.hyperparameters
    usual = distiller.resolve("Mine")
    assert distiller.resolve("Mine", usual.settings) == usual


def test_a_class_that_hands_its_arguments_on_is_taken():
    class More(Plain):
        def __init__(self, *arguments, extra: int = 1, **others):
            super().__init__(*arguments, **others)
            self.extra = extra

    distiller.register("Mine")(More)
    taps = fakes.Net().tap_specs
    method = distiller.build("Mine", taps, taps, fakes.data(), ["extra=4"])
    assert (method.extra, method.weight) == (4, 1)


def test_facts_of_the_class_count_before_there_are_nets():
    facts = {"uses_teacher": False, "needs_labels": True, "task_weight": 0.5}
    distiller.register("Mine")(type("Mine", (Plain,), facts))
    spec = distiller.resolve("Mine")
    assert {name: getattr(spec, name) for name in facts} == facts
