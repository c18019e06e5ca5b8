"""Models as users build them: right sizes, logits and taps, or one line.

Their files, in users_models, import Keras and nothing of this project. What each net
shows is compared with what every layer returned when the model itself was called.
"""

import contextlib
import functools
import importlib
import pathlib
from unittest import mock

import keras
import numpy as np
import pytest
import tensorflow as tf

import distiller
import nets
from nets import costs
from users_models import save
from users_models.cases import CASES

LABELS = np.arange(16, dtype=np.int32) % 4
STATISTICS = ("moving_mean", "moving_variance", "mean", "variance", "count")


def _parameters(cases, variants=True):
    """Each model in each of its variants, or in the first; some by `-m slow` alone."""
    return pytest.mark.parametrize(
        ("case", "size", "dtype"),
        [
            pytest.param(
                case,
                *variant,
                id="-".join((case.name, *map(str, variant))),
                marks=[] if i < case.quick else [pytest.mark.slow],
            )
            for case in cases
            for i, variant in enumerate(case.variants)
            if variants or not i
        ],
    )


every_model = _parameters(CASES)
every_model_once = _parameters(CASES, variants=False)


def made(case, size, dtype):
    """The model as its file builds it."""
    module, _, function = case.name.partition(".")
    names = vars(importlib.import_module(f"users_models.{module}"))
    return save.made(names[function], size, dtype)


@functools.cache
def wrapped(case, size, dtype):
    return nets.wrap(
        made(case, size, dtype), image_shape=(size, size, 3), scaling=case.scaling
    )


@functools.cache
def pixels(size, count=4):
    """Images of one colour each, and noise."""
    rng = np.random.default_rng(size)
    colours = rng.integers(0, 206, (count, 1, 1, 3))
    return (colours + rng.integers(0, 50, (count, size, size, 3))).astype(np.uint8)


def given_to(case, size):
    """The pixels as the model itself wants them."""
    return pixels(size) / np.float32(1.0 if case.scaling == "pixels" else 255.0)


def recorded(model, images):
    """What the model returns, and what each of its layers got and returned."""
    of_layers, plain = {}, keras.layers.Layer.__call__

    def call(layer, *args, **kwargs):
        result = plain(layer, *args, **kwargs)
        of_layers[layer.name] = args[0], result
        return result

    with mock.patch.object(keras.layers.Layer, "__call__", call):
        output = model(images, training=False)
    return np.asarray(output, np.float64), of_layers


@functools.cache
def of_model(case, size, dtype):
    """`recorded`, of the model of `wrapped`."""
    return recorded(wrapped(case, size, dtype).model, given_to(case, size))


def of_net(case, size, dtype):
    net = wrapped(case, size, dtype)
    return net(net.normalise(pixels(size)), with_taps=True)


def assert_same(found, expected, dtype, message=""):
    """Equal but for roundings of the precision, against the largest entry."""
    found, expected = (np.asarray(x, np.float64) for x in (found, expected))
    assert found.shape == expected.shape, message
    share = {"mixed_float16": 1e-2, "mixed_bfloat16": 5e-2}.get(dtype, 1e-4)
    atol = share * max(np.abs(expected).max(), 1e-3)
    np.testing.assert_allclose(found, expected, atol=atol, rtol=0, err_msg=message)


def softmax(logits):
    logits = np.asarray(logits, np.float64)
    powers = np.exp(logits - logits.max(axis=-1, keepdims=True))
    return powers / powers.sum(axis=-1, keepdims=True)


@every_model
def test_logits_are_the_models(case, size, dtype):
    expected, _ = of_model(case, size, dtype)
    assert np.ptp(expected, axis=0).max() > 1e-3, "the images must differ"
    logits = of_net(case, size, dtype).logits
    found = softmax(logits) if case.probabilities else logits
    assert_same(found, expected, dtype)
    net = wrapped(case, size, dtype)
    images = net.normalise(pixels(size))
    np.testing.assert_array_equal(net(images), net(images))
    assert_same(net(images), logits, dtype)
    assert not case.probabilities or np.min(logits) < 0, "no probabilities as logits"


@every_model
def test_stages_are_what_a_person_would_name(case, size, dtype):
    """By their values: the net may call the layers as it likes."""
    net, taps = wrapped(case, size, dtype), of_net(case, size, dtype).taps
    stages = [name for name in taps if name[:5] == "stage" and name[-4:] != "_pre"]
    assert sorted(stages) == [f"stage{i + 1}" for i in range(len(case.stages))]
    if case.taps != "maps":
        assert set(taps) <= {"embedding"}
        assert set(taps) == set(net.tap_specs)
        return
    _, layers = of_model(case, size, dtype)
    named = {}
    for stage, names in zip(sorted(stages), case.stages, strict=True):
        same = [x for x in names if _is_same(taps[stage], layers[x][1], dtype)]
        assert same, f"{stage} is {net.tap_layers.get(stage)}, not {' or '.join(names)}"
        named[stage] = same[0]
        _check_before(taps, stage, case, layers, dtype)
    assert set(case.before) <= set(taps)
    smallest = {spec.shape[0] for spec in net.tap_specs.values() if len(spec.shape) > 1}
    assert taps["last_map"].shape[1] == min(smallest)
    shapes = {name: tuple(tap.shape[1:]) for name, tap in taps.items()}
    assert shapes == {name: spec.shape for name, spec in net.tap_specs.items()}


def _check_before(taps, stage, case, layers, dtype):
    """What the ReLU gets; where no ReLU makes the stage, the stage or nothing."""
    before = taps.get(f"{stage}_pre")
    if f"{stage}_pre" in case.before:
        assert_same(before, layers[case.before[f"{stage}_pre"]][1], dtype)
    elif before is not None and not _is_same(before, taps[stage], dtype):
        top = np.max(taps[stage])  # of a ReLU that ends at six
        assert_same(np.clip(before, 0, top), taps[stage], dtype, f"{stage}_pre")


def _is_same(found, expected, dtype):
    with contextlib.suppress(AssertionError):
        assert_same(found, expected, dtype)
        return True
    return False


@every_model
def test_the_embedding_is_what_the_head_gets(case, size, dtype):
    """With dropout and augmentation, too: one draw makes both."""
    net = wrapped(case, size, dtype)
    if not case.has_head:
        assert net.head is None
        return
    images = net.normalise(pixels(size))
    weights = net.get_weights()
    for training in (False, True):
        logits, taps = net(images, training=training, with_taps=True)
        vector = keras.ops.cast(taps["embedding"], net.head.compute_dtype)
        found = net.head(vector)
        assert_same(found, logits, dtype, f"training={training}")
    net.set_weights(weights)  # batch norms moved


def is_statistic(variable):
    """Weights that no gradient is meant for."""
    return variable.path.split("/")[-1] in STATISTICS


@every_model_once
def test_sizes_count_what_is_frozen_and_no_states(case, size, dtype):
    net = wrapped(case, size, dtype)
    weights = [v for v in net.model.weights if "seed_generator" not in v.path]
    parameters = sum(np.prod(v.shape) for v in weights if not is_statistic(v))
    statistics = sum(np.prod(v.shape) for v in weights if is_statistic(v))
    sizes = costs.sizes(net)
    assert sizes["parameters"] == parameters
    assert costs.count_parameters(net) == parameters
    apart = [value for name, value in sizes.items() if "non_trainable" in name]
    frozen = sum(np.prod(v.shape) for v in net.model.non_trainable_weights)
    assert apart and apart[0] in (statistics, frozen), "they are shown apart"
    summary = keras.Model.count_params(net.model)
    assert sum((parameters, statistics)) == summary, "what Keras counts"


def test_multiply_accumulates_of_a_transformer():
    """Of patches, attention and its two products, the dense layers and the head."""
    net = wrapped(case_of("vit.build"), 32, "float32")
    tokens, width, patches = 17, 16, 16
    attention = 4 * tokens * width**2 + 2 * tokens**2 * width
    block = attention + 2 * tokens * width * 2 * width
    expected = patches * 8 * 8 * 3 * width + 2 * block + width * 4
    assert costs.sizes(net)["multiply_accumulates"] == expected


@every_model
def test_penalties_are_the_models_own(case, size, dtype):
    net, images = wrapped(case, size, dtype), given_to(case, size)
    weights = net.get_weights()
    seen = net.normalise(pixels(size))
    for with_taps in (False, True):
        net.model(images, training=False)
        expected = sorted(float(x) for x in net.model.losses)
        net(seen, training=False, with_taps=with_taps)
        found = sorted(float(x) for x in net.losses)
        np.testing.assert_allclose(
            found, expected, rtol=1e-2 if "16" in dtype else 1e-4
        )
    assert bool(expected) == (case.name == "penalised.build")
    net.set_weights(weights)


def one_step(student, teacher, method):
    """Terms, and the gradients of all that the student trains."""
    data = distiller.DataSpec(len(LABELS), 4, LABELS, batch_size=4)
    built = distiller.build(method, student.tap_specs, teacher.tap_specs, data, [])
    size = student.image_shape[0]
    images = student.normalise(pixels(size))
    seen = nets.seen_by(teacher, student)
    batch = {"image": images, "label": tf.constant(LABELS[:4])}
    target = seen(images, training=False, with_taps=True)
    with tf.GradientTape() as tape:
        output = student(images, training=True, with_taps=True)
        terms = built.loss(_float(output), _float(target), batch)
        loss = tf.add_n(list(terms.values()))
    return terms, tape.gradient(loss, student.trainable_variables)


def _float(output):
    taps = {name: tf.cast(tap, tf.float32) for name, tap in output.taps.items()}
    return output._replace(logits=tf.cast(output.logits, tf.float32), taps=taps)


@every_model_once
def test_it_teaches_and_learns_by_logits_and_by_maps(case, size, dtype):
    net = wrapped(case, size, dtype)
    other = nets.build("resnet8", 4, (size, size, 3), seed=0)
    weights = net.get_weights()
    methods = ("Soft_logits", "AT") if case.taps == "maps" else ("Soft_logits",)
    for method in methods:
        for student, teacher in ((net, other), (other, net)):
            terms, gradients = one_step(student, teacher, method)
            assert terms and all(np.isfinite(x) for x in terms.values())
            reached = [tf.convert_to_tensor(g) for g in gradients if g is not None]
            assert all(np.all(np.isfinite(g)) for g in reached)
            # Where the base is frozen, no map has anything to learn.
            is_frozen = student is net and method == "AT" and "transfer" in case.name
            assert is_frozen or any(np.any(g) for g in reached)
    if case.taps != "maps":
        for student, teacher in ((net, other), (other, net)):
            with pytest.raises(ValueError) as caught:
                one_step(student, teacher, "AT")
            line = str(caught.value)
            assert "Received: " in line and "\n" not in line
            assert case.why_no_maps in line
    net.set_weights(weights)


@every_model_once
def test_a_saved_net_is_the_same(case, size, dtype, tmp_path):
    net, expected = wrapped(case, size, dtype), of_net(case, size, dtype)
    nets.save(net, tmp_path / "net.keras")
    custom = {"GatedHead": importlib.import_module("users_models.blocks").GatedHead}
    with keras.saving.custom_object_scope(custom):
        again = nets.load(tmp_path / "net.keras")
    found = again(again.normalise(pixels(size)), with_taps=True)
    assert_same(found.logits, expected.logits, dtype)
    assert list(found.taps) == list(expected.taps) == list(again.tap_specs)
    for name, tap in expected.taps.items():
        assert_same(found.taps[name], tap, dtype, name)
    assert again.tap_layers == net.tap_layers
    assert costs.count_parameters(again) == costs.count_parameters(net)


def case_of(name):
    (found,) = (case for case in CASES if case.name == name)
    return found


def trained_weights(net, call):
    """What a call in training mode returns, and what became of the weights."""
    weights = net.get_weights()
    output = call()
    moved = [np.asarray(v) for v in net.model.weights if "seed" not in v.path]
    net.set_weights(weights)
    return np.asarray(output), moved


@pytest.mark.parametrize(
    "name",
    ["transfer.build", pytest.param("transfer.finetuned", marks=pytest.mark.slow)],
)
def test_batch_norms_move_as_the_models_own(name):
    """Keras moves those of a base that was called with training=False, if unfrozen."""
    net = wrapped(case_of(name), 32, "float32")
    images = net.normalise(pixels(32)), given_to(case_of(name), 32)
    before = [np.asarray(v) for v in net.model.weights if "seed" not in v.path]
    output, moved = trained_weights(net, lambda: net.model(images[1], training=True))
    for with_taps in (False, True):
        call = functools.partial(_logits, net, images[0], with_taps)
        logits, found = trained_weights(net, call)
        for own, other in zip(moved, found, strict=True):
            np.testing.assert_allclose(other, own, atol=1e-5)
        if name == "transfer.finetuned":  # the other draws at random
            assert_same(softmax(logits), output, "float32")
    changes = [np.any(a != b) for a, b in zip(before, moved, strict=True)]
    assert any(changes) == (name == "transfer.finetuned")


def _logits(net, images, with_taps):
    output = net(images, training=True, with_taps=with_taps)
    return output.logits if with_taps else output


def test_no_tap_is_a_preprocessed_image():
    for name in ("transfer.build", "preprocessed.build"):
        case = case_of(name)
        net = wrapped(case, 32, "float32")
        for tap, spec in net.tap_specs.items():
            assert spec.shape != (32, 32, 3), f"{name}: {tap}"


@pytest.mark.parametrize("name", ["patches", "tokens"])
def test_a_linear_map_of_pixels_is_refused_by_name(name):
    model = made(case_of("vit.build"), 32, "float32")
    with pytest.raises(ValueError, match="token") as caught:
        nets.wrap(model, {"stage1": name}, scaling="pixels")
    assert name in str(caught.value) and "\n" not in str(caught.value)


def test_a_subclassed_model_without_a_size_says_what_to_give():
    model = made(case_of("subclassed.build"), 32, "float32")
    with pytest.raises(ValueError, match=r"image_shape=\(H, W, C\)") as caught:
        nets.wrap(model)
    assert "\n" not in str(caught.value)
    with pytest.raises(ValueError, match="subclassed"):
        nets.wrap(model, {"x": "conv2"}, image_shape=(32, 32, 3))


@pytest.mark.slow
def test_fit_takes_two_models_as_they_are():
    """The whole way of docs/your_model.md, with a frozen base and a penalty."""
    student = made(case_of("penalised.build"), 24, "float32")
    teacher = made(case_of("transfer.build"), 32, "float32")
    base = teacher.get_layer("base")
    frozen = [np.asarray(v) for v in base.weights]
    student, teacher = (
        nets.wrap(model, image_shape=(24, 24, 3), scaling=scaling)
        for model, scaling in ((student, "unit"), (teacher, "pixels"))
    )
    model = distiller.DistillationModel(student, teacher, "AT+Soft_logits")
    model.compile("sgd", metrics=["accuracy"])
    model.fit(pixels(24, 16), LABELS, batch_size=8, verbose=0)
    result = model.evaluate(pixels(24, 16), LABELS, verbose=0, return_dict=True)
    assert np.isfinite(result["loss"])
    for old, variable in zip(frozen, base.weights, strict=True):
        np.testing.assert_array_equal(variable, old)


@pytest.mark.slow
def test_fit_takes_models_that_rescale_as_they_are(tmp_path):
    """Pixels from 0 to 255 are what they want; the student stays a Keras model."""
    student = made(case_of("preprocessed.build"), 24, "float32")
    teacher = made(case_of("transfer.rescaled"), 24, "float32")
    model = distiller.DistillationModel(student, teacher, "AT+Soft_logits")
    model.compile("sgd")
    images = pixels(24, 16).astype(np.float32)
    model.fit(images, LABELS, batch_size=8, verbose=0)
    model.save(tmp_path / "student.keras")
    again = keras.saving.load_model(tmp_path / "student.keras")
    assert type(again) is type(student)
    expected = student(images, training=False)
    assert_same(again(images, training=False), expected, "float32")
    assert_same(model.predict(images, verbose=0), expected, "float32")


def test_the_users_files_do_not_import_the_project():
    ours = {"nets", "distiller", "dataloader", "op_utils", "comparison"}
    folder = pathlib.Path(save.__file__).parent
    for path in folder.glob("*.py"):
        lines = path.read_text().splitlines()
        words = [x.split() for x in lines if x.startswith(("import ", "from "))]
        assert not ours & {word[1].partition(".")[0] for word in words}, path.name


@pytest.mark.parametrize(("name", "size"), [("build", 32), ("build", 64), ("vit", 32)])
def test_a_classifier_of_keras_hub(name, size):
    """Its backbone, which is one layer, is walked; a transformer has no stages."""
    pytest.importorskip("keras_hub")
    hub = importlib.import_module("users_models.hub")
    model = save.made(getattr(hub, name), size)
    net = nets.wrap(model, scaling="unit")
    logits, taps = net(net.normalise(pixels(size)), with_taps=True)
    images = pixels(size) / np.float32(255)
    expected = model(images, training=False)
    found = softmax(logits) if name == "vit" else logits
    assert_same(found, expected, "float32")
    if name == "vit":
        assert set(taps) <= {"embedding"}
        return
    pyramid = keras.Model(model.backbone.inputs, model.backbone.pyramid_outputs)
    stages = sorted(x for x in taps if x.startswith("stage") and "_pre" not in x)
    maps = [value for _, value in sorted(pyramid(images, training=False).items())]
    for stage, value in zip(reversed(stages), reversed(maps), strict=False):
        assert_same(taps[stage], value, "float32", stage)
    assert len(stages) >= len(maps) >= 2
