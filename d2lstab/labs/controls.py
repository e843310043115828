"""The labs' controls: sliders over numbers that code may set to any value, and their layout."""

import math
from collections.abc import Iterable

import ipywidgets as widgets


class NumberSlider(widgets.SelectionSlider):
    """A slider over a list of numbers, evenly spaced or not.

    ipywidgets' own sliders round a value that code has set to their step in the browser and send
    it back, late: setting 2 on a log slider of step 0.02 ended at 1.995, and undid what code had
    set since. This one sends places in its list, never numbers.

    numbers : the stops; infinity, for a limit, is shown as "none". value : where it starts;
        becomes a stop if it is none.
    """

    def __init__(self, numbers: Iterable[float], value: float, **options):
        stops = _options({*map(float, numbers), float(value)})
        super().__init__(options=stops, value=float(value), **options)
        self._visited: float | None = None

    def place(self, value: float) -> None:
        """Go to ``value``; it becomes a stop if it is none."""
        if float(value) not in self._options_values:
            self.options = _options({*self._options_values, float(value)})
        self.value = float(value)

    def visit(self, value: float) -> None:
        """Go to ``value``; it is a stop until the next visit: a dragged point calls at hundreds.

        The slider passes its first stop on the way: hold its observers back.
        """
        stops = {*self._options_values} - {self._visited}
        self._visited = None if float(value) in stops else float(value)
        with self.hold_sync():  # or the browser would show the first stop for a moment, too
            self.options = _options({*stops, float(value)})
            self.value = float(value)


def _options(stops: set[float]) -> list[tuple[str, float]]:
    labels = {stop: "none" if stop == math.inf else f"{stop:.4g}" for stop in stops}
    same = len(set(labels.values())) < len(stops)
    return [(repr(stop) if same else labels[stop], stop) for stop in sorted(stops)]


def steps(low: float, high: float, step: float) -> list[float]:
    """Evenly spaced stops from ``low`` to ``high``, both included."""
    return [round(low + k * step, 10) for k in range(round((high - low) / step) + 1)]


def decades(low: int, high: int, mantissas: Iterable[float]) -> list[float]:
    """Logarithmically spaced stops: the mantissas in every decade from 10^low to 10^high."""
    stops = [float(f"{m:g}e{k}") for k in range(low, high) for m in mantissas]
    return [*stops, 10.0**high]


FACTORS = decades(-1, 1, [*steps(1, 1.95, 0.05), *steps(2, 4.9, 0.1), *steps(5, 9.75, 0.25)])
"""Stops for a factor on the weights, from 0.1 to 10."""


def place(control: widgets.Widget, value: object) -> None:
    """Set a control of any kind to ``value``; the range of a slider grows to reach it."""
    if isinstance(control, NumberSlider):
        control.place(value)
        return
    if isinstance(control, widgets.IntSlider):
        control.min, control.max = min(control.min, value), max(control.max, value)
    control.value = value


def grid(controls: list[widgets.Widget]) -> widgets.GridBox:
    """The controls in rows of four, with their labels in line."""
    for control in controls:
        control.layout.width = "auto"
        control.style.description_width = "92px"
    return widgets.GridBox(
        controls, layout={"grid_template_columns": "repeat(4, 25%)", "max_width": "1104px"}
    )
