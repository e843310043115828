"""Carry the statistics of a batch through a random network: forward, and the gradient back.

The maps of `meanfield` for real networks: each layer's own fan_in, inputs of unlike size and
correlation, dropout, residual connections, layer and batch normalization.
"""

import math
from dataclasses import dataclass
from functools import cached_property, lru_cache

import numpy as np
from torch import Tensor

from d2lstab.gaussian import PAIR_LOG_DISTANCE, PAIR_LOG_VARIANCE, moments, pair_moments
from d2lstab.initialization import INITIALIZATIONS
from d2lstab.networks import N_CLASSES, NetworkSpec

EPS = 1e-5  # of nn.BatchNorm1d and nn.LayerNorm
PER_EXAMPLE = ("layer", "rms")  # the mean over units is near 0: both divide by the root mean square
GROUPS, BINS = 8, 24  # examples by second moment, pairs of examples by correlation


@dataclass(frozen=True, eq=False)
class Batch:
    """What theory needs to know of a batch of inputs.

    size, features : examples and features.
    square : mean over features of x², for groups of examples of like size, (groups,).
    products : mean over features of x x', for bins of pairs of examples of like correlation,
        (bins,). sizes : √(square · square') of the same pairs.
    weights : share of the pairs of other labels, and of the same label, (2, bins); sums to 1.
    """

    size: int
    features: int
    square: np.ndarray
    products: np.ndarray
    sizes: np.ndarray
    weights: np.ndarray


def summarize(inputs: Tensor, labels: Tensor | None = None) -> Batch:
    """Return the summary of inputs (examples, features) and labels (examples,).

    Without labels they are taken as independent of the inputs, with ten equally likely classes.
    """
    x = inputs.detach().double().cpu().numpy()
    size, features = x.shape
    gram = x @ x.T / features
    square = np.diag(gram)
    parts = np.array_split(np.sort(square), min(GROUPS, size))
    # groups of equal weight; an odd example more or less in one of them moves nothing
    groups = np.array([part.mean() for part in parts])
    groups *= square.mean() / groups.mean() if groups.any() else 1.0
    upper = np.triu_indices(size, 1)
    products, sizes = gram[upper], np.sqrt(np.outer(square, square)[upper])
    if size == 1:  # no pairs: one bin of no weight
        return Batch(1, features, groups, square, square, np.zeros((2, 1)))
    same = np.full(len(products), 1 / N_CLASSES)
    if labels is not None:
        label = labels.cpu().numpy()
        same = (label[:, None] == label)[upper].astype(float)
    order = np.argsort(products / np.where(sizes > 0, sizes, 1.0))
    bins = np.array_split(order, min(BINS, len(order)))
    weights = np.array([[(1 - same[i]).sum(), same[i].sum()] for i in bins]).T / len(order)
    return Batch(
        size,
        features,
        groups,
        np.array([products[i].mean() for i in bins]),
        np.array([sizes[i].mean() for i in bins]),
        weights,
    )


@lru_cache(maxsize=1)
def _softmax_tables() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Grids of ln v and c, and E Σ p_k(u) p_k(u') of ten classes, shape (ln v, c).

    u, u' : logits N(0, v), independent over classes, of correlation c. By 2048 fixed draws.
    """
    log_v, c = np.linspace(-8, 12, 41), np.linspace(0, 1, 6)
    common, own, other = np.random.default_rng(0).standard_normal((3, 2048, N_CLASSES))
    shared = np.empty((len(log_v), len(c)))
    for i, v in enumerate(np.exp(log_v)):
        for j, x in enumerate(c):
            u, w = (math.sqrt(v) * (math.sqrt(x) * common + math.sqrt(1 - x) * y)
                    for y in (own, other))  # fmt: skip
            shared[i, j] = (_softmax(u) * _softmax(w)).sum(1).mean()
    return log_v, c, shared


def _softmax(logits: np.ndarray) -> np.ndarray:
    p = np.exp(logits - logits.max(1, keepdims=True))
    return p / p.sum(1, keepdims=True)


def overlap(variance: float, correlation: np.ndarray) -> np.ndarray:
    """E Σ p_k(u) p_k(u') at one variance of the logits, the shape of ``correlation``."""
    log_v, c, shared = _softmax_tables()
    return np.interp(correlation, c, _row(shared, log_v, np.log(variance)))


def _row(table: np.ndarray, grid: np.ndarray, at: float) -> np.ndarray:
    """The row of ``table``, (grid, columns), at a place on its even ``grid``: (columns,)."""
    place = (at - grid[0]) / (grid[1] - grid[0])
    place = min(max(0.0, float(place)), len(grid) - 1.001)  # in this order 0 for NaN
    low = int(place)
    return table[low] + (place - low) * (table[low + 1] - table[low])


class Propagation:
    """The forward and the backward pass of the statistics.

    Layers count from 0; L = depth hidden layers and the output layer. G groups of examples stand
    for single inputs, K bins for pairs of inputs.

    factor : fan_in · variance of a weight, (L + 1,).
    square : second moment of what enters layer l, per unit, after dropout, (L + 1, G).
    apart : square minus the product of two inputs, per unit, (L + 1, K).
    log_variance : ln of the preactivations' variance as the activation sees it, (L, G).
    """

    def __init__(self, spec: NetworkSpec, batch: Batch):
        self.spec, self.batch = spec, batch
        self.moments, self.pairs = moments(spec.activation), pair_moments(spec.activation)
        std, n = INITIALIZATIONS[spec.init].standard_deviation, spec.width
        ins = np.full(spec.depth + 1, float(n))
        ins[0] = batch.features
        self.fan_in = ins
        unit = np.full(spec.depth + 1, std(n, n))
        unit[0], unit[-1] = std(batch.features, n), std(n, N_CLASSES)
        self.factor = ins * (unit * spec.gain) ** 2
        if spec.max_norm is not None:  # in a wide layer every row is about as long
            self.factor[:-1] = np.minimum(self.factor[:-1], spec.max_norm**2)
        self.keep = 1 / (1 - spec.dropout)
        self.bias = spec.bias_std * spec.bias_std
        weights = batch.weights.sum(0)
        self.off_diagonal = weights / max(weights.sum(), 1e-300)
        self.share = weights * (1 - 1 / batch.size)  # among all ordered pairs, equal ones included
        self._forward()
        self._backward()

    def _forward(self) -> None:
        spec, batch = self.spec, self.batch
        depth, groups, bins = spec.depth, len(batch.square), len(batch.products)
        self.square = np.empty((depth + 1, groups))
        self.apart = np.empty((depth + 1, bins))
        self.log_variance = np.empty((depth, groups))
        self.log_typical = np.empty(depth)
        self.log_distance = np.empty((depth, bins))
        self.stretch = np.ones(depth)  # what the norm divides the squared preactivations by
        self.mean = np.zeros((depth + 1, groups))
        self.correlation = np.empty(depth + 1)
        square, apart = batch.square, batch.square.mean() - batch.products
        mean = np.zeros(groups)
        m, each = self.moments, np.full(groups, 1 / groups)
        centres = spec.residual or spec.norm == "batch"  # then means of φ are needed, too
        for layer in range(depth):
            self.square[layer], self.apart[layer], self.mean[layer] = square, apart, mean
            log_q, distance = self._pre_activations(layer)
            typical = np.log(np.exp(log_q) @ each)
            log_s = np.log(distance)
            self.log_variance[layer], self.log_typical[layer] = log_q, typical
            self.log_distance[layer] = log_s
            after = np.exp(np.interp(log_q, m.x, m.log_square))
            middle = np.interp(log_q, m.x, m.mean) * np.sqrt(after) if centres else mean
            v, after = after @ each, after * self.keep
            row = _row(self.pairs.distance, PAIR_LOG_VARIANCE, typical)
            pull = np.interp(log_s, PAIR_LOG_DISTANCE, row)
            moved = v * (self.keep - 1 + np.exp(pull) * distance)
            if spec.residual and layer > 0:
                square = square + 2 * mean * middle + after
                apart, mean = apart + moved, mean + middle
            else:
                square, apart, mean = after, moved, middle
        self.square[depth], self.apart[depth], self.mean[depth] = square, apart, mean
        log_v, distance = self._pre_activations(depth)
        self.logit_variance, self.logit_correlation = np.exp(log_v).mean(), 1 - distance

    def _pre_activations(self, layer: int) -> tuple[np.ndarray, np.ndarray]:
        """ln variance (G,) and 1 − correlation (K,) of what the activation function is given."""
        square, apart, factor = self.square[layer], self.apart[layer], self.factor[layer]
        q = factor * square + self.bias
        mean_q = np.add.reduce(q) / len(q)
        distance = apart * (factor / mean_q)
        if layer == 0:  # where examples differ in size
            sizes, products = self.batch.sizes, self.batch.products
            distance = factor * (sizes - products) / (factor * sizes + self.bias)
        self.correlation[layer] = 1 - self.off_diagonal @ distance
        if layer == self.spec.depth:
            return np.log(q), distance
        if self.spec.norm in PER_EXAMPLE:
            self.stretch[layer] = mean_q + EPS
            q = q / (q + EPS)
        if self.spec.norm == "batch":  # the mean over examples goes, and the bias with it
            spread = self.share @ apart
            self.stretch[layer] = factor * spread + EPS
            size = np.ones(len(q))
            if layer == 0 or self.spec.residual:  # else the examples soon have one size
                middle = self.mean[layer].mean()
                size = square - square.mean() + spread - 2 * middle * (self.mean[layer] - middle)
                size = np.maximum(size, 1e-3 * spread)
            q = factor * spread / self.stretch[layer] * size / size.mean()
            distance = np.maximum(apart / spread, 1e-12)
        return np.log(q), distance

    def at(self, name: str) -> np.ndarray:
        """A pair table, by name, at every layer's ln variance and bin, (L, K)."""
        table = getattr(self.pairs, name).ravel()
        corner, dx, dy = self._places
        next_row = len(PAIR_LOG_DISTANCE)
        low, high = table[corner], table[corner + next_row]
        low = low + dy * (table[corner + 1] - low)
        high = high + dy * (table[corner + next_row + 1] - high)
        return low + dx * (high - low)

    @cached_property
    def _places(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Where `at` looks: the corner below in the raveled table, and the way to the next."""
        x, y = (
            np.nan_to_num(np.clip((value - grid[0]) / (grid[1] - grid[0]), 0, len(grid) - 1.001))
            for value, grid in (
                (self.log_typical[:, None], PAIR_LOG_VARIANCE),
                (self.log_distance, PAIR_LOG_DISTANCE),
            )
        )
        i, j = x.astype(int), y.astype(int)
        return i * len(PAIR_LOG_DISTANCE) + j, x - i, y - j

    def _backward(self) -> None:
        """Per layer, ln of a gradient's squared norm, (G,), and pairs' products over it, (2, K).

        log_into : of ∂loss/∂(what enters layer l); log_linear : of ∂loss/∂(what its linear map
        puts out); the loss not yet divided by the examples.
        """
        spec, m, depth = self.spec, self.moments, self.spec.depth
        log_slope = np.interp(self.log_variance, m.x, m.log_square_slope)
        alike = self.at("slope")
        weights = self.batch.weights * (1 - 1 / self.batch.size)
        shape = (depth + 1, self.log_variance.shape[1])
        self.log_into, self.log_linear = np.empty(shape), np.empty(shape)
        self.into_ratio = np.empty((depth + 1, *weights.shape))
        self.linear_ratio = np.empty((depth + 1, *weights.shape))
        v = self.logit_variance
        first = float(overlap(v, np.ones(1))[0]) + 1 - 2 / N_CLASSES
        other = overlap(v, self.logit_correlation) - 2 / N_CLASSES
        ratio = np.stack([other, other + 1]) / first
        log_g = np.full(shape[1], math.log(first))
        self.log_linear[depth], self.linear_ratio[depth] = log_g, ratio
        log_g = log_g + np.log(self.factor[depth])
        self.log_into[depth], self.into_ratio[depth] = log_g, ratio
        log_scale = np.log(self.keep / self.stretch)
        self.branch = np.ones(depth)  # share of the layer's own path in the squared gradient
        for layer in range(depth - 1, -1, -1):
            log_h = log_g + log_slope[layer] + log_scale[layer]
            ratio_h = ratio * alike[layer] / self.keep
            if spec.norm == "batch":
                c = 1 - np.exp(self.log_distance[layer])
                mean = 1 / self.batch.size + (weights * ratio_h).sum()
                along = 1 / self.batch.size + (weights * ratio_h * c).sum()
                left = max(1 - mean - along, 0)
                # each unit divides by its own spread over the batch: E 1/σ² > 1/E σ²
                log_h = log_h + np.log1p(2 * self.over_pairs(1.0, c * c))
                log_h = log_h + np.log(left)
                ratio_h = (ratio_h - mean - along * c) / left
            self.log_linear[layer], self.linear_ratio[layer] = log_h, ratio_h
            log_branch = log_h + np.log(self.factor[layer])
            if spec.residual and layer > 0:
                part = 1 / (1 + np.exp(log_g - log_branch).mean())  # of the branch
                self.branch[layer] = part
                log_g, ratio = np.logaddexp(log_g, log_branch), ratio + part * (ratio_h - ratio)
            else:
                log_g, ratio = log_branch, ratio_h
            self.log_into[layer], self.into_ratio[layer] = log_g, ratio

    def over_pairs(self, diagonal, pairs):
        """The mean over all ordered pairs of examples, (L,): equal ones (L,), others (L, K)."""
        return diagonal / self.batch.size + pairs @ self.share

    def map_slope(self) -> np.ndarray:
        """∂c_{l+1}/∂c_l of two inputs at every hidden layer and bin, (L, K)."""
        m, x = self.moments, self.log_typical
        linear = np.exp(x + np.interp(x, m.x, m.log_square_slope))
        return (linear / (self.square[1:].mean(1)))[:, None] * self.at("slope")
