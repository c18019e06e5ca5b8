import numpy as np
import pytest
import tensorflow as tf

from distiller import mlkd
from nets.taps import TapSpec
from tests import fakes, vectors

RNG = np.random.default_rng(0)
BATCH, VIEWS = 3, 4
STUDENT, TEACHER = ({"embedding": TapSpec((width,), 1)} for width in (5, 6))
SEEN, GIVEN = (RNG.normal(size=(BATCH, VIEWS, width)) for width in (5, 6))
LABELS = np.array([2, 0, 2])
SETTINGS = {
    "align_weight": 2.0,
    "correlation_weight": 3.0,
    "contrast_weight": 0.5,
    "correlation_temperature": 0.4,
    "contrast_temperature": 0.2,
    "feature_dim": 7,
    "hidden_multiplier": 2,
    "eps": 0.1,
}


def build(**changes):
    return mlkd.MLKD(STUDENT, TEACHER, fakes.data(), **{**SETTINGS, **changes})


def unit(x):
    return x / np.linalg.norm(x, axis=-1, keepdims=True)


def softmax(x):
    x = np.exp(x)
    return x / x.sum(-1, keepdims=True)


def align(student, teacher):
    return np.mean(2 - 2 * (unit(student) * unit(teacher)).sum(-1))


def correlation(student, teacher, temperature):
    total = 0.0
    for i in range(BATCH):
        for view in range(1, VIEWS):
            q, p = (
                softmax(unit(x[:, 0]) @ unit(x[i, view]) / temperature)
                for x in (student, teacher)
            )
            total += (p * np.log(p / q)).sum()
    return total / (BATCH * (VIEWS - 1))


def contrast(embeddings, labels, temperature, eps):
    total = 0.0
    for i, anchor in enumerate(embeddings):
        logits = embeddings @ anchor / temperature
        logits -= logits.max()
        others = [j for j in range(len(labels)) if j != i]
        log_p = logits - np.log(np.exp(logits[others]).sum() + eps)
        total -= np.mean([log_p[j] for j in others if labels[j] == labels[i]])
    return total / len(embeddings)


def perceptron(head, x):
    first, second = (
        [np.float64(v) for v in layer.variables] for layer in (head.first, head.second)
    )
    gamma, beta = np.float64(head.norm.gamma), np.float64(head.norm.beta)
    hidden = x @ first[0] + first[1]
    hidden = (hidden - hidden.mean(0)) / np.sqrt(hidden.var(0) + 1e-5)
    return np.maximum(gamma * hidden + beta, 0) @ second[0] + second[1]


def linear(layer, x):
    return x @ np.float64(layer.kernel) + np.float64(layer.bias)


def outputs():
    return [fakes.output({mlkd.VIEWS: views}) for views in (SEEN, GIVEN)]


def test_the_functions_equal_numpy():
    student = RNG.normal(size=GIVEN.shape)
    np.testing.assert_allclose(
        mlkd.alignment_loss(student, GIVEN), align(student, GIVEN)
    )
    np.testing.assert_allclose(
        mlkd.correlation_loss(SEEN, GIVEN, 0.4), correlation(SEEN, GIVEN, 0.4)
    )


def test_zero_where_the_student_agrees_up_to_scale():
    np.testing.assert_allclose(mlkd.alignment_loss(3 * GIVEN, GIVEN), 0, atol=1e-12)
    np.testing.assert_allclose(mlkd.correlation_loss(3 * GIVEN, GIVEN), 0, atol=1e-12)


def test_the_class_equals_numpy():
    method = build()
    for variable in method.trainable_variables:
        variable.assign(RNG.normal(size=variable.shape))
    rows, targets = SEEN.reshape(12, 5), GIVEN.reshape(12, 6)
    correlated = perceptron(method.correlation_head, rows).reshape(SEEN.shape)
    embeddings = np.concatenate(
        [
            unit(linear(method.student_head, rows)),
            unit(linear(method.teacher_head, targets)),
        ]
    )
    labels = [*np.repeat(LABELS, VIEWS)] * 2
    terms = method.loss(*outputs(), {"label": tf.constant(LABELS)})
    expected = {
        "align": 2.0 * align(perceptron(method.align_head, rows), targets),
        "correlation": 3.0 * correlation(correlated, GIVEN, 0.4),
        "contrast": 0.5 * contrast(embeddings, labels, 0.2, 0.1),
    }
    assert terms.keys() == expected.keys()
    for name, value in expected.items():
        np.testing.assert_allclose(terms[name], value, rtol=1e-5, err_msg=name)


def test_owns_two_perceptrons_and_two_layers():
    widths = {name: [] for name in ("align", "correlation")}
    method = build()
    for head in (method.align_head, method.correlation_head):
        widths[head.name] = [v.shape[-1] for v in head.trainable_variables[::2]]
    assert widths == {"align": [12, 12, 6], "correlation": [5, 5, 5]}
    assert method.student_head.kernel.shape == (5, 7)
    assert method.teacher_head.kernel.shape == (6, 7)
    assert len(method.trainable_variables) == 6 + 6 + 2 + 2


def test_taps_belong_to_the_images_and_views_to_their_rotations():
    net, given = fakes.Net(), fakes.batch()
    method = mlkd.MLKD(net.tap_specs, net.tap_specs, fakes.data())
    output = method.teacher_forward(net, None, given)
    alone = net(given["image"], training=False, with_taps=True)
    np.testing.assert_allclose(output.logits, alone.logits, rtol=1e-4, atol=1e-6)
    for name, tap in alone.taps.items():
        np.testing.assert_allclose(output.taps[name], tap, rtol=1e-4, atol=1e-6)
    for quarter in range(4):
        turned = np.rot90(given["image"], quarter, axes=(1, 2))
        seen = net(tf.constant(turned), training=False, with_taps=True)
        np.testing.assert_allclose(
            output.taps[mlkd.VIEWS][:, quarter],
            seen.taps["embedding"],
            rtol=1e-4,
            atol=1e-6,
        )


def test_the_student_trains_on_all_views_at_once():
    """Its batch norms see them together."""
    net, given = fakes.Net(), fakes.batch()
    method = mlkd.MLKD(net.tap_specs, net.tap_specs, fakes.data())
    output = method.student_forward(net, None, given, None)
    views = [np.rot90(given["image"], quarter, axes=(1, 2)) for quarter in range(4)]
    together = tf.constant(np.concatenate(views))
    expected = fakes.Net()(together, training=True, with_taps=True)
    close = {"rtol": 1e-4, "atol": 1e-5}
    np.testing.assert_allclose(output.logits, expected.logits[:4], **close)
    for name, tap in expected.taps.items():
        np.testing.assert_allclose(output.taps[name], tap[:4], **close)
    embeddings = np.reshape(expected.taps["embedding"], [4, 4, -1])  # [view, image]
    np.testing.assert_allclose(
        output.taps[mlkd.VIEWS], embeddings.swapaxes(0, 1), **close
    )


def test_images_that_are_not_square_raise():
    net = fakes.Net()
    method = mlkd.MLKD(net.tap_specs, net.tap_specs, fakes.data())
    with pytest.raises(ValueError, match=r"square images.*\(2, 8, 4, 3\)"):
        method.student_forward(net, None, {"image": tf.zeros([2, 8, 4, 3])}, None)


def test_equal_and_zero_embeddings_stay_finite():
    method = build()
    same = fakes.output({mlkd.VIEWS: np.zeros([2, VIEWS, 5])})
    teacher = fakes.output({mlkd.VIEWS: np.zeros([2, VIEWS, 6])})
    with tf.GradientTape() as tape:
        tape.watch(same)
        terms = method.loss(same, teacher, {"label": tf.constant([1, 1])})
    gradients = tape.gradient(
        terms, [same.taps[mlkd.VIEWS], method.align_head.first.kernel]
    )
    for x in (*terms.values(), *gradients):
        assert np.isfinite(x).all()


@pytest.mark.parametrize(
    "name, value",
    [
        ("align_weight", -1.0),
        ("correlation_weight", -1.0),
        ("contrast_weight", -1.0),
        ("correlation_temperature", 0.0),
        ("contrast_temperature", 0.0),
        ("feature_dim", 0),
        ("hidden_multiplier", 0),
        ("eps", 0.0),
    ],
)
def test_out_of_range_raises(name, value):
    with pytest.raises(ValueError, match=f"{name}="):
        build(**{name: value})


def test_several_pairs_of_taps_raise():
    net = fakes.Net()
    with pytest.raises(ValueError, match=r"one pair.*taps=stages"):
        mlkd.MLKD(net.tap_specs, net.tap_specs, fakes.data(), taps=("stages",))


def views(vector):
    given = vector.hyperparameters
    method = mlkd.MLKD(
        vectors.specs(vector.student, ["embedding"]),
        vectors.specs(vector.teacher, ["embedding"]),
        fakes.data(),
        align_weight=given["d_align"],
        correlation_weight=given["a_correlation"],
        contrast_weight=given["b_supervised_contrastive"],
        correlation_temperature=given["tau_correlation"],
        contrast_temperature=given["temperature_contrastive"],
        feature_dim=given["feature_dim"],
        hidden_multiplier=given["align_hidden_multiplier"],
        eps=given["log_epsilon"],
    )
    variables = {
        f"contrast_{side}/{part}": getattr(layer, part)
        for side, layer in (
            ("student", method.student_head),
            ("teacher", method.teacher_head),
        )
        for part in ("kernel", "bias")
    }
    for name, head in (
        ("align", method.align_head),
        ("correlation", method.correlation_head),
    ):
        variables |= {
            f"{name}/dense_0/kernel": head.first.kernel,
            f"{name}/dense_0/bias": head.first.bias,
            f"{name}/bn/gamma": head.norm.gamma,
            f"{name}/bn/beta": head.norm.beta,
            f"{name}/dense_1/kernel": head.second.kernel,
            f"{name}/dense_1/bias": head.second.bias,
        }

    def compute():
        s, t = (
            vectors.output({mlkd.VIEWS: tf.reshape(rows, shape)})
            for rows, shape in (
                (x["embedding"], [-1, given["views"], x["embedding"].shape[1]])
                for x in (vector.student, vector.teacher)
            )
        )
        terms = method.loss(s, t, {"label": vector.inputs["other"]["labels"]})
        return {
            "loss": tf.add_n(list(terms.values())),
            "loss/align": terms["align"],
            "loss/correlation": terms["correlation"],
            "loss/supervised_contrastive": terms["contrast"],
        }

    return compute, variables


PARITY = {"MLKD": views}
