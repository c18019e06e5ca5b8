"""How to train, whatever the nets and the method."""

import dataclasses
from collections.abc import Sequence

import numpy as np

from common.errors import wrong
from op_utils import class_weights
from training import schedule


@dataclasses.dataclass(frozen=True)
class Recipe:
    """The trainer's settings.

    Attributes:
        rates: phase length ("init", "train") -> learning rates, float32 [steps].
        batch_size, steps_per_epoch: static; epochs drop their remainder.
        mean, std: per channel, of pixels in [0, 1]; what the nets expect.
        momentum, nesterov, weight_decay: of `optimizer.SGD`.
        scale_loss: float16 needs it.
        task_weight: weight of the label cross-entropy.
        seed: of the methods' random draws.
        xla: compile forward and backward.
        log_every, checkpoint_every: in steps; neither changes any number.
        evaluate_every: in epochs.
        class_weights: float32 [num_classes], of the label loss; None is 1 for each.
    """

    rates: dict[str, np.ndarray]
    batch_size: int
    steps_per_epoch: int
    mean: Sequence[float]
    std: Sequence[float]
    momentum: float
    nesterov: bool
    weight_decay: float
    scale_loss: bool
    task_weight: float
    seed: int
    xla: bool
    log_every: int
    checkpoint_every: int
    evaluate_every: int
    class_weights: np.ndarray | None = None


def recipe_of(settings, data, student, phases: Sequence = ()) -> Recipe:
    """What the trainer needs to know.

    Args:
        settings: the run's `settings.Options`.
        data: a `dataloader.TrainingData`.
        student: a net; its `mean` and `std` scale the pixels, and its loss is
            scaled if it computes in float16, whatever --precision says.
        phases: the method's.

    Raises:
        ValueError: the schedule cannot be, or --class_weight has no label loss.
    """
    return Recipe(
        rates=learning_rates(settings, data.steps_per_epoch, phases),
        batch_size=settings.batch_size,
        steps_per_epoch=data.steps_per_epoch,
        mean=student.mean,
        std=student.std,
        momentum=settings.momentum,
        nesterov=settings.nesterov,
        weight_decay=settings.weight_decay,
        scale_loss=student.compute_dtype == "float16",
        task_weight=settings.task_weight,
        seed=settings.seed,
        xla=settings.xla,
        log_every=settings.log_every,
        checkpoint_every=settings.checkpoint_every,
        evaluate_every=settings.evaluate_every,
        class_weights=_class_weights(settings, data, student, phases),
    )


def _class_weights(settings, data, student, phases):
    if not settings.class_weight:
        return None
    name, task = f"--class_weight={settings.class_weight}", settings.task_weight
    class_weights.check_has_label_loss(phases, 1.0 if task is None else task, name)
    return class_weights.of(
        settings.class_weight, data.train.labels, student.num_classes
    )


def learning_rates(
    options, steps_per_epoch: int, phases: Sequence = ()
) -> dict[str, np.ndarray]:
    """Learning rates by phase length ("init", "train"), float32 [steps].

    Args:
        options: an `settings.Options`.
        steps_per_epoch: static.
        phases: the method's; with --equal_epochs their initialising ones shorten the
            last one.

    Raises:
        ValueError: a decay point lies beyond the training, or nothing is left of it.
    """
    options = _last_phase(options, phases)
    rate, total = options.learning_rate, options.epochs * steps_per_epoch
    if options.schedule == "cosine":
        train = schedule.cosine(rate, total)
    elif options.schedule == "constant":
        train = schedule.constant(rate, total)
    else:
        decay_steps = np.round(_decay_epochs(options) * steps_per_epoch)
        train = schedule.step_decay(rate, total, decay_steps, options.decay_rate)
    init_rate = options.init_learning_rate or rate
    return {
        "init": schedule.constant(init_rate, options.init_epochs * steps_per_epoch),
        "train": schedule.with_warmup(
            train, round(options.warmup_epochs * steps_per_epoch)
        ),
    }


def _last_phase(options, phases: Sequence):
    """The options with the last phase's own epochs."""
    count = sum(phase.length == "init" for phase in phases)
    if not options.equal_epochs or not count:
        return options
    left = options.epochs - count * options.init_epochs
    if left <= options.warmup_epochs:
        raise wrong(
            f"--equal_epochs leaves {max(left, 0)} epochs to the last phase of "
            f"--distiller={options.distiller}",
            expected="one or more, beyond the warm-up",
            received=f"--epochs={options.epochs}, {count} initialising "
            f"phase{'s' if count > 1 else ''} of --init_epochs={options.init_epochs}, "
            f"--warmup_epochs={options.warmup_epochs:g}",
        )
    return dataclasses.replace(options, epochs=left)


def _decay_epochs(options) -> np.ndarray:
    points = np.asarray(options.decay_points, np.float64)
    epochs = points * options.epochs if (points < 1).all() else points
    if (epochs >= options.epochs).any():
        raise wrong(
            "A decay point lies beyond the training",
            expected=f"shares below 1, or epochs below {options.epochs}, the length of "
            f"{options.student}'s",
            received=f"--decay_points={','.join(f'{point:g}' for point in points)}",
        )
    return epochs
