"""Draw a trial of a shift: the clouds, the accuracies, the weights and the detector."""

import numpy as np
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Polygon, Rectangle
from matplotlib.ticker import MaxNLocator

from d2lstab.figures.axes import dress
from d2lstab.figures.borders import borders
from d2lstab.figures.style import BLUE, GREEN, GREY, INK, ORANGE, RED
from d2lstab.shift.detect import Detection
from d2lstab.shift.plane import DIGITS
from d2lstab.shift.trial import ShiftTrial

COLORS = (BLUE, GREEN, ORANGE)
"""Of the classes."""

SHOWN = 300
"""Points of a sample that are drawn; more hide each other."""

LEVEL = 0.05
"""A p-value up to this is an alarm."""

REACH = 2.8  # standard deviations: every image is within the axes
_WEIGHTS = np.logspace(-3.125, 2.125, 22)  # edges of the bins: 1 is in the middle of one
_SHARES = (0, 0.2, 0.4, 0.6, 0.8, 1)
_TICKS = (0.001, 0.01, 0.1, 1, 10, 100)
_BESIDE_TITLE = dict(
    loc="lower right", bbox_to_anchor=(1.03, 0.98), borderpad=0.2, fontsize=8.5, frameon=False
)
_RANGES = (6, 12, 25, 50, 100, 200, 500, 1000, 10_000)  # ends of the detector's axis
_SMALLEST_P, _P_TICKS = 1e-6, (1, 0.05, 1e-3, 1e-5)


class ShiftFigure:
    """Four panels that are made to be updated many times a second, as `SignalFigure`.

    From left to right: source and target with the model's borders before and after the correction;
    its exact accuracies; the weights of the training examples; the detector's statistic against
    what it would be without a shift. Only the two last axes move, in steps.

    figure : the matplotlib Figure to fill, about 11 × 3.6 inches.
    moving : the artists that change with every update.
    """

    def __init__(self, figure: Figure):
        self.figure = figure
        grid = figure.add_gridspec(
            1, 4, left=0.045, right=0.985, top=0.89, bottom=0.14, wspace=0.25,
            width_ratios=(1.5, 0.8, 1.1, 1),
        )  # fmt: skip
        self.clouds, self.accuracy, self.weights, self.test = map(figure.add_subplot, grid)
        self._draw_clouds()
        self._draw_accuracy()
        self._draw_weights()
        self._draw_test()
        self.moving: list[Artist] = [
            *self.source, *self.target, *self.borders, *self.bars, *self.shares, *self.best,
            self.examples, self.carried, self.effective, self.critical, self.null, self.found,
            self.said,
        ]  # fmt: skip
        for artist in self.moving:
            artist.set_animated(True)
        for axes in (self.clouds, self.accuracy, self.weights, self.test):
            axes.set_autoscale_on(False)
            dress(axes, grid=axes is not self.test)

    def _draw_clouds(self) -> None:
        axes = self.clouds
        axes.set(xlim=(-REACH, REACH), ylim=(-REACH, REACH))
        axes.set(xlabel="first component (standard deviations)")
        axes.set_ylabel("second component", labelpad=1)
        axes.set_title("digits", loc="left", fontsize=10, y=1.0)
        self.source = [_points(axes, ".", color, 4, alpha=0.4) for color in COLORS]
        self.target = [_points(axes, "+", color, 5.5) for color in COLORS]
        self.borders = [
            axes.plot([], [], "--", color=GREY, lw=1.6)[0],
            axes.plot([], [], "-", color=INK, lw=1.6)[0],
        ]
        names = [Line2D([], [], marker="s", ls="", ms=5, color=color) for color in COLORS]
        kinds = [Line2D([], [], marker=m, ls="", ms=7, color=INK) for m in (".", "+")]
        lines = axes.legend(
            self.borders, ["trained on source", "corrected"], loc="lower left", fontsize=8.5,
            frameon=False, borderpad=0.1, handlelength=1.6,
        )  # fmt: skip
        axes.add_artist(lines)
        axes.legend(
            [*names, *kinds], [*map(str, DIGITS), "source", "target"], ncols=5, **_BESIDE_TITLE,
            columnspacing=0.7, handletextpad=0, handlelength=1.2,
        )  # fmt: skip

    def _draw_accuracy(self) -> None:
        axes = self.accuracy
        axes.set(xlim=(-0.5, 2.5), ylim=(0, 1.12), yticks=_SHARES, ylabel="accuracy (exact)")
        axes.set_xticks(range(3), ["source", "target", "target,\ncorrected"])
        self.bars = [
            axes.add_patch(Rectangle((k - 0.36, 0), 0.72, 0, facecolor=color, alpha=0.6, lw=0))
            for k, color in enumerate((BLUE, GREY, INK))
        ]
        self.shares = [axes.text(k, 1.03, "", ha="center", fontsize=9.5) for k in range(3)]
        self.best = [axes.plot([], [], ":", color=INK, lw=1.3)[0] for _ in range(2)]
        axes.legend(self.best[:1], ["best possible"], **_BESIDE_TITLE, handlelength=1.6)

    def _draw_weights(self) -> None:
        axes = self.weights
        axes.set(
            xscale="log", xlim=_WEIGHTS[[0, -1]], ylim=(0, 1.2), yticks=_SHARES, ylabel="share"
        )
        axes.set_xlabel("weight of a training example (log scale)")
        axes.set_xticks(_TICKS, ["≤0.001", *(f"{tick:g}" for tick in _TICKS[1:-1]), "≥100"])
        axes.minorticks_off()
        self.examples = axes.add_patch(Polygon(np.empty((0, 2)), color=BLUE, alpha=0.45, lw=0))
        (self.carried,) = axes.plot([], [], color=ORANGE, lw=1.4)
        self.effective = axes.text(0, 1.025, "", transform=axes.transAxes, fontsize=10)
        axes.legend(
            [self.examples, self.carried], ["of the examples", "of all weight"], loc="upper left",
            bbox_to_anchor=(-0.02, 1.02), ncols=2, fontsize=8.5, frameon=False, borderpad=0.2,
            columnspacing=0.8, handlelength=1.0, handletextpad=0.4,
        )  # fmt: skip

    def _draw_test(self) -> None:
        axes = self.test
        axes.set(ylim=(0, 1.25), yticks=[])
        axes.set_ylabel("how often without a shift")
        self.critical = axes.add_patch(Rectangle((0, 0), 1, 1.25, color=RED, alpha=0.12, lw=0))
        self.null = axes.add_patch(Polygon(np.empty((0, 2)), color=GREY, alpha=0.5, lw=0))
        (self.found,) = axes.plot([], [], lw=2.2)
        self.said = axes.text(0, 1.025, "", transform=axes.transAxes, fontsize=10)

    def update(self, trial: ShiftTrial) -> tuple:
        """Show ``trial``; return what the background depends on: the axes that moved."""
        for points, sample in ((self.source, trial.training), (self.target, trial.unlabelled)):
            inputs, labels = sample.inputs[:SHOWN].numpy(), sample.labels[:SHOWN].numpy()
            for label, line in enumerate(points):
                line.set_data(*inputs[labels == label].T)
        for line, model in zip(self.borders, (trial.before, trial.after), strict=True):
            line.set_visible(model is not None)
            if model is not None:
                line.set_data(*borders(model, REACH).T)
        self._show_accuracy(trial)
        self._show_weights(trial)
        return self._show_test(trial.detection)

    def _show_accuracy(self, trial: ShiftTrial) -> None:
        found = (trial.accuracy_on_source, trial.accuracy_before, trial.accuracy_after)
        for bar, text, share in zip(self.bars, self.shares, found, strict=True):
            bar.set_height(np.nan_to_num(share))
            text.set_text(f"{share:.0%}" if np.isfinite(share) else "")
        self.best[0].set_data([-0.5, 0.5], [trial.best_on_source] * 2)
        self.best[1].set_data([0.5, 2.5], [trial.best_on_target] * 2)

    def _show_weights(self, trial: ShiftTrial) -> None:
        count = len(trial.training.labels)
        weights = trial.correction.weights
        values = np.ones(count) if weights is None else weights.values
        shown = values.clip(_WEIGHTS[0], _WEIGHTS[-1])
        examples = np.histogram(shown, _WEIGHTS)[0] / count
        carried = np.histogram(shown, _WEIGHTS, weights=values)[0] / count
        self.examples.set_xy(_steps(_WEIGHTS, examples))
        self.carried.set_data(*_steps(_WEIGHTS, carried).T)
        size = count if weights is None else weights.effective_size
        digits = 0 if size > 9.95 else 1
        self.effective.set_text(f"effective size {size:.{digits}f} of {count}")

    def _show_test(self, detection: Detection) -> tuple:
        alarm = detection.p_value <= LEVEL
        self.said.set_text(f"{detection.method}: p = {_p(detection.p_value)}")
        self.said.set_color(RED if alarm else INK)
        self.found.set_color(RED if alarm else INK)
        if detection.null is None:
            return self._show_p_value(detection.p_value)
        return self._show_null(detection)

    def _show_p_value(self, p_value: float) -> tuple:
        """A p-value against what p-values are without a shift: evenly spread from 0 to 1."""
        axes = self.test
        axes.set(xscale="log", xlim=(1, _SMALLEST_P))
        axes.set_xticks(_P_TICKS, [f"{tick:g}" for tick in _P_TICKS])
        axes.minorticks_off()
        axes.set_xlabel("p-value (log scale)")
        edges = np.logspace(0, np.log10(_SMALLEST_P), 25)
        shares = edges[:-1] - edges[1:]
        self.null.set_xy(_steps(edges, shares / shares.max()))
        self.critical.set(x=LEVEL, width=_SMALLEST_P - LEVEL)
        self.found.set_data([max(p_value, 1.1 * _SMALLEST_P)] * 2, [0, 1.25])
        return ("p-value",)

    def _show_null(self, detection: Detection) -> tuple:
        """The statistic against those of the mixed samples, in their standard deviations."""
        axes, spread = self.test, detection.null.std() or 1.0
        null, found = detection.null / spread, detection.statistic / spread
        end = next((end for end in _RANGES if end >= 1.05 * found), _RANGES[-1])
        axes.set(xscale="linear", xlim=(-max(3, end / 10), end))
        axes.xaxis.set_major_locator(MaxNLocator(5))
        axes.set_xlabel("statistic (std of the null = 1)")
        edges = np.linspace(*axes.get_xlim(), 31)
        shares = np.histogram(null, edges)[0]
        self.null.set_xy(_steps(edges, shares / max(shares.max(), 1)))
        threshold = np.quantile(null, 1 - LEVEL)
        self.critical.set(x=threshold, width=end - threshold)
        self.found.set_data([min(found, 0.99 * end)] * 2, [0, 1.25])
        return "statistic", end


def _points(axes: Axes, marker: str, color: str, size: float, alpha: float = 1.0) -> Line2D:
    (line,) = axes.plot([], [], marker, color=color, ms=size, alpha=alpha, mew=0.9)
    return line


def _p(value: float) -> str:
    """As a reader writes it: three digits, powers of ten only where it is tiny.

    >>> _p(0.005), _p(0.71234), _p(3e-25)
    ('0.005', '0.712', '3e-25')
    """
    return f"{value:.3f}" if value >= 0.001 else f"{value:.0e}"


def _steps(edges: np.ndarray, heights: np.ndarray) -> np.ndarray:
    """The corners of a histogram's outline, (2 × bins + 2, 2).

    >>> _steps(np.array([0, 1, 2]), np.array([3, 4])).tolist()
    [[0, 0], [0, 3], [1, 3], [1, 4], [2, 4], [2, 0]]
    """
    return np.stack([np.repeat(edges, 2), np.r_[0, np.repeat(heights, 2), 0]], axis=1)
