"""Draw chains of scalars and products of random matrices."""

import numpy as np
import torch
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from torch import Tensor

from d2lstab.figures.style import BLUE, GREY, INK, ORANGE, RED
from d2lstab.products import Chain, describe, float_range

BOTTOM, TOP = -60, 50
"""The decades that a chain's axis shows: all of float32 and of the 16-bit types."""

ZONES = {"Inf": RED, "fewer digits": ORANGE, "zero": GREY}


class ChainFigure:
    """The picture of a `Chain`: its products by depth, over the range of its type.

    figure : the empty figure to draw in.

    `update` moves artists and creates none; the limits of the axes stay. ``moving`` are those
    that move, in drawing order; all else is background.

    >>> from d2lstab.products import chain
    >>> picture = ChainFigure(Figure())
    >>> picture.update(chain(0.2, 100))
    >>> picture.axes.get_ylim() == (BOTTOM, TOP)
    True
    """

    def __init__(self, figure: Figure):
        figure.subplots_adjust(left=0.11, right=0.8, bottom=0.15, top=0.86)
        self.axes = axes = figure.subplots()
        axes.set(xlim=(0, 100), ylim=(BOTTOM, TOP), xlabel="depth n (layers)")
        axes.set_ylabel("log₁₀ of the product wⁿ (decades)")
        axes.set_yticks(range(BOTTOM, TOP + 1, 10))
        axes.grid(alpha=0.4)
        across = axes.get_yaxis_transform()  # x in shares of the axes, y in decades
        self._zones, self._names = {}, {}
        for name, color in ZONES.items():
            zone = Rectangle((0, 0), 1, 0, transform=across, color=color, alpha=0.3, lw=0)
            self._zones[name] = axes.add_patch(zone)
            self._names[name] = axes.text(1.015, 0, name, transform=across, va="center")
        (self._exact,) = axes.plot([], [], "--", color=INK, lw=1, label="exact")
        (self._product,) = axes.plot([], [], ".-", color=BLUE, lw=2, ms=5, label="multiplied")
        (self._pinned,) = axes.plot([], [], "s", color=BLUE, ms=4)
        self._title = axes.text(0, 1.03, "", transform=axes.transAxes, linespacing=1.3)
        axes.legend(loc="upper left", bbox_to_anchor=(1, 0.76), frameon=False, handlelength=1.2)
        self.moving: list[Artist] = [
            *self._zones.values(),
            *self._names.values(),
            self._exact,
            self._product,
            self._pinned,
            self._title,
        ]

    def update(self, chain: Chain) -> None:
        """Show this chain."""
        self._show_range(chain.dtype)
        depths = np.arange(chain.depth + 1)
        log10 = chain.log10.numpy()
        held = np.isfinite(log10)
        self._exact.set_data(depths, chain.exact_log10.numpy())
        self._product.set_data(depths[held], log10[held])
        # zero and Inf have no place on a log axis: squares along its edge stand for them
        edge = np.where(log10 > 0, TOP - 1.5, BOTTOM + 1.5)
        self._pinned.set_data(depths[~held], edge[~held])
        self._title.set_text(describe(chain).replace(": ", ":\n"))

    def _show_range(self, dtype: torch.dtype) -> None:
        limits = float_range(dtype)
        largest = np.log10(limits.largest)
        normal = np.log10(limits.smallest_normal)
        zero = np.log10(limits.smallest_denormal) - np.log10(2)
        spans = {"Inf": (largest, TOP), "fewer digits": (zero, normal), "zero": (BOTTOM, zero)}
        for name, (low, high) in spans.items():
            low, high = np.clip((low, high), BOTTOM, TOP)
            self._zones[name].set_bounds(0, low, 1, max(high - low, 0))
            self._names[name].set_y((low + high) / 2)
            self._names[name].set_visible(bool(high > low))


def draw_log_norms(axes: Axes, log_norms: Tensor, growth: float, spread: float) -> None:
    """Draw log₁₀ of a vector's norm by the number of factors, over what theory expects.

    log_norms : natural logarithms, (factors + 1, draws), one thin line for each draw.
    growth, spread : mean and standard deviation of the log growth, nats per factor; the band is
        growth·L ± 2·spread·√L.
    """
    decades = log_norms.numpy() / np.log(10)
    factors = np.arange(len(decades))
    mean, width = factors * growth / np.log(10), 2 * spread * np.sqrt(factors) / np.log(10)
    axes.fill_between(factors, mean - width, mean + width, color=ORANGE, alpha=0.25, lw=0,
                      label="theory, ± 2 standard deviations")  # fmt: skip
    lines = axes.plot(factors, decades, color=BLUE, lw=0.7, alpha=0.6)
    lines[0].set_label("measured, one line a draw")
    axes.plot(factors, mean, "--", color=INK, lw=1.5, label="theory, mean")
    axes.set(xlim=(0, factors[-1]), xlabel="number of factors L (dimensionless)")
    axes.set_ylabel("log₁₀ of the norm (decades)")
    axes.grid(alpha=0.4)
    axes.legend(loc="upper left")
