"""How many copies of a training run at once: one, until more are built."""

from collections.abc import Iterable

import tensorflow as tf

from common.errors import wrong


def check_one(what: str, variables: Iterable = (), strategies: Iterable = ()) -> None:
    """Refuses what would add up the updates of several replicas.

    Args:
        what: is refused, as its user calls it.
        variables: that it trains; a strategy's scope makes mirrored ones.
        strategies: that it would run by, beside the one whose scope it is in.

    Raises:
        ValueError: a strategy has more than one replica, or a variable copies.
    """
    found = {
        s: s.num_replicas_in_sync for s in (tf.distribute.get_strategy(), *strategies)
    }
    for strategy, count in found.items():
        if count > 1:
            _refuse(
                what, f"{type(strategy).__name__} with num_replicas_in_sync={count}"
            )
    for variable in variables:
        # A keras.Variable holds TensorFlow's; of that, `value` is a method.
        parts = variable, getattr(variable, "value", None)
        copies = [p for p in parts if isinstance(p, tf.distribute.DistributedValues)]
        count = max((len(p.values) for p in copies), default=1)
        if count > 1:
            name = getattr(variable, "path", variable.name)
            _refuse(what, f"the variable {name} in {count} copies")


def _refuse(what: str, received: str):
    raise wrong(
        f"{what} trains on one replica",
        expected="no tf.distribute strategy, or one with num_replicas_in_sync=1, "
        "around it and around the making of its nets",
        received=received,
    )
