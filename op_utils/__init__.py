"""Mathematics that methods share: tensors in, tensors out."""

from common import moved

moved.keep_old_names()
