import numpy as np
import pytest
import tensorflow as tf

from distiller import mhgd
from tests import fakes, singular_reference, vectors

SHAPES = (5, 5, 4), (4, 4, 6), (2, 2, 8)
SPECS = fakes.specs(*SHAPES)
RNG = np.random.default_rng(0)
MAPS, TARGETS = ([RNG.uniform(size=(4, *s)) for s in SHAPES] for _ in range(2))


def build(**hyperparameters):
    """With random variables."""
    method = mhgd.MHGD(SPECS, SPECS, fakes.data(), **hyperparameters)
    rng = np.random.default_rng(1)
    for variable in method.variables:
        # Positive where it is a variance; of both signs, or tanh would be 1.
        low = 0.2 if "variance" in variable.name else -0.9
        variable.assign(rng.uniform(low, 1.0, size=variable.shape))
    return method


def softmax(x):
    e = np.exp(x - x.max(-1, keepdims=True))
    return e / e.sum(-1, keepdims=True)


def project(layer, x, batch_statistics):
    x, norm = x @ layer.dense.kernel.numpy(), layer.norm
    mean, variance = norm.moving_mean.numpy(), norm.moving_variance.numpy()
    if batch_statistics:
        mean, variance = x.mean(0), x.var(0)
    x = (x - mean) / np.sqrt(variance + 1e-5)
    return x * norm.gamma.numpy() + norm.beta.numpy()


def graph(sender, receiver, heads):
    """One head at a time: the columns of head h are h, h + heads, h + 2 heads, ..."""
    return np.stack(
        [sender[:, h::heads] @ receiver[:, h::heads].T for h in range(heads)]
    )


def first_vectors(students, teachers, candidates=4):
    pairs = [
        [
            singular_reference.aligned(s, t, 1, candidates)[:2]
            for s, t in zip(a, b, strict=True)
        ]
        for a, b in zip(students, teachers, strict=True)
    ]
    return tuple(
        [np.stack([p[i][:, 0] for p in pair]) for pair in pairs] for i in (0, 1)
    )


@pytest.mark.parametrize("heads, candidates", [(8, 4), (3, 2)])
def test_the_divergence_equals_numpy(heads, candidates):
    method = build(heads=heads, candidates=candidates, weight=2.0)
    expected = 0.0
    sides = first_vectors(MAPS, TARGETS, candidates)
    for level, relation in enumerate(method.relations):
        p, q = (
            softmax(
                np.tanh(
                    graph(
                        project(relation.sender, side[level + 1], False),
                        project(relation.receiver, side[level], False),
                        heads,
                    )
                )
            )
            for side in sides
        )
        expected += (p * np.log(p / q)).sum()
    terms = method.loss(fakes.output(MAPS), fakes.output(TARGETS), {})
    np.testing.assert_allclose(terms["graph"], 2.0 * expected, rtol=1e-4)


def test_the_estimation_equals_numpy():
    method, heads = build(heads=3), 3
    masks = RNG.integers(0, 2, size=(2, heads, 4, 1)).astype(np.float32)
    _, targets = first_vectors(TARGETS, TARGETS)
    expected = 0.0
    for level, relation in enumerate(method.relations):
        before, after = targets[level], targets[level + 1]
        graphs = softmax(
            graph(
                project(relation.sender, after, True),
                project(relation.receiver, before, True),
                heads,
            )
        )
        hidden = np.maximum(project(relation.hidden, before, True), 0)
        messages = [masks[level, h] * (graphs[h] @ hidden) for h in range(heads)]
        output = np.concatenate(messages, 1) @ relation.output.kernel.numpy()
        output += relation.output.bias.numpy()
        output /= np.linalg.norm(output, axis=1, keepdims=True)
        expected += (1 - (output * after).sum(1)).mean()
    batch = {"head_mask": tf.constant(masks)}
    terms = method.estimation(None, fakes.output(TARGETS), batch)
    np.testing.assert_allclose(terms["estimation"], expected, rtol=1e-4)


def test_zero_where_the_nets_agree():
    terms = build().loss(fakes.output(TARGETS), fakes.output(TARGETS), {})
    np.testing.assert_allclose(terms["graph"], 0.0, atol=1e-5)


def test_the_heads_are_trained_first_and_then_frozen():
    method = build()
    attention, distill = method.phases()
    assert (attention.length, distill.length) == ("init", "train")
    assert attention.task_weight == 0.0 and not attention.trains_student
    assert len(attention.own) == len(method.trainable_variables) == 2 * 10
    assert distill.own == () and distill.trains_student
    kept = [v.numpy() for v in method.variables]
    method.loss(fakes.output(MAPS), fakes.output(TARGETS), {})
    for old, variable in zip(kept, method.variables, strict=True):
        np.testing.assert_array_equal(old, variable)
    batch = {"head_mask": tf.ones([2, 8, 4, 1])}
    method.estimation(None, fakes.output(TARGETS), batch)
    moved = [
        np.any(old != variable.numpy())
        for old, variable in zip(kept, method.variables, strict=True)
    ]
    assert sum(moved) == 2 * 3 * 2  # means and variances


def test_estimation_needs_no_student():
    method = build()
    batch = fakes.batch()
    batch |= method.draw(batch)
    assert np.isfinite(
        method.estimation(None, fakes.output(TARGETS), batch)["estimation"]
    )


def test_heads_stay_whose_noise_is_above_the_mean():
    method = build()
    batch = fakes.batch(3)
    mask = method.draw(batch)["head_mask"].numpy()
    assert mask.shape == (2, 8, 3, 1)
    assert set(np.unique(mask)) == {0.0, 1.0}
    kept = mask.sum(1)
    assert kept.min() >= 1 and kept.max() <= 7
    np.testing.assert_array_equal(mask, method.draw(batch)["head_mask"])
    other = method.draw({**batch, "seed": batch["seed"] + 1})["head_mask"]
    assert np.any(mask != other)
    noise = tf.random.stateless_normal([2, 8, 3, 1], batch["seed"]).numpy()
    np.testing.assert_array_equal(mask, noise > noise.mean(1, keepdims=True))


def test_a_single_head_stays():
    mask = build(heads=1).draw(fakes.batch())["head_mask"]
    np.testing.assert_array_equal(mask, np.ones((2, 1, 4, 1)))


def test_the_gradient_is_clipped_with_a_rising_bound():
    *_, phase = build().phases()
    task, method = [tf.constant([3.0, 0.0])], [tf.constant([0.0, 60.0])]
    for epoch, ratio in [(0.0, 0.5), (2.0, 0.8808), (40.0, 1.0)]:
        (found,) = phase.combine(task, method, {"epoch": tf.constant(epoch)})
        np.testing.assert_allclose(found, [3.0, 3.0 * ratio], rtol=1e-4)
    assert build(clip=False).phases()[1].combine is None
    assert build().phases()[0].combine is None


@pytest.mark.parametrize("dead", [0, 1])
def test_a_dead_level_of_the_teacher_has_moderate_gradients(dead):
    method = mhgd.MHGD(SPECS, SPECS, fakes.data())
    targets = [m * (level != dead) for level, m in enumerate(TARGETS)]
    batch = {"head_mask": tf.ones([2, 8, 4, 1])}
    with tf.GradientTape() as tape:
        terms = method.estimation(None, fakes.output(targets), batch)
    for gradient in tape.gradient(terms["estimation"], method.trainable_variables):
        assert np.max(np.abs(gradient)) < 1e3


@pytest.mark.parametrize(
    "name, value",
    [("weight", -1.0), ("heads", 0), ("candidates", 0), ("taps", ("stage2",))],
)
def test_out_of_range_raises(name, value):
    shown = value[0] if isinstance(value, tuple) else value
    with pytest.raises(ValueError, match=f"{name}={shown}"):
        build(**{name: value})


def graphs(vector):
    given = vector.hyperparameters
    levels = sorted(vector.teacher, key=lambda name: int(name.rpartition("_")[2]))
    method = mhgd.MHGD(
        vectors.specs(vector.student or vector.teacher, levels),
        vectors.specs(vector.teacher, levels),
        fakes.data(),
        taps=tuple(levels),
        heads=given["num_heads"],
        candidates=given.get("num_student_candidates", 4),
    )
    variables = {}
    for i, relation in enumerate(method.relations, 1):
        for side in ("sender", "receiver"):
            layer = getattr(relation, side)
            layer.norm.epsilon = given["batch_norm_epsilon"]
            variables[f"attention_{i}/{side}/kernel"] = layer.dense.kernel
            for name in ("gamma", "beta", "moving_mean", "moving_variance"):
                variables[f"attention_{i}/{side}/{name}"] = getattr(layer.norm, name)
        relation.hidden.norm.epsilon = given["batch_norm_epsilon"]
        variables |= {
            f"estimator_{i}/dense_0/kernel": relation.hidden.dense.kernel,
            f"estimator_{i}/bn_0/gamma": relation.hidden.norm.gamma,
            f"estimator_{i}/bn_0/beta": relation.hidden.norm.beta,
            f"estimator_{i}/dense_1/kernel": relation.output.kernel,
            f"estimator_{i}/dense_1/bias": relation.output.bias,
        }

    def compute():
        teachers = [vector.teacher[name] for name in levels]
        if given["kind"] == "attention_training":
            masks = [
                vector.inputs["other"][f"head_mask_{i}"] for i in range(1, len(levels))
            ]
            losses = method.estimation_losses(teachers, masks)
        else:
            students = [vector.student[name] for name in levels]
            losses = method.divergences(students, teachers)
        parts = {f"loss/pair_{i}": loss for i, loss in enumerate(losses, 1)}
        return {"loss": tf.add_n(losses), **parts}

    # Each kind has those that it uses.
    return compute, {k: v for k, v in variables.items() if k in vector.param}


PARITY = {"MHGD": graphs}
