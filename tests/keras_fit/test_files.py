"""What a DistillationModel writes, and goes on from."""

import copy

import keras
import numpy as np
import pytest
import tensorflow as tf

import distiller
import nets
from distiller import DistillationModel
from tests.keras_fit.fitted import IMAGES, LABELS, fit, model, plain


def test_an_export_gives_what_predict_gives(tmp_path):
    made = model("KD")
    fit(made)
    made.export(tmp_path / "keras", verbose=False)
    loaded = tf.saved_model.load(tmp_path / "keras")
    served = loaded.serve(IMAGES.astype(np.float32))
    np.testing.assert_allclose(served, made.predict(IMAGES, verbose=0), atol=1e-6)
    ours = DistillationModel(nets.build("resnet8", 3, (8, 8, 3)), None, "none")
    ours.compile("sgd")
    ours.export(tmp_path / "ours", verbose=False)  # also before any fit
    loaded = tf.saved_model.load(tmp_path / "ours")
    served = loaded.serve(IMAGES)
    np.testing.assert_allclose(served, ours.predict(IMAGES, verbose=0), atol=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize("is_ours", [False, True])
def test_an_export_for_litert(is_ours, tmp_path):
    net = nets.build("resnet8", 3, (8, 8, 3))
    made = DistillationModel(net, None, "none") if is_ours else model("none")
    made.compile("sgd")
    fit(made)
    made.export(tmp_path / "net.tflite", format="litert", verbose=False)
    interpreter = tf.lite.Interpreter(str(tmp_path / "net.tflite"))
    (given,), (wanted,) = (
        interpreter.get_input_details(),
        interpreter.get_output_details(),
    )
    assert given["dtype"] == (np.uint8 if is_ours else np.float32)
    interpreter.allocate_tensors()
    interpreter.set_tensor(given["index"], IMAGES[:1].astype(given["dtype"]))
    interpreter.invoke()
    expected = made.predict(IMAGES[:1], verbose=0)
    found = interpreter.get_tensor(wanted["index"])
    np.testing.assert_allclose(found, expected, atol=1e-4)


@pytest.mark.parametrize("method", [pytest.param("VID", marks=pytest.mark.slow), "DML"])
def test_another_model_goes_on_as_this_one_would(method, tmp_path):
    """Bit for bit: weights, the method's own, a trained teacher's, orders and draws."""
    made = model(method, "adam")
    fit(made)
    made.save_all_weights(tmp_path / "all.npz")
    again = model(method, "adam")
    again.load_all_weights(tmp_path / "all.npz")
    for one in (made, again):
        fit(one)
    nets_ = [(made.student, again.student), (made.teacher, again.teacher)]
    for one, other in (*nets_, (made.method, again.method)):
        for a, b in zip(one.variables, other.variables, strict=True):
            np.testing.assert_array_equal(a, b)


def test_the_callback_keeps_the_best_epoch_of_each_phase(tmp_path):
    made = model("VID")
    path = tmp_path / "{phase}-{epoch:02d}.npz"
    kept = distiller.MethodCheckpoint(path, monitor="loss", mode="max")
    fit(made, epochs=3, callbacks=[kept])
    assert [p.name for p in tmp_path.iterdir()] == ["distill-01.npz"]
    fit(made, epochs=2, callbacks=[distiller.MethodCheckpoint(path)])
    names = sorted(p.name for p in tmp_path.iterdir())
    assert names == ["distill-01.npz", "distill-02.npz"]
    made.load_all_weights(tmp_path / "distill-01.npz")
    assert int(made.counters[1]) == 16  # three epochs of four steps, and one more
    with pytest.raises(ValueError, match="'min' or 'max'.*mode=None"):
        distiller.MethodCheckpoint(path, monitor="val_accuracy")
    with pytest.raises(ValueError, match="ending in .npz. Received.*'a.weights.h5'"):
        distiller.MethodCheckpoint("a.weights.h5")


def test_the_callback_makes_its_folder_and_names_what_does_not_fit(tmp_path):
    kept = distiller.MethodCheckpoint(tmp_path / "new/{epoch}.npz")
    made = model("none")
    fit(made, callbacks=[kept])
    assert [p.name for p in (tmp_path / "new").iterdir()] == ["1.npz"]
    other = distiller.MethodCheckpoint(tmp_path / "{val_los}.npz")
    with pytest.raises(ValueError, match="Expected {phase}.*epoch, .*{val_los}"):
        fit(made, callbacks=[other])
    bare = plain()
    bare.compile("sgd", "mse")
    with pytest.raises(ValueError, match="Expected a DistillationModel.*Sequential"):
        bare.fit(IMAGES, np.zeros((20, 3)), verbose=0, callbacks=[kept])


def test_a_file_without_its_data_is_none(tmp_path):
    metas = ['{"format": 1}', '{"format": 1, "method": "none"}']
    for number, meta in enumerate(metas):
        labels = {} if not number else {"labels": LABELS}
        np.savez(tmp_path / "some.npz", meta=meta, **labels)
        with pytest.raises(ValueError, match="cannot be read.*of which data"):
            model("none").load_all_weights(tmp_path / "some.npz")


def test_a_file_that_is_not_this_models_raises_and_changes_nothing(tmp_path):
    made, file = model("VID"), tmp_path / "all.npz"
    with pytest.raises(ValueError, match="no variables before fit"):
        made.save_all_weights(file)
    fit(made)
    made.save_all_weights(file)
    cut, text, other = (tmp_path / f"{name}.npz" for name in ("cut", "text", "other"))
    cut.write_bytes(file.read_bytes()[:-2000])
    text.write_text("weights")
    np.savez(other, kernel=np.ones(3))
    fresh = model("VID")
    for path in (cut, text, other):
        with pytest.raises(ValueError, match="cannot be read.*complete"):
            fresh.load_all_weights(path)
    with pytest.raises(ValueError, match="no such file"):
        fresh.load_all_weights(tmp_path / "none.npz")
    assert fresh.method is None
    wider = model("VID", width=6)
    before = wider.student.get_weights()
    with pytest.raises(ValueError, match=r"of shape \(3, 3, 3, 6\).*\(3, 3, 3, 4\)"):
        wider.load_all_weights(file)
    for old, new in zip(before, wider.student.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)
    assert wider.method is None and wider.data is None
    with pytest.raises(ValueError, match="Expected method Soft_logits.*Received: VID"):
        model("KD").load_all_weights(file)
    with pytest.raises(ValueError, match="weight=2.*weight=1"):
        model("VID", hparams=("weight=2",)).load_all_weights(file)
    short = model("VID")
    fit(short, x=IMAGES[:10], y=LABELS[:10])
    with pytest.raises(ValueError, match="data 10 images.*Received: 20 images"):
        short.load_all_weights(file)


def test_save_weights_stays_the_students(tmp_path):
    made = model("VID")
    fit(made)
    made.save_weights(tmp_path / "student.weights.h5")
    bare = keras.models.clone_model(made.student.model)
    bare.load_weights(tmp_path / "student.weights.h5")
    for a, b in zip(bare.weights, made.student.model.weights, strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("copy_of", [keras.models.clone_model, copy.deepcopy])
def test_a_copy_is_refused_in_one_line(copy_of):
    with pytest.raises(NotImplementedError, match="^A method's var.*'sequential.*$"):
        copy_of(DistillationModel(plain(), None, "none"))
