"""Draw a regularized fit: the curve, its weights, and its errors step by step."""

from collections.abc import Sequence

import numpy as np
from matplotlib.artist import Artist
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from d2lstab.figures.axes import dress
from d2lstab.figures.style import BLUE, GREY, INK, ORANGE, RED
from d2lstab.regularization.fit import GRID, TRUTH, Fit

_TITLE = dict(loc="left", fontsize=10, y=1.0)
_BESIDE_TITLE = dict(
    loc="lower right", bbox_to_anchor=(1.02, 0.98), borderpad=0.2, fontsize=8.5, frameon=False,
    columnspacing=0.9, handlelength=1.3, handletextpad=0.4,
)  # fmt: skip
_HEIGHTS = (2, 4, 8, 20, 100, 1000)
_SIZES = (1, 2, 5, 10, 20, 50, 100, 1000)
_COUNTS = (5, 10, 15, 20, 30, 50, 100, 128, 200, 500, 1000, 2000)
_ERRORS = (1e-6, 1e-5, 1e-4, 1e-3, 1e-2, 0.03, 0.1), (1, 2, 5, 10, 100, 1e4, 1e6)
"""Where the axes may end: they move in steps, each to the first that holds what is shown."""

_FAR = 1e9  # where a curve that diverges is cut off, for matplotlib's sake


class FitFigure:
    """Three panels that are made to be updated many times a second, as `SignalFigure`.

    From left to right: examples, true and fitted curve; the weights, those that are exactly 0 in
    red; the errors on train and test after each recorded step. Where there is an exact solution,
    it is black and dashed over what was trained; a pinned fit is dashed behind it.

    figure : the matplotlib Figure to fill, about 11 × 3.6 inches.
    moving : the artists that change with every update.
    """

    def __init__(self, figure: Figure):
        self.figure = figure
        grid = figure.add_gridspec(
            1, 3, left=0.055, right=0.988, top=0.9, bottom=0.14, wspace=0.24,
            width_ratios=(1.2, 1, 1),
        )  # fmt: skip
        self.fit, self.weights, self.errors = (figure.add_subplot(cell) for cell in grid)
        self._draw_fit()
        self._draw_weights()
        self._draw_errors()
        self._limits: tuple = ()
        self.note = self.fit.text(
            0.5, 0.06, "", transform=self.fit.transAxes, ha="center", fontsize=9, color=RED
        )
        self.moving: list[Artist] = [
            self.pinned, self.curve, self.exact, self.examples,
            self.pinned_weights, self.stems, self.heads, self.zeros, self.exact_weights,
            self.floor, self.pinned_test, self.train, self.test, self.best, self.note,
        ]  # fmt: skip
        for artist in self.moving:
            artist.set_animated(True)
        for axes in (self.fit, self.weights, self.errors):
            axes.set_autoscale_on(False)
            axes.minorticks_off()
            dress(axes)

    def _draw_fit(self) -> None:
        axes = self.fit
        axes.set_title("fit", **_TITLE)
        axes.set(xlabel="x (dimensionless)", xlim=(-1, 1), xticks=(-1, -0.5, 0, 0.5, 1))
        axes.set_ylabel("y (dimensionless)", labelpad=1)
        (truth,) = axes.plot(GRID, TRUTH, color=GREY, lw=1.3)
        (self.pinned,) = axes.plot([], [], "--", color=BLUE, lw=1.3, alpha=0.5)
        (self.curve,) = axes.plot([], [], color=BLUE, lw=1.8)
        (self.exact,) = axes.plot([], [], "--", color=INK, lw=1.2)
        (self.examples,) = axes.plot([], [], "o", color=INK, ms=3.5)
        lines = [truth, self.curve, self.exact, self.pinned]
        axes.legend(lines, ["sin πx", "trained", "exact", "pinned"], ncols=4, **_BESIDE_TITLE)

    def _draw_weights(self) -> None:
        axes = self.weights
        axes.set_title("weights", **_TITLE)
        axes.axhline(0, color=GREY, lw=0.8)
        (self.pinned_weights,) = axes.plot([], [], "o", color=BLUE, ms=5, alpha=0.4, mfc="none")
        (self.stems,) = axes.plot([], [], color=BLUE, lw=1.2)
        (self.heads,) = axes.plot([], [], "o", color=BLUE, ms=3.5)
        (self.zeros,) = axes.plot([], [], "o", color=RED, ms=4.5, mfc="w")
        (self.exact_weights,) = axes.plot([], [], "_", color=INK, ms=9, mew=1.3)
        lines = [self.zeros, self.exact_weights, self.pinned_weights]
        axes.legend(lines, ["exactly 0", "exact", "pinned"], ncols=3, **_BESIDE_TITLE)

    def _draw_errors(self) -> None:
        axes = self.errors
        axes.set_title("error", **_TITLE)
        axes.set(xscale="log", yscale="log", xlabel="step (log scale)")
        axes.set_ylabel("root mean square (log scale)", labelpad=1)
        (self.floor,) = axes.plot([], [], color=GREY, lw=1.3)
        (self.pinned_test,) = axes.plot([], [], "--", color=ORANGE, lw=1.3, alpha=0.5)
        (self.train,) = axes.plot([], [], color=BLUE, lw=1.6)
        (self.test,) = axes.plot([], [], color=ORANGE, lw=1.6)
        (self.best,) = axes.plot([], [], "o", color=ORANGE, ms=6, mfc="w")
        lines = [self.train, self.test, self.best, self.floor]
        axes.legend(lines, ["train", "test", "least", "noise"], ncols=4, **_BESIDE_TITLE)

    def update(self, fit: Fit, pinned: Fit | None = None) -> tuple:
        """Show ``fit``; return what the background depends on: the limits of the axes.

        pinned : a fit to compare, or None. Its weights are shown where the model is the same.
        """
        self._show_fit(fit, pinned)
        shown = self._show_weights(fit, pinned)
        self._show_errors(fit, pinned)
        return self._fit_axes(fit, shown, [fit, *([pinned] if pinned else [])])

    def _show_fit(self, fit: Fit, pinned: Fit | None) -> None:
        self.examples.set_data(fit.inputs, fit.targets)
        self.curve.set_data(GRID, _near(fit.curve))
        for line, curve in ((self.exact, fit.exact_curve), (self.pinned, pinned and pinned.curve)):
            line.set_visible(curve is not None)
            if curve is not None:
                line.set_data(GRID, _near(curve))
        self.note.set_text("diverged" if fit.kind == "diverged" else "")

    def _show_weights(self, fit: Fit, pinned: Fit | None) -> list[np.ndarray]:
        """Show them by degree, or by size for the network; return all that are shown."""
        weights = _in_order(fit, fit.weights)
        places = np.arange(1, len(weights) + 1)
        zero = weights == 0
        self.heads.set_data(places[~zero], weights[~zero])
        self.zeros.set_data(places[zero], weights[zero])
        stems = np.stack([np.zeros_like(weights), weights, np.full_like(weights, np.nan)])
        self.stems.set_data(places.repeat(3), stems.T.ravel())
        same = pinned is not None and pinned.spec.model == fit.spec.model
        others = {
            self.exact_weights: None if fit.exact_weights is None else _near(fit.exact_weights),
            self.pinned_weights: _in_order(pinned, pinned.weights) if same else None,
        }
        for line, values in others.items():
            line.set_visible(values is not None)
            if values is not None:
                line.set_data(np.arange(1, len(values) + 1), values)
        return [weights, *(values for values in [others[self.pinned_weights]] if same)]

    def _show_errors(self, fit: Fit, pinned: Fit | None) -> None:
        self.train.set_data(fit.steps, _near(fit.train_errors))
        self.test.set_data(fit.steps, _near(fit.test_errors))
        self.best.set_data([fit.steps[fit.best]], [_near(fit.test_errors[fit.best])])
        self.floor.set_data([1, max(fit.spec.steps, 10)], [fit.spec.noise] * 2)
        self.pinned_test.set_visible(pinned is not None)
        if pinned is not None:
            self.pinned_test.set_data(pinned.steps, _near(pinned.test_errors))

    def _fit_axes(self, fit: Fit, weights: list[np.ndarray], fits: list[Fit]) -> tuple:
        """Move the axes in steps; return where they are."""
        errors = np.concatenate([x for f in fits for x in (f.train_errors, f.test_errors)])
        errors = np.r_[errors, fit.spec.noise]
        errors = errors[np.isfinite(errors) & (errors > 0)]
        largest = max(np.nanmax(abs(values), initial=0) for values in weights)
        low, high = _ERRORS
        limits = (
            fit.spec.model,
            _end(_HEIGHTS, abs(fit.targets).max()),
            _end(_COUNTS, max(map(len, weights))),
            _end(_SIZES, largest),
            max(10, *(f.spec.steps for f in fits)),
            next((end for end in low[::-1] if end <= errors.min(initial=1)), low[0]),
            _end(high, errors.max(initial=0)),
        )
        if limits != self._limits:
            self._limits = limits
            self._move_axes(*limits)
        return limits

    def _move_axes(
        self, model: str, height: float, count: int, size: float, steps: int, low: float,
        high: float,
    ) -> None:  # fmt: skip
        self.fit.set(ylim=(-height, height))
        network = model == "network"
        self.weights.set(xlim=(0.3, count + 0.7))
        self.weights.set(ylim=(-0.04 * size, size) if network else (-size, size))
        self.weights.set_xlabel("input and output weights, by size" if network else "degree k")
        self.weights.set_ylabel("|weight|" if network else "wₖ of Tₖ(x)", labelpad=1)
        self.weights.xaxis.set_major_locator(MaxNLocator(6, integer=True))
        self.errors.set(xlim=(1, steps), ylim=(low, high))
        _plain_ticks(self.errors.xaxis, 1, steps, (1,))
        _plain_ticks(self.errors.yaxis, low, high, (1, 2, 5) if high / low <= 1000 else (1,))
        self.errors.minorticks_off()


def _plain_ticks(axis, low: float, high: float, mantissas: Sequence[int]) -> None:
    """Ticks between two ends of a log axis, written as plain numbers."""
    powers = range(round(np.log10(low)) - 1, round(np.log10(high)) + 2)
    ticks = [float(f"{m}e{k}") for k in powers for m in mantissas]
    ticks = [tick for tick in ticks if low <= tick <= high]
    axis.set_ticks(ticks, [f"{tick:g}" for tick in ticks])


def _in_order(fit: Fit, weights: np.ndarray) -> np.ndarray:
    """As they are for the polynomial, sizes in falling order for the network."""
    if fit.spec.model == "network":
        weights = -np.sort(-abs(weights))
    return _near(weights)


def _near(values: np.ndarray) -> np.ndarray:
    """The values, cut off where nothing can be drawn."""
    return np.clip(values, -_FAR, _FAR)


def _end(ends: Sequence[float], value: float) -> float:
    """The first of the ends that holds the value, or the last.

    >>> _end((1, 2, 5), 1.5), _end((1, 2, 5), 70)
    (2, 5)
    """
    return next((end for end in ends if end >= value), ends[-1])
