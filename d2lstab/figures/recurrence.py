"""Draw how far back the gradient of a recurrent network reaches."""

from collections.abc import Mapping

import numpy as np
from matplotlib.artist import Artist
from matplotlib.figure import Figure
from torch import Tensor

from d2lstab.figures.axes import decades, dress
from d2lstab.figures.style import BLUE, GREEN, INK, ORANGE
from d2lstab.recurrence import local_rate, predict_through_time
from d2lstab.through_time import TimeProfile

COLORS = {"tanh": BLUE, "gru": GREEN, "lstm": ORANGE}
NAMES = {"tanh": "tanh RNN", "gru": "GRU", "lstm": "LSTM"}
LOCAL = {
    "tanh": "slopes 1 − h² of the tanh RNN",
    "gru": "update gates z of the GRU",
    "lstm": "forget gates f of the LSTM",
}
LENGTHS = (10, 20, 50, 100, 200, 500, 1000, 2000)
SHARES = (0.1, 0.5, 0.9)  # of the units below the lines on the right


class RecurrenceFigure:
    """Two panels over the lag T − t, made to be updated many times a second.

    Left, the norm of the Jacobian of the last state by the state k steps before, one line for
    each cell; for the chosen cell also theory, and what its slopes or gates alone would do. Right,
    these slopes or gates. The axes move in steps.

    figure : the matplotlib Figure to fill, about 11 × 3.6 inches.
    moving : the artists that change with every update.
    """

    def __init__(self, figure: Figure):
        self.figure = figure
        grid = figure.add_gridspec(
            1, 2, left=0.062, right=0.984, top=0.89, bottom=0.14, wspace=0.17, width_ratios=(1.7, 1)
        )
        self.norms = figure.add_subplot(grid[0])
        self.factors = figure.add_subplot(grid[1], sharex=self.norms)
        self._dress()
        self.lines = {
            cell: self.norms.plot([], [], color=color, label=NAMES[cell])[0]
            for cell, color in COLORS.items()
        }
        self.ends = {
            cell: self.norms.plot([], [], color=color, ls="", ms=9)[0]
            for cell, color in COLORS.items()
        }
        (self.path,) = self.norms.plot([], [], ":", color=INK, lw=2, label="slopes or gates alone")
        (self.theory,) = self.norms.plot([], [], "--", color=INK, lw=1.1)
        self.shares = [self.factors.plot([], [], lw=1.0)[0] for _ in SHARES]
        self.shares[SHARES.index(0.5)].set_linewidth(2)
        (self.level,) = self.factors.plot([], [], "--", color=INK, lw=1.1)
        self.formula, self.title = (
            axes.text(0, 1.025, "", transform=axes.transAxes, fontsize=10)
            for axes in (self.norms, self.factors)
        )
        self.norms.legend(
            loc="lower right", bbox_to_anchor=(1.015, 0.98), ncols=5, fontsize=8.5, frameon=False,
            columnspacing=1, handlelength=1.6, borderpad=0.2,
        )  # fmt: skip
        self._limits: tuple = ()
        self.moving: list[Artist] = [
            *self.lines.values(),
            *self.ends.values(),
            self.path,
            self.theory,
            *self.shares,
            self.level,
            self.title,
            self.formula,
        ]
        for artist in self.moving:
            artist.set_animated(True)

    def _dress(self) -> None:
        self.norms.set(yscale="log")
        self.norms.set_ylabel("‖∂s(T)/∂s(T − k)‖ / √n (log scale)")
        self.factors.set(ylim=(-0.03, 1.05), ylabel="share that passes: 10, 50, 90 % of units")
        for axes in (self.norms, self.factors):
            axes.set_xlabel("lag k = T − t (steps back)")
            dress(axes)
            axes.set_autoscale_on(False)

    def update(self, profiles: Mapping[str, TimeProfile], chosen: str) -> tuple:
        """Show ``profiles``, by cell, and explain the ``chosen`` one; return the limits."""
        limits = self._fit([profile.norm for profile in profiles.values()])
        for cell, profile in profiles.items():
            lags, norm = np.arange(len(profile.norm)), profile.norm.numpy()
            shown = np.isfinite(norm) & (norm > 0)
            self.lines[cell].set_data(lags[shown], norm[shown])
            self.lines[cell].set_linewidth(2.4 if cell == chosen else 1.1)
            self._show_end(cell, lags[~shown], norm[~shown])
        profile = profiles[chosen]
        self.path.set_data(np.arange(len(profile.norm)), profile.path.numpy())
        theory = predict_through_time(profile.spec).numpy()
        self.theory.set_data(np.arange(len(theory)), theory)
        self.formula.set_text(_formula(profile))
        self._show_local(profile)
        return limits

    def _show_end(self, cell: str, lags: np.ndarray, values: np.ndarray) -> None:
        """A triangle on the edge of the axes where a line has become 0 or Inf."""
        end = self.ends[cell]
        end.set_visible(len(lags) > 0)
        if len(lags):
            bottom, top = self.norms.get_ylim()
            up = values[0] > 0
            end.set_data([lags[0]], [top / 10**0.4 if up else bottom * 10**0.4])
            end.set_marker("^" if up else "v")

    def _show_local(self, profile: TimeProfile) -> None:
        cell, local = profile.spec.cell, profile.local.numpy()[::-1]
        lags = np.arange(1, len(local) + 1)
        for line, level in zip(self.shares, np.quantile(local, SHARES, axis=1), strict=True):
            line.set_data(lags, level)
            line.set_color(COLORS[cell])
        rate = 1.0 if cell == "tanh" else local_rate(profile.spec)
        self.level.set_data([1, len(local)], [rate, rate])
        self.title.set_text(LOCAL[cell])

    def _fit(self, norms: list[Tensor]) -> tuple:
        """Move the axes in steps, to the smallest that hold every line."""
        low, high = decades(norms)
        steps = len(norms[0]) - 1
        limits = (next((n for n in LENGTHS if n >= steps), steps), low, high)
        if limits != self._limits:
            self._limits = limits
            self.norms.set_xlim(0, limits[0])
            self.norms.set_ylim(10.0**low, 10.0**high)
        return limits


def _formula(profile: TimeProfile) -> str:
    """Which theory the dashed line is, with its number; it stands in for a legend entry."""
    rate = f"{local_rate(profile.spec):.3g}ᵏ"
    return (
        f"- - theory ρᵏ = {rate}" if profile.spec.cell == "tanh" else f"- - theory σ(b)ᵏ = {rate}"
    )
