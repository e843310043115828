"""The map of the cliff has its losses where they are, and arrows lead where the steps go."""

import numpy as np
import pytest
import torch
from matplotlib.figure import Figure

from d2lstab.figures.cliff import COLOURS, StepArrows, draw_cliff, draw_path
from d2lstab.regularization import cliff

HERE = cliff.landscape((4.0, 5.0), (-2.8, -1.9), size=12)


def axes_with_map():
    axes = Figure(figsize=(4, 3)).add_subplot()
    draw_cliff(axes, HERE)
    return axes


def test_shades_darken_with_the_loss_and_none_is_left_white_but_the_lowest():
    shades = [part.get_facecolor() for part in axes_with_map().collections]
    brightness = np.concatenate(shades)[:, :3].sum(1)
    assert (np.diff(brightness) < 0).all() and brightness[0] == 3


def test_arrows_end_where_steps_do_and_at_the_edge_where_those_leave_the_map():
    arrows = StepArrows(axes_with_map())
    weight = torch.tensor(4.8, dtype=torch.float64)
    point = torch.stack([weight, cliff.wall(weight)])
    steps = {clip: cliff.step(point, 0.1, clip) for clip in COLOURS}
    arrows.update(steps)
    ends = {clip: arrow._posA_posB for clip, arrow in arrows.arrows.items()}
    for clip in ("norm", "value"):
        np.testing.assert_allclose(ends[clip], torch.stack([point, steps[clip].end]))
        assert arrows.arrows[clip].get_linestyle() == "-"
    tip = np.array(ends[None][1])
    assert tip[0] == pytest.approx(5.0) or tip[1] == pytest.approx(-1.9)
    way, drawn = (steps[None].end - point).numpy(), tip - point.numpy()
    assert drawn / np.linalg.norm(drawn) == pytest.approx(way / np.linalg.norm(way))
    assert arrows.arrows[None].get_linestyle() == "--"
    assert {id(artist) for artist in arrows.arrows.values()} <= {id(a) for a in arrows.moving}


def test_words_say_the_length_of_the_step_and_its_turn():
    arrows = StepArrows(axes_with_map())
    point = torch.tensor([4.8, -2.48], dtype=torch.float64)
    used = torch.tensor([3.0, 3.0]).double()
    step = cliff.Step(point, point - 0.1 * used, torch.tensor([3.0, 300.0]).double(), used)
    arrows.update({"value": step})
    assert arrows.words["value"].get_text() == "clipped by value: 0.424 long, turned by 44°"


def test_a_path_that_leaves_says_where_to():
    axes = axes_with_map()
    there = torch.tensor([[4.6, -2.2], [4.7, -2.3], [9.5, 30.0]]).double()
    draw_path(axes, cliff.Path(there, there[:, 0], there[:, 0]), None)
    np.testing.assert_allclose(axes.lines[0].get_xydata(), there)
    assert [text.get_text() for text in axes.texts] == ["to (9.5, 30.0)"]


def test_a_path_that_stays_says_nothing():
    axes = axes_with_map()
    draw_path(axes, cliff.descend(torch.tensor([4.6, -2.2]).double(), 0.1, "norm", steps=3), "norm")
    assert not axes.texts
