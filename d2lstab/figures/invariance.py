"""Draw the invariance table: what a norm does not notice, and what the gradients make of it."""

import math
import textwrap
from collections.abc import Mapping

from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from matplotlib.patches import Rectangle

from d2lstab import checks
from d2lstab.figures.style import BLUE, GREEN, INK, ORANGE
from d2lstab.figures.tiles import ink_on, tint_of
from d2lstab.normalization.invariance import Change

TITLES = {
    "output": "Output: relative change ‖h′ − h‖ / ‖h‖ (0: only rounding)",
    "weight_gradient": "Gradient with respect to the weights: multiplied by",
    "input_gradient": "Gradient with respect to the inputs: multiplied by",
}
"""What can be drawn of a `Change`."""

CHANGED, NO_MULTIPLE = (1.0, 1.0, 1.0), (0.87, 0.87, 0.87)


def draw_invariances(
    axes: Axes, table: Mapping[str, Mapping[str, Change]], quantity: str = "output"
) -> None:
    """Draw one quantity of a table as `invariances` gives it: a row a norm, a column a change.

    quantity : a name in `TITLES`. An output that stays is a green 0. A gradient's factor is blue
        where it shrinks the gradient, orange where it lets it grow, grey where there is none.

    Raises TypeError or ValueError for another quantity.

    >>> from matplotlib.figure import Figure
    >>> axes = Figure().subplots()
    >>> draw_invariances(axes, {"layer": {"all data × λ": Change(0.0, 1.0, 0.1)}}, "input_gradient")
    >>> axes.texts[0].get_text()
    '× 0.1'
    """
    checks.choice("quantity", quantity, TITLES)
    columns = list(next(iter(table.values())))
    for row, changes in enumerate(table.values()):
        for column, change in enumerate(changes.values()):
            words, color = _cell(change, quantity)
            axes.add_patch(Rectangle((column, row), 1, 1, fc=color, ec="#bdbdbd", lw=0.8))
            axes.text(
                column + 0.5, row + 0.5, words, ha="center", va="center", fontsize=9.5,
                color=ink_on(color), weight="bold" if words == "0" else "normal",
            )  # fmt: skip
    axes.set(xlim=(0, len(columns)), ylim=(len(table), 0))
    axes.set_xticks([i + 0.5 for i in range(len(columns))], [textwrap.fill(c, 12) for c in columns])
    axes.set_yticks([i + 0.5 for i in range(len(table))], list(table))
    axes.xaxis.tick_top()
    axes.tick_params(length=0, labelsize=9)
    axes.spines[:].set_visible(False)
    axes.set_title(TITLES[quantity], fontsize=10.5, color=INK)


def _cell(change: Change, quantity: str) -> tuple[str, tuple[float, float, float]]:
    """What stands in a cell, and its colour."""
    value = getattr(change, quantity)
    if quantity == "output":
        return ("0", to_rgb(GREEN)) if change.invariant else (f"{value:.2g}", CHANGED)
    if math.isnan(value):
        return "–", NO_MULTIPLE
    size = math.log10(abs(value))
    color = CHANGED if abs(size) < 1e-6 else tint_of(ORANGE if size > 0 else BLUE, 0.5)
    return f"× {value:.3g}".replace("-", "−"), color
