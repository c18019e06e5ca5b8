import numpy as np
import pytest
import tensorflow as tf

from distiller import irg
from tests import fakes, vectors

SHAPES = {
    # The student's second map has twice the channels, the teacher's first one more.
    "student": {"stage1": (4, 4, 3), "stage2": (2, 2, 6), "embedding": (6,)},
    "teacher": {"stage1": (4, 4, 6), "stage2": (4, 4, 4), "embedding": (4,)},
}
STUDENT, TEACHER = (
    fakes.specs(*shapes.values(), names=shapes) for shapes in SHAPES.values()
)
RNG = np.random.default_rng(0)
MAPS, TARGETS = (
    {name: RNG.normal(size=(5, *shape)) for name, shape in shapes.items()}
    for shapes in SHAPES.values()
)
LOGITS, TARGET_LOGITS = RNG.normal(size=(2, 5, 5)) * 3


def build(**hyperparameters):
    return irg.IRG(STUDENT, TEACHER, fakes.data(), **hyperparameters)


def edges(x):
    found = np.array([[((a - b) ** 2).sum() for b in x] for a in x])
    return found / found.max()


def relative(gap):
    squared = (gap**2).sum((1, 2, 3))
    return squared / squared.max()


def halved(maps):
    b, h, w, c = maps.shape
    return maps.reshape(b, h // 2, 2, w // 2, 2, c).mean((2, 4))


# Pairs of channels of the student; three of six overlapping bins of the teacher.
FIRST = halved(MAPS["stage1"]) - MAPS["stage2"].reshape(5, 2, 2, 3, 2).mean(-1)
BINS = [TARGETS["stage1"][..., i] for i in (slice(0, 2), slice(1, 3), slice(3, 5))]
BINS.append(TARGETS["stage1"][..., 4:6])
SECOND = np.stack([x.mean(-1) for x in BINS], -1) - TARGETS["stage2"]


def mean_square(x, y):
    return ((x - y) ** 2).mean()


def test_gaps_equal_numpy():
    for name, maps in MAPS.items():
        expected = mean_square(edges(maps), edges(TARGETS[name]))
        np.testing.assert_allclose(irg.edge_gap(maps, TARGETS[name]), expected)
    found = irg.transformation_gap(
        (MAPS["stage1"], MAPS["stage2"]), (TARGETS["stage1"], TARGETS["stage2"])
    )
    np.testing.assert_allclose(found, mean_square(relative(FIRST), relative(SECOND)))


def test_the_floor_is_on_squared_distances():
    # With a floor above all of them the student's edges and transformations are 1.
    pair, target_pair = ((m["stage1"], m["stage2"]) for m in (MAPS, TARGETS))
    x, low, high = MAPS["embedding"], 1e-6, 1e6
    near = irg.edge_gap(low * x, x, epsilon=1.0)
    squared = ((x[:, None] - x) ** 2).sum(-1)
    floored = np.maximum(squared, 1.0) * (1 - np.eye(5))
    expected = mean_square(1 - np.eye(5), floored / floored.max())
    np.testing.assert_allclose(near, expected)
    found = irg.transformation_gap(pair, target_pair, high)
    np.testing.assert_allclose(found, 0.0)


def test_zero_where_the_activations_agree_up_to_scale():
    x = MAPS["stage1"]
    np.testing.assert_allclose(irg.edge_gap(3.0 * x + 1.0, x), 0.0, atol=1e-15)
    pair = MAPS["stage1"], MAPS["stage2"]
    scaled = [3.0 * x for x in pair]
    np.testing.assert_allclose(irg.transformation_gap(scaled, pair), 0.0, atol=1e-15)


def test_the_class_weighs_the_parts():
    method = build(vertex_weight=2.0, edge_weight=3.0, transformation_weight=4.0)
    terms = method.loss(
        fakes.output(MAPS, LOGITS), fakes.output(TARGETS, TARGET_LOGITS), {}
    )
    gaps = [mean_square(edges(MAPS[name]), edges(TARGETS[name])) for name in MAPS]
    expected = {
        "vertex": 2.0 * mean_square(LOGITS, TARGET_LOGITS),
        "edge": 3.0 * sum(gaps) / 3,
        "transformation": 4.0 * mean_square(relative(FIRST), relative(SECOND)),
    }
    assert list(terms) == list(expected)
    for name, value in expected.items():
        np.testing.assert_allclose(terms[name], value, rtol=1e-5)


def test_the_published_recipe_is_the_default():
    method = build()
    weights = method.vertex_weight, method.edge_weight, method.transformation_weight
    assert (*weights, method.epsilon) == (0.1, 5.0, 5.0, 1e-12)
    assert method.pairs == (("stage1", "stage1"), ("stage2", "stage2"))


def test_the_two_deepest_stages_are_the_default():
    three, four = (fakes.Net(widths=w, strides=w) for w in ((1, 1, 1), (1, 1, 1, 1)))
    method = irg.IRG(three.tap_specs, four.tap_specs, fakes.data())
    assert method.pairs == (("stage2", "stage3"), ("stage3", "stage4"))


@pytest.mark.parametrize("equal", [2, 5])
def test_equal_images_give_finite_gradients(equal):
    student = fakes.output(
        {
            name: np.concatenate([m[:1]] * equal + [m[equal:]])
            for name, m in MAPS.items()
        },
        LOGITS,
    )
    with tf.GradientTape() as tape:
        tape.watch(student)
        terms = build().loss(student, fakes.output(TARGETS, TARGET_LOGITS), {})
        total = tf.add_n(list(terms.values()))
    assert np.isfinite(total)
    for gradient in tape.gradient(total, list(student.taps.values())):
        assert np.isfinite(gradient).all()


@pytest.mark.parametrize(
    "name, value",
    [(f"{part}_weight", -1.0) for part in ("vertex", "edge", "transformation")]
    + [("epsilon", 0.0)],
)
def test_out_of_range_raises(name, value):
    with pytest.raises(ValueError, match=f"{name}={value}"):
        build(**{name: value})


def test_other_than_two_maps_raise():
    with pytest.raises(ValueError, match="two taps.*taps=stage2"):
        build(taps=("stage2",))
    with pytest.raises(ValueError, match=r"\(H, W, C\).*embedding"):
        build(taps=("stage1", "embedding"))
    one = fakes.specs((4, 4, 3))
    with pytest.raises(ValueError, match="two taps.*taps=none, that is stage1:stage1"):
        irg.IRG(one, one, fakes.data())


def test_a_net_without_embedding_raises():
    maps = fakes.specs((4, 4, 3), (4, 4, 3))
    with pytest.raises(ValueError, match="no tap 'embedding'"):
        irg.IRG(maps, TEACHER, fakes.data())


def test_unequal_or_too_small_batches_raise():
    x, pair = MAPS["stage1"], (MAPS["stage1"], MAPS["stage2"])
    with pytest.raises(ValueError, match="equal size"):
        irg.edge_gap(x[1:], x)
    with pytest.raises(ValueError, match="at least 2"):
        irg.edge_gap(x[:1], x[:1])
    with pytest.raises(ValueError, match="equal size"):
        irg.transformation_gap([x[1:] for x in pair], pair)


def graphs(vector):
    given = vector.hyperparameters
    levels = vector.levels()
    method = irg.IRG(
        vectors.specs(vector.student, [*levels, "embedding"]),
        vectors.specs(vector.teacher, [*levels, "embedding"]),
        fakes.data(),
        taps=tuple(levels),
        vertex_weight=given["w_vertex"],
        edge_weight=given["w_edge"],
        transformation_weight=given["w_transformation"],
        epsilon=given["epsilon"],
    )

    def compute():
        s, t = vectors.output(vector.student), vectors.output(vector.teacher)
        return vectors.results(method.loss(s, t, {}))

    return compute, {}


PARITY = {"IRG": graphs}
