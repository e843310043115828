"""Mean-field theory: what an infinitely wide random network does to variance and correlation.

Of a wide layer z = W h + b with W_ij ~ N(0, σ_w²/n) and b_i ~ N(0, σ_b²) only two numbers matter:
the variance q of a preactivation, and the correlation c of the preactivations of two inputs.
Both follow maps from layer to layer (Poole et al. 2016, arXiv:1606.05340); the maps' slopes say
how deep a signal and a gradient can travel (Schoenholz et al. 2017, arXiv:1611.01232).
"""

import math
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from d2lstab import checks
from d2lstab.activations import ACTIVATIONS
from d2lstab.gaussian import (
    ORDERS,
    derivative,
    expectation,
    function,
    hermite_squares,
    normal_nodes,
    pair_expectation,
)

CRITICAL = 1e-6
"""χ₁ within this distance of 1 counts as critical."""

_TINY, _HUGE = 1e-30, 1e26  # variances that stand for the limits 0 and ∞
_GRID = np.linspace(math.log(1e-18), math.log(_HUGE), 231)  # log variance, 2.3 points per factor e


@dataclass(frozen=True)
class Phase:
    """Where a plain, infinitely wide network of random weights stands.

    activation, weight_std, bias_std : φ, σ_w (weights have variance σ_w²/fan_in) and σ_b.
    variance : q*, where the variance of the preactivations settles, starting from inputs of second
        moment 1; 0 where it dies and inf where it diverges.
    correlation : c*, where the correlation of two different inputs settles.
    chi : χ₁ = σ_w² E[φ'(√q* z)²], the factor of a gradient's squared norm per layer. φ' is what
        backpropagation uses: hard_step has χ₁ = 0, although it does pull inputs apart (c* < 1).
    variance_depth, correlation_depth : ξ_q and ξ_c, the layers in which the distance to q* and
        to c* falls by the factor e; inf where it falls slower than that, by a power of depth.
        Where q* is 0 or inf, c never gets there (the net is one of ever smaller or larger
        signals), and ξ_c = 1/|ln χ₁| is the scale of the gradient.
    kind : "ordered" (χ₁ < 1), "critical" or "chaotic" (χ₁ > 1).
    """

    activation: str
    weight_std: float
    bias_std: float
    variance: float
    correlation: float
    chi: float
    variance_depth: float
    correlation_depth: float
    kind: str


def variance_map(activation: str, variance, weight_std: float, bias_std: float = 0.0):
    """Return the next layer's variance, σ_w² E[φ(√q z)²] + σ_b².

    activation : a name in `ACTIVATIONS`. variance : q ≥ 0, a number or an array.
    Returns a float, or float64 of the shape of ``variance``. Raises TypeError or ValueError.

    >>> round(variance_map("relu", 3.0, 2**0.5), 12)
    3.0
    """
    _check(activation, weight_std, bias_std)
    q = _array("variance", variance, 0, math.inf)
    with np.errstate(over="ignore"):
        next_variance = weight_std * _second_moment(activation, q) * weight_std
        return _like(variance, next_variance + bias_std * bias_std)


def correlation_map(
    activation: str, correlation, variance: float, weight_std: float, bias_std: float = 0.0
):
    """Return the next layer's correlation of two inputs that share the variance q.

    (σ_w² E[φ(u) φ(v)] + σ_b²) / (σ_w² E[φ(u)²] + σ_b²), with u, v normal, of variance q and
    correlation c (Poole et al. 2016; at q* the divisor is q*).

    correlation : c, −1 ≤ c ≤ 1, a number or an array. variance : q ≥ 0, a number.
    Returns a float, or float64 of the shape of ``correlation``; NaN where the next variance is 0.
    Raises TypeError or ValueError.

    >>> correlation_map("relu", 0.0, 1.0, 2**0.5)  # 1/π
    0.318309886...
    """
    _check(activation, weight_std, bias_std)
    q = checks.real("variance", variance, 0)
    c = _array("correlation", correlation, -1, 1)
    shared = np.reshape([_pair_moment(activation, q, x) for x in c.ravel()], c.shape)
    largest = max(weight_std, bias_std) or 1.0  # so that no square overflows
    weight, bias = (weight_std / largest) ** 2, (bias_std / largest) ** 2
    total = weight * _second_moment(activation, np.array(q)) + bias
    with np.errstate(invalid="ignore", divide="ignore"):
        return _like(correlation, (weight * shared + bias) / total)


@lru_cache(maxsize=4096)
def phase(activation: str, weight_std: float, bias_std: float = 0.0) -> Phase:
    """Return the phase of a plain, infinitely wide network.

    activation : a name in `ACTIVATIONS`. weight_std, bias_std : σ_w, σ_b ≥ 0.
    The depth scales are those of Schoenholz et al. 2017: 1/ξ_q = −ln ∂q'/∂q and
    1/ξ_c = −ln σ_w² E[φ'(u) φ'(v)], at q* and c*. Raises TypeError or ValueError.

    >>> phase("tanh", 1.5, 0.2).kind, phase("tanh", 1.0, 0.2).kind
    ('chaotic', 'ordered')
    """
    _check(activation, weight_std, bias_std)
    weight_std, bias_std = float(weight_std), float(bias_std)
    q = fixed_variance(activation, weight_std, bias_std)
    at = min(max(q, _TINY), _HUGE)
    chi = weight_std * _square_slope(activation, at) * weight_std
    kind = "critical" if abs(chi - 1) <= CRITICAL else "ordered" if chi < 1 else "chaotic"
    c, slope = 1.0, chi
    if 0 < q < _HUGE and weight_std > 0 and (kind == "chaotic" or activation == "hard_step"):
        c, slope = _fixed_correlation(activation, q, weight_std, bias_std)
    growth = weight_std * _moment_slope(activation, at) * weight_std
    depths = _depth(growth), _depth(slope)
    return Phase(activation, weight_std, bias_std, q, c, chi, *depths, kind)


@lru_cache(maxsize=4096)
def edge_of_chaos(activation: str, bias_std: float = 0.0) -> float:
    """Return σ_w at which χ₁ reaches 1: the smallest, between 0.01 and 1000.

    NaN where there is none: hard_step, whose derivative is 0 everywhere.
    Where q* jumps (GELU, SiLU), χ₁ jumps over 1 and the σ_w of the jump is returned.
    Raises TypeError or ValueError.

    >>> round(edge_of_chaos("tanh", 0.05**0.5) ** 2, 3), round(edge_of_chaos("relu") ** 2, 6)
    (1.761, 2.0)
    """
    _check(activation, 0.0, bias_std)

    def excess(log_weight_std: float) -> float:
        weight_std = math.exp(log_weight_std)
        q = fixed_variance(activation, weight_std, bias_std)
        return weight_std**2 * _square_slope(activation, min(max(q, _TINY), _HUGE)) - 1

    steps = np.linspace(math.log(1e-2), math.log(1e3), 47)
    for low, high in zip(steps[:-1], steps[1:], strict=True):
        if excess(high) >= 0:
            return math.exp(_root(excess, low, high))
    return math.nan


def fixed_variance(activation: str, weight_std: float, bias_std: float = 0.0) -> float:
    """Return q*, where `variance_map` leads from inputs of second moment 1; 0 and inf included."""
    start = weight_std * weight_std + bias_std * bias_std
    if start == 0 or weight_std == 0:
        return start

    def growth(log_variance: float) -> float:
        q = math.exp(log_variance)
        return math.log(variance_map(activation, q, weight_std, bias_std)) - log_variance

    x = min(max(math.log(start), _GRID[0]), _GRID[-1]) if start < math.inf else _GRID[-1]
    first = growth(x)
    if abs(first) < 1e-13:  # every variance is fixed: ReLU with σ_w² = 2
        return start
    if math.isinf(first):
        return math.inf
    table = weight_std * _moments_on_grid(activation) * weight_std + bias_std * bias_std
    ahead = x < _GRID if first > 0 else x > _GRID
    grid, on_grid = _GRID[ahead], (np.log(table) - _GRID)[ahead]
    if first < 0:
        grid, on_grid = grid[::-1], on_grid[::-1]
    turned = np.flatnonzero(on_grid * first <= 0)
    if len(turned) == 0:
        return math.inf if first > 0 else 0.0
    end = turned[0]
    root = _root(growth, x if end == 0 else grid[end - 1], grid[end])
    return math.exp(root) if root > math.log(1e-12) or bias_std > 0 else 0.0


def _fixed_correlation(
    activation: str, variance: float, weight_std: float, bias_std: float
) -> tuple[float, float]:
    """c* < 1 and the slope of the correlation map there, where c = 1 does not attract."""

    def growth(c: float) -> float:
        return correlation_map(activation, c, variance, weight_std, bias_std) - c

    def slope(c: float) -> float:
        if activation == "hard_step":  # φ' is a delta function, or 0 to backpropagation
            return weight_std**2 / (2 * math.pi * variance * math.sqrt(1 - c * c))
        return weight_std**2 * pair_expectation(derivative(activation), variance, c)

    low, high = 0.0, 1 - 1e-7
    at_one = weight_std**2 * _square_slope(activation, variance)
    if activation != "hard_step" and at_one <= 1:
        return 1.0, at_one
    series = _fixed_in_series(activation, variance, weight_std, bias_std)
    if series is not None:
        return series
    while growth(low) < 0 and low > -1:  # only where E φ < 0 or the like: not in this course
        low -= 0.25
    c = _root(growth, low, high)
    return c, slope(c)


def _fixed_in_series(
    activation: str, variance: float, weight_std: float, bias_std: float
) -> tuple[float, float] | None:
    """The same by Hermite series, ten times as fast; None where it would need too many terms."""
    phi = function(activation)
    terms = hermite_squares(phi, variance)
    left_out = float(expectation(lambda x: phi(x) ** 2, variance)) - terms.sum()
    k, factor = np.arange(ORDERS), weight_std**2 / variance
    rising, c = k[1:] * terms[1:], 0.0
    for _ in range(50):  # Newton's steps from below; the map is convex, so that none goes too far
        steep = factor * (rising @ c ** k[:-1])
        if steep >= 1:
            return None
        step = (factor * (terms @ c**k) + bias_std**2 / variance - c) / (1 - steep)
        c += step
        if abs(step) < 1e-12:
            break
    if factor * ORDERS * abs(left_out) * c ** (ORDERS - 1) > 1e-9 * (1 - steep):
        return None
    return c, steep


def _depth(slope: float) -> float:
    """Layers in which a distance falls (or grows) by e, where each multiplies it by ``slope``."""
    if slope <= 0:
        return 0.0
    rate = abs(math.log(slope))
    return 1 / rate if rate > CRITICAL else math.inf


def _second_moment(activation: str, variance: np.ndarray) -> np.ndarray:
    f = function(activation)
    return expectation(lambda x: f(x) ** 2, variance)


def _square_slope(activation: str, variance: float) -> float:
    f = derivative(activation)
    return float(expectation(lambda x: f(x) ** 2, variance))


def _moment_slope(activation: str, variance: float) -> float:
    """d E[φ²]/dq = E[φ φ' z]/√q, which needs no second derivative of φ."""
    z, weight = normal_nodes()
    x = math.sqrt(variance) * z
    product = function(activation)(x) * derivative(activation)(x) * z
    return float(product @ weight) / math.sqrt(variance)


@lru_cache(maxsize=4096)
def _pair_moment(activation: str, variance: float, correlation: float) -> float:
    return pair_expectation(function(activation), variance, correlation)


@lru_cache
def _moments_on_grid(activation: str) -> np.ndarray:
    return _second_moment(activation, np.exp(_GRID))


def _root(f, low: float, high: float) -> float:
    from scipy.optimize import brentq  # here: it takes a third of a second to import

    at_low, at_high = f(low), f(high)
    if at_low * at_high >= 0:  # one end is the root, within rounding
        return low if abs(at_low) <= abs(at_high) else high
    return brentq(f, low, high, xtol=1e-14, rtol=1e-14)


def _check(activation: str, weight_std: float, bias_std: float) -> None:
    checks.choice("activation", activation, ACTIVATIONS)
    checks.real("weight_std", weight_std, 0)
    checks.real("bias_std", bias_std, 0)


def _array(name: str, value, low: float, high: float) -> np.ndarray:
    array = np.asarray(value, float)
    if not ((array >= low) & (array <= high) & np.isfinite(array)).all():
        raise ValueError(f"{name} must be finite, from {low:g} to {high:g}; got {value!r}.")
    return array


def _like(value, result):
    return float(result) if np.ndim(value) == 0 else np.asarray(result)
