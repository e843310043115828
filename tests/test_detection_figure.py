"""What the pictures of the tests show."""

import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from d2lstab.figures.detection import draw_alarm_rates, draw_null
from d2lstab.shift.detect import Detection, mmd_test
from d2lstab.shift.power import alarm_rate

RNG = np.random.default_rng


@pytest.fixture
def axes():
    figure = Figure(figsize=(5, 3))
    FigureCanvasAgg(figure)
    return figure.subplots()


def zone(axes):
    """Where the alarm zone begins and ends, in units of the x-axis."""
    shape = next(patch for patch in axes.patches if "alarm" in patch.get_label())
    return axes.transData.inverted().transform(shape.get_extents())[:, 0]


def rates(*shares):
    return [alarm_rate(np.repeat([0.01, 0.5], [s, 20 - s])) for s in shares]


def test_the_statistic_stands_in_the_zone_exactly_when_the_test_rejects(axes):
    answers = set()
    for seed in range(12):
        source, target = RNG(seed).normal(size=(20, 1)), RNG(seed + 99).normal(0.6, 1, (20, 1))
        found = mmd_test(source, target, permutations=39)
        axes.clear()
        draw_null(axes, found)
        (line,) = axes.lines
        assert line.get_xdata()[0] == found.statistic
        inside = found.statistic > zone(axes)[0] - 1e-6
        assert inside == (found.p_value <= 0.05)
        answers.add(inside)
        low, high = axes.get_xlim()
        assert low <= found.statistic <= high and zone(axes)[1] <= high + 1e-9
    assert answers == {True, False}


def test_every_mixed_sample_is_in_the_histogram(axes):
    found = Detection("MMD", 2.0, 0.01, RNG(0).normal(size=499))
    draw_null(axes, found)
    bars = [p for p in axes.patches if hasattr(p, "get_height") and "alarm" not in p.get_label()]
    assert sum(bar.get_height() for bar in bars) == 499
    assert "499 mixed" in " ".join(text.get_text() for text in axes.get_legend().get_texts())
    axes.figure.canvas.draw()


def test_a_test_that_mixes_nothing_has_no_null_to_draw(axes):
    with pytest.raises(ValueError, match="KS mixes none"):
        draw_null(axes, Detection("KS", 0.2, 0.4))


def test_the_curves_are_the_rates_within_their_intervals(axes):
    given = {"MMD": rates(1, 8, 20), "classifier": rates(0, 5, 9)}
    draw_alarm_rates(axes, [0, 0.5, 2], given, "size of the shift")
    curves = {line.get_label(): line for line in axes.lines if line.get_label() in given}
    for (name, points), band in zip(given.items(), axes.collections, strict=True):
        np.testing.assert_allclose(curves[name].get_xdata(), [0, 0.5, 2])
        np.testing.assert_allclose(curves[name].get_ydata(), [p.rate for p in points])
        edges = band.get_paths()[0].vertices
        for x, point in zip([0, 0.5, 2], points, strict=True):
            heights = edges[np.isclose(edges[:, 0], x), 1]
            assert heights.min() == pytest.approx(point.low)
            assert heights.max() == pytest.approx(point.high)
    axes.figure.canvas.draw()


def test_axes_and_level_are_named(axes):
    draw_alarm_rates(axes, [0, 1], {"MMD": rates(1, 2)}, "size of the shift")
    assert axes.get_xlabel() == "size of the shift"
    assert axes.get_ylabel() == "share of trials with an alarm"
    assert axes.get_ylim() == (0, 1.02)
    assert axes.lines[0].get_ydata()[0] == 0.05 and axes.texts[0].get_text() == "level 0.05"


def test_no_two_curves_look_alike(axes):
    draw_alarm_rates(axes, [0, 1], {str(k): rates(1, 2) for k in range(5)}, "size")
    looks = {(line.get_linestyle(), line.get_marker()) for line in axes.lines[1:]}
    colors = {line.get_color() for line in axes.lines[1:]}
    assert len(looks) == 5 and len(colors) == 5


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"MMD": rates(1, 2, 3)}, "with 2 rates each; got 1 tests, {'MMD': 3}"),
        ({str(k): rates(1, 2) for k in range(6)}, "at most 5 tests .* got 6 tests"),
    ],
)
def test_rates_that_cannot_be_drawn_are_refused(axes, given, message):
    with pytest.raises(ValueError, match=message):
        draw_alarm_rates(axes, [0, 1], given, "size")


def test_the_zone_begins_where_one_mixed_sample_in_twenty_lies_above(axes):
    """Of 39 mixed samples at most one may be as large: (1 + 1) / 40 = 0.05."""
    draw_null(axes, Detection("MMD", 37.5, 0.05, RNG(0).permutation(39).astype(float)))
    assert zone(axes)[0] == pytest.approx(37)
