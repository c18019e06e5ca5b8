"""Nets of one's own under a name: what can be registered, and how it is built."""

import dataclasses
import inspect
import re
import traceback
import types
import weakref
from collections.abc import Callable

import keras

from common import origin
from common.errors import wrong
from nets.base import Net
from nets.brought import preprocessing, wrap_check
from nets.brought.scaling import SCALINGS
from nets.brought.wrapped import WrappedNet

# No "/", ":", "," or "=", at which flags are split, and no suffix of a file.
_NAME = re.compile(r"[A-Za-z](?:[A-Za-z0-9_-]|\.[0-9])*")
AUTOMATIC = "auto-"  # of --student=auto-1MB, see `auto_student`
_OPTIONS = ("mean", "std", "dtype", "seed", "name")
_USUAL_SHAPE = (32, 32, 3)
# Mistakes in a user's code; others, as of memory, are none.
_MISTAKES = (ArithmeticError, AssertionError, AttributeError, LookupError, NameError)
_MISTAKES += (NotImplementedError, TypeError)


def check_name(name) -> None:
    """Raises ValueError unless a command line can take it as a net's name."""
    is_free = isinstance(name, str) and not name.lower().startswith(AUTOMATIC)
    if not (is_free and _NAME.fullmatch(name)):
        raise wrong(
            "This cannot be the name of a net",
            expected='a letter, then letters, digits, "_", "-" and points before '
            f'digits, as in @nets.register("MyNet"); "{AUTOMATIC}" begins a size, as '
            f"in --student={AUTOMATIC}1MB",
            received=f"{name=}",
        )


@dataclasses.dataclass(frozen=True)
class Registered:
    """A function or class that makes nets, as `nets.build` calls it.

    Attributes:
        name: of the net.
        maker: a subclass of `Net`, or a function that returns one or a Keras model.
        scaling: what a Keras model expects, see `nets.wrap`; None finds it.

    Raises:
        ValueError: it is neither, or does not take `(num_classes, input_shape)`.
    """

    name: str
    maker: Callable
    scaling: str | None = None
    _made: weakref.WeakSet = dataclasses.field(
        default_factory=weakref.WeakSet, compare=False, repr=False
    )

    def __post_init__(self):
        is_class = inspect.isclass(self.maker)
        is_net = is_class and issubclass(self.maker, Net)
        if not (is_net or isinstance(self.maker, types.FunctionType)):
            raise wrong(
                "Only what makes nets can be registered as one",
                expected="a subclass of nets.Net, or a function that returns one or a "
                "Keras model",
                received=f"{self.name} = {self.maker!r}",
            )
        if is_net:
            self._check_no_scaling()
        try:
            options = dict.fromkeys(self._options)
            inspect.signature(self.maker).bind(10, _USUAL_SHAPE, **options)
        except TypeError as error:
            raise wrong(
                "This does not take what nets.build gives",
                expected="(num_classes, input_shape), and those of *, "
                f"{', '.join(_OPTIONS)} that it uses; all others with defaults",
                received=f"{self.name} = "
                f"{self.maker.__name__}{inspect.signature(self.maker)} ({error})",
            ) from error

    def tell_keras(self) -> None:
        """Has Keras know a class by the net's name, unless it is known already.

        So that its `.keras` files are read whatever the class and its file are called.
        """
        if not inspect.isclass(self.maker):
            return
        if keras.saving.get_registered_name(self.maker) == self.maker.__name__:
            register = keras.saving.register_keras_serializable("registered", self.name)
            register(self.maker)

    @property
    def origin(self) -> tuple[str, str]:
        """(module, name in it) of what makes it."""
        return self.maker.__module__, self.maker.__qualname__

    def replaces(self, earlier: "Registered") -> bool:
        """Whether it is the same function or class, of what was run again."""
        return origin.is_same(earlier.maker, self.maker)

    @property
    def _options(self) -> tuple[str, ...]:
        return tuple(name for name in _OPTIONS if _takes(self.maker, name))

    def __call__(self, num_classes: int, input_shape=None, **options) -> Net:
        """As `nets.build`, which gives all of `_OPTIONS`.

        Keras' global seed is set to `seed` and its global precision, meanwhile, to
        `dtype`, for what does not take them.

        Raises:
            ValueError: it fails, or returns something else than was asked for.
        """
        given = {n: v for n, v in options.items() if n in self._options}
        shape = input_shape
        if shape is None:
            usual = inspect.signature(self.maker).parameters.get("input_shape")
            shape = getattr(usual, "default", inspect.Parameter.empty)
            shape = _USUAL_SHAPE if shape in (inspect.Parameter.empty, None) else shape
        policy = keras.config.dtype_policy()
        keras.config.set_dtype_policy(options["dtype"] or policy)
        try:
            if options["seed"] is not None:
                keras.utils.set_random_seed(options["seed"])
            made = self.maker(num_classes, shape, **given)
        except _MISTAKES as error:
            raise wrong(
                f"The net {self.name} cannot be built",
                expected=f"{'.'.join(self.origin)} to run",
                received=f"{type(error).__name__}: {error} "
                f"({_line_in(origin.file_of(self.maker), error)})",
            ) from error
        finally:
            keras.config.set_dtype_policy(policy)
        self._check_is_new(made)
        if isinstance(made, Net):
            self._check_no_scaling()
            net = made
        else:
            net = self._wrapped(made, shape, options)
        self._check(net, num_classes, shape)
        if net.name != self.name:  # by which runs and files know it
            net.name = self.name
        return net

    def _check_no_scaling(self) -> None:
        if self.scaling:
            raise wrong(
                "A nets.Net says itself how it wants pixels",
                expected="no scaling, or a Keras model",
                received=f"scaling={self.scaling!r} of {self.name}",
            )

    def _check_is_new(self, made) -> None:
        if not isinstance(made, keras.Model):
            raise wrong(
                f"The net {self.name} is none",
                expected=f"{'.'.join(self.origin)} to return a nets.Net or a Keras "
                "model",
                received=f"{made!r}",
            )
        if made in self._made:
            raise wrong(
                f"The net {self.name} is the same one again, so that a teacher and a "
                "student would share its weights",
                expected=f"{'.'.join(self.origin)} to make a new model at each call",
                received=f"{made.name!r} twice",
            )
        self._made.add(made)

    def _wrapped(self, model, shape, options) -> Net:
        scale = {name: options[name] for name in ("mean", "std")}
        scaling = self.scaling or preprocessing.scaling_of(model)
        if not scaling and preprocessing.rescales(model):
            raise wrong(
                f"The net {self.name} rescales its pixels so that it is not clear what "
                "it expects",
                expected=f"@nets.register({self.name!r}, scaling=...) with one of "
                f"{', '.join(SCALINGS)}",
                received="scaling=None",
            )
        net = WrappedNet(
            model,
            image_shape=shape,
            scaling=scaling or "normalised",
            name=self.name,
            **scale,
        )
        return wrap_check.checked(net)

    def _check(self, net: Net, num_classes: int, shape) -> None:
        found = net.num_classes, tuple(net.image_shape), net.built
        if found != (num_classes, tuple(shape), True):
            state = "" if net.built else ", not built (self.build in its constructor)"
            raise wrong(
                f"The net {self.name} is not what was asked for",
                expected=f"one that is built, for images of {tuple(shape)} and "
                f"{num_classes} classes",
                received=f"one for {found[1]} and {found[0]} classes{state}",
            )
        _check_can_be_read_again(net, self.name)


def _check_can_be_read_again(net: Net, name: str) -> None:
    """Raises ValueError if its file could not be read, before hours are spent on it."""
    if isinstance(net, WrappedNet):
        return
    config = {k: v for k, v in net.get_config().items() if k != "class_names"}
    try:
        inspect.signature(type(net)).bind(**config)
    except TypeError as error:
        raise wrong(
            f"The net {name} could not be read from its file again",
            expected="a constructor that takes what get_config() gives, with **kwargs "
            "for what is Keras'",
            received=f"{type(net).__name__}{inspect.signature(type(net))} ({error})",
        ) from error


def _takes(maker: Callable, name: str) -> bool:
    """Whether a function or class takes an argument of this name.

    A class that hands its `**kwargs` on takes what its bases do.
    """
    if not inspect.isclass(maker):
        parameters = inspect.signature(maker).parameters
        return name in parameters or _has_rest(parameters)
    for kind in maker.__mro__:
        if kind is Net:
            return name != "seed"  # the others are its own, or Keras'
        if "__init__" in vars(kind):
            parameters = inspect.signature(kind.__init__).parameters
            if name in parameters or not _has_rest(parameters):
                return name in parameters
    return False


def _has_rest(parameters) -> bool:
    kinds = [parameter.kind for parameter in parameters.values()]
    return inspect.Parameter.VAR_KEYWORD in kinds


def _line_in(file: str, error: Exception) -> str:
    """Where in a file an error came up: "FILE, line N"; in another one, its place."""
    frames = traceback.extract_tb(error.__traceback__)
    own = [frame for frame in frames if frame.filename == file]
    last = (own or frames)[-1]
    return f"{last.filename}, line {last.lineno}"
