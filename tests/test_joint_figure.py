"""The picture of a joint table: every area is a probability, every line a border of the source."""

import numpy as np
import pytest
import torch
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import same_color
from matplotlib.figure import Figure

from d2lstab.figures.joint import INPUT_COLORS, LABEL_COLORS, draw_mosaic, draw_shifts
from d2lstab.figures.style import GREEN, RED
from d2lstab.shift.make import Population, shift_concept, shift_covariates, shift_labels

SOURCE = Population(torch.eye(3), [[0.45, 0.05], [0.15, 0.05], [0.15, 0.15]])
SHIFTED = {
    "source": SOURCE,
    "covariate": shift_covariates(SOURCE, np.log([0.4, 1, 2]), 1),
    "label": shift_labels(SOURCE, [0.25, 0.75]),
    "concept": shift_concept(SOURCE, [[0.4, 0.6], [0, 1]], [0, 0, 1]),
}


def drawn(populations=SHIFTED, inputs=("well", "cough", "fever"), labels=("no flu", "flu")):
    figure = Figure(figsize=(10, 5), layout="constrained")
    FigureCanvasAgg(figure)
    draw_shifts(figure, populations, inputs, labels)
    return np.array(figure.axes).reshape(2, -1)


def bars(axes, color):
    """(left, bottom, width, height) of the bars of one colour, from left to right."""
    found = [p.get_bbox().bounds for p in axes.patches if same_color(p.get_facecolor(), color)]
    return np.array(sorted(found))


def words(axes):
    return {text.get_text(): text.get_color() for text in axes.texts if "stays" in text.get_text()
            or "moves" in text.get_text()}  # fmt: skip


@pytest.mark.parametrize("column", range(4))
def test_every_area_is_a_joint_probability_in_both_readings(column):
    above, below = drawn()[:, column]
    joint = list(SHIFTED.values())[column].joint
    for label, color in enumerate(LABEL_COLORS[:2]):
        _, _, width, height = bars(above, color).T
        np.testing.assert_allclose(width * height, joint[:, label])
    for atom, color in enumerate(INPUT_COLORS[:3]):
        _, _, width, height = bars(below, color).T
        np.testing.assert_allclose(width * height, joint[atom])


def test_parts_stand_side_by_side_and_fill_the_axes():
    for axes, colors in zip(drawn()[:, 2], (LABEL_COLORS[:2], INPUT_COLORS[:3]), strict=True):
        parts = [bars(axes, color) for color in colors]
        for part in parts:
            np.testing.assert_allclose(part[1:, 0], part[:-1, 0] + part[:-1, 2])
        assert parts[0][0, 0] == 0 and parts[0][-1, [0, 2]].sum() == pytest.approx(1)
        for lower, upper in zip(parts, parts[1:], strict=False):
            np.testing.assert_allclose(lower[:, 1] + lower[:, 3], upper[:, 1])
        np.testing.assert_allclose(parts[-1][:, 1] + parts[-1][:, 3], 1)


def test_dashed_lines_stand_at_the_source_s_splits_in_the_columns_of_each_picture():
    for column, population in enumerate(SHIFTED.values()):
        above, below = drawn()[:, column]
        ends = np.cumsum(population.input_probability)
        lines = np.array(above.collections[0].get_segments())  # (columns, ends, xy)
        np.testing.assert_allclose(lines[:, 1, 0], ends)
        np.testing.assert_allclose(lines[:, 0, 0], ends - population.input_probability)
        np.testing.assert_allclose(lines[:, 0, 1], [0.9, 0.75, 0.5])
        heights = np.array(below.collections[0].get_segments())[:, :, 1]
        np.testing.assert_allclose(heights, np.repeat([[0.6, 0.2, 0.8, 0.4]], 2, 0).T)


def test_the_words_above_say_what_moves_and_what_stays_in_red_and_green():
    axes = drawn()
    expected = {
        "covariate": [
            {"P(x) moves 0.30": RED, "P(y | x) stays": GREEN},
            {"P(y) moves 0.12": RED, "P(x | y) moves 0.28": RED},
        ],
        "label": [
            {"P(x) moves 0.20": RED, "P(y | x) moves 0.42": RED},
            {"P(y) moves 0.50": RED, "P(x | y) stays": GREEN},
        ],
        "concept": [
            {"P(x) stays": GREEN, "P(y | x) moves 0.09": RED},
            {"P(y) moves 0.09": RED, "P(x | y) moves 0.11": RED},
        ],
    }
    for column, (name, said) in enumerate(expected.items(), start=1):
        assert axes[0, column].get_title() == name
        assert [words(ax) for ax in axes[:, column]] == said
    assert [words(ax) for ax in axes[:, 0]] == [{}, {}]  # the source itself


def test_columns_and_parts_are_named():
    above, below = drawn()[:, 1]
    assert [t.get_text() for t in above.get_xticklabels()] == [
        "well\n0.20", "cough\n0.20", "fever\n0.60"
    ]  # fmt: skip
    assert [t.get_text() for t in below.get_xticklabels()] == ["no flu\n0.63", "flu\n0.37"]
    left, right = drawn()[:, 0], drawn()[:, -1]
    assert [axes.get_ylabel() for axes in left] == ["P(y | x)", "P(x | y)"]
    legends = [[t.get_text() for t in axes.get_legend().get_texts()] for axes in right]
    assert legends == [["flu", "no flu"], ["fever", "cough", "well"]]
    handles = right[0].get_legend().legend_handles
    assert same_color(handles[0].get_facecolor(), LABEL_COLORS[1])


def test_a_part_with_room_shows_its_share():
    above = drawn()[0, 0]
    numbers = sorted(text.get_text() for text in above.texts)
    assert numbers == ["0.10", "0.25", "0.50", "0.50", "0.75", "0.90"]
    axes = Figure().subplots()
    draw_mosaic(axes, [0.95, 0.05], [[0.96, 0.04], [0.5, 0.5]], ["a", "b"], LABEL_COLORS)
    assert [text.get_text() for text in axes.texts] == ["0.96"]


def test_an_input_or_label_that_never_occurs_is_drawn_as_nothing():
    gone = shift_labels(SOURCE, [1, 0])
    only = Population(torch.eye(3), [[0.5, 0.5], [0, 0], [0, 0]])
    axes = drawn({"source": SOURCE, "no flu at all": gone, "all well": only})
    axes[0, 0].figure.canvas.draw()
    assert "nan" not in str([t.get_text() for ax in axes.ravel() for t in ax.texts])
    with_nan = Figure().subplots()
    draw_mosaic(with_nan, [1, 0], [[0.4, 0.6], [np.nan, np.nan]], ["a", "b"], LABEL_COLORS)
    assert [text.get_text() for text in with_nan.texts] == ["0.40", "0.60"]


def test_names_that_do_not_fit_the_table_are_refused():
    with pytest.raises(ValueError, match=r"must name the \(3, 2\) table; got 2 and 2 names"):
        drawn(inputs=("well", "cough"))
    many = Population(torch.arange(5)[:, None], np.full((5, 2), 0.1))
    with pytest.raises(ValueError, match="4 inputs and 3 labels at most; got 5 and 2"):
        drawn({"source": many}, inputs="abcde")
