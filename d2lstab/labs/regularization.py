"""The regularization lab: penalties, dropout and a clip on a curve through noisy points."""

import math
from dataclasses import asdict

import ipywidgets as widgets
from matplotlib.figure import Figure

from d2lstab.figures.regularization import FitFigure
from d2lstab.labs.controls import NumberSlider, decades, grid, steps
from d2lstab.labs.fit_words import fit_html
from d2lstab.labs.knobs import SpecLab
from d2lstab.labs.picture import LivePicture
from d2lstab.labs.pins import Pins
from d2lstab.regularization.fit import MODELS, Fit, FitSpec, fit

PENALTIES = [0, *decades(-4, 1, (1, 1.5, 2, 3, 5, 7))]


class RegularizationLab(Pins, SpecLab):
    """Sliders for a `FitSpec`; every tick trains the model from its first step, for real.

    spec : where the lab starts, and where "reset" goes back to.

    All that the buttons do can be called: `pin`, `unpin`, `reset`, `new_seed`. `spec` and `fit`
    hold what is shown; set `spec` to move the sliders.

    >>> lab = RegularizationLab(FitSpec(degree=15))
    >>> lab.fit.kind
    'overfitting'
    >>> lab.set(l1=0.03)
    >>> lab.fit.kind, lab.fit.zeros
    ('fine', 5)
    """

    spec_type = FitSpec

    def __init__(self, spec: FitSpec | None = None):
        self.fit: Fit
        self._figure = FitFigure(Figure(figsize=(11.04, 3.6), dpi=100))
        picture = LivePicture(self._figure.figure, self._figure.moving)
        controls = _controls()
        self.buttons = {
            "pin": self.make_pin_button("this fit"),
            "reset": self.button("reset", "back to where the lab started", self.reset),
            "seed": self.button("new seed", "draw other examples and weights", self.new_seed),
        }
        above = [grid(list(controls.values())), widgets.HBox(list(self.buttons.values()))]
        super().__init__(spec, controls, picture, above)
        self.add_class("d2lstab-three-lines")

    def to_spec(self, values: dict[str, object]) -> FitSpec:
        whole = {}
        for name in ("examples", "steps"):  # sliders over numbers hold floats
            value = values[name]
            whole[name] = int(value) if value == int(value) else value
        clip = None if values["clip"] == math.inf else values["clip"]
        return FitSpec(**{**values, **whole, "clip": clip})

    def to_values(self, spec: FitSpec) -> dict[str, object]:
        # a slider cannot hold None
        return {**asdict(spec), "clip": math.inf if spec.clip is None else spec.clip}

    def show(self, values: dict[str, object]) -> str:
        spec = self.to_spec(values)
        network = spec.model == "network"
        self.controls["degree"].disabled, self.controls["width"].disabled = network, not network
        return self._paint(fit(spec))

    def _paint(self, shown: Fit) -> str:
        with self.lock:  # `pin` and `unpin` come here from a cell, too
            self.fit = shown
            self.picture.paint(background=self._figure.update(shown, self.pinned))
            return fit_html(shown)

    def to_pin(self) -> Fit:
        return self.fit

    def repaint(self) -> None:
        self._paint(self.fit)


def _controls() -> dict[str, widgets.Widget]:
    """One control per field of the specification, in reading order."""
    return {
        "model": widgets.Dropdown(options=list(MODELS)),
        "degree": widgets.IntSlider(min=1, max=30),
        "width": widgets.IntSlider(min=1, max=64),
        "examples": NumberSlider([*steps(5, 40, 1), *steps(45, 100, 5)], 20),
        "noise": NumberSlider(steps(0, 1, 0.05), 0.3),
        "l1": NumberSlider(PENALTIES, 0, description="λ₁ (L1)"),
        "l2": NumberSlider(PENALTIES, 0, description="λ₂ (L2)"),
        "dropout": NumberSlider(steps(0, 0.9, 0.05), 0),
        "clip": NumberSlider([*decades(-3, 1, (1, 1.5, 2, 3, 5, 7)), math.inf], math.inf),
        "learning_rate": NumberSlider([*decades(-2, 0, (1, 1.5, 2, 3, 5, 7)), 1.5, 2, 3], 0.1),
        "steps": NumberSlider([1, 2, 5, *decades(1, 3, (1, 1.5, 2, 3, 5, 7))], 300),
        "seed": widgets.BoundedIntText(min=0, max=2**32 - 1),
    }
