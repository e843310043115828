"""What the gradient lab says: the verdict, and how deep theory trusts such a network."""

import html
import math

from d2lstab.diagnosis import Verdict
from d2lstab.meanfield import Phase
from d2lstab.prediction import MeanField


def verdict_html(verdict: Verdict) -> str:
    """The verdict as a coloured word, its reason and its remedies."""
    reason = html.escape(verdict.reason[0].upper() + verdict.reason[1:])
    mends = "; or ".join(html.escape(remedy.text) for remedy in verdict.remedies)
    return f'<b class="d2lstab-{verdict.kind}">{verdict.kind}</b> {reason}' + (
        f"<br><i>Try</i> {mends}." if mends else ""
    )


def theory_html(theory: MeanField | None) -> str:
    """How deep theory says that networks like this one can be trained, or why it cannot say."""
    if theory is None:
        return ""
    phase, words = theory.phase, []
    if phase is not None and phase.chi > 0:
        words.append(f"{_phase(phase)}{_reach(theory.trainable_depth)}.")
    elif phase is not None:
        words.append("χ₁ = 0: no gradient comes through a layer.")
    elif not theory.missing:
        words.append("χ₁ and the depth scale ξ are those of plain networks.")
    words += [theory.missing[:1].upper() + theory.missing[1:]] * bool(theory.missing)
    return f"<br><i>Theory</i> {html.escape(' '.join(words))}"


def _phase(phase: Phase) -> str:
    chi = f"{phase.chi:.3g}"
    if chi == "1" and phase.kind != "critical":
        chi = f"{phase.chi:.6g}"
    scale = _layers(phase.correlation_depth)
    return f"χ₁ = {chi} ({phase.kind}), depth scale ξ = {scale} layers: "


def _reach(depth: float) -> str:
    return (
        "no depth is too large"
        if depth == math.inf
        else f"trainable to depth about {_layers(depth)}"
    )


def _layers(count: float) -> str:
    """Two digits, which is more than theory can promise.

    >>> _layers(0.523), _layers(14.2), _layers(4321.0), _layers(math.inf)
    ('0.52', '14', '4,300', '∞')
    """
    if count == math.inf:
        return "∞"
    return f"{count:.2g}" if count < 99.5 else f"{float(f'{count:.2g}'):,.0f}"
