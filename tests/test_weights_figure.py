"""The pictures of the weights' lesson show what they were given."""

import numpy as np
import pytest
import torch
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import same_color
from matplotlib.figure import Figure

from d2lstab.figures.style import BLUE, ORANGE
from d2lstab.figures.weights import draw_decisions, draw_images, draw_weights


def axes():
    figure = Figure(figsize=(5, 3), layout="constrained")
    FigureCanvasAgg(figure)
    return figure.add_subplot()


def test_images_stand_in_rows_with_their_names_in_the_same_grey():
    rows = {"paper": torch.zeros(3, 16), "ramp": torch.arange(48).reshape(3, 16) / 48}
    figure = Figure()
    draw_images(figure, rows)
    assert [ax.get_ylabel() for ax in figure.axes] == ["paper", "", "", "ramp", "", ""]
    drawn = [ax.images[0] for ax in figure.axes]
    for image, expected in zip(drawn, torch.cat(list(rows.values())), strict=True):
        np.testing.assert_allclose(image.get_array(), expected.reshape(4, 4))
        assert image.get_clim() == (0, 1) and image.get_cmap().name == "gray_r"


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ({"a": np.zeros((2, 16)), "b": np.zeros((3, 16))}, "same number of images"),
        ({"a": np.zeros((2, 15))}, "a must be"),
        ({"a": np.zeros(16)}, "a must be"),
    ],
)
def test_rows_that_do_not_fit_are_refused(rows, message):
    with pytest.raises(ValueError, match=message):
        draw_images(Figure(), rows)


def test_decisions_shade_what_is_predicted_to_be_one_and_colour_by_the_truth():
    ax = axes()
    points = np.array([[-1.0, 0.0], [1.0, 2.0], [1.0, -2.0]])
    draw_decisions(ax, points, [0, 1, 0], lambda z: (z[:, 0] > 0).astype(int), [1, 2, 3])
    blue, orange = ax.collections[-2:]  # before them stands the shade
    assert same_color(blue.get_facecolor()[0][:3], BLUE)
    assert same_color(orange.get_facecolor()[0][:3], ORANGE)
    np.testing.assert_allclose(orange.get_offsets(), [[1, 2]])
    np.testing.assert_allclose(blue.get_sizes() / orange.get_sizes(), [1 / 2, 3 / 2])
    ax.figure.canvas.draw()
    picture = np.asarray(ax.figure.canvas.buffer_rgba())[::-1]  # row 0 below, as in pixels

    def colour(x, y):
        return picture[tuple(ax.transData.transform((x, y)).astype(int)[::-1])][:3]

    assert (colour(-0.5, 1) == 255).all() and colour(0.5, 1)[2] < 250


def test_the_histogram_of_weights_holds_every_one_of_them():
    ax = axes()
    values = np.exp(np.random.default_rng(0).normal(size=300) * 2)
    values[:2] = 0.01, 100.0
    draw_weights(ax, values / values.mean())
    assert sum(bar.get_height() for bar in ax.patches) == 300
    assert ax.get_xscale() == "log" and "log" in ax.get_xlabel() and ax.get_ylabel()
    assert list(ax.lines[0].get_xdata()) == [1, 1]
