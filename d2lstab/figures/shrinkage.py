"""Draw what a penalty does: to each direction of the inputs, and to each weight as it grows."""

from collections.abc import Mapping

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import LogLocator, NullFormatter
from numpy.typing import ArrayLike

from d2lstab.figures.axes import dress
from d2lstab.figures.style import BLUE, GREEN, GREY, NAVY, ORANGE, RED

_COLORS = (BLUE, ORANGE, GREEN, RED, NAVY)


def draw_directions(
    axes: Axes,
    singular_values: ArrayLike,
    predicted: Mapping[str, ArrayLike],
    measured: Mapping[str, ArrayLike],
) -> None:
    """Draw up to five quantities by direction: predicted as lines, measured as circles.

    singular_values : > 0, (k,), in any order. predicted, measured : name → (k,), the same names.

    Raises ValueError where names or shapes do not fit.

    >>> from matplotlib.figure import Figure
    >>> axes = Figure().subplots()
    >>> draw_directions(axes, [2, 1], {"λ = 1": [0.8, 0.5]}, {"λ = 1": [0.79, 0.52]})
    >>> [line.get_ydata().tolist() for line in axes.lines]
    [[0.5, 0.8], [0.52, 0.79]]
    """
    if list(predicted) != list(measured) or len(predicted) > len(_COLORS):
        raise ValueError(
            f"predicted and measured must have the same names, at most {len(_COLORS)}; got "
            f"{list(predicted)} and {list(measured)}."
        )
    order = np.argsort(np.asarray(singular_values))
    x = np.asarray(singular_values)[order]
    for color, name in zip(_COLORS, predicted, strict=False):
        line, marks = (_values(name, given[name], x)[order] for given in (predicted, measured))
        axes.plot(x, line, color=color, lw=1.4, label=f"{name}: predicted")
        axes.plot(x, marks, "o", color=color, ms=4, mfc="none", label=f"{name}: measured")
    axes.set(xscale="log", xlabel="singular value of the inputs (log)")
    dress(axes)


def draw_path(
    axes: Axes,
    penalties: ArrayLike,
    weights: ArrayLike,
    names: Mapping[int, str],
    check: ArrayLike,
) -> None:
    """Draw every weight against the penalty; exact zeros are left out.

    penalties : > 0, (k,). weights : (k, features). names : column → name, up to five, in colour.
    check : (k, features), the same by another solver: points over the named weights.

    Raises ValueError where a shape does not fit or too many weights are named.

    >>> from matplotlib.figure import Figure
    >>> axes = Figure().subplots()
    >>> weights = [[0.5, 0.2], [0.3, 0.0]]
    >>> draw_path(axes, [0.1, 1], weights, {0: "age"}, check=weights)
    >>> [line.get_label() for line in axes.lines if line.get_label()[0] != "_"]
    ['age']
    """
    if len(names) > len(_COLORS):
        raise ValueError(f"names must be {len(_COLORS)} at most; got {len(names)}.")
    paths, checks = (
        _zeros_out(_values(name, rows, penalties))
        for name, rows in {"weights": weights, "check": check}.items()
    )
    axes.axhline(0, color=GREY, lw=0.8)
    axes.plot(penalties, np.delete(paths, list(names), axis=1), color=GREY, lw=0.7, alpha=0.6)
    for color, (column, name) in zip(_COLORS, names.items(), strict=False):
        axes.plot(penalties, paths[:, column], color=color, lw=1.7, label=name)
        axes.plot(penalties, checks[:, column], ".", color=color, ms=6)
    axes.set(xscale="log", xlabel="penalty λ₁ (log)", ylabel="weight")
    axes.xaxis.set_major_locator(LogLocator(subs=(1, 3)))
    axes.xaxis.set_major_formatter("{x:g}")
    axes.xaxis.set_minor_formatter(NullFormatter())
    dress(axes)


def _values(name: str, values: ArrayLike, x: ArrayLike) -> np.ndarray:
    array = np.asarray(values, float)
    if len(array) != len(x):
        raise ValueError(f"{name!r} must have the length {len(x)}; got {len(array)}.")
    return array


def _zeros_out(weights: np.ndarray) -> np.ndarray:
    return np.where(weights == 0, np.nan, weights)
