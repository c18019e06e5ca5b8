import numpy as np
import pytest
import tensorflow as tf

from distiller import crd
from distiller.framework import base
from tests import fakes, vectors

RNG = np.random.default_rng(0)
NUM_EXAMPLES, BATCH, K = 40, 4, 7
SPECS = {"stage1": (4, 4, 3), "embedding": (6,)}
STUDENT, TEACHER = (
    {name: vectors.TapSpec(shape, 1) for name, shape in SPECS.items()} for _ in range(2)
)
EMBEDDINGS = RNG.normal(size=(2, BATCH, 6))
INDEX = np.array([3, 17, 8, 30])
CONTRAST = np.concatenate(
    [INDEX[:, None], RNG.integers(0, NUM_EXAMPLES, (BATCH, K))], axis=1
)
SETTINGS = {
    "feature_dim": 5,
    "num_negatives": K,
    "temperature": 0.3,
    "momentum": 0.8,
    "eps": 0.01,
    "weight": 2.0,
}


def build(data=None, **changes):
    method = crd.CRD(STUDENT, TEACHER, data or fakes.data(), **{**SETTINGS, **changes})
    rng = np.random.default_rng(1)
    for variable in method.variables:
        if variable.shape != ():  # The normalisers stay unset.
            variable.assign(rng.normal(size=variable.shape) / 2)
    return method


def outputs():
    return [fakes.output({"embedding": rows}) for rows in EMBEDDINGS]


def batch(**changes):
    values = {"index": INDEX, "contrast_indices": CONTRAST, **changes}
    return {name: tf.constant(value, tf.int32) for name, value in values.items()}


def unit(x):
    return x / np.linalg.norm(x, axis=-1, keepdims=True)


def heads(method):
    """v_s and v_t, in float64."""
    return [
        unit(x @ np.float64(head.kernel) + np.float64(head.bias))
        for x, head in zip(
            EMBEDDINGS, (method.student_head, method.teacher_head), strict=True
        )
    ]


def contrast(critic, z):
    """The paper's critic h = o / (o + K / N + eps); one anchor's candidates a row."""
    total = 0.0
    for row in critic:
        ratio = (len(row) - 1) / NUM_EXAMPLES
        o = row / z
        total -= np.log(o[0] / (o[0] + ratio + 0.01))
        total -= np.log(ratio / (o[1:] + ratio + 0.01)).sum()
    return total / len(critic)


def critics(anchors, bank):
    return [np.exp(bank[c] @ v / 0.3) for v, c in zip(anchors, CONTRAST, strict=True)]


def banks(method):
    return np.float64(method.student_bank), np.float64(method.teacher_bank)


@pytest.mark.parametrize("jit", [False, True])
def test_two_steps_equal_numpy(jit):
    """The second has the banks that the first has left, and its normalisers."""
    method = build()
    step = tf.function(method.loss, jit_compile=jit)
    v_s, v_t = heads(method)
    normalisers = None
    for _ in range(2):
        m_s, m_t = banks(method)
        of_student, of_teacher = critics(v_s, m_t), critics(v_t, m_s)
        normalisers = normalisers or [
            NUM_EXAMPLES * np.mean(critic) for critic in (of_student, of_teacher)
        ]
        terms = step(*outputs(), batch())
        np.testing.assert_allclose(
            [terms["student_anchor"], terms["teacher_anchor"]],
            [
                2.0 * contrast(of_student, normalisers[0]),
                2.0 * contrast(of_teacher, normalisers[1]),
            ],
            rtol=1e-5,
        )
        m_s[INDEX] = unit(0.8 * m_s[INDEX] + 0.2 * v_s)
        m_t[INDEX] = unit(0.8 * m_t[INDEX] + 0.2 * v_t)
        np.testing.assert_allclose(banks(method), (m_s, m_t), rtol=1e-5, atol=1e-6)
        np.testing.assert_allclose(
            [method.student_normaliser, method.teacher_normaliser],
            normalisers,
            rtol=1e-5,
        )


def test_in_batch_equals_numpy():
    """Labels 0, 1, 0, 2: the first and the third have two negatives, else three."""
    labels = [0, 1, 0, 2]
    method = build(sampling="in_batch")
    terms = method.loss(*outputs(), {"label": tf.constant(labels)})
    v_s, v_t = heads(method)

    def term(anchors, others):
        rows = []
        for i, anchor in enumerate(anchors):
            negatives = [j for j in range(BATCH) if labels[j] != labels[i]]
            rows.append(np.exp(others[[i, *negatives]] @ anchor / 0.3))
        return 2.0 * contrast(rows, NUM_EXAMPLES * np.mean(np.concatenate(rows)))

    np.testing.assert_allclose(
        [terms["student_anchor"], terms["teacher_anchor"]],
        [term(v_s, v_t), term(v_t, v_s)],
        rtol=1e-5,
    )


def test_in_batch_has_no_banks_and_draws_nothing():
    method = build(sampling="in_batch")
    assert [tuple(v.shape) for v in method.non_trainable_variables] == [(), ()]
    assert method.draw(fakes.batch()) == {}


@pytest.mark.parametrize("labels", [[1, 1, 1, 1], [0, 0, 0, 3]])
def test_in_batch_stays_finite_without_negatives(labels):
    method = build(sampling="in_batch")
    with tf.GradientTape() as tape:
        terms = method.loss(*outputs(), {"label": tf.constant(labels)})
    gradients = tape.gradient(terms, method.trainable_variables)
    for x in (*terms.values(), *gradients):
        assert np.isfinite(x).all()


def test_the_published_recipe_is_the_default():
    method = crd.CRD(STUDENT, TEACHER, fakes.data())
    found = method.weight, method.num_negatives, method.temperature, method.momentum
    assert found == (0.8, 16384, 0.07, 0.5)
    assert (method.eps, method.sampling) == (1e-7, "exact")
    assert method.student_bank.shape == method.teacher_bank.shape == (40, 128)
    bound = (128 / 3) ** -0.5
    for bank in banks(method):
        assert bound * 0.99 < np.abs(bank).max() <= bound
    assert float(method.student_normaliser) == float(method.teacher_normaliser) == -1


@pytest.mark.parametrize("side", [0, 1])
def test_the_loss_falls_as_an_anchor_nears_its_positive(side):
    """And that kind of anchors' alone: each kind has the other net's bank."""
    losses = []
    for sign in (1, -1):
        method = build()
        head = (method.student_head, method.teacher_head)[side]
        head.kernel.assign(tf.eye(6, 5))
        head.bias.assign(tf.zeros(5))
        for normaliser in (method.student_normaliser, method.teacher_normaliser):
            normaliser.assign(50.0)
        given, bank = outputs(), banks(method)[1 - side]
        rows = np.pad(sign * bank[INDEX], [(0, 0), (0, 1)])
        given[side] = fakes.output({"embedding": rows})
        losses.append(method.loss(*given, batch()))
    names = ["student_anchor", "teacher_anchor"]
    assert losses[0][names[side]] < losses[1][names[side]]
    assert losses[0][names[1 - side]] == losses[1][names[1 - side]]


LABELS = np.array([0] * 3 + [2] * 20 + [3] * 10 + [0] * 7)  # none of class 1


def drawn(**changes):
    data = base.DataSpec(len(LABELS), 4, LABELS.astype(np.int32), BATCH)
    method = build(data, **changes)
    given = {"index": tf.constant([39, 5, 25, 1]), "seed": tf.constant([7, 3])}
    return given["index"].numpy(), method.draw(given)["contrast_indices"].numpy()


@pytest.mark.parametrize("sampling", ["exact", "relaxed"])
def test_draws_a_positive_and_negatives_of_other_classes(sampling):
    index, contrast_indices = drawn(sampling=sampling, num_negatives=20)
    assert contrast_indices.shape == (BATCH, 21)
    for anchor, row in zip(index, contrast_indices, strict=True):
        assert len(set(row[1:])) == 20
        assert LABELS[anchor] not in LABELS[row[1:]]
        if sampling == "exact":
            assert row[0] == anchor
        else:
            assert LABELS[row[0]] == LABELS[anchor]
    if sampling == "relaxed":
        assert not np.array_equal(contrast_indices[:, 0], index)


def test_draws_with_replacement_where_the_others_are_too_few():
    index, contrast_indices = drawn(num_negatives=25)
    for anchor, row in zip(index, contrast_indices, strict=True):
        others = np.flatnonzero(LABELS != LABELS[anchor])
        assert set(row[1:]) <= set(others)
        assert (len(set(row[1:])) == 25) == (len(others) >= 25)


@pytest.mark.parametrize("sampling", ["exact", "in_batch"])
def test_equal_embeddings_of_two_images_stay_finite(sampling):
    method = build(sampling=sampling, temperature=0.02)
    same = fakes.output({"embedding": np.zeros((2, 6))})
    given = {**fakes.batch(2), **method.draw(fakes.batch(2))}
    with tf.GradientTape() as tape:
        tape.watch(same)
        terms = method.loss(same, same, given)
    gradient = tape.gradient(terms, same.taps["embedding"])
    assert np.isfinite(list(terms.values())).all() and np.isfinite(gradient).all()


def test_maps_are_averaged():
    maps = RNG.normal(size=(BATCH, 4, 4, 3))
    losses = [
        build(taps=("stage1:embedding",)).loss(student, outputs()[1], batch())
        for student in map(fakes.output, ([maps], [maps.mean((1, 2), keepdims=True)]))
    ]
    np.testing.assert_allclose(*[list(terms.values()) for terms in losses], rtol=1e-5)


@pytest.mark.parametrize(
    "name, value",
    [
        ("weight", -1.0),
        ("feature_dim", 0),
        ("num_negatives", 0),
        ("temperature", 0.0),
        ("temperature", 0.011),
        ("momentum", -0.1),
        ("momentum", 1.0),
        ("eps", 0.0),
        ("sampling", "relax"),
    ],
)
def test_out_of_range_raises(name, value):
    with pytest.raises(ValueError, match=f"{name}="):
        build(**{name: value})


def test_several_pairs_of_taps_raise():
    with pytest.raises(ValueError, match=r"one pair.*taps=embedding,stage1"):
        build(taps=("embedding", "stage1"))


def test_one_class_has_no_negatives():
    data = base.DataSpec(6, 3, np.ones(6, np.int32), 2)
    with pytest.raises(ValueError, match=r"at least two classes.*6 examples of 1"):
        build(data)
    build(data, sampling="in_batch")


def banked(vector):
    given = vector.hyperparameters
    labels = np.arange(given["n_data"], dtype=np.int32) % 2
    method = crd.CRD(
        vectors.specs(vector.student, ["embedding"]),
        vectors.specs(vector.teacher, ["embedding"]),
        base.DataSpec(given["n_data"], 2, labels, 2),
        weight=1.0,
        feature_dim=given["feat_dim"],
        num_negatives=given["nce_k"],
        temperature=given["nce_t"],
        momentum=given["nce_m"],
    )
    state = {
        "memory_v1": method.student_bank,
        "memory_v2": method.teacher_bank,
        "z_v1": method.student_normaliser,
        "z_v2": method.teacher_normaliser,
    }
    variables = state | {
        "embed_student/kernel": method.student_head.kernel,
        "embed_student/bias": method.student_head.bias,
        "embed_teacher/kernel": method.teacher_head.kernel,
        "embed_teacher/bias": method.teacher_head.bias,
    }
    given_batch = {
        "index": vector.inputs["other"]["indices"],
        "contrast_indices": vector.inputs["other"]["contrast_indices"],
    }

    def compute():
        s, t = vectors.output(vector.student), vectors.output(vector.teacher)
        results = vectors.results(method.loss(s, t, given_batch))
        return results | {f"updated/{name}": v.numpy() for name, v in state.items()}

    return compute, variables


PARITY = {"CRD": banked}
