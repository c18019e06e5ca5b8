import keras
import numpy as np
import pytest

from op_utils.connectors import (
    ConvConnector,
    ConvStack,
    PointwiseConnector,
)


def valid(x, kernel, stride=1):
    """Valid cross-correlation; x [B, H, W, C], kernel [h, w, C, D]."""
    h, w = kernel.shape[:2]
    rows = range(0, x.shape[1] - h + 1, stride)
    columns = range(0, x.shape[2] - w + 1, stride)
    return np.stack(
        [
            np.stack(
                [
                    np.einsum("bhwc,hwcd->bd", x[:, i : i + h, j : j + w], kernel)
                    for j in columns
                ],
                axis=1,
            )
            for i in rows
        ],
        axis=1,
    )


def transposed(x, kernel):
    """Stride 2, padding 1; kernel [4, 4, D, C]. Every input spreads over 4x4 cells."""
    b, h, w, _ = x.shape
    full = np.zeros((b, 2 * h + 2, 2 * w + 2, kernel.shape[2]))
    for i in range(h):
        for j in range(w):
            spread = np.einsum("bc,hwdc->bhwd", x[:, i, j], kernel)
            full[:, 2 * i : 2 * i + 4, 2 * j : 2 * j + 4] += spread
    return full[:, 1:-1, 1:-1]


def padded(x):
    return np.pad(x, [(0, 0), (1, 1), (1, 1), (0, 0)])


CASES = {
    "equal sizes": ((4, 3, 5), (4, 3, 2), (1, 1), valid),
    "larger": ((5, 6, 5), (4, 4, 2), (2, 3), valid),
    "one axis twice as large": ((8, 4, 5), (4, 4, 2), (5, 1), valid),
    "twice": ((8, 6, 5), (4, 3, 2), (3, 3), lambda x, k: valid(padded(x), k, 2)),
    "half": ((4, 3, 5), (8, 6, 2), (4, 4), transposed),
}


@pytest.mark.parametrize("relu", [True, False])
@pytest.mark.parametrize("case", CASES)
def test_value_equals_numpy(case, relu):
    student, teacher, kernel_size, convolve = CASES[case]
    layer = ConvConnector(student, teacher, relu=relu)
    rng = np.random.default_rng(0)
    for variable in layer.trainable_variables:
        variable.assign(rng.normal(size=variable.shape))
    kernel, bias, gamma, beta = (v.numpy() for v in layer.trainable_variables)
    assert kernel.shape[:2] == kernel_size
    x = rng.normal(size=(3, *student)).astype(np.float32)
    expected = convolve(x.astype(np.float64), kernel.astype(np.float64)) + bias
    mean, variance = expected.mean((0, 1, 2)), expected.var((0, 1, 2))
    expected = (expected - mean) / np.sqrt(variance + 1e-5) * gamma + beta
    result = layer(x, training=True).numpy()
    np.testing.assert_allclose(
        result, np.maximum(expected, 0) if relu else expected, rtol=1e-4, atol=1e-5
    )
    np.testing.assert_allclose(layer.norm.moving_mean, 0.1 * mean, rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize("student", [(3, 3, 5), (2, 2, 5), (8, 4, 5)])
def test_other_sizes_raise(student):
    with pytest.raises(ValueError, match=r"half.*\(8, 8, 2\).*taps=S:T"):
        ConvConnector(student, (8, 8, 2))


def test_float32_under_every_policy():
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        layer = ConvConnector((8, 8, 5), (4, 4, 2))
    finally:
        keras.config.set_dtype_policy("float32")
    x = np.full((2, 8, 8, 5), 1.0 + 2.0**-20, np.float32)  # bfloat16 would drop that
    assert layer(x).dtype == "float32"
    assert layer.compute_dtype == "float32"
    assert all(part.compute_dtype == "float32" for part in (*layer.resize, layer.norm))


def test_pointwise_connector_equals_numpy():
    rng = np.random.default_rng(3)
    maps = rng.normal(size=(4, 3, 2, 5)).astype(np.float32)
    connector = PointwiseConnector(5, 7)
    names = [v.name for v in connector.trainable_variables]
    assert names == ["kernel", "gamma", "beta"]
    gamma, beta = rng.normal(size=(2, 7))
    connector.norm.gamma.assign(gamma)
    connector.norm.beta.assign(beta)
    mapped = maps @ connector.convolution.kernel.numpy()[0, 0]
    mean, variance = mapped.mean((0, 1, 2)), mapped.var((0, 1, 2))
    expected = (mapped - mean) / np.sqrt(variance + 1e-5) * gamma + beta
    np.testing.assert_allclose(connector(maps, training=True), expected, atol=1e-5)


def test_pointwise_connector_starts_with_the_published_spread():
    keras.utils.set_random_seed(0)
    kernel = PointwiseConnector(300, 50).convolution.kernel.numpy()
    assert abs(kernel.std() - np.sqrt(2 / 50)) < 0.003
    assert abs(kernel).max() > 3 * np.sqrt(2 / 50), "normal, and not truncated at 2"


def leaky(x, slope):
    return np.where(x > 0, x, slope * x)


def flipped(kernel):
    """[h, w, out, in] of a transposed convolution as that of a plain one."""
    return np.transpose(kernel[::-1, ::-1], (0, 1, 3, 2))


@pytest.mark.parametrize("transposed", [False, True])
@pytest.mark.parametrize("training", [False, True])
def test_stack_equals_numpy(transposed, training):
    layer = ConvStack((5, 4, 3), transposed=transposed, slope=0.3)
    rng = np.random.default_rng(0)
    for variable in layer.variables:
        variable.assign(rng.uniform(0.5, 1.5, size=variable.shape))
    x = expected = rng.normal(size=(3, 4, 2, 5)).astype(np.float32)
    for convolution, norm in zip(layer.convolutions, layer.norms, strict=True):
        assert convolution.bias is None
        kernel = convolution.kernel.numpy()
        expected = valid(padded(expected), flipped(kernel) if transposed else kernel)
        gamma, beta, mean, variance = (v.numpy() for v in norm.variables)
        if training:
            mean, variance = expected.mean((0, 1, 2)), expected.var((0, 1, 2))
        expected = (expected - mean) / np.sqrt(variance + 1e-5) * gamma + beta
        expected = leaky(expected, 0.3)
    result = layer(x, training=training)
    np.testing.assert_allclose(result, expected, rtol=1e-4, atol=1e-4)


def test_stack_without_batch_norm_has_biases():
    layer = ConvStack((5, 4), batch_norm=False)
    kernel, bias = layer.variables
    bias.assign([1.0, -2.0, 3.0, -4.0])
    x = np.random.default_rng(0).normal(size=(2, 3, 3, 5)).astype(np.float32)
    expected = leaky(valid(padded(x), kernel.numpy()) + bias.numpy(), 0.1)
    np.testing.assert_allclose(layer(x), expected, rtol=1e-4, atol=1e-5)
