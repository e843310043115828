"""Draw the normalization bench: signals, gradients, running statistics and the training."""

import math
from collections.abc import Sequence

import numpy as np
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Polygon, Rectangle
from torch import Tensor

from d2lstab.activations import ACTIVATIONS
from d2lstab.figures.axes import decades, dress, last_layer
from d2lstab.figures.style import BLUE, GREEN, GREY, ORANGE
from d2lstab.normalization.bench import CENTRES, SHOWN, Bench, BenchStep

_TITLE = dict(loc="left", fontsize=10, y=1.0)
_BESIDE_TITLE = dict(
    loc="lower right", bbox_to_anchor=(1.03, 0.98), borderpad=0.2, fontsize=8.5, frameon=False,
    columnspacing=0.7, handlelength=1.1, handletextpad=0.4,
)  # fmt: skip
_PEAK = 0.86  # of a row's height
_STEPS = (60, 120, 300, 600, 1200, 3000, 6000)
_LOSSES = (3, 6, 12, 30, 100, 1000)
"""Where the axes of a training may end: they move in steps."""


class BenchFigure:
    """Four panels that are made to be updated many times a second, as `SignalFigure`.

    From left to right: what the activation of some layers receives, each row a histogram at its
    own scale; the gradient norms of all layers, behind them those at λ = 1 and the pinned ones; the
    batch's statistics against the running ones; loss and accuracies of the training.

    figure : the matplotlib Figure to fill, about 11 × 3.6 inches.
    moving : the artists that change with every update.
    """

    def __init__(self, figure: Figure):
        self.figure = figure
        grid = figure.add_gridspec(
            2, 4, left=0.042, right=0.988, top=0.89, bottom=0.14, wspace=0.3, hspace=0.16,
            width_ratios=(1, 1.1, 0.9, 1.1),
        )  # fmt: skip
        self.signals, self.gradients, self.running = (
            figure.add_subplot(grid[:, column]) for column in range(3)
        )
        self.loss = figure.add_subplot(grid[0, 3])
        self.accuracy = figure.add_subplot(grid[1, 3], sharex=self.loss)
        self._draw_signals()
        self._draw_gradients()
        self._draw_running()
        self._draw_training()
        self._limits: tuple = ()
        # low where curves to compare may stay, and in the middle elsewhere
        self.notes = {
            axes: _note(axes, 0.1 if axes is self.gradients else 0.5) for axes in self._panels()
        }
        self.moving: list[Artist] = [
            *self.rows, *self.spreads, self.at_one, self.pinned, self.measured, self.gaps,
            self.ratios, self.losses, self.right, self.held_out, *self.notes.values(),
        ]  # fmt: skip
        for artist in self.moving:
            artist.set_animated(True)
        for axes in self._panels():
            axes.set_autoscale_on(False)
            axes.minorticks_off()
            dress(axes, grid=axes is not self.signals)

    def _panels(self) -> list[Axes]:
        return [self.signals, self.gradients, self.running, self.loss, self.accuracy]

    def _draw_signals(self) -> None:
        axes, half = self.signals, (CENTRES[1] - CENTRES[0]) / 2
        axes.set_title("what the activation receives", **_TITLE)
        axes.set(xlim=(CENTRES[0] - half, CENTRES[-1] + half))
        axes.set_xlabel("signal (activation flat where gray)")
        axes.set_ylabel("hidden layer", labelpad=1)
        axes.set_xticks(range(-6, 7, 2), ["≤−6", "−4", "−2", "0", "2", "4", "≥6"])
        self.flat = [
            axes.add_patch(Rectangle((0, 0), 0, 1, transform=axes.get_xaxis_transform(), lw=0))
            for _ in range(2)
        ]
        for patch in self.flat:
            patch.set(facecolor=GREY, alpha=0.13)
        empty = np.empty((0, 2))
        self.rows = [
            axes.add_patch(Polygon(empty, facecolor=BLUE, alpha=0.6, lw=0)) for _ in range(SHOWN)
        ]
        self.spreads = [axes.text(0, 0, "", fontsize=8.5, ha="right") for _ in range(SHOWN)]

    def _draw_gradients(self) -> None:
        axes = self.gradients
        axes.set_title("gradient norm", **_TITLE)
        axes.set(xlabel="layer (1 at the input)", yscale="log")
        axes.set_ylabel("‖∂loss/∂W‖ (log scale)", labelpad=1)
        (self.at_one,) = axes.plot([], [], color=GREY, lw=1.3)
        (self.pinned,) = axes.plot([], [], "--", color=BLUE, lw=1.2, alpha=0.45)
        (self.measured,) = axes.plot([], [], color=BLUE, lw=1.6, marker=".", ms=3.5)
        axes.legend([self.at_one, self.pinned], ["λ = 1", "pinned"], ncols=2, **_BESIDE_TITLE)

    def _draw_running(self) -> None:
        axes = self.running
        axes.set_title("batch and running μ, σ", **_TITLE)
        axes.set(xlabel="norm layer (1 at the input)", yscale="log")
        axes.set_ylabel("in running σ (log scale)", labelpad=1)
        (self.gaps,) = axes.plot([], [], color=ORANGE, lw=1.6, marker=".", ms=3.5)
        (self.ratios,) = axes.plot([], [], color=GREEN, lw=1.6, marker=".", ms=3.5)
        self.names = axes.legend(
            [self.gaps, self.ratios], ["|batch μ − running μ|", "batch σ"], fontsize=8.5,
            loc="lower left", frameon=False, borderpad=0.1, handlelength=1.3, handletextpad=0.5,
        )  # fmt: skip

    def _draw_training(self) -> None:
        for axes in (self.loss, self.accuracy):
            axes.set(xlim=(0, _STEPS[0]))
        self.loss.set(ylim=(0, _LOSSES[0]), ylabel="loss")
        self.loss.tick_params(labelbottom=False)
        self.accuracy.set(ylim=(-0.04, 1.04), yticks=(0, 0.5, 1), ylabel="accuracy", xlabel="step")
        (self.losses,) = self.loss.plot([], [], color=BLUE, lw=1.3)
        (self.right,) = self.accuracy.plot([], [], color=BLUE, lw=1.3)
        (self.held_out,) = self.accuracy.plot([], [], color=ORANGE, lw=1.6, marker=".", ms=4)
        self.loss.legend(
            [self.right, self.held_out], ["batch, train mode", "held out, eval mode"], ncols=2,
            **_BESIDE_TITLE,
        )  # fmt: skip

    def update(
        self,
        bench: Bench,
        at_one: Tensor | None = None,
        pinned: Tensor | None = None,
        steps: Sequence[BenchStep] = (),
    ) -> tuple:
        """Show ``bench``; return what the background depends on: the limits of the axes.

        at_one, pinned : gradient norms at λ = 1 and those kept to compare, or None. steps : of the
        training, so far.
        """
        self._show_signals(bench)
        self._show_gradients(bench, at_one, pinned)
        self._show_running(bench)
        self._show_training(steps)
        return self._fit(bench, [x for x in (at_one, pinned) if x is not None], steps)

    def _show_signals(self, bench: Bench) -> None:
        half = (CENTRES[1] - CENTRES[0]) / 2
        edges = np.repeat(np.r_[CENTRES - half, CENTRES[-1] + half], 2)
        for number, (row, text) in enumerate(zip(self.rows, self.spreads, strict=True)):
            shown = number < len(bench.layers)
            row.set_visible(shown)
            text.set_visible(shown)
            if shown:
                base = len(bench.layers) - 1 - number  # the input on top
                shares, std = bench.shares[number].numpy(), bench.stds[number].item()
                heights = _PEAK * shares / max(shares.max(), 1e-9)
                row.set_xy(np.stack([edges, base + np.r_[0, np.repeat(heights, 2), 0]], axis=1))
                text.set(x=CENTRES[-1] - 0.4, y=base + 0.62, text=_spread(std))

    def _show_gradients(self, bench: Bench, at_one: Tensor | None, pinned: Tensor | None) -> None:
        now = bench.profile.weight_gradient_norm if bench.profile else None
        for line, norms in ((self.measured, now), (self.at_one, at_one), (self.pinned, pinned)):
            line.set_visible(norms is not None)
            if norms is not None:
                line.set_data(np.arange(1, len(norms) + 1), norms.numpy())

    def _show_running(self, bench: Bench) -> None:
        for line, values in ((self.gaps, bench.mean_gaps), (self.ratios, bench.std_ratios)):
            line.set_data(np.arange(1, len(values) + 1), values.numpy())

    def _show_training(self, steps: Sequence[BenchStep]) -> None:
        numbers = np.arange(1, len(steps) + 1)
        self.losses.set_data(numbers, [step.loss for step in steps])
        self.right.set_data(numbers, [step.right for step in steps])
        held_out = [(k, x.held_out) for k, x in enumerate(steps, 1) if x.held_out is not None]
        self.held_out.set_data(*np.reshape(held_out, (-1, 2)).T)

    def _fit(self, bench: Bench, others: list[Tensor], steps: Sequence[BenchStep]) -> tuple:
        """Write the notes, and move the axes in steps; return where they are."""
        for axes, text in self._notes(bench, steps).items():
            self.notes[axes].set_text(text)
        norms = [np.empty(0), *others]
        norms += [bench.profile.weight_gradient_norm] if bench.profile else []
        losses = [step.loss for step in steps if np.isfinite(step.loss)]
        limits = (
            bench.spec.activation,
            bench.layers,
            last_layer(max([bench.spec.depth + 1, *map(len, norms)])),
            decades(norms),
            decades([bench.mean_gaps, bench.std_ratios]),
            _end(_STEPS, len(steps)),
            _end(_LOSSES, max(losses, default=0)),
            len(bench.mean_gaps) > 0,
        )
        if limits != self._limits:
            self._limits = limits
            self._move_axes(*limits)
        return limits

    def _notes(self, bench: Bench, steps: Sequence[BenchStep]) -> dict[Axes, str]:
        """What stands in a panel that has nothing to show."""
        if bench.refusal:
            panels = (self.signals, self.gradients, self.running, *[self.loss] * (not steps))
            return {self.loss: "", **dict.fromkeys(panels, "PyTorch refuses\na batch of one")}
        norms = bench.profile.weight_gradient_norm
        lost = "" if (norms > 0).any() else "exactly 0" if (norms == 0).any() else "Inf or NaN"
        batch_norm_only = "" if len(bench.mean_gaps) else "only batch norm has\nrunning statistics"
        return {
            self.signals: "",
            self.gradients: lost,
            self.running: batch_norm_only,
            self.loss: "" if steps else "not trained yet",
        }

    def _move_axes(
        self, activation: str, layers: tuple[int, ...], right: int, norms: tuple[int, int],
        gaps: tuple[int, int], end: float, top: float, running: bool,
    ) -> None:  # fmt: skip
        rows = max(len(layers), 1)
        self.signals.set(ylim=(0, rows), yticks=range(len(layers) - 1, -1, -1))
        self.signals.set_yticklabels(map(str, layers))
        low, high = CENTRES[0] - 1, CENTRES[-1] + 1  # beyond the axes
        flat = ACTIVATIONS[activation]
        self.flat[0].set(x=low, width=max(flat.flat_below - low, 0))
        self.flat[1].set(x=min(flat.flat_above, high), width=max(high - flat.flat_above, 0))
        self.gradients.set(xlim=(0.5, right + 0.5), ylim=[10.0**power for power in norms])
        self.running.set(xlim=(0.5, right - 0.5), ylim=[10.0**power for power in gaps])
        self.names.set_visible(running)
        self.loss.set(xlim=(0, end), ylim=(0, top))


def _note(axes: Axes, height: float) -> Artist:
    return axes.text(
        0.5, height, "", transform=axes.transAxes, ha="center", va="center", fontsize=9, color=GREY
    )


def _spread(std: float) -> str:
    if not np.isfinite(std):
        return "Inf or NaN"
    return f"std {std:.2f}" if 0.01 <= std < 1000 else f"std {std:.0e}" if std else "std 0"


def _end(ends: Sequence[float], value: float) -> float:
    """The first of the ends that holds the value; beyond them the next power of ten.

    >>> _end((3, 6), 4), _end((3, 6), 700)
    (6, 1000.0)
    """
    return next((end for end in ends if end >= value), 10.0 ** math.ceil(math.log10(max(value, 1))))
