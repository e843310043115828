"""What the normalization lab says: what the norm shares, the scale of the weights, the batch."""

import html
from collections.abc import Sequence

import numpy as np
from torch import Tensor

from d2lstab.diagnosis import diagnose
from d2lstab.normalization.bench import WIDTH, Bench, BenchSpec, BenchStep
from d2lstab.normalization.named import GROUPS, NORMS

_COLORS = {"erased": "dead", "refused": "exploding"}
"""Of the verdict, where no diagnosis gives its colour."""

_SHARES = {
    None: "No norm: nothing is shared, and the signals are what the weights make of them",
    "batch": "Batch norm: each unit has one μ and one σ, shared by the {size} of the batch",
    "layer": "Layer norm: each example has one μ and one σ, shared by its {width} units",
    "rms": "RMS norm: each example has one root mean square, shared by its {width} units; no μ",
    "group": f"Group norm: each example has {GROUPS} μ and {GROUPS} σ, each shared by "
    f"{WIDTH // GROUPS} of its {WIDTH} units",
    "instance": "Instance norm: each number of a vector has a μ of its own, x − μ = 0, and nothing "
    "is left of it",
    "weight": "Weight norm: each unit's weights have a length of its own, 1 at first, whatever was "
    "drawn; “norm place” has no effect",
    "standardization": "Weight standardization: each unit's weights have mean 0 and length 1, "
    "whatever was drawn; “norm place” has no effect",
    "cosine": "Cosine norm: each unit puts out a cosine, in [−1, 1]; “norm place” has no effect",
}
_PLACES = {
    "before": "before the activation",
    "after": "after the activation",
    "pre": "where each block's branch begins",
    "post": "of each block's sum",
}
CLOSE = 0.02
"""Gradients within this share of 1/λ are said to fall as 1/λ. ε = 10⁻⁵ beside σ² makes 0.4 %."""


def bench_html(bench: Bench, at_one: Tensor | None, steps: Sequence[BenchStep]) -> str:
    """Three lines: what the norm shares, what the weights' scale does, and the batch or training.

    at_one : gradient norms at λ = 1, or None where there is nothing to compare. steps : done.
    """
    kind = _kind(bench)
    lines = (
        f'<b class="d2lstab-{_COLORS.get(kind, kind)}">{kind}</b> {_shares(bench.spec)}',
        f"<i>Scale</i> {_scale(bench, at_one, bool(steps))}",
        f"<i>Training</i> {_training(bench, steps)}" if steps else f"<i>Batch</i> {_batch(bench)}",
    )
    return "<br>".join(lines)


def _kind(bench: Bench) -> str:
    if bench.refusal:
        return "refused"
    return "erased" if bench.spec.norm == "instance" else diagnose(bench.profile).kind


def _shares(spec: BenchSpec) -> str:
    norm = _SHARES[spec.norm].format(size=_examples(spec.batch_size), width=WIDTH)
    if spec.norm is None or NORMS[spec.norm].layer is None:
        return f"{norm}."
    if spec.norm_place in ("pre", "post") and not spec.residual:
        return f"{norm}; after the activation: {spec.norm_place} needs residual connections."
    return f"{norm}; {_PLACES[spec.norm_place]}."


def _examples(count: int) -> str:
    return "1 example" if count == 1 else f"{count} examples"


def _scale(bench: Bench, at_one: Tensor | None, trained: bool) -> str:
    scale = bench.spec.weight_scale
    if trained:
        return f"λ = {scale:.4g} before the training; gradients now are those of trained weights."
    if bench.refusal:
        return "no pass, so no gradient to compare."
    if at_one is None:
        return "λ = 1. Move λ, and the gradients of λ = 1 stay in the picture to compare."
    ratios = (bench.profile.weight_gradient_norm / at_one)[:-1].numpy()
    if bench.spec.norm == "instance" or not np.isfinite(ratios).all() or not ratios.all():
        return f"at λ = {scale:.4g} there are no gradients to compare with those at λ = 1."
    least, most = ratios.min(), ratios.max()
    if (abs(ratios * scale - 1) < CLOSE).all():
        return (
            f"at λ = {scale:.4g} the hidden gradients are {np.median(ratios):.3g} of those at "
            f"λ = 1, which is 1/λ: the loss does not feel the scale of these weights."
        )
    return (
        f"at λ = {scale:.4g} the hidden gradients are {_short(least)} to {_short(most)} times "
        f"those at λ = 1, and not 1/λ = {1 / scale:.3g}: {_feels(bench.spec)}."
    )


def _feels(spec: BenchSpec) -> str:
    """Why the loss depends on λ, as far as the specification tells."""
    if spec.norm is None:
        return "nothing undoes the scale of the weights"
    placed = NORMS[spec.norm].layer is not None and spec.norm_place != "before"
    if placed and spec.residual:
        return "in x + layer(x) only the branch is scaled"
    if placed and spec.activation in ("tanh", "sigmoid"):
        return f"{spec.activation} comes before the norm and bends what is scaled"
    return "here ε in √(σ² + ε), or rounding, counts"


def _short(number: float) -> str:
    """Three digits, and powers of ten only where they save room.

    >>> _short(0.1234), _short(1.2e9)
    ('0.123', '1e+09')
    """
    return f"{number:.3g}" if 0.001 <= number < 1000 or number != number else f"{number:.0e}"


def _batch(bench: Bench) -> str:
    spec = bench.spec
    if bench.refusal:
        return (
            f"PyTorch: “{html.escape(bench.refusal)}”. One number less its own mean is 0: take two."
        )
    if spec.norm != "batch":
        return "no example's output depends on the others, so train and eval mode are the same."
    if spec.composition >= 0.5:
        return (
            f"{spec.composition:.0%} from one class, whose own mean is subtracted in train mode, "
            "but not in eval mode. Train on i.i.d. batches, then come back here."
        )
    if spec.batch_size < 16:
        size = spec.batch_size
        return (
            f"the mean of {size} is off by about σ/√{size} = {size**-0.5:.2g} σ, anew in each "
            "batch: noise that only train mode has."
        )
    return (
        f"not trained: the running means are still 0, up to {_off(bench)} from this batch's: train "
        "and eval mode are two networks."
    )


def _training(bench: Bench, steps: Sequence[BenchStep]) -> str:
    held_out = next((step.held_out for step in reversed(steps) if step.held_out is not None), None)
    plural = "s" if len(steps) > 1 else ""
    done = f"{len(steps)} step{plural}, loss {_short(steps[0].loss)} → {_short(steps[-1].loss)}"
    if held_out is not None:
        done += f", held-out digits {held_out:.0%} right in eval mode"
    if bench.refusal:
        return f"{done}. This batch: PyTorch refuses it in train mode."
    modes = f"{bench.right_in_train:.0%} right in train, {bench.right_in_eval:.0%} in eval mode"
    off = f"; means up to {_off(bench)} off" if bench.spec.norm == "batch" else ""
    return f"{done}. This batch: {modes}{off}."


def _off(bench: Bench) -> str:
    """By how much, in the layer that is off the most; behind a norm the next is less so."""
    return f"{np.nanmax(bench.mean_gaps.numpy()):.2g} running σ"
