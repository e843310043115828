"""A tile map of the United States: one square a state, regions between thick lines."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from matplotlib.patches import Rectangle
from matplotlib.text import Text

from d2lstab.figures.style import INK
from d2lstab.shift.regions import REGIONS

_TILES = """
AK .. .. .. .. .. .. .. .. .. ME
.. .. .. .. .. WI .. .. .. VT NH
WA ID MT ND MN IL MI .. NY MA ..
OR NV WY SD IA IN OH PA NJ CT RI
CA UT CO NE MO KY WV VA MD DE ..
.. AZ NM KS AR TN NC SC DC .. ..
.. .. .. OK LA MS AL GA .. .. ..
HI .. .. TX .. .. .. FL .. .. ..
"""

PLACES: dict[str, tuple[int, int]] = {
    state: (column, row)
    for row, line in enumerate(_TILES.split("\n")[1:-1])
    for column, state in enumerate(line.split())
    if state != ".."
}
"""Column and row of a state's tile, from the top left. Neighbours mostly stay neighbours."""

_NAMES = {  # where a region's name stands, in tiles, beside its states
    "Pacific": (0.5, 1.72), "Mountain": (2, 1.72), "West North Central": (3.75, 1.6),
    "East North Central": (5.5, 0.68), "Middle Atlantic": (8.05, 1.6), "New England": (10.55, 2.5),
    "South Atlantic": (8.8, 6.5), "East South Central": (5.9, 7.34),
    "West South Central": (2.1, 6.4),
}  # fmt: skip


@dataclass(frozen=True)
class Tile:
    """The parts of one state's tile: its square, its name, and the line below the name."""

    square: Rectangle
    name: Text
    line: Text

    def paint(self, tint: tuple[float, float, float], line: str) -> None:
        """Give it another colour and another line."""
        self.square.set_facecolor(tint)
        self.line.set_text(line)
        for text in (self.name, self.line):
            text.set_color(ink_on(tint))


def draw_map(axes: Axes) -> dict[str, Tile]:
    """Draw a white tile for each of `PLACES`, and the regions around them; return the tiles.

    >>> from matplotlib.figure import Figure
    >>> tiles = draw_map(Figure().subplots())
    >>> tiles["GA"].paint((0.8, 0, 0), "coke 71")
    >>> tiles["GA"].line.get_text(), tiles["GA"].line.get_color()
    ('coke 71', 'white')
    """
    tiles = {}
    for state, (column, row) in PLACES.items():
        square = axes.add_patch(Rectangle((column, row), 1, 1, fc="white", ec="white", lw=1.2))
        middle = dict(ha="center", va="center")
        name = axes.text(column + 0.5, row + 0.36, state, fontsize=10.5, weight="bold", **middle)
        tiles[state] = Tile(
            square, name, axes.text(column + 0.5, row + 0.73, "", fontsize=8.2, **middle)
        )
    for x, y in _borders():
        axes.plot(x, y, color=INK, lw=1.6, solid_capstyle="round", zorder=3)
    for name, (x, y) in _NAMES.items():
        axes.text(x, y, name.replace(" ", "\n", 1), fontsize=8.5, style="italic", ha="center",
                  va="center", linespacing=0.95)  # fmt: skip
    axes.set(xlim=(-0.1, 11.2), ylim=(8.1, -0.1), aspect="equal")
    axes.set_axis_off()
    return tiles


def _borders() -> Iterator[tuple[list[int], list[int]]]:
    """The sides of tiles where a region ends, as x and y of their two corners."""
    region = {state: name for name, states in REGIONS.items() for state in states}
    at = {place: region[state] for state, place in PLACES.items()}
    for column, row in at:
        here = at[column, row]
        sides = {
            (column, row - 1): ([column, column + 1], [row, row]),
            (column, row + 1): ([column, column + 1], [row + 1, row + 1]),
            (column - 1, row): ([column, column], [row, row + 1]),
            (column + 1, row): ([column + 1, column + 1], [row, row + 1]),
        }
        yield from (side for place, side in sides.items() if at.get(place) != here)


def tint_of(colour: str, share: float) -> tuple[float, float, float]:
    """The colour, paler the smaller the share: a third of it at 0.3, all of it at 0.95."""
    strength = np.clip(0.3 + 0.7 * (share - 0.3) / 0.65, 0.25, 1)
    return tuple(1 - strength * (1 - np.array(to_rgb(colour))))


def ink_on(tint: tuple[float, float, float]) -> str:
    """Black or white, whichever is easier to read on this colour (WCAG's contrast)."""
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in tint]
    luminance = np.dot([0.2126, 0.7152, 0.0722], linear)
    return "white" if 1.05 / (luminance + 0.05) > (luminance + 0.05) / 0.05 else INK
