"""Distillation with `compile` and `fit`, by the same step as the command line's."""

import keras
import numpy as np
import tensorflow as tf

from distiller import base, specs
from nets import wrapped
from nets.taps import Output
from op_utils import step as step_lib
from op_utils.keras_optimizer import KerasOptimizer


class DistillationModel(keras.Model):
    """A student that `fit` trains with a method, phase by phase.

        model = DistillationModel(student, teacher, "VID+Soft_logits")
        model.compile("sgd", metrics=["accuracy"])
        model.fit(images, labels, batch_size=64, epochs=30, init_epochs=10)

    As a Keras model it is the student: `model(images)`, `evaluate` and `predict` are
    those of the method's deployed net (`.student` but for methods that say otherwise).

    Args:
        student: one of our nets, or any Keras model that takes what `fit` gets (wrap it
            yourself, `nets.wrap`, to name its taps or its scale of pixels).
        teacher: another, trained; None for methods without one. Not changed, but by
            methods that train it. It sees the same images, converted to its own size
            and normalisation.
        method: its name, with hyperparameters in `hparams`, or a built `Distiller`.
        hparams: settings such as "weight=3", as `--hparam` takes them.
        data: a `DataSpec`; None reads it off what `fit` gets.
        seed: of the method's own layers and random draws.

    Attributes:
        student, teacher: the nets, wrapped if they were not ours.
        method: the built `Distiller`, from the first `fit` on.
        phase: the name of the phase that is trained, None before.
    """

    def __init__(
        self,
        student,
        teacher,
        method: str | base.Distiller,
        *,
        hparams=(),
        data: base.DataSpec | None = None,
        seed: int = 0,
    ):
        super().__init__(name="distillation")
        self.student = wrapped.wrap(student)
        self.teacher = teacher and wrapped.seen_by(wrapped.wrap(teacher), self.student)
        is_built = isinstance(method, base.Distiller)
        self.method = method if is_built else None
        self.spec = None if is_built else specs.resolve(method, hparams)
        self.data, self.seed = data, seed
        self.phase, self.step = None, None
        self._means = _Means()
        self.counters = tuple(
            tf.Variable(0, trainable=False, dtype=tf.int32) for _ in range(2)
        )

    def compile(
        self,
        optimizer="sgd",
        loss=None,
        metrics=None,
        *,
        l2: float = 0.0,
        task_weight: float | None = None,
        xla: bool = False,
        **kwargs,
    ):
        """Chooses the optimizer of every phase, and what is measured.

        Args:
            optimizer: Keras' name of one, or one; each phase gets a fresh copy.
            loss: of labels [B] and logits, in place of the label cross-entropy.
            metrics: of labels [B] and logits, as for any Keras model.
            l2: weight decay inside the gradient, as all published recipes have it.
            task_weight: of the loss; None takes the method's.
            xla: compile forward and backward with XLA.
            **kwargs: of `keras.Model.compile`.
        """
        self.task_loss = keras.losses.get(loss) if loss else step_lib.cross_entropy
        self.options = {"task_weight": task_weight, "xla": xla}
        self.l2 = l2
        self.fresh_optimizer = keras.optimizers.serialize(
            keras.optimizers.get(optimizer)
        )
        kwargs.setdefault("jit_compile", False)  # `xla` compiles the step alone
        super().compile(optimizer, self.task_loss, metrics=metrics, **kwargs)

    def fit(
        self,
        x=None,
        y=None,
        *,
        batch_size: int = 32,
        epochs: int = 1,
        init_epochs: int = 1,
        steps_per_epoch: int | None = None,
        **kwargs,
    ):
        """Trains all phases; each reports as a `fit` of its own.

        Args:
            x: images [N, H, W, C] with labels `y`: uint8, or floats as the student's
                net expects them; or a `tf.data.Dataset` of static batches: dicts
                (`image`, `label`, `index`), as `dataloader` makes them, or (image,
                label).
            y: int [N] labels.
            batch_size: of arrays; an epoch's last, smaller batch is left out.
            epochs: of the method's last phase.
            init_epochs: of the phases before.
            steps_per_epoch: of a dataset that goes on; None takes all of its batches.
            **kwargs: of `keras.Model.fit`, for every phase.

        Returns:
            Phase name -> `keras.callbacks.History`.

        Raises:
            ValueError: the batches are not static, or the method cannot work on the
                two nets.
        """
        batches = x if isinstance(x, tf.data.Dataset) else _dataset(x, y, batch_size)
        batch_size = _check_static(batches, steps_per_epoch)
        if self.method is None:
            self._build_method(batches, batch_size)
        self.steps_per_epoch = steps_per_epoch or int(batches.cardinality())
        lengths = {"init": init_epochs, "train": epochs}
        histories = {}
        for phase in self.method.phases():
            self._start(phase, self.steps_per_epoch * lengths[phase.length])
            histories[phase.name] = super().fit(
                batches,
                epochs=lengths[phase.length],
                steps_per_epoch=steps_per_epoch,
                **kwargs,
            )
        return histories

    def _build_method(self, batches, batch_size: int):
        if self.data is None:
            classes = self.student.num_classes
            self.data = _read_data_spec(batches, batch_size, classes)
        teacher_taps = {} if self.teacher is None else self.teacher.tap_specs
        keras.utils.set_random_seed(self.seed)
        self.method = self.spec.build(self.student.tap_specs, teacher_taps, self.data)

    def _start(self, phase, steps: int):
        """A fresh optimizer and step for a phase of so many steps."""
        self.phase = phase.name
        self.optimizer = keras.optimizers.deserialize(self.fresh_optimizer)
        trained = step_lib.trained_variables(phase, self.student, self.teacher)
        self.step = step_lib.Step(
            method=self.method,
            phase=phase,
            student=self.student,
            teacher=self.teacher,
            optimizer=KerasOptimizer(self.optimizer, trained, self.l2),
            task_loss=self.task_loss,
            observe=self._observe,
            **self.options,
        )
        self.counters[0].assign(0)
        self.total_steps = steps
        self.train_function = None  # traces the new step

    # What Keras calls.

    def train_step(self, data):
        """One step of the current phase."""
        of_phase, of_all = self.counters
        batch = self._batch(data)
        batch |= {
            "epoch": tf.cast(of_phase // self.steps_per_epoch, tf.float32),
            "progress": tf.cast(of_phase, tf.float32) / float(self.total_steps),
            "seed": tf.stack([tf.constant(self.seed, tf.int32), of_all]),
        }
        values = self.step(batch, None)
        for counter in self.counters:
            counter.assign_add(1)
        results = {name: self._means.add(name, value) for name, value in values.items()}
        return results | self._compiled_results()

    def test_step(self, data):
        """Loss and metrics of the deployed net."""
        batch = self._batch(data)
        logits = self(batch["image"], training=False)
        loss = self._means.add("loss", self.task_loss(batch["label"], logits))
        self._observe(batch, Output(logits, {}))
        return {"loss": loss} | self._compiled_results()

    def call(self, images, training=False):
        """The deployed net's logits for uint8 or normalised images."""
        net = self.student
        if self.method is not None:
            net = self.method.deployed(self.student, self.teacher)
        return net(self._normalised(images), training=training)

    @property
    def metrics(self):
        """Those of `compile`, and means of the step's terms."""
        compiled = [self._compile_metrics] if self._compile_metrics else []
        return [*self._means.by_name.values(), *compiled]

    def _compiled_results(self) -> dict:
        return self._compile_metrics.result() if self._compile_metrics else {}

    def _observe(self, batch, output):
        if self._compile_metrics is not None:
            self._compile_metrics.update_state(batch["label"], output.logits)

    def _batch(self, data) -> dict:
        batch = dict(data) if isinstance(data, dict) else {}
        if not batch:
            batch["image"], batch["label"], _ = keras.utils.unpack_x_y_sample_weight(
                data
            )
        return {**batch, "image": self._normalised(batch["image"])}

    def _normalised(self, images):
        is_stored = images.dtype == tf.uint8
        return self.student.normalise(images) if is_stored else images


class _Means:
    """Means over an epoch; made when the step is traced, which knows the names."""

    def __init__(self):
        self.by_name = {}

    def add(self, name: str, value: tf.Tensor) -> tf.Tensor:
        """The mean so far, with this value."""
        if name not in self.by_name:
            with tf.init_scope():
                self.by_name[name] = keras.metrics.Mean(name)
        self.by_name[name].update_state(value)
        return self.by_name[name].result()


def _dataset(images, labels, batch_size: int) -> tf.data.Dataset:
    """Shuffled dicts of static batches, in another order every epoch."""
    index = np.arange(len(labels), dtype=np.int32)
    data = {"image": images, "label": np.asarray(labels, np.int32), "index": index}
    dataset = tf.data.Dataset.from_tensor_slices(data)
    dataset = dataset.shuffle(len(index)).batch(batch_size, drop_remainder=True)
    return dataset.prefetch(1)


def _check_static(batches: tf.data.Dataset, steps_per_epoch: int | None) -> int:
    """The size of every batch."""
    spec = batches.element_spec
    images = spec["image"] if isinstance(spec, dict) else spec[0]
    steps = steps_per_epoch or int(batches.cardinality())
    if images.shape.rank != 4 or None in images.shape or steps < 1:
        raise ValueError(
            "Batches must be alike and counted. Expected a dataset with images of "
            "static shape, batch(size, drop_remainder=True), and of known length, or "
            f"steps_per_epoch. Received: images {images.shape}, {steps} batches."
        )
    return images.shape[0]


def _read_data_spec(batches, batch_size: int, num_classes: int) -> base.DataSpec:
    """Size and labels of the data, from one pass over them."""
    labels, index = [], []
    for batch in batches:
        is_dict = isinstance(batch, dict)
        labels.append(batch["label"] if is_dict else batch[1])
        index.append(batch["index"] if is_dict and "index" in batch else [])
    labels, index = np.concatenate(labels).astype(np.int32), np.concatenate(index)
    if len(index):
        ordered = np.zeros(int(index.max()) + 1, np.int32)
        ordered[index.astype(int)] = labels
        labels = ordered
    return base.DataSpec(len(labels), num_classes, labels, batch_size)
