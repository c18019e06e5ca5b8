"""Whose variables are a DistillationModel's: the student's and the method's."""

import keras
import numpy as np

from tests.keras_fit.fitted import fit, model, two_phases


def test_weights_are_the_students_and_the_methods_and_not_the_teachers():
    made = model("VID")
    assert len(made.get_weights()) == len(made.student.variables) == 4
    assert made.count_params() == made.student.count_params()
    fit(made)
    own = [*made.student.variables, *made.method.variables]
    assert list(map(id, made.weights)) == list(map(id, own))
    assert list(map(id, made.trainable_variables)) == list(map(id, own))
    sizes = [int(np.prod(v.shape)) for v in own]
    assert made.count_params() == sum(sizes)
    lines = []
    made.summary(print_fn=lines.append)
    text = "".join(lines)
    assert f" Trainable params: {sum(sizes):,}" in text
    assert "method (MethodVariables)" in text and "sequential_1" not in text
    before = made.teacher.get_weights()
    made.set_weights([0 * value for value in made.get_weights()])
    assert not any(np.any(value) for value in own)
    for old, new in zip(before, made.teacher.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)
    assert any(np.any(value) for value in before)


def test_the_best_weights_come_back_of_student_and_method():
    made, first = model("VID"), []

    def keep(epoch, logs):
        if not epoch:
            first.extend(v.numpy() for v in (*made.student.weights, *own()))

    def own():
        return made.method.variables

    # The loss falls, so that of mode "max" the first epoch is the best.
    rule = {"monitor": "loss", "mode": "max", "restore_best_weights": True}
    callbacks = [
        keras.callbacks.EarlyStopping(patience=9, **rule),
        keras.callbacks.LambdaCallback(on_epoch_end=keep),
    ]
    losses = fit(made, epochs=3, callbacks=callbacks).history["loss"]
    assert losses[0] == max(losses)
    for kept, now in zip(first, (*made.student.weights, *own()), strict=True):
        np.testing.assert_array_equal(kept, now)


def test_averages_of_weights_end_in_the_weights_that_they_are_of():
    """Keras would give them out in the order of `model.trainable_weights`."""
    made = two_phases(keras.optimizers.SGD(0.1, use_ema=True, ema_momentum=0.5))
    given = made.teacher.get_weights()
    swap = keras.callbacks.SwapEMAWeights(swap_on_epoch=True)
    fit(made, epochs=2, callbacks=[swap])
    averages = made.optimizer._model_variables_moving_average
    trained = made.step.optimizer.trained
    for variable, average in zip(trained, averages, strict=True):
        np.testing.assert_array_equal(variable, average)
    for old, new in zip(given, made.teacher.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)
