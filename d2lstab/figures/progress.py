"""Draw the loss of a training run while it runs."""

import math
from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from d2lstab.figures.style import BLUE, GREY


class LossFigure:
    """The loss of each step so far, under a line for the loss of guessing, log 10 for ten classes.

    figure : the matplotlib Figure to fill, about 6 × 2.6 inches.
    steps : how many there will be. moving : the artist that changes.

    >>> figure = LossFigure(Figure(), steps=3)
    >>> figure.update([2.3, 1.1])
    >>> figure.curve.get_xdata().tolist()
    [1, 2]
    """

    def __init__(self, figure: Figure, steps: int):
        self.axes, guess = figure.subplots(), math.log(10)
        figure.subplots_adjust(left=0.11, right=0.98, bottom=0.2, top=0.96)
        self.axes.axhline(guess, color=GREY, ls="--", lw=1)
        self.axes.annotate("guessing", (0.99, guess), (0, 3), xycoords=("axes fraction", "data"),
                           textcoords="offset points", ha="right", color=GREY)  # fmt: skip
        (self.curve,) = self.axes.plot([], [], "o-", color=BLUE, ms=4)
        self.axes.set(xlabel="step", ylabel="loss of the batch (nats)")
        self.axes.set(xlim=(0.5, steps + 0.5), ylim=(0, 1.6 * guess))
        self.axes.xaxis.set_major_locator(MaxNLocator(12, integer=True))
        self.axes.spines[["top", "right"]].set_visible(False)
        self.axes.grid(color="#e4e4e4", lw=0.7)
        self.axes.set_axisbelow(True)
        self.moving = [self.curve]

    def update(self, losses: Sequence[float]) -> None:
        """Show these losses, the first of them step 1; one above the axes, or NaN, at their top."""
        values, top = np.asarray(losses, float), self.axes.get_ylim()[1]
        shown = np.where(values < top, values, top)
        self.curve.set_data(np.arange(1, len(values) + 1), shown)
