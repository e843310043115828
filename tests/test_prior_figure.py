"""Pictures of estimated priors: what stands where, and what is marked as missed."""

import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import same_color
from matplotlib.figure import Figure

from d2lstab.figures.prior import draw_intervals, draw_priors
from d2lstab.figures.style import BLUE, RED
from d2lstab.shift.prior import PriorEstimate

TRUTH, SOURCE = np.array([0.2, 0.5, 0.3]), np.array([0.4, 0.3, 0.3])


def estimate(prior=(0.25, 0.45, 0.3), below=0.1, above=0.05):
    prior = np.array(prior)
    return PriorEstimate(prior, prior / SOURCE, prior - below, prior + above, "EM")


def axes():
    figure = Figure(figsize=(6, 3), layout="constrained")
    FigureCanvasAgg(figure)
    return figure.subplots()


def bars(container):
    """Places, middles, low and high ends of an error bar container."""
    line, _, (segments,) = container
    ends = np.array(segments.get_segments())
    return line.get_xdata(), line.get_ydata(), ends[:, 0, 1], ends[:, 1, 1]


def containers(ax):
    return [c for c in ax.containers if type(c).__name__ == "ErrorbarContainer"]


def drawn_priors(counted=None):
    ax = axes()
    pair = {"black box": estimate(), "EM": estimate((0.2, 0.5, 0.3), 0.02, 0.03)}
    draw_priors(ax, TRUTH, pair, SOURCE, counted)
    ax.figure.canvas.draw()
    return ax, pair


def test_source_and_truth_stand_at_their_class():
    ax, _ = drawn_priors()
    np.testing.assert_allclose([patch.get_height() for patch in ax.patches], SOURCE)
    (lines,) = [c for c in ax.collections if c.get_label() == "target"]
    segments = np.array(lines.get_segments())
    np.testing.assert_allclose(segments[:, :, 1], np.stack([TRUTH, TRUTH], axis=1))
    np.testing.assert_allclose(segments[:, :, 0].mean(1), [0, 1, 2])


def test_each_estimate_has_its_bar_from_low_to_high_beside_the_others():
    ax, pair = drawn_priors(counted=np.array([0.1, 0.6, 0.3]))
    places = []
    for container, expected in zip(containers(ax), pair.values(), strict=True):
        x, middle, low, high = bars(container)
        np.testing.assert_allclose(middle, expected.prior)
        np.testing.assert_allclose(low, expected.low)
        np.testing.assert_allclose(high, expected.high)
        places.append(x)
    (crosses,) = [line for line in ax.lines if line.get_label() == "predictions, counted"]
    np.testing.assert_allclose(crosses.get_ydata(), [0.1, 0.6, 0.3])
    offsets = np.array([crosses.get_xdata(), *places]) - np.arange(3)
    assert (np.diff(offsets, axis=0) > 0.1).all() and (abs(offsets) < 0.43).all()


def test_the_legend_names_everything_and_the_axes_their_quantity():
    ax, _ = drawn_priors(counted=TRUTH)
    names = {text.get_text() for text in ax.get_legend().get_texts()}
    assert names == {"source", "target", "predictions, counted", "black box", "EM"}
    assert ax.get_xlabel() == "class" and "share" in ax.get_ylabel() and ax.get_ylim()[0] == 0
    ax, _ = drawn_priors()
    assert len(ax.get_legend().get_texts()) == 4


def test_other_lengths_and_too_many_estimates_are_refused():
    with pytest.raises(ValueError, match="3 classes; got"):
        draw_priors(axes(), TRUTH, {"EM": estimate()}, SOURCE[:2])
    with pytest.raises(ValueError, match="3 classes; got"):
        draw_priors(axes(), TRUTH, {}, SOURCE, counted=SOURCE[:2])
    with pytest.raises(ValueError, match="at most 3; got 4"):
        draw_priors(axes(), TRUTH, {str(i): estimate() for i in range(4)}, SOURCE)


def test_an_interval_that_misses_is_red_and_marked_and_one_that_covers_is_not():
    ax = axes()
    many = [estimate((share, 0.2, 0.3)) for share in (0.25, 0.5, 0.15, 0.1)]
    draw_intervals(ax, [10, 20, 30, 40], many, label=0, truth=0.2)
    ax.figure.canvas.draw()
    covers, misses = containers(ax)
    np.testing.assert_array_equal(bars(covers)[0], [10, 30])
    np.testing.assert_array_equal(bars(misses)[0], [20, 40])  # one too high, one too low
    np.testing.assert_allclose([b[0] for b in bars(misses)[1:]], [0.5, 0.4, 0.55])
    assert same_color(covers[0].get_color(), BLUE) and same_color(misses[0].get_color(), RED)
    assert covers[0].get_marker() != misses[0].get_marker()


def test_the_truth_is_a_dashed_line_and_an_end_on_it_covers():
    ax = axes()
    draw_intervals(ax, [1], [estimate(above=0)], label=1, truth=0.45)
    (line,) = [line for line in ax.lines if line.get_linestyle() == "--"]
    np.testing.assert_allclose(line.get_ydata(), 0.45)
    names = [text.get_text() for text in ax.get_legend().get_texts()]
    assert names == ["truth", "interval covers it"] and ax.get_ylabel() == "share of class 1"
