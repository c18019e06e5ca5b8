"""What there is to choose from: methods, data sets, nets and their sizes."""

import functools

import dataloader
import distiller
import nets
from nets import auto_student, given
from nets import sizes as net_sizes
from options import flags as option_flags


def show() -> None:
    """Prints methods with hyperparameters, nets and data sets; also the user's own."""
    option_flags.load_imports()
    print("\n\n".join(str(method) for method in distiller.describe()))
    print("\nnets:", ", ".join((*nets.names(), *given.OTHERS)))
    print("\ndata sets:", ", ".join(dataloader.names()))


def show_nets(settings) -> None:
    """Prints the nets' sizes for the images and classes of a run's data.

    Args:
        settings: `settings.Options`.
    """
    print("\n".join(net_sizes.table(_data(settings))))


def student(name: str, settings) -> str:
    """A student's name; of one such as auto-1MB, with a note, the net that it is.

    Args:
        name: as --student and --pairs have it.
        settings: `settings.Options`, whose data the net is for.

    Raises:
        ValueError: see `auto_student.choose`; or the data cannot be loaded.
    """
    if not auto_student.is_automatic(name):
        return name
    auto_student.limit(name)  # before the data are read
    choice = _chosen(name, _data(settings))
    return choice.name


@functools.cache
def _chosen(name: str, data: net_sizes.Data) -> auto_student.Choice:
    choice = auto_student.choose(name, data)
    print(f"note: student: {choice.reason}")
    return choice


def _data(settings) -> net_sizes.Data:
    names = ("image_size", "cache_gib", "merge_valid", "skip_bad_images")
    how = {name: getattr(settings, name) for name in names}
    dataset = dataloader.load(settings.dataset, settings.data_dir or None, **how)
    return net_sizes.Data(
        dataset.num_classes,
        tuple(dataset.input_shape),
        tuple(dataset.mean),
        tuple(dataset.std),
        dataset.class_names and tuple(dataset.class_names),
    )
