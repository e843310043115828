"""Max-norm is the projection onto a ball for each unit, and holds what training would not."""

import math

import pytest
import torch
from torch import nn

from d2lstab import NetworkSpec, build
from d2lstab.regularization.constraints import limit_hidden_norms, limit_rows


def normal(*shape, seed=0, dtype=torch.float64):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)


@pytest.mark.parametrize("limit", [0.1, 1.0, 4.0, 100.0])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_rows_are_limited_as_by_torch_renorm(limit, dtype):
    weight = normal(7, 16, dtype=dtype)
    weight[2] = 0
    by_torch = torch.renorm(weight, p=2, dim=0, maxnorm=limit)  # divides by the length + 1e-7
    limited = limit_rows(weight, limit)
    torch.testing.assert_close(limited, by_torch, rtol=1e-6, atol=0)
    assert limited.dtype is dtype


def test_no_allowed_matrix_is_nearer():
    # In a closed convex set, p is the point nearest to w exactly if (w − p)·(v − p) ≤ 0 for all v
    # of the set. Of these v: random ones, and those that make it largest.
    weight, limit = normal(6, 9), 3.0
    projected = limit_rows(weight, limit)
    away = weight - projected
    worst = limit * nn.functional.normalize(away, dim=1)
    random = nn.functional.normalize(normal(500, 6, 9, seed=1), dim=2)
    random *= limit * torch.rand(500, 6, 1, generator=torch.Generator().manual_seed(2))
    for allowed in (worst[None], random):
        assert (away * (allowed - projected)).sum((1, 2)).max() < 1e-12
    assert (weight.norm(dim=1) > limit).any() and (weight.norm(dim=1) < limit).any()


def test_short_rows_stay_bit_for_bit_and_long_ones_keep_their_direction():
    weight = torch.tensor([[3.0, 4.0], [0.1, 0.7], [-0.0, 0.0], [0.0, -8.0]])
    limited = limit_rows(weight, 2.0)
    assert torch.equal(limited[1:3], weight[1:3])
    torch.testing.assert_close(limited[[0, 3]], torch.tensor([[1.2, 1.6], [0.0, -2.0]]))
    again = limit_rows(limited, 2.0)
    torch.testing.assert_close(again, limited, rtol=1e-6, atol=0)


@pytest.mark.parametrize("size", [1e-40, 1e-30, 1e30, 3e38])
def test_lengths_hold_where_their_squares_leave_float32(size):
    weight = size * torch.tensor([[1.0, 0.0, 0.0], [0.6, 0.8, 0.0]])
    short, long = limit_rows(weight, 2.0 * size), limit_rows(weight, 0.5 * size)
    assert torch.equal(short, weight)
    lengths = long.double().norm(dim=1)
    torch.testing.assert_close(lengths, torch.full_like(lengths, 0.5 * size), rtol=1e-3, atol=0)


def test_projected_descent_ends_at_the_constrained_minimum():
    # min ½‖Xw − y‖² with ‖w‖ ≤ c is ridge with the multiplier at which ‖w‖ = c
    x, y, c = normal(30, 5, seed=3), normal(30, seed=4), 0.1
    weight = torch.zeros(1, 5, dtype=torch.float64)
    gram, moment = x.T @ x, x.T @ y
    for _ in range(300):
        weight = limit_rows(weight - 0.01 * (weight @ gram - moment), c)
    low, high = 0.0, 1e4
    for _ in range(100):
        middle = (low + high) / 2
        ridge = torch.linalg.solve(gram + middle * torch.eye(5).double(), moment)
        low, high = (middle, high) if ridge.norm() > c else (low, middle)
    assert middle > 1
    torch.testing.assert_close(weight[0], ridge, rtol=1e-9, atol=0)


def test_every_hidden_linear_layer_is_limited_in_place_and_nothing_else():
    network = build(NetworkSpec(4, 16, "relu", "he", bias_std=3.0, norm="layer", residual=True))
    before = {name: p.detach().clone() for name, p in network.named_parameters()}
    limit_hidden_norms(network, 0.7)
    linears = [n for n, m in network.named_modules() if isinstance(m, nn.Linear)]
    assert len(linears) == 5
    for name, parameter in network.named_parameters():
        layer, _, kind = name.rpartition(".")
        if kind == "weight" and layer in linears[:-1]:
            by_torch = torch.renorm(before[name], p=2, dim=0, maxnorm=0.7)
            torch.testing.assert_close(parameter.detach(), by_torch, rtol=1e-6, atol=0)
        else:
            assert torch.equal(parameter, before[name])
        assert parameter.requires_grad and parameter.grad_fn is None


@pytest.mark.parametrize("limit", [0, -1.0, math.nan, math.inf])
def test_the_limit_must_be_a_length(limit):
    with pytest.raises(ValueError, match="limit must be a finite number > 0"):
        limit_rows(torch.ones(2, 2), limit)
    with pytest.raises(ValueError, match="limit must be"):
        limit_hidden_norms(build(NetworkSpec(2, 4)), limit)
