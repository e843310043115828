"""The shift figure shows the trial's numbers, and its borders are where the model changes."""

import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.text import Text
from painted import drawn

from d2lstab.figures.borders import borders
from d2lstab.figures.shift import COLORS, REACH, SHOWN, ShiftFigure
from d2lstab.figures.style import INK, RED
from d2lstab.shift.linear import LinearModel
from d2lstab.shift.plane import digits_in_a_plane
from d2lstab.shift.trial import CORRECTIONS, EXAMPLES, TESTS, ShiftSpec, try_shift

SPECS = [ShiftSpec(), *EXAMPLES.values()]


def new_figure(trial=None):
    figure = ShiftFigure(Figure(figsize=(11.04, 3.6), dpi=100))
    FigureCanvasAgg(figure.figure)
    if trial is not None:
        figure.update(trial)
    return figure


def trial_of(**knobs):
    return try_shift(ShiftSpec(**knobs))


# --- borders --------------------------------------------------------------------------------------


def segments_of(model):
    """The pairs of points between the gaps."""
    points = borders(model, REACH)
    pairs = [points[k : k + 2] for k in range(len(points) - 1)]
    return [pair for pair in pairs if np.isfinite(pair).all()]


def distance_to_the_nearest(segments, points):
    """Segment by segment, (points,)."""
    distances = []
    for start, end in segments:
        length = np.linalg.norm(end - start)
        along = (end - start) / length
        feet = start + ((points - start) @ along).clip(0, length)[:, None] * along
        distances.append(np.linalg.norm(points - feet, axis=1))
    return np.min(distances, axis=0)


@pytest.mark.parametrize("seed", range(8))
def test_a_border_is_everywhere_where_the_prediction_changes_and_nowhere_else(seed):
    rng = np.random.default_rng(seed)
    model = LinearModel(rng.normal(size=(3, 2)), rng.normal(size=3) / 2)
    segments, side = segments_of(model), np.linspace(-REACH, REACH, 201)
    points = np.stack(np.meshgrid(side, side), -1)
    labels = model.predict(points.reshape(-1, 2)).reshape(201, 201)
    changes = labels[:, 1:] != labels[:, :-1]
    middles = ((points[:, 1:] + points[:, :-1]) / 2)[changes]
    assert len(middles) > 20
    assert distance_to_the_nearest(segments, middles).max() < side[1] - side[0]
    for start, end in segments:
        on_it = start + np.linspace(0.01, 0.99, 50)[:, None] * (end - start)
        chances = np.sort(model.probabilities(on_it), axis=1)
        np.testing.assert_allclose(chances[:, 2], chances[:, 1], rtol=1e-6)


def test_borders_leave_the_picture_or_meet():
    for spec in SPECS:
        model = try_shift(spec).before
        ends = np.concatenate(segments_of(model))
        chances = np.sort(model.probabilities(ends), axis=1)
        meet = chances[:, 2] - chances[:, 0] < 1e-6
        assert (meet | (abs(ends).max(1) > REACH)).all()


def test_a_model_that_never_changes_its_mind_has_no_border():
    one = LinearModel(np.zeros((3, 2)), np.array([0.0, -np.inf, -np.inf]))
    flat = LinearModel(np.zeros((3, 2)), np.array([0.3, 0.2, 0.1]))
    for model in (one, flat):
        assert segments_of(model) == [] and np.isnan(borders(model, REACH)).all()


def test_a_class_never_seen_has_no_border_and_a_likely_one_takes_that_of_two_others():
    slopes = np.array([[1.0, 0], [0, 0], [-1.0, 0]])
    ((start, end),) = segments_of(LinearModel(slopes, np.array([0.0, -np.inf, 0.0])))
    assert start[0] == end[0] == 0 and abs(start[1] - end[1]) > 2 * REACH
    left, right = sorted(
        start[0] for start, _ in segments_of(LinearModel(slopes, np.array([0.0, 1.0, 0.0])))
    )
    assert (left, right) == (-1, 1)


# --- the clouds -----------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [50, 1000])
def test_the_clouds_are_the_training_and_the_unlabelled_sample(size):
    trial = trial_of(covariate=1.5, concept=0.3, size=size, correction="density ratio")
    figure = new_figure(trial)
    for lines, sample in ((figure.source, trial.training), (figure.target, trial.unlabelled)):
        shown = np.concatenate([line.get_xydata() for line in lines])
        assert len(shown) == min(size, SHOWN)
        for label, line in enumerate(lines):
            mine = sample.inputs[:SHOWN][sample.labels[:SHOWN] == label]
            np.testing.assert_array_equal(line.get_xydata(), mine.numpy())
            assert line.get_color() == COLORS[label]
    assert len({line.get_marker() for line in (*figure.source, *figure.target)}) == 2
    np.testing.assert_array_equal(figure.borders[0].get_xydata(), borders(trial.before, REACH))
    np.testing.assert_array_equal(figure.borders[1].get_xydata(), borders(trial.after, REACH))
    figure.update(trial_of())
    assert figure.borders[0].get_visible() and not figure.borders[1].get_visible()


def test_every_image_is_within_the_axes():
    figure, inputs = new_figure(), digits_in_a_plane().inputs.numpy()
    for limits, values in zip(
        (figure.clouds.get_xlim(), figure.clouds.get_ylim()), inputs.T, strict=True
    ):
        assert limits[0] < values.min() and values.max() < limits[1]


# --- the accuracies -------------------------------------------------------------------------------


@pytest.mark.parametrize("spec", SPECS)
def test_the_bars_are_the_accuracies_and_the_dots_the_best_possible(spec):
    trial = try_shift(spec)
    figure = new_figure(trial)
    expected = [trial.accuracy_on_source, trial.accuracy_before, trial.accuracy_after]
    for bar, text, share in zip(figure.bars, figure.shares, expected, strict=True):
        if np.isnan(share):
            assert bar.get_height() == 0 and text.get_text() == ""
        else:
            assert bar.get_height() == share and text.get_text() == f"{100 * share:.0f}%"
    assert [line.get_ydata()[0] for line in figure.best] == [
        trial.best_on_source,
        trial.best_on_target,
    ]


def test_no_number_stands_on_a_line_or_outside_of_the_axes():
    trial = trial_of(covariate=10.0, label=1.0, correction="exact weights")
    figure = new_figure(trial)
    assert trial.best_on_target == pytest.approx(1)
    drawn(figure)
    line = figure.accuracy.transData.transform((0, trial.best_on_target))[1]
    for text in figure.shares:
        box = text.get_window_extent()
        assert line + 2 < box.y0 and box.y1 <= figure.accuracy.bbox.y1 + 1


# --- the weights ----------------------------------------------------------------------------------


def bars_of(outline):
    """Edges and heights of a histogram, read from its outline."""
    edges, heights = outline[::2, 0], outline[1::2, 1][:-1]
    np.testing.assert_array_equal(outline[1::2, 0], edges)
    return edges, heights


@pytest.mark.parametrize("correction", [c for c in CORRECTIONS if c != "none"])
def test_the_histogram_counts_examples_and_their_weight(correction):
    trial = trial_of(covariate=3.0, label=0.4, correction=correction, size=300)
    figure = new_figure(trial)
    values = trial.correction.weights.values
    edges, examples = bars_of(figure.examples.get_xy()[: len(figure.carried.get_xydata())])
    again, carried = bars_of(figure.carried.get_xydata())
    np.testing.assert_array_equal(edges, again)
    assert examples.sum() == pytest.approx(1) and carried.sum() == pytest.approx(1)
    for k, (low, high) in enumerate(zip(edges[:-1], edges[1:], strict=True)):
        low, high = (0 if k == 0 else low), (np.inf if k == len(edges) - 2 else high)
        inside = (values >= low) & (values < high)
        assert examples[k] == pytest.approx(inside.mean())
        assert carried[k] == pytest.approx(values[inside].sum() / values.sum())
    size = trial.correction.weights.effective_size
    assert figure.effective.get_text() == (
        f"effective size {size:.0f} of 300" if size >= 10 else f"effective size {size:.1f} of 300"
    )


def test_without_a_correction_all_weights_are_1_and_in_the_middle_of_a_bin():
    figure = new_figure(trial_of(size=70))
    edges, examples = bars_of(figure.carried.get_xydata())
    (full,) = np.flatnonzero(examples)
    assert examples[full] == 1
    assert edges[full] * edges[full + 1] == pytest.approx(1)
    assert figure.effective.get_text() == "effective size 70 of 70"


# --- the detector ---------------------------------------------------------------------------------


@pytest.mark.parametrize("covariate", [0.0, 0.25, 1.0, 10.0])
def test_the_statistic_stands_where_it_is_in_its_null_distribution(covariate):
    trial = trial_of(covariate=covariate, size=100)
    figure, found = new_figure(trial), trial.detection
    assert figure.test.get_xscale() == "linear"
    low, high = figure.test.get_xlim()
    at = figure.found.get_xdata()[0]
    assert at == pytest.approx(found.statistic / found.null.std()) and low < at < high
    edges, heights = bars_of(figure.null.get_xy()[:-1])
    inside = (found.null / found.null.std() >= low) & (found.null / found.null.std() <= high)
    assert inside.all() and heights.max() == 1
    middle = np.average((edges[1:] + edges[:-1]) / 2, weights=heights)
    assert middle == pytest.approx(found.null.mean() / found.null.std(), abs=edges[1] - edges[0])
    threshold = figure.critical.get_x()
    assert np.mean(found.null / found.null.std() > threshold) == pytest.approx(0.05, abs=0.01)
    if abs(found.p_value - 0.05) > 0.011:
        assert (at > threshold) == (found.p_value < 0.05)


@pytest.mark.parametrize("detector", [t for t in TESTS if t != "MMD"])
def test_a_p_value_stands_among_those_that_are_evenly_spread(detector):
    figure = new_figure()
    for covariate in (0.0, 0.5, 10.0):
        trial = trial_of(covariate=covariate, detector=detector)
        assert figure.update(trial) == ("p-value",)
        left, right = figure.test.get_xlim()
        assert figure.test.get_xscale() == "log" and left == 1 and right < 1e-5
        p_value, at = trial.detection.p_value, figure.found.get_xdata()[0]
        assert at == pytest.approx(max(p_value, right), rel=0.11) and right <= at <= left
    edges, heights = bars_of(figure.null.get_xy()[:-1])
    np.testing.assert_allclose(heights / heights.sum(), (edges[:-1] - edges[1:]) / (1 - right))
    assert figure.critical.get_x() == 0.05
    assert figure.critical.get_x() + figure.critical.get_width() == pytest.approx(right)


@pytest.mark.parametrize("detector", TESTS)
def test_an_alarm_is_red(detector):
    for covariate, color in ((0.0, INK), (3.0, RED)):
        trial = trial_of(covariate=covariate, detector=detector)
        assert (trial.detection.p_value <= 0.05) == (color == RED)
        figure = new_figure(trial)
        assert to_rgb(figure.said.get_color()) == to_rgb(color)
        assert to_rgb(figure.found.get_color()) == to_rgb(color)
        name, p_value = figure.said.get_text().split(": p = ")
        assert name == trial.detection.method
        assert float(p_value) == pytest.approx(trial.detection.p_value, rel=0.06, abs=5e-4)


# --- all of it ------------------------------------------------------------------------------------


def test_what_update_returns_tells_the_backgrounds_apart():
    figure = new_figure()
    specs = [*SPECS, ShiftSpec(detector="classifier"), ShiftSpec(covariate=10.0, size=1000)]
    backgrounds = {}
    for spec in [*specs, *specs]:
        key = figure.update(try_shift(spec))
        figure.figure.canvas.draw()  # without what moves
        pixels = bytes(figure.figure.canvas.buffer_rgba())
        assert backgrounds.setdefault(key, pixels) == pixels
    assert 2 < len(backgrounds) <= 8 and len(set(backgrounds.values())) == len(backgrounds)


@pytest.mark.parametrize("detector", TESTS)
@pytest.mark.parametrize("size", [20, 1000])
def test_nothing_overlaps_or_leaves_the_picture(detector, size):
    figure = new_figure(trial_of(covariate=1.0, label=0.5, detector=detector, size=size,
                                 correction="EM"))  # fmt: skip
    drawn(figure)
    width, height = figure.figure.bbox.size
    for axes in figure.figure.axes:
        box = axes.get_tightbbox()
        assert box.x0 >= 0 and box.y0 >= 0 and box.x1 <= width and box.y1 <= height
    titles = [
        *figure.clouds.findobj(lambda part: isinstance(part, Text) and part.get_text() == "digits"),
        figure.clouds.get_legend(),
        figure.accuracy.get_legend(),
        figure.effective,
        figure.said,
    ]
    boxes = [title.get_window_extent() for title in titles]
    for left, right in zip(boxes, boxes[1:], strict=False):
        assert left.x1 < right.x0
    assert boxes[-1].x1 < width
    for text in figure.shares:
        assert text.get_window_extent().x0 > figure.clouds.bbox.x1
    ticks = [text.get_window_extent() for text in figure.weights.get_xticklabels()]
    assert all(left.x1 < right.x0 for left, right in zip(ticks, ticks[1:], strict=False))


def test_every_axis_says_what_it_shows():
    for detector in TESTS:
        figure = new_figure(trial_of(detector=detector))
        for axes in figure.figure.axes:
            assert axes.get_ylabel()
            assert axes.get_xlabel() or axes is figure.accuracy  # its ticks are words
