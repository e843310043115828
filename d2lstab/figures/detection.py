"""Draw what a two-sample test saw, and how often tests sound the alarm."""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes

from d2lstab.figures.axes import dress
from d2lstab.figures.style import BLUE, GREEN, GREY, INK, ORANGE, RED
from d2lstab.shift.detect import Detection
from d2lstab.shift.power import AlarmRate

LEVEL = 0.05
"""The false alarm rate that the tests are meant to have."""

# One look a test, also without colour.
_LOOKS = ((BLUE, "o-"), (ORANGE, "s--"), (GREEN, "^-."), (RED, "D:"), (INK, "v-"))


def draw_null(axes: Axes, found: Detection) -> None:
    """Draw the statistics of the mixed samples, and the one of the samples as they came.

    found : of a test that mixes the samples, `mmd_test`. The share `LEVEL` of the mixed ones, at
        the right, is drawn as the alarm zone.

    Raises ValueError for a test without mixing.

    >>> from matplotlib.figure import Figure
    >>> axes = Figure().subplots()
    >>> draw_null(axes, Detection("MMD", 0.3, 0.05, np.linspace(-0.1, 0.1, 19)))
    >>> axes.get_xlabel()
    'MMD² (dimensionless)'
    """
    if found.null is None:
        raise ValueError(f"found must hold statistics of mixed samples; {found.method} mixes none.")
    ordered = np.sort(found.null)
    # p ≤ LEVEL where at most LEVEL · (permutations + 1) − 1 of them are as large.
    border = ordered[len(ordered) - max(int(LEVEL * (len(ordered) + 1) + 1e-9), 1)]
    bins = np.histogram_bin_edges(ordered, 30)
    axes.hist(ordered, bins, color=GREY, alpha=0.6, label=f"{len(ordered)} mixed samples")
    axes.axvspan(border, max(border, found.statistic, ordered[-1]) + np.ptp(bins) / 20,
                 color=RED, alpha=0.12, lw=0, label=f"alarm zone, level {LEVEL:g}")  # fmt: skip
    axes.axvline(
        found.statistic, color=BLUE, lw=2.2, label=f"as they came, p = {found.p_value:.3g}"
    )
    axes.set(xlabel=f"{found.method}² (dimensionless)", ylabel="mixed samples (count)")
    axes.margins(x=0)
    axes.legend(fontsize=8)
    dress(axes)
    axes.set_axisbelow(True)


def draw_alarm_rates(
    axes: Axes,
    across: Sequence[float],
    rates: Mapping[str, Sequence[AlarmRate]],
    xlabel: str,
) -> None:
    """Draw a curve for each test: how often it sounded the alarm, with the 95 % intervals.

    A dashed line stands at `LEVEL`.

    across : what was varied, (points,), rising: the size of the shift, or of the samples.
    rates : name of the test → its rates, one a point; at most five tests.

    Raises ValueError for more tests, or for another number of rates than points.

    >>> from matplotlib.figure import Figure
    >>> axes = Figure().subplots()
    >>> draw_alarm_rates(axes, [0, 1], {"MMD": [AlarmRate(1, 20, 0, 0.25)] * 2}, "size")
    >>> axes.get_ylabel()
    'share of trials with an alarm'
    """
    wrong = {name: len(points) for name, points in rates.items() if len(points) != len(across)}
    if len(rates) > len(_LOOKS) or wrong:
        raise ValueError(
            f"rates must be at most {len(_LOOKS)} tests with {len(across)} rates each; got "
            f"{len(rates)} tests{f', {wrong}' if wrong else ''}."
        )
    axes.axhline(LEVEL, color=GREY, ls="--", lw=1)
    axes.annotate(f"level {LEVEL:g}", (1, LEVEL), (0, 2), xycoords=("axes fraction", "data"),
                  textcoords="offset points", ha="right", va="bottom", color=GREY,
                  fontsize=8)  # fmt: skip
    for (name, points), (color, look) in zip(rates.items(), _LOOKS, strict=False):
        low, high = ([getattr(point, end) for point in points] for end in ("low", "high"))
        axes.fill_between(across, low, high, color=color, alpha=0.08, lw=0)
        axes.plot(across, [point.rate for point in points], look, color=color, ms=5, label=name)
    axes.set(ylim=(0, 1.02), xlabel=xlabel, ylabel="share of trials with an alarm")
    axes.legend(fontsize=8)
    dress(axes)
    axes.set_axisbelow(True)
