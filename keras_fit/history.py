"""What `fit` returns: a Keras History that knows the phases, too."""

from collections.abc import Iterator, Mapping

import keras


class PhaseHistory(keras.callbacks.History, Mapping):
    """The last phase's History; and of each phase its own, by name.

        history.history["loss"]         # of the last phase: `epochs` numbers
        history["hint"].history["loss"]
        for phase, of_phase in history.items(): ...

    Phases learn different things, so that their losses are no one curve: as a History
    it is that of the last phase, the one that `epochs` is the length of.

    Args:
        phases: name -> `keras.callbacks.History`, in their order; at least one.

    Attributes:
        history, epoch, params, model: of the last phase, as in Keras.
    """

    __hash__ = keras.callbacks.History.__hash__  # Mapping has none

    def __init__(self, phases: Mapping[str, keras.callbacks.History]):
        super().__init__()
        self.phases = dict(phases)
        last = list(self.phases.values())[-1]
        self.history, self.epoch = last.history, last.epoch
        self.set_params(last.params)
        self._model = last.model

    def __getitem__(self, phase: str) -> keras.callbacks.History:
        return self.phases[phase]

    def __iter__(self) -> Iterator[str]:
        return iter(self.phases)

    def __len__(self) -> int:
        return len(self.phases)
