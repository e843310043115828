"""Draw what optimizers do: curves in one panel per network, and scores with their intervals."""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import Tensor

from d2lstab.figures.axes import dress
from d2lstab.figures.style import BLUE, GREEN, GREY, INK, NAVY, ORANGE, RED
from d2lstab.statistics import interval

LOOKS = {
    "SGD": (BLUE, "o", "-"),
    "momentum": (NAVY, "s", "--"),
    "RMSProp": (ORANGE, "^", "-"),
    "Adam": (RED, "v", "--"),
    "LARS": (GREEN, "D", "-"),
}
"""Colour, marker and line of each optimizer."""
OTHERS = ((INK, None, ":"), (GREY, "X", "-."))
"""Of the names that are no optimizer, in turn: predictions first."""


def draw_panels(
    figure: Figure,
    panels: Mapping[str, Mapping[str, Tensor]],
    across: Mapping[str, Tensor],
    xlabel: str,
    ylabel: str,
    xscale: str = "linear",
    yscale: str = "linear",
) -> list[Axes]:
    """Draw one panel for each network, its curves in it; return the axes, which share y.

    panels : network → curve → y, shape (points,). across : curve → x, shape (points,).
    xscale, yscale : "linear" or "log". Names in `LOOKS` have the same look in every figure.

    >>> y = np.array([1.0, 2.0])
    >>> panels = {"stable": {"SGD": y, "predicted": y}}
    >>> [axes] = draw_panels(Figure(), panels, {"SGD": y, "predicted": y}, "layer", "step")
    >>> [line.get_label() for line in axes.lines]
    ['SGD', 'predicted']
    """
    axes = figure.subplots(1, len(panels), sharey=True, squeeze=False)[0]
    looks = _looks([name for curves in panels.values() for name in curves])
    shown = {}
    for place, (title, curves) in zip(axes, panels.items(), strict=True):
        for name, y in curves.items():
            color, marker, line = looks[name]
            shown[name] = place.plot(
                np.asarray(across[name]), np.asarray(y), color=color, marker=marker, ls=line,
                lw=1.6, ms=3.5, label=name, zorder=3 if name in LOOKS else 4,
            )[0]  # fmt: skip
        place.set(xscale=xscale, yscale=yscale, xlabel=xlabel)
        place.set_title(title, fontsize=9.5)
        place.minorticks_off()  # of ten log axes they take seconds to draw
        dress(place)
    axes[0].set_ylabel(ylabel)
    dress(axes[0])
    figure.legend(shown.values(), shown, loc="outside lower center", ncol=len(shown), fontsize=8.5,
                  frameon=False)  # fmt: skip
    return list(axes)


def draw_scores(axes: Axes, scores: Mapping[str, Mapping[str, Tensor]], ylabel: str) -> None:
    """Draw for each network the scores of its optimizers: every seed a dot, their mean and its bar.

    scores : network → optimizer → shape (seeds,), two seeds or more. The bar is its `interval`.

    >>> axes = Figure().add_subplot()
    >>> draw_scores(axes, {"stable": {"SGD": np.array([0.8, 0.9])}}, "accuracy")
    >>> [label.get_text() for label in axes.get_xticklabels()]
    ['stable']
    """
    looks = _looks([name for row in scores.values() for name in row])
    offsets = np.linspace(-0.34, 0.34, len(looks)) if len(looks) > 1 else np.zeros(1)
    for place, row in enumerate(scores.values()):
        for offset, (name, (color, marker, _)) in zip(offsets, looks.items(), strict=True):
            if name not in row:
                continue
            values = np.asarray(row[name])
            axes.plot(np.full(len(values), place + offset), values, ".", color=color, alpha=0.4,
                      ms=5, mew=0)  # fmt: skip
            axes.errorbar(
                place + offset, values.mean(), interval(values), color=color, marker=marker or "o",
                ms=5, capsize=3, ls="", label=name if place == 0 else None,
            )  # fmt: skip
    axes.set_xticks(range(len(scores)), list(scores))
    axes.set_ylabel(ylabel)
    dress(axes)
    axes.grid(visible=False, axis="x")


def _looks(names: Sequence[str]) -> dict[str, tuple[str, str | None, str]]:
    """The look of each name, the optimizers first."""
    known = [name for name in LOOKS if name in names]
    others = [name for name in dict.fromkeys(names) if name not in LOOKS]
    drawn = {name: OTHERS[k % len(OTHERS)] for k, name in enumerate(others)}
    return {name: LOOKS[name] for name in known} | drawn
