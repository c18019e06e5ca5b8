import pytest
import tensorflow as tf

from op_utils import shapes


def test_equal_shapes_pass():
    shapes.check_equal(tf.zeros([2, 3]), tf.ones([2, 3]), "They are subtracted", "maps")


def test_unequal_shapes_are_told():
    with pytest.raises(ValueError) as told:
        shapes.check_equal(
            tf.zeros([2]), tf.zeros([2, 1]), "They are subtracted", "maps"
        )
    assert str(told.value) == (
        "They are subtracted. Expected maps of equal shape. "
        "Received: student (2,), teacher (2, 1)."
    )
