"""The soft-drink map as a picture: where the tiles stand, what they say, who can read them."""

import itertools

import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from painted import drawn

from d2lstab.figures.regions import (
    COLOURS,
    RegionsFigure,
    draw_road,
    draw_transfer,
    draw_words,
)
from d2lstab.figures.tiles import PLACES, draw_map, ink_on, tint_of
from d2lstab.shift.regions import (
    REGIONS,
    ROUND_TRIP,
    SHARES,
    WORDS,
    Transfer,
    best_labels,
    drinks_in,
)

APART = {"AK", "HI"}


def rendered(draw, size=(8.6, 6.3)):
    figure = Figure(figsize=size, layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots()
    result = draw(axes)
    figure.canvas.draw()
    return axes, result


def touching(a, b):
    return abs(PLACES[a][0] - PLACES[b][0]) + abs(PLACES[a][1] - PLACES[b][1]) == 1


def luminance(colour):
    """Of a colour, as WCAG 2 defines it."""
    channels = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in to_rgb(colour)]
    return 0.2126 * channels[0] + 0.7152 * channels[1] + 0.0722 * channels[2]


def contrast(a, b):
    dark, light = sorted([luminance(a), luminance(b)])
    return (light + 0.05) / (dark + 0.05)


def accuracies(home):
    model = best_labels(drinks_in([home]))
    return {state: drinks_in([state]).accuracy(model) for state in SHARES}


def test_every_state_has_a_tile_of_its_own():
    assert sorted(PLACES) == sorted(SHARES) and len(set(PLACES.values())) == 51


@pytest.mark.parametrize("region", REGIONS)
def test_the_states_of_a_region_hang_together(region):
    mainland = set(REGIONS[region]) - APART
    reached, new = set(), {min(mainland)}
    while new:
        reached |= new
        new = {s for s in mainland - reached if any(touching(s, r) for r in reached)}
    assert reached == mainland


@pytest.mark.parametrize(
    "pair", ["CA NV", "UT CO", "WA ID", "PA NJ", "AL GA", "KY WV", "OR ID", "TX LA"]
)
def test_west_is_left(pair):
    west, east = pair.split()
    assert PLACES[west][0] < PLACES[east][0]


def test_lines_are_drawn_where_a_region_ends_and_nowhere_else():
    axes, _ = rendered(draw_map)
    region = {PLACES[state]: name for name, states in REGIONS.items() for state in states}
    sides = [np.array(line.get_data()) for line in axes.lines]  # (x or y, two corners)
    found = set()
    for side in sides:
        x, y = side.mean(1)
        flat = side[1, 0] == side[1, 1]
        step = np.array([0, 0.5]) if flat else np.array([0.5, 0])
        tiles = [tuple(np.floor(np.array([x, y]) + s * step).astype(int)) for s in (-1, 1)]
        names = [region.get(tuple(map(int, tile))) for tile in tiles]
        assert names[0] != names[1]
        found.add((x, y))
    neighbours = itertools.combinations(PLACES, 2)
    inner = [(a, b) for a, b in neighbours if touching(a, b)]
    between = [pair for pair in inner if region[PLACES[pair[0]]] != region[PLACES[pair[1]]]]
    assert len(found) == 4 * 51 - 2 * len(inner) + len(between)


@pytest.mark.parametrize("size", [(8.6, 6.3), (7.4, 5.6)])
def test_no_words_leave_their_tile_or_cover_others(size):
    axes, _ = rendered(draw_words, size)
    boxes = {text: text.get_window_extent() for text in axes.texts if text.get_text()}
    pixels = axes.transData.transform
    for text, box in boxes.items():
        state = text.get_text()
        if state in PLACES:
            (left, top), (right, bottom) = pixels([PLACES[state], np.add(PLACES[state], 1)])
            assert left < box.x0 and box.x1 < right and bottom < box.y0 and box.y1 < top
    for (_, a), (_, b) in itertools.combinations(boxes.items(), 2):
        assert not a.overlaps(b)
    names = [text for text in boxes if text.get_style() == "italic"]
    assert len(names) == 9
    for name, column, row in [(name, *place) for name in names for place in PLACES.values()]:
        tile = pixels([(column, row + 1), (column + 1, row)])
        box = boxes[name]
        apart = box.x1 < tile[0, 0] or box.x0 > tile[1, 0]
        assert apart or box.y1 < tile[0, 1] or box.y0 > tile[1, 1], name.get_text()


def test_a_tile_says_and_shows_the_word_of_most_people():
    axes, _ = rendered(draw_words)
    texts = [text.get_text() for text in axes.texts]
    tints = {}
    for square, state in zip(axes.patches, PLACES, strict=True):
        word = WORDS[int(np.argmax(SHARES[state]))]
        tints[state] = square.get_facecolor()[:3]
        assert tints[state] == tint_of(COLOURS[word], SHARES[state].max())
        assert f"{word} {round(100 * SHARES[state].max())}" == texts[texts.index(state) + 1]
    assert luminance(tints["CT"]) < luminance(tints["NC"]) < 1
    assert [text.get_text() for text in axes.get_legend().get_texts()] == ["soda", "pop", "coke"]


def test_all_that_is_written_on_a_tile_can_be_read():
    for word, share in itertools.product(WORDS, np.linspace(0.3, 1, 36)):
        tint = tint_of(COLOURS[word], share)
        assert contrast(tint, ink_on(tint)) >= 4.5


@pytest.mark.parametrize(
    "blindness",
    [  # Machado, Oliveira and Fernandes 2009, severity 1, on linear RGB
        [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413],
         [-0.011820, 0.042940, 0.968881]],
        [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216],
         [-0.003882, -0.048116, 1.051998]],
    ],
    ids=["deuteranopia", "protanopia"],
)  # fmt: skip
def test_the_three_words_look_different_without_colour_vision_too(blindness):
    def seen(word, share):
        rgb = np.array(tint_of(COLOURS[word], share))
        linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
        shown = np.clip(blindness @ linear, 0, 1)
        return np.where(shown <= 0.0031308, 12.92 * shown, 1.055 * shown ** (1 / 2.4) - 0.055)

    for share in (0.45, 0.7, 0.9):
        for a, b in itertools.combinations(WORDS[:3], 2):
            assert np.linalg.norm(seen(a, share) - seen(b, share)) > 0.15


def test_a_matrix_says_each_accuracy_and_is_darker_for_more():
    table = Transfer(("A", "B"), np.array([[0.9, 0.5], [0.6, 0.8]]))
    axes, _ = rendered(lambda axes: draw_transfer(axes, table))
    assert [text.get_text() for text in axes.texts] == ["90", "50", "60", "80"]
    assert [text.get_position() for text in axes.texts] == [(0, 0), (1, 0), (0, 1), (1, 1)]
    (image,) = axes.images
    shades = image.to_rgba(image.get_array())[..., :3].reshape(4, 3)
    assert np.argsort(shades.sum(1)).tolist() == [0, 3, 2, 1]
    for text, shade in zip(axes.texts, shades, strict=True):
        assert contrast(shade, text.get_color()) >= 4.5
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("used in", "model of")


def test_a_road_has_a_bar_for_each_state_in_order():
    axes, _ = rendered(lambda axes: draw_road(axes, ["OH", "GA"], [0.9, 0.5]))
    assert [bar.get_height() for bar in axes.patches] == [0.9, 0.5]
    assert [label.get_text() for label in axes.get_xticklabels()] == ["OH", "GA"]
    assert [text.get_text() for text in axes.texts] == ["pop", "coke"]
    assert axes.patches[0].get_facecolor()[:3] == tint_of(COLOURS["pop"], 0.75)


def test_the_live_map_follows_the_model_and_the_stop():
    figure = RegionsFigure(Figure(figsize=(11.04, 4.9)))
    FigureCanvasAgg(figure.figure)
    for home, stop in (("CA", 1), ("GA", 9), ("GA", 19)):
        right, at = accuracies(home), ROUND_TRIP[stop - 1]
        figure.update(right, home, stop)
        for state, tile in figure.tiles.items():
            assert tile.line.get_text() == f"{100 * right[state]:.0f} %"
            assert contrast(tile.square.get_facecolor()[:3], tile.line.get_color()) >= 4.5
        assert [bar.get_width() for bar in figure.bars] == SHARES[at].tolist()
        assert figure.line.get_ydata() == [right[state] for state in ROUND_TRIP]
        assert figure.here.get_xydata().tolist() == [[stop, right[at]]]
        column, row = figure.car.get_xydata()[0]
        assert (int(column), int(row)) == PLACES[at]
        assert tuple(map(int, figure.home.get_xy())) == PLACES[home]
        assert home in figure.country.get_title() and at in figure.title.get_text()
        says = WORDS[SHARES[home].argmax()]
        assert figure.title.get_text().endswith(says)
        coloured = [
            bar.get_facecolor()[:3] == pytest.approx(to_rgb(COLOURS[word]))
            for word, bar in zip(WORDS, figure.bars, strict=True)
        ]
        assert [word for word, yes in zip(WORDS, coloured, strict=True) if yes] == [says]


def test_only_the_moving_artists_differ_between_stops():
    figure = RegionsFigure(Figure(figsize=(11.04, 4.9)))
    canvas = FigureCanvasAgg(figure.figure)
    backgrounds = []
    for stop in (1, 9):
        figure.update(accuracies("CA"), "CA", stop)
        canvas.draw()
        backgrounds.append(np.asarray(canvas.buffer_rgba()).copy())
    assert (backgrounds[0] == backgrounds[1]).all()
    assert (drawn(figure) != backgrounds[0]).any()
