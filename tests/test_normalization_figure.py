"""The bench's figure shows the bench's numbers."""

import numpy as np
import pytest
import torch
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from painted import drawn

from d2lstab.activations import ACTIVATIONS
from d2lstab.figures.normalization import BenchFigure
from d2lstab.normalization.bench import CENTRES, SCHEMES, BenchSpec, BenchStep, try_bench

REFUSED = BenchSpec(batch_size=1)
LOST = BenchSpec(norm=None, depth=50, weight_scale=10.0, batch_size=4)
SPECS = [
    BenchSpec(depth=2, batch_size=8),
    BenchSpec(norm="layer", activation="tanh", depth=50, batch_size=4),
    BenchSpec(norm="instance", depth=1, activation="sigmoid"),
    REFUSED,
    LOST,
]
STEPS = [BenchStep(3 / k, k / 70, k / 80 if k % 5 == 0 else None) for k in range(1, 61)]


@pytest.fixture(scope="module")
def figure():
    figure = BenchFigure(Figure(figsize=(11.04, 3.6), dpi=100))
    FigureCanvasAgg(figure.figure)
    return figure


@pytest.fixture(scope="module")
def benches():
    return [try_bench(spec) for spec in SPECS]


def test_each_row_is_the_histogram_of_its_layer_with_the_input_on_top(figure, benches):
    for bench in benches:
        figure.update(bench)
        shown = [row for row in figure.rows if row.get_visible()]
        labels = [label.get_text() for label in figure.signals.get_yticklabels()]
        assert len(shown) == len(bench.layers) and labels == [str(layer) for layer in bench.layers]
        for number, row in enumerate(shown):
            corners, base = row.get_xy()[:-1], len(shown) - 1 - number
            assert figure.signals.get_yticks()[number] == base == corners[:, 1].min()
            heights, shares = corners[1:-1:2, 1] - base, bench.shares[number].numpy()
            assert heights.max() < 1
            np.testing.assert_allclose(heights * shares.max(), shares * heights.max(), atol=1e-6)
            middles = (corners[1:-1:2, 0] + corners[2::2, 0]) / 2
            np.testing.assert_allclose(middles, CENTRES, atol=1e-9)


def test_each_row_says_its_standard_deviation(figure, benches):
    texts = []
    for bench in benches:
        figure.update(bench)
        texts.append([text.get_text() for text in figure.spreads if text.get_visible()])
    assert set(texts[0]) == {"std 1.00"} and len(texts[0]) == 2
    assert float(texts[2][0].removeprefix("std ")) < 1e-4
    assert texts[3] == [] and texts[4][-1] == "Inf or NaN"


@pytest.mark.parametrize("activation", SCHEMES)
def test_grey_is_where_the_activation_is_flat(figure, activation):
    figure.update(try_bench(BenchSpec(activation=activation, depth=1, batch_size=2)))
    for place in (-5.9, -4.0, -1.0, 0.1, 2.0, 3.5, 6.05):
        grey = any(
            patch.get_x() < place < patch.get_x() + patch.get_width() for patch in figure.flat
        )
        assert grey == bool(ACTIVATIONS[activation].flat(torch.tensor(place)))


def test_the_curves_are_the_numbers(figure, benches):
    bench = benches[0]
    figure.update(bench, torch.ones(3), torch.arange(1.0, 5.0), STEPS)
    for line, expected in (
        (figure.measured, bench.profile.weight_gradient_norm),
        (figure.at_one, [1, 1, 1]),
        (figure.pinned, [1, 2, 3, 4]),
        (figure.gaps, bench.mean_gaps),
        (figure.ratios, bench.std_ratios),
        (figure.losses, [step.loss for step in STEPS]),
        (figure.right, [step.right for step in STEPS]),
    ):
        np.testing.assert_array_equal(line.get_xdata(), np.arange(1, len(expected) + 1))
        np.testing.assert_array_equal(line.get_ydata(), np.asarray(expected))
    np.testing.assert_array_equal(figure.held_out.get_xdata(), range(5, 61, 5))
    np.testing.assert_allclose(figure.held_out.get_ydata(), np.arange(5, 61, 5) / 80)
    figure.update(bench)
    assert not figure.at_one.get_visible() and not figure.pinned.get_visible()
    assert len(figure.losses.get_xdata()) == len(figure.held_out.get_xdata()) == 0


def test_all_that_is_finite_is_within_the_axes(figure, benches):
    huge = [BenchStep(loss, 0.0, None) for loss in (2.3, 7e8, float("nan"))]
    for bench in benches:
        for steps in ((), STEPS, STEPS * 3, huge):
            figure.update(bench, 1e-20 * torch.ones(52), 1e9 * torch.ones(3), steps)
            for line in (figure.measured, figure.at_one, figure.pinned, figure.gaps, figure.losses):
                x, y = np.asarray(line.get_data(), float)
                keep = np.isfinite(y) & (y > 0) & line.get_visible()
                (left, right), (low, high) = line.axes.get_xlim(), line.axes.get_ylim()
                assert (x[keep] >= left).all() and (x[keep] <= right).all()
                assert (y[keep] >= low).all() and (y[keep] <= high).all()


def test_a_refused_batch_leaves_no_curve_and_every_empty_panel_says_why(figure, benches):
    figure.update(benches[0], None, None, STEPS)
    figure.update(benches[3])
    curves = (figure.measured, figure.at_one, figure.gaps, figure.ratios, figure.losses)
    assert all(len(c.get_xdata()) == 0 or not c.get_visible() for c in curves)
    assert not any(row.get_visible() for row in figure.rows)
    texts = [figure.notes[axes].get_text() for axes in figure.figure.axes]
    assert texts == ["PyTorch refuses\na batch of one"] * 4 + [""]
    figure.update(benches[1])
    assert figure.notes[figure.running].get_text() == "only batch norm has\nrunning statistics"
    assert not figure.names.get_visible()
    assert figure.notes[figure.loss].get_text() == "not trained yet"
    figure.update(benches[4])
    assert figure.notes[figure.gradients].get_text() == "Inf or NaN"
    figure.update(benches[0], None, None, STEPS)
    assert not any(note.get_text() for note in figure.notes.values())
    assert figure.names.get_visible()


def test_what_update_returns_tells_the_backgrounds_apart(figure, benches):
    backgrounds = {}
    shown = [(bench, ()) for bench in benches[:4]]
    for bench, steps in (*shown, (benches[0], STEPS), (benches[0], STEPS * 2)):
        key = figure.update(bench, None, None, steps)
        figure.figure.canvas.draw()  # without what moves
        pixels = bytes(figure.figure.canvas.buffer_rgba())
        assert backgrounds.setdefault(key, pixels) == pixels
    assert len(set(backgrounds.values())) == len(backgrounds) == 5


def test_nothing_overlaps_or_leaves_the_picture(figure, benches):
    for bench in (benches[1], benches[4]):  # the widest labels
        figure.update(bench, None, None, STEPS)
        drawn(figure)
        width, height = figure.figure.bbox.size
        for axes in figure.figure.axes:
            box = axes.get_tightbbox()
            assert box.x0 >= 0 and box.y0 >= 0 and box.x1 <= width and box.y1 <= height
            ticks = [t.get_window_extent() for t in axes.get_xticklabels() if t.get_text()]
            assert all(left.x1 < right.x0 for left, right in zip(ticks, ticks[1:], strict=False))
        panels = (figure.signals, figure.gradients, figure.running)
        titles = [axes._left_title for axes in panels]
        titles.insert(2, figure.gradients.get_legend())
        heads = [part.get_window_extent() for part in (*titles, figure.loss.get_legend())]
        assert all(left.x1 < right.x0 for left, right in zip(heads, heads[1:], strict=False))
        names = [
            axes.yaxis.label.get_window_extent() for axes in (figure.gradients, figure.running)
        ]
        assert figure.signals.bbox.x1 < names[0].x0 and figure.gradients.bbox.x1 < names[1].x0
        rows = [row.get_window_extent() for row in figure.spreads if row.get_visible()]
        assert all(low.y1 < high.y0 for high, low in zip(rows, rows[1:], strict=False))


def test_every_axis_says_what_it_shows(figure):

    for axes in figure.figure.axes:
        assert axes.get_ylabel() and (axes.get_xlabel() or axes is figure.loss)
