"""The figures of batches show the numbers that they were given."""

import numpy as np
import pytest
import torch
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import same_color
from matplotlib.figure import Figure
from scipy import stats

from d2lstab.figures.batches import draw_means, draw_mismatches
from d2lstab.figures.style import BLUE, ORANGE
from d2lstab.normalization.batches import Mismatch

RUNS = {
    "batch": torch.tensor([[0.2, 0.9], [0.4, 0.8], [0.3, 0.7]]),
    "layer": np.array([[0.6, 0.9], [0.6, 0.7]]),
}


def test_each_line_is_the_mean_and_each_bar_its_95_percent_interval():
    axes = Figure().subplots()
    draw_means(axes, [2, 512], RUNS)
    for container, values, color in zip(
        axes.containers, RUNS.values(), (BLUE, ORANGE), strict=True
    ):
        line, _, (bars,) = container
        np.testing.assert_array_equal(line.get_xdata(), [2, 512])
        np.testing.assert_allclose(line.get_ydata(), np.mean(np.asarray(values), 0), rtol=1e-6)
        assert same_color(line.get_color(), color)
        ends = np.array(bars.get_segments())[:, :, 1]  # (points, low and high)
        n = len(values)
        error = stats.sem(np.asarray(values), 0) * stats.t(n - 1).ppf(0.975)
        np.testing.assert_allclose((ends[:, 1] - ends[:, 0]) / 2, error, rtol=1e-3)
    assert [text.get_text() for text in axes.get_legend().get_texts()] == list(RUNS)


def test_more_lines_than_looks_are_refused():
    five = {str(number): np.zeros((2, 1)) for number in range(5)}
    with pytest.raises(ValueError, match="at most 4 lines; got 5"):
        draw_means(Figure().subplots(), [1], five)


def layers(shift):
    mean = torch.tensor([0.0, -1.0, 2.0]) + shift
    return [Mismatch("1", mean, torch.tensor([1.0, 0.5, 4.0])), Mismatch("4", mean, mean.exp())]


def test_each_channel_of_each_layer_is_a_dot_at_its_own_height():
    figure = Figure(figsize=(8, 3))
    FigureCanvasAgg(figure)
    draw_mismatches(figure, {"i.i.d.": layers(0.0), "one class": layers(1.0)})
    figure.canvas.draw()
    left, right = figure.axes
    assert right.get_yscale() == "log" and left.get_yscale() == "linear"
    expected = [layer for shift in (0.0, 1.0) for layer in layers(shift)]
    for axes, field in ((left, "mean"), (right, "variance")):
        dots = [line for line in axes.lines if line.get_marker() == "."]
        for line, layer in zip(dots, expected, strict=True):
            np.testing.assert_allclose(line.get_ydata(), getattr(layer, field))
        # layer 1's dots, then layer 2's; in each the first batch stands left of the second
        (a, b), (c, d) = ([line.get_xdata() for line in dots[i:4:2]] for i in (0, 1))
        assert a.min() > 0.5 and a.max() < b.min() and b.max() < 1.5
        assert c.min() > 1.5 and c.max() < d.min() and d.max() < 2.5
    assert [text.get_text() for text in left.get_legend().get_texts()] == ["i.i.d.", "one class"]
