"""Clipping agrees with torch.nn.utils, and keeps a gradient that torch's arithmetic loses."""

import math

import pytest
import torch
from torch import nn

from d2lstab.optimizers import norm
from d2lstab.regularization.clipping import CLIPS, angle, clip_by_norm, clip_by_value, total_norm


def draws(scale, seed=0, dtype=torch.float32):
    generator = torch.Generator().manual_seed(seed)
    shapes = ((4, 3), (5,), (), (0, 2))
    return [scale * torch.randn(shape, generator=generator).to(dtype) for shape in shapes]


def by_torch(function, gradients, limit):
    parameters = [nn.Parameter(torch.zeros_like(g)) for g in gradients]
    for parameter, g in zip(parameters, gradients, strict=True):
        parameter.grad = g.clone()
    function(parameters, limit)
    return [parameter.grad for parameter in parameters]


@pytest.mark.parametrize("scale", [1e-30, 1e-3, 1.0, 1e6, 1e17])
def test_clipping_by_norm_is_torch_s_up_to_its_epsilon(scale):
    ours = clip_by_norm(draws(scale), 0.5)
    theirs = by_torch(nn.utils.clip_grad_norm_, draws(scale), 0.5)
    for one, other in zip(ours, theirs, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-5, atol=0)


@pytest.mark.parametrize("scale", [1e-30, 1.0, 1e30, math.inf])
def test_clipping_by_value_is_torch_s(scale):
    theirs = by_torch(nn.utils.clip_grad_value_, draws(scale), 0.5)
    torch.testing.assert_close(clip_by_value(draws(scale), 0.5), theirs, rtol=0, atol=0)


def test_a_tiny_limit_is_kept_where_torch_s_epsilon_shortens_the_gradient():
    gradient = [torch.tensor([3e-6, 4e-6])]
    assert norm(clip_by_norm(gradient, 1e-6)[0]).item() == pytest.approx(1e-6)
    shortened = by_torch(nn.utils.clip_grad_norm_, gradient, 1e-6)[0]
    assert shortened.norm().item() == pytest.approx(1e-6 * 5 / 6, rel=1e-4)


def test_a_finite_gradient_whose_squares_overflow_keeps_its_direction_and_torch_s_becomes_zero():
    gradient = [torch.tensor([3e30, -4e30])]
    torch.testing.assert_close(clip_by_norm(gradient, 5.0), [torch.tensor([3.0, -4.0])])
    assert not by_torch(nn.utils.clip_grad_norm_, gradient, 5.0)[0].any()


@pytest.mark.parametrize("bad", [math.inf, -math.inf, math.nan])
def test_an_entry_that_is_not_finite_is_not_cured_and_spreads_as_in_torch(bad):
    gradient = [torch.tensor([bad, 1.0]), torch.tensor([2.0])]
    ours = clip_by_norm(gradient, 1.0)
    theirs = by_torch(nn.utils.clip_grad_norm_, gradient, 1.0)
    torch.testing.assert_close(ours, theirs, equal_nan=True)
    assert ours[0].isnan().any()


def test_a_gradient_within_the_limit_is_returned_bit_for_bit():
    gradients = draws(1.0)
    limit = total_norm(gradients).item()
    for clip in CLIPS.values():
        for one, other in zip(clip(gradients, limit), gradients, strict=True):
            assert torch.equal(one, other)


def test_nothing_to_clip_is_no_error():
    assert clip_by_norm([], 1.0) == clip_by_value([], 1.0) == []
    empty = torch.zeros(0, 3)
    assert clip_by_norm([empty], 1.0)[0].shape == (0, 3) and total_norm([empty]) == 0


def test_what_went_in_is_not_changed():
    gradient = torch.tensor([3.0, 4.0])
    clip_by_norm([gradient], 1.0), clip_by_value([gradient], 1.0)
    assert gradient.tolist() == [3, 4]


def test_the_total_norm_is_that_of_one_long_vector():
    gradients = draws(7.0, dtype=torch.float64)
    long = nn.utils.parameters_to_vector(gradients)
    assert total_norm(gradients).item() == pytest.approx(math.sqrt((long**2).sum()))


@pytest.mark.parametrize("degrees", [0.0, 1e-6, 13.0, 90.0, 179.0, 180.0])
def test_the_angle_is_the_one_that_was_turned_by(degrees):
    radians = math.radians(degrees)
    there = torch.tensor([3e200, 0.0], dtype=torch.float64).split(1)
    turned = torch.tensor([math.cos(radians), math.sin(radians)], dtype=torch.float64).split(1)
    assert angle(there, turned) == pytest.approx(degrees, rel=1e-6, abs=1e-12)


def test_the_angle_of_nothing_is_no_number():
    assert math.isnan(angle([torch.zeros(2)], [torch.ones(2)]))


@pytest.mark.parametrize("limit", [0, -1, math.nan, math.inf])
def test_a_limit_that_is_none_is_refused(limit):
    for clip in CLIPS.values():
        with pytest.raises(ValueError, match="limit must be"):
            clip(draws(1.0), limit)
