import numpy as np
import pytest
import tensorflow as tf

from distiller import sobolev
from nets import resnet
from tests import fakes, vectors

RNG = np.random.default_rng(0)
STUDENT, TEACHER = RNG.normal(size=(2, 4, 3, 5, 2))


def build(**hyperparameters):
    return sobolev.Sobolev({}, {}, fakes.data(), **hyperparameters)


def test_loss_equals_numpy():
    units = [
        x / np.sqrt((x**2).sum((1, 2, 3), keepdims=True)) for x in (STUDENT, TEACHER)
    ]
    expected = ((units[0] - units[1]) ** 2).mean()
    np.testing.assert_allclose(sobolev.gradient_loss(STUDENT, TEACHER), expected)
    cosine = (units[0] * units[1]).sum((1, 2, 3))
    np.testing.assert_allclose(expected, (2 - 2 * cosine).mean() / 30)


def test_the_scale_of_a_gradient_does_not_matter():
    scale = np.array([1e-3, 1.0, 7.0, 1e4])[:, None, None, None]
    assert sobolev.gradient_loss(scale * TEACHER, TEACHER) < 1e-30
    np.testing.assert_allclose(sobolev.gradient_loss(-TEACHER, TEACHER), 4 / 30)


def label_gradient(net, batch, training):
    """d z[label] / d image by a tape of its own."""
    images = tf.constant(batch["image"])
    with tf.GradientTape() as tape:
        tape.watch(images)
        logits = net(images, training=training)
        score = tf.reduce_sum(tf.gather(logits, batch["label"], batch_dims=1))
    return tape.gradient(score, images)


def test_forwards_add_the_gradients_of_the_label_logit():
    student, teacher, batch = fakes.Net(seed=1), fakes.Net(seed=9), fakes.batch()
    method = build(weight=3.0)
    given = method.teacher_forward(teacher, student, batch)
    seen = method.student_forward(student, teacher, batch, given)
    for output, net, training in ((given, teacher, False), (seen, student, True)):
        assert set(output.taps) == {*net.tap_specs, "input_gradient"}
        np.testing.assert_allclose(
            output.taps["input_gradient"],
            label_gradient(net, batch, training),
            rtol=1e-4,
            atol=1e-6,
        )
    maps = [np.float64(output.taps["input_gradient"]) for output in (seen, given)]
    units = [x / np.sqrt((x**2).sum((1, 2, 3), keepdims=True)) for x in maps]
    np.testing.assert_allclose(
        method.loss(seen, given, batch)["gradient"],
        3.0 * ((units[0] - units[1]) ** 2).mean(),
        rtol=1e-5,
    )


@pytest.mark.parametrize(
    ("precision", "jit"),
    [
        pytest.param("float32", True, marks=pytest.mark.slow),
        ("mixed_bfloat16", False),
        pytest.param("mixed_float16", False, marks=pytest.mark.slow),
    ],
)
def test_the_student_learns_through_its_gradient(precision, jit):
    """Every kernel and scale of a real net, through its fused batch norms, too."""
    student, teacher = (
        resnet.ResNet(
            5, (8, 8, 3), blocks=(1, 1), widths=(4, 6), seed=seed, dtype=precision
        )
        for seed in (0, 1)
    )
    method, batch = build(), fakes.batch()

    @tf.function(jit_compile=jit)
    def gradients():
        given = method.teacher_forward(teacher, student, batch)
        with tf.GradientTape() as tape:
            seen = method.student_forward(student, teacher, batch, given)
            loss = method.loss(seen, given, batch)["gradient"]
        return loss, tape.gradient(loss, student.trainable_variables)

    loss, found = gradients()
    assert loss.dtype == tf.float32 and 0 < loss < 20 * 4 / 192
    for variable, gradient in zip(student.trainable_variables, found, strict=True):
        if variable is student.head.bias:
            assert gradient is None
            continue
        assert np.isfinite(gradient).all(), variable.path
        # In front of the last ReLU a shift changes no gradient.
        assert np.any(gradient) or variable.path.endswith("beta"), variable.path


def test_errors():
    with pytest.raises(ValueError, match="weight=-1"):
        build(weight=-1.0)
    with pytest.raises(ValueError, match=r"equal shape.*\(1, 48\)"):
        sobolev.gradient_loss(tf.zeros([1, 4, 4, 3]), tf.zeros([1, 4, 4, 1]))


def gradients(vector):
    given = vector.hyperparameters
    assert given["normalize_epsilon"] == 1e-12

    def of_given():
        names = vector.student["input_gradient"], vector.teacher["input_gradient"]
        return {"loss": sobolev.gradient_loss(*names)}

    def of_classifiers():
        method = build(weight=1.0)
        student, teacher = (
            vectors.tanh_classifier(vector.param, side)
            for side in ("student", "teacher")
        )
        other = vector.inputs["other"]
        batch = {"image": other["images"], "label": other["labels"]}
        t = method.teacher_forward(teacher, student, batch)
        s = method.student_forward(student, teacher, batch, t)
        return {"loss": method.loss(s, t, batch)["gradient"]}

    kinds = {"given_gradients": of_given, "classifier": of_classifiers}
    return kinds[given["kind"]], {}


PARITY = {"Sobolev": gradients}
