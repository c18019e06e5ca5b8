"""What a `DistillationModel` writes: the deployed net, or all that learns."""

import keras

from keras_fit import checkpoint as fit_checkpoint


class DeployedFiles:
    """The part of a `DistillationModel` that writes and reads files."""

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

    def save_all_weights(self, filepath):
        """Writes what `fit` goes on from; see `checkpoint.write`."""
        fit_checkpoint.write(filepath, self)

    def load_all_weights(self, filepath):
        """Reads what `save_all_weights` wrote; see `checkpoint.read`."""
        fit_checkpoint.read(filepath, self)

    def export(self, filepath, format="tf_saved_model", **kwargs):
        """Writes the deployed net for inference alone, without Python.

        A Keras model as it is takes what it takes. One of our nets, or a wrapped one,
        takes stored pixels, uint8 [B, H, W, C], which it normalises itself. Both give
        what `predict` gives for them.

        Args:
            filepath: see `keras.Model.export`.
            format: the same; "tf_saved_model", "litert" and so on.
            **kwargs: the same.
        """
        net = self._saved()
        if net is self._deployed():
            shape = (None, *net.image_shape)
            pixels = keras.layers.InputSpec("uint8", shape)
            kwargs.setdefault("input_signature", [pixels])
            net = FromPixels(net)
        net.export(filepath, format=format, **kwargs)

    def get_config(self):
        """None: of it `clone_model`, `copy.deepcopy` and `to_json` would make another.

        Raises:
            NotImplementedError: always.
        """
        raise NotImplementedError(
            "A method's variables and two nets have no config, by which Keras copies "
            "a model. Expected another DistillationModel of the same arguments, with "
            "load_all_weights, or a copy of its student. "
            f"Received: a {type(self).__name__} of {self.student.name!r}."
        )

    def _saved(self):
        net = self._deployed()
        return net.model if self.is_plain and net is self.student else net

    def _deployed(self):
        if self.method is None:
            return self.student
        return self.method.deployed(self.student, self.teacher)


class FromPixels(keras.Model):
    """A net that normalises stored pixels itself.

    Args:
        net: one of our nets.
    """

    def __init__(self, net):
        super().__init__(name=net.name, autocast=False)
        self.net = net
        self.build((None, *net.image_shape))

    def build(self, input_shape):
        """Nothing: the net is built."""
        del input_shape

    def call(self, images):
        """Logits in inference; of uint8 pixels, or of normalised floats."""
        images = self.net.normalise(images) if images.dtype == "uint8" else images
        return self.net(images, training=False)
