"""Draw a feedback loop: where patrols are sent, day by day, and where they end up."""

import numpy as np
from matplotlib.figure import Figure
from scipy import stats

from d2lstab.figures.axes import dress
from d2lstab.figures.style import BLUE, INK, ORANGE
from d2lstab.shift.feedback import Patrols

BINS = 25

SHOWN = 40
"""Of how many cities the path is drawn, at most; the histogram counts all."""


def draw_patrols(figure: Figure, patrols: Patrols, fair: float, limit=None) -> None:
    """Draw the share of patrols over the days, left, and how it is distributed at the end, right.

    fair : 0 to 1, the first area's share of the incidents that happen, a dashed line.
    limit : a and b of the Beta distribution that theory expects at the end; None for no theory.

    >>> from d2lstab.shift.feedback import patrol
    >>> figure = Figure()
    >>> draw_patrols(figure, patrol((1, 1), days=10, cities=5), fair=0.5, limit=(1, 1))
    >>> [axes.get_xlabel() for axes in figure.axes]
    ['day (log scale)', 'cities (density)']
    """
    share = patrols.share
    paths, ends = figure.subplots(1, 2, sharey=True, width_ratios=(2.4, 1))
    paths.plot(np.arange(1, len(share)), share[1:, :SHOWN], color=BLUE, lw=0.8, alpha=0.6)
    paths.set(xscale="log", xlim=(1, len(share) - 1), ylim=(0, 1), xlabel="day (log scale)")
    paths.set_ylabel("share of patrols in area A")
    ends.hist(
        share[-1], bins=np.linspace(0, 1, BINS + 1), density=True, orientation="horizontal",
        color=BLUE, alpha=0.5, label="measured",
    )  # fmt: skip
    if limit is not None:
        levels = np.linspace(0.001, 0.999, 500)
        ends.plot(
            stats.beta.pdf(levels, *limit),
            levels,
            color=INK,
            label="theory: Beta({:g}, {:g})".format(*limit),
        )
    ends.set(xlabel="cities (density)")
    for axes in (paths, ends):
        axes.axhline(fair, color=ORANGE, ls="--", lw=1.8, label="share of incidents in A")
        dress(axes)
    paths.set_title(f"{min(SHOWN, share.shape[1])} of {share.shape[1]} cities", fontsize=9.5)
    ends.set_title(f"after {len(share) - 1} days", fontsize=9.5)
    handles, names = ends.get_legend_handles_labels()
    figure.legend(handles, names, loc="outside lower center", ncols=3, fontsize=8.5, frameon=False)
