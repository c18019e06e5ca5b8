"""What `fit` returns, and how callbacks get on with its phases."""

import keras
import numpy as np
import pytest

import distiller
from tests.keras_fit.fitted import IMAGES, LABELS, fit, model, two_phases


def test_it_is_the_last_phases_history_and_answers_for_each():
    made = two_phases(metrics=["accuracy"])
    data = {"validation_data": (IMAGES, LABELS), "init_epochs": 2, "epochs": 3}
    found = fit(made, **data)
    assert isinstance(found, keras.callbacks.History)
    assert found.epoch == [0, 1, 2]
    assert found.params == {"verbose": 0, "epochs": 3, "steps": 4}
    assert {len(values) for values in found.history.values()} == {3}
    assert found.history.keys() >= {"loss", "val_loss", "accuracy", "val_accuracy"}
    assert found.model is made and made.history is found
    assert list(found) == ["hint", "distill"] and "hint" in found and len(found) == 2
    hint = found["hint"]
    assert len(hint.history["loss"]) == 2
    # The student is no classifier yet.
    assert not [name for name in hint.history if name.startswith("val_")]
    assert dict(found.items())["distill"].history == found.history


def test_a_second_fit_goes_on_with_orders_that_were_not_there_before():
    """Nothing is learned, so that the batches' losses tell which images they had."""

    def losses(*epochs):
        made, seen = model("none", keras.optimizers.SGD(0.0)), []
        watch = keras.callbacks.LambdaCallback(
            on_train_batch_end=lambda batch, logs: seen.append(float(logs["loss"]))
        )
        for number in epochs:
            fit(made, epochs=number, callbacks=watch)
        return np.reshape(seen, (-1, 4))

    at_once, one_by_one = losses(3), losses(1, 2)
    np.testing.assert_array_equal(one_by_one, at_once)
    assert len(set(map(tuple, at_once))) == 3


@pytest.mark.filterwarnings("ignore:Early stopping conditioned")
def test_the_best_epoch_is_chosen_where_the_student_classifies():
    """A first phase would stop, and be undone, by an accuracy that means nothing."""
    made = two_phases(metrics=["accuracy"])
    rule = {"monitor": "val_accuracy", "min_delta": 9.0, "patience": 1}
    stop = keras.callbacks.EarlyStopping(**rule, restore_best_weights=True)
    data = {"validation_data": (IMAGES, LABELS), "callbacks": stop}
    found = fit(made, epochs=4, init_epochs=4, **data)
    assert [len(phase.epoch) for phase in found.values()] == [4, 2]


def test_files_named_by_a_validation_are_those_of_the_phase_that_has_one(tmp_path):
    named = "{epoch}-{val_loss:.2f}"
    kept = [
        keras.callbacks.ModelCheckpoint(tmp_path / f"{named}.keras"),
        distiller.MethodCheckpoint(tmp_path / f"{named}.npz"),
    ]
    data = {"validation_data": (IMAGES, LABELS), "init_epochs": 2}
    found = fit(two_phases(), callbacks=kept, **data)
    (loss,) = found.history["val_loss"]
    names = {path.name for path in tmp_path.iterdir()}
    assert names == {f"1-{loss:.2f}.keras", f"1-{loss:.2f}.npz"}


def test_a_phase_that_ends_in_nan_ends_all():
    made = two_phases(keras.optimizers.SGD(1e30))
    found = fit(made, epochs=3, callbacks=[keras.callbacks.TerminateOnNaN()])
    assert list(found) == ["hint"] and np.isnan(found.history["loss"][-1])


def test_one_table_for_phases_with_other_columns_raises(tmp_path):
    log = keras.callbacks.CSVLogger(tmp_path / "log.csv", append=True)
    with pytest.raises(ValueError, match="append=True, 2 phases"):
        fit(two_phases(), callbacks=[log])
    with pytest.raises(ValueError, match="Received: History, 2 phases"):
        fit(two_phases(), callbacks=[keras.callbacks.History()])
    fit(model(), callbacks=[log])
    assert (tmp_path / "log.csv").read_text().startswith("epoch,accuracy")


def test_the_best_epoch_is_the_best_of_its_phase(tmp_path):
    """A hint's loss is another quantity, here ten times larger."""
    path = tmp_path / "{epoch}-{loss:.3f}.keras"
    rule = {"monitor": "loss", "mode": "max", "save_best_only": True}
    found = fit(two_phases(), callbacks=[keras.callbacks.ModelCheckpoint(path, **rule)])
    losses = [phase.history["loss"][0] for phase in found.values()]
    assert losses[0] > 2 * losses[1]
    names = sorted(p.name for p in tmp_path.iterdir())
    assert names == sorted(f"1-{loss:.3f}.keras" for loss in losses)


def test_tensorboard_writes_histograms_of_student_and_method(tmp_path):
    board = keras.callbacks.TensorBoard(tmp_path, histogram_freq=1)
    fit(model("VID"), callbacks=[board])
    written = b"".join(p.read_bytes() for p in tmp_path.rglob("*.tfevents*"))
    for name in (b"regressor_0/kernel", b"method/scale_0", b"dense"):
        assert name in written
