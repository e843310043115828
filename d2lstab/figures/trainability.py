"""Draw how far plain networks can be trained: accuracy over depth and weight variance."""

import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import QuadMesh
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.ticker import NullLocator

from d2lstab.figures.style import GREY, ORANGE, SHADES

_SHARES = LinearSegmentedColormap.from_list("shares", SHADES)


def draw_trainability(
    axes: Axes,
    variances: np.ndarray,
    depths: np.ndarray,
    accuracies: np.ndarray,
    line: tuple[np.ndarray, np.ndarray] | None = None,
    label: str = "",
) -> QuadMesh:
    """Draw a cell for each network, as dark as it is accurate, and theory's line over them.

    variances : σ_w², rising, shape (m,), two at least. depths : hidden layers, rising, > 0, shape
    (n,), two at least; they stand on a log scale.
    accuracies : shares, shape (n, m); 0.1, guessing, is white; NaN, a cell not trained, is grey.
    line : x and y of the line, σ_w² and depth; ``label`` names it in a legend.

    Raises ValueError where the shape of the accuracies is another.

    >>> from matplotlib.figure import Figure
    >>> axes = Figure().subplots()
    >>> mesh = draw_trainability(axes, np.array([1, 2]), np.array([10, 20]), np.ones((2, 2)))
    >>> axes.get_yscale()
    'log'
    """
    if np.shape(accuracies) != (len(depths), len(variances)):
        need = f"accuracies must have the shape (depths, variances) = {len(depths), len(variances)}"
        raise ValueError(f"{need}; got {np.shape(accuracies)}.")
    across, up = _edges(np.asarray(variances, float)), np.exp(_edges(np.log(depths)))
    axes.set_facecolor(GREY)
    mesh = axes.pcolormesh(across, up, np.ma.masked_invalid(accuracies), cmap=_SHARES,
                           vmin=0.1, vmax=1, edgecolors="white", lw=0.3)  # fmt: skip
    axes.set_yscale("log")
    axes.set_yticks(depths, [f"{depth:g}" for depth in depths])
    axes.yaxis.set_minor_locator(NullLocator())
    if line is not None:
        axes.plot(*line, color=ORANGE, lw=2.5, label=label)
        axes.legend(loc="upper right", framealpha=1)
    axes.set(xlim=across[[0, -1]], ylim=up[[0, -1]])
    axes.set(xlabel="σ_w², variance of weights × fan-in (dimensionless)")
    axes.set(ylabel="depth, hidden layers (log)")
    bar = axes.figure.colorbar(mesh, ax=axes, pad=0.02)
    bar.set_label("accuracy after the budget (share)")
    return mesh


def _edges(centres: np.ndarray) -> np.ndarray:
    """Borders of the cells around these centres, halfway between two."""
    middle = (centres[1:] + centres[:-1]) / 2
    first, last = 2 * centres[0] - middle[0], 2 * centres[-1] - middle[-1]
    return np.concatenate([[first], middle, [last]])
