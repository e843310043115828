"""A law and its measurements are drawn as they were given."""

import numpy as np
import pytest
from matplotlib.figure import Figure

from d2lstab.figures.limits import draw_law


def test_the_bars_are_one_standard_deviation_to_each_side_of_the_mean():
    axes, found = Figure().subplots(), np.array([[1.0, 2, 6], [5.0, 5, 8]])
    draw_law(axes, [1, 2], [3.5, 5.5], found, "C1", "ReLU")
    line, points = axes.lines[:2]
    np.testing.assert_array_equal(line.get_ydata(), [3.5, 5.5])
    np.testing.assert_array_equal(points.get_ydata(), [3, 6])
    segments = np.array(axes.containers[0].lines[2][0].get_segments())
    half = [7**0.5, 3**0.5]  # of (1, 2, 6) and (5, 5, 8), by hand
    np.testing.assert_allclose(
        segments[:, :, 1].T, [np.subtract([3, 6], half), np.add([3, 6], half)]
    )
    labels = axes.get_legend_handles_labels()[1]
    assert labels == ["ReLU: law", "ReLU: measured ± sd"]


@pytest.mark.parametrize("found", [[1.0, 2.0], [[1.0, 2.0]]])
def test_measurements_need_a_row_for_each_point(found):
    with pytest.raises(ValueError, match="found \\(k, draws\\)"):
        draw_law(Figure().subplots(), [1, 2], [1, 2], found, "C0", "")
