"""Predict the signal in a network, layer by layer, before any weight is drawn.

The maps of `meanfield` with what a real network has: each layer's own fan_in, the second moments
and correlations of real inputs, dropout, residual connections, normalization, and the gradient of
the cross-entropy on its way back.
"""

import math
from dataclasses import dataclass
from functools import cached_property, lru_cache

import numpy as np
import torch
from torch import Tensor

from d2lstab.datasets import digits
from d2lstab.fluctuation import fluctuations
from d2lstab.initialization import INITIALIZATIONS
from d2lstab.meanfield import Phase, phase
from d2lstab.networks import NetworkSpec
from d2lstab.propagation import Batch, Propagation, summarize


@dataclass(frozen=True, eq=False)
class MeanField:
    """The signal in a network as theory has it: typical values over seeds, one per layer.

    All arrays are float64, (layers,), the output layer last, as in `SignalProfile`; NaN where
    there is no theory.

    activation_std, activation_gradient_norm, weight_gradient_norm : as in `SignalProfile`.
    correlation : mean over pairs of examples of the cosine between their vectors of
        preactivations (what the linear layer puts out, bias included); `correlations` measures it.
    band : for each of the first three names, the 5 % and the 95 % quantile over seeds at the
        network's own width.
    missing : "" or one sentence that says for what there is no theory.
    """

    spec: NetworkSpec
    activation_std: np.ndarray
    activation_gradient_norm: np.ndarray
    weight_gradient_norm: np.ndarray
    correlation: np.ndarray
    band: dict[str, tuple[np.ndarray, np.ndarray]]
    missing: str = ""

    def __len__(self) -> int:
        return len(self.activation_std)

    @cached_property
    def phase(self) -> Phase | None:
        """The phase of the hidden layers; None with a norm, residual connections or dropout."""
        spec = self.spec
        if spec.norm or spec.residual or spec.dropout or spec.init == "constant":
            return None
        return phase(spec.activation, hidden_weight_std(spec), spec.bias_std)

    @property
    def trainable_depth(self) -> float | None:
        """6 ξ_c, the depth to which Schoenholz et al. 2017 found networks trainable, or None."""
        return None if self.phase is None else 6 * self.phase.correlation_depth


def hidden_weight_std(spec: NetworkSpec) -> float:
    """Return σ_w of the hidden layers, dimensionless; 0 for constant weights.

    >>> hidden_weight_std(NetworkSpec(init="normal", gain=3.0, max_norm=1.2))
    1.2
    """
    weight_std = INITIALIZATIONS[spec.init].weight_std(spec.width) * spec.gain
    return weight_std if spec.max_norm is None else min(weight_std, spec.max_norm)


@lru_cache(maxsize=1)
def _default_batch() -> Batch:
    batch = digits(128)
    return summarize(batch.inputs, batch.labels)


def predict(spec: NetworkSpec, inputs: Tensor | None = None) -> MeanField:
    """Return what mean-field theory predicts for the network of ``spec``.

    inputs : (examples, features); left out, the 128 digits of `measure`. The loss is the
    cross-entropy of ten classes, averaged over the batch.

    Where theory stops, the arrays are NaN and ``missing`` says why. Raises TypeError or ValueError.

    >>> theory = predict(NetworkSpec(depth=3, activation="relu", init="he"))
    >>> [round(x, 2) for x in theory.activation_std.tolist()]
    [0.8, 0.8, 0.8, 1.27]
    """
    if not isinstance(spec, NetworkSpec):
        raise TypeError(f"spec must be a NetworkSpec; got {spec!r}.")
    batch = _default_batch() if inputs is None else summarize(_checked(inputs))
    with np.errstate(all="ignore"):  # signals that vanish or explode are what it is for
        return _predict(spec, batch)


def _predict(spec: NetworkSpec, batch: Batch) -> MeanField:
    signal, gaps = Propagation(spec, batch), _gaps(spec)
    off = fluctuations(signal)
    curves = {name: curve(signal) for name, curve in CURVES.items()}
    band = {name: off[name].band(curve) for name, curve in curves.items()}
    curves = {name: off[name].typical(curve) for name, curve in curves.items()}
    curves["correlation"] = signal.correlation
    nothing = np.full(spec.depth + 1, math.nan)
    curves |= dict.fromkeys(gaps.curves, nothing)
    band |= {name: (nothing, nothing) for name in gaps.curves + gaps.bands if name in band}
    return MeanField(spec=spec, band=band, missing=gaps.sentence, **curves)


def _checked(inputs: Tensor) -> Tensor:
    if not isinstance(inputs, Tensor):
        raise TypeError(f"inputs must be a tensor; got {type(inputs).__name__}.")
    if inputs.ndim != 2 or 0 in inputs.shape or not torch.isfinite(inputs).all():
        raise ValueError(
            "inputs must be finite, of shape (examples, features); got shape "
            f"{tuple(inputs.shape)}."
        )
    return inputs


@dataclass(frozen=True)
class _Gaps:
    """What theory does not give: names of curves, names of bands, and the sentence."""

    curves: tuple[str, ...] = ()
    bands: tuple[str, ...] = ()
    sentence: str = ""


GRADIENTS = ("activation_gradient_norm", "weight_gradient_norm")
UNBALANCED = ("relu", "leaky_relu", "elu", "selu", "gelu", "silu", "softplus")
"""Activations that answer larger signals with a larger mean."""


def _gaps(spec: NetworkSpec) -> _Gaps:
    every = ("activation_std", *GRADIENTS)
    if spec.init == "constant":
        text = "no theory for constant weights: the units of a layer are copies, not independent."
        return _Gaps((*every, "correlation"), (), text)
    known = spec.norm in (None, "batch", "layer", "rms")
    if not known or spec.norm and spec.norm_place != "before":
        what = "a norm there" if known else f"{spec.norm} norm"
        text = f"no theory for {what}: only for batch, layer and RMS norm before the activation."
        return _Gaps((*every, "correlation"), (), text)
    if spec.residual and spec.norm is None and spec.activation in UNBALANCED:
        # the gradient's part along the stream's mean grows faster than the rest: in narrow layers
        # it takes over after some twenty layers
        text = f"no theory for gradients in a residual stream whose mean grows ({spec.activation})."
        return _Gaps(GRADIENTS, (), text)
    if spec.norm == "batch" and (spec.residual or spec.activation == "linear"):
        with_what = "residual connections" if spec.residual else "linear layers"
        return _Gaps(GRADIENTS, every, f"no theory for gradients in batch norm with {with_what}.")
    if spec.norm == "batch":
        return _Gaps((), every, "no theory for the band of a network with batch norm.")
    return _Gaps()


def _activation_std(signal: Propagation) -> np.ndarray:
    spec, m = signal.spec, signal.moments
    log_square = np.interp(signal.log_variance, m.x, m.log_square)
    mean = np.interp(signal.log_variance, m.x, m.mean) * np.exp(log_square / 2)
    spread = np.exp(np.interp(signal.log_variance, m.x, m.log_variance))
    variance = np.append(spread.mean(1) + np.nan_to_num(mean.var(1)), signal.logit_variance)
    if _measured_before_norm(spec):
        variance[:-1] = (signal.factor * signal.square.mean(1) + signal.bias)[:-1]
    if spec.residual:
        variance[1:-1] = signal.square[2:].mean(1) - signal.mean[2:].mean(1) ** 2
    return np.sqrt(variance)


def _activation_gradient_norm(signal: Propagation) -> np.ndarray:
    spec = signal.spec
    logs = np.append(_log_mean(signal.log_into[1:]), signal.log_linear[-1, 0])
    flat = slice(0, 1) if spec.residual else slice(0, -1)  # the layers outside of blocks
    logs[flat] += math.log(signal.keep)
    if _measured_before_norm(spec):
        logs[flat] = _log_mean(signal.log_linear)[flat]
    return np.exp((logs - math.log(signal.batch.size)) / 2)


def _measured_before_norm(spec: NetworkSpec) -> bool:
    """`measure` finds no activation function after the norm: the layer's output is before it."""
    return spec.norm is not None and spec.activation == "linear"


def _weight_gradient_norm(signal: Propagation) -> np.ndarray:
    size, logs = signal.batch.size, signal.log_linear.mean(1)
    products = signal.square.mean(1)[:, None] - signal.apart
    weights = signal.batch.weights * (size - 1)
    pairs = (weights * signal.linear_ratio * products[:, None]).sum((1, 2))
    diagonal = np.exp(signal.log_linear - logs[:, None])
    total = (diagonal * signal.square).mean(1) + diagonal.mean(1) * pairs
    return np.exp((logs + np.log(signal.fan_in * total / size)) / 2)


CURVES = {
    "activation_std": _activation_std,
    "activation_gradient_norm": _activation_gradient_norm,
    "weight_gradient_norm": _weight_gradient_norm,
}


def _log_mean(logs: np.ndarray) -> np.ndarray:
    """ln of the mean over groups, (layers,), without overflow."""
    top = np.maximum(logs.max(1), -1e300)
    return top + np.log(np.exp(logs - top[:, None]).mean(1))
