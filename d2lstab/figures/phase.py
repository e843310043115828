"""Draw a phase diagram, and a network in it as a point that moves."""

import numpy as np
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.patheffects import withStroke
from scipy.ndimage import distance_transform_edt

from d2lstab.figures.axes import dress, last_layer
from d2lstab.figures.style import BLUE, GREY, INK, ORANGE, RED
from d2lstab.phase_diagram import PhaseDiagram
from d2lstab.prediction import MeanField

DEPTH_SCALES = (100, 50, 20, 10, 5, 2, 1)
"""Layers, where one shade ends and the next begins."""

_FADES = np.arange(1, len(DEPTH_SCALES) + 1) * 3 / 26  # steps of the palette in `figures.png`
_NAMES = {"ordered": "ordered", "chaotic": "chaotic", "diverges": "chaotic,\nvariance diverges"}
_WORDS = dict(color=INK, fontsize=9.5, path_effects=[withStroke(linewidth=2.5, foreground="w")])
_FASTEST = 1e3  # 1/ξ_c where σ_w is 0


def draw_phase_diagram(axes: Axes, diagram: PhaseDiagram) -> None:
    """Draw order, chaos and the edge between them; the stronger a colour, the smaller ξ_c.

    Blue is order, red is chaos, each named where it has most room; a scale to the right of the
    axes gives ξ_c in layers.

    >>> from d2lstab.phase_diagram import phase_diagram
    >>> axes = Figure().add_subplot()
    >>> draw_phase_diagram(axes, phase_diagram("tanh"))
    >>> [text.get_text() for text in axes.texts]
    ['ordered', 'chaotic', 'edge of chaos']
    """
    x, y = diagram.weight_variance, diagram.bias_variance
    with np.errstate(divide="ignore"):
        rate = np.sign(diagram.chi - 1) / diagram.correlation_depth  # 0 at the edge
    inner = 1 / np.array(DEPTH_SCALES)
    levels = np.r_[-_FASTEST, -inner[::-1], inner, _FASTEST]
    axes.contourf(x, y, rate.clip(-_FASTEST, _FASTEST), levels, colors=_shades())
    axes.plot(diagram.edge, y, color=INK, lw=1.6)
    axes.set(xlim=(x[0], x[-1]), ylim=(y[0], y[-1]))
    axes.set_xlabel("σ_w², fan-in × variance of a weight (dimensionless)")
    axes.set_ylabel("σ_b², variance of a bias")
    dress(axes, grid=False)
    diverges = np.isinf(diagram.variance)
    _name(axes, diagram, "ordered", (diagram.chi < 1) & ~diverges)
    _name(axes, diagram, "chaotic", (diagram.chi > 1) & ~diverges)
    _name(axes, diagram, "diverges", diverges)
    _name_edge(axes, diagram)
    _draw_scale(axes.inset_axes((1.025, 0, 0.035, 1)))


def _shades() -> list[tuple]:
    """Colours from deep order over white, the edge, to deep chaos."""
    order, chaos = (
        [tuple(1 - fade * (1 - np.array(to_rgb(ink)))) for fade in _FADES] for ink in (BLUE, RED)
    )
    return [*order[::-1], (1.0, 1.0, 1.0), *chaos]


def _name(axes: Axes, diagram: PhaseDiagram, phase: str, region: np.ndarray) -> None:
    """Write a phase's name where its region is farthest from all that is not of it."""
    x, y = diagram.weight_variance, diagram.bias_variance
    heights = np.linspace(0, y[-1], len(y))  # evenly spaced, as y is not
    even = np.pad(region[y.searchsorted(heights)], 1)  # the frame of the axes is an end, too
    # a word is wide: a step along a row counts less
    room = distance_transform_edt(even, sampling=(1 / len(y), 0.45 / len(x)))[1:-1, 1:-1]
    room += 1e-4 * np.arange(len(y))[:, None]  # of equals the highest: networks start at σ_b = 0
    if room.max() > 0.03:
        row, column = np.unravel_index(room.argmax(), room.shape)
        axes.text(x[column], heights[row], _NAMES[phase], ha="center", va="center", **_WORDS)


def _name_edge(axes: Axes, diagram: PhaseDiagram) -> None:
    """Write along the edge, where it is two thirds up, or not if the diagram holds none of it."""
    heights = diagram.bias_variance[-1] * np.array([0.55, 0.67, 0.79])
    x = np.interp(heights, diagram.bias_variance, diagram.edge)
    if np.isfinite(x).all():
        slope = np.degrees(np.arctan2(heights[2] - heights[0], x[2] - x[0]))
        axes.text(x[1], heights[1], "edge of chaos", ha="center", va="center", rotation=slope,
                  rotation_mode="anchor", transform_rotates_text=True, color=INK, fontsize=9,
                  bbox={"facecolor": "white", "edgecolor": "none", "pad": 0.4})  # fmt: skip


def _draw_scale(axes: Axes) -> None:
    """One box a shade, of one height, from deep order at the bottom to deep chaos at the top."""
    shades = _shades()
    axes.bar(0, 1, 1, bottom=np.arange(len(shades)), color=shades, lw=0)
    count = len(DEPTH_SCALES)
    at = [*range(1, count + 1), *range(count + 1, 2 * count + 1)]
    axes.set_yticks(at, [f"{n}" for n in (*DEPTH_SCALES[::-1], *DEPTH_SCALES)])
    axes.set(xlim=(-0.5, 0.5), ylim=(0, len(shades)), xticks=[])
    axes.tick_params(labelsize=7.5, left=False, labelleft=False, labelright=True, pad=2, right=True,
                     length=2)  # fmt: skip
    axes.set_title("ξ_c (layers)", fontsize=8.5, pad=4)


class PhaseFigure:
    """The phase diagram with a network as a point; beside it how its inputs grow alike.

    Made to be updated many times a second, as `SignalFigure`.

    figure : the matplotlib Figure to fill, about 11 × 3 inches.
    moving : the artists that change with every network.
    """

    def __init__(self, figure: Figure):
        self.figure = figure
        grid = figure.add_gridspec(
            1, 2, left=0.062, right=0.988, top=0.89, bottom=0.165, wspace=0.29,
            width_ratios=(1.2, 1),
        )  # fmt: skip
        self.plane, self.pairs = (figure.add_subplot(part) for part in grid)
        self.over = figure.add_axes(self.plane.get_position(), frameon=False, xticks=[], yticks=[])
        self._dress_pairs()
        (self.point,) = self.over.plot([], [], color=ORANGE, mec=INK, mew=1.4, ms=11)
        self.point.set_clip_on(False)
        self.title = self.over.text(0, 1.025, "", transform=self.over.transAxes, fontsize=10)
        (self.measured,) = self.pairs.plot([], [], ".-", color=BLUE, lw=1.6, ms=3.5)
        (self.fixed,) = self.pairs.plot([], [], "--", color=GREY, lw=1.2)
        (self.theory,) = self.pairs.plot([], [], ":", color=INK, lw=1.3)
        self.limit = self.pairs.text(0, 1.025, "", transform=self.pairs.transAxes, fontsize=10)
        self.pairs.legend(
            [self.measured, self.theory], ["measured", "theory"], loc="lower right", ncols=2,
            bbox_to_anchor=(1.02, 0.98), borderpad=0.2, fontsize=8.5, frameon=False,
            columnspacing=0.8, handlelength=1.1, handletextpad=0.5,
        )  # fmt: skip
        self._drawn: PhaseDiagram | None = None
        self._no_diagram("")
        self.moving: list[Artist] = [
            self.point, self.title, self.measured, self.fixed, self.theory, self.limit,
        ]  # fmt: skip
        for artist in self.moving:
            artist.set_animated(True)

    def _dress_pairs(self) -> None:
        self.pairs.set(ylim=(-0.12, 1.08), xlabel="layer (1 at the input)")
        self.pairs.set_ylabel("cosine, mean over pairs")
        dress(self.pairs)
        self.pairs.set_autoscale_on(False)

    def update(
        self,
        diagram: PhaseDiagram | str,
        weight_std: float | None,
        bias_std: float,
        correlation: np.ndarray,
        theory: MeanField | None = None,
        plain: bool = True,
    ) -> tuple:
        """Show a network in its diagram; return what the background depends on.

        diagram : of the network's activation function, or the reason why there is none.
        weight_std, bias_std : σ_w and σ_b, where the point stands; beyond the axes, an arrow at
            their end points there. σ_w None: no point.
        correlation : mean cosine of the preactivations of pairs of inputs, (layers,).
        theory : of the same network, or None.
        plain : False where the network is none of those that the diagram is of: the point is empty.
        """
        if diagram is not self._drawn:
            self._drawn = diagram
            self._draw(diagram)
        self.point.set_visible(weight_std is not None)
        if weight_std is None:
            self.title.set_text("weights that are all the same have no place here")
        else:
            self._place(weight_std**2, bias_std**2, plain)
        layers = np.arange(1, len(correlation) + 1)
        self.measured.set_data(layers, correlation)
        self._show_theory(theory, layers)
        right = last_layer(len(layers))
        self.pairs.set_xlim(0.5, right + 0.5)
        name = diagram if isinstance(diagram, str) else diagram.activation
        return name, *self.over.get_xlim(), *self.over.get_ylim(), right

    def _draw(self, diagram: PhaseDiagram | str) -> None:
        self.plane.clear()
        if isinstance(diagram, str):
            self._no_diagram(diagram)
        else:
            draw_phase_diagram(self.plane, diagram)
        self.over.set(xlim=self.plane.get_xlim(), ylim=self.plane.get_ylim())

    def _no_diagram(self, reason: str) -> None:
        self.plane.set(xlim=(0, 4), ylim=(0, 0.5), xlabel="σ_w²", ylabel="σ_b²")
        self.plane.text(0.5, 0.5, reason, transform=self.plane.transAxes, ha="center", **_WORDS)
        dress(self.plane)

    def _place(self, weight_variance: float, bias_variance: float, plain: bool) -> None:
        (_, right), (_, top) = self.over.get_xlim(), self.over.get_ylim()
        # a hundredth of grace: what was dragged to the end has been rounded
        beyond = weight_variance > 1.01 * right, bias_variance > 1.01 * top
        x = 0.985 * right if beyond[0] else min(weight_variance, right)
        y = 0.975 * top if beyond[1] else min(bias_variance, top)
        self.point.set_data([x], [y])
        turn = {(True, False): -90, (False, True): 0, (True, True): -45}
        self.point.set_marker((3, 0, turn[beyond]) if any(beyond) else "o")
        self.point.set_markerfacecolor(ORANGE if plain else "white")
        at = f"σ_w² = {weight_variance:.3g}, σ_b² = {bias_variance:.3g}"
        self.title.set_text(f"this network: {at}" if plain else f"if it were a plain network: {at}")

    def _show_theory(self, theory: MeanField | None, layers: np.ndarray) -> None:
        shown = theory is not None and bool(np.isfinite(theory.correlation).any())
        phase = theory.phase if shown else None
        settles = phase is not None and 0 < phase.variance < np.inf
        self.theory.set_visible(shown)
        self.fixed.set_visible(settles)
        self.limit.set_text("correlation of inputs")
        if shown:
            self.theory.set_data(layers, theory.correlation)
        if settles:
            self.fixed.set_data([0, 1e6], [phase.correlation] * 2)
            self.limit.set_text(f"correlation of inputs, - - c* = {phase.correlation:.2g}")

    @property
    def box(self) -> tuple[float, float, float, float]:
        """Left, top, right, bottom of the diagram, in shares of the picture from its top left."""
        box = self.plane.get_position()
        return tuple(round(float(x), 5) for x in (box.x0, 1 - box.y1, box.x1, 1 - box.y0))

    def variances_at(self, x: float, y: float) -> tuple[float, float]:
        """σ_w² and σ_b² at a place in the picture, or at the nearest one in the diagram.

        x, y : shares of the picture's width and height, from its top left.
        """
        left, top, right, bottom = self.box
        across, up = (x - left) / (right - left), (bottom - y) / (bottom - top)
        (_, largest), (_, highest) = self.over.get_xlim(), self.over.get_ylim()
        # plain floats: numpy's print themselves in another way from version 2 on
        return float(min(max(across, 0), 1) * largest), float(min(max(up, 0), 1) * highest)
