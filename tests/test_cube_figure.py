"""The block of cells: blue where the layer's own derivative says so, in an isometric view."""

import numpy as np
import pytest
import torch
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.collections import PolyCollection
from matplotlib.figure import Figure

from d2lstab.figures.cube import draw_cube, draw_cubes
from d2lstab.normalization import BatchNorm, GroupNorm, LayerNorm
from d2lstab.normalization.sharing import sharing_set

SHAPE = (4, 6, 5)


def on_paper(example, channel, position):
    """Where a point of the block is drawn: isometric, the axes 120° apart."""
    right = np.sqrt(0.75) * (channel - example)
    return right, 0.5 * (channel + example) - position


def centres(example, channel, position):
    """The middles of a cell's visible faces on paper; on the block's surface where index is 0."""
    place = np.array([example, channel, position])
    for across in np.flatnonzero(place == 0):
        middle = place + 0.5
        middle[across] = 0
        yield on_paper(*middle)


def faces(axes):
    """Middle on paper → colour, of every filled polygon."""
    found = {}
    for collection in axes.collections:
        assert isinstance(collection, PolyCollection)
        for path, colour in zip(collection.get_paths(), collection.get_facecolor(), strict=False):
            found[tuple(np.round(path.vertices[:4].mean(0), 6))] = colour[:3]
    return found


def is_blue(colour):
    return colour[2] - colour[0] > 0.3


def test_every_visible_face_has_the_colour_of_its_cell_and_no_other_face_is_drawn():
    members = np.random.default_rng(0).random(SHAPE) < 0.4
    axes = Figure().subplots()
    draw_cube(axes, members)
    drawn, seen = faces(axes), 0
    for place in np.ndindex(SHAPE):
        for centre in centres(*place):
            colour = drawn[tuple(np.round(centre, 6))]
            assert is_blue(colour) == members[place]
            assert is_blue(colour) or np.ptp(colour) < 0.01
            seen += 1
    assert len(drawn) == seen == 4 * 6 + 6 * 5 + 4 * 5


def test_the_nearest_cell_is_outlined():
    axes = Figure().subplots()
    draw_cube(axes, np.zeros(SHAPE, dtype=bool))
    empty = [c for c in axes.collections if not len(c.get_facecolor())]
    middles = [path.vertices[:4].mean(0) for c in empty for path in c.get_paths()]
    assert np.allclose(middles, list(centres(0, 0, 0))) and len(middles) == 3


def test_cubes_show_what_the_layers_share_and_count_it():
    x = torch.randn(SHAPE, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    norms = {"batch": BatchNorm(6), "layer": LayerNorm(6), "group": GroupNorm(3, 6),
             "eval": BatchNorm(6).eval()}  # fmt: skip
    figure = Figure(figsize=(8, 5), layout="constrained")
    sets = {name: sharing_set(norm.double(), x, (0, 0, 0)) for name, norm in norms.items()}
    draw_cubes(figure, sets)
    panels = figure.axes[:4]
    titles = [axes.get_title() for axes in panels]
    assert titles == ["batch\n20 of 120", "layer\n30 of 120", "group\n10 of 120", "eval\n1 of 120"]
    visible = [sum(map(is_blue, faces(axes).values())) for axes in panels]
    # A slab across channels: 4·5 on its side, 4 above, 5 in front; and so on.
    assert visible == [20 + 4 + 5, 30 + 6 + 5, 10 + 2 + 5, 3]


def test_the_names_of_the_axes_stand_beside_the_block_and_inside_the_figure():
    figure = Figure(figsize=(8, 5), layout="constrained")
    canvas = FigureCanvasAgg(figure)
    draw_cubes(figure, dict.fromkeys("abcde", np.ones(SHAPE, dtype=bool)))
    canvas.draw()
    for axes in figure.axes[:5]:
        for text in axes.texts:
            box = text.get_window_extent()
            assert box.x0 >= 0 and box.y0 >= 0 and box.x1 <= figure.bbox.x1
            middle = axes.transData.inverted().transform(box.get_points().mean(0))
            paths = [path for c in axes.collections for path in c.get_paths()]
            assert not any(path.contains_point(middle) for path in paths)
    assert not figure.axes[5].axison


@pytest.mark.parametrize(
    "sets",
    [{"a": np.ones(SHAPE), "b": np.ones((4, 6, 4))}, {"a": np.ones((4, 6))}, {}],
    ids=["two shapes", "two axes", "none"],
)
def test_sets_of_other_shapes_are_refused(sets):
    with pytest.raises(ValueError, match="sets must have one shape"):
        draw_cubes(Figure(), sets)
