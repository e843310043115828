"""Draw a block of examples × channels × positions, and in it the numbers that share a mean."""

from collections.abc import Mapping

import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import PolyCollection
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure

from d2lstab.figures.style import BLUE, GREY, INK

# Where one step along each axis leads on paper: examples away to the left, channels away to the
# right, positions down. The cell (0, 0, 0) is the corner nearest to the viewer.
STEPS = np.array([(-(3**0.5) / 2, 0.5), (3**0.5 / 2, 0.5), (0.0, -1.0)])

COLUMNS = 3

# The light falls from above right: how strong the colour is on the faces that lie across the
# examples, the channels and the positions, in cells that belong and in those that do not.
STRONG = (0.78, 1.0, 0.58)
PALE = (0.19, 0.26, 0.12)


def draw_cubes(figure: Figure, sets: Mapping[str, np.ndarray]) -> None:
    """Draw a block for each sharing set, blue the cells in it, grey the others.

    sets : name → bool, (examples, channels, positions), all of one shape: which numbers share a
        mean with the one at (0, 0, 0). That one is outlined in black, nearest to the viewer.

    Over each block, three in a row, stand its name and how many of its numbers share. Raises
    ValueError where the sets differ in shape or have other than three axes.
    """
    arrays = {name: np.asarray(each, dtype=bool) for name, each in sets.items()}
    shapes = {array.shape for array in arrays.values()}
    if len(shapes) != 1 or len(next(iter(shapes))) != 3:
        raise ValueError(
            "sets must have one shape (examples, channels, positions); got "
            + ", ".join(f"{name}: {array.shape}" for name, array in arrays.items())
        )
    grid = figure.subplots(-(-len(arrays) // COLUMNS), COLUMNS, squeeze=False).ravel()
    for axes, (name, array) in zip(grid, arrays.items(), strict=False):
        draw_cube(axes, array)
        axes.set_title(f"{name}\n{array.sum()} of {array.size}", fontsize=10)
    for axes in grid[len(arrays) :]:
        axes.set_axis_off()


def draw_cube(axes: Axes, members: np.ndarray) -> None:
    """Draw one block, (examples, channels, positions), its members blue, and name its axes.

    >>> axes = Figure().subplots()
    >>> draw_cube(axes, np.ones((4, 6, 5), dtype=bool))
    >>> [text.get_text() for text in axes.texts]
    ['4 examples', '6 channels', '5 positions']
    """
    cells, colours = [], []
    for across in range(3):  # the face of the block that lies across this axis, at its index 0
        one, other = np.delete(STEPS, across, axis=0)
        outline = np.array([0 * one, one, one + other, other])
        face = members.take(0, axis=across)
        strong, pale = _on_white(BLUE, STRONG[across]), _on_white(GREY, PALE[across])
        for row, column in np.ndindex(face.shape):
            cells.append(outline + row * one + column * other)
            colours.append(strong if face[row, column] else pale)
        axes.add_collection(
            PolyCollection([outline], facecolors="none", edgecolors=INK, linewidths=1.8, zorder=3)
        )
    axes.add_collection(
        PolyCollection(cells, facecolors=colours, edgecolors="white", linewidths=0.9)
    )
    _name_edges(axes, members.shape)
    axes.set_aspect("equal")
    axes.set_axis_off()
    axes.autoscale_view()


def _name_edges(axes: Axes, shape: tuple[int, ...]) -> None:
    """Along three edges of the block, how long it is and what counts there."""
    examples, channels, positions = np.array(shape)[:, None] * STEPS
    edges = (  # its middle, how it slopes, and where its name stands from there, in points
        ("examples", positions + examples / 2, -30, (-6, -10)),
        ("channels", positions + channels / 2, 30, (6, -10)),
        ("positions", examples + positions / 2, 90, (-11, 0)),
    )
    for length, (name, middle, slope, away) in zip(shape, edges, strict=True):
        axes.annotate(
            f"{length} {name}", middle, away, textcoords="offset points", rotation=slope,
            ha="center", va="center", fontsize=9, color=INK,
        )  # fmt: skip


def _on_white(colour: str, strength: float) -> tuple[float, ...]:
    """The colour diluted with white: all of it at strength 1."""
    return tuple(1 - strength * (1 - channel) for channel in to_rgb(colour))
