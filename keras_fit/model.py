"""Distillation with `compile` and `fit`, by the same step as the command line's."""

from typing import Any, cast

import keras
import numpy as np
import tensorflow as tf

from common.errors import wrong
from distiller.framework import base, specs
from keras_fit import arrays as fit_arrays
from keras_fit import callbacks as fit_callbacks
from keras_fit import data as fit_data
from keras_fit import means as fit_means
from keras_fit import options as fit_options
from keras_fit import values as fit_values
from keras_fit import variables as fit_variables
from keras_fit import weights as fit_weights
from keras_fit.files import DeployedFiles
from keras_fit.history import PhaseHistory
from keras_fit.optimizer import KerasOptimizer
from keras_fit.steps import KerasSteps
from nets.brought import wrapped
from op_utils import image_weights
from training import replicas
from training import step as step_lib


class DistillationModel(
    fit_values.CheckedPixels, DeployedFiles, KerasSteps, keras.Model
):
    """A student that `fit` trains with a method, phase by phase.

        model = DistillationModel(student, teacher, "VID+Soft_logits")
        model.compile("sgd", metrics=["accuracy"])
        model.fit(images, labels, batch_size=64, epochs=30, init_epochs=10)

    As a Keras model it is the student: `model(images)`, `evaluate`, `predict`, `save`,
    `export` and the weights' files are those of the method's deployed net (`.student`
    but for methods that say otherwise). `weights`, `get_weights` and `summary` are the
    student's and, from the first `fit` on, the method's; never the teacher's.

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
        built: base.Distiller | None = None
        self.spec: specs.Spec | None = None
        if isinstance(method, base.Distiller):
            built, uses_teacher = method, method.uses_teacher
        else:
            self.spec = specs.resolve(method, hparams)
            uses_teacher = self.spec.uses_teacher
        if not uses_teacher:
            teacher = None
        elif teacher is None:
            raise wrong(
                "The method learns from a teacher",
                expected="a net or a Keras model",
                received=f"teacher=None, {method=}",
            )
        self.is_plain = fit_options.are_plain(student, teacher)
        self.student = wrapped.wrap(student)
        wrapped.check_trainable(self.student)
        if teacher is not None:
            teacher = wrapped.seen_by(wrapped.wrap(teacher), self.student)
        self.of_method = fit_variables.MethodVariables(built)
        self._taught_by = fit_variables.Untracked(teacher)
        self.data, self.seed = data if built is None else built.data, seed
        self.phase: str | None = None
        self.step: step_lib.Step | None = None
        self.class_weights: np.ndarray | None = None
        self._means = fit_means.Means()
        self.counters = tuple(
            tf.Variable(0, trainable=False, dtype=tf.int32) for _ in range(2)
        )
        self.built = True  # as both nets are

    @property
    def teacher(self):
        """The teacher, or None."""
        return self._taught_by.net

    @property
    def method(self) -> base.Distiller | None:
        """The method, from the first `fit` on."""
        return self.of_method.method

    def compile(
        self,
        optimizer="sgd",
        loss=None,
        metrics=None,
        *,
        weighted_metrics=None,
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
            weighted_metrics: the same, with the weights of images and classes.
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
        self.task_weight, self.xla = task_weight, xla
        self.l2 = l2
        self.optimizer_config = keras.optimizers.serialize(
            keras.optimizers.get(optimizer)
        )
        super().compile(
            optimizer,
            metrics=metrics,
            weighted_metrics=weighted_metrics,
            run_eagerly=run_eagerly,
            steps_per_execution=steps_per_execution,
            jit_compile=False,  # `xla` compiles the step alone
        )

    def fit(
        self,
        x=None,
        y=None,
        batch_size: int | None = None,
        epochs: int = 1,
        *,
        init_epochs: int = 1,
        steps_per_epoch: int | None = None,
        shuffle: bool = True,
        class_weight=None,
        sample_weight=None,
        validation_split: float = 0.0,
        **kwargs,
    ):
        """Trains all phases; each reports as a `fit` of its own.

        Again, it goes on from the student as it is: all phases, new optimizers, and
        orders and random draws that were not there before. Phases before the last
        classify nothing yet: they are not validated.

        Args:
            x: images [N, H, W, C] with labels `y`; or a `tf.data.Dataset` of static
                batches: dicts (`image`, `label`, `index`, `sample_weight`), as
                `dataloader` makes them, or (image, label) or (image, label, weight) for
                methods that need no index.
            y: integers [N] or [N, 1].
            batch_size: of arrays; an epoch's last, smaller batch is left out. None is
                32.
            epochs: of the method's last phase.
            init_epochs: of the phases before.
            steps_per_epoch: of a dataset that goes on; None takes all of its batches.
            shuffle: arrays come in another order every epoch.
            class_weight: class -> weight of its images in the label loss, 1 for those
                that are not named; or "balanced", see `op_utils.class_weights`.
            sample_weight: [N], of arrays: multiplies what each image loses, by its
                label and in the method's terms. Methods that relate images refuse it.
            validation_split: share of arrays, their last images, to validate on.
            **kwargs: of `keras.Model.fit`, for every phase: `callbacks`, `verbose`,
                `validation_data`, `validation_batch_size`, `validation_steps`,
                `validation_freq`.

        Returns:
            A `history.PhaseHistory`: the last phase's History, and phase name ->
            `keras.callbacks.History`.

        Raises:
            ValueError: the images, labels, weights or batches are not as above, or the
                method cannot work on them or on the two nets, or a `tf.distribute`
                strategy has more than one replica.
        """
        self._check_one_replica("fit")
        self._assert_compile_called("fit")
        fit_options.check_fit(kwargs)
        kwargs.pop("initial_epoch", None)  # 0
        x, y, weight, batch_size = fit_arrays.read(x, y, sample_weight, batch_size)
        if y is not None or self.data is not None:  # Else who reads the labels does.
            self.check_pixels(x)
        if validation_split:
            x, y, weight, kwargs["validation_data"] = fit_arrays.split(
                x, y, weight, validation_split, kwargs.get("validation_data")
            )
        first = self._passes_before(y, batch_size)
        order: dict[str, Any] = {"shuffle": shuffle, "seed": self.seed, "first": first}
        batches = fit_data.batches_of(x, y, batch_size, weight=weight, **order)
        steps = steps_per_epoch or fit_data.steps_of(batches, y, batch_size)
        fit_data.check_batches(batches, steps, batch_size)
        found = self.data
        if found is None or y is not None:  # Of arrays it costs nothing.
            classes = self.student.num_classes
            found = fit_data.data_spec(batches, y, classes, look=self.check_pixels)
        data = self.data or found
        fit_data.check_same(data, batches, y)
        method = self.method or self.method_for(data)
        fit_callbacks.check(kwargs, method.phases())
        fit_data.check_index(method, batches)
        image_weights.check_can_weigh(method, batches.element_spec)
        weights = fit_weights.of_classes(class_weight, found, method, self.task_weight)
        self.begin_with(method, data)
        self.class_weights = weights
        self.steps_per_epoch = steps
        lengths = {"init": init_epochs, "train": epochs}
        histories, bests = {}, fit_callbacks.bests(kwargs)
        for phase in method.phases():
            fit_callbacks.begin_anew(bests)
            self._start(phase, steps * lengths[phase.length])
            histories[phase.name] = super().fit(
                batches,
                epochs=lengths[phase.length],
                steps_per_epoch=steps if y is not None else steps_per_epoch,
                shuffle=False,  # the batches are
                **fit_callbacks.of_phase(kwargs, phase),
            )
            if fit_callbacks.has_ended_all(kwargs, self):
                break
        self.history = PhaseHistory(histories)
        return self.history

    def method_for(self, data: base.DataSpec) -> base.Distiller:
        """The method for these data and the two nets, from the seed; not yet in use."""
        teacher_taps = {} if self.teacher is None else self.teacher.tap_specs
        keras.utils.set_random_seed(self.seed)
        spec = cast(specs.Spec, self.spec)  # None only where a built method was given
        return spec.build(self.student.tap_specs, teacher_taps, data)

    def begin_with(self, method: base.Distiller, data: base.DataSpec) -> None:
        """Takes the method into use, from now on."""
        self.data, self.of_method.method = data, method

    def _passes_before(self, y, batch_size) -> int:
        """How often earlier calls of `fit` passed through arrays like these."""
        per_pass = np.size(y) // batch_size if y is not None else 0
        return -(-int(self.counters[1]) // per_pass) if per_pass else 0

    def _check_one_replica(self, name: str):
        # Keras trains by the strategy in whose scope a model was made.
        replicas.check_one(
            f"DistillationModel.{name}",
            self.student.variables,
            (self.distribute_strategy, self.student.distribute_strategy),
        )

    def _start(self, phase, steps: int):
        """A fresh optimizer and step for a phase of so many steps."""
        self.phase = phase.name
        self.optimizer = fit_options.fresh_optimizer(
            self.optimizer_config, self.student.compute_dtype
        )
        trained = step_lib.trained_variables(phase, self.student, self.teacher)
        fit_variables.end_with(self.optimizer, trained)
        self.step = step_lib.Step(
            method=self.method,
            phase=phase,
            student=self.student,
            teacher=self.teacher,
            optimizer=KerasOptimizer(self.optimizer, trained, self.l2),
            task_loss=fit_weights.weighted(self.task_loss, self.class_weights),
            observe=self.observe_training,
            task_weight=self.task_weight,
            xla=self.xla,
        )
        self.counters[0].assign(0)
        self.total_steps = steps
        self.train_function = None  # traces the new step
