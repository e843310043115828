"""The shift lab: move a distribution, watch a model fail, detect it, correct for it."""

import html
from dataclasses import replace
from functools import partial

import ipywidgets as widgets
from matplotlib.figure import Figure

from d2lstab.figures.shift import LEVEL, ShiftFigure
from d2lstab.labs.controls import NumberSlider, grid, steps
from d2lstab.labs.knobs import SpecLab
from d2lstab.labs.picture import LivePicture
from d2lstab.shift.plane import DIGITS
from d2lstab.shift.trial import (
    CORRECTIONS,
    EXAMPLES,
    FAVOURED,
    TESTS,
    ShiftSpec,
    ShiftTrial,
    try_shift,
)

# Beyond 500, MMD alone takes as long as all of the gradient lab; a specification may ask for it.
SIZES = (20, 30, 50, 70, 100, 150, 200, 300, 500)


class ShiftLab(SpecLab):
    """Sliders for a `ShiftSpec`; every tick draws samples, trains, tests and corrects for real.

    spec : where the lab starts, and where "reset" goes back to.

    `spec` and `trial` hold what is shown; set `spec` to move the sliders.

    >>> lab = ShiftLab(ShiftSpec(covariate=1.5))
    >>> lab.trial.moved.kinds, lab.trial.detection.p_value <= 0.05
    (('covariate',), True)
    >>> before = lab.trial.accuracy_before
    >>> lab.set(correction="density ratio")
    >>> lab.trial.accuracy_after > before + 0.2
    True
    """

    spec_type = ShiftSpec

    def __init__(self, spec: ShiftSpec | None = None):
        self.trial: ShiftTrial
        self._figure = ShiftFigure(Figure(figsize=(11.04, 3.6), dpi=100))
        picture = LivePicture(self._figure.figure, self._figure.moving)
        controls = _controls()
        self.buttons = {
            "seed": self.button("new seed", "draw other samples", self.new_seed),
            "reset": self.button("reset", "back to where the lab started", self.reset),
        }
        for name in EXAMPLES:
            self.buttons[name] = self.button(name, "an example", partial(self.example, name))
        row = widgets.HBox(list(self.buttons.values()), layout={"flex_flow": "row wrap"})
        above = [grid(list(controls.values())), row]
        super().__init__(spec, controls, picture, above)
        self.verdict_line.layout.min_height = "5.8em"  # four lines: the picture must not jump

    def to_spec(self, values: dict[str, object]) -> ShiftSpec:
        size = values["size"]  # a slider over numbers holds floats
        return ShiftSpec(**{**values, "size": int(size) if size == int(size) else size})

    def example(self, name: str) -> None:
        """Go to one of `EXAMPLES`, with the samples that the present seed gives."""
        self.spec = replace(EXAMPLES[name], seed=self.spec.seed)

    def show(self, values: dict[str, object]) -> str:
        self.trial = try_shift(self.to_spec(values))
        self.picture.paint(background=self._figure.update(self.trial))
        return trial_html(self.trial)


_COLORS = {
    "no": "stable",
    "covariate": "vanishing",
    "label": "saturated",
    "concept": "exploding",
    "mixed": "dead",
}
"""Of the verdict by kind of shift, among those that the labs have."""

_KINDS = {
    "no": "source and target are the same distribution",
    "covariate": "P(x) moves, P(y | x) stays",
    "label": "P(y) moves, P(x | y) stays",
    "concept": "P(y | x) moves, P(x) stays",
    "mixed": "neither P(x) nor P(y | x) nor P(x | y) stays",
}


def trial_html(trial: ShiftTrial) -> str:
    """Three lines: what moved, whether the detector saw it, and what the correction did."""
    kind = _kind(trial)
    lines = (
        f'<b class="d2lstab-{_COLORS[kind]}">{kind} shift</b> {_KINDS[kind]}{_distances(trial)}.',
        f"<i>Detector</i> {html.escape(_detector(trial))}",
        f"<i>Correction</i> {html.escape(_correction(trial))}",
    )
    return "<br>".join(lines)


def _kind(trial: ShiftTrial) -> str:
    """The kind of shift; "no" where nothing moves, "mixed" where all moves."""
    if not _any_shift(trial):
        return "no"
    return trial.moved.kinds[0] if trial.moved.kinds else "mixed"


def _any_shift(trial: ShiftTrial) -> bool:
    return bool(abs(trial.source.joint - trial.target.joint).sum() > 1e-9)


def _distances(trial: ShiftTrial) -> str:
    if not _any_shift(trial):
        return ""
    moved = trial.moved
    parts = {
        "P(x)": moved.inputs,
        "P(y)": moved.labels,
        "P(y | x)": moved.labels_given_input,
        "P(x | y)": moved.inputs_given_label,
    }
    far = ", ".join(f"{part} by {far:.2f}" for part, far in parts.items() if far > 1e-9)
    return f": {far} (total variation, 0 to 1)"


def _detector(trial: ShiftTrial) -> str:
    found, visible = trial.detection, trial.moved.inputs > 1e-9
    says = f"{found.method}: p = {found.p_value:.3g}, "
    if found.p_value <= LEVEL:
        return says + (
            "an alarm."
            if visible
            else "a false alarm: the inputs have not moved. One sample in 20 gives one."
        )
    if visible:
        return says + f"no alarm: {trial.spec.size} examples are too few for this test."
    if _any_shift(trial):
        return says + "no alarm; only a false one could come: it sees inputs only, and P(x) stayed."
    return says + "no alarm."


def _correction(trial: ShiftTrial) -> str:
    name, assumed = trial.spec.correction, CORRECTIONS[trial.spec.correction]
    if name == "none":
        return (
            f"none. Accuracy is {trial.accuracy_on_source:.0%} on the source, where it was "
            f"validated, and {trial.accuracy_before:.0%} on the target."
        )
    done = trial.correction
    if done.weights is None:
        return f"{name} is impossible: {done.warning}"
    holds = assumed in trial.moved.kinds or not _any_shift(trial)
    return (
        f"{name}: it assumes {assumed} shift, which {'holds' if holds else 'does not hold'}"
        f"{_estimate(trial)}; accuracy on the target {trial.accuracy_before:.0%} → "
        f"{trial.accuracy_after:.0%}{_harm(trial, holds)}. {done.warning}"
    ).strip()


def _estimate(trial: ShiftTrial) -> str:
    estimate = trial.correction.estimate
    if estimate is None:
        return ""
    found, true = estimate.prior[FAVOURED], trial.target.prior[FAVOURED]
    return f", and estimates {found:.0%} of {DIGITS[FAVOURED]}s (truth {true:.0%})"


def _harm(trial: ShiftTrial, holds: bool) -> str:
    if round(trial.accuracy_after, 2) >= round(trial.accuracy_before, 2):
        return ""
    if holds and trial.loss_after < trial.loss_before:
        loss = f"{trial.loss_before:.2f} → {trial.loss_after:.2f}"
        return f", so it harms, though the log loss, which the weights are for, falls: {loss}"
    return ", so it harms"


def _controls() -> dict[str, widgets.Widget]:
    """One control per field of the specification, in reading order."""
    return {
        "covariate": NumberSlider(steps(-10, 10, 0.25), 0),
        "label": NumberSlider(steps(0, 1, 0.05), 0),
        "concept": NumberSlider(steps(0, 1, 0.05), 0),
        "size": NumberSlider(SIZES, 200),
        "detector": widgets.Dropdown(options=list(TESTS)),
        "correction": widgets.Dropdown(options=list(CORRECTIONS)),
        "seed": widgets.BoundedIntText(min=0, max=2**32 - 1),
    }
