"""The loss cliff is the recurrence's own; its gradient and the wall have closed forms to meet."""

import math

import pytest
import torch

from d2lstab.regularization import cliff
from d2lstab.regularization.clipping import CLIPS

POINTS = torch.tensor([[4.1, -2.0], [4.6, -2.36], [5.2, -2.2], [5.0, -2.9]], dtype=torch.float64)


def by_hand(w, b, length=50):
    state = 0.5
    for _ in range(length):
        state = w / (1 + math.exp(-state)) + b
    return (1 / (1 + math.exp(-state)) - 0.7) ** 2


def test_the_loss_is_that_of_the_recurrence():
    for length in (1, 7, 50):
        expected = [by_hand(w, b, length) for w, b in POINTS.tolist()]
        assert cliff.loss(POINTS, length).tolist() == pytest.approx(expected, rel=1e-9)


def test_the_gradient_is_that_of_finite_differences():
    h = 1e-6
    for (w, b), slope in zip(POINTS.tolist(), cliff.gradient(POINTS).tolist(), strict=True):
        by_weight = (by_hand(w + h, b) - by_hand(w - h, b)) / (2 * h)
        by_bias = (by_hand(w, b + h) - by_hand(w, b - h)) / (2 * h)
        assert slope == pytest.approx([by_weight, by_bias], rel=1e-4, abs=1e-8)


def test_the_gradient_is_there_where_gradients_are_switched_off():
    with torch.no_grad():
        assert cliff.gradient(POINTS).shape == (4, 2)


def test_on_the_wall_the_state_stays_and_the_gradient_is_the_closed_form():
    weights = torch.linspace(4, 6, 9, dtype=torch.float64)
    points = torch.stack([weights, cliff.wall(weights)], dim=-1)
    stays = torch.tensor([by_hand(w, b, 1) for w, b in points.tolist()]).double()
    torch.testing.assert_close(stays, torch.full_like(stays, by_hand(0, 0.5, 1)))
    for length in (1, 50):
        measured = cliff.gradient(points, length).norm(dim=-1)
        torch.testing.assert_close(cliff.wall_gradient(weights, length), measured)


def test_the_loss_jumps_at_the_wall():
    at = cliff.wall(torch.tensor(5.0)).item()
    low, high = cliff.loss(torch.tensor([[5.0, at - 0.01], [5.0, at + 0.01]]).double()).tolist()
    assert low > 0.3 and high < 0.06


def test_a_landscape_has_biases_in_its_rows():
    here = cliff.landscape((4.0, 5.0), (-3.0, -2.0), size=5)
    assert here.loss[1, 4].item() == pytest.approx(by_hand(5.0, -2.75))
    point = torch.tensor([5.0, -2.75]).double()
    assert here.gradient_norm[1, 4].item() == pytest.approx(cliff.gradient(point).norm().item())


@pytest.mark.parametrize("how", ["norm", "value"])
def test_each_point_s_gradient_is_clipped_by_itself(how):
    step = cliff.step(POINTS, 0.1, how, 0.2)
    for row, used in zip(cliff.gradient(POINTS), step.used, strict=True):
        torch.testing.assert_close(used, CLIPS[how]([row], 0.2)[0])
    torch.testing.assert_close(step.end, POINTS - 0.1 * step.used)
    torch.testing.assert_close(step.gradient, cliff.gradient(POINTS))
    assert torch.equal(cliff.step(POINTS, 0.1).used, step.gradient)


def test_a_path_is_its_steps_one_after_the_other():
    path = cliff.descend(POINTS, 0.1, "norm", 0.3, steps=3)
    point = POINTS
    for at in path.points:
        torch.testing.assert_close(at, point)
        point = cliff.step(point, 0.1, "norm", 0.3).end
    torch.testing.assert_close(path.loss, cliff.loss(path.points))
    torch.testing.assert_close(path.gradient_norm, cliff.gradient(path.points).norm(dim=-1))


def test_a_way_to_clip_or_a_limit_that_does_not_exist_is_refused():
    with pytest.raises(ValueError, match="clip must be None or one of"):
        cliff.step(POINTS, 0.1, "values")
    with pytest.raises(ValueError, match="limit must be"):
        cliff.step(POINTS, 0.1, "norm", 0)
