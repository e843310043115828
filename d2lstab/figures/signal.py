"""Draw a signal profile: gradients, activations and the sizes of gradient entries by layer."""

import math

import numpy as np
from matplotlib.artist import Artist
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Polygon, Rectangle

from d2lstab.figures.axes import decades, dress, last_layer
from d2lstab.figures.style import BLUE, GREEN, GREY, INK, ORANGE, RED, SHADES
from d2lstab.prediction import MeanField
from d2lstab.signal import SignalProfile
from d2lstab.statistics import BINADES, SMALLEST_BINADE

_SHADES = LinearSegmentedColormap.from_list("shades", SHADES)(
    np.linspace(0, 1, 256) ** 0.6, bytes=True
)
_SHADES[0] = 0  # transparent, so that empty bins do not cover the axes
QUANTITIES = {
    "weight": "weight_gradient_norm",
    "activation": "activation_gradient_norm",
    "spread": "activation_std",
    "saturated": "saturated_share",
    "dead": "dead_share",
}
"""Of a profile, by the name of the curve; theory has the first three."""
FULL_SHADE = 0.5  # a bin that holds half of a layer's entries, or more, is as dark as it gets


class SignalFigure:
    """Three panels over the layers of a profile, made to be updated many times a second.

    Left, the norms of the gradients; middle, the spread of the activations over the saturated and
    dead shares; right, how the single gradient entries are distributed. Where theory is given, it
    is dotted over the measured curves, with its band behind them. The axes move in steps, so that
    only `moving` has to be redrawn as a rule.

    figure : the matplotlib Figure to fill, about 11 × 3.6 inches.
    moving : the artists that change with every profile.
    """

    def __init__(self, figure: Figure):
        self.figure = figure
        grid = figure.add_gridspec(
            2, 3, left=0.062, right=0.988, top=0.89, bottom=0.14, wspace=0.24, hspace=0.16,
            height_ratios=(2, 1),
        )  # fmt: skip
        self.gradients = figure.add_subplot(grid[:, 0])
        self.spread = figure.add_subplot(grid[0, 1], sharex=self.gradients)
        self.shares = figure.add_subplot(grid[1, 1], sharex=self.gradients)
        self.entries = figure.add_subplot(grid[:, 2], sharex=self.gradients)
        self._dress()
        panels = {"weight": self.gradients, "activation": self.gradients, "spread": self.spread}
        self.lines = {
            "weight": self._line(self.gradients, BLUE, "weights"),
            "activation": self._line(self.gradients, ORANGE, "activations"),
            "spread": self._line(self.spread, BLUE, "std of a"),
            "saturated": self._line(self.shares, GREEN, "saturated"),
            "dead": self._line(self.shares, RED, "dead"),
        }
        self.theory = {name: self._theory(axes) for name, axes in panels.items()}
        colors = {name: self.lines[name].get_color() for name in panels}
        self.bands = {name: self._band(axes, colors[name]) for name, axes in panels.items()}
        self.pinned = {name: self._pin(axes, colors[name]) for name, axes in panels.items()}
        bottom, top = (k * math.log10(2) for k in (SMALLEST_BINADE, SMALLEST_BINADE + BINADES))
        self.image = self.entries.imshow(
            _shades(np.zeros((BINADES, 1))), origin="lower", aspect="auto",
            extent=(0.5, 1.5, bottom, top), interpolation="nearest", animated=True,
        )  # fmt: skip
        # activations overflow at the end of a rising line, so that their label goes below it
        heights = {self.gradients: 0.9, self.spread: 0.1, self.entries: 0.9}
        self.marks = {axes: self._mark(axes, height) for axes, height in heights.items()}
        beside_title = dict(loc="lower right", bbox_to_anchor=(1.02, 0.98), borderpad=0.2)
        self.gradients.legend(
            **beside_title, ncols=2, fontsize=8.5, frameon=False, columnspacing=1, handlelength=1.3
        )
        self._legend_of_theory = self.spread.legend(
            [self.theory["spread"]], ["theory"], **beside_title, fontsize=8.5, frameon=False
        )
        self.shares.legend(loc="upper right", ncols=2, fontsize=8.5, frameon=False, borderpad=0)
        for axes in (self.gradients, self.spread, self.shares, self.entries):
            axes.set_autoscale_on(False)
        self._limits: tuple = ()
        self.moving: list[Artist] = [
            self.image,
            *self.bands.values(),
            *self.pinned.values(),
            *self.lines.values(),
            *self.theory.values(),
            *(artist for mark in self.marks.values() for artist in mark),
        ]

    def _dress(self) -> None:
        self.gradients.set(xlabel="layer (1 at the input)", yscale="log")
        self.gradients.set_ylabel("Frobenius norm (log scale)")
        # places given, not found: finding them is half of the drawing, and would make them jump
        title = dict(loc="left", fontsize=10, y=1.0)
        self.gradients.set_title("gradient norm", **title)
        self.spread.set_title("activation spread", **title)
        self.spread.set(yscale="log", ylabel="std (log scale)")
        self.shares.set(ylim=(-0.07, 1.5), yticks=(0, 0.5, 1), ylabel="share")
        self.shares.set_xlabel("layer (1 at the input)")
        self.entries.set_title("how large the entries of ∂loss/∂W are", **title)
        self.entries.set_ylabel("log₁₀ |entry| (decades)")
        self.entries.set_xlabel("layer (1 at the input)")
        for axes in (self.gradients, self.spread, self.shares, self.entries):
            dress(axes, grid=axes is not self.entries)
            axes.tick_params(labelbottom=axes is not self.spread)
            axes.minorticks_off()
            axes.yaxis.set_label_coords(-0.14 if axes is self.entries else -0.175, 0.5)
            axes.xaxis.set_label_coords(0.5, -29 / axes.bbox.height)

    @staticmethod
    def _line(axes, color: str, label: str):
        (line,) = axes.plot([], [], color=color, label=label, lw=1.6, marker=".", ms=3.5)
        line.set_animated(True)
        return line

    @staticmethod
    def _pin(axes, color: str):
        (line,) = axes.plot([], [], color=color, lw=1.2, ls="--", alpha=0.45, animated=True)
        return line

    @staticmethod
    def _theory(axes):
        (line,) = axes.plot([], [], ":", color=INK, lw=1.3, animated=True)
        return line

    @staticmethod
    def _band(axes, color: str):
        """One polygon: matplotlib's fill_between takes several times as long to update."""
        return axes.add_patch(Polygon(np.empty((0, 2)), color=color, alpha=0.18, lw=0))

    @staticmethod
    def _mark(axes, height: float):
        """A tinted span and a label for where numbers end: Inf, NaN or exact zeros."""
        span = Rectangle((0, 0), 1, 1, transform=axes.get_xaxis_transform(), alpha=0.13, lw=0)
        label = axes.text(
            0.5, height, "", transform=axes.transAxes, ha="center", va="center", fontsize=9
        )
        for artist in (axes.add_patch(span), label):
            artist.set_animated(True)
        return span, label

    def update(
        self,
        profile: SignalProfile,
        pinned: SignalProfile | None = None,
        theory: MeanField | None = None,
    ) -> tuple:
        """Show ``profile``, with ``pinned`` behind and ``theory`` over it.

        theory : of the profile's own network. The axes do not move for it: where float32 ends,
            theory goes on, and leaves them.

        Return what the background depends on: the limits of the axes, and whether the legend
        names theory.
        """
        _show(self.lines, profile)
        for line in self.pinned.values():
            line.set_visible(pinned is not None)
        if pinned is not None:
            _show(self.pinned, pinned)
        layers = len(profile)
        self.image.set_data(_shades(profile.gradient_histogram.nan_to_num(0).T.numpy()))
        _, _, bottom, top = self.image.get_extent()
        self.image.set_extent((0.5, layers + 0.5, bottom, top))
        self._show_ends(profile)
        limits = self._fit(profile, pinned)
        return *limits, self._show_theory(theory)

    def _show_theory(self, theory: MeanField | None) -> bool:
        """Show the predicted curves and their bands; return whether there are any."""
        shown = theory is not None and bool(np.isfinite(theory.activation_std).any())
        for artist in (*self.theory.values(), *self.bands.values(), self._legend_of_theory):
            artist.set_visible(shown)
        if shown:
            _show(self.theory, theory)
            for name, band in self.bands.items():
                low, high = theory.band[QUANTITIES[name]]
                bottom, top = band.axes.get_ylim()
                band.set_xy(_outline(low.clip(bottom, top), high.clip(bottom, top)))
        return shown

    def _show_ends(self, profile: SignalProfile) -> None:
        """Tint the layers where float32 ends."""
        self._span(self.spread, profile.activation_overflow, RED, "Inf or NaN")
        lost = profile.gradient_overflow | profile.activation_gradient_norm.isinf()
        if lost.any():
            where, color, text = lost, RED, "Inf or NaN"
        else:
            where, color, text = profile.weight_gradient_norm == 0, GREY, "exactly 0"
        for axes in (self.gradients, self.entries):
            self._span(axes, where, color, text)

    def _span(self, axes, layers, color: str, text: str) -> None:
        span, label = self.marks[axes]
        indices = np.flatnonzero(layers.numpy())
        for artist in (span, label):
            artist.set_visible(len(indices) > 0)
        if len(indices):
            low, high = indices[0] + 0.5, indices[-1] + 1.5
            span.set(x=low, width=high - low, facecolor=color)
            middle = (low + high) / 2 / last_layer(len(layers))
            label.set(text=text, color=color, x=min(max(middle, 0.25), 0.75))

    def _fit(self, profile: SignalProfile, pinned: SignalProfile | None) -> tuple:
        """Move the axes in steps, each to the smallest that holds everything shown."""
        shown = [p for p in (profile, pinned) if p is not None]
        right = last_layer(max(map(len, shown)))
        norms = [x for p in shown for x in (p.weight_gradient_norm, p.activation_gradient_norm)]
        limits = (right, decades(norms), decades([p.activation_std for p in shown]))
        if limits != self._limits:
            self._limits = limits
            self.gradients.set_xlim(0.5, right + 0.5)
            for axes, (low, high) in ((self.gradients, limits[1]), (self.spread, limits[2])):
                axes.set_ylim(10.0**low, 10.0**high)
            self.entries.set_ylim(limits[1][0] - 3, limits[1][1])
        return limits


def _shades(shares: np.ndarray) -> np.ndarray:
    """Colours of shares, uint8 RGBA: far faster to draw than numbers with a colour map."""
    return _SHADES[(shares * (255 / FULL_SHADE)).clip(0, 255).astype(np.uint8)]


def _show(lines: dict[str, Line2D], profile: SignalProfile | MeanField) -> None:
    layers = np.arange(1, len(profile.activation_std) + 1)
    for name, line in lines.items():
        line.set_data(layers, np.asarray(getattr(profile, QUANTITIES[name])))


def _outline(low: np.ndarray, high: np.ndarray) -> np.ndarray:
    """The corners of the band between two curves over the layers, (2 × layers, 2)."""
    layers = np.arange(1, len(low) + 1)
    there = np.isfinite(low) & np.isfinite(high)
    layers, low, high = layers[there], low[there], high[there]
    return np.stack([np.r_[layers, layers[::-1]], np.r_[low, high[::-1]]], axis=1)
