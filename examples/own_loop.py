"""A training loop of one's own, to which a method adds its terms and variables.

python -m examples.own_loop
"""

import common.before_tensorflow  # noqa: F401  # quietens TensorFlow

# isort: split

import keras
import tensorflow as tf

import dataloader
import distiller
import nets


def train(batches, student, teacher=None, method=None) -> dict[str, float]:
    """Minimises the label loss and the method's terms; returns the last ones."""
    own = () if method is None else method.trainable_variables
    variables = [*student.trainable_variables, *own]
    optimizer = keras.optimizers.Adam(0.003)
    optimizer.build(variables)

    @tf.function(autograph=False)
    def step(batch):
        batch = {**batch, "image": student.normalise(batch["image"])}
        target = teacher and teacher(batch["image"], with_taps=True)
        with tf.GradientTape() as tape:
            output = student(batch["image"], training=True, with_taps=True)
            task = tf.nn.sparse_softmax_cross_entropy_with_logits(
                batch["label"], output.logits
            )
            terms = {"task": tf.reduce_mean(task)}
            terms |= method.loss(output, target, batch) if method else {}
            loss = tf.add_n(list(terms.values()))
        optimizer.apply(tape.gradient(loss, variables), variables)
        return terms

    for batch in batches:
        terms = step(batch)
    return {name: float(value) for name, value in terms.items()}


def main(epochs: int = 8) -> dict[str, float]:
    """Trains a ResNet-14 by labels, then a ResNet-8 by VID; returns its last terms."""
    data = dataloader.prepare("digits", batch_size=64)
    spec = distiller.DataSpec(len(data.train), 10, data.train.labels, 64)
    scale = {"mean": data.dataset.mean, "std": data.dataset.std}
    shape = data.dataset.input_shape
    teacher = nets.build("resnet14", 10, shape, seed=0, **scale)
    student = nets.build("resnet8", 10, shape, seed=0, **scale)
    train(data.batches(0, epochs, 0), teacher)
    vid = distiller.build("VID", student.tap_specs, teacher.tap_specs, spec)
    return train(data.batches(0, epochs, 0), student, teacher, vid)


if __name__ == "__main__":
    for name, value in main().items():
        print(f"{name}: {value:.4f} in the last batch")
