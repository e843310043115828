"""Curves of means show the means and errors that they were given, and plain numbers at ticks."""

import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from d2lstab.figures.landscape import draw_means, draw_ranges


def axes_of(log=False, y=None, draw=draw_means):
    figure = Figure(figsize=(3, 2))
    FigureCanvasAgg(figure)
    axes = figure.subplots()
    draw(axes, [1, 2, 4], {"plain": y}, log=log)
    return axes


def test_the_line_is_the_mean_and_the_band_one_standard_error():
    values = np.array([[1.0, 2, 3], [3, 2, 5], [2, 8, 4], [6, 4, 0]])
    axes = axes_of(y=values)
    np.testing.assert_allclose(axes.lines[0].get_ydata(), values.mean(0))
    error = np.sqrt(((values - values.mean(0)) ** 2).sum(0) / 3 / 4)
    (path,) = axes.collections[0].get_paths()
    for x, mean, e in zip((1, 2, 4), values.mean(0), error, strict=True):
        at = path.vertices[path.vertices[:, 0] == x, 1]
        assert at.min() == pytest.approx(mean - e) and at.max() == pytest.approx(mean + e)


def test_one_seed_has_no_band_and_raises_no_warning():
    (path,) = axes_of(y=[[1.0, 2, 3]]).collections[0].get_paths()
    assert set(map(tuple, path.vertices)) == {(1, 1), (2, 2), (4, 3)}


def test_a_value_that_is_no_number_leaves_a_gap():
    line = axes_of(y=[[1.0, np.inf, 3], [2, 1, np.nan]]).lines[0].get_ydata()
    assert line[0] == 1.5 and not np.isfinite(line[1:]).any()


def test_ranges_go_from_the_mean_of_the_least_to_the_mean_of_the_largest_values():
    values = np.arange(18.0).reshape(2, 3, 3)[:, :, [1, 0, 2]]
    low, high = axes_of(y=values, draw=draw_ranges).lines
    np.testing.assert_allclose(low.get_ydata(), [4.5, 7.5, 10.5])
    np.testing.assert_allclose(high.get_ydata(), [6.5, 9.5, 12.5])


def ticks(axes):
    axes.figure.canvas.draw()
    low, high = axes.get_ylim()
    labels = axes.yaxis.get_ticklabels(which="both")
    return {label.get_text() for label in labels if low <= label.get_position()[1] <= high} - {""}


def test_a_narrow_log_axis_names_2_and_5_and_a_wide_one_only_powers_of_ten():
    assert {"2", "5"} <= ticks(axes_of(log=True, y=[[1.5, 3, 6]]))
    wide = ticks(axes_of(log=True, y=[[0.01, 3, 900]]))
    assert {"0.1", "10"} <= wide and not {"2", "5", "20"} & wide


def test_curves_are_told_apart_by_colour_and_by_line():
    axes = Figure().subplots()
    draw_means(axes, [1], {name: [[1.0]] for name in "abcd"})
    assert len({line.get_color() for line in axes.lines}) == 4
    assert len({line.get_linestyle() for line in axes.lines}) == 4
    assert [line.get_label() for line in axes.lines] == list("abcd")


def test_too_many_curves_and_wrong_shapes_are_refused():
    axes = Figure().subplots()
    with pytest.raises(ValueError, match="4 curves can be told apart; got 5"):
        draw_means(axes, [1], {name: [[1.0]] for name in "abcde"})
    with pytest.raises(ValueError, match=r"'a' must have the shape \(seeds, 2\); got \(1, 1\)"):
        draw_means(axes, [1, 2], {"a": [[1.0]]})
    with pytest.raises(ValueError, match=r"shape \(seeds, 1, values\); got \(1, 1\)"):
        draw_ranges(axes, [1], {"a": [[1.0]]})
