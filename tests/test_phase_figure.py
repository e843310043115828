"""The phase figure shows the diagram's numbers, the network where it is, and its correlations."""

import io
import math

import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from painted import drawn
from PIL import Image

from d2lstab import NetworkSpec
from d2lstab.activations import ACTIVATIONS
from d2lstab.figures.phase import DEPTH_SCALES, PhaseFigure, draw_phase_diagram
from d2lstab.figures.png import encode_png, palette_indices
from d2lstab.phase_diagram import phase_diagram
from d2lstab.prediction import predict

TANH = phase_diagram("tanh")
SMOOTH = [name for name in ACTIVATIONS if name != "hard_step"]
CORRELATION = np.linspace(0.1, 0.8, 21)


def new_figure():
    figure = PhaseFigure(Figure(figsize=(11.04, 3.0), dpi=100))
    FigureCanvasAgg(figure.figure)
    return figure


def colours(figure):
    """The pixels without their opacity, as numbers that can be subtracted."""
    return drawn(figure)[..., :3].astype(int)


def colours_of(diagram):
    """The colour at every point of a diagram that is drawn on axes of its own."""
    figure = Figure(figsize=(8, 6), dpi=100)
    canvas, axes = FigureCanvasAgg(figure), figure.add_subplot()
    draw_phase_diagram(axes, diagram)
    for text in list(axes.texts):
        text.remove()
    for line in list(axes.lines):
        line.remove()
    canvas.draw()
    pixels = np.asarray(canvas.buffer_rgba())[..., :3].astype(int)
    sigma, bias = np.meshgrid(diagram.weight_variance, diagram.bias_variance)
    x, y = axes.transData.transform(np.stack([sigma, bias], -1).reshape(-1, 2)).T
    found = pixels[(len(pixels) - 1 - y).astype(int), x.astype(int)]
    return found.reshape(*sigma.shape, 3)


def test_order_is_blue_chaos_is_red_and_the_edge_is_white():
    red, _, blue = colours_of(TANH)[5:-2, 3:-2].transpose(2, 0, 1)
    chi, depth = TANH.chi[5:-2, 3:-2], TANH.correlation_depth[5:-2, 3:-2]
    assert (blue > red)[(chi < 1) & (depth < 90)].mean() > 0.99
    assert (red > blue)[(chi > 1) & (depth < 90)].mean() > 0.99
    edge = depth > 150
    assert edge.sum() > 30 and (red[edge] == 255).mean() > 0.9


def test_the_colour_says_the_depth_scale():
    colours = colours_of(TANH)[5:-2, 3:-2]
    chi, depth = TANH.chi[5:-2, 3:-2], TANH.correlation_depth[5:-2, 3:-2]
    bounds = [math.inf, *DEPTH_SCALES, 0]
    for side in (chi < 1, chi > 1):
        shades = []
        for high, low in zip(bounds[:-1], bounds[1:], strict=True):
            inside = side & (depth < 0.96 * high) & (depth > 1.04 * low)
            if inside.sum() > 20:
                values, counts = np.unique(colours[inside], axis=0, return_counts=True)
                assert counts.max() > 0.9 * counts.sum()
                shades.append(values[counts.argmax()].sum())
        assert len(shades) >= 4 and (np.diff(shades) < -30).all()  # darker as ξ_c falls


def test_the_palette_keeps_every_shade_flat_and_apart():
    figure = new_figure()
    figure.update(TANH, 1.0, 0.1, CORRELATION)
    rgba = np.asarray((colours(figure), figure.figure.canvas.buffer_rgba())[1])
    decoded = Image.open(io.BytesIO(encode_png(palette_indices(rgba)))).convert("RGB")
    error = np.abs(np.asarray(decoded).astype(int) - rgba[..., :3])
    left, top, right, bottom = figure.box
    rows, columns = slice(int(top * 300) + 2, int(bottom * 300)), slice(int(left * 1104) + 2, 560)
    before = np.unique(rgba[rows, columns, :3].reshape(-1, 3), axis=0, return_counts=True)
    shades = before[0][before[1] > 400]
    assert 10 <= len(shades) <= 15
    kept = np.asarray(decoded)[rows, columns]
    for shade in shades:
        same = (rgba[rows, columns, :3] == shade).all(-1)
        assert len(np.unique(kept[same], axis=0)) == 1
    assert len({tuple(kept[(rgba[rows, columns, :3] == s).all(-1)][0]) for s in shades}) == len(
        shades
    )
    assert np.percentile(error, 99) <= 14


@pytest.mark.parametrize("activation", SMOOTH)
def test_each_phase_is_named_where_it_is(activation):
    diagram = phase_diagram(activation)
    axes = Figure(figsize=(6, 4)).add_subplot()
    draw_phase_diagram(axes, diagram)
    words = {text.get_text().split(",")[-1].strip(): text for text in axes.texts}
    diverges = np.isinf(diagram.variance)
    regions = {
        "ordered": (diagram.chi < 1) & ~diverges,
        "chaotic": (diagram.chi > 1) & ~diverges,
        "variance diverges": diverges,
    }
    assert "ordered" in words
    for name, region in regions.items():
        if region.mean() > 0.2:
            assert name in words
        if name in words:
            x, y = words[name].get_position()
            column = np.abs(diagram.weight_variance - x).argmin()
            assert region[np.abs(diagram.bias_variance - y).argmin(), column]
    x, y = words["edge of chaos"].get_position()
    assert x == pytest.approx(np.interp(y, diagram.bias_variance, diagram.edge))
    assert axes.get_xlabel().startswith("σ_w²") and axes.get_ylabel().startswith("σ_b²")


def test_a_diagram_all_of_order_is_drawn_without_an_edge():
    axes = Figure().add_subplot()
    draw_phase_diagram(axes, phase_diagram("sigmoid", 4.0))
    assert [text.get_text() for text in axes.texts] == ["ordered"]


def place_of_point(figure):
    """Where the point's centre is in the picture, in shares from the top left."""
    x, y = figure.over.transData.transform(np.ravel(figure.point.get_data()))
    width, height = figure.figure.bbox.size
    return x / width, 1 - y / height


@pytest.mark.parametrize("activation", ["tanh", "sigmoid"])
def test_the_point_stands_where_the_network_is_and_is_found_there_again(activation):
    figure = new_figure()
    diagram = phase_diagram(activation)
    end = diagram.weight_variance[-1]
    for weight, bias in ((0.0, 0.0), (0.3 * end, 0.04), (end, 0.5), (0.9 * end, 0.49)):
        figure.update(diagram, weight**0.5, bias**0.5, CORRELATION)
        assert np.ravel(figure.point.get_data()) == pytest.approx([weight, bias])
        assert figure.over.get_xlim() == figure.plane.get_xlim() == (0, end)
        assert figure.over.get_position().bounds == figure.plane.get_position().bounds
        assert figure.point.get_marker() == "o" and figure.point.get_visible()
        found = figure.variances_at(*place_of_point(figure))
        assert found == pytest.approx((weight, bias), abs=1e-3 * end)
        assert f"σ_w² = {weight:.3g}, σ_b² = {bias:.3g}" in figure.title.get_text()


def test_a_place_outside_the_diagram_is_taken_as_the_nearest_in_it():
    figure = new_figure()
    figure.update(TANH, 1.0, 0.1, CORRELATION)
    assert figure.variances_at(-5, 7) == (0, 0)
    assert figure.variances_at(0.99, -1) == (4, 0.5)
    left, top, right, bottom = figure.box
    assert 0 < left < right < 0.6 and 0 < top < bottom < 1
    middle = figure.variances_at((left + right) / 2, (top + bottom) / 2)
    assert middle == pytest.approx((2, 0.25))


@pytest.mark.parametrize(
    ("weight", "bias", "turn"), [(9.0, 0.1, -90), (1.0, 2.0, 0), (9.0, 2.0, -45)]
)
def test_beyond_the_axes_an_arrow_points_to_the_network(weight, bias, turn):
    figure = new_figure()
    figure.update(TANH, weight**0.5, bias**0.5, CORRELATION)
    assert figure.point.get_marker() == (3, 0, turn)
    x, y = np.ravel(figure.point.get_data())
    assert 0 <= x <= 4 and 0 <= y <= 0.5
    assert x == (weight if weight <= 4 else pytest.approx(4, rel=0.03))
    figure.update(TANH, 2.004, 0.709, CORRELATION)  # what a drag to the corner may be rounded to
    assert figure.point.get_marker() == "o"
    assert np.ravel(figure.point.get_data()) == pytest.approx([4, 0.5])


def test_a_network_without_a_place_has_no_point_and_one_that_is_not_plain_an_empty_one():
    figure = new_figure()
    figure.update(TANH, 1.0, 0.1, CORRELATION)
    full = colours(figure)
    figure.update(TANH, 1.0, 0.1, CORRELATION, plain=False)
    assert figure.point.get_markerfacecolor() == "white"
    assert "if it were a plain network" in figure.title.get_text()
    empty = colours(figure)
    figure.update(TANH, None, 0.1, CORRELATION)
    assert not figure.point.get_visible() and "no place" in figure.title.get_text()
    assert len({image.tobytes() for image in (full, empty, colours(figure))}) == 3


def test_the_correlations_are_the_measured_and_the_predicted_ones():
    figure = new_figure()
    theory = predict(NetworkSpec(depth=20, init="normal", gain=1.7, bias_std=0.3))
    assert 0.2 < theory.phase.correlation < 0.8
    figure.update(TANH, 1.7, 0.3, CORRELATION, theory)
    layers = np.arange(1, 22)
    for line, values in ((figure.measured, CORRELATION), (figure.theory, theory.correlation)):
        assert line.get_visible() and line.axes is figure.pairs
        np.testing.assert_array_equal(line.get_data(), (layers, values))
    assert set(figure.fixed.get_ydata()) == {theory.phase.correlation}
    assert figure.fixed.get_visible()
    assert f"c* = {theory.phase.correlation:.2g}" in figure.limit.get_text()
    figure.update(TANH, 1.7, 0.3, CORRELATION)
    assert not figure.theory.get_visible() and not figure.fixed.get_visible()
    assert "c*" not in figure.limit.get_text()


@pytest.mark.parametrize(
    "spec",
    [
        NetworkSpec(depth=20, norm="layer"),  # theory, but no phase
        NetworkSpec(depth=20, activation="relu", gain=3.0),  # diverges: no c* to come to
        NetworkSpec(depth=20, init="constant"),  # no theory
    ],
    ids=["norm", "diverging", "constant"],
)
def test_no_limit_is_drawn_where_there_is_none(spec):
    figure, theory = new_figure(), predict(spec)
    figure.update(TANH, 1.0, 0.1, CORRELATION, theory)
    assert not figure.fixed.get_visible() and "c*" not in figure.limit.get_text()
    assert figure.theory.get_visible() == (spec.init != "constant")


def test_an_activation_without_a_diagram_says_so_in_the_picture():
    figure = new_figure()
    figure.update("hard_step has no diagram", 1.5, 0.1, CORRELATION)
    assert [text.get_text() for text in figure.plane.texts] == ["hard_step has no diagram"]
    assert figure.variances_at(*place_of_point(figure)) == pytest.approx((2.25, 0.01), abs=1e-3)
    without = colours(figure)
    figure.update(TANH, 1.5, 0.1, CORRELATION)
    assert "hard_step has no diagram" not in [text.get_text() for text in figure.plane.texts]
    assert not np.array_equal(without, colours(figure))


def test_the_background_depends_on_the_diagram_and_the_depth_and_on_nothing_that_moves():
    figure = new_figure()

    def state(diagram=TANH, weight=1.0, layers=21):
        return figure.update(diagram, weight, 0.1, np.ones(layers))

    first = state()
    assert state(weight=2.5) == first == state(layers=15)
    others = [state(layers=30), state(phase_diagram("relu")), state("none"), state("no")]
    assert len({first, *others}) == 5
    assert state() == first


@pytest.mark.parametrize("activation", SMOOTH)
def test_nothing_is_drawn_outside_the_picture(activation):
    figure = new_figure()
    theory = predict(NetworkSpec(depth=20, activation=activation, init="normal", bias_std=0.123))
    figure.update(phase_diagram(activation), 1.0, 0.123, CORRELATION, theory)
    colours(figure)
    width, height = figure.figure.bbox.size
    for axes in figure.figure.axes:
        box = axes.get_tightbbox()
        assert box.x0 >= 0 and box.y0 >= 0 and box.x1 <= width and box.y1 <= height
    legend = figure.pairs.get_legend().get_window_extent()
    assert figure.limit.get_window_extent().x1 < legend.x0
