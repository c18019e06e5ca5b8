"""A net as a command line names it: by a published name, as a model, by its file."""

import dataclasses

import keras

from common.errors import wrong
from nets import registry, saving
from nets.base import Net
from nets.brought import applications, model_files, preprocessing, wrap_check
from nets.brought import scaling as scaling_lib
from nets.brought.wrapped import WrappedNet, check_trainable

OTHERS = ("keras.applications.NAME[/SIZE]", "FILE.keras")  # beside `nets.names()`


@dataclasses.dataclass(frozen=True)
class Given:
    """What the flags say of one net.

    Attributes:
        role: "teacher" or "student", as the flags begin; "" if they have no beginning.
        name: of `nets.build`; "keras.applications.NAME"; or a `.keras` or `.h5` file.
        file: of a Keras model, instead of a name.
        taps: "stage1=LAYER,stage2=LAYER", of models that are none of our nets.
        scaling: what a file's model expects, one of `scaling.SCALINGS`.
        weights: of a model of keras.applications: "none", "imagenet" or a file.
    """

    role: str
    name: str = ""
    file: str = ""
    taps: str = ""
    scaling: str = ""
    weights: str = ""

    def __post_init__(self):
        if is_file(self.name) and not self.file:
            object.__setattr__(self, "file", self.name)

    @property
    def origin(self) -> str:
        """What the net is called in errors."""
        return self.file or self.name

    def flag(self, name: str) -> str:
        """The flag of one of its attributes."""
        return f"--{self.role}_{name}" if self.role else f"--{name}"


def of_file(path) -> dict:
    """Arguments of `Given` for a teacher that is one of our nets."""
    return {"role": "teacher", "file": str(path)}


def is_file(name: str) -> bool:
    """Whether the name is that of a file."""
    return model_files.is_file(name)


def notes(**nets: Net | None) -> tuple[str, ...]:
    """What a user should know of wrapped models, by role."""
    return tuple(
        f"{role}: {note}"
        for role, net in nets.items()
        for note in getattr(net, "notes", ())
    )


def canonical_name(name: str) -> str:
    """The one spelling of a net's name; of a file, as it is.

    Raises:
        ValueError: there is no such net, or it is a file or folder of another kind.
    """
    if is_file(name):
        return name
    if applications.is_application(name):
        return applications.canonical_name(name)
    try:
        return registry.canonical_name(name)
    except ValueError:
        model_files.check_no_path(name)
        raise


def build(
    given: Given,
    num_classes: int,
    image_shape,
    *,
    mean=None,
    std=None,
    dtype=None,
    seed: int | None = None,
) -> Net:
    """Builds or loads the net.

    A model from a file keeps its own precision, unless it is one of our nets.

    Args:
        given: what is known of it.
        num_classes: number of logits of a net that is built.
        image_shape: (H, W, C) of the images that it will get.
        mean: see `nets.build`.
        std: see `nets.build`.
        dtype: see `nets.build`.
        seed: see `nets.build`.

    Raises:
        ValueError: there is no such net, its file cannot be read, or what is given
            contradicts it.
    """
    scale = {"mean": mean, "std": std}
    if given.file:
        _check_unused(given, "weights")
        if seed is not None:  # Dropout may draw its seed when it is loaded.
            keras.utils.set_random_seed(seed)
        return _load(given, image_shape, dtype, scale)
    _check_unused(given, "scaling")
    if applications.is_application(given.name):
        return applications.build(
            given.name,
            num_classes,
            image_shape,
            weights=given.weights or "none",
            taps=_parsed_taps(given),
            dtype=dtype,
            seed=seed,
            **scale,
        )
    _check_unused(given, "taps", "weights")
    return registry.build(
        given.name, num_classes, image_shape, dtype=dtype, seed=seed, **scale
    )


def _load(given: Given, image_shape, dtype, scale) -> Net:
    model = saving.load_model(given.file)
    if isinstance(model, Net):
        _check_unused(given, "taps", "scaling")
        return model if dtype is None else saving.rebuilt(model, dtype)
    scaling = given.scaling or preprocessing.scaling_of(model)
    if not scaling:
        raise ValueError(
            "The file does not say how its model wants pixels. Expected "
            f"{given.flag('scaling')} with one of {', '.join(scaling_lib.SCALINGS)}. "
            f"{preprocessing.told_by_converter(model)}"
            f"Received: {given.file} with a {type(model).__name__}."
        )
    taps = _parsed_taps(given)
    try:
        net = WrappedNet(model, taps, image_shape=image_shape, scaling=scaling, **scale)
        wrap_check.checked(net)
    except ValueError as error:
        raise ValueError(f"{given.file}: {error}") from error
    if given.role == "student":
        check_trainable(net)
    return net


def _parsed_taps(given: Given) -> dict[str, str] | None:
    if not given.taps:
        return None
    pairs = [pair.partition("=") for pair in given.taps.split(",")]
    taps = {name.strip(): layer.strip() for name, _, layer in pairs}
    if len(taps) < len(pairs) or not all(taps) or not all(taps.values()):
        raise wrong(
            "The taps are not clear",
            expected="different names with a layer each, such as "
            "stage1=block2_out,stage2=block4_out",
            received=f"{given.flag('taps')}={given.taps}",
        )
    return taps


def _check_unused(given: Given, *names: str) -> None:
    reasons = {
        "taps": "One of our nets has taps of its own. Expected no",
        "scaling": "This net says itself how it wants pixels. Expected no",
        "weights": "Only a model of keras.applications takes weights. Expected no",
    }
    for name in names:
        value = getattr(given, name)
        if value:
            flag = given.flag(name)
            raise ValueError(
                f"{reasons[name]} {flag}. Received: {flag}={value} with {given.origin}."
            )
