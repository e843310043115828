"""Draw what cures of one failing network did: to its gradient before training, and to its score."""

from collections.abc import Mapping

import numpy as np
from matplotlib.figure import Figure
from torch import Tensor

from d2lstab.figures.style import BLUE, GREEN, GREY, INK, RED

STABLE = 100.0
"""The band from 1 / `STABLE` to `STABLE` is shaded: there a gradient's ratio is harmless."""

LEARNED = 0.5
"""Mean accuracy from which a row is drawn as learned: half right, where guessing gives 0.1."""


def draw_cures(
    figure: Figure, ratios: Mapping[str, float], accuracies: Mapping[str, Tensor]
) -> None:
    """Draw one row per cure: left the gradient's ratio, right the accuracy, on two new axes.

    ratios : name → gradient norm at the first hidden layer over that at the last, > 0; the order
        is that of the rows, from the top.
    accuracies : the same names → shares, shape (seeds,); each seed is a dot, their mean a line,
        their standard deviation an error bar.

    Raises ValueError where the names differ.

    >>> figure = Figure()
    >>> draw_cures(figure, {"ReLU": 1e-8}, {"ReLU": Tensor([0.1, 0.2])})
    >>> [axes.get_xscale() for axes in figure.axes]
    ['log', 'linear']
    """
    if list(ratios) != list(accuracies):
        raise ValueError(f"the names differ: ratios {[*ratios]}, accuracies {[*accuracies]}.")
    left, right = figure.subplots(1, 2, sharey=True, width_ratios=(1.25, 1))
    rows = np.arange(len(ratios))
    _draw_ratios(left, rows, np.array(list(ratios.values())))
    _draw_accuracies(right, rows, [values.numpy() for values in accuracies.values()])
    left.set_yticks(rows, list(ratios))
    left.set_ylim(len(rows) - 0.5, -0.5)
    for axes in (left, right):
        axes.tick_params(axis="y", length=0)
        axes.grid(axis="x", alpha=0.4)


def _draw_ratios(axes, rows: np.ndarray, ratios: np.ndarray) -> None:
    axes.set_xscale("log")
    axes.axvspan(1 / STABLE, STABLE, color=GREEN, alpha=0.15, lw=0)
    axes.axvline(1, color=INK, lw=0.8)
    inside = (ratios >= 1 / STABLE) & (ratios <= STABLE)
    for row, ratio, ok in zip(rows, ratios, inside, strict=True):
        axes.plot([1, ratio], [row, row], "o-", color=GREEN if ok else RED, lw=2, markevery=[1])
    axes.set_xlabel("gradient before training,\nlayer 1 / layer 50 (log)")


def _draw_accuracies(axes, rows: np.ndarray, scores: list[np.ndarray]) -> None:
    axes.axvline(0.1, color=GREY, ls="--", lw=1)
    for row, values in zip(rows, scores, strict=True):
        color = BLUE if values.mean() >= LEARNED else RED
        spread = values.std(ddof=1) if len(values) > 1 else 0
        axes.errorbar(
            values.mean(), row, xerr=spread, fmt="|", color=color, ms=11, mew=2, capsize=3
        )
        axes.plot(values, np.full(len(values), row), "o", color=color, alpha=0.4, ms=5, mew=0)
    axes.set(
        xlim=(0, 1), xlabel="held-out accuracy after 100 steps,\ndots: seeds (dashed: guessing)"
    )
