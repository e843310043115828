"""Draw a table of probabilities in both its readings, and what a shift moves in each."""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from d2lstab.figures.axes import dress
from d2lstab.figures.style import GREEN, INK, ORANGE, RED, SHADES
from d2lstab.shift.make import Population, compare

LABEL_COLORS = (SHADES[1], ORANGE, GREEN)
INPUT_COLORS = ("#ededed", "#d0d0d0", "#adadad", "#8a8a8a")
STAYS = 1e-9  # rounding


def draw_mosaic(axes: Axes, shares, splits, names: Sequence[str], colors, reference=None) -> None:
    """Draw one column for each value: as wide as it is frequent, split as its conditional says.

    shares : (columns,), the widths, sum 1.  splits : (columns, parts), each row sums to 1; a row
    with NaN is left white.  names : of the columns.
    reference : (columns, parts), splits to mark with dashed lines: where nothing moved, the
    borders lie on them.

    >>> axes = Figure().subplots()
    >>> draw_mosaic(axes, [0.5, 0.5], [[0.2, 0.8], [1, 0]], ["a", "b"], ["red", "blue"])
    >>> [float(patch.get_height()) for patch in axes.patches]
    [0.2, 1.0, 0.8, 0.0]
    """
    shares, splits = np.asarray(shares, float), np.asarray(splits, float)
    left = np.cumsum(shares) - shares
    bottom = np.cumsum(splits, axis=1) - splits
    for part, color in enumerate(colors[: splits.shape[1]]):
        axes.bar(
            left, splits[:, part], shares, bottom[:, part], align="edge", color=color,
            edgecolor="white", lw=1.2,
        )  # fmt: skip
    _write_shares(axes, left + shares / 2, bottom + splits / 2, shares, splits, colors)
    if reference is not None:
        borders = np.cumsum(np.asarray(reference, float), axis=1)[:, :-1]
        axes.hlines(
            borders.T.ravel(), np.tile(left, borders.shape[1]),
            np.tile(left + shares, borders.shape[1]), color=INK, ls=(0, (3, 2)), lw=1.3,
        )  # fmt: skip
    ticks = [f"{name}\n{share:.2f}" for name, share in zip(names, shares, strict=True)]
    axes.set_xticks(left + shares / 2, ticks)
    axes.set(xlim=(0, 1), ylim=(0, 1))
    dress(axes, grid=False)
    axes.tick_params(length=0)


def draw_shifts(
    figure: Figure,
    populations: Mapping[str, Population],
    inputs: Sequence[str],
    labels: Sequence[str],
) -> None:
    """Draw populations side by side, above by input and below by label, and say what moved.

    populations : name → population of the same atoms; the first is the source.
    inputs, labels : names of the atoms (at most four) and of the classes (at most three).

    Above, a column is as wide as P(x) and split by P(y | x); below, as wide as P(y) and split by
    P(x | y). Dashed lines are the source's splits.

    Raises ValueError where names and table differ in number, or there are too many for colours.
    """
    (first, *_) = populations.values()
    if first.joint.shape != (len(inputs), len(labels)):
        raise ValueError(
            f"inputs and labels must name the {first.joint.shape} table; got {len(inputs)} and "
            f"{len(labels)} names."
        )
    if len(inputs) > len(INPUT_COLORS) or len(labels) > len(LABEL_COLORS):
        raise ValueError(
            f"a picture holds {len(INPUT_COLORS)} inputs and {len(LABEL_COLORS)} labels at most; "
            f"got {len(inputs)} and {len(labels)}."
        )
    rows = figure.subplots(2, len(populations), sharey=True, squeeze=False)
    for (name, population), above, below in zip(populations.items(), *rows, strict=True):
        draw_mosaic(above, population.input_probability, population.labels_given_input, inputs,
                    LABEL_COLORS, first.labels_given_input)  # fmt: skip
        draw_mosaic(below, population.prior, population.inputs_given_label.T, labels,
                    INPUT_COLORS, first.inputs_given_label.T)  # fmt: skip
        above.set_title(name, fontsize=10.5, pad=20)
        if population is not first:
            moved = compare(first, population)
            _say(above, "P(x)", moved.inputs, "P(y | x)", moved.labels_given_input)
            _say(below, "P(y)", moved.labels, "P(x | y)", moved.inputs_given_label)
    rows[0, 0].set_ylabel("P(y | x)", fontsize=9)
    rows[1, 0].set_ylabel("P(x | y)", fontsize=9)
    _name_parts(rows[0, -1], LABEL_COLORS, labels)
    _name_parts(rows[1, -1], INPUT_COLORS, inputs)


def _name_parts(axes: Axes, colors: Sequence[str], names: Sequence[str]) -> None:
    """A legend right of the row, in the order in which the parts are stacked."""
    patches = [Patch(color=c, label=name) for c, name in zip(colors, names, strict=False)]
    axes.legend(handles=patches[::-1], loc="center left", bbox_to_anchor=(1.02, 0.5),
                fontsize=8.5, frameon=False)  # fmt: skip


def _write_shares(axes: Axes, across, up, shares, splits, colors) -> None:
    """The number of each part that has room for it, over any dashed line."""
    for column, part in np.argwhere((splits >= 0.09) & (shares[:, None] >= 0.13)):
        axes.text(across[column], up[column, part], f"{splits[column, part]:.2f}",
                  ha="center", va="center", fontsize=8,
                  bbox={"facecolor": colors[part], "edgecolor": "none", "pad": 0.6})  # fmt: skip


def _say(axes: Axes, share: str, moved_share: float, split: str, moved_split: float) -> None:
    """Above the picture, green or red: what stays, and what moved how far."""
    for place, name, moved in ((0, share, moved_share), (1, split, moved_split)):
        stays = moved <= STAYS
        axes.text(place, 1.02, f"{name} {'stays' if stays else f'moves {moved:.2f}'}",
                  transform=axes.transAxes, ha=("left", "right")[place], va="bottom", fontsize=8.5,
                  color=GREEN if stays else RED)  # fmt: skip
