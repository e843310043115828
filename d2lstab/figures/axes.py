"""What the axes of all figures share: their dress, and limits that move in steps."""

import math
from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from torch import Tensor

LOW, HIGH = (-3, -6, -12, -24, -48), (1, 3, 6, 12, 24, 40)
"""Decades where a log axis of a live picture may end: it must not move with every value."""

DEPTHS = (5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10_000, 20_000, 50_000, 100_000)


def dress(axes: Axes, grid: bool = True) -> None:
    """Give axes the sizes of ticks and labels, the thin grid and the open corner of the course."""
    axes.tick_params(labelsize=8.5)
    for label in (axes.xaxis.label, axes.yaxis.label):
        label.set_fontsize(9)
    axes.spines[["top", "right"]].set_visible(False)
    if grid:
        axes.grid(color="#e4e4e4", linewidth=0.7)


def last_layer(layers: int) -> int:
    """Where a layer axis ends: the next step in depth, and the output layer.

    >>> last_layer(31), last_layer(51), last_layer(52)
    (51, 51, 101)
    """
    return next((depth + 1 for depth in DEPTHS if depth + 1 >= layers), layers)


def decades(arrays: Sequence[Tensor | np.ndarray]) -> tuple[int, int]:
    """The narrowest pair of steps from `LOW` and `HIGH` that holds all positive finite values.

    Beyond the last step it is the next whole decade.

    >>> decades([np.array([0.02, 3.0, np.inf])])
    (-3, 1)
    >>> decades([np.array([1e-60])])
    (-60, 1)
    """
    values = np.concatenate([np.asarray(array) for array in arrays])
    values = np.log10(values[np.isfinite(values) & (values > 0)])
    least, most = (values.min(), values.max()) if len(values) else (0, 0)
    low = next((step for step in LOW if step <= least), math.floor(least))
    return low, next((step for step in HIGH if step >= most), math.ceil(most))
