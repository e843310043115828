"""Draw estimates of a prior with their intervals, beside the truth."""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes

from d2lstab.figures.axes import dress
from d2lstab.figures.style import BLUE, GREEN, GREY, INK, ORANGE, RED
from d2lstab.shift.prior import PriorEstimate

MARKS = (("o", BLUE), ("s", ORANGE), ("^", GREEN))
"""Marker and colour of the first, second and third estimate."""


def draw_priors(
    axes: Axes,
    truth: np.ndarray,
    estimates: Mapping[str, PriorEstimate],
    source: np.ndarray,
    counted: np.ndarray | None = None,
) -> None:
    """Draw, for each class, where the share was, where it is, and what estimates say it is.

    truth, source : (classes,), the prior of the target and of the source.
    estimates : at most three, by the name that the legend shows.
    counted : (classes,), the shares of the predictions, uncorrected; None to leave it out.

    Raises ValueError where a length differs or there are more than three estimates.

    >>> from matplotlib.figure import Figure
    >>> prior = np.array([0.3, 0.7])
    >>> estimate = PriorEstimate(prior, prior / 0.5, prior - 0.1, prior + 0.1, "EM")
    >>> draw_priors(axes := Figure().subplots(), prior, {"EM": estimate}, np.array([0.5, 0.5]))
    >>> [text.get_text() for text in axes.get_legend().get_texts()]
    ['target', 'source', 'EM']
    """
    if len(estimates) > len(MARKS):
        raise ValueError(f"estimates must be at most {len(MARKS)}; got {len(estimates)}.")
    classes = np.arange(len(truth))
    given = [
        source,
        *([] if counted is None else [counted]),
        *(e.prior for e in estimates.values()),
    ]
    if any(len(values) != len(truth) for values in given):
        raise ValueError(f"all must have {len(truth)} classes; got {[len(v) for v in given]}.")
    axes.bar(classes, source, 0.86, color="#e4e4e4", label="source")
    axes.hlines(truth, classes - 0.43, classes + 0.43, color=INK, lw=2, label="target")
    places = np.linspace(-0.27, 0.27, len(estimates) + (counted is not None) + 2)[1:-1]
    if counted is not None:
        axes.plot(classes + places[0], counted, "x", color=GREY, ms=6, label="predictions, counted")
        places = places[1:]
    for (name, estimate), place, (marker, color) in zip(
        estimates.items(), places, MARKS, strict=False
    ):
        bars = _bars(estimate.prior, estimate.low, estimate.high)
        axes.errorbar(classes + place, estimate.prior, bars, fmt=marker, color=color, ms=4.5,
                      capsize=2.5, lw=1.5, label=name)  # fmt: skip
    axes.set_xticks(classes)
    axes.set(xlabel="class", ylabel="share of the class", ylim=(0, None))
    dress(axes)
    axes.grid(axis="x", visible=False)
    axes.set_axisbelow(True)
    axes.legend(fontsize=8.5, frameon=False)


def draw_intervals(
    axes: Axes, x: Sequence[float], estimates: Sequence[PriorEstimate], label: int, truth: float
) -> None:
    """Draw the interval of one class for many estimates, red and thick where it misses the truth.

    x : where each estimate stands: its number, or the size of its sample.
    label : the class. truth : its share in the target, a dashed line.

    >>> from matplotlib.figure import Figure
    >>> prior = np.array([0.3, 0.7])
    >>> estimate = PriorEstimate(prior, prior / 0.5, prior - 0.1, prior + 0.1, "EM")
    >>> draw_intervals(axes := Figure().subplots(), [1, 2], [estimate] * 2, label=0, truth=0.45)
    >>> axes.get_ylabel()
    'share of class 0'
    """
    x = np.asarray(x, float)
    prior, low, high = (
        np.array([getattr(estimate, name)[label] for estimate in estimates])
        for name in ("prior", "low", "high")
    )
    axes.axhline(truth, color=INK, ls="--", lw=1.2, label="truth")
    misses = (truth < low) | (truth > high)
    for kind, color, width, marker, name in (
        (~misses, BLUE, 1.2, "o", "interval covers it"),
        (misses, RED, 2.4, "x", "interval misses it"),
    ):
        if kind.any():
            bars = _bars(prior[kind], low[kind], high[kind])
            axes.errorbar(x[kind], prior[kind], bars, fmt=marker, color=color, lw=width, ms=4,
                          label=name)  # fmt: skip
    axes.set(ylabel=f"share of class {label}")
    dress(axes)
    axes.legend(fontsize=8.5, frameon=False, ncols=3, loc="lower left", bbox_to_anchor=(0, 1))


def _bars(prior: np.ndarray, low: np.ndarray, high: np.ndarray) -> np.ndarray:
    """What `Axes.errorbar` takes: the distances down and up, (2, n)."""
    return np.stack([prior - low, high - prior])
