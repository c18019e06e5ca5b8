"""What a net shows of its inside: tap specifications and the output tuple."""

import dataclasses
from typing import NamedTuple

import keras
import tensorflow as tf


@dataclasses.dataclass(frozen=True)
class TapSpec:
    """A tap's static facts, known as soon as the net is constructed.

    Attributes:
        shape: (H, W, C) of a map, or (D,) of the embedding; without the batch axis.
        stride: input height over tap height; of the embedding, that of the last map.
        batch_norm: the batch normalisation directly in front of the ReLU of a
            pre-activation tap, or None. Methods read its gamma and beta once.
    """

    shape: tuple[int, ...]
    stride: int
    batch_norm: keras.layers.BatchNormalization | None = None

    @property
    def channels(self) -> int:
        """Size of the last axis."""
        return self.shape[-1]


class TapSpecs(dict):
    """Name -> `TapSpec` of a net's taps.

    Attributes:
        why_no_maps: why a net has no map among them, or "".
    """

    def __init__(self, specs=(), why_no_maps: str = ""):
        super().__init__(specs)
        self.why_no_maps = why_no_maps


class Output(NamedTuple):
    """What `net(images, with_taps=True)` returns.

    Attributes:
        logits: [B, num_classes].
        taps: name -> [B, H, W, C], and "embedding" -> [B, D].
    """

    logits: tf.Tensor
    taps: dict[str, tf.Tensor]
