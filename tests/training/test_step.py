import dataclasses

import keras
import numpy as np
import pytest
import tensorflow as tf

from distiller.framework import base
from tests.training import tiny
from training import step as step_lib
from training.optimizer import SGD
from training.step import Step

RATE = 0.1
BATCH = tiny.batch()


def make(method, student, teacher=None, *, graph=True, **changes):
    (phase,) = method.phases()
    settings = {"momentum": 0.0, "weight_decay": 0.0} | {
        name: changes.pop(name)
        for name in ("momentum", "weight_decay", "scale_loss")
        if name in changes
    }
    sgd = SGD(
        step_lib.trained_variables(phase, student, teacher), nesterov=False, **settings
    )
    step = Step(
        method=method,
        phase=phase,
        student=student,
        teacher=teacher,
        optimizer=sgd,
        **{"task_weight": 1.0} | changes,
    )
    return tf.function(step) if graph else step


def run(step, batch=BATCH):
    return {name: v.numpy() for name, v in step(batch, tf.constant(RATE)).items()}


# Small functions


def test_normalise_equals_numpy():
    images = np.random.default_rng(0).integers(0, 256, (2, 3, 3, 2), np.uint8)
    mean, std = np.array([0.1, 0.5]), np.array([0.2, 0.3])
    found = step_lib.normalise(tf.constant(images), mean, std)
    assert found.dtype == tf.float32
    np.testing.assert_allclose(
        found, (images / 255.0 - mean) / std, rtol=1e-5, atol=1e-6
    )


def softmax(logits):
    powers = np.exp(logits)
    return powers / powers.sum(1, keepdims=True)


def test_outputs_are_cast_and_cut_off():
    output = base.Output(
        tf.ones([1, 2], tf.float16), {"stage1": tf.ones([1, 3], tf.bfloat16)}
    )
    cast = step_lib.cast_output(output)
    assert (cast.logits.dtype, cast.taps["stage1"].dtype) == (tf.float32,) * 2
    weight = tf.Variable(2.0)
    with tf.GradientTape() as tape:
        x = weight * cast.logits
        cut = step_lib.stop_gradient(base.Output(x, {"stage1": x}))
        loss = tf.reduce_sum(cut.logits) + tf.reduce_sum(cut.taps["stage1"])
    assert float(loss) == 8.0
    assert tape.gradient(loss, weight) is None


# Losses and gradients


def numpy_gradients(student, teacher, batch=BATCH):
    """Cross-entropy and half the mean square to the teacher's logits, with grads."""
    x = batch["image"].numpy().reshape(4, -1).astype(np.float64)
    labels = np.eye(3)[batch["label"].numpy()]
    logits, target = x @ student, x @ teacher
    task = -(labels * np.log(softmax(logits))).sum() / 4
    gap = logits - target
    return (
        (task, x.T @ (softmax(logits) - labels) / 4),
        (np.mean(gap**2) / 2, x.T @ gap / gap.size),
    )


def mimic(student, teacher, batch):
    del batch
    return {"mimic": tf.reduce_mean((student.logits - teacher.logits) ** 2) / 2}


def linear_pair():
    student, teacher = tiny.Linear(0), tiny.Linear(9)
    return student, teacher, student.get_weights()[0], teacher.get_weights()[0]


@pytest.mark.parametrize("graph", [False, True])
def test_task_and_method_add_up(graph):
    student, teacher, w, w_teacher = linear_pair()
    step = make(tiny.Method(mimic), student, teacher, graph=graph, task_weight=0.7)
    metrics = run(step)
    (task, task_gradient), (own, own_gradient) = numpy_gradients(w, w_teacher)
    gradient = 0.7 * task_gradient + own_gradient
    hits = (BATCH["image"].numpy().reshape(4, -1) @ w).argmax(1) == BATCH["label"]
    expected = {
        "loss": 0.7 * task + own,
        "loss/task": 0.7 * task,
        "loss/mimic": own,
        "accuracy": np.mean(hits),
        "gradient_norm": np.linalg.norm(gradient),
    }
    assert metrics.keys() == expected.keys()
    for name, value in expected.items():
        np.testing.assert_allclose(metrics[name], value, rtol=1e-5, err_msg=name)
    np.testing.assert_allclose(
        student.get_weights()[0], w - RATE * gradient, rtol=1e-5, atol=1e-6
    )
    np.testing.assert_array_equal(teacher.get_weights()[0], w_teacher)


OTHER_LABELS = {"other_label": (BATCH["label"] + 1) % 3}


@pytest.mark.parametrize("share", [0.7, 0.4])
def test_mixed_labels_count_by_their_shares(share):
    student, teacher, w, w_teacher = linear_pair()
    mixed = {**BATCH, **OTHER_LABELS, "label_share": tf.fill([4], share)}
    metrics = run(make(tiny.Method(mimic), student, teacher), mixed)
    other = {**BATCH, "label": OTHER_LABELS["other_label"]}
    (task, gradient), (own, own_gradient) = numpy_gradients(w, w_teacher)
    (task2, gradient2), _ = numpy_gradients(w, w_teacher, other)
    gradient = share * gradient + (1 - share) * gradient2
    task = share * task + (1 - share) * task2
    np.testing.assert_allclose(metrics["loss/task"], task, rtol=1e-5)
    np.testing.assert_allclose(metrics["loss/mimic"], own, rtol=1e-5)
    np.testing.assert_allclose(
        student.get_weights()[0],
        w - RATE * (gradient + own_gradient),
        rtol=1e-5,
        atol=1e-6,
    )
    main = (BATCH if share > 0.5 else other)["label"]
    hits = (BATCH["image"].numpy().reshape(4, -1) @ w).argmax(1) == main
    np.testing.assert_allclose(metrics["accuracy"], np.mean(hits))


def test_a_method_that_reads_labels_refuses_mixed_images():
    student, teacher, w, _ = linear_pair()
    method = tiny.Method(mimic)
    method.needs_labels = True
    mixed = {**BATCH, **OTHER_LABELS, "label_share": tf.fill([4], 0.7)}
    step = make(method, student, teacher)
    with pytest.raises(ValueError, match="mixed images have two"):
        step(mixed, tf.constant(RATE))
    np.testing.assert_array_equal(student.get_weights()[0], w)


@pytest.mark.parametrize(
    ("phase", "run_", "method", "expected"),
    [
        (0.25, 0.7, 2.0, 0.25),
        (None, 0.7, 2.0, 0.7),
        (None, None, 2.0, 2.0),
        (0.0, 0.7, 2.0, 0.0),
        (None, 0.0, 2.0, 0.0),
    ],
)
def test_the_phases_task_weight_comes_first(phase, run_, method, expected):
    student, teacher, w, w_teacher = linear_pair()
    made = tiny.Method(mimic, task_weight=phase)
    made.task_weight = method
    metrics = run(make(made, student, teacher, task_weight=run_))
    (task, task_gradient), (_, own_gradient) = numpy_gradients(w, w_teacher)
    assert ("loss/task" in metrics) == bool(expected)
    np.testing.assert_allclose(metrics.get("loss/task", 0), expected * task, rtol=1e-5)
    gradient = expected * task_gradient + own_gradient
    np.testing.assert_allclose(
        student.get_weights()[0], w - RATE * gradient, rtol=1e-5, atol=1e-6
    )


def test_plain_training_has_a_task_only():
    student, _, w, _ = linear_pair()
    metrics = run(make(tiny.Method(), student))
    (task, gradient), _ = numpy_gradients(w, w)
    np.testing.assert_allclose(metrics["loss"], task, rtol=1e-5)
    np.testing.assert_allclose(
        student.get_weights()[0], w - RATE * gradient, rtol=1e-5, atol=1e-6
    )


def test_without_any_loss_there_is_nothing_to_learn():
    student, _, _, _ = linear_pair()
    with pytest.raises(ValueError, match="'distill' has nothing to learn from"):
        run(make(tiny.Method(), student, task_weight=0.0))


def test_l2_is_in_the_update_but_not_in_the_norm():
    student, _, w, _ = linear_pair()
    metrics = run(make(tiny.Method(), student, weight_decay=0.5))
    _, gradient = numpy_gradients(w, w)[0]
    np.testing.assert_allclose(
        metrics["gradient_norm"], np.linalg.norm(gradient), rtol=1e-5
    )
    np.testing.assert_allclose(
        student.get_weights()[0], w - RATE * (gradient + 0.5 * w), rtol=1e-5, atol=1e-6
    )


# combine


@pytest.mark.parametrize("scale_loss", [False, True])
def test_combine_gets_both_sides_gradients(scale_loss):
    student, teacher, w, w_teacher = linear_pair()

    def combine(task, method, batch):
        assert batch["label"].shape == [4]
        return [2.0 * t - 3.0 * m for t, m in zip(task, method, strict=True)]

    method = tiny.Method(mimic, combine=combine)
    metrics = run(make(method, student, teacher, scale_loss=scale_loss))
    (_, task_gradient), (_, own_gradient) = numpy_gradients(w, w_teacher)
    gradient = 2.0 * task_gradient - 3.0 * own_gradient
    np.testing.assert_allclose(
        student.get_weights()[0], w - RATE * gradient, rtol=1e-4, atol=1e-6
    )
    np.testing.assert_allclose(
        metrics["gradient_norm"], np.linalg.norm(gradient), rtol=1e-4
    )


def test_terms_of_other_methods_count_as_task_in_combine():
    student, teacher, w, w_teacher = linear_pair()

    def loss(*arguments):
        value = mimic(*arguments)["mimic"]
        return {"kd/mimic": 5.0 * value, "svd/mimic": value}

    def combine(task, method, batch):
        return [t - 3.0 * m for t, m in zip(task, method, strict=True)]

    method = tiny.Method(loss, combine=combine, task_terms=("kd/",))
    metrics = run(make(method, student, teacher))
    (task, task_gradient), (own, own_gradient) = numpy_gradients(w, w_teacher)
    np.testing.assert_allclose(metrics["loss"], task + 6 * own, rtol=1e-5)
    gradient = task_gradient + 5.0 * own_gradient - 3.0 * own_gradient
    np.testing.assert_allclose(
        student.get_weights()[0], w - RATE * gradient, rtol=1e-4, atol=1e-6
    )


def test_combine_is_not_asked_about_the_task_alone():
    student, teacher, w, w_teacher = linear_pair()

    def combine(*_):
        raise AssertionError("there is nothing to combine")

    run(make(tiny.Method(None, combine=combine), student, teacher))
    _, gradient = numpy_gradients(w, w_teacher)[0]
    np.testing.assert_allclose(
        student.get_weights()[0], w - RATE * gradient, rtol=1e-5, atol=1e-6
    )


def test_combine_without_a_task_raises():
    student, teacher, *_ = linear_pair()
    method = tiny.Method(mimic, combine=lambda *_: [])
    with pytest.raises(ValueError, match=r"--task_weight above 0.*weight of 0\.0"):
        run(make(method, student, teacher, task_weight=0.0))


# Who is trained


class Mapping(tiny.Method):
    """Maps the student's tap to the teacher's, by a layer and a scale of its own."""

    def __init__(self, **phase):
        super().__init__(self.hint, **phase)
        self.layer = keras.layers.Dense(
            6, kernel_initializer=keras.initializers.HeNormal(3)
        )
        self.layer.build((None, 6))
        self.scale = tf.Variable(1.0)
        self.phase = dataclasses.replace(self.phase, own=self.trainable_variables)

    def hint(self, student, teacher, batch):
        mapped = self.scale * self.layer(student.taps["stage1"])
        target = teacher.taps["stage1"]
        return {"hint": tf.reduce_mean(tf.square(mapped - target))}


def changed(variables, before):
    return [
        not np.array_equal(a, b)
        for a, b in zip(tiny.values(variables), before, strict=True)
    ]


def test_student_and_own_variables_are_trained_and_the_teacher_is_not():
    student, teacher, method = tiny.Net(0), tiny.Net(5), Mapping()
    groups = (student.variables, method.variables, teacher.variables)
    before = [tiny.values(group) for group in groups]
    run(make(method, student, teacher))
    found = [changed(*pair) for pair in zip(groups, before, strict=True)]
    assert found == [[True] * 8, [True] * 3, [False] * 8]


def test_teacher_and_student_run_in_their_modes():
    """Batch statistics for the student, moving ones for the teacher."""
    student, teacher = tiny.Net(0), tiny.Net(5)
    seen = {}

    class Spy(tiny.Method):
        def teacher_forward(self, teacher, student, batch):
            seen["teacher"] = super().teacher_forward(teacher, student, batch)
            return seen["teacher"]

    def loss(student, teacher, batch):
        del batch
        seen.update(student=student, given=teacher)
        return {}

    expected = student(BATCH["image"], training=True).numpy()
    expected_teacher = teacher(BATCH["image"], training=False).numpy()
    student = tiny.Net(0)
    step = make(Spy(loss), student, teacher, graph=False)
    step._compiled = step._gradients  # eagerly: the tensors can be looked at
    run(step)
    np.testing.assert_array_equal(seen["student"].logits, expected)
    np.testing.assert_array_equal(seen["given"].logits, expected_teacher)
    np.testing.assert_array_equal(seen["teacher"].logits, expected_teacher)


def test_no_gradient_flows_through_the_teachers_forward():
    """Not even where a method runs the student in it, as SRRL and BSS do."""
    student, teacher, w, w_teacher = linear_pair()

    class Borrowing(tiny.Method):
        def teacher_forward(self, teacher, student, batch):
            output = super().teacher_forward(teacher, student, batch)
            own = student(batch["image"], with_taps=True)
            return output._replace(logits=output.logits + own.logits)

    run(make(Borrowing(mimic), student, teacher))
    (_, task_gradient), (_, own_gradient) = numpy_gradients(w, w + w_teacher)
    gradient = task_gradient + own_gradient
    np.testing.assert_allclose(
        student.get_weights()[0], w - RATE * gradient, rtol=1e-5, atol=1e-6
    )


def test_a_student_that_is_not_trained_stays_as_it_is():
    student, teacher = tiny.Net(0), tiny.Net(5)
    method = Mapping(trains_student=False)
    groups = (student.variables, teacher.variables, method.variables)
    before = [tiny.values(group) for group in groups]
    metrics = run(make(method, student, teacher, task_weight=0.0))
    found = [changed(*pair) for pair in zip(groups, before, strict=True)]
    assert found == [[False] * 8, [False] * 8, [True] * 3]
    assert "accuracy" not in metrics


def test_a_teacher_may_be_trained_too():
    """Deep mutual learning: both learn from the labels and from each other."""
    student, teacher, w, w_teacher = linear_pair()

    def mutual(student, teacher, batch):
        def gap(one, other):
            return tf.reduce_mean((one - tf.stop_gradient(other)) ** 2) / 2

        return {
            "student": gap(student.logits, teacher.logits),
            "teacher": gap(teacher.logits, student.logits),
        }

    method = tiny.Method(mutual, trains_teacher=True)
    metrics = run(make(method, student, teacher, task_weight=0.5))
    sides = numpy_gradients(w, w_teacher), numpy_gradients(w_teacher, w)
    for net, old, ((_, task), (_, own)) in zip(
        (student, teacher), (w, w_teacher), sides, strict=True
    ):
        np.testing.assert_allclose(
            net.get_weights()[0],
            old - RATE * (0.5 * task + own),
            rtol=1e-5,
            atol=1e-6,
        )
    np.testing.assert_allclose(
        metrics["loss/task"], 0.5 * sum(side[0][0] for side in sides), rtol=1e-5
    )


def test_a_trained_teacher_uses_batch_statistics():
    student, teacher = tiny.Net(0), tiny.Net(5)
    before = tiny.values(teacher.variables)
    step = make(tiny.Method(trains_teacher=True), student, teacher)
    run(step)
    assert changed(teacher.variables, before) == [True] * 8


def test_the_order_of_the_variables_is_fixed():
    """Slots are saved by position."""
    student, teacher, method = tiny.Net(0), tiny.Net(5), Mapping()
    found = step_lib.trained_variables(
        dataclasses.replace(method.phase, trains_teacher=True), student, teacher
    )
    expected = [
        *student.trainable_variables,
        *teacher.trainable_variables,
        *method.trainable_variables,
    ]
    assert [id(v) for v in found] == [id(v) for v in expected]
    assert len({id(v) for v in found}) == 6 + 6 + 3


# Precision, XLA, draws


@pytest.mark.parametrize("precision", ["mixed_bfloat16", "mixed_float16"])
def test_losses_are_float32_under_mixed_precision(precision):
    student, teacher = tiny.Net(0, precision), tiny.Net(5, precision)
    assert student(BATCH["image"]).dtype == precision.removeprefix("mixed_")
    seen = []

    def loss(student, teacher, batch):
        for output in (student, teacher):
            seen.extend([output.logits.dtype, output.taps["stage1"].dtype])
        seen.append(batch["image"].dtype)
        return mimic(student, teacher, batch)

    scale_loss = precision == "mixed_float16"
    step = make(tiny.Method(loss), student, teacher, scale_loss=scale_loss)
    before = tiny.values(student.variables)
    for _ in range(4):  # A loss scale may be too large at first.
        metrics = run(step)
    assert set(seen) == {tf.float32}
    assert {v.dtype for v in metrics.values()} == {np.dtype("float32")}
    assert all(changed(student.variables, before))
    assert {v.dtype for v in student.variables} == {"float32"}


@pytest.mark.parametrize("scale_loss", [False, True])
def test_a_skipped_step_says_so(scale_loss):
    def root(student, teacher, batch):  # whose gradient is not finite at 0
        return {"root": tf.sqrt(batch["progress"] * student.logits[0, 0] ** 2)}

    student = tiny.Net(0)
    step = make(tiny.Method(root), student, scale_loss=scale_loss)
    found = []
    for progress in (1.0, 0.0) if scale_loss else (1.0,):
        before = tiny.values(student.trainable_variables)
        metrics = run(step, BATCH | {"progress": tf.constant(progress)})
        moved = any(changed(student.trainable_variables, before))
        assert moved == np.isfinite(metrics["gradient_norm"])
        found.append(metrics.get("skipped_steps"))
    assert found == ([0.0, 1.0] if scale_loss else [None])


def train(xla=False, steps=3, **changes):
    student, teacher, method = tiny.Net(0), tiny.Net(5), Mapping()
    step = make(method, student, teacher, xla=xla, momentum=0.9, **changes)
    metrics = [run(step, tiny.batch(seed=i)) for i in range(steps)]
    return metrics, tiny.values(student.variables) + tiny.values(method.variables)


def test_xla_gives_the_same():
    (plain, weights), (compiled, compiled_weights) = train(), train(xla=True)
    for a, b in zip(plain, compiled, strict=True):
        assert a.keys() == b.keys()
        for name in a:
            np.testing.assert_allclose(a[name], b[name], rtol=1e-4, err_msg=name)
    for a, b in zip(weights, compiled_weights, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-6)


def test_scaling_the_loss_changes_nothing_in_float32():
    (plain, weights), (scaled, scaled_weights) = train(), train(scale_loss=True)
    for a, b in zip(plain, scaled, strict=True):
        for name in a:
            np.testing.assert_allclose(a[name], b[name], rtol=1e-6, err_msg=name)
    for a, b in zip(weights, scaled_weights, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize("xla", [False, True])
def test_draws_reach_the_loss_and_are_those_of_the_seed(xla):
    """Drawn outside the compiled function: XLA would draw other numbers."""

    class Drawing(tiny.Method):
        def draw(self, batch):
            return {"noise": tf.random.stateless_normal([], batch["seed"])}

    method = Drawing(lambda student, teacher, batch: {"noise": batch["noise"]})
    metrics = run(make(method, tiny.Linear(), xla=xla))
    expected = tf.random.stateless_normal([], BATCH["seed"])
    np.testing.assert_array_equal(metrics["loss/noise"], expected)
