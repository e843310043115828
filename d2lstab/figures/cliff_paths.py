"""Draw descents on the loss cliff: the map with the first steps and the paths, and their losses."""

from functools import lru_cache

import numpy as np
from matplotlib.artist import Artist
from matplotlib.figure import Figure

from d2lstab.figures.axes import dress
from d2lstab.figures.cliff import COLOURS, NAMES, StepArrows, draw_cliff
from d2lstab.regularization.cliff import Landscape, landscape
from d2lstab.regularization.cliff_trial import STEPS, CliffTrial

WEIGHTS, BIASES = (3.7, 5.9), (-3.4, -1.6)
"""Of the map."""

_FAR = 1e4  # where a path that flies away is cut off, for matplotlib's sake


class CliffFigure:
    """Two panels that are made to be updated many times a second.

    Left, the loss over weight and bias, with the first step of each descent as an arrow and its
    further steps as thin lines; right, the loss after each step.

    figure : the matplotlib Figure to fill, about 11 × 4.2 inches.
    moving : the artists that change with every update.
    """

    def __init__(self, figure: Figure):
        self.figure = figure
        grid = figure.add_gridspec(
            1, 2, left=0.055, right=0.988, top=0.92, bottom=0.12, wspace=0.36
        )
        self.map, self.losses = (figure.add_subplot(cell) for cell in grid)
        self.map.set_anchor("W")
        title = dict(loc="left", fontsize=10, y=1.0)
        self.map.set_title("loss, first steps (arrows) and paths", **title)
        self.arrows = StepArrows(self.map)
        style = dict(marker=".", ms=4, lw=1)
        self.paths = {
            clip: self.map.plot([], [], color=color, **style)[0] for clip, color in COLOURS.items()
        }
        self.losses.set_title("loss after each step", **title)
        self.losses.set(xlim=(0, STEPS), ylim=(-0.01, 0.5), xlabel="step")
        self.losses.set_ylabel("loss (squared error)", labelpad=1)
        self.curves = {
            clip: self.losses.plot([], [], color=color, label=NAMES[clip], **style)[0]
            for clip, color in COLOURS.items()
        }
        self.losses.legend(fontsize=8.5, frameon=False, loc="upper right")
        self._length = 0
        # what is not clipped comes last: where there is nothing to clip, it covers the others
        arrows = self.arrows
        moving = [self.paths.values(), arrows.arrows.values(), self.curves.values()]
        self.moving: list[Artist] = [artist for part in moving for artist in reversed(part)]
        self.moving += [arrows.point, *arrows.words.values()]
        for artist in self.moving:
            artist.set_animated(True)
        dress(self.losses)
        self.losses.set_autoscale_on(False)

    def update(self, trial: CliffTrial) -> int:
        """Show ``trial``; return what the background depends on: the length of the net."""
        if trial.spec.length != self._length:
            self._length = trial.spec.length
            self._draw_map()
        self.arrows.update(trial.steps)
        for clip, path in trial.paths.items():
            points = np.clip(path.points.numpy(), -_FAR, _FAR)
            self.paths[clip].set_data(*points.T)
            self.curves[clip].set_data(np.arange(STEPS + 1), path.loss.numpy())
        return self._length

    def _draw_map(self) -> None:
        """Draw the landscape of this length in place of the one before."""
        before = [a for a in self.map.collections if a not in self.moving]
        for artist in [*before, *self.map.child_axes]:
            artist.remove()
        draw_cliff(self.map, _landscape(self._length))
        self.map.set_autoscale_on(False)


@lru_cache(maxsize=16)
def _landscape(length: int) -> Landscape:
    return landscape(WEIGHTS, BIASES, size=101, length=length)
