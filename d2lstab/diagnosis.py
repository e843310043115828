"""Say in words what a signal profile means, and what would mend it."""

import math
from dataclasses import dataclass, replace

import torch

from d2lstab.networks import NetworkSpec
from d2lstab.signal import SignalProfile

TWO_DECADES = 100.0
"""Gradients of the first and the last hidden layer within this ratio of each other count as stable.

Reason: one learning rate must serve both. Of 92 networks of 5 to 100 layers, trained for 150 steps
of SGD at the best of three learning rates, 39 of the 49 inside this ratio learned, and 1 of the 43
outside it (`python -m benchmarks.thresholds` prints them all).
"""

MOSTLY_DEAD = 0.9
"""Share of dead units from which a layer counts as dead. Healthy deep ReLU nets reach almost ½ at
initialization: deep inside, all inputs look alike, so that a unit is on for all or off for all."""

MOSTLY_SATURATED = 0.6
"""Mean saturated share from which a network counts as saturated. ReLU's half is no illness."""


ALMOST_ZERO = 1e-35
"""Standard deviation under which the next layer may round to 0: float32 ends at 1e-45."""


@dataclass(frozen=True)
class Remedy:
    """What to change, in words, and as fields of a `NetworkSpec` where there is one."""

    text: str
    changes: tuple[tuple[str, object], ...] = ()

    def apply(self, spec: NetworkSpec) -> NetworkSpec:
        """Return ``spec`` with the remedy taken."""
        return replace(spec, **dict(self.changes))


@dataclass(frozen=True)
class Verdict:
    """The diagnosis of one profile.

    kind : "stable", "vanishing", "exploding", "dead" or "saturated".
    factor : by which ∂loss/∂a grows per layer on its way back, geometric mean; below 1 it
        shrinks. NaN when fewer than two layers have a gradient to compare.
    ratio : gradient at the first layer over gradient at the last compared layer.
    layer : index of the layer where the trouble begins, or None.
    reason : one or two sentences with the numbers.
    remedies : what to change, the likeliest first; empty when stable.
    """

    kind: str
    factor: float
    ratio: float
    layer: int | None
    reason: str
    remedies: tuple[Remedy, ...]

    def __str__(self) -> str:
        mends = (
            " Try: " + "; or ".join(r.text for r in self.remedies) + "." if self.remedies else ""
        )
        return f"{self.kind}: {self.reason}{mends}"


def diagnose(profile: SignalProfile) -> Verdict:
    """Return what ``profile`` means: the kind of trouble, its per-layer factor, reason, remedies.

    The first that holds is the verdict: activations or gradients overflow (exploding);
    activations underflow (vanishing); a layer of dead units lets no gradient through (dead); the
    gradients of the first and the last hidden layer differ by more than `TWO_DECADES`, or
    underflow (vanishing, exploding); the units sit in the flat parts (saturated); stable.

    >>> from d2lstab import NetworkSpec, measure
    >>> verdict = diagnose(measure(NetworkSpec(depth=50, activation="sigmoid")))
    >>> verdict.kind, round(verdict.factor, 2)
    ('vanishing', 0.23)
    """
    if not isinstance(profile, SignalProfile):
        raise TypeError(f"profile must be a SignalProfile (see measure); got {profile!r}.")
    factor, ratio = _growth(profile)
    kind, layer, reason = (
        _overflow(profile)
        or _underflow(profile)
        or _dead(profile)
        or _unequal(profile, factor, ratio)
        or _saturated(profile)
        or ("stable", None, _change(factor, ratio, profile) + _mode(profile))
    )
    remedies = () if kind == "stable" else _remedies(kind, profile.spec)
    return Verdict(kind, factor, ratio, layer, reason + ".", remedies)


def _compared(profile: SignalProfile) -> torch.Tensor:
    """Indices of the layers whose gradients are compared: all with one, less the output layer."""
    norms = profile.activation_gradient_norm
    indices = torch.nonzero(~norms.isnan()).flatten()
    return indices[:-1] if len(indices) > 2 else indices


def _growth(profile: SignalProfile) -> tuple[float, float]:
    """Per-layer factor on the way back, and gradient at the first over that at the last layer.

    Layers whose gradient has underflowed to 0 count for the ratio and not for the factor.
    """
    indices = _compared(profile)
    norms = profile.activation_gradient_norm[indices]
    if len(norms) < 2 or norms[-1] == 0 or not norms.isfinite().all():
        return math.nan, math.nan
    ratio = float(norms[0] / norms[-1])
    alive = torch.nonzero(norms > 0).flatten()
    steps = int(alive[-1] - alive[0])
    if steps == 0:
        return math.nan, ratio
    return float((norms[alive[0]] / norms[alive[-1]]) ** (1 / steps)), ratio


def _change(factor: float, ratio: float, profile: SignalProfile) -> str:
    steps = len(_compared(profile)) - 1
    if math.isnan(ratio):
        return "too few layers to compare gradients"
    return (
        f"on its way back the gradient is multiplied by {_short(factor)} per layer, "
        f"by {_short(ratio)} over {steps} layer{'s' if steps != 1 else ''}"
    )


def _mode(profile: SignalProfile) -> str:
    """Half of relu's weights' variance with dropout ½ is stable, and vanishes in eval mode."""
    dropout = profile.spec is not None and profile.spec.dropout > 0
    return "; that is train mode: without dropout, in eval mode, it may vanish" if dropout else ""


def _short(number: float) -> str:
    return f"{number:.3g}" if 0.01 <= number < 1000 else f"{number:.0e}"


def _name(profile: SignalProfile, index: int) -> str:
    named = "" if profile.spec else f" ({profile.names[index]})"
    return f"layer {index + 1}{named}"


def _first(mask: torch.Tensor) -> int:
    return int(torch.nonzero(mask)[0])


def _overflow(profile: SignalProfile) -> tuple[str, int, str] | None:
    if not math.isfinite(profile.loss):
        overflow = profile.activation_overflow
        layer = _first(overflow) if overflow.any() else len(profile) - 1
        where = f"from {_name(profile, layer)} on; every gradient is lost"
        return "exploding", layer, f"activations overflow to Inf or NaN {where}"
    overflow = profile.gradient_overflow | profile.activation_gradient_norm.isinf()
    if overflow.any():
        layer = int(torch.nonzero(overflow)[-1])
        where = f"from {_name(profile, layer)} backwards"
        return "exploding", layer, f"gradients overflow to Inf or NaN {where}"
    return None


def _underflow(profile: SignalProfile) -> tuple[str, int, str] | None:
    """Outputs that are all 0 after outputs that were all but 0; a dead layer has others before."""
    zero = (profile.activation_std == 0) & (profile.activation_mean == 0)
    tiny = (profile.activation_std.roll(1) < ALMOST_ZERO) & ~zero.roll(1)
    tiny[0] = False
    if not (zero & tiny).any():
        return None
    layer = _first(zero & tiny)
    return "vanishing", layer, f"activations underflow to exactly 0 from {_name(profile, layer)} on"


def _dead(profile: SignalProfile) -> tuple[str, int, str] | None:
    dead = profile.dead_share.nan_to_num(0) >= MOSTLY_DEAD
    if not dead.any():
        return None
    layer = int(profile.dead_share.nan_to_num(0).argmax())
    share = profile.dead_share[layer]
    return (
        "dead",
        layer,
        f"{share:.0%} of the units of {_name(profile, layer)} are in a flat part of their "
        "activation function for every example, so that almost no gradient passes",
    )


def _unequal(profile: SignalProfile, factor: float, ratio: float) -> tuple | None:
    indices = _compared(profile)
    zero = profile.activation_gradient_norm[indices] == 0
    if zero.any():
        layer = int(indices[torch.nonzero(zero)[-1]])
        return (
            "vanishing",
            layer,
            f"gradients underflow to exactly 0 from {_name(profile, layer)} backwards"
            + (f", by a factor of {_short(factor)} per layer" if factor == factor else ""),
        )
    if math.isnan(ratio) or 1 / TWO_DECADES <= ratio <= TWO_DECADES:
        return None
    kind = "vanishing" if ratio < 1 else "exploding"
    reason = _change(factor, ratio, profile)
    if (share := profile.saturated_share.nanmean()) >= MOSTLY_SATURATED:
        reason += f"; {share:.0%} of the activations are saturated"
    return kind, int(indices[0]), reason


def _saturated(profile: SignalProfile) -> tuple[str, int, str] | None:
    share = profile.saturated_share.nanmean()
    if not share >= MOSTLY_SATURATED:
        return None
    layer = int(profile.saturated_share.nan_to_num(0).argmax())
    return (
        "saturated",
        layer,
        f"{share:.0%} of the activations lie where the activation function is flat, most of them "
        f"in {_name(profile, layer)}",
    )


_MATCHED = {"linear": "normal", "tanh": "xavier", "relu": "he", "leaky_relu": "he"}
"""Schemes whose gain 1 carries this activation's signal through plain layers."""

DEPTH_PER_WIDTH = 1.5
"""Plain layers per unit of width through which a matched scheme is trusted. Reason: even at the
right gain the logarithm of the gradient scatters with variance proportional to depth / width, and
falls by as much on average (Hanin & Nica 2020). Around 3 the ratio leaves `TWO_DECADES`."""

MUCH_DROPOUT = 0.5
"""Dropout above which no scheme helps: it multiplies what it keeps by 1/√(1 − p) per layer."""


def _remedies(kind: str, spec: NetworkSpec | None) -> tuple[Remedy, ...]:
    """What mends it, as changes of the specification; each is tested to end in "stable"."""
    if spec is None:
        return _GENERAL[kind]
    if spec.activation == "hard_step":
        relu = dict(activation="relu", init="he", gain=1.0, bias_std=0.0, dropout=0.0)
        relu["max_norm"] = None
        wide = spec.depth <= DEPTH_PER_WIDTH * spec.width
        relu |= dict(norm=None, residual=False) if wide else dict(norm="layer", residual=True)
        text = "relu with init he" + ("" if wide else ", residual connections and layer norm")
        text += _dropped(spec, relu)
        return (Remedy(text + ": a hard step has no slope to follow", _pairs(relu)),)
    remedies = []
    scheme = _MATCHED.get(spec.activation)
    plain = not (spec.residual or spec.norm or spec.dropout)
    if scheme and plain and spec.depth <= DEPTH_PER_WIDTH * spec.width:
        start = dict(init=scheme, gain=1.0, bias_std=0.0, max_norm=None)
        text = f"init {scheme} with gain 1 and bias 0" + _dropped(spec, start)
        remedies.append(Remedy(text, _pairs(start)))
    robust = dict(residual=True, norm="layer", gain=1.0, bias_std=0.0, max_norm=None)
    if spec.init in ("book", "constant"):
        robust["init"] = "normal"
    text = "residual connections and layer norm, with gain 1 and bias 0"
    if spec.dropout > MUCH_DROPOUT:
        robust["dropout"] = 0.0
    remedies.append(Remedy(text + _dropped(spec, robust), _pairs(robust)))
    return tuple(r for r in remedies if r.apply(spec) != spec)


def _dropped(spec: NetworkSpec, changes: dict[str, object]) -> str:
    """What a remedy takes away of the specification, in words."""
    names = {"residual": "residual connections", "dropout": "dropout", "max_norm": "max-norm"}
    names["norm"] = f"{spec.norm} norm"
    gone = [
        name for field, name in names.items() if getattr(spec, field) and not changes.get(field, 1)
    ]
    return "".join(f", no {name}" for name in gone)


def _pairs(changes: dict[str, object]) -> tuple[tuple[str, object], ...]:
    return tuple(changes.items())


_GENERAL = {
    "vanishing": (
        Remedy("initialize for the activation function (he for ReLU, xavier for tanh)"),
        Remedy("residual connections with normalization"),
    ),
    "exploding": (
        Remedy("smaller weights: initialize for the activation function"),
        Remedy("residual connections with normalization"),
    ),
    "dead": (
        Remedy("a smaller learning rate or bias, and an activation function without flat parts"),
    ),
    "saturated": (Remedy("smaller weights, or normalization before the activation function"),),
}
