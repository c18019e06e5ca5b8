import tensorflow as tf

from op_utils.forward_count import counted, repeated
from tests.op_utils.tiny import IMAGE_SHAPE, Net

IMAGES = tf.zeros([4, *IMAGE_SHAPE])


def test_views_and_repetitions_count():
    student, teacher = Net(), Net(1)

    @tf.function
    def step(images):
        student(images)
        teacher(tf.concat([images, images], axis=0), with_taps=True)
        with repeated(3):
            teacher(images)

    with counted({"student": student, "teacher": teacher}, batch_size=4) as counts:
        step.get_concrete_function(IMAGES)
        assert counts == {"student": 1.0, "teacher": 5.0}


def test_the_nets_are_as_before():
    net = Net()
    attributes, output = vars(net).keys(), net(IMAGES)
    with counted({"student": net}, batch_size=4) as counts:
        pass
    tf.debugging.assert_equal(net(IMAGES), output)
    assert vars(net).keys() == attributes and counts == {"student": 0.0}
