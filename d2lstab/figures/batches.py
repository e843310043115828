"""Draw means with their error bars against a quantity, and a batch's statistics layer by layer."""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullLocator
from torch import Tensor

from d2lstab.figures.axes import dress
from d2lstab.figures.style import BLUE, GREEN, GREY, INK, ORANGE
from d2lstab.normalization.batches import Mismatch
from d2lstab.statistics import interval

LOOKS = ((BLUE, "o"), (ORANGE, "s"), (GREEN, "^"), (INK, "D"))


def draw_means(axes: Axes, x: Sequence[float], runs: Mapping[str, Tensor | np.ndarray]) -> None:
    """Draw the mean of each column with its 95 % interval, one line for each name; at most four.

    x : (points,). runs : name → (repetitions, points), at least two repetitions.
    The bar is `statistics.interval`. Raises ValueError for more than four.

    >>> axes = Figure().subplots()
    >>> draw_means(axes, [2, 8], {"batch": np.array([[0.2, 0.9], [0.4, 0.9]])})
    >>> axes.lines[0].get_ydata().round(3)
    array([0.3, 0.9])
    """
    for (name, values), (color, marker) in _looks("lines", runs):
        values = np.asarray(values, float)
        axes.errorbar(x, values.mean(0), interval(values), fmt=f"-{marker}", color=color, ms=4.5,
                      lw=1.4, capsize=3, label=name)  # fmt: skip
    axes.legend(fontsize=8.5, frameon=False)
    dress(axes)


def draw_mismatches(figure: Figure, batches: Mapping[str, Sequence[Mismatch]]) -> None:
    """Draw a dot for each channel of each layer: to the left the means, to the right the variances.

    batches : name of a batch → its mismatches, the same layers in each. Raises ValueError for
        more than four.
    """
    left, right = figure.subplots(1, 2)
    width = 0.8 / len(batches)
    for index, ((name, layers), (color, _)) in enumerate(_looks("batches", batches)):
        for number, layer in enumerate(layers, 1):
            # side by side in a fixed order: dots on one another would hide how many there are
            across = np.linspace(0.1, 0.9, len(layer.mean)) * width - 0.4 + index * width + number
            label = name if number == 1 else None
            left.plot(across, layer.mean.cpu(), ".", color=color, ms=4, label=label)
            right.plot(across, layer.variance.cpu(), ".", color=color, ms=4)
    for axes, agree in ((left, 0), (right, 1)):
        axes.axhline(agree, color=GREY, ls="--", lw=1)
        axes.set(xlabel="batch-norm layer", xticks=range(1, len(layers) + 1))
        dress(axes)
    left.set_ylabel("mean of the batch, less the running one\n(running standard deviations)")
    right.set(ylabel="variance of the batch /\nrunning variance (log)", yscale="log")
    right.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))  # often less than a decade
    right.yaxis.set_major_formatter("{x:g}")
    right.yaxis.set_minor_locator(NullLocator())
    left.legend(fontsize=8.5, frameon=False, markerscale=2)


def _looks(what: str, named: Mapping) -> zip:
    """Each name and value with a colour and a marker."""
    if len(named) > len(LOOKS):
        raise ValueError(f"a figure can have at most {len(LOOKS)} {what}; got {len(named)}.")
    return zip(named.items(), LOOKS, strict=False)
