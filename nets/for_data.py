"""A net where it meets data: built for them, or checked against them."""

from nets import class_names, given
from nets.base import Net
from nets.brought import model_check


def build(
    source: given.Given, dataset, *, dtype=None, seed: int | None = None, scale_of=None
) -> Net:
    """Builds or loads a net for these data.

    A net that is built, or a student, which is trained further, takes its classes'
    names from the data.

    Args:
        source: what is known of it.
        dataset: a `dataloader.Dataset`.
        dtype: see `nets.build`.
        seed: see `nets.build`.
        scale_of: has the `mean` and `std` of a net that does not say its own; None
            takes the data set's.

    Raises:
        ValueError: as `given.build`, or the net does not fit.
    """
    scale_of = scale_of or dataset
    net = given.build(
        source,
        dataset.num_classes,
        dataset.input_shape,
        mean=scale_of.mean,
        std=scale_of.std,
        dtype=dtype,
        seed=seed,
    )
    check_fits(net, dataset, source.origin)
    if not source.file or source.role == "student":
        net.class_names = dataset.class_names
    return net


def check_fits(net: Net, dataset, origin: str) -> None:
    """Raises ValueError unless a net takes these images and knows these classes.

    In their order, where both say what they are called.

    Args:
        net: any of ours.
        dataset: a `dataloader.Dataset`.
        origin: what errors call the net.
    """
    expected = tuple(dataset.input_shape), dataset.num_classes
    received = tuple(net.image_shape), net.num_classes
    if received != expected:
        raise ValueError(
            f"the net in {origin} does not fit the data set. Expected a net for images "
            f"of {expected[0]} and {expected[1]} classes. Received: one for "
            f"{received[0]} and {received[1]} classes."
            f"{model_check.head_hint(getattr(net, 'model', net), expected[1])}"
        )
    class_names.check_same(net.class_names, dataset.class_names, origin)
