"""How a gradient grows on its way back through many normalized layers, before any training.

In wide layers with independent weights of mean 0 a gradient's squared norm is multiplied, layer by
layer, by one number, and moments of the activation function φ give it. Its root is here called
the growth: above 1 gradients explode, below 1 they vanish.
"""

import math
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from d2lstab import checks
from d2lstab.activations import ACTIVATIONS
from d2lstab.gaussian import Function, derivative, expectation, function
from d2lstab.signal import SignalProfile


@dataclass(frozen=True)
class NormedLayer:
    """A linear map and φ behind a norm: what goes forward and what comes back.

    The map's inputs have the second moment 1, so that z ~ N(0, σ_w²) enters φ.

    activation, weight_std : φ, and σ_w (weights have the variance σ_w²/fan_in).
    variance : Var φ(z). square : E φ(z)². Both of one output.
    backward : σ_w² E φ'(z)², the factor on the gradient's squared norm.
    """

    activation: str
    weight_std: float
    variance: float
    square: float
    backward: float

    @property
    def length_exponent(self) -> float:
        """d ln E(φ(√q z) − E φ(z))²/d ln q at q = 1: whether examples of unlike length stay alike.

        An example whose inputs have the second moment q, where the others' have 1, leaves the
        layer at that squared distance from the batch's mean. Over 1, lengths drift apart from
        layer to layer, and what a theory of equal examples says of batch norm fails.
        """
        f, slope, s = function(self.activation), derivative(self.activation), self.weight_std
        mean = expectation(f, s * s)
        moved = expectation(lambda z: z * slope(z) * (f(z) - mean), s * s)
        return float(moved) / self.variance


@lru_cache
def normed_layer(activation: str, weight_std: float = 1.0) -> NormedLayer:
    """Return the moments of a layer behind a norm, by quadrature.

    activation : a name in `ACTIVATIONS`. weight_std : σ_w > 0; √2 by He, 1 by Xavier.

    Raises TypeError or ValueError for other arguments.

    >>> relu = normed_layer("relu")
    >>> [round(x, 4) for x in (relu.variance, relu.square, relu.backward)]
    [0.3408, 0.5, 0.5]
    """
    checks.choice("activation", activation, ACTIVATIONS)
    variance = checks.real("weight_std", weight_std, above=0) ** 2
    f, slope = function(activation), derivative(activation)
    square = float(expectation(lambda z: f(z) ** 2, variance))
    spread = square - float(expectation(f, variance)) ** 2
    backward = variance * float(expectation(lambda z: slope(z) ** 2, variance))
    return NormedLayer(activation, float(weight_std), spread, square, backward)


def batch_norm_growth(activation: str, batch_size: int | None = None) -> float:
    """Return the growth per layer where batch norm stands before φ, without residual connections.

    activation : a name in `ACTIVATIONS`. batch_size : B ≥ 4; None for B → ∞.

    For B → ∞ it is √(E φ'²/Var φ), z ~ N(0, 1), at least 1 by Poincaré's inequality. For finite B
    a unit's B values are, where all examples are alike in law, a random point of the sphere of
    radius √B in the B − 1 dimensions that the mean leaves. With u, v two of them and
    d(f) = E f(u)² − E f(u)f(v), the square is

        B/(B − 3) · (E φ'² − d(φ')/B − d(zφ')/B) / d(φ).

    (B − 2)/(B − 3) for linear layers. That all φ explode: Yang et al. 2019, arXiv:1902.08129.

    Raises TypeError or ValueError for other arguments; B = 3 would grow without bound.

    >>> round(batch_norm_growth("relu"), 4)  # √(π/(π − 1))
    1.2112
    """
    moments = normed_layer(activation)
    if batch_size is None:
        return math.sqrt(moments.backward / moments.variance)
    size = checks.integer("batch_size", batch_size, 4)
    f, slope = function(activation), derivative(activation)
    u, v, weight = _two_of_a_batch(size)

    def apart(g: Function) -> float:
        return float(((g(u) - g(v)) * g(u) * weight).sum())

    passed = float((slope(u) ** 2 * weight).sum())
    passed -= (apart(slope) + apart(lambda z: z * slope(z))) / size  # into μ and σ of the batch
    return math.sqrt(size / (size - 3) * passed / apart(f))


def layer_norm_growth(activation: str) -> float:
    """Return the growth per layer where layer norm stands before φ: √(E φ'²/E φ²), z ~ N(0, 1).

    It divides by the second moment: over the units of a layer a linear map's outputs have mean 0
    whatever its inputs' mean is. RMS norm is the same. After φ, both would be other.

    >>> round(layer_norm_growth("relu"), 9)
    1.0
    """
    moments = normed_layer(activation)
    return math.sqrt(moments.backward / moments.square)


def post_norm_growth(activation: str, weight_std: float) -> float:
    """Return the growth per block x → norm(x + φ(W x)), norm a layer or batch norm.

    √((1 + backward)/(1 + variance)) of `normed_layer`: on its way back a gradient is the sum of
    two parts, and is divided by the spread of the forward sum.

    >>> round(post_norm_growth("relu", 2**0.5), 4)
    1.0905
    """
    moments = normed_layer(activation, weight_std)
    return math.sqrt((1 + moments.backward) / (1 + moments.variance))


@dataclass(frozen=True, eq=False)
class Stream:
    """A residual stream of blocks x → x + φ(W norm(x)), norm a layer norm.

    With batch norm it holds while all examples are alike; with ReLU they do not stay so.

    variance : of x after each block, around the mean that the norm takes away, float64, (depth,).
    gradient : norm of ∂loss/∂x after each block over that after the last, float64, (depth,).
    exponent : the first of ``gradient`` grows as depth to this power.
    """

    variance: np.ndarray
    gradient: np.ndarray
    exponent: float


def pre_norm_stream(activation: str, weight_std: float, depth: int) -> Stream:
    """Return the variance and the gradient in a stream of ``depth`` ≥ 1 pre-norm blocks.

    The first is φ(W x) alone, as in `NetworkSpec(residual=True, norm_place="pre")`. Block l adds
    its variance v: the sum is l·v. The norm divides by it, so that block l + 1 multiplies the
    gradient's square by 1 + r/l, r = backward/variance of `normed_layer`: a power of depth, not an
    exponential.

    >>> stream = pre_norm_stream("relu", 2**0.5, 200)
    >>> round(float(stream.gradient[0])), round(2 * stream.exponent, 3)
    (43, 1.467)
    """
    moments = normed_layer(activation, weight_std)
    blocks = np.arange(1, checks.integer("depth", depth, 1) + 1)
    rate = moments.backward / moments.variance
    steps = np.log1p(rate / blocks[:-1])[::-1] / 2
    gradient = np.exp(np.append(np.cumsum(steps)[::-1], 0.0))
    return Stream(blocks * moments.variance, gradient, rate / 2)


def measured_growth(profile: SignalProfile, skip: int = 10) -> float:
    """Return the growth per layer of ∂loss/∂a that was measured, a geometric mean.

    profile : of a network from a `NetworkSpec`. skip : how many hidden layers at the input, where
    real inputs are not yet forgotten, are left out; so is the last, next to the loss.

    Raises ValueError when fewer than two layers remain.

    >>> from d2lstab import NetworkSpec, measure
    >>> profile = measure(NetworkSpec(activation="relu", init="he", norm="batch"))
    >>> 1.19 < measured_growth(profile) < 1.23
    True
    """
    last = len(profile) - 3  # behind it the last hidden layer and the output layer
    if checks.integer("skip", skip, 0) >= last:
        raise ValueError(
            f"skip must leave two hidden layers and the last; got {skip} of {len(profile) - 1}."
        )
    norms = profile.activation_gradient_norm
    return float(norms[skip] / norms[last]) ** (1 / (last - skip))


def _two_of_a_batch(size: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Two coordinates u, v of the sphere that `batch_norm_growth` speaks of, and their weights.

    In the plane of the two, at the share sin θ of the longest possible radius, a random point has
    the density (B − 3) cos^(B − 4) θ sin θ dθ. Kinks of φ at 0 are rays, ends of the arcs.
    """
    x, w = np.polynomial.legendre.leggauss(48)
    reach = min(math.pi / 2, 14 / math.sqrt(size))
    theta, theta_weight = reach * (1 + x) / 2, reach * w / 2
    theta_weight = theta_weight * (size - 3) * np.cos(theta) ** (size - 4) * np.sin(theta)
    angle = math.acos(-1 / (size - 1))  # between the axes of u and v
    ends = np.sort([math.pi / 2, 3 * math.pi / 2, math.pi / 2 + angle, 3 * math.pi / 2 + angle])
    ends = np.append(ends, ends[0] + 2 * math.pi)
    half = np.diff(ends)[:, None] / 2
    t = (ends[:-1, None] + half * (1 + x)).ravel()
    weight = np.multiply.outer(theta_weight, (half * w).ravel() / (2 * math.pi))
    radius = math.sqrt(size - 1) * np.sin(theta)
    u, v = (np.multiply.outer(radius, np.cos(t - turn)) for turn in (0.0, angle))
    return u, v, weight
