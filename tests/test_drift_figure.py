"""The pictures of drift show the numbers that they are given, and name their axes."""

import numpy as np
from matplotlib.figure import Figure

from d2lstab.figures.drift import draw_alarm, draw_examples, draw_tracks, draw_tradeoff
from d2lstab.shift.alarm import cusum
from d2lstab.shift.drift import Track, sample_stream
from d2lstab.shift.window import window_error


def legend(axes):
    return [text.get_text() for text in axes.get_legend().get_texts()]


def test_examples_stand_at_their_inputs_and_the_line_parts_them():
    axes, stream = Figure().subplots(), sample_stream(np.full(80, 0.7), seed=1)
    draw_examples(axes, stream, 0.7)
    zeros, ones, border = axes.lines
    np.testing.assert_array_equal(zeros.get_xydata(), stream.inputs[stream.labels == 0])
    np.testing.assert_array_equal(ones.get_xydata(), stream.inputs[stream.labels == 1])
    np.testing.assert_allclose(border.get_xydata() @ [np.cos(0.7), np.sin(0.7)], 0, atol=1e-12)
    (arrow,) = axes.texts
    assert np.arctan2(*arrow.xy[::-1]) == 0.7
    assert [line.get_label() for line in axes.lines[:2]] == ["label 0", "label 1"]


def test_each_track_has_its_line_and_its_name():
    axes = Figure().subplots()
    tracks = {
        name: Track(np.array([50, 100]), np.array([0.9, low]))
        for name, low in {"a": 0.8, "b": 0.6}.items()
    }
    draw_tracks(axes, tracks, best=0.9, changes=[70])
    best, a, b, change = axes.lines
    assert legend(axes) == ["best possible", "a", "b"]
    assert set(best.get_ydata()) == {0.9} and set(change.get_xdata()) == {70}
    for line, track in ((a, tracks["a"]), (b, tracks["b"])):
        np.testing.assert_array_equal(line.get_xydata(), np.stack(list(vars(track).values()), 1))
    assert a.get_linestyle() != b.get_linestyle() and a.get_color() != b.get_color()
    assert "examples" in axes.get_xlabel() and "share" in axes.get_ylabel()


def test_a_tradeoff_shows_both_parts_their_sum_and_the_measurement():
    axes, memory = Figure().subplots(), np.array([1.0, 4.0, 16.0])
    error = window_error(memory, 1.0, 0.1)
    draw_tradeoff(axes, memory, error, [4], [0.3])
    noise, staleness, total, measured = axes.lines
    np.testing.assert_array_equal(noise.get_ydata(), error.noise)
    np.testing.assert_array_equal(staleness.get_ydata(), error.staleness)
    np.testing.assert_array_equal(total.get_ydata(), error.noise + error.staleness)
    assert measured.get_xydata().tolist() == [[4, 0.3]]
    assert legend(axes) == ["noise (theory)", "staleness (theory)", "sum (theory)", "measured"]
    low, high = axes.get_ylim()
    assert low < 0.3 < high


def test_an_alarm_stands_where_the_chart_first_reaches_its_threshold():
    axes, chart = Figure().subplots(), cusum([0, 1, 1, 1, 0], 0.1, 0.4, threshold=3)
    draw_alarm(axes, chart, change=1)
    line, threshold, change, mark = axes.lines
    np.testing.assert_array_equal(line.get_ydata(), chart.statistic)
    assert line.get_xdata().tolist() == [1, 2, 3, 4, 5]
    assert set(threshold.get_ydata()) == {3} and set(change.get_xdata()) == {1}
    assert mark.get_xydata().tolist() == [[4, chart.statistic[3]]]


def test_a_quiet_chart_has_no_alarm():
    axes = Figure().subplots()
    draw_alarm(axes, cusum([0, 0, 1, 0], 0.1, 0.4, threshold=3))
    assert legend(axes) == ["evidence of a change", "threshold"]
