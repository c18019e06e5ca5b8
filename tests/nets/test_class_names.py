"""What a net's logits stand for, in its file and against data."""

import json
import zipfile

import keras
import numpy as np
import pytest
import tensorflow as tf

import nets
from nets import class_names, saving
from nets.class_names import check_same
from training.run import fingerprint

NAMES = ("cat", "guinea pig", "dog")
SCALE = {"mean": (0.4,), "std": (0.2,)}


def net(names=NAMES):
    found = nets.build("resnet8", 3, (8, 8, 1), seed=1)
    found.class_names = names
    return found


@pytest.mark.parametrize(
    "names",
    [
        NAMES,
        ("Cat", "Guinea-Pig", "DOG"),
        ("c_at", "guineapig", "dog "),
        None,
    ],
)
def test_the_same_names(names):
    check_same(NAMES, names, "a.keras")
    check_same(names, NAMES, "a.keras")


def test_accents_are_one_letter_or_two():
    check_same(("caf\u00e9",), ("cafe\u0301",), "a.keras")


def refused(own, others):
    with pytest.raises(ValueError, match=r"^the classes of the net in a\.keras") as e:
        check_same(own, others, "a.keras")
    assert "\n" not in str(e.value)
    return str(e.value)


def test_other_names_are_refused_and_both_lists_shown():
    text = refused(("cat", "dog", "guinea pig"), NAMES)
    assert "another order than the data set's. Expected cat, guinea pig, dog" in text
    assert "Received: cat, dog, guinea pig." in text
    text = refused(("cat", "guinea pig", "do\ng"), NAMES)
    assert "are not the data set's" in text and r"'do\ng'" in text


def test_case_counts_where_it_alone_tells_two_classes_apart():
    refused(("a", "A", "b"), ("A", "a", "b"))


def test_of_a_thousand_classes_the_first_that_differ_are_shown():
    names = [f"n{i:04}" for i in range(1000)]
    own = [*names[:990], *names[991:], names[990]]
    text = refused(own, names)
    first = "n0991 at 990, n0992 at 991, n0993 at 992, n0994 at 993, n0995 at 994"
    assert f"Received: {first} (10 of 1000 differ)" in text
    assert len(text) < 600


@pytest.mark.parametrize("names", [("a", "b"), "abc", ("a", "b", 3), ("a", "", "c")])
def test_what_are_no_names_of_three_classes(names):
    with pytest.raises(ValueError, match="Expected 3 texts.*Received: class_names="):
        net(names)


def test_many_names_are_listed_in_part():
    assert class_names.listed(NAMES, most=2) == "cat, guinea pig and 1 more"
    assert class_names.listed(NAMES, most=3) == "cat, guinea pig, dog"


def test_a_file_has_them(tmp_path):
    nets.save(net(), tmp_path / "net.keras")
    loaded = nets.load(tmp_path / "net.keras")
    assert loaded.class_names == loaded.get_config()["class_names"] == NAMES
    assert nets.load(tmp_path / "net.keras", dtype="mixed_bfloat16").class_names == (
        NAMES
    )
    assert keras.saving.load_model(tmp_path / "net.keras").class_names == NAMES
    nets.save(net(None), tmp_path / "unknown.keras")
    assert nets.load(tmp_path / "unknown.keras").class_names is None


def test_a_wrapped_net_has_them_too(tmp_path):
    seen = nets.seen_by(net(), nets.build("resnet8", 3, (8, 8, 1), **SCALE))
    model = keras.Sequential(
        [keras.Input((8, 8, 1)), keras.layers.Flatten(), keras.layers.Dense(3)]
    )
    wrapped = nets.wrap(model)
    assert wrapped.class_names is None
    wrapped.class_names = NAMES
    for number, one in enumerate((seen, wrapped)):
        assert one.class_names == NAMES
        nets.save(one, tmp_path / f"{number}.keras")
        assert nets.load(tmp_path / f"{number}.keras").class_names == NAMES
    assert saving.rebuilt(seen, "mixed_bfloat16").class_names == NAMES


def test_a_file_of_before_has_none(tmp_path):
    nets.save(net(), tmp_path / "new.keras")
    with zipfile.ZipFile(tmp_path / "new.keras") as new:
        with zipfile.ZipFile(tmp_path / "old.keras", "w") as old:
            for name in new.namelist():
                content = new.read(name)
                if name == "config.json":
                    config = json.loads(content)
                    assert config["config"].pop("class_names") == list(NAMES)
                    content = json.dumps(config)
                old.writestr(name, content)
    loaded = nets.load(tmp_path / "old.keras")
    assert loaded.class_names is None
    np.testing.assert_array_equal(loaded.head.kernel, net().head.kernel)


def test_they_change_nothing_that_is_computed():
    """So that they change no teacher cache, nor a digest of weights."""
    found = set()
    for names in (NAMES, None):
        one = net(names)
        forward = tf.function(one, autograph=False).get_concrete_function(
            tf.TensorSpec((2, 8, 8, 1), tf.float32)
        )
        weights = fingerprint.weights_digest(forward, one.variables)
        found.add((fingerprint.graph_digest(forward), weights))
    assert len(found) == 1
