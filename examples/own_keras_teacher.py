"""A Keras model of one's own teaches a smaller one, with compile and fit.

python -m examples.own_keras_teacher
"""

import common.before_tensorflow  # noqa: F401  # quietens TensorFlow

# isort: split

import pathlib

import keras

import dataloader
from distiller import DistillationModel


def convolutional(*widths: int) -> keras.Model:
    """A model of digits; it takes pixels from 0 to 255 and returns logits."""
    conv = {"kernel_size": 3, "padding": "same", "activation": "relu"}
    layers = [keras.Input((8, 8, 1)), keras.layers.Rescaling(1 / 255)]
    for width in widths:
        layers += [keras.layers.Conv2D(width, **conv), keras.layers.MaxPooling2D()]
    layers += [keras.layers.Flatten(), keras.layers.Dense(10)]
    return keras.Sequential(layers)


def main(
    epochs: int = 30, path: str = "runs/own_keras_teacher.keras"
) -> dict[str, float]:
    """Trains the teacher on all digits, students on a tenth of them.

    Returns:
        Test accuracies from 0 to 1: of the teacher, the student alone and the student
        that was taught.
    """
    keras.utils.set_random_seed(0)
    data = dataloader.prepare("digits", fraction=0.1, batch_size=16)
    everything, few, test = data.dataset.train, data.train, data.dataset.test
    teacher = convolutional(32, 64)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    teacher.compile("adam", loss, metrics=["accuracy"])
    teacher.fit(everything.images, everything.labels, epochs=epochs // 5, verbose=0)
    found = {"teacher": teacher.evaluate(test.images, test.labels, verbose=0)[1]}
    for name, method in {"alone": "none", "taught": "Soft_logits"}.items():
        keras.utils.set_random_seed(1)
        model = DistillationModel(convolutional(4, 8), teacher, method)
        model.compile(keras.optimizers.Adam(0.01), metrics=["accuracy"])
        model.fit(few.images, few.labels, batch_size=16, epochs=epochs, verbose=0)
        scores = model.evaluate(test.images, test.labels, verbose=0, return_dict=True)
        found[name] = scores["accuracy"]
    pathlib.Path(path).parent.mkdir(parents=True, exist_ok=True)
    model.save(path)  # the student that was taught, for keras.saving.load_model
    print(f"saved {path}")
    return found


if __name__ == "__main__":
    for name, accuracy in main().items():
        print(f"{name}: {accuracy:.1%} of the test images right")
