"""Any Keras model as a net: logits instead of probabilities, and taps by name."""

from collections.abc import Mapping

import keras
import numpy as np
from absl import logging
from keras import ops

from common.errors import wrong
from nets.base import Net, check_float
from nets.brought import (
    before_activation,
    found_taps,
    model_check,
    model_state,
    opened,
    wrap_check,
)
from nets.brought import scaling as scaling_lib
from nets.taps import Output, TapSpec, TapSpecs

_END = "(end)"  # of an output that is computed beside the logits and the taps


@keras.saving.register_keras_serializable(package="nets")
class WrappedNet(Net):
    """A Keras model of images, with what the methods and scripts ask of a net.

    The model is shared, not copied: training the net trains the model. It keeps its
    own precision.

    Args:
        model: built, of one image. Functional and Sequential models have taps; one of
            our nets keeps its own; others have none.
        taps: tap name -> name of a layer, whose output it is; None takes the ends of
            the stages (`found_taps.find`).
        image_shape: (H, W, C) of the images; None takes that of the model. Images of
            another size are resized to the model's, grey ones repeated to RGB.
        mean: per channel, of pixels in [0, 1], by which the images are normalised; None
            means 0, or for one of our nets its own.
        std: per channel; None means 1, or its own.
        scaling: what the model expects, one of `scaling.SCALINGS`; one of our nets says
            so itself.
        probabilities: whether the model returns probabilities, where no softmax is
            found in its graph; None looks at what it computes.
        keeps_head: whether the last layer is the head even of a model that returns
            probabilities, which returns them, too, or if it only scales logits; so it
            was in files of before, whose weights are found by it.
        **kwargs: of `keras.Model`.

    Attributes:
        model: the Keras model.
        ends_in_softmax: whether a softmax was found at its end, whose input counts.
        head: `head(embedding)` are the logits; None where the model has no such layer.
        tap_layers: tap name -> name of the layer whose output it is.
        notes: what was found that a user should know.

    Raises:
        ValueError: the model is not one of images with one vector as output, or of
            images with these channels, or a layer or the scaling is unknown.
    """

    def __init__(
        self,
        model: keras.Model,
        taps: Mapping[str, str] | None = None,
        *,
        image_shape=None,
        mean=None,
        std=None,
        scaling: str = "normalised",
        probabilities: bool | None = None,
        keeps_head: bool = False,
        **kwargs,
    ):
        shape, num_classes = model_check.shapes(model, image_shape)
        # The model casts by itself: pixels of 0 to 255 do not survive half precision.
        kwargs = {"name": model.name, **kwargs, "dtype": model.dtype_policy}
        kwargs["autocast"] = False
        scale = {"mean": mean, "std": std}
        if isinstance(model, Net) and mean is None:
            scale = {"mean": model.mean, "std": model.std}
        super().__init__(num_classes, image_shape or shape, stride=1, **scale, **kwargs)
        self.model, self.model_shape = model, shape
        self.scaling = scaling_lib.check_scaling(scaling, shape[-1])
        self.notes: tuple[str, ...] = ()
        self.tap_layers: dict[str, str] = {}
        self._specs: dict[str, TapSpec] = {}
        self._why_no_maps = ""
        self.tapped = self.untapped = self.head = None
        self.keeps_head = keeps_head
        self.ends_in_softmax, has_graph = False, opened.has_graph(model)
        if isinstance(model, Net):
            self.class_names = model.class_names
            _check_without_layers(taps, "One of our nets has taps of its own.")
            self._specs, self.head = model.tap_specs, model.head
            self._why_no_maps = getattr(self._specs, "why_no_maps", "")
        elif has_graph and (taps or not model_state.has_own_call(model)):
            self._find_taps(taps)
        else:
            _check_without_layers(taps, "The layers of a subclassed model are unknown.")
        # Where a softmax was found, its input is no probability.
        self.probabilities = bool(probabilities) and not self.ends_in_softmax
        if probabilities is None:
            with model_state.kept(model):
                self.probabilities = self._returns_probabilities()
        if self.probabilities:
            self.head = self.head if keeps_head else None
            self.notes += (
                f"{model.name} returns probabilities; their logarithm counts",
            )
        self.build((None, *self.image_shape))

    def _find_taps(self, taps) -> None:
        graph = opened.opened(self.model, self.model_shape)
        found = found_taps.find(graph, taps, any_layer_is_head=self.keeps_head)
        self.tap_layers, self.head = found.layers, found.head
        outputs, output = {"logits": found.logits}, graph.outputs[0]
        if self.head and before_activation.has_softmax_inside(output):
            self.head = before_activation.Whole(self.head)
        self.ends_in_softmax = found.has_softmax
        end, _ = before_activation.producer(output)
        is_penalised = getattr(end, "activity_regularizer", None) is not None
        if found.has_softmax and is_penalised:
            outputs[_END] = output  # computed, so that it is regularised
        self.tapped = graph.model({**outputs, **found.taps}, name="tapped")
        # A tap may need a second computation, which one who wants none is spared.
        self.untapped = graph.model(outputs, name="untapped")
        if found.has_softmax:
            self.notes += (f"{self.model.name} ends in a softmax: its input counts",)
        named = ", ".join(f"{tap} = {name}" for tap, name in self.tap_layers.items())
        named = named or f"no maps, because {found.why_no_maps}"
        self.notes += () if taps else (f"taps of {self.model.name}: {named}",)
        self.notes += found.notes
        height = self.model_shape[0]
        specs = {
            name: TapSpec(
                tuple(x.shape[1:]),
                max(1, height // x.shape[1]) if len(x.shape) == 4 else height,
                found.norms.get(name),
            )
            for name, x in found.taps.items()
        }
        # Apart, because Keras keeps a dict as one of its own.
        self._specs, self._why_no_maps = specs, found.why_no_maps

    def _returns_probabilities(self) -> bool:
        """Whether outputs for some noise are positive and add up to one."""
        noise = np.random.default_rng(0).normal(size=(4, *self.image_shape))
        output = np.asarray(self(ops.cast(noise, "float32")))
        sums = output.astype(np.float64).sum(axis=-1)
        return bool(np.all(output >= 0) and np.allclose(sums, 1.0, atol=1e-2))

    def build(self, input_shape):
        """Nothing: the model is built."""
        del input_shape
        self.built = True

    def call(self, images, training=False, with_taps=False):
        """As `Net.call`; the taps of a model without a graph are empty."""
        check_float(images)
        logits, taps = self._forward(images, training, with_taps)
        if self.probabilities:
            tiny = np.finfo(np.float32).tiny
            logits = ops.log(ops.maximum(ops.cast(logits, "float32"), tiny))
        return Output(logits, taps) if with_taps else logits

    def _forward(self, images, training, with_taps):
        images = self.as_the_model_expects(images)
        if isinstance(self.model, Net):
            return self.model(images, training=training, with_taps=True)
        if self.tapped is None:
            return self.model(images, training=training), {}
        graph = self.tapped if with_taps else self.untapped
        outputs = dict(graph(images, training=training))
        outputs.pop(_END, None)
        return outputs.pop("logits"), outputs

    def as_the_model_expects(self, images):
        """Normalised images [B, H, W, C] in the model's own size and scale."""
        # Resized first: preprocessing may want three channels.
        images = scaling_lib.resize(images, self.model_shape)
        images = scaling_lib.rescale(images, self.mean, self.std, self._model_scaling)
        # Keras cuts what is behind the point, and 99.99999 is a pixel of 100.
        return ops.round(images) if self._takes_whole_numbers else images

    @property
    def _model_scaling(self) -> str | tuple:
        model = self.model
        return (model.mean, model.std) if isinstance(model, Net) else self.scaling

    @property
    def _takes_whole_numbers(self) -> bool:
        inputs = getattr(self.model, "inputs", None)
        return "int" in inputs[0].dtype if inputs else False

    @property
    def converts_pixels(self) -> bool:
        """Whether the model expects another scale than the images have."""
        return self._model_scaling not in ("normalised", (self.mean, self.std))

    @property
    def tap_specs(self) -> dict[str, TapSpec]:
        """Static facts of every tap, by name; empty for models without a graph."""
        return TapSpecs(self._specs, self._why_no_maps)

    def get_config(self) -> dict:
        """The constructor's arguments, and the class names."""
        config = super().get_config()
        del config["num_classes"], config["input_shape"]
        return {
            **config,
            "model": keras.saving.serialize_keras_object(self.model),
            "taps": dict(self.tap_layers) or None,
            "image_shape": tuple(self.image_shape),
            "scaling": self.scaling,
            "probabilities": self.probabilities,
            "keeps_head": self.keeps_head,
        }

    @classmethod
    def from_config(cls, config):
        """The net again, with fresh weights."""
        config = {"keeps_head": True, **config}
        model = keras.saving.deserialize_keras_object(config.pop("model"))
        names = config.pop("class_names", None)
        if opened.has_graph(model) and not config.get("probabilities"):
            # Files of before took a softmax inside of a user's layer for its end.
            if before_activation.has_softmax_inside(model.outputs[0]):
                config["probabilities"] = None
        config["taps"] = found_taps.Saved(config["taps"] or {})
        net = cls(model, **config)
        net.class_names = names
        return net


def wrap(model: keras.Model, taps: Mapping[str, str] | None = None, **options) -> Net:
    """A Keras model as a teacher or student of any method.

    What it finds, such as a softmax at the end, it logs. On noise it then shows that
    the net computes what the model does (`wrap_check`).

    Args:
        model: built; one of our nets is returned as it is, unless there are options.
        taps: tap name -> layer name, as in {"stage1": "block2_out"}.
        **options: `image_shape`, `mean`, `std`, `scaling`, `probabilities` of
            `WrappedNet`.

    Raises:
        ValueError: as `WrappedNet`; or the net does not compute what the model does, or
            the model not the same twice.
    """
    if isinstance(model, Net) and not taps and not options:
        return model
    net = WrappedNet(model, taps, **options)
    if not isinstance(model, Net):
        wrap_check.checked(net)
    for note in net.notes:
        logging.warning("%s", note)
    return net


def check_trainable(net: Net) -> None:
    """Raises ValueError if a weight is in half precision, which no update survives."""
    half = [v for v in net.trainable_variables if v.dtype in ("float16", "bfloat16")]
    if half:
        raise wrong(
            "The student's weights are in half precision",
            expected="float32 weights, as in mixed_float16",
            received=f"{half[0].path} in {half[0].dtype}",
        )


def seen_by(teacher: Net, student: Net) -> Net:
    """The teacher, for images of the student's size and normalisation."""

    def of(net):
        return tuple(net.image_shape), tuple(net.mean), tuple(net.std)

    if of(teacher) == of(student):
        return teacher
    shape, mean, std = of(student)
    seen = WrappedNet(teacher, image_shape=shape, mean=mean, std=std)
    seen.notes += ("it gets the student's images in its own size and normalisation",)
    return seen


def is_converted(net: Net | None) -> bool:
    """Whether it is one of our nets that `seen_by` shows converted images."""
    return isinstance(net, WrappedNet) and isinstance(net.model, Net)


def _check_without_layers(taps, reason: str) -> None:
    if taps:
        raise ValueError(
            f"{reason} Expected a Functional or Sequential model where taps are named "
            f"by layers. Received: taps={dict(taps)}."
        )
