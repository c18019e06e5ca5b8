"""Shows on noise that a wrapped model computes what the model by itself computes.

The model is called as its user would call it, while the layers that are taps are
watched; what they return there is compared with what the net says, which reads it from
a graph of its own. A difference is an error: it would be trained on.
"""

import contextlib
import functools
from collections.abc import Iterator

import keras
import numpy as np

from common.errors import wrong
from nets.brought import before_activation, model_state, opened

_IMAGES = 2

# Of numbers of a precision: what may differ by the largest of them, what beside it.
_TOLERANCES = {"bfloat16": (5e-2, 3e-2), "float16": (1e-2, 5e-3)}
_FLOAT32 = (1e-3, 1e-5)

# Under it a probability is a rounding's: in half precision sooner.
_LEAST = {"bfloat16": 1e-4, "float16": 1e-4}


class _Check:
    """What one check knows: the net, its model, and the images as the model gets them.

    Args:
        net: a `wrapped.WrappedNet` of a model that is none of our nets.
    """

    def __init__(self, net):
        self.net, self.model = net, net.model
        noise = np.random.default_rng(0).integers(0, 256, (_IMAGES, *net.image_shape))
        self.images = net.normalise(noise.astype(np.uint8))
        inputs = net.as_the_model_expects(self.images)
        expected = getattr(self.model, "input", None)
        is_dict = isinstance(expected, dict)  # of one image
        self.inputs = dict.fromkeys(expected, inputs) if is_dict else inputs
        types = {layer.compute_dtype for layer in model_state.layers(self.model)}
        precision = next((name for name in _TOLERANCES if name in types), "float32")
        self.relative, self.absolute = _TOLERANCES.get(precision, _FLOAT32)
        self.least = _LEAST.get(precision, 1e-30)

    def run(self):
        """Raises ValueError where the net and the model differ."""
        with model_state.kept(self.model) as changed:
            calls = _Calls()
            uses = {x: _use(self.model, x) for x in self.net.tap_layers.values()}
            layers = {id(layer): layer for layer, _ in uses.values()}
            with _watched(layers.values(), calls):
                own = self.model(self.inputs, training=False)
            of_model = _sorted(self.model.losses)
            plain = self.net(self.images)
            losses = [_sorted(self.net.losses)]
            logits, taps = self.net(self.images, with_taps=True)
            losses.append(_sorted(self.net.losses))
        if changed:
            self._refuse_change(changed[0])
        self._compare_logits("its output", plain, own)
        self._compare_logits("its output beside the taps", logits, own)
        for value in losses:
            self._compare("its regularisers and add_loss", value, of_model)
        self._compare_taps(taps, uses, calls)
        if self.net.head is not None:
            self._compare("its head", self.net.head(taps["embedding"]), logits)

    def _compare_taps(self, taps, uses, calls):
        for tap, name in self.net.tap_layers.items():
            layer, use = uses[name]
            what = f"its tap {tap!r} (layer {name!r})"
            inputs, output = calls.of(layer)[use]
            self._compare(what, taps[tap], output)
            if f"{tap}_pre" in self.net.tap_layers or f"{tap}_pre" not in taps:
                continue
            before = taps[f"{tap}_pre"]
            if not before_activation.ends_in_relu(layer):
                self._compare(f"its tap '{tap}_pre' (layer {name!r})", before, output)
                continue
            # What the layer has got, or if it is no ReLU alone, what its ReLU makes.
            if before_activation.is_only_activation(layer):
                after, output = before, inputs[0]
            else:
                after = layer.activation(before)
            self._compare(f"its tap '{tap}_pre' (layer {name!r})", after, output)

    def _compare_logits(self, what, logits, own):
        ours, own = _numbers(logits), _numbers(own)
        rounding = 0.0
        if self.net.probabilities or self.net.ends_in_softmax:
            # A probability is rounded by its own size, however small its logits are:
            # those of fresh weights are 1e-12, and all probabilities are then equal.
            rounding = self.absolute
            # Compared where the model's probability is more than a rounding; of logits
            # only differences count.
            shown = own > self.least
            own = _centred(np.log(np.where(shown, own, 1.0)), shown)
            ours = _centred(ours, shown)
        self._compare(what, ours, own, rounding)

    def _compare(self, what, ours, own, rounding=0.0):
        ours, own = _numbers(ours), _numbers(own)
        if ours.shape != own.shape:
            gap, scale = f"{ours.shape} instead of {own.shape}", ""
        else:
            scale = np.max(np.abs(own), initial=0.0, where=np.isfinite(own))
            same = (ours == own) | (np.isnan(ours) & np.isnan(own))
            gaps = np.abs(np.where(same, 0.0, ours) - np.where(same, 0.0, own))
            gap = np.max(gaps, initial=0.0)
            small = max(rounding, self.absolute * min(scale, 1.0))
            if gap <= self.relative * scale + small:
                return
            gap, scale = f"{gap:.3g}", f" on values up to {scale:.3g}"
        self._refuse_noise()
        raise wrong(
            f"Wrapping would change the numbers of the model {self.model.name!r}",
            expected=f"{what} as the model computes it by itself; name other layers in "
            "taps, or none",
            received=f"a difference of {gap}{scale}, on noise",
        )

    def _refuse_noise(self):
        """Raises ValueError if the model computes something else each time."""
        layers = [x for x in model_state.layers(self.model) if x is not self.model]
        runs = []
        with model_state.kept(self.model):
            for _ in range(2):
                calls = _Calls()
                with _watched(layers, calls):
                    output = self.model(self.inputs, training=False)
                runs.append([*calls.all, (self.model, [self.inputs], output)])
        for (layer, before, after), (_, again, other) in zip(*runs, strict=False):
            if _equal(before, again) and not _equal(after, other):
                self._refuse(layer, "draws random numbers or keeps count")

    def _refuse_change(self, variable):
        owners = [
            layer
            for layer in model_state.layers(self.model)
            if any(v is variable for v in layer.variables)
        ]
        owner = min(owners, key=lambda layer: len(model_state.layers(layer)))
        of_seed = variable.name == "seed_generator_state"
        does = "draws random numbers" if of_seed else f"changes its {variable.name!r}"
        self._refuse(owner, does)

    def _refuse(self, layer, does: str):
        name = f"layer {layer.name!r} ({type(layer).__name__})"
        raise wrong(
            f"The model {self.model.name!r} is not the same in two calls",
            expected="layers that, called with training=False, change nothing and draw "
            "nothing",
            received=f"{name}, which {does}",
        )


def checked(net):
    """Returns the net that wraps a user's model, having seen that it is right.

    The model stays as it is: batch norm's statistics, random generators and metrics
    are restored. Two images are computed three times.

    Args:
        net: a `wrapped.WrappedNet`.

    Raises:
        ValueError: on noise of the size and scale of its images, its logits, or their
            softmax where it ends in one, are not the model's output; or a tap is not
            what its layer returns; or the losses of layers do not count once; or two
            calls of the model differ.
    """
    _Check(net).run()
    return net


class _Calls:
    """Calls of layers as they ended, those of inner layers first.

    Attributes:
        all: (layer, input tensors, output) of each.
    """

    def __init__(self):
        self.all = []

    def of(self, layer) -> list[tuple]:
        """(input tensors, output) of each of its calls."""
        return [call for of, *call in self.all if of is layer]

    def add(self, layer, inputs, output):
        """Notes a call, if its values are known: not inside of a traced function."""
        if all(hasattr(x, "numpy") for x in (*inputs, *keras.tree.flatten(output))):
            self.all.append((layer, inputs, output))


@contextlib.contextmanager
def _watched(layers, calls: _Calls) -> Iterator[None]:
    """Notes every call of the layers."""
    patched = []
    try:
        for layer in layers:
            is_quantised = getattr(layer, "quantization_mode", None)  # or no layer
            name = "quantized_call" if is_quantised else "call"
            patched.append((layer, name, vars(layer).get(name)))
            setattr(layer, name, _noted(layer, getattr(layer, name), calls))
        yield
    finally:
        for layer, name, of_instance in patched:
            delattr(layer, name)
            if of_instance is not None:
                setattr(layer, name, of_instance)


def _noted(layer, call, calls: _Calls):
    @functools.wraps(call)
    def noted(*args, **kwargs):
        output = call(*args, **kwargs)
        given = keras.tree.flatten((args, kwargs))
        calls.add(layer, [x for x in given if keras.ops.is_tensor(x)], output)
        return output

    return noted


def _use(model, name: str) -> tuple[keras.Operation, int]:
    """The layer of a name, and which of its calls: the last, or of "NAME@2" the second.

    It may be an operation, as that of `x + y`.

    The name may be "INNER/NAME", of one in an inner model.
    """
    operations = {x.name: x for x in opened.operations(model)}
    if name in operations:
        return operations[name], -1
    inner, _, rest = name.partition("/")
    if rest:
        return _use(operations[inner], rest)
    plain, _, number = name.rpartition("@")
    return operations[plain], int(number) - 1


def _numbers(x) -> np.ndarray:
    return np.asarray(keras.ops.convert_to_numpy(x)).astype(np.float64)


def _sorted(losses) -> np.ndarray:
    return np.sort([np.sum(_numbers(x)) for x in losses])


def _centred(x, shown) -> np.ndarray:
    """Rows less their means, both over the entries that are shown; others are 0."""
    mean = np.mean(x, axis=-1, keepdims=True, where=shown)
    return np.where(shown, x - mean, 0.0)


def _equal(one, other) -> bool:
    pairs = zip(keras.tree.flatten(one), keras.tree.flatten(other), strict=True)
    return all(np.array_equal(_numbers(x), _numbers(y)) for x, y in pairs)
