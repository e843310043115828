"""Draw the soft-drink map: one tile a state, what is said there, and how well a model does."""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure
from matplotlib.patches import Patch, Rectangle

from d2lstab.figures.axes import dress
from d2lstab.figures.style import BLUE, GREY, INK, ORANGE, RED, SHADES
from d2lstab.figures.tiles import PLACES, draw_map, ink_on, tint_of
from d2lstab.shift.regions import ROUND_TRIP, SHARES, WORDS, Transfer

COLOURS = dict(zip(WORDS, (BLUE, ORANGE, RED, GREY), strict=True))
LOWEST = 0.45
"""The accuracy that is white, just below the lowest: half of the drinks have one name."""

_SHARES = LinearSegmentedColormap.from_list("shares", SHADES)


def draw_words(axes: Axes) -> None:
    """Draw each state with the word said most often there: a colour each, deep if all say it.

    >>> from matplotlib.figure import Figure
    >>> axes = Figure().subplots()
    >>> draw_words(axes)
    >>> [text.get_text() for text in axes.texts][1]
    'soda 57'
    """
    for state, tile in draw_map(axes).items():
        word, share = WORDS[SHARES[state].argmax()], SHARES[state].max()
        tile.paint(tint_of(COLOURS[word], share), f"{word} {100 * share:.0f}")
    handles = [Patch(color=tint_of(COLOURS[word], 0.8), label=word) for word in WORDS[:3]]
    axes.legend(
        handles=handles, loc="upper center", bbox_to_anchor=(0.53, 0.02), ncols=3, frameon=False,
        fontsize=9, title="what most say there; number: percent of answers", title_fontsize=9,
    )  # fmt: skip


def draw_transfer(axes: Axes, transfer: Transfer) -> None:
    """Draw the accuracy of each place's model in each place, in percent, as a matrix.

    >>> from matplotlib.figure import Figure
    >>> axes = Figure().subplots()
    >>> draw_transfer(axes, Transfer(("here", "there"), np.array([[1, 0.6], [0.7, 0.9]])))
    >>> [text.get_text() for text in axes.texts]
    ['100', '60', '70', '90']
    """
    accuracy, names = transfer.accuracy, transfer.names
    image = axes.imshow(accuracy, cmap=_SHARES, vmin=LOWEST, vmax=1, aspect="auto")
    for row, column in np.ndindex(accuracy.shape):
        tint = image.to_rgba(accuracy[row, column])[:3]
        axes.text(column, row, f"{100 * accuracy[row, column]:.0f}", color=ink_on(tint),
                  fontsize=9, ha="center", va="center")  # fmt: skip
    ticks = range(len(names))
    axes.set_xticks(ticks, names, rotation=40, ha="right", rotation_mode="anchor")
    axes.set_yticks(ticks, names)
    axes.set(xlabel="used in", ylabel="model of")
    axes.set_title("accuracy (percent)", fontsize=10)
    dress(axes, grid=False)
    axes.spines[:].set_visible(False)
    axes.tick_params(length=0)


def draw_road(axes: Axes, states: Sequence[str], accuracies: Sequence[float]) -> None:
    """Draw how often one model is right along a road; bars have the colour of the place's word.

    >>> from matplotlib.figure import Figure
    >>> axes = Figure().subplots()
    >>> draw_road(axes, ["CA", "AZ", "NM"], [0.9, 0.85, 0.7])
    >>> [text.get_text() for text in axes.texts]
    ['soda', 'soda', 'coke']
    """
    places = range(len(states))
    words = [WORDS[SHARES[state].argmax()] for state in states]
    axes.bar(places, accuracies, 0.84, color=[tint_of(COLOURS[word], 0.75) for word in words])
    for place, word, accuracy in zip(places, words, accuracies, strict=True):
        axes.text(place, accuracy + 0.015, word, ha="center", va="bottom", fontsize=8.5)
    axes.set_xticks(places, states)
    axes.set(xlabel="states in the order of the road", ylabel="accuracy (share)", ylim=(0, 1.09))
    axes.set_xlim(-0.6, len(states) - 0.4)
    dress(axes, grid=False)


class RegionsFigure:
    """One state's model in all states: the map, its round trip, and the words where it is now.

    figure : the matplotlib Figure to fill, about 11 × 5 inches.
    moving : the artists that change from stop to stop; the map changes only with the model.
    """

    def __init__(self, figure: Figure):
        self.figure = figure
        grid = figure.add_gridspec(
            2, 2, left=0.005, right=0.988, top=0.94, bottom=0.1, wspace=0.09, hspace=0.62,
            width_ratios=(1.55, 1), height_ratios=(1, 1.25),
        )  # fmt: skip
        self.country = country = figure.add_subplot(grid[:, 0])
        self.words, self.trip = (figure.add_subplot(grid[row, 1]) for row in (0, 1))
        self.tiles = draw_map(country)
        frame = dict(fill=False, zorder=4)
        self.home = country.add_patch(Rectangle((0, 0), 0.88, 0.88, ec=ORANGE, lw=3.5, **frame))
        (self.car,) = country.plot([], [], "o", color=ORANGE, mec=INK, ms=9, zorder=5)
        self.title = self.words.text(
            0, 1.06, "", transform=self.words.transAxes, fontsize=10, va="bottom"
        )
        self.bars = self.words.barh(range(4), [0] * 4, 0.75)
        self._dress()
        (self.line,) = self.trip.plot([], [], ".-", color=BLUE, lw=1.4, ms=6)
        (self.here,) = self.trip.plot([], [], "o", color=ORANGE, mec=INK, ms=9)
        self.moving: list[Artist] = [self.car, *self.bars, self.title, self.here]
        self._shown = ""
        for artist in self.moving:
            artist.set_animated(True)

    def _dress(self) -> None:
        self.words.set_yticks(range(4), WORDS)
        self.words.set(xlim=(0, 1), ylim=(3.5, -0.5), xlabel="share of answers")
        self.trip.set(xlim=(0.3, len(ROUND_TRIP) + 0.7), ylim=(0.48, 1))
        self.trip.set(xlabel="stop of the round trip", ylabel="accuracy (share)")
        self.trip.set_title("the model on its round trip", loc="left", fontsize=10, pad=5)
        for axes in (self.words, self.trip):
            dress(axes)

    def update(self, accuracies: Mapping[str, float], home: str, stop: int) -> None:
        """Show the model of ``home``, with its accuracy in each state, at a stop of `ROUND_TRIP`.

        stop : 1 for the first.
        """
        at = ROUND_TRIP[stop - 1]
        if home != self._shown:
            self._shown = home
            self._show_map(accuracies, home)
        column, row = PLACES[at]
        self.car.set_data([column + 0.9], [row + 0.1])
        self.here.set_data([stop], [accuracies[at]])
        says = int(SHARES[home].argmax())
        for word, (bar, share) in enumerate(zip(self.bars, SHARES[at], strict=True)):
            bar.set_width(share)
            bar.set_color(COLOURS[WORDS[word]] if word == says else "#d0d0d0")
        self.title.set_text(f"said in {at}; the model from {home} says {WORDS[says]}")

    def _show_map(self, accuracies: Mapping[str, float], home: str) -> None:
        for state, tile in self.tiles.items():
            shade = (accuracies[state] - LOWEST) / (1 - LOWEST)
            tile.paint(_SHARES(shade)[:3], f"{100 * accuracies[state]:.0f} %")
        self.country.set_title(f"how often the model from {home} is right", fontsize=10, y=0.985)
        column, row = PLACES[home]
        self.home.set_xy((column + 0.06, row + 0.06))
        trip = [accuracies[state] for state in ROUND_TRIP]
        self.line.set_data(range(1, len(trip) + 1), trip)
