"""What has to have one shape."""

import tensorflow as tf

from common.errors import wrong


def check_equal(student: tf.Tensor, teacher: tf.Tensor, why: str, kind: str) -> None:
    """Raises ValueError unless what is compared entry by entry has one shape.

    Args:
        student: of any shape.
        teacher: of the same one.
        why: they must be, a sentence without its full stop.
        kind: what they are, such as "maps".
    """
    if student.shape != teacher.shape:
        raise wrong(
            why,
            expected=f"{kind} of equal shape",
            received=f"student {student.shape}, teacher {teacher.shape}",
        )
