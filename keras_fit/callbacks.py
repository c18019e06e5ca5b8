"""Keras' callbacks where a `fit` has several phases, each a `fit` of its own."""

import string
from collections.abc import Iterable, Mapping, Sequence

import keras
import numpy as np

from common.errors import wrong


def check(options: Mapping, phases: Sequence) -> None:
    """Raises ValueError for callbacks that would lose something, or mix it up.

    Args:
        options: what `fit` got.
        phases: the method's.
    """
    for callback in _given(options):
        if isinstance(callback, keras.callbacks.BackupAndRestore):
            raise wrong(
                "BackupAndRestore keeps neither the phase nor the method's own "
                "variables",
                expected="distiller.MethodCheckpoint, from which another fit goes on, "
                "or train_w_distill.py for a run that can be resumed",
                received=f"callbacks with {type(callback).__name__}",
            )
        if isinstance(callback, keras.callbacks.History) and len(phases) > 1:
            raise wrong(
                "A History of one's own would hold the phases' results one after "
                "another, in lists of unequal length",
                expected="the History that fit returns, which has each",
                received=f"History, {len(phases)} phases",
            )
        is_table = isinstance(callback, keras.callbacks.CSVLogger)
        if is_table and callback.append and len(phases) > 1:
            raise wrong(
                "The phases have different results, and CSVLogger would write them all "
                "into the first one's columns",
                expected="append=False, for a table of the last phase, or the History "
                "that fit returns, which has all",
                received=f"CSVLogger with append=True, {len(phases)} phases",
            )


def bests(options: Mapping) -> list:
    """Keras' checkpoints with what is their best so far.

    They keep it from `fit` to `fit`, as of one training. Phases have other losses: the
    first one's would be compared with the last one's.
    """
    kinds = keras.callbacks.ModelCheckpoint
    return [(c, c.best) for c in _given(options) if isinstance(c, kinds)]


def begin_anew(found: Sequence) -> None:
    """Lets these checkpoints begin a phase with what `bests` found."""
    for callback, best in found:
        callback.best = best


def of_phase(options: Mapping, phase) -> dict:
    """What `keras.Model.fit` gets for a phase; an initialising one is not validated.

    The student classifies nothing yet: what is chosen by its accuracy, such as when to
    stop or which weights are the best, would be chosen by chance. Checkpoints whose
    files are named by it wait, too.
    """
    if phase.length == "train":
        return dict(options)
    found = {k: v for k, v in options.items() if not k.startswith("validation")}
    given = _given(options)
    kept = [callback for callback in given if not _is_named_by_validation(callback)]
    return found if len(kept) == len(given) else {**found, "callbacks": kept}


def _is_named_by_validation(callback) -> bool:
    """Whether its files' names have results such as "{val_loss:.2f}"."""
    path = str(getattr(callback, "filepath", ""))
    fields = (field for _, field, _, _ in string.Formatter().parse(path))
    return any(field and field.startswith("val_") for field in fields)


def has_ended_all(options: Mapping, model) -> bool:
    """Whether TerminateOnNaN ended a phase: the next one would begin with NaN.

    Args:
        options: what `fit` got.
        model: after the phase; its `history` is the phase's.
    """
    is_watched = any(
        isinstance(callback, keras.callbacks.TerminateOnNaN)
        for callback in _given(options)
    )
    is_over = is_watched and model.stop_training
    return is_over and not np.isfinite(model.history.history["loss"][-1])


def _given(options: Mapping) -> tuple:
    callbacks = options.get("callbacks") or ()
    callbacks = getattr(callbacks, "callbacks", callbacks)  # of a CallbackList
    return tuple(callbacks) if isinstance(callbacks, Iterable) else (callbacks,)
