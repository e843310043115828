"""Draw the loss cliff of a recurrent net, steps on it, and paths of gradient descent."""

import numpy as np
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.colors import ListedColormap, to_rgb
from matplotlib.patches import FancyArrowPatch
from matplotlib.patheffects import withStroke
from numpy.typing import ArrayLike

from d2lstab.figures.axes import dress
from d2lstab.figures.style import BLUE, GREEN, INK, ORANGE, RED
from d2lstab.regularization.cliff import Landscape, Path, Step
from d2lstab.regularization.clipping import angle

LEVELS = (0, 0.001, 0.01, 0.03, 0.06, 0.1, 0.2, 0.3, 0.4, 0.49)
"""Losses where one shade ends and the next begins."""

COLOURS = {None: RED, "norm": GREEN, "value": ORANGE}
"""Of a step or path, by how its gradient was clipped."""

NAMES = {None: "not clipped", "norm": "clipped by norm", "value": "clipped by value"}

_HALO = [withStroke(linewidth=3, foreground="w")]


def draw_cliff(axes: Axes, landscape: Landscape) -> None:
    """Draw the loss as a map: the darker, the larger; a scale to the right of the axes.

    >>> from matplotlib.figure import Figure
    >>> from d2lstab.regularization.cliff import landscape
    >>> axes = Figure().add_subplot()
    >>> draw_cliff(axes, landscape((4.0, 5.0), (-2.7, -1.9), size=20))
    >>> axes.get_xlim() == (4, 5), axes.get_xlabel()
    (True, 'w, recurrent weight (dimensionless)')
    """
    fades = np.linspace(0, 0.85, len(LEVELS) - 1)[:, None]
    shades = 1 - fades * (1 - np.array(to_rgb(BLUE)))
    w, b = landscape.weights.tolist(), landscape.biases.tolist()
    axes.contourf(w, b, landscape.loss.numpy(), LEVELS, colors=shades)
    axes.set(xlim=(w[0], w[-1]), ylim=(b[0], b[-1]), aspect="equal")  # angles as they are
    axes.set(xlabel="w, recurrent weight (dimensionless)", ylabel="b, bias (dimensionless)")
    dress(axes, grid=False)
    scale = axes.inset_axes((1.025, 0, 0.035, 1))
    edges = range(len(LEVELS))
    scale.pcolormesh([0, 1], edges, np.arange(len(shades))[:, None], cmap=ListedColormap(shades))
    scale.set(xticks=[], yticks=edges, yticklabels=[f"{level:g}" for level in LEVELS])
    scale.yaxis.tick_right()
    scale.tick_params(labelsize=8.5, length=2)
    scale.set_title("loss", fontsize=9)


def draw_path(axes: Axes, path: Path, clip: str | None, label: str | None = None) -> None:
    """Draw gradient descent from one start, as lines from point to point.

    path : points (steps + 1, 2). clip : how it was clipped; gives the colour, and the label
    unless there is one. Where the path leaves the axes for good, an arrow says to which point.

    >>> from matplotlib.figure import Figure
    >>> import torch
    >>> from d2lstab.regularization.cliff import descend
    >>> axes = Figure().add_subplot(xlim=(4, 6), ylim=(-3, -2))
    >>> draw_path(axes, descend(torch.tensor([5.0, -2.5]), 0.1, steps=3), None)
    >>> axes.lines[0].get_xdata().shape
    (4,)
    """
    points = path.points.numpy()
    style = dict(color=COLOURS[clip], lw=1.1, zorder=3)
    axes.plot(*points.T, ".-", ms=4, label=label or NAMES[clip], **style)
    axes.plot(*points[0], "o", color=INK, ms=6, zorder=4)
    inside = [_inside(axes, point) for point in points]
    if not inside[-1] and any(inside):
        last = len(inside) - 1 - inside[::-1].index(True)
        edge = _leave(axes, points[last], points[last + 1])
        words = dict(color=COLOURS[clip], fontsize=9, path_effects=_HALO, zorder=6)
        far = f"to ({points[-1][0]:.1f}, {points[-1][1]:.1f})"
        offset = dict(xytext=(-8, -6), textcoords="offset points", ha="right", va="top")
        axes.annotate(far, edge, **offset, **words)


class StepArrows:
    """Arrows of steps from one point, each in the colour of its clipping, with length and angle.

    axes : where `draw_cliff` has drawn. moving : the artists that change with the point. A step
    that ends outside the axes is drawn dashed, up to their edge.
    """

    def __init__(self, axes: Axes):
        self.axes = axes
        (self.point,) = axes.plot([], [], "o", color=INK, ms=6, zorder=6)
        self.arrows = {clip: _arrow(colour) for clip, colour in COLOURS.items()}
        words = dict(transform=axes.transAxes, fontsize=9, path_effects=_HALO, zorder=6)
        self.words = {
            clip: axes.text(0.025, 0.165 - 0.065 * row, "", color=colour, **words)
            for row, (clip, colour) in enumerate(COLOURS.items())
        }
        for arrow in self.arrows.values():
            axes.add_patch(arrow)
        self.moving: list[Artist] = [*self.arrows.values(), self.point, *self.words.values()]

    def update(self, steps: dict[str | None, Step]) -> None:
        """Show steps from one point, (2,), each by how its gradient was clipped.

        >>> import torch
        >>> from matplotlib.figure import Figure
        >>> from d2lstab.regularization.cliff import step
        >>> arrows = StepArrows(Figure().add_subplot(xlim=(4, 6), ylim=(-3, -2)))
        >>> point = torch.tensor([5.0, -2.6123], dtype=torch.float64)
        >>> arrows.update({clip: step(point, 0.1, clip) for clip in COLOURS})
        >>> arrows.words["value"].get_text()
        'clipped by value: 0.141 long, turned by 13°'
        """
        for clip, step in steps.items():
            start, end = step.start.numpy(), step.end.numpy()
            self.point.set_data([start[0]], [start[1]])
            outside = not _inside(self.axes, end)
            tip = _leave(self.axes, start, end) if outside else end
            self.arrows[clip].set_positions(tuple(start), tuple(tip))
            self.arrows[clip].set_linestyle("--" if outside else "-")
            words = f"{NAMES[clip]}: {np.linalg.norm(end - start):.3g} long"
            if clip is not None:
                words += f", turned by {angle([step.gradient], [step.used]):.0f}°"
            self.words[clip].set_text(words)


def _arrow(colour: str) -> FancyArrowPatch:
    return FancyArrowPatch(
        (0, 0), (0, 0), arrowstyle="-|>", mutation_scale=13, lw=2, color=colour, zorder=5,
        shrinkA=0, shrinkB=0,
    )  # fmt: skip


def _inside(axes: Axes, point: ArrayLike) -> bool:
    (left, right), (bottom, top) = axes.get_xlim(), axes.get_ylim()
    return left <= point[0] <= right and bottom <= point[1] <= top


def _leave(axes: Axes, start: np.ndarray, end: np.ndarray) -> np.ndarray:
    """Where the line from a point inside the axes to one outside crosses their edge."""
    low, high = np.transpose([axes.get_xlim(), axes.get_ylim()])
    way = end - start
    with np.errstate(divide="ignore", invalid="ignore"):
        share = np.where(way > 0, (high - start) / way, (low - start) / way)
    return start + np.nanmin(np.where(way == 0, np.nan, share)) * way
