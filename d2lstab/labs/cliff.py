"""The cliff lab: one step of gradient descent on a recurrent net's loss cliff, clipped and not."""

import ipywidgets as widgets
from matplotlib.figure import Figure

from d2lstab.figures.cliff import NAMES
from d2lstab.figures.cliff_paths import BIASES, WEIGHTS, CliffFigure
from d2lstab.labs.controls import NumberSlider, decades, grid, steps
from d2lstab.labs.knobs import SpecLab
from d2lstab.labs.picture import LivePicture
from d2lstab.regularization.cliff import Step
from d2lstab.regularization.cliff_trial import REACH, CliffSpec, CliffTrial, try_cliff
from d2lstab.regularization.clipping import angle

_ABOVE = [*(10.0**k for k in range(-7, -2)), 0.003, 0.01, 0.02, 0.05, 0.1, 0.2, REACH]
HEIGHTS = [*(-height for height in reversed(_ABOVE)), 0.0, *_ABOVE]
"""Stops that come the closer, the nearer the wall."""


class CliffLab(SpecLab):
    """Sliders for a `CliffSpec`; every tick backpropagates through the net at each step.

    spec : where the lab starts, and where "reset" goes back to.

    `spec` and `trial` hold what is shown; set `spec` to move the sliders.

    >>> lab = CliffLab()
    >>> lab.set(limit=0.5)
    >>> round(lab.trial.steps["norm"].used.norm().item(), 6)
    0.5
    """

    spec_type = CliffSpec

    def __init__(self, spec: CliffSpec | None = None):
        self.trial: CliffTrial
        self._figure = CliffFigure(Figure(figsize=(11.04, 4.3), dpi=100))
        picture = LivePicture(self._figure.figure, self._figure.moving)
        controls = _controls()
        self.buttons = {
            "reset": self.button("reset", "back to where the lab started", self.reset),
        }
        above = [grid(list(controls.values())), widgets.HBox(list(self.buttons.values()))]
        super().__init__(spec, controls, picture, above)
        self.add_class("d2lstab-three-lines")

    def show(self, values: dict[str, object]) -> str:
        self.trial = try_cliff(self.to_spec(values))
        self.picture.paint(background=self._figure.update(self.trial))
        return cliff_html(self.trial)


def cliff_html(trial: CliffTrial) -> str:
    """Three lines: the gradient and the step not clipped, then what each kind of clip makes.

    "thrown" says that the step that is not clipped ends outside the map.
    """
    steps, paths = trial.steps, trial.paths
    length, limit = float(steps[None].gradient.norm()), trial.spec.limit
    before, after = (float(paths[None].loss[k]) for k in (0, 1))
    weight, bias = steps[None].end.tolist()
    inside = WEIGHTS[0] <= weight <= WEIGHTS[1] and BIASES[0] <= bias <= BIASES[1]
    kind, color = ("steady", "stable") if inside else ("thrown", "exploding")
    lines = [
        f'<b class="d2lstab-{color}">{kind}</b> Gradient {_short(length)} long, limit '
        f"{limit:.4g}. Not clipped: {_step(steps[None])}, to {_point(steps[None])}; loss "
        f"{_short(before)} → {_short(after)}."
    ]
    for clip in ("norm", "value"):
        angle = turned(steps[clip])
        same = bool((steps[clip].used == steps[None].used).all())
        what = "nothing to clip" if same else f"{_step(steps[clip])}, turned by {angle:.1f}°"
        after = float(paths[clip].loss[1])
        last = f"{len(paths[clip].loss) - 1} steps: {_short(float(paths[clip].loss[-1]))}"
        lines.append(
            f"<i>{NAMES[clip].capitalize()}</i> {what}; loss {_short(before)} → {_short(after)}, "
            f"after {last}."
        )
    return "<br>".join(lines)


def turned(step: Step) -> float:
    """The angle between the gradient and what the step took of it, in degrees; 0 for no step."""
    return angle([step.gradient], [step.used]) if step.used.any() else 0.0


def _step(step: Step) -> str:
    return f"step {_short(float((step.end - step.start).norm()))}"


def _point(step: Step) -> str:
    return "({:.3g}, {:.3g})".format(*step.end.tolist())


def _short(number: float) -> str:
    return f"{number:.3g}" if 0.001 <= number < 10_000 or not number else f"{number:.1g}"


def _controls() -> dict[str, widgets.Widget]:
    """One control per field of the specification, in reading order."""
    return {
        "weight": NumberSlider(steps(4, 5.6, 0.05), 5, description="weight w"),
        "height": NumberSlider(HEIGHTS, 0, description="above wall"),
        "learning_rate": NumberSlider(decades(-3, 1, (1, 1.5, 2, 3, 5, 7)), 0.1),
        "limit": NumberSlider(decades(-2, 3, (1, 1.5, 2, 3, 5, 7)), 1, description="clip limit"),
        "length": widgets.IntSlider(min=1, max=100),
    }
