"""Expectations over Gaussian preactivations: E f(z) and E f(u) f(v), for any activation function.

Gauss–Hermite quadrature needs thousands of nodes where a function has a kink at 0 or bends within
a small part of z's range (tanh at a large variance). So the half-lines are cut into panels that
halve towards 0, with Gauss–Legendre nodes in each: nothing is left that a polynomial cannot follow.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import torch

from d2lstab.activations import ACTIVATIONS

Function = Callable[[np.ndarray], np.ndarray]

FARTHEST = 12.0  # standard deviations; what lies beyond has a share of 1e-33
NODES = 16


def function(activation: str) -> Function:
    """Return φ as a function of numpy arrays of float64, any shape."""
    return _on_arrays(ACTIVATIONS[activation].function)


def derivative(activation: str) -> Function:
    """Return φ' as a function of numpy arrays of float64, any shape."""
    return _on_arrays(ACTIVATIONS[activation].derivative)


def _on_arrays(function: Callable) -> Function:
    def evaluate(x: np.ndarray) -> np.ndarray:
        with torch.no_grad():
            return function(torch.from_numpy(np.ascontiguousarray(x))).numpy()

    return evaluate


@lru_cache
def _halving_panels(start: float, length: float, levels: int) -> tuple[np.ndarray, np.ndarray]:
    """Nodes and weights on [start, start + length], with panels that halve towards ``start``."""
    edges = start + length * np.concatenate([[0.0], 2.0 ** np.arange(-levels, 1)])
    x, w = np.polynomial.legendre.leggauss(NODES)
    middle, half = (edges[1:] + edges[:-1]) / 2, np.diff(edges) / 2
    return (middle[:, None] + half[:, None] * x).ravel(), (half[:, None] * w).ravel()


@lru_cache
def normal_nodes() -> tuple[np.ndarray, np.ndarray]:
    """Nodes z and weights of the standard normal distribution, float64, (nodes,) each."""
    z, weight = _halving_panels(0.0, FARTHEST, 36)
    weight = weight * np.exp(-z * z / 2) / np.sqrt(2 * np.pi)
    return np.concatenate([-z[::-1], z]), np.concatenate([weight[::-1], weight])


def expectation(f: Function, variance: np.ndarray | float) -> np.ndarray:
    """Return E f(z), z ~ N(0, variance); float64, the shape of ``variance``.

    f : numpy array → array of the same shape.

    >>> float(expectation(np.square, 3.0).round(12))
    3.0
    """
    z, weight = normal_nodes()
    spread = np.sqrt(np.asarray(variance, float))
    return f(spread[..., None] * z) @ weight


def pair_expectation(f: Function, variance: float, correlation: float) -> float:
    """Return E f(u) f(v); u, v normal with mean 0, one ``variance`` and that ``correlation``.

    In polar coordinates of the plane of u and v the kinks at u = 0 and at v = 0 are rays, so that
    they can be ends of panels; and the integrand is the same on both sides of the bisector.

    >>> round(pair_expectation(np.abs, 1.0, 0.0), 12) == round(2 / np.pi, 12)
    True
    """
    spread, angle = float(np.sqrt(variance)), float(np.arccos(np.clip(correlation, -1, 1)))
    levels = int(np.clip(np.ceil(np.log2(max(spread, 1.0))) + 2, 2, 36))
    r, r_weight = _halving_panels(0.0, FARTHEST, levels + 1)
    r_weight = r_weight * r * np.exp(-r * r / 2) / np.pi
    arcs = ((angle / 2, np.pi / 2), (np.pi / 2, np.pi / 2 + angle))
    arcs += ((np.pi / 2 + angle, np.pi + angle / 2),)
    parts = []
    for low, high in arcs:
        half = (high - low) / 2
        x, w = _halving_panels(0.0, 1.0, levels)
        parts += [(low + half * x, half * w), (high - half * x, half * w)]
    t, t_weight = (np.concatenate(part) for part in zip(*parts, strict=True))
    u = f(spread * np.multiply.outer(np.cos(t), r))
    v = f(spread * np.multiply.outer(np.cos(t - angle), r))
    return float(t_weight @ (u * v) @ r_weight)


ORDERS = 160


@lru_cache
def _weighted_hermite() -> np.ndarray:
    """Normalized Hermite polynomials at the nodes, times their weights, (`ORDERS`, nodes)."""
    z, weight = normal_nodes()
    rows = [np.ones_like(z), z]
    for k in range(1, ORDERS - 1):
        rows.append((z * rows[k] - np.sqrt(k) * rows[k - 1]) / np.sqrt(k + 1))
    return np.stack(rows) * weight


def hermite_squares(f: Function, variance: float) -> np.ndarray:
    """Return a_k², float64, (`ORDERS`,), of which E f(u) f(v) = Σ a_k² c^k at the correlation c.

    a_k is the mean of f(z) times the k-th normalized Hermite polynomial. All a_k², also those left
    out, sum to E f².

    >>> hermite_squares(lambda z: z**2, 1.0)[:4].round(9).tolist()
    [1.0, 0.0, 2.0, 0.0]
    """
    z, _ = normal_nodes()
    return (_weighted_hermite() @ f(np.sqrt(variance) * z)) ** 2


LOG_VARIANCE = np.arange(-42.0, 40.1, 0.25)
"""Where moments are tabulated; beyond, they follow the power law of the last two points."""


@dataclass(frozen=True, eq=False)
class Moments:
    """Tables of one activation function over x = ln q, for curves that must be drawn at once.

    x : ln q, (points,), fine enough for np.interp; its ends lie far out.
    log_square : ln E φ². log_variance : ln of φ's variance. log_square_slope : ln E φ'².
    mean : E φ/√(E φ²). square_rate, variance_rate, slope_rate : d of the logarithms by d x.
    kurtosis : E φ⁴/(E φ²)². centred_kurtosis : the same of φ − E φ. slope_kurtosis : of φ'.
    shared : E φ² φ'²/(E φ² E φ'²). All float64 of the shape of ``x``.
    """

    x: np.ndarray
    log_square: np.ndarray
    log_variance: np.ndarray
    log_square_slope: np.ndarray
    mean: np.ndarray
    square_rate: np.ndarray
    variance_rate: np.ndarray
    slope_rate: np.ndarray
    kurtosis: np.ndarray
    centred_kurtosis: np.ndarray
    slope_kurtosis: np.ndarray
    shared: np.ndarray


@lru_cache
def moments(activation: str) -> Moments:
    """Return the tables of one activation function, a name in `ACTIVATIONS`."""
    z, weight = normal_nodes()
    x = np.exp(LOG_VARIANCE / 2)[:, None] * z
    value, slope = function(activation)(x), derivative(activation)(x)
    mean = value @ weight
    centred = value - mean[:, None]
    square, slope_square = value**2 @ weight, slope**2 @ weight
    variance = centred**2 @ weight
    steep = slope_square > 0  # everywhere, or for hard_step nowhere
    divisor = np.where(steep, slope_square, 1.0)
    fine = np.linspace(LOG_VARIANCE[0], LOG_VARIANCE[-1], 4101)
    far = 1e6

    def logarithm(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        if not steep.all() and values is slope_square:
            return np.full(len(fine) + 2, -np.inf), np.zeros(len(fine) + 2)
        level, rate = _spline(np.log(values))(fine), _spline(np.log(values))(fine, 1)
        rate = np.concatenate([rate[:1], rate, rate[-1:]])
        ends = level[0] - rate[0] * (far + fine[0]), level[-1] + rate[-1] * (far - fine[-1])
        return np.concatenate([ends[:1], level, ends[1:]]), rate

    def ratio(values: np.ndarray) -> np.ndarray:
        level = _spline(values)(fine)
        return np.concatenate([level[:1], level, level[-1:]])

    log_square, square_rate = logarithm(square)
    log_variance, variance_rate = logarithm(variance)
    log_square_slope, slope_rate = logarithm(slope_square)
    return Moments(
        x=np.concatenate([[-far], fine, [far]]),
        log_square=log_square,
        log_variance=log_variance,
        log_square_slope=log_square_slope,
        mean=ratio(mean / np.sqrt(square)),
        square_rate=square_rate,
        variance_rate=variance_rate,
        slope_rate=slope_rate,
        kurtosis=ratio(value**4 @ weight / square**2),
        centred_kurtosis=ratio(centred**4 @ weight / variance**2),
        slope_kurtosis=ratio(np.where(steep, slope**4 @ weight / divisor**2, 1.0)),
        shared=ratio(np.where(steep, (value * slope) ** 2 @ weight / (square * divisor), 1.0)),
    )


def _spline(values: np.ndarray, at: np.ndarray = LOG_VARIANCE, axis: int = 0):
    from scipy.interpolate import CubicSpline  # here: it takes a third of a second to import

    return CubicSpline(at, values, axis=axis)


PAIR_LOG_VARIANCE = np.linspace(-14.0, 26.0, 321)
PAIR_LOG_DISTANCE = np.linspace(-12.0, np.log(2.0), 128)  # ln(1 − c)


@dataclass(frozen=True, eq=False)
class PairMoments:
    """Tables over (`PAIR_LOG_VARIANCE`, `PAIR_LOG_DISTANCE`) for u, v of correlation c.

    distance : ln of (1 − E φ(u)φ(v)/E φ²)/(1 − c), the factor by which a layer pulls two inputs
        apart. slope : E φ'(u)φ'(v)/E φ'². square : E φ(u)²φ(v)²/(E φ²)².
    square_slope : E φ'(u)²φ'(v)²/(E φ'²)². All good to about 1e-3.
    """

    distance: np.ndarray
    slope: np.ndarray
    square: np.ndarray
    square_slope: np.ndarray


@lru_cache
def pair_moments(activation: str) -> PairMoments:
    """Return the tables of one activation function, a name in `ACTIVATIONS`.

    On a circle of radius R in the plane of u and v, f(u) f(v) averages to the autocorrelation of
    f(R cos t) at the shift arccos c: one Fourier transform has it for all c. The mean over R is a
    convolution in ln R.
    """
    step, points = 0.25, 2048
    log_r = np.arange(-8.0, 2.01, step)
    kernel = np.exp(2 * log_r - np.exp(2 * log_r) / 2)
    coarse = PAIR_LOG_VARIANCE[::4]
    log_radius = np.arange(coarse[0] / 2 - 8.0, coarse[-1] / 2 + 2.01, step)
    circle = np.exp(log_radius)[:, None] * np.cos(2 * np.pi * np.arange(points) / points)
    value, slope = function(activation)(circle), derivative(activation)(circle)
    shifts = np.unique(np.geomspace(1, points // 2, 90).astype(int))
    log_distance = np.log(2) + 2 * np.log(np.sin(np.pi * shifts / points))  # of 1 − cos

    def table(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """At no shift, (variances, 1), and at the shifts, (variances, shifts)."""
        power = np.abs(np.fft.rfft(values, axis=1)) ** 2
        shifted = np.fft.irfft(power, points, axis=1)[:, [0, *shifts]] / points
        windows = np.lib.stride_tricks.sliding_window_view(shifted, len(kernel), axis=0)
        mean = windows @ (kernel / kernel.sum())
        return mean[:, :1], mean[:, 1:]

    def on_grid(rows: np.ndarray) -> np.ndarray:
        rows = _spline(rows, log_distance, axis=1)(PAIR_LOG_DISTANCE)
        return _spline(rows, coarse)(PAIR_LOG_VARIANCE)

    (same, other), (same_slope, other_slope) = table(value), table(slope)
    squares, slope_squares = table(value**2)[1], table(slope**2)[1]
    steep = same_slope.all()  # everywhere, or for hard_step nowhere
    divisor = same_slope if steep else np.ones_like(same)
    return PairMoments(
        distance=on_grid(np.log(1 - other / same) - log_distance),
        slope=on_grid(other_slope / divisor),
        square=on_grid(squares / same**2),
        square_slope=on_grid(slope_squares / divisor**2),
    )
