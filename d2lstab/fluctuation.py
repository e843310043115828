"""How far a network of finite width strays from mean-field theory, from seed to seed.

Each layer draws n units, so that the mean of φ² over them is off by a random factor of relative
variance (E φ⁴/(E φ²)² − 1)/n, and likewise on the way back. The logarithms of these factors add
up over layers (Hanin & Nica 2020, arXiv:1812.05994: 5/n per layer for ReLU). Here they are carried
through the slopes of the maps, and averaged over a batch whose examples share the weights.
"""

from dataclasses import dataclass

import numpy as np

from d2lstab.networks import N_CLASSES
from d2lstab.propagation import PER_EXAMPLE, Propagation, overlap

OWN_ERROR = 0.01
"""What the curves themselves are good to, as a share: examples and pairs stand in few groups. A
band that is narrower (orthogonal weights would have one) would promise too much."""

Z95 = 1.6448536269514722  # 95 % of a normal distribution lie below mean + Z95 standard deviations


@dataclass(frozen=True, eq=False)
class Fluctuation:
    """Of the logarithm of a squared norm, over seeds: its median's shift and its variance, (L,)."""

    shift: np.ndarray
    variance: np.ndarray

    def typical(self, mean_field: np.ndarray) -> np.ndarray:
        """Return the median norm, where theory at infinite width gives ``mean_field``."""
        return mean_field * np.exp(np.nan_to_num(self.shift) / 2)  # NaN where a variance overflows

    def band(self, mean_field: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return the 5 % and the 95 % quantile of the norm."""
        variance = np.nan_to_num(self.variance) / 4 + OWN_ERROR**2  # of the norm's logarithm
        middle, reach = self.typical(mean_field), np.exp(Z95 * np.sqrt(variance))
        return middle / reach, middle * reach


def fluctuations(signal: Propagation) -> dict[str, Fluctuation]:
    """Return the fluctuations of the three norms of `MeanField.band`, by name."""
    noise = _Noise(signal)
    shift, variance = _forward(noise)
    single, merged = (_backward(noise, loss, variance) for loss in _losses(noise, float(shift[-1])))
    return {
        "activation_std": _spread(noise, shift, variance),
        "activation_gradient_norm": _activation_gradient(noise, shift, variance, single),
        "weight_gradient_norm": _weight_gradient(noise, shift, variance, merged),
    }


class _Noise:
    """Per hidden layer l, (L,): what is drawn there and how later layers respond to it.

    carry : ∂ ln q_{l+1}/∂ ln q_l. into : what a relative error of the layer's own mean of φ² is
    in ln q_{l+1}. back : ∂ ln of the gradient's factor/∂ ln q_l.
    square, slope, both : relative variance of the mean of φ², of the factor of a gradient's
    squared norm, and their covariance; averages over pairs of examples, which share the weights.
    """

    def __init__(self, signal: Propagation):
        self.signal, spec, m = signal, signal.spec, signal.moments
        n, x = spec.width, signal.log_typical
        rate, back = (np.interp(x, m.x, y) for y in (m.square_rate, m.slope_rate))
        self.spread_rate = np.interp(x, m.x, m.variance_rate)
        squares = signal.factor * signal.square.mean(1) + signal.bias
        self.weight_share = signal.factor * signal.square.mean(1) / squares
        c2, rho2 = self._squared_cosines()
        self.alike, self.rho = signal.over_pairs(1.0, c2), signal.over_pairs(1.0, rho2)
        # what fixes the sum of squares of the preactivations takes its part of the noise away
        sphere = self.weight_share[:-1] ** 2 * (spec.init == "orthogonal")
        sphere = 2 * self.alike * (1.0 if spec.norm in PER_EXAMPLE else sphere)
        kurtosis, slope_kurtosis, shared, centred = (
            np.interp(x, m.x, y)
            for y in (m.kurtosis, m.slope_kurtosis, m.shared, m.centred_kurtosis)
        )
        c = 1 - np.exp(signal.log_distance)
        more = np.clip((c2 - c * c) / np.maximum(1 - c * c, 1e-12), 0, 1)
        square, slope = signal.at("square"), signal.at("square_slope")
        square = square + more * (kurtosis[:, None] - square)
        slope = slope + more * (slope_kurtosis[:, None] - slope)
        square = signal.over_pairs(kurtosis - 1, square - 1)
        slope = signal.over_pairs(3 * slope_kurtosis - 1, (1 + 2 * rho2) * slope - 1)
        if spec.init == "orthogonal":
            slope = slope - 2 * self.rho
        self.square = np.maximum(square - sphere * rate**2, 0) / n
        self.slope = np.maximum(slope - sphere * back**2, 0) / n
        self.both = ((shared - 1) * self.alike - sphere * rate * back) / n
        self.centred = np.maximum((centred - 1) * self.alike - sphere * self.spread_rate**2, 0) / n
        ahead, behind = (np.interp(x + step, m.x, m.square_rate) for step in (0.05, -0.05))
        self.carry_bend = (ahead - behind) / 0.1 + rate * rate * (1 - self.weight_share[1:])
        ahead, behind = (np.interp(x + step, m.x, m.slope_rate) for step in (0.05, -0.05))
        self.back_bend = (ahead - behind) / 0.1
        self._respond(rate, back)

    def _squared_cosines(self) -> tuple[np.ndarray, np.ndarray]:
        """Mean square of the correlation c, and of the cosine ρ of gradients above φ', (L, K).

        Two inputs of theoretical c = 0 have c² of about 1/n after a layer, l/n after l layers:
        what makes all inputs of a narrow deep network look alike.
        """
        signal, n = self.signal, self.signal.spec.width
        labels = signal.batch.weights
        c = 1 - np.exp(signal.log_distance)
        slope = np.clip(signal.map_slope(), -1, 1)
        labels = labels / np.maximum(labels.sum(0), 1e-300)
        rho2 = (signal.into_ratio[1:] ** 2 * labels).sum(1)
        kept = np.clip(signal.at("slope"), -1, 1) ** 2
        # what chance adds, e' = slope² e + (1 − c² − e)/n, written as e' = kept e + added
        added, passed = (1 - c * c) / n, slope**2 - 1 / n
        excess_c = np.zeros((len(c) + 1, c.shape[1]))
        for layer in range(len(c)):
            excess_c[layer + 1] = passed[layer] * excess_c[layer] + added[layer]
        spread = np.maximum(signal.at("square_slope"), 0) / n
        added, passed = spread * (1 - rho2), kept - spread
        excess_rho = np.zeros_like(c)
        for layer in range(len(c) - 2, -1, -1):
            excess_rho[layer] = passed[layer + 1] * excess_rho[layer + 1] + added[layer + 1]
        room = 1 - np.vstack([c, signal.logit_correlation]) ** 2
        excess_c = np.clip(excess_c, 0, np.maximum(room, 0))
        excess_rho = np.clip(excess_rho, 0, np.maximum(1 - rho2, 0))
        self.excess, self.slope_to_output = excess_c, slope * signal.at("slope")
        return c * c + excess_c[:-1], rho2 + excess_rho

    def _respond(self, rate: np.ndarray, back: np.ndarray) -> None:
        signal, spec = self.signal, self.signal.spec
        share, n = self.weight_share, spec.width
        if spec.norm:
            rate, back, self.spread_rate = 0 * rate, 0 * back, 0 * self.spread_rate
            self.carry_bend, self.back_bend = rate, rate
        self.carry, self.into, self.back = rate * share[1:], share[1:].copy(), back
        if spec.residual:
            squares = signal.square.mean(1)
            branch = (squares[1:] - squares[:-1]) / squares[1:]
            value = np.exp(
                np.interp(signal.log_typical, signal.moments.x, signal.moments.log_square)
            )
            own = value * signal.keep / squares[1:]
            stays = squares[:-1] / squares[1:] / np.maximum(share[:-1], 1e-300)
            carry = share[1:] * (stays + own * rate + (branch - own) / 2 * (rate > 0))
            added = own**2 * self.square + 4 * own * (1 - branch) * self.alike / n
            part = signal.branch
            self.carry[1:], self.square[1:], self.both[1:] = carry[1:], added[1:], 0.0
            self.back = self.back * part
            self.slope = self.slope * part**2 + 4 * part * (1 - part) * self.rho / n
        if spec.norm in PER_EXAMPLE:  # divides by the root mean square drawn, not by its mean
            self.back = self.back - self.signal.branch
            self.slope = self.slope + 2 * self.alike / n * self.signal.branch**2


def _gamma(variance: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """E ln and Var ln of a gamma variable of mean 1 and that variance, as sums of squares are."""
    from scipy.special import digamma, zeta

    shape = 1 / np.clip(variance, 1e-12, 1e6)
    return digamma(shape) - np.log(shape), zeta(2, shape)  # the trigamma function


def _forward(noise: _Noise) -> tuple[np.ndarray, np.ndarray]:
    """Mean and variance of ln q_l, (L + 1,): the first layer's are 0, its inputs are given."""
    mean, variance = _gamma(noise.square)
    shifts, variances = [0.0], [0.0]
    rows = zip(
        noise.carry.tolist(), noise.into.tolist(), mean.tolist(), variance.tolist(), strict=True
    )
    for carry, into, drift, drawn in rows:
        shifts.append(carry * shifts[-1] + into * drift)
        variances.append(carry * carry * variances[-1] + into * into * drawn)
    return np.array(shifts), np.array(variances)


@dataclass(frozen=True)
class _Loss:
    """Of the logarithm of |∂loss/∂logits|², summed over examples or over merged examples.

    slope : in ln v, v the logits' variance, at its typical value. variance : of what the logits'
    draw adds to that. shift : from the mean v to the typical v.
    """

    slope: float
    variance: float
    shift: float


def _losses(noise: _Noise, shift: float) -> tuple[_Loss, _Loss]:
    """The two ways to sum, where ln v is typically off by ``shift``."""
    signal, size = noise.signal, noise.signal.batch.size
    c, share = signal.logit_correlation, signal.share
    same = signal.batch.weights[1] / np.maximum(signal.batch.weights.sum(0), 1e-300)
    alike = signal.over_pairs(1.0, c * c)
    chance = noise.excess[-1]

    def norms(v: float) -> np.ndarray:
        """Σ over equal examples, over all pairs times c, and the second's coherent part."""
        shared = (overlap(v, c) - 1 / N_CLASSES) * c + _steepness(v, c) * chance
        diagonal = float(overlap(v, np.ones(1))[0]) + 1 - 2 / N_CLASSES
        total = diagonal / size + share @ shared + share @ ((same - 1 / N_CLASSES) * c)
        return np.array([diagonal, max(total, 1e-300), max(share @ shared, 0.0)])

    mean = signal.logit_variance
    v = mean * np.exp(shift)
    middle, step = norms(v), 2 * np.log(1.1)
    slope = (np.log(norms(v * 1.1)) - np.log(norms(v / 1.1))) / step
    moved = np.log(middle / norms(mean))
    one = float(overlap(v, np.ones(1))[0]) - 1 / N_CLASSES
    agree = (overlap(v, c) - 1 / N_CLASSES) * (same - (1 - same) / (N_CLASSES - 1))
    of_labels = max(one / size + share @ agree, 0) / N_CLASSES * (2 / middle[0]) ** 2
    drawn = 2 / (N_CLASSES - 1) * np.array([alike * (one / middle[0]) ** 2, 0.0])
    drawn[1] = 2 / (N_CLASSES - 1) * min(middle[2] / middle[1], 1.0) ** 2
    return (
        _Loss(slope[0], drawn[0] + of_labels, moved[0]),
        _Loss(slope[1], drawn[1], moved[1]),
    )


def _steepness(v: float, c: np.ndarray) -> np.ndarray:
    """Slope of `overlap` in c."""
    return (overlap(v, c + 0.05) - overlap(v, c - 0.05)) / 0.1


@dataclass(frozen=True, eq=False)
class _Sum:
    """The sum of ln factors of layers l, …, L − 1 and of the loss, (L + 1,) each.

    shift, variance : of what is drawn from layer l on. slope : of the sum in ln q_l, the loss
    included; inner_slope : without it.
    """

    shift: np.ndarray
    variance: np.ndarray
    slope: np.ndarray
    inner_slope: np.ndarray


def _backward(noise: _Noise, loss: _Loss, variance: np.ndarray) -> _Sum:
    drift, spread = (x.tolist() for x in _gamma(noise.slope))
    ahead, square = (x.tolist() for x in _gamma(noise.square))
    carry, bend, into = (x.tolist() for x in (noise.carry, noise.carry_bend, noise.into))
    back, back_bend, both = (x.tolist() for x in (noise.back, noise.back_bend, noise.both))
    before = variance.tolist()
    rows = [(loss.shift, loss.variance, loss.slope, 0.0)]
    for layer in range(len(drift) - 1, -1, -1):
        shift, drawn, slope, inner = rows[-1]
        seen = into[layer] * slope
        drawn += max(seen * seen * square[layer] + 2 * seen * both[layer] + spread[layer], 0.0)
        shift += drift[layer] + into[layer] * inner * ahead[layer]
        shift += (back_bend[layer] + bend[layer] * inner) * before[layer] / 2
        slope, inner = (back[layer] + carry[layer] * x for x in (slope, inner))
        rows.append((shift, drawn, slope, inner))
    return _Sum(*(np.array(column[::-1]) for column in zip(*rows, strict=True)))


def _spread(noise: _Noise, shift: np.ndarray, variance: np.ndarray) -> Fluctuation:
    signal, spec = noise.signal, noise.signal.spec
    drift, drawn = _gamma(noise.centred)
    alike = np.append(noise.alike, signal.over_pairs(1.0, signal.logit_correlation))
    units = np.append(np.full(spec.depth, spec.width), N_CLASSES)
    lost = np.log1p(-np.clip(alike / units, 0, 0.9999))  # the units' own mean is subtracted
    squared = signal.over_pairs(1.0, signal.logit_correlation**2 + noise.excess[-1])
    last_drift, last_drawn = _gamma(2 / (N_CLASSES - 1) * np.array([squared]))
    rate = noise.spread_rate
    shifts = np.append(rate * shift[:-1] + drift, shift[-1] + last_drift)
    variances = np.append(rate**2 * variance[:-1] + drawn, variance[-1] + last_drawn)
    if spec.residual:  # the stream itself
        shifts[1:-1], variances[1:-1] = shift[2:], variance[2:]
    return Fluctuation(shifts + lost, variances)


def _activation_gradient(noise: _Noise, shift, variance, sums: _Sum) -> Fluctuation:
    top = 0.0 if noise.signal.spec.init == "orthogonal" else 2 / noise.signal.spec.width
    last_drift, last_drawn = _gamma(top * noise.rho)
    shifts = sums.shift + sums.inner_slope * shift
    variances = sums.variance + sums.slope**2 * variance
    return Fluctuation(
        np.append(shifts[1:] + last_drift, shifts[-1]),
        np.append(variances[1:] + last_drawn, variances[-1]),
    )


def _weight_gradient(noise: _Noise, shift, variance, sums: _Sum) -> Fluctuation:
    given = 1 / np.maximum(noise.weight_share, 1e-300)  # ∂ ln of the layer's inputs/∂ ln q
    return Fluctuation(
        sums.shift + (sums.inner_slope + given) * shift + np.log1p(_chance(noise)),
        sums.variance + (sums.slope + given) ** 2 * variance,
    )


def _chance(noise: _Noise) -> np.ndarray:
    """What pairs that look alike by chance add to the squared gradient of a weight, (L + 1,).

    The chance c of their activations makes their probabilities alike, too. Relative to the rest.
    """
    signal = noise.signal
    v, c = signal.logit_variance, signal.logit_correlation
    first = float(overlap(v, np.ones(1))[0]) + 1 - 2 / N_CLASSES
    steeper = _steepness(v, c) / first
    reach = np.cumprod(np.vstack([np.ones_like(c), noise.slope_to_output[::-1]]), axis=0)[::-1]
    products = 1 - signal.apart / signal.square.mean(1)[:, None]
    weights = signal.batch.weights * (1 - 1 / signal.batch.size)
    total = 1 / signal.batch.size + (weights * signal.linear_ratio * products[:, None]).sum((1, 2))
    return np.maximum((steeper * noise.excess * reach) @ signal.share / total, 0)
