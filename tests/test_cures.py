"""The picture of the cures shows the numbers that it was given, row by row."""

import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import same_color
from matplotlib.figure import Figure
from torch import tensor

from d2lstab.figures.cures import draw_cures
from d2lstab.figures.style import BLUE, GREEN, RED

RATIOS = {"nothing": 1e-31, "cure": 0.5, "too much": 1e7}
SCORES = {
    "nothing": tensor([0.1, 0.09, 0.11]),
    "cure": tensor([0.8, 0.9, 0.7]),
    "too much": tensor([0.2, 0.6, 0.4]),
}


def drawn():
    figure = Figure(figsize=(7, 3), layout="constrained")
    FigureCanvasAgg(figure)
    draw_cures(figure, RATIOS, SCORES)
    figure.canvas.draw()
    return figure.axes


def test_the_rows_are_named_from_the_top():
    left, right = drawn()
    names = [label.get_text() for label in left.get_yticklabels()]
    assert names == list(RATIOS)
    assert left.get_ylim()[0] > left.get_ylim()[1] and right.get_ylim() == left.get_ylim()
    assert not any(label.get_visible() and label.get_text() for label in right.get_yticklabels())


def test_each_ratio_stands_on_its_row_and_is_green_inside_the_band():
    left, _ = drawn()
    stems = [line for line in left.lines if line.get_marker() == "o"]
    for row, (stem, ratio) in enumerate(zip(stems, RATIOS.values(), strict=True)):
        np.testing.assert_array_equal(stem.get_xdata(), [1, ratio])
        np.testing.assert_array_equal(stem.get_ydata(), [row, row])
    assert [
        same_color(s.get_color(), c) for s, c in zip(stems, (RED, GREEN, RED), strict=True)
    ] == [True] * 3
    low, high = left.get_xlim()
    assert left.get_xscale() == "log" and low < 1e-31 and high > 1e7


def test_every_seed_is_a_dot_and_the_bar_is_mean_and_standard_deviation():
    _, right = drawn()
    dots = [line for line in right.lines if line.get_marker() == "o"]
    for row, (line, values) in enumerate(zip(dots, SCORES.values(), strict=True)):
        np.testing.assert_allclose(line.get_xdata(), values.numpy())
        np.testing.assert_array_equal(line.get_ydata(), [row] * 3)
    bars = right.containers
    for bar, values in zip(bars, SCORES.values(), strict=True):
        data_line, _, (segments,) = bar
        (start, end) = segments.get_segments()[0]
        mean, spread = np.mean(values.numpy()), np.std(values.numpy(), ddof=1)
        assert data_line.get_xdata()[0] == pytest.approx(mean)
        assert (end[0] - start[0]) / 2 == pytest.approx(spread, rel=1e-4)
    colors = [bar[0].get_color() for bar in bars]
    assert [same_color(c, e) for c, e in zip(colors, (RED, BLUE, RED), strict=True)] == [True] * 3


def test_both_axes_name_their_quantity():
    left, right = drawn()
    assert "gradient" in left.get_xlabel() and "log" in left.get_xlabel()
    assert "accuracy" in right.get_xlabel() and right.get_xlim() == (0, 1)


def test_one_seed_has_no_error_bar_and_raises_no_warning():
    figure = Figure()
    draw_cures(figure, {"cure": 1.0}, {"cure": tensor([0.8])})
    _, _, (segments,) = figure.axes[1].containers[0]
    start, end = segments.get_segments()[0]
    assert start[0] == end[0]


def test_names_that_differ_are_refused():
    with pytest.raises(ValueError, match="names differ"):
        draw_cures(Figure(), RATIOS, {"cure": tensor([0.8])})
    with pytest.raises(ValueError, match="names differ"):
        draw_cures(Figure(), RATIOS, dict(reversed(SCORES.items())))
