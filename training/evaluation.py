"""A net's logits and accuracies on whole splits."""

import time
from collections.abc import Callable, Mapping, Sequence

import numpy as np
import tensorflow as tf

from op_utils import metrics
from training import step as step_lib

# One size everywhere, so that training and test.py round alike.
BATCH_SIZE = 200
_MEASURED = 3  # batches


def evaluator_of(student, data, batches: Callable) -> "Evaluator":
    """The evaluator of a run: on its data's splits, scaled as its student wants it.

    Args:
        student: a net with `mean` and `std`.
        data: a `dataloader.TrainingData`.
        batches: see `Evaluator`.
    """
    return Evaluator(data.splits, batches, student.mean, student.std)


class Evaluator:
    """Evaluates nets on named splits; compiles once for each net.

    Args:
        splits: name -> an object with uint8 `images` and int `labels`.
        batches: (split, batch size) -> iterable of dicts with `image`, the last
            batch padded at its end.
        mean, std: per channel, of pixels in [0, 1]; what the nets expect.
    """

    def __init__(
        self, splits: Mapping, batches: Callable, mean: Sequence, std: Sequence
    ):
        self.splits = splits
        self._batches, self._mean, self._std = batches, mean, std
        self._compiled, self._remembered = {}, {}

    def remember(self, net, split: str, logits: np.ndarray) -> None:
        """Takes these logits for those of a net, which must not change any more."""
        self._remembered[net, split] = logits

    def forward(self, net):
        """The compiled function from uint8 images [B, H, W, C] to float32 logits."""
        if net not in self._compiled:
            self._compiled[net] = self._compile(net)
        return self._compiled[net]

    def logits(
        self, net, split: str = "test", check: Callable = lambda: None
    ) -> np.ndarray:
        """Logits of all images of a split, float32 [N, C].

        Args:
            net: a Keras model.
            split: its name.
            check: called before each batch; what it raises ends the evaluation.
        """
        if (net, split) in self._remembered:
            return self._remembered[net, split]
        return self._computed(net, split, check)

    def logits_of(self, net, split, check: Callable = lambda: None) -> np.ndarray:
        """The same of a split that is none of its own."""
        forward, logits = self.forward(net), []
        for batch in self._batches(split, BATCH_SIZE):
            check()
            logits.append(forward(batch["image"]).numpy())
        return np.concatenate(logits)[: len(split.labels)]

    def first_logits(self, net, split: str = "test") -> np.ndarray:
        """Those of the first `BATCH_SIZE` images, computed; see `logits`."""
        first = next(iter(self._batches(self.splits[split], BATCH_SIZE)))
        count = min(BATCH_SIZE, len(self.splits[split].labels))
        return self.forward(net)(first["image"]).numpy()[:count]

    def accuracies(self, net, check: Callable = lambda: None) -> dict[str, float]:
        """Top-1 accuracy on every split, as "NAME_accuracy"; see `logits`."""
        return {
            f"{name}_accuracy": metrics.top_k_accuracy(
                self.logits(net, name, check), split.labels
            )
            for name, split in self.splits.items()
        }

    def images_per_second(self, net, split: str = "test", repeats: int = 5) -> float:
        """Speed on batches of `BATCH_SIZE`: the median of some runs over a split."""
        speeds = []
        self._computed(net, split)  # traces
        for _ in range(repeats):
            began = time.perf_counter()
            count = len(self._computed(net, split))
            speeds.append(count / (time.perf_counter() - began))
        return float(np.median(speeds))

    def seconds(self, net, *splits: str) -> float:
        """About how long the logits of these splits take, from a few batches.

        Args:
            net: a Keras model.
            splits: their names; all splits if there are none.
        """
        forward, total = self.forward(net), 0.0
        for split in map(self.splits.__getitem__, splits or self.splits):
            began = time.perf_counter()
            batches = iter(self._batches(split, BATCH_SIZE))
            images = next(batches)["image"]
            total += time.perf_counter() - began
            forward(images).numpy()  # traces
            times = []
            for _ in range(_MEASURED):
                began = time.perf_counter()
                images = next(batches, {"image": images})["image"]
                forward(images).numpy()
                times.append(time.perf_counter() - began)
            total += float(np.median(times)) * -(-len(split.labels) // BATCH_SIZE)
        return total

    def _computed(self, net, split: str, check: Callable = lambda: None) -> np.ndarray:
        return self.logits_of(net, self.splits[split], check)

    def _compile(self, net):
        @tf.function(autograph=False)
        def forward(images):
            images = step_lib.normalise(images, self._mean, self._std)
            return tf.cast(net(images, training=False), tf.float32)

        return forward
