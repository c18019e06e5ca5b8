"""The distribution of the largest of several differences from one reference.

Dunnett, A multiple comparison procedure for comparing several treatments with a
control, J. Am. Stat. Assoc. 1955.
"""

import functools
from collections.abc import Sequence

import numpy as np
from scipy import optimize, special, stats

_NODES = 64  # of each integral
_FAR = 8.5  # standard deviations; what is beyond them is below 1e-16
_TAIL = 1e-13  # of chi^2's probability that is left out at each end
# u is integrated as v^3: with one degree of freedom all that matters may be near 0.
_POWER = 3


def probability(c, family: Sequence[int], df: int) -> np.ndarray:
    """The probability that all |t| stay below c when there is no difference at all.

    P(c) = E_u E_z [Phi(sqrt(2) c u + z) - Phi(-sqrt(2) c u + z)]^k with z ~ N(0, 1) and
    u^2 ~ chi^2_df / df, for k differences from one reference that are all estimated
    alike. With several references, whose means have nothing in common but the estimate
    of the spread, it is E_u of the product of their E_z. The error is below 5e-5
    for df and k from 1 to 1000, and below 1e-10 from df 20 on.

    Args:
        c: numbers from 0 on, in standard errors, of any shape.
        family: how many are compared with each reference.
        df: degrees of freedom of the spread, 1 or more.

    Returns:
        From 0 to 1, in the shape of `c`.
    """
    u, u_weights = _spread_nodes(df)
    z, z_weights = _normal_nodes()
    reach = np.sqrt(2) * np.asarray(c, np.float64)[..., None, None] * u[:, None]
    inside = special.ndtr(reach + z) - special.ndtr(z - reach)  # [..., u, z]
    given_u = 1.0
    for k in family:
        given_u = given_u * (inside**k @ z_weights)  # [..., u]
    return np.clip(given_u @ u_weights, 0.0, 1.0)


@functools.cache
def critical(family: tuple[int, ...], df: int, level: float = 0.95) -> float:
    """The c at which `probability` is the level: half an interval's standard errors."""
    high = 2.0
    while probability(high, family, df) < level:
        high *= 2
    return float(
        optimize.brentq(lambda c: probability(c, family, df) - level, 0.0, high)
    )


@functools.cache
def _normal_nodes() -> tuple[np.ndarray, np.ndarray]:
    """Gauss-Legendre's for half of a normal distribution; the rest is its image."""
    nodes, weights = np.polynomial.legendre.leggauss(_NODES)
    z = _FAR * (nodes + 1) / 2
    return z, _FAR * weights * stats.norm.pdf(z)


@functools.cache
def _spread_nodes(df: int) -> tuple[np.ndarray, np.ndarray]:
    """Gauss-Legendre's for u, the estimated spread over the true one."""
    nodes, weights = np.polynomial.legendre.leggauss(_NODES)
    ends = stats.chi2.ppf(_TAIL, df), stats.chi2.isf(_TAIL, df)
    low, high = (np.sqrt(end / df) ** (1 / _POWER) for end in ends)
    v = low + (high - low) * (nodes + 1) / 2
    u = v**_POWER
    density = np.sqrt(df) * stats.chi.pdf(np.sqrt(df) * u, df)
    return u, (high - low) / 2 * weights * density * _POWER * v ** (_POWER - 1)
