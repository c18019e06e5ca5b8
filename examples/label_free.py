"""A student learns from images alone: features of the teacher, and no label.

python -m examples.label_free
"""

import common.before_tensorflow  # noqa: F401  # quietens TensorFlow

# isort: split

import keras
import numpy as np
from sklearn.linear_model import LogisticRegression

import dataloader
import nets
from distiller import DistillationModel


def classified(net, few, test) -> float:
    """Accuracy of a linear classifier of the net's embeddings, from few labels."""
    train, held_out = (
        net(net.normalise(split.images), with_taps=True).taps["embedding"].numpy()
        for split in (few, test)
    )
    found = LogisticRegression(max_iter=1000).fit(train, few.labels)
    return found.score(held_out, test.labels)


def main(epochs: int = 20) -> dict[str, float]:
    """Teaches a student by PKT and asks what 50 labels then make of it.

    Returns:
        Test accuracies from 0 to 1: of the student's embedding before and after, and
        of the teacher's.
    """
    data = dataloader.load("digits")
    few = data.train.take(dataloader.balanced_subset(data.train.labels, 0.035, 0))
    scale = {"mean": data.mean, "std": data.std}
    teacher, student = (
        nets.build(name, 10, data.input_shape, seed=0, **scale)
        for name in ("resnet14", "resnet8")
    )
    trained = DistillationModel(teacher, None, "none")
    trained.compile("adam")
    images, labels = data.train.images, data.train.labels
    trained.fit(images, labels, epochs=max(1, epochs // 4), verbose=0)
    found = {"before": classified(student, few, data.test)}
    # PKT compares each image's neighbours: any widths, and no label. `fit` wants labels
    # all the same; with a task weight of 0 nothing depends on them.
    model = DistillationModel(student, teacher, "PKT")
    model.compile(keras.optimizers.Adam(0.003), task_weight=0.0)
    no_labels = np.zeros(len(images), "int32")
    model.fit(images, no_labels, batch_size=64, epochs=epochs, verbose=0)
    found["after"] = classified(student, few, data.test)
    return {**found, "teacher": classified(teacher, few, data.test)}


if __name__ == "__main__":
    for name, accuracy in main().items():
        print(f"{name}: {accuracy:.1%} of the test images right")
