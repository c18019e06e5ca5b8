"""What the tests of the nets share."""

import numpy as np
import pytest

import nets


def _perturb(net):
    rng = np.random.default_rng(7)
    for variable in net.variables:
        if variable.name in ("gamma", "moving_variance"):
            variable.assign(rng.uniform(0.5, 1.5, variable.shape))
        elif variable.name in ("beta", "moving_mean"):
            variable.assign(rng.normal(0.0, 0.3, variable.shape))
    return net


@pytest.fixture(scope="session")
def perturb():
    """Makes a net's batch norms differ from the identity in every channel."""
    return _perturb


@pytest.fixture
def make_net():
    """Builds a net whose batch norms differ from the identity in every channel."""

    def make(name, num_classes=10, input_shape=(8, 8, 3), **kwargs):
        return _perturb(nets.build(name, num_classes, input_shape, seed=7, **kwargs))

    return make


@pytest.fixture
def images():
    """Normalised images, [4, 8, 8, 3]."""
    return np.random.default_rng(1).normal(size=(4, 8, 8, 3)).astype("float32")
