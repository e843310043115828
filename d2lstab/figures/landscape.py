"""Draw what was measured along a training run or along a gradient: means and errors over seeds."""

import math
from collections.abc import Mapping
from functools import partial

import numpy as np
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.ticker import FuncFormatter
from numpy.typing import ArrayLike

from d2lstab.figures.axes import dress
from d2lstab.figures.style import BLUE, GREEN, GREY, ORANGE

_LINES = ((ORANGE, "-"), (BLUE, "--"), (GREEN, "-."), (GREY, ":"))


def draw_means(
    axes: Axes, x: ArrayLike, curves: Mapping[str, ArrayLike], log: bool = False
) -> None:
    """Draw the mean over seeds of up to four curves, and a band of one standard error around it.

    x : (k,). curves : name → (seeds, k). Where a value is not finite, the mean is not drawn.
    log : makes the vertical axis logarithmic, with plain numbers at its ticks.

    Raises ValueError for more than four curves or a shape that does not fit.

    >>> from matplotlib.figure import Figure
    >>> axes = Figure().subplots()
    >>> draw_means(axes, [1, 2], {"plain": [[0, 2], [2, 4]]})
    >>> axes.lines[0].get_ydata()
    array([1., 3.])
    """
    for (color, style), (name, values) in _styled(x, curves, dimensions=2):
        with np.errstate(invalid="ignore"):
            mean, error = values.mean(0), np.zeros(values.shape[1])
            if len(values) > 1:
                error = values.std(0, ddof=1) / len(values) ** 0.5
        axes.plot(x, mean, style, color=color, lw=1.7, label=name)
        axes.fill_between(x, mean - error, mean + error, color=color, alpha=0.22, lw=0)
    _dress(axes, log)


def draw_ranges(
    axes: Axes, x: ArrayLike, ranges: Mapping[str, ArrayLike], log: bool = False
) -> None:
    """Draw from the least to the largest value that was met at each x, means over seeds.

    x : (k,). ranges : name → (seeds, k, values), up to four. log : as for `draw_means`.

    Raises ValueError for more than four ranges or a shape that does not fit.

    >>> from matplotlib.figure import Figure
    >>> axes = Figure().subplots()
    >>> draw_ranges(axes, [1, 2], {"plain": [[[0, 2, 1], [5, 3, 4]]]})
    >>> [line.get_ydata().tolist() for line in axes.lines]
    [[0.0, 3.0], [2.0, 5.0]]
    """
    for (color, style), (name, values) in _styled(x, ranges, dimensions=3):
        low, high = values.min(2).mean(0), values.max(2).mean(0)
        axes.fill_between(x, low, high, color=color, alpha=0.3, lw=0, label=name)
        for edge in (low, high):
            axes.plot(x, edge, style, color=color, lw=1.2)
    _dress(axes, log)


def _dress(axes: Axes, log: bool) -> None:
    dress(axes)
    if log:
        axes.set_yscale("log")
        name = FuncFormatter(partial(_name_of_tick, axes.yaxis))
        axes.yaxis.set_major_formatter(name)
        axes.yaxis.set_minor_formatter(name)
        axes.tick_params(axis="y", which="minor", labelsize=8.5)


def _name_of_tick(axis: Axis, value: float, _position: int | None) -> str:
    """Powers of ten as plain numbers; below two decades also 2 and 5 times them."""
    low, high = axis.get_view_interval()
    digit = round(value / 10 ** math.floor(math.log10(value) + 1e-9))
    return f"{value:g}" if digit == 1 or (digit in (2, 5) and high < 100 * low) else ""


def _styled(x: ArrayLike, curves: Mapping[str, ArrayLike], dimensions: int):
    """Pairs of (colour, line) and (name, array)."""
    if len(curves) > len(_LINES):
        raise ValueError(f"{len(_LINES)} curves can be told apart; got {len(curves)}.")
    arrays = {name: np.asarray(values, float) for name, values in curves.items()}
    for name, array in arrays.items():
        if array.ndim != dimensions or array.shape[1] != len(x):
            rest = ", values" * (dimensions - 2)
            need = f"{name!r} must have the shape (seeds, {len(x)}{rest})"
            raise ValueError(f"{need}; got {array.shape}.")
    return zip(_LINES, arrays.items(), strict=False)
