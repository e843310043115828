"""The health figure shows the record's numbers, and marks where alarms rang and NaN arose."""

import io
import math

import matplotlib as mpl
import numpy as np
import pytest
import torch
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from PIL import Image

from d2lstab import Monitor, NetworkSpec, build
from d2lstab.figures.health import HealthFigure, draw_gradient_entries, show_health
from d2lstab.figures.style import GREY, INKS, ORANGE, RED
from d2lstab.health import Alarm, Thresholds, TrainingRecord
from d2lstab.training import train


def run(steps, learning_rate, every=1, **spec):
    network = build(NetworkSpec(width=16, **spec))
    with Monitor(network, every) as monitor:
        losses = [step.loss for step in train(network, steps, learning_rate)]
    return monitor.record, losses


HEALTHY = run(12, 0.01, depth=4, activation="relu", init="he")
VANISHING = run(15, 0.1, depth=12, activation="sigmoid")
SPARSE = run(21, 0.01, every=5, depth=3)


def record(norms, ratio=None, alarms=(), samples=None):
    """A record made by hand: norms (steps, layers), all else harmless."""
    norms = torch.tensor(norms, dtype=torch.float64)
    steps, layers = norms.shape
    fill = torch.full_like(norms, 0.25)
    ratio = fill if ratio is None else torch.tensor(ratio, dtype=torch.float64)
    some = samples or tuple(tuple(torch.ones(4) for _ in range(layers)) for _ in range(steps))
    names = tuple("abcdefgh"[:layers])
    return TrainingRecord(names, torch.arange(1, steps + 1), norms.sum(dim=1), norms, ratio, fill,
                          fill / 2, some, tuple(alarms), Thresholds())  # fmt: skip


def figure_of(record, losses=None):
    figure = HealthFigure(Figure(figsize=(11, 4.4)), record, losses)
    FigureCanvasAgg(figure.figure).draw()
    return figure


def curve(axes, index=0):
    return axes.lines[index].get_xdata(), axes.lines[index].get_ydata()


@pytest.mark.parametrize("shown", [HEALTHY, VANISHING, SPARSE])
def test_every_curve_is_the_records(shown):
    record, losses = shown
    figure = figure_of(record, losses)
    steps = record.steps.numpy()
    ratio = record.update_ratio.numpy()
    expected = {
        figure.total: record.total_gradient_norm.numpy(),
        figure.ratios: np.clip(np.median(ratio, axis=1), 1e-10, 10),
        figure.shares: np.nanmax(record.dead_share.numpy(), axis=1),
    }
    for axes, values in expected.items():
        x, y = curve(axes)
        np.testing.assert_array_equal(x, steps)
        np.testing.assert_allclose(y, values, rtol=1e-12)
    saturated = np.nanmean(record.saturated_share.numpy(), axis=1)
    np.testing.assert_allclose(curve(figure.shares, 1)[1], saturated, rtol=1e-12)
    x, y = curve(figure.loss)
    np.testing.assert_array_equal(x, np.arange(1, len(losses) + 1))
    np.testing.assert_array_equal(y, losses)


def test_the_band_of_the_ratios_reaches_from_the_smallest_layer_to_the_largest():
    record, _ = VANISHING
    figure = figure_of(record)
    (band,) = figure.ratios.collections
    vertices = band.get_paths()[0].vertices
    for row, step in enumerate(record.steps.tolist()):
        heights = vertices[vertices[:, 0] == step, 1]
        ratio = record.update_ratio[row].numpy()
        assert heights.min() == pytest.approx(max(ratio.min(), 1e-10))
        assert heights.max() == pytest.approx(ratio.max())
    levels = {line.get_ydata()[0] for line in figure.ratios.lines[1:] if len(line.get_ydata()) == 2}
    assert levels == {1e-3, Thresholds().smallest_update, Thresholds().largest_update}


def test_the_colour_is_darker_the_larger_the_norm_and_special_where_there_is_none():
    norms = [[1e-6, 1e-3, 1.0], [0.0, math.nan, math.inf], [1e-20, 1e-16, math.nan]]
    none = torch.empty(0)
    samples = [[torch.ones(1)] * 3, [torch.ones(1)] * 3, [torch.ones(1), torch.ones(1), none]]
    figure = figure_of(record(norms, samples=samples))
    image = np.asarray(figure.image.get_array())  # (layers, steps, 4)
    assert image.shape == (3, 3, 4)
    brightness = image[:, 0, :3].sum(axis=1)
    assert (np.diff(brightness) < -0.2).all()
    assert tuple(image[0, 1]) == mpl.colors.to_rgba(GREY)
    assert tuple(image[1, 1]) == tuple(image[2, 1]) == mpl.colors.to_rgba(RED)
    assert image[2, 2, 3] == 0  # nothing measured: no colour
    lightest = mpl.colors.to_rgba("#e3eef8")  # from 12 decades under the largest down
    np.testing.assert_allclose(image[:2, 2], [lightest] * 2, atol=0.01)
    assert figure.image.get_extent() == [0.5, 3.5, 0.5, 3.5]


def test_cells_of_a_run_that_was_looked_at_now_and_then_are_as_wide_as_the_gaps():
    figure = figure_of(SPARSE[0])
    assert SPARSE[0].steps.tolist() == [1, 6, 11, 16, 21]
    assert figure.image.get_extent()[:2] == [1 - 2.5, 21 + 2.5]


def alarm(kind, step, layer="a"):
    return Alarm(step, layer, kind, 1.0, 1.0, "words")


def test_a_triangle_stands_in_the_panel_of_each_alarm_at_its_step():
    kinds = ["exploding", "vanishing", "small update", "large update", "dead", "saturated"]
    shown = figure_of(
        record([[1.0, 2.0]] * 9, alarms=[alarm(k, n + 2) for n, k in enumerate(kinds)])
    )
    panels = [shown.total, shown.layers, shown.ratios, shown.ratios, shown.shares, shown.shares]
    found = [(axes, line.get_xdata()[0]) for axes in shown.figure.axes for line in axes.lines
             if line.get_marker() == "v" and line.get_color() == ORANGE]  # fmt: skip
    assert sorted(found, key=lambda pair: pair[1]) == [(p, n + 2) for n, p in enumerate(panels)]


def test_a_red_line_stands_in_every_panel_where_nan_arose_and_little_is_shown_after_it():
    shown = figure_of(record([[1.0, 2.0]] * 50, alarms=[alarm("nan output", 20)]), [1.0] * 50)
    for axes in (shown.layers, shown.total, shown.ratios, shown.shares, shown.loss):
        red = [line for line in axes.lines if line.get_color() == RED and line.get_lw() == 1.4]
        assert [line.get_xdata()[0] for line in red] == [20]
        assert 20 < axes.get_xlim()[1] < 26
    assert "step 20" in shown.layers.texts[0].get_text()


def test_without_alarms_nothing_is_marked():
    figure = figure_of(HEALTHY[0])
    assert HEALTHY[0].alarms == ()
    assert not [
        line for axes in figure.figure.axes for line in axes.lines if line.get_marker() == "v"
    ]
    assert figure.loss is None and not figure.layers.texts


def test_every_axis_names_its_quantity_and_the_colours_are_the_courses():
    figure = figure_of(*HEALTHY)
    for axes in (figure.layers, figure.total, figure.ratios, figure.shares, figure.loss):
        assert axes.get_ylabel()
        assert {line.get_color() for line in axes.lines} <= set(INKS)
    assert [axes.get_xlabel() for axes in (figure.layers, figure.loss, figure.shares)] == [
        "step"
    ] * 3
    assert figure.total.get_yscale() == figure.ratios.get_yscale() == "log"


@pytest.mark.parametrize(("losses", "scale"), [([2.0, 1.0], "linear"), ([1e6, 1.0], "log"),
                                               ([1e6, -1.0], "linear"),
                                               ([math.nan, math.inf], "linear")])  # fmt: skip
def test_the_loss_is_logarithmic_where_it_spans_decades(losses, scale):
    assert figure_of(record([[1.0, 2.0]] * 2), losses).loss.get_yscale() == scale


@pytest.mark.parametrize(
    "ratio", [[[0.0, 0.0]], [[math.inf, 1e-3]], [[math.nan, math.nan]], [[1e-30, 1e30]]]
)
def test_extreme_ratios_are_drawn_without_a_warning(ratio):
    low, high = figure_of(record([[1.0, 2.0]], ratio=ratio)).ratios.get_ylim()
    assert 1e-11 < low < 1e-4 and 0.1 < high < 100


def test_a_run_lost_from_its_first_step_is_drawn():
    lost = [[math.nan, math.nan]] * 2
    assert figure_of(record(lost, ratio=lost, alarms=[alarm("nan input", 1, "")]), [math.nan] * 2)


def test_a_record_without_steps_and_too_few_losses_are_refused():
    with Monitor(build(NetworkSpec(depth=1))) as monitor:
        pass
    with pytest.raises(ValueError, match="record has no steps"):
        show_health(monitor.record)
    with pytest.raises(ValueError, match="each of the 21 steps; got 20"):
        show_health(SPARSE[0], SPARSE[1][:20])


def test_the_figure_shows_itself_sharply_and_pyplot_does_not_know_of_it():
    png, size = show_health(*HEALTHY)._repr_png_()
    image = Image.open(io.BytesIO(png))
    assert image.size == (2200, 880) and size == {"width": 1100, "height": 440}
    assert (np.asarray(image.convert("L")) < 128).mean() > 0.02


def test_no_text_overlaps_another_or_leaves_the_figure():
    for shown in (HEALTHY, VANISHING, SPARSE):
        figure = figure_of(*shown)
        renderer = figure.figure.canvas.get_renderer()
        boxes = []
        for axes in figure.figure.axes:
            texts = [axes.title, axes._left_title, axes.xaxis.label, axes.yaxis.label]
            legend = axes.get_legend()
            texts += legend.get_texts() if legend else []
            boxes += [t.get_window_extent(renderer) for t in texts if t.get_text()]
        edge = figure.figure.bbox
        for index, box in enumerate(boxes):
            assert (
                edge.x0 <= box.x0 and box.x1 <= edge.x1 and edge.y0 <= box.y0 and box.y1 <= edge.y1
            )
            assert not any(box.overlaps(other) for other in boxes[:index])


def test_the_entries_over_time_are_the_records_histogram():
    record = VANISHING[0]
    axes = Figure().subplots()
    draw_gradient_entries(axes, record, record.names[3])
    (image,) = axes.images
    np.testing.assert_array_equal(image.get_array().filled(0), record.gradient_histogram[:, 3].T)
    low, high = axes.get_ylim()
    left, right, bottom, top = image.get_extent()
    assert (left, right) == (0.5, 15.5)
    assert bottom == pytest.approx(-150 * math.log10(2)) and top == pytest.approx(
        128 * math.log10(2)
    )
    sizes = torch.cat([step[3] for step in record.gradient_samples]).abs().log10()
    assert low < sizes.min() and sizes.max() < high and high - low < 10
    assert axes.get_xlabel() == "step" and "decades" in axes.get_ylabel()


def test_a_layer_that_does_not_exist_is_refused_by_name():
    with pytest.raises(ValueError, match="layer must be one of 0, 2, 4, 6, 8; got 'net'"):
        draw_gradient_entries(Figure().subplots(), HEALTHY[0], "net")
