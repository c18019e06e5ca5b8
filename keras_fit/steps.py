"""The steps of `fit` and `evaluate`, as Keras calls them."""

import tensorflow as tf

from common.errors import wrong
from keras_fit import data as fit_data
from keras_fit import weights as fit_weights
from nets.taps import Output
from op_utils import mixed_labels


class KerasSteps:
    """The part of a `DistillationModel` that Keras calls for each batch."""

    def _maybe_symbolic_build(self, *_, **__):
        """Nothing is left to build; in a strategy's scope Keras would try to."""

    def train_step(self, data):
        """One step of the current phase.

        Raises:
            ValueError: there was no `fit`, whose phases and method it is a step of.
        """
        if self.step is None:
            raise wrong(
                "A batch alone does not tell the phase, nor what the method may know "
                "of the data",
                expected="fit, and then train_on_batch",
                received="train_on_batch before fit",
            )
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

    def observe_training(self, batch, output):
        """Updates the metrics of `compile` by a step's output."""
        self._observe(batch, output, self.class_weights)

    def _observe(self, batch, output, class_weights=None):
        if self._compile_metrics is not None:
            label = mixed_labels.main_label(batch)
            weight = fit_weights.of_images(batch, label, class_weights)
            self._compile_metrics.update_state(label, output.logits, weight)

    def _batch(self, data) -> dict:
        batch = fit_data.as_batch(data)
        return {**batch, "image": self._normalised(batch["image"])}

    def _normalised(self, images):
        if self.is_plain:
            return tf.cast(images, tf.float32)
        return self.student.normalise(images) if images.dtype == tf.uint8 else images
