"""The cliff lab and its numbers: descents as of `regularization.cliff`, shown as they are."""

import dataclasses
import math

import numpy as np
import pytest
import torch
from hands import ends, picture, words

from d2lstab.labs import CliffLab
from d2lstab.labs.cliff import turned
from d2lstab.regularization.cliff import Step, descend, step, wall, wall_gradient
from d2lstab.regularization.cliff_trial import STEPS, CliffSpec, try_cliff

pytestmark = pytest.mark.once  # test_every_lab is run in both sets

START = CliffSpec(height=1e-4, length=20)
CLIPS = (None, "norm", "value")


@pytest.fixture(scope="module")
def one_for_all():
    lab = CliffLab(START)
    yield lab
    lab.close()


@pytest.fixture
def lab(one_for_all):
    """A lab as good as new."""
    if one_for_all.spec != START:
        one_for_all.reset()
    yield one_for_all
    assert "d2lstab-error" not in one_for_all.verdict_line.value


def shows(lab, spec):
    expected, figure = try_cliff(spec), lab._figure
    assert lab.spec == lab.trial.spec == spec and words(lab)
    for clip in CLIPS:
        path = expected.paths[clip]
        np.testing.assert_array_equal(figure.paths[clip].get_xydata(), path.points)
        np.testing.assert_array_equal(figure.curves[clip].get_ydata(), path.loss)
    return True


@pytest.mark.parametrize("clip", CLIPS)
def test_the_descents_are_those_of_the_lesson(clip):
    trial = try_cliff(CliffSpec(weight=4.8, height=1e-3, learning_rate=0.02, limit=0.7))
    start = trial.spec.start
    expected = descend(start, 0.02, clip, 0.7, steps=STEPS)
    path, first = trial.paths[clip], step(start, 0.02, clip, 0.7)
    for name in ("points", "loss", "gradient_norm"):
        torch.testing.assert_close(getattr(path, name), getattr(expected, name))
    for name in ("start", "end", "gradient", "used"):
        torch.testing.assert_close(getattr(trial.steps[clip], name), getattr(first, name))


@pytest.mark.parametrize("length", [1, 10, 50])
def test_on_the_wall_the_gradient_has_its_exact_length(length):
    spec = CliffSpec(weight=5.2, length=length)
    weight = torch.tensor(5.2, dtype=torch.float64)
    assert torch.equal(spec.start, torch.stack([weight, wall(weight)]))
    slope = try_cliff(spec).steps[None].gradient.norm()
    torch.testing.assert_close(slope, wall_gradient(weight, length), rtol=1e-5, atol=0)


def test_the_angle_turned_is_that_between_two_vectors():
    def one(gradient, used):
        points = torch.zeros(2)
        return turned(Step(points, points, torch.tensor(gradient), torch.tensor(used)))

    assert one([3.0, 0.0], [1.0, 1.0]) == pytest.approx(45)
    assert one([3.0, 3.0], [1.0, 0.0]) == pytest.approx(45)
    assert one([-5.0, 0.1], [-1.0, 0.1]) == pytest.approx(
        math.degrees(math.atan(0.1) - 0.02), abs=0.01
    )
    assert one([0.0, 0.0], [0.0, 0.0]) == 0


@pytest.mark.parametrize(
    ("name", "wrong"),
    [
        ("weight", 6.0), ("height", -0.31), ("height", float("nan")), ("learning_rate", 0.0),
        ("limit", 0.0), ("length", 0),
    ],
)  # fmt: skip
def test_a_wrong_value_is_refused_by_name(name, wrong):
    with pytest.raises(ValueError, match=f"{name} must be"):
        CliffSpec(**{name: wrong})


def test_a_lab_shows_its_specification_at_once(lab):
    assert shows(lab, START)


@pytest.mark.parametrize(
    ("field", "value"),
    [("weight", 4.5), ("height", -0.01), ("learning_rate", 0.01), ("limit", 0.1), ("length", 30)],
)
def test_every_control_changes_the_specification_and_the_picture(lab, field, value):
    before = picture(lab)
    lab.controls[field].value = value
    assert shows(lab, dataclasses.replace(START, **{field: value})) and picture(lab) != before


def test_there_is_a_control_for_every_field_and_it_goes_to_both_its_ends(lab, monkeypatch):
    reach = {
        "weight": (4, 5.6), "height": (-0.3, 0.3), "learning_rate": (0.001, 10),
        "limit": (0.01, 1000), "length": (1, 100),
    }  # fmt: skip
    assert set(lab.controls) == set(reach) == {f.name for f in dataclasses.fields(CliffSpec)}
    with monkeypatch.context() as patch:
        patch.setattr(lab._figure, "_draw_map", lambda: None)
        for field, (low, high) in reach.items():
            control = lab.controls[field]
            assert ends(control) == pytest.approx((low, high))
            for value in ends(control):
                control.value = value
                assert getattr(lab.trial.spec, field) == value and words(lab)
        assert 0 < len(control.description) <= 12
        lab.set(length=START.length)
    lab.set(weight=5.0, height=0.0, learning_rate=10.0)  # as far away as it goes
    assert words(lab)[0].startswith("thrown")


def test_another_length_has_another_map_and_the_one_before_is_gone(lab):
    plain, count = picture(lab), len(lab._figure.map.get_children())
    lab.set(length=5)
    assert picture(lab) != plain and len(lab._figure.map.get_children()) <= count + 2
    lab.reset()
    assert picture(lab) == plain and len(lab._figure.map.get_children()) == count
    assert len(lab._figure.map.child_axes) == 1


def test_the_words_give_lengths_angle_and_losses(lab):
    lab.set(height=0.0, length=50)
    first, by_norm, by_value = words(lab)
    assert first.startswith("thrown Gradient 779 long, limit 1. Not clipped: step 77.9, to (46.2,")
    assert "Clipped by norm step 0.1, turned by 0.0°" in by_norm
    angle = math.degrees(math.pi / 4 - math.atan(torch.sigmoid(torch.tensor(0.5)).item()))
    assert f"Clipped by value step 0.141, turned by {angle:.1f}°" in by_value
    lab.set(height=0.2)
    assert words(lab)[0].startswith("steady") and "nothing to clip" in words(lab)[1]
