"""The recurrent lab: turn the knobs of three recurrent cells, see how far a gradient reaches."""

import html
from dataclasses import replace

import ipywidgets as widgets
from matplotlib.figure import Figure

from d2lstab.figures.recurrence import NAMES, RecurrenceFigure
from d2lstab.labs.controls import NumberSlider, grid, steps
from d2lstab.labs.knobs import SpecLab
from d2lstab.labs.picture import LivePicture
from d2lstab.recurrence import CELLS, RECURRENT, RecurrentSpec
from d2lstab.through_time import (
    TimeProfile,
    TimeVerdict,
    diagnose_through_time,
    measure_through_time,
)


class RecurrentLab(SpecLab):
    """Sliders for a `RecurrentSpec`; every tick runs all three cells and backpropagates for real.

    spec : where the lab starts, and where "reset" goes back to. Its ``cell`` is the one that is
        explained: theory is drawn over its line, and its slopes or gates beside it.

    `spec` is what is shown; set it to move the sliders. `profiles` and `verdicts` hold the
    numbers and the words of each cell by name, `profile` and `verdict` those of the chosen one.

    >>> lab = RecurrentLab(RecurrentSpec("lstm", forget_bias=1.0))
    >>> lab.verdict.kind
    'vanishing'
    >>> lab.set(forget_bias=5.0)
    >>> lab.verdict.kind
    'stable'
    """

    spec_type = RecurrentSpec

    def __init__(self, spec: RecurrentSpec | None = None):
        self.profiles: dict[str, TimeProfile]
        self.verdicts: dict[str, TimeVerdict]
        self._figure = RecurrenceFigure(Figure(figsize=(11.04, 3.6), dpi=100))
        picture = LivePicture(self._figure.figure, self._figure.moving)
        controls = _controls()
        self.buttons = {
            "seed": self.button("new seed", "draw other weights", self.new_seed),
            "reset": self.button("reset", "back to where the lab started", self.reset),
        }
        above = [grid(list(controls.values())), widgets.HBox(list(self.buttons.values()))]
        super().__init__(spec, controls, picture, above)

    @property
    def profile(self) -> TimeProfile:
        """The numbers of the chosen cell."""
        return self.profiles[self.controls["cell"].value]

    @property
    def verdict(self) -> TimeVerdict:
        """The words on the chosen cell."""
        return self.verdicts[self.controls["cell"].value]

    def show(self, values: dict[str, object]) -> str:
        spec = self.to_spec(values)
        specs = {cell: replace(spec, cell=cell) for cell in CELLS}
        self.profiles = {cell: measure_through_time(spec) for cell, spec in specs.items()}
        self.verdicts = {cell: diagnose_through_time(p) for cell, p in self.profiles.items()}
        self.picture.paint(background=self._figure.update(self.profiles, spec.cell))
        return "<br>".join(verdict_html(cell, v) for cell, v in self.verdicts.items())


def verdict_html(cell: str, verdict: TimeVerdict) -> str:
    """The cell, the verdict as a coloured word, and its reason."""
    reason = html.escape(verdict.reason)
    return f'<b class="d2lstab-{verdict.kind}">{verdict.kind}</b> {NAMES[cell]}: {reason}.'


def _controls() -> dict[str, widgets.Widget]:
    """One control per field of the specification, in reading order."""
    return {
        "cell": widgets.Dropdown(options=[(NAMES[cell], cell) for cell in CELLS]),
        "spectral_radius": NumberSlider(steps(0, 3, 0.05), 1, description="radius ρ"),
        "forget_bias": NumberSlider(steps(-2, 8, 0.25), 1),
        "input_gain": NumberSlider(steps(0, 3, 0.05), 1),
        "length": widgets.IntSlider(min=10, max=200),
        "hidden_size": widgets.IntSlider(min=4, max=64),
        "recurrent": widgets.Dropdown(options=list(RECURRENT)),
        "seed": widgets.BoundedIntText(min=0, max=2**32 - 1),
    }
