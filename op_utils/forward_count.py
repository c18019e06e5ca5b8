"""How often a step asks its nets, counted while it is traced."""

import contextlib
import contextvars
from collections.abc import Iterator, Mapping

_times = contextvars.ContextVar("times", default=1)


@contextlib.contextmanager
def counted(nets: Mapping[str, object], batch_size: int) -> Iterator[dict[str, float]]:
    """Counts the forward passes of nets while a step's graph is made.

    Args:
        nets: role -> Keras model.
        batch_size: images a step; what is counted is divided by it.

    Yields:
        Role -> forward passes for each image of the batch, complete at the end. A
        pass with four views of each image counts as four.
    """
    counts = dict.fromkeys(nets, 0.0)

    def counting(role, call):
        def wrapper(images, *args, **kwargs):
            counts[role] += _times.get() * images.shape[0] / batch_size
            return call(images, *args, **kwargs)

        return wrapper

    # As plain attributes: Keras would take an assigned function for one of its own.
    for role, net in nets.items():
        object.__setattr__(net, "call", counting(role, net.call))
    try:
        yield counts
    finally:
        for net in nets.values():
            object.__delattr__(net, "call")


@contextlib.contextmanager
def repeated(times: int) -> Iterator[None]:
    """What is traced once inside runs `times` times, or at most so often."""
    token = _times.set(_times.get() * times)
    try:
        yield
    finally:
        _times.reset(token)
