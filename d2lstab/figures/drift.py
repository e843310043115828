"""Draw a concept that turns, the models that follow it, how long they should remember, an alarm."""

from collections.abc import Mapping

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter

from d2lstab.figures.axes import dress
from d2lstab.figures.style import BLUE, GREEN, GREY, INK, ORANGE, RED
from d2lstab.shift.alarm import Alarm
from d2lstab.shift.drift import Stream, Track
from d2lstab.shift.window import MeanError

_LINES = ((BLUE, "-"), (ORANGE, "--"), (GREEN, "-."), (GREY, ":"))


def draw_examples(axes: Axes, stream: Stream, angle: float) -> None:
    """Draw examples in the plane of the digits, and the line that parts the labels at ``angle``.

    Label 1 is a dot, label 0 a cross; the arrow points to the side of label 1.

    >>> from d2lstab.shift.drift import sample_stream
    >>> from matplotlib.figure import Figure
    >>> axes = Figure().subplots()
    >>> draw_examples(axes, sample_stream([0.0] * 50), 0.0)
    >>> axes.get_xlabel()
    '1st component (σ)'
    """
    for label, marker, colour in ((0, "x", ORANGE), (1, "o", BLUE)):
        x, y = stream.inputs[stream.labels == label].T
        axes.plot(x, y, marker, color=colour, ms=3.5, mew=1, alpha=0.8, label=f"label {label}")
    along = np.array([-np.sin(angle), np.cos(angle)])
    axes.plot(*np.outer(along, [-4, 4]), color=INK, lw=1.6)
    head = 1.1 * np.array([np.cos(angle), np.sin(angle)])
    axes.annotate("", head, (0, 0), arrowprops=dict(arrowstyle="->", color=INK, lw=1.8))
    axes.set(xlim=(-2.6, 2.6), ylim=(-2.6, 2.6), aspect="equal")
    axes.set(xlabel="1st component (σ)", ylabel="2nd component (σ)")
    dress(axes)


def draw_tracks(axes: Axes, tracks: Mapping[str, Track], best: float, changes=()) -> None:
    """Draw the accuracy of each model while the stream passes, and the ``best`` that there is.

    tracks : up to four, by name. changes : steps where the concept jumps, as vertical lines.

    >>> from matplotlib.figure import Figure
    >>> axes = Figure().subplots()
    >>> draw_tracks(axes, {"fixed": Track(np.array([50, 100]), np.array([0.9, 0.8]))}, best=0.9)
    >>> [text.get_text() for text in axes.get_legend().get_texts()]
    ['best possible', 'fixed']
    """
    axes.axhline(best, color=INK, lw=0.9, label="best possible")
    for (name, track), (colour, line) in zip(tracks.items(), _LINES, strict=False):
        axes.plot(track.steps, track.accuracy, line, color=colour, lw=1.7, label=name)
    for change in changes:
        axes.axvline(change, color=GREY, lw=0.9, ls=(0, (1, 2)))
    axes.set(xlabel="examples that have passed", ylabel="accuracy on the next (share)")
    axes.legend(fontsize=8.5, framealpha=0.9)
    dress(axes)


def draw_tradeoff(axes: Axes, memory, error: MeanError, at, measured) -> None:
    """Draw the error against the memory: both parts of theory, their sum, and what was measured.

    memory : (m,), > 0, where ``error`` is. at, measured : (k,), where and what was measured.

    >>> from matplotlib.figure import Figure
    >>> axes = Figure().subplots()
    >>> draw_tradeoff(axes, [1, 2], MeanError(np.ones(2), np.ones(2)), [2], [1.9])
    >>> axes.get_xscale(), axes.get_yscale()
    ('log', 'log')
    """
    axes.plot(memory, error.noise, "--", color=BLUE, lw=1.4, label="noise (theory)")
    axes.plot(memory, error.staleness, "-.", color=ORANGE, lw=1.4, label="staleness (theory)")
    axes.plot(memory, error.total, color=INK, lw=1.6, label="sum (theory)")
    axes.plot(at, measured, "o", color=RED, ms=5.5, label="measured", zorder=3)
    axes.set(xscale="log", yscale="log")
    axes.set_ylim(0.3 * np.min(measured), 2 * np.max(measured))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.legend(fontsize=8.5, framealpha=0.9)
    dress(axes)


def draw_alarm(axes: Axes, alarm: Alarm, change: int | None = None) -> None:
    """Draw a CUSUM chart, its threshold, the alarm, and the step of the change where it is known.

    >>> from d2lstab.shift.alarm import cusum
    >>> from matplotlib.figure import Figure
    >>> axes = Figure().subplots()
    >>> draw_alarm(axes, cusum([0, 1, 1, 1], before=0.1, after=0.4, threshold=3), change=1)
    >>> [text.get_text() for text in axes.get_legend().get_texts()]
    ['evidence of a change', 'threshold', 'the change', 'alarm']
    """
    steps = np.arange(1, len(alarm.statistic) + 1)
    axes.plot(steps, alarm.statistic, color=BLUE, lw=1.2, label="evidence of a change")
    axes.axhline(alarm.threshold, color=GREY, ls="--", lw=1.2, label="threshold")
    if change is not None:
        axes.axvline(change, color=INK, ls=":", lw=1.4, label="the change")
    if alarm.step is not None:
        height = alarm.statistic[alarm.step - 1]
        axes.plot(alarm.step, height, "v", color=RED, ms=9, label="alarm", zorder=3)
    axes.set(xlabel="examples that have passed", ylabel="log-likelihood ratio (nats)")
    axes.legend(fontsize=8.5, loc="upper left", framealpha=0.9)
    dress(axes)
