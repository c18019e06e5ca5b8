"""Mathematics that methods share: tensors in, tensors out."""

from common import moved

__getattr__ = moved.keep_old_names(__name__)
