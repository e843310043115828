"""Penalties are drawn as predicted and as measured, each value at its direction or penalty."""

import numpy as np
import pytest
from matplotlib.figure import Figure

from d2lstab.figures.shrinkage import draw_directions, draw_path

WEIGHTS = np.array([[0.5, -0.2, 0.1], [0.3, 0.0, 0.1], [0.0, 0.0, 0.0]])
PENALTIES = [0.01, 0.1, 1]


def axes():
    return Figure(figsize=(4, 3)).subplots()


def test_predicted_is_a_line_and_measured_are_circles_in_the_same_colour():
    ax = axes()
    predicted = {"λ = 1": [0.8, 0.5, 0.9], "λ = 4": [0.5, 0.2, 0.7]}
    measured = {name: np.array(values) + 0.01 for name, values in predicted.items()}
    draw_directions(ax, [2, 1, 3], predicted, measured)
    for k, name in enumerate(predicted):
        line, circles = ax.lines[2 * k : 2 * k + 2]
        for drawn, values in ((line, predicted[name]), (circles, measured[name])):
            np.testing.assert_allclose(drawn.get_xdata(), [1, 2, 3])
            np.testing.assert_allclose(drawn.get_ydata(), np.array(values)[[1, 0, 2]])
        assert line.get_color() == circles.get_color()
        assert line.get_linestyle() == "-" and circles.get_linestyle() == "None"
    assert ax.lines[0].get_color() != ax.lines[2].get_color()
    assert ax.get_xscale() == "log" and "log" in ax.get_xlabel()
    assert ax.get_legend_handles_labels()[1][:2] == ["λ = 1: predicted", "λ = 1: measured"]


def test_a_path_ends_where_the_weight_is_exactly_zero():
    ax = axes()
    draw_path(ax, PENALTIES, WEIGHTS, {1: "age", 0: "sex"}, check=WEIGHTS + 1e-3)
    named = {line.get_label(): line for line in ax.lines if line.get_label()[0] != "_"}
    np.testing.assert_array_equal(named["age"].get_ydata(), [-0.2, np.nan, np.nan])
    np.testing.assert_array_equal(named["sex"].get_ydata(), [0.5, 0.3, np.nan])
    points = [line for line in ax.lines if line.get_marker() == "."]
    for line, column in zip(points, (1, 0), strict=True):
        np.testing.assert_allclose(line.get_ydata(), WEIGHTS[:, column] + 1e-3)
        assert line.get_linestyle() == "None"
    others = [line for line in ax.lines if len(line.get_xdata()) == 3 and line.get_alpha()]
    np.testing.assert_array_equal(others[0].get_ydata(), [0.1, 0.1, np.nan])
    assert len(others) == 1 and others[0].get_color() not in {p.get_color() for p in points}
    assert "log" in ax.get_xlabel() and ax.get_ylabel()


def test_names_and_shapes_that_do_not_fit_are_refused():
    with pytest.raises(ValueError, match=r"same names, at most 5; got \['a'\] and \['b'\]"):
        draw_directions(axes(), [1], {"a": [1]}, {"b": [1]})
    six = {str(k): [1] for k in range(6)}
    with pytest.raises(ValueError, match="at most 5"):
        draw_directions(axes(), [1], six, six)
    with pytest.raises(ValueError, match="'a' must have the length 2; got 1"):
        draw_directions(axes(), [1, 2], {"a": [1]}, {"a": [1, 2]})
    with pytest.raises(ValueError, match="names must be 5 at most; got 6"):
        draw_path(axes(), PENALTIES, np.ones((3, 6)), dict(enumerate("abcdef")), np.ones((3, 6)))
    with pytest.raises(ValueError, match="'check' must have the length 3; got 2"):
        draw_path(axes(), PENALTIES, WEIGHTS, {}, WEIGHTS[:2])
