"""Data sets in memory and the pipelines that feed them to a training loop."""

from common import moved
from dataloader.augmentation import Augmentation
from dataloader.dataset import Dataset, Split
from dataloader.pipeline import eval_batches, train_batches, version_batches
from dataloader.registry import is_here, is_path, load, names
from dataloader.subset import balanced_subset, split_validation
from dataloader.training_data import TrainingData, prepare

__getattr__ = moved.keep_old_names(__name__)

__all__ = [
    "Augmentation",
    "Dataset",
    "Split",
    "TrainingData",
    "balanced_subset",
    "eval_batches",
    "is_here",
    "is_path",
    "load",
    "names",
    "prepare",
    "split_validation",
    "train_batches",
    "version_batches",
]
