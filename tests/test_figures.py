"""The signal figure shows the profile's numbers; the PNG encoder keeps the picture."""

import io
import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from painted import drawn
from PIL import Image

from d2lstab import NetworkSpec, SignalProfile, measure
from d2lstab.figures.png import encode_png, palette_indices, stack_pngs
from d2lstab.figures.signal import SignalFigure
from d2lstab.figures.style import INKS
from d2lstab.prediction import MeanField, predict

HEALTHY = measure(NetworkSpec(depth=12, width=24, activation="relu", init="he"))
VANISHING = measure(NetworkSpec(depth=40, width=24, activation="sigmoid"))
OVERFLOW = measure(NetworkSpec(depth=50, width=24, activation="relu", init="he", gain=10))
UNDERFLOW = measure(NetworkSpec(depth=120, width=24, activation="sigmoid"))
GRADIENTS_LOST = measure(NetworkSpec(depth=150, width=64, init="normal", gain=20))
ALL = [HEALTHY, VANISHING, OVERFLOW, UNDERFLOW, GRADIENTS_LOST]


def new_figure():
    figure = SignalFigure(Figure(figsize=(11.04, 3.4), dpi=100))
    FigureCanvasAgg(figure.figure)
    return figure


def profile(norms, spread=None):
    """A profile made by hand, all its other numbers harmless."""
    norms = torch.tensor(norms, dtype=torch.float64)
    ones = torch.ones_like(norms)
    spread = ones if spread is None else torch.tensor(spread, dtype=torch.float64)
    samples = tuple(torch.ones(2, dtype=torch.float64) for _ in norms)
    names = tuple(map(str, range(len(norms))))
    return SignalProfile(names, norms, norms, ones, spread, ones / 2, ones / 4, samples, 1.0)


@pytest.mark.parametrize("shown", ALL)
def test_every_curve_is_the_profiles_and_stands_in_its_panel(shown):
    figure = new_figure()
    figure.update(shown)
    expected = {
        "weight": (figure.gradients, shown.weight_gradient_norm),
        "activation": (figure.gradients, shown.activation_gradient_norm),
        "spread": (figure.spread, shown.activation_std),
        "saturated": (figure.shares, shown.saturated_share),
        "dead": (figure.shares, shown.dead_share),
    }
    assert set(figure.lines) == set(expected)
    for name, (axes, values) in expected.items():
        line = figure.lines[name]
        assert line.axes is axes and line in axes.lines
        np.testing.assert_array_equal(line.get_xdata(), np.arange(1, len(shown) + 1))
        np.testing.assert_array_equal(line.get_ydata(), values.numpy())
    scales = [a.get_yscale() for a in (figure.gradients, figure.spread, figure.shares)]
    assert scales == ["log", "log", "linear"]


def test_every_axis_names_its_quantity_and_no_two_curves_of_a_panel_share_a_colour():
    figure = new_figure()
    figure.update(HEALTHY)
    for axes in (figure.gradients, figure.spread, figure.shares, figure.entries):
        assert axes.get_ylabel()
        colours = [line.get_color() for line in figure.lines.values() if line.axes is axes]
        assert len(set(colours)) == len(colours) and set(colours) <= set(INKS)
    assert all(a.get_xlabel() for a in (figure.gradients, figure.shares, figure.entries))


def test_the_image_is_dark_where_the_histogram_says_and_empty_elsewhere():
    figure = new_figure()
    figure.update(HEALTHY)
    left, right, bottom, top = figure.image.get_extent()
    assert (left, right) == (0.5, len(HEALTHY) + 0.5)
    assert (bottom, top) == pytest.approx((-150 * math.log10(2), 128 * math.log10(2)))
    histogram = HEALTHY.gradient_histogram.numpy().T
    colours = np.asarray(figure.image.get_array())
    assert colours.shape == (*histogram.shape, 4)
    assert (colours[histogram == 0][:, 3] == 0).all()
    seen = histogram > 0.01
    assert seen.any() and (colours[seen][:, 3] == 255).all()
    order = np.argsort(histogram[seen])
    brightness = colours[seen][order][:, :3].sum(axis=1).astype(int)
    assert (np.diff(brightness) <= 0).all() and brightness[0] > brightness[-1] + 100


def test_pinned_curves_are_shown_dashed_and_go_when_they_are_unpinned():
    figure = new_figure()
    figure.update(VANISHING)
    figure.update(HEALTHY, pinned=VANISHING)
    pairs = [
        ("weight", VANISHING.weight_gradient_norm),
        ("activation", VANISHING.activation_gradient_norm),
        ("spread", VANISHING.activation_std),
    ]
    for name, values in pairs:
        line = figure.pinned[name]
        assert line.get_visible() and line.get_linestyle() == "--"
        assert line.get_color() == figure.lines[name].get_color()
        assert line.axes is figure.lines[name].axes
        np.testing.assert_array_equal(line.get_ydata(), values.numpy())
        np.testing.assert_array_equal(line.get_xdata(), np.arange(1, len(VANISHING) + 1))
    assert figure.gradients.get_xlim()[1] >= len(VANISHING)  # both fit
    with_pin = drawn(figure)
    figure.update(HEALTHY)
    assert not any(line.get_visible() for line in figure.pinned.values())
    assert not np.array_equal(with_pin, drawn(figure))


# --- theory --------------------------------------------------------------------------------------

PREDICTED = {
    "weight": "weight_gradient_norm",
    "activation": "activation_gradient_norm",
    "spread": "activation_std",
}


@pytest.mark.parametrize("shown", [HEALTHY, VANISHING, UNDERFLOW])
def test_theory_is_dotted_over_the_measured_curve_and_its_band_lies_behind(shown):
    figure, theory = new_figure(), predict(shown.spec)
    figure.update(shown, theory=theory)
    assert set(figure.theory) == set(figure.bands) == set(PREDICTED)
    order = figure.moving.index
    layers = np.arange(1, len(shown) + 1)
    for name, quantity in PREDICTED.items():
        line, band, measured = figure.theory[name], figure.bands[name], figure.lines[name]
        np.testing.assert_array_equal(line.get_data(), (layers, getattr(theory, quantity)))
        assert line.get_linestyle() == ":" != figure.pinned[name].get_linestyle()
        assert line.get_color() not in {measured.get_color(), figure.pinned[name].get_color()}
        assert line.axes is band.axes is measured.axes
        assert order(band) < order(measured) < order(line)
        bottom, top = measured.axes.get_ylim()
        low, high = (edge.clip(bottom, top) for edge in theory.band[quantity])
        corners = band.get_xy()[: 2 * len(layers)]
        np.testing.assert_array_equal(corners[:, 0], [*layers, *layers[::-1]])
        np.testing.assert_array_equal(corners[:, 1], [*low, *high[::-1]])


def test_theory_is_seen_and_named_in_the_picture_only_where_there_is_some():
    figure = new_figure()
    without_any = figure.update(HEALTHY)
    plain = drawn(figure)
    with_some = figure.update(HEALTHY, theory=predict(HEALTHY.spec))
    assert not np.array_equal(plain, drawn(figure))
    (name,) = figure.spread.get_legend().get_texts()
    assert name.get_text() == "theory"
    missing = predict(NetworkSpec(depth=12, width=24, init="constant"))
    assert missing.missing
    assert figure.update(HEALTHY, theory=missing) == without_any != with_some
    assert np.array_equal(plain, drawn(figure))


def test_the_axes_do_not_move_for_theory():
    figure, theory = new_figure(), predict(UNDERFLOW.spec)
    assert 0 < theory.weight_gradient_norm[0] < 1e-48  # where float32 has long given up
    alone = figure.update(UNDERFLOW)
    assert figure.update(UNDERFLOW, theory=theory)[:-1] == alone[:-1]
    assert drawn(figure).std() > 0


def test_theory_with_gaps_and_overflow_is_drawn():
    values = np.array([math.nan, 1.0, 1e300, math.inf])
    band = {quantity: (values / 2, values * 2) for quantity in PREDICTED.values()}
    spec = NetworkSpec(depth=3)
    theory = MeanField(spec, values, values, values, values, band)
    figure = new_figure()
    figure.update(profile([1.0] * 4), theory=theory)
    assert drawn(figure).std() > 0
    for band in figure.bands.values():
        bottom, top = band.axes.get_ylim()
        x, y = band.get_xy().T
        assert set(x) == {2, 3, 4} and bottom <= y.min() and y.max() <= top


finite = st.floats(1e-47, 1e39)


@settings(max_examples=60, deadline=None, derandomize=True)
@given(
    norms=st.lists(finite, min_size=1, max_size=30),
    again=st.lists(finite, min_size=1, max_size=30),
)
def test_the_axes_hold_everything_and_say_when_they_moved(norms, again):
    figure = new_figure()
    seen = []
    for shown in (norms, again):
        said = figure.update(profile(shown, shown))
        drawn_over = (figure.gradients, figure.spread, figure.entries)
        seen.append((said, [(axes.get_xlim(), axes.get_ylim()) for axes in drawn_over]))
        for axes in (figure.gradients, figure.spread):
            low, high = axes.get_ylim()
            assert low <= min(shown) and max(shown) <= high
            assert axes.get_xlim()[0] <= 0.5 and axes.get_xlim()[1] >= len(shown) + 0.5
    (said, limits), (said_again, limits_again) = seen
    assert (said == said_again) == (limits == limits_again)


def test_small_changes_leave_the_axes_where_they_are():
    figure = new_figure()
    limits = figure.update(profile([0.5, 0.2, 0.9]))
    assert figure.update(profile([0.6, 0.1, 0.3])) == limits
    assert figure.update(profile([0.002] * 6)) == limits  # five hidden layers and the output fit
    deeper = figure.update(profile([0.002] * 7))
    smaller = figure.update(profile([1e-5] * 7))
    assert len({limits, deeper, smaller}) == 3
    assert figure.update(profile([2e-6] * 7)) == smaller


def mark_of(figure, axes):
    span, label = figure.marks[axes]
    assert span.get_visible() == label.get_visible()
    if not span.get_visible():
        return None
    return (span.get_x(), span.get_x() + span.get_width()), label.get_text()


def layers(mask):
    indices = [i + 1 for i, true in enumerate(mask.tolist()) if true]
    return indices[0] - 0.5, indices[-1] + 0.5


def test_overflow_and_underflow_are_tinted_from_the_layer_where_they_begin():
    figure = new_figure()
    figure.update(HEALTHY)
    panels = (figure.gradients, figure.spread, figure.entries)
    assert [mark_of(figure, axes) for axes in panels] == [None] * 3

    figure.update(OVERFLOW)
    assert OVERFLOW.activation_overflow.any() and not OVERFLOW.activation_overflow[0]
    assert mark_of(figure, figure.spread) == (layers(OVERFLOW.activation_overflow), "Inf or NaN")
    everywhere = (0.5, len(OVERFLOW) + 0.5)
    assert mark_of(figure, figure.gradients) == (everywhere, "Inf or NaN")

    figure.update(UNDERFLOW)
    zero = UNDERFLOW.weight_gradient_norm == 0
    assert 10 < zero.sum() < 110 and zero[0]
    assert mark_of(figure, figure.spread) is None
    for axes in (figure.gradients, figure.entries):
        assert mark_of(figure, axes) == (layers(zero), "exactly 0")

    figure.update(GRADIENTS_LOST)
    lost = ~GRADIENTS_LOST.weight_gradient_norm.isfinite()
    lost |= GRADIENTS_LOST.activation_gradient_norm.isinf()
    assert lost.any() and not lost[-1]
    assert mark_of(figure, figure.gradients) == (layers(lost), "Inf or NaN")

    figure.update(HEALTHY)
    assert [mark_of(figure, axes) for axes in panels] == [None] * 3


@pytest.mark.parametrize("where", [slice(0, 1), slice(0, 4), slice(40, 60), slice(119, 120)])
def test_the_label_of_a_mark_stays_inside_its_panel(where):
    norms = torch.ones(120, dtype=torch.float64)
    norms[where] = 0
    figure = new_figure()
    figure.update(profile(norms.tolist()))
    drawn(figure)
    for axes in (figure.gradients, figure.entries):
        label = figure.marks[axes][1].get_window_extent()
        panel = axes.get_window_extent()
        assert panel.x0 <= label.x0 and label.x1 <= panel.x1
        assert panel.y0 <= label.y0 and label.y1 <= panel.y1


def test_nothing_is_drawn_outside_the_picture():
    figure = new_figure()
    for shown in ALL:
        figure.update(shown)
        width, height = figure.figure.bbox.size
        drawn(figure)
        for axes in figure.figure.axes:
            box = axes.get_tightbbox()
            assert box.x0 >= 0 and box.y0 >= 0 and box.x1 <= width and box.y1 <= height


def test_a_profile_full_of_nan_and_one_of_a_single_layer_are_drawn():
    figure = new_figure()
    for shown in (
        profile([math.nan] * 4, [math.nan] * 4),
        profile([1.0]),
        profile([math.inf, 0.0]),
    ):
        figure.update(shown)
        assert drawn(figure).std() > 0


def test_the_figure_is_not_known_to_pyplot():
    import matplotlib.pyplot as plt

    before = plt.get_fignums()
    new_figure().update(HEALTHY)
    assert plt.get_fignums() == before


# --- encode_png ----------------------------------------------------------------------------------


def encoded(pixels):
    return encode_png(palette_indices(pixels))


def decoded(data):
    image = Image.open(io.BytesIO(data))
    assert image.format == "PNG"
    return np.asarray(image.convert("RGB")).astype(int)


@pytest.mark.parametrize("shown", ALL)
def test_the_png_is_the_same_picture_in_few_bytes(shown):
    figure = new_figure()
    figure.update(shown, pinned=VANISHING)
    pixels = drawn(figure)
    data = encoded(pixels)
    error = np.abs(decoded(data) - pixels[..., :3].astype(int))
    assert decoded(data).shape == (340, 1104, 3)
    assert error.mean() < 2
    assert np.percentile(error.max(axis=2), 99) < 20
    assert len(data) < 40_000


def test_white_stays_white_and_every_ink_stays_itself():
    colours = [(255, 255, 255), *((int(i[1:3], 16), int(i[3:5], 16), int(i[5:], 16)) for i in INKS)]
    pixels = np.zeros((4, len(colours), 4), dtype=np.uint8)
    pixels[..., :3], pixels[..., 3] = colours, 255
    result = decoded(encoded(pixels))
    assert (result[:, 0] == 255).all()
    assert np.abs(result - pixels[..., :3]).max() <= 8  # a channel has 5 bits on the way


@settings(max_examples=60, deadline=None, derandomize=True)
@given(ink=st.sampled_from(INKS), share=st.floats(0, 1))
def test_every_mixture_of_an_ink_with_white_is_kept(ink, share):
    rgb = np.array([int(ink[i : i + 2], 16) for i in (1, 3, 5)])
    mixed = np.round(255 + share * (rgb - 255)).astype(np.uint8)
    pixels = np.full((2, 3, 4), 255, dtype=np.uint8)
    pixels[..., :3] = mixed
    assert np.abs(decoded(encoded(pixels)) - mixed).max() <= 14


def test_the_encoder_leaves_the_pixels_alone_and_is_deterministic():
    pixels = np.full((5, 7, 4), 200, dtype=np.uint8)
    first = encoded(pixels)
    assert (pixels == 200).all()
    assert encoded(pixels) == first
    assert decoded(first).shape == (5, 7, 3)


def test_pictures_below_each_other_are_each_as_they_were():
    wide, narrow = np.full((3, 9, 4), 255, np.uint8), np.full((2, 4, 4), 255, np.uint8)
    wide[1, 2:5, :3], narrow[:, 1, :3] = (31, 119, 180), 0
    one, two = encoded(wide), encoded(narrow)
    both = decoded(stack_pngs([one, two]))
    assert both.shape == (5, 9, 3)
    np.testing.assert_array_equal(both[:3], decoded(one))
    np.testing.assert_array_equal(both[3:, :4], decoded(two))
    assert (both[3:, 4:] == 255).all()
    assert stack_pngs([one]) == one
