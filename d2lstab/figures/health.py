"""Draw a training run: gradients, updates, dead units and loss over the steps, on one page."""

import io
import math
from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.cm import ScalarMappable
from matplotlib.colors import LinearSegmentedColormap, LogNorm, to_rgba
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, NullFormatter

from d2lstab.figures.axes import dress
from d2lstab.figures.style import BLUE, GREEN, GREY, INK, ORANGE, RED, SHADES
from d2lstab.health import TrainingRecord
from d2lstab.statistics import BINADES, SMALLEST_BINADE

RULE_OF_THUMB = 1e-3  # for ‖Δw‖/‖w‖; source in `Thresholds`
_SIZES = LinearSegmentedColormap.from_list("sizes", ["#e3eef8", *SHADES[1:]])
_BESIDE_TITLE = dict(
    loc="lower right", bbox_to_anchor=(1.03, 0.98), ncols=2, fontsize=7.5, frameon=False,
    borderpad=0.1, columnspacing=0.8, handlelength=1, handletextpad=0.5,
)  # fmt: skip
_SHARES = LinearSegmentedColormap.from_list("shares", SHADES)
_DECADES = 12  # that the colours tell apart, at most; smaller norms are as light as the lightest
_LOWEST, _HIGHEST = 1e-10, 10.0  # of the update-to-weight axis


class HealthFigure:
    """Four or five panels over the steps of a `TrainingRecord`.

    Left, the gradient norm of each layer as a colour; middle, that of the whole network over the
    loss; right, the update-to-weight ratio over the dead and saturated shares. Orange triangles
    stand where alarms rang, a red line where Inf or NaN arose.

    figure : the matplotlib Figure to fill, about 11 × 4.2 inches.
    record : from `Monitor.record`.
    losses : the loss at each step, the first for step 1, or None to leave the panel out.

    Raises ValueError for a record without steps, and for fewer losses than steps.

    >>> from d2lstab import Monitor, NetworkSpec, build
    >>> from d2lstab.training import train
    >>> network = build(NetworkSpec(depth=3, width=16))
    >>> with Monitor(network) as monitor:
    ...     losses = [step.loss for step in train(network, 5)]
    >>> HealthFigure(Figure(figsize=(11, 4.2)), monitor.record, losses).ratios.get_yscale()
    'log'
    """

    def __init__(
        self, figure: Figure, record: TrainingRecord, losses: Sequence[float] | None = None
    ):
        if len(record) == 0:
            raise ValueError("record has no steps: was the model trained while it was monitored?")
        self.figure, self.record = figure, record
        self.steps = record.steps.numpy()
        if losses is not None and len(losses) < self.steps[-1]:
            need = f"losses must hold one number for each of the {self.steps[-1]} steps"
            raise ValueError(f"{need}; got {len(losses)}.")
        grid = figure.add_gridspec(
            2, 3, left=0.045, right=0.988, top=0.92, bottom=0.13, wspace=0.48, hspace=0.3
        )
        self.layers = figure.add_subplot(grid[:, 0])
        self.scale = self.layers.inset_axes((1.03, 0, 0.035, 1))
        whole = grid[0, 1] if losses is not None else grid[:, 1]
        self.total = figure.add_subplot(whole, sharex=self.layers)
        self.ratios = figure.add_subplot(grid[0, 2], sharex=self.layers)
        self.shares = figure.add_subplot(grid[1, 2], sharex=self.layers)
        self._draw_layers()
        self._draw_total()
        self._draw_ratios()
        self._draw_shares()
        self.loss: Axes | None = None
        if losses is not None:
            self.loss = figure.add_subplot(grid[1, 1], sharex=self.layers)
            self._draw_loss(np.asarray(losses, float))
        self._mark_alarms()
        self._dress()

    def _draw_layers(self) -> None:
        """A cell per observed step and layer; Inf and NaN red, exact zeros grey."""
        image, scale = _colours(self.record)
        every = self.steps[1] - self.steps[0] if len(self.steps) > 1 else 1
        ends = (self.steps[0] - every / 2, self.steps[-1] + every / 2)
        self.image = self.layers.imshow(
            image, origin="lower", aspect="auto", interpolation="nearest",
            extent=(*ends, 0.5, len(image) + 0.5),
        )  # fmt: skip
        self.layers.set_title("gradient norm of each layer", loc="left", fontsize=10)
        self.layers.set_ylabel("layer (1 at the input)")
        self.layers.yaxis.set_major_locator(MaxNLocator(8, integer=True))
        self.figure.colorbar(scale, cax=self.scale)
        self.scale.yaxis.set_minor_formatter(NullFormatter())
        self.scale.set_title("norm", fontsize=8, pad=6)

    def _draw_total(self) -> None:
        self.total.plot(self.steps, self.record.total_gradient_norm.numpy(), color=BLUE, lw=1.3)
        _log_scale(self.total, self.record.total_gradient_norm.numpy())
        self.total.set_title("gradient norm, whole network", loc="left", fontsize=10)
        self.total.set_ylabel("norm (log scale)")

    def _draw_ratios(self) -> None:
        axes, limits = self.ratios, self.record.thresholds
        ratios = np.ma.masked_invalid(self.record.update_ratio.numpy()).clip(_LOWEST, _HIGHEST)
        low, high, middle = ratios.min(axis=1), ratios.max(axis=1), np.ma.median(ratios, axis=1)
        axes.fill_between(self.steps, low.filled(math.nan), high.filled(math.nan), color=BLUE,
                          alpha=0.18, lw=0, label="all")  # fmt: skip
        axes.plot(self.steps, middle.filled(math.nan), color=BLUE, lw=1.3, label="median")
        axes.axhline(RULE_OF_THUMB, color=INK, lw=0.8, ls=":")
        for limit in (limits.smallest_update, limits.largest_update):
            axes.axhline(limit, color=ORANGE, lw=0.9, ls="--")
        _log_scale(axes, np.array([]))
        below = min(low.min() if low.count() else 1.0, limits.smallest_update)
        above = max(high.max() if high.count() else 0.0, limits.largest_update)
        axes.set_ylim(below / 3, above * 3)
        axes.set_title("update-to-weight ratio", loc="left", fontsize=10)
        axes.set_ylabel("‖Δw‖ / ‖w‖ (log scale)")
        axes.legend(**_BESIDE_TITLE)

    def _draw_shares(self) -> None:
        curves = {
            "dead (worst layer)": (self.record.dead_share, np.ma.max, RED),
            "saturated (mean)": (self.record.saturated_share, np.ma.mean, GREEN),
        }
        for label, (share, reduce, color) in curves.items():
            values = reduce(np.ma.masked_invalid(share.numpy()), axis=1).filled(math.nan)
            self.shares.plot(self.steps, values, color=color, lw=1.3, label=label)
        self.shares.set(ylim=(-0.04, 1.08), yticks=(0, 0.5, 1))
        self.shares.set_ylabel("share of units")
        self.shares.legend(**_BESIDE_TITLE)

    def _draw_loss(self, losses: np.ndarray) -> None:
        self.loss.plot(np.arange(1, len(losses) + 1), losses, color=BLUE, lw=1.3)
        finite = losses[np.isfinite(losses)]
        wide = len(finite) > 0 and 0 < 100 * finite.min() < finite.max()
        if wide:
            _log_scale(self.loss, finite)
        self.loss.set_title("loss of the batch", loc="left", fontsize=10)
        self.loss.set_ylabel("loss (log scale)" if wide else "loss")

    def _mark_alarms(self) -> None:
        panels = {
            "exploding": self.total, "vanishing": self.layers, "small update": self.ratios,
            "large update": self.ratios, "dead": self.shares, "saturated": self.shares,
        }  # fmt: skip
        for alarm in self.record.alarms:
            if alarm.kind in panels:
                axes = panels[alarm.kind]
                axes.plot([alarm.step], [0.96], marker="v", color=ORANGE, ms=7, mec="white",
                          transform=axes.get_xaxis_transform())  # fmt: skip
        if (nan := self.record.first_nan) is not None:
            # what follows is NaN throughout and would leave no room for what led to it
            self.layers.set_xlim(right=min(self.steps[-1], 1.12 * nan.step + 2) + 0.5)
            for axes in self._panels():
                axes.axvline(nan.step, color=RED, lw=1.4)
            self.layers.text(nan.step, 0.5, f" Inf or NaN from step {nan.step} ", color=RED,
                             fontsize=9, rotation=90, va="center", backgroundcolor="#ffffffcc",
                             ha="right", transform=self.layers.get_xaxis_transform())  # fmt: skip

    def _panels(self) -> list[Axes]:
        panels = [self.layers, self.total, self.ratios, self.shares, self.loss]
        return [axes for axes in panels if axes is not None]

    def _dress(self) -> None:
        for axes in self._panels():
            dress(axes, grid=axes is not self.layers)
            axes.xaxis.set_major_locator(MaxNLocator(5, integer=True))
            lowest = axes.get_subplotspec().is_last_row()
            axes.tick_params(labelbottom=lowest)
            if lowest:
                axes.set_xlabel("step")
        self.scale.tick_params(labelsize=7.5)


def _log_scale(axes: Axes, values: np.ndarray) -> None:
    """Make the axis logarithmic, over whole decades that hold the positive finite values."""
    axes.set_yscale("log")
    axes.yaxis.set_minor_formatter(NullFormatter())
    values = values[np.isfinite(values) & (values > 0)]
    if len(values):
        low, high = math.floor(np.log10(values.min())), math.ceil(np.log10(values.max()))
        axes.set_ylim(10.0**low, 10.0 ** max(high, low + 1))


def _colours(record: TrainingRecord) -> tuple[np.ndarray, ScalarMappable]:
    """RGBA of each layer's gradient norm, (layers, steps, 4), and the scale behind it.

    Inf and NaN are red, exact zeros grey; where nothing was measured there is no colour.
    """
    norms, lost = record.weight_gradient_norm.numpy(), record.gradient_overflow.numpy()
    sized = np.isfinite(norms) & (norms > 0)
    high = norms[sized].max() if sized.any() else 1.0
    low = max(norms[sized].min() if sized.any() else 0.1, high / 10.0**_DECADES)
    ends = 10.0 ** math.floor(math.log10(low)), 10.0 ** math.ceil(math.log10(high))
    scale = ScalarMappable(LogNorm(ends[0], max(ends[1], 10 * ends[0]), clip=True), _SIZES)
    image = np.zeros((*norms.shape, 4))
    image[sized] = scale.to_rgba(norms[sized])
    image[norms == 0] = to_rgba(GREY)
    image[lost] = to_rgba(RED)
    return image.swapaxes(0, 1), scale


def draw_gradient_entries(axes: Axes, record: TrainingRecord, layer: str) -> None:
    """Draw how large the entries of one layer's ∂loss/∂W are at each step, a histogram a column.

    layer : one of ``record.names``; ValueError otherwise. The stronger the colour, the more
    entries have that size; a quarter of all, or more, is darkest.
    """
    if layer not in record.names:
        raise ValueError(f"layer must be one of {', '.join(record.names)}; got {layer!r}.")
    histogram = record.gradient_histogram[:, record.names.index(layer)].numpy()  # (steps, bins)
    steps, heights = record.steps.numpy(), math.log10(2)
    every = steps[1] - steps[0] if len(steps) > 1 else 1
    axes.imshow(
        np.ma.masked_equal(histogram.T, 0), origin="lower", aspect="auto", cmap=_SHARES, vmin=0,
        vmax=0.25, interpolation="nearest",
        extent=(steps[0] - every / 2, steps[-1] + every / 2, SMALLEST_BINADE * heights,
                (SMALLEST_BINADE + BINADES) * heights),
    )  # fmt: skip
    filled = np.flatnonzero(histogram.any(axis=0))
    if len(filled):
        low, high = (SMALLEST_BINADE + np.array([filled[0] - 3, filled[-1] + 4])) * heights
        axes.set_ylim(low, high)
    axes.set(xlabel="step", ylabel="log₁₀ |entry| (decades)")
    axes.xaxis.set_major_locator(MaxNLocator(5, integer=True))
    axes.spines[["top", "right"]].set_visible(False)
    axes.set_title(f"entries of ∂loss/∂W, layer {layer}", loc="left", fontsize=10)


class Picture(Figure):
    """A figure that shows itself in a notebook, whether or not pyplot is in use."""

    def _repr_png_(self) -> tuple[bytes, dict[str, int]]:
        width, height = self.get_size_inches() * self.dpi
        out = io.BytesIO()
        FigureCanvasAgg(self).print_figure(out, dpi=2 * self.dpi, format="png")
        return out.getvalue(), {"width": round(width), "height": round(height)}


def show_health(record: TrainingRecord, losses: Sequence[float] | None = None) -> Picture:
    """Return the `HealthFigure` of a training run as a figure that shows itself.

    record, losses : as for `HealthFigure`.
    """
    picture = Picture(figsize=(11, 4.4), dpi=100)
    HealthFigure(picture, record, losses)
    return picture
