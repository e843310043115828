"""The picture of the feedback loop shows what was simulated, beside what theory says."""

import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from scipy import stats

from d2lstab.figures.feedback import BINS, draw_patrols
from d2lstab.shift.feedback import patrol

PATROLS = patrol((0.5, 0.5), days=200, cities=60, start=(3, 2), seed=1)


def drawn(patrols=PATROLS, **options):
    figure = Figure(figsize=(7, 3), layout="constrained")
    FigureCanvasAgg(figure)
    draw_patrols(figure, patrols, **{"fair": 0.5, **options})
    return figure


def test_the_paths_are_the_shares_of_the_first_cities():
    paths = drawn().axes[0]
    lines = paths.lines[:-1]
    assert len(lines) == 40 and paths.get_title() == "40 of 60 cities"
    for city, line in enumerate(lines):
        np.testing.assert_array_equal(line.get_xdata(), np.arange(1, 201))
        np.testing.assert_array_equal(line.get_ydata(), PATROLS.share[1:, city])
    few = patrol((0.5, 0.5), days=9, cities=3)
    assert drawn(few).axes[0].get_title() == "3 of 3 cities"


def test_the_histogram_is_the_density_of_all_cities_at_the_end():
    ends = drawn().axes[1]
    density = [patch.get_width() for patch in ends.patches]
    expected, _ = np.histogram(PATROLS.share[-1], np.linspace(0, 1, BINS + 1), density=True)
    np.testing.assert_allclose(density, expected)
    assert ends.get_title() == "after 200 days"


def test_theory_is_the_beta_density_that_was_named():
    figure = drawn(limit=(3, 2))
    x, y = figure.axes[1].lines[0].get_data()
    np.testing.assert_allclose(x, stats.beta(3, 2).pdf(y))
    names = [text.get_text() for text in figure.legends[0].get_texts()]
    assert set(names) == {"measured", "theory: Beta(3, 2)", "share of incidents in A"}
    figure.canvas.draw()
    assert len(drawn().axes[1].lines) == 1


def test_the_fair_share_is_a_line_in_both():
    for axes in drawn(fair=0.7).axes:
        assert list(axes.lines[-1].get_ydata()) == [0.7, 0.7]


def test_axes_say_what_they_show():
    paths, ends = drawn().axes
    assert paths.get_xlabel() == "day (log scale)" and paths.get_xscale() == "log"
    assert paths.get_ylabel() == "share of patrols in area A" and paths.get_ylim() == (0, 1)
    assert ends.get_xlabel() == "cities (density)"
    assert paths.get_xlim() == pytest.approx((1, 200))
