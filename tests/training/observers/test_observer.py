import dataclasses

import pytest

from training.observers.observer import Moment, Observer

MOMENT = Moment("distill", 3, 10, 13, 2, 0.1)


def test_an_observer_may_ignore_everything():
    observer = Observer()
    for event, arguments in {
        "message": ("text",),
        "phase_started": (MOMENT,),
        "stepped": (MOMENT,),
        "logged": (MOMENT, {"loss": 1.0}),
        "epoch_finished": (MOMENT, {"loss": 1.0}),
        "improved": (None, 1),
        "finished": (),
    }.items():
        assert getattr(observer, event)(*arguments) is None


def test_a_moment_cannot_be_changed():
    with pytest.raises(dataclasses.FrozenInstanceError):
        MOMENT.step = 14
