"""Draw a law and what was found: the line, and the mean and scatter of measurements beside it."""

import numpy as np
from matplotlib.axes import Axes
from numpy.typing import ArrayLike

from d2lstab.figures.axes import dress


def draw_law(
    axes: Axes, x: ArrayLike, law: ArrayLike, found: ArrayLike, color: str, name: str
) -> None:
    """Draw a law as a line, and measurements as points with a bar of one standard deviation.

    x, law : (k,). found : (k, draws), two draws or more; their mean is the point.

    Raises ValueError where the shapes do not fit.

    >>> from matplotlib.figure import Figure
    >>> axes = Figure().subplots()
    >>> draw_law(axes, [1, 2], [0.5, 0.7], [[0.4, 0.6], [0.7, 0.9]], "C0", "gain 3")
    >>> [line.get_ydata().tolist() for line in axes.lines[:2]]
    [[0.5, 0.7], [0.5, 0.8]]
    """
    x, law, found = (np.asarray(values, float) for values in (x, law, found))
    if x.shape != law.shape or found.ndim != 2 or found.shape[:1] != x.shape:
        raise ValueError(
            "x and law must have the shape (k,) and found (k, draws); got "
            f"{x.shape}, {law.shape} and {found.shape}."
        )
    axes.plot(x, law, color=color, lw=1.2, label=f"{name}: law")
    axes.errorbar(
        x, found.mean(1), found.std(1, ddof=1), color=color, ls="", marker="o", ms=4, capsize=2,
        label=f"{name}: measured ± sd",
    )  # fmt: skip
    dress(axes)
