"""Distillation with `compile` and `fit`, by the same step as the command line's."""

import keras
import tensorflow as tf

from distiller import base, fit_data, fit_means, fit_options, specs
from nets import wrapped
from nets.taps import Output
from op_utils import mixed_labels, replicas
from op_utils import step as step_lib
from op_utils.keras_optimizer import KerasOptimizer


class DistillationModel(keras.Model):
    """A student that `fit` trains with a method, phase by phase.

        model = DistillationModel(student, teacher, "VID+Soft_logits")
        model.compile("sgd", metrics=["accuracy"])
        model.fit(images, labels, batch_size=64, epochs=30, init_epochs=10)

    As a Keras model it is the student: `model(images)`, `evaluate`, `predict`, `save`
    and the weights' files are those of the method's deployed net (`.student` but for
    methods that say otherwise).

    Images: our nets, and Keras models in `nets.wrap`, take uint8, which each normalises
    for itself, or what the student's `normalise` made of them. Keras models as they are
    take what `fit` gets as it is. Student and teacher must be of one kind.

    Args:
        student: one of our nets, a wrapped Keras model, or a Keras model.
        teacher: another, trained; None for methods without one. Not changed, but by
            methods that train it. It sees the same images, converted to its own size
            and normalisation.
        method: its name, with hyperparameters in `hparams`, or a built `Distiller`.
        hparams: settings such as "weight=3", as `--hparam` takes them.
        data: a `DataSpec`; None reads it off what the first `fit` gets.
        seed: of the order of arrays, the method's own layers and its random draws.

    Attributes:
        student, teacher: the nets, wrapped if they were not ours; the teacher is None
            where the method has none.
        method: the built `Distiller`, from the first `fit` on.
        phase: the name of the phase that is trained, None before.

    Raises:
        ValueError: the method is unknown or has no teacher that it needs, or the nets
            are no pair.
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
        super().__init__(name="distillation", autocast=False)
        is_built = isinstance(method, base.Distiller)
        self.method = method if is_built else None
        self.spec = None if is_built else specs.resolve(method, hparams)
        if not (self.method or self.spec).uses_teacher:
            teacher = None
        elif teacher is None:
            raise ValueError(
                "The method learns from a teacher. Expected a net or a Keras model. "
                f"Received: teacher=None, method={method!r}."
            )
        self.is_plain = fit_options.are_plain(student, teacher)
        self.student, self.teacher = wrapped.wrap(student), None
        wrapped.check_trainable(self.student)
        if teacher is not None:
            self.teacher = wrapped.seen_by(wrapped.wrap(teacher), self.student)
        self.data, self.seed = self.method.data if is_built else data, seed
        self.phase, self.step = None, None
        self._means = fit_means.Means()
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
        run_eagerly: bool = False,
        steps_per_execution: int = 1,
    ):
        """Chooses the optimizer of every phase, and what is measured.

        Args:
            optimizer: Keras' name of one, or one; each phase gets a fresh copy of what
                it is now, in a `LossScaleOptimizer` if the student computes in float16.
            loss: of labels [B] and logits; None is the label cross-entropy.
            metrics: of labels [B] and logits, as for any Keras model.
            l2: weight decay inside the gradient, as all published recipes have it.
            task_weight: of the loss; None takes the method's.
            xla: compile forward and backward with XLA.
            run_eagerly: of `keras.Model.compile`.
            steps_per_execution: of `keras.Model.compile`.

        Raises:
            ValueError: the loss takes probabilities, or a `tf.distribute` strategy has
                more than one replica.
        """
        self._check_one_replica("compile")
        self.task_loss = fit_options.task_loss(loss)
        self.options = {"task_weight": task_weight, "xla": xla}
        self.l2 = l2
        self.optimizer_config = keras.optimizers.serialize(
            keras.optimizers.get(optimizer)
        )
        super().compile(
            optimizer,
            metrics=metrics,
            run_eagerly=run_eagerly,
            steps_per_execution=steps_per_execution,
            jit_compile=False,  # `xla` compiles the step alone
        )

    def fit(
        self,
        x=None,
        y=None,
        *,
        batch_size: int = 32,
        epochs: int = 1,
        init_epochs: int = 1,
        steps_per_epoch: int | None = None,
        shuffle: bool = True,
        **kwargs,
    ):
        """Trains all phases; each reports as a `fit` of its own.

        Again, it goes on from the student as it is: all phases, new optimizers.

        Args:
            x: images [N, H, W, C] with labels `y`; or a `tf.data.Dataset` of static
                batches: dicts (`image`, `label`, `index`), as `dataloader` makes them,
                or (image, label) for methods that need no index.
            y: integers [N] or [N, 1].
            batch_size: of arrays; an epoch's last, smaller batch is left out.
            epochs: of the method's last phase.
            init_epochs: of the phases before.
            steps_per_epoch: of a dataset that goes on; None takes all of its batches.
            shuffle: arrays come in another order every epoch.
            **kwargs: of `keras.Model.fit`, for every phase: `callbacks`, `verbose`,
                `validation_data`, `validation_batch_size`, `validation_steps`,
                `validation_freq`.

        Returns:
            Phase name -> `keras.callbacks.History`.

        Raises:
            ValueError: the images, labels or batches are not as above, or the method
                cannot work on them or on the two nets, or a `tf.distribute` strategy
                has more than one replica.
        """
        self._check_one_replica("fit")
        fit_options.check_fit(kwargs)
        batches = fit_data.batches_of(x, y, batch_size, shuffle=shuffle, seed=self.seed)
        steps = steps_per_epoch or fit_data.steps_of(batches, y, batch_size)
        fit_data.check_batches(batches, steps)
        if self.data is None:
            classes = self.student.num_classes
            self.data = fit_data.data_spec(batches, y, classes)
        fit_data.check_same(self.data, batches, y)
        if self.method is None:
            self._build_method()
        fit_data.check_index(self.method, batches)
        self.steps_per_epoch = steps
        lengths = {"init": init_epochs, "train": epochs}
        histories = {}
        for phase in self.method.phases():
            self._start(phase, steps * lengths[phase.length])
            histories[phase.name] = super().fit(
                batches,
                epochs=lengths[phase.length],
                steps_per_epoch=steps if y is not None else steps_per_epoch,
                shuffle=False,  # the batches are
                **kwargs,
            )
        return histories

    def save(self, filepath, *args, **kwargs):
        """Writes the deployed net; a Keras model as it is stays one.

        Args:
            filepath: see `keras.Model.save`.
            *args: the same.
            **kwargs: the same.
        """
        self._saved().save(filepath, *args, **kwargs)

    def save_weights(self, filepath, *args, **kwargs):
        """Writes the weights of what `save` writes."""
        self._saved().save_weights(filepath, *args, **kwargs)

    def load_weights(self, filepath, *args, **kwargs):
        """Reads what `save_weights` wrote."""
        self._saved().load_weights(filepath, *args, **kwargs)

    def _saved(self):
        net = self._deployed()
        return net.model if self.is_plain and net is self.student else net

    def _deployed(self):
        if self.method is None:
            return self.student
        return self.method.deployed(self.student, self.teacher)

    def _check_one_replica(self, name: str):
        # Keras trains by the strategy in whose scope a model was made.
        replicas.check_one(
            f"DistillationModel.{name}",
            self.student.variables,
            (self.distribute_strategy, self.student.distribute_strategy),
        )

    def _build_method(self):
        teacher_taps = {} if self.teacher is None else self.teacher.tap_specs
        keras.utils.set_random_seed(self.seed)
        self.method = self.spec.build(self.student.tap_specs, teacher_taps, self.data)

    def _start(self, phase, steps: int):
        """A fresh optimizer and step for a phase of so many steps."""
        self.phase = phase.name
        self.optimizer = fit_options.fresh_optimizer(
            self.optimizer_config, self.student.compute_dtype
        )
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

    def _maybe_symbolic_build(self, *_, **__):
        """Nothing is left to build; in a strategy's scope Keras would try to."""

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
        compiled = self._compiled_results()
        terms = {k: v for k, v in values.items() if k not in compiled}
        return self._means.of_step(terms) | compiled

    def test_step(self, data):
        """Loss and metrics of the deployed net."""
        batch = self._batch(data)
        if "valid" in batch:  # of dataloader.eval_batches: copies fill the last one
            valid = batch.pop("valid")
            batch = {k: tf.boolean_mask(v, valid) for k, v in batch.items()}
        logits = tf.cast(self(batch["image"], training=False), tf.float32)
        loss = self.task_loss(batch, logits)
        loss = self._means.add("loss", loss, weight=tf.shape(logits)[0])
        self._observe(batch, Output(logits, {}))
        return {"loss": loss} | self._compiled_results()

    def call(self, images, training=False):
        """The deployed net's logits, for images as `fit` takes them."""
        return self._deployed()(self._normalised(images), training=training)

    @property
    def metrics(self):
        """Those of `compile`, and means of the step's terms."""
        compiled = [self._compile_metrics] if self._compile_metrics else []
        return [*self._means.by_name.values(), *compiled]

    def _compiled_results(self) -> dict:
        return self._compile_metrics.result() if self._compile_metrics else {}

    def _observe(self, batch, output):
        if self._compile_metrics is not None:
            label = mixed_labels.main_label(batch)
            self._compile_metrics.update_state(label, output.logits)

    def _batch(self, data) -> dict:
        batch = fit_data.as_batch(data)
        return {**batch, "image": self._normalised(batch["image"])}

    def _normalised(self, images):
        if self.is_plain:
            return tf.cast(images, tf.float32)
        return self.student.normalise(images) if images.dtype == tf.uint8 else images
