"""The invariance table drawn: what stands in a cell, and its colour."""

import math

import pytest
from matplotlib.colors import same_color, to_rgb
from matplotlib.figure import Figure

from d2lstab.figures.invariance import draw_invariances
from d2lstab.figures.style import GREEN
from d2lstab.normalization.invariance import Change

TABLE = {
    "batch": {"all data × λ": Change(3e-16, 1.0, 0.1), "one example × λ": Change(0.527, 10, -1)},
    "layer": {"all data × λ": Change(2.0, math.nan, -0.1), "one example × λ": Change(1e-17, 1, 1)},
}


def drawn(quantity="output"):
    axes = Figure().subplots()
    draw_invariances(axes, TABLE, quantity)
    return axes


def cells(axes):
    """(row, column) → its text."""
    return {
        (int(y), int(x)): text.get_text() for text in axes.texts for x, y in [text.get_position()]
    }


def colors(axes):
    return {(int(p.get_y()), int(p.get_x())): p.get_facecolor()[:3] for p in axes.patches}


def test_a_row_is_a_norm_and_a_column_a_change():
    axes = drawn()
    assert [t.get_text() for t in axes.get_yticklabels()] == ["batch", "layer"]
    assert [t.get_text() for t in axes.get_xticklabels()] == ["all data × λ", "one example\n× λ"]
    assert axes.get_ylim() == (2, 0) and axes.get_xlim() == (0, 2)


def test_an_output_that_stays_is_a_green_zero_and_any_other_its_size():
    axes = drawn()
    assert cells(axes) == {(0, 0): "0", (0, 1): "0.53", (1, 0): "2", (1, 1): "0"}
    green = {place for place, color in colors(axes).items() if same_color(color, GREEN)}
    assert green == {(0, 0), (1, 1)}
    assert "‖h′ − h‖ / ‖h‖" in axes.get_title()


def test_a_gradient_shows_its_factor_or_that_there_is_none():
    assert cells(drawn("weight_gradient")) == {
        (0, 0): "× 1", (0, 1): "× 10", (1, 0): "–", (1, 1): "× 1"
    }  # fmt: skip
    assert cells(drawn("input_gradient")) == {
        (0, 0): "× 0.1", (0, 1): "× −1", (1, 0): "× −0.1", (1, 1): "× 1"
    }  # fmt: skip


def test_a_gradient_that_shrinks_is_blue_and_one_that_grows_orange():
    grown, shrunk = colors(drawn("weight_gradient")), colors(drawn("input_gradient"))
    white = to_rgb("white")
    assert grown[0, 0] == grown[1, 1] == shrunk[0, 1] == white
    assert grown[0, 1][0] > grown[0, 1][2] and shrunk[0, 0][2] > shrunk[0, 0][0]
    assert shrunk[1, 0] == shrunk[0, 0] and len({grown[1, 0], grown[0, 1], white}) == 3


def test_a_quantity_that_does_not_exist_is_refused():
    with pytest.raises(ValueError, match="quantity must be one of 'output'"):
        drawn("outputs")
