"""Dropout against PyTorch's own layer, and against the laws that the lesson reads off it."""

import itertools

import pytest
import torch
from torch import Generator, nn

from d2lstab.regularization.dropout import drop, mask
from d2lstab.regularization.penalties import ridge


def seeded(seed=0):
    return Generator().manual_seed(seed)


def normal(*shape, seed=0, dtype=torch.float64):
    return torch.randn(*shape, generator=seeded(seed), dtype=torch.float64).to(dtype)


def by_pytorch(x, p, seed):
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return nn.Dropout(p)(x)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
@pytest.mark.parametrize("p", [0, 0.1, 0.5, 0.9, 1])
def test_drop_is_the_layer_of_pytorch_bit_for_bit(p, dtype):
    for shape in ((5,), (3, 40), (2, 3, 4, 5)):
        x = normal(*shape, dtype=dtype)
        assert torch.equal(drop(x, p, seeded(3)), by_pytorch(x, p, 3))


def test_so_are_its_gradients():
    x = normal(8, 30).requires_grad_()
    slopes = [
        torch.autograd.grad(h.square().sum(), x)[0]
        for h in (drop(x, 0.3, seeded(1)), by_pytorch(x, 0.3, 1))
    ]
    assert torch.equal(*slopes)


def test_without_a_generator_masks_come_from_the_global_state_and_with_one_they_do_not():
    x = normal(50)
    with torch.random.fork_rng():
        torch.manual_seed(5)
        assert torch.equal(drop(x, 0.5), drop(x, 0.5, seeded(5)))
        before = torch.get_rng_state()
        drop(x, 0.5, seeded(9))
        assert torch.equal(torch.get_rng_state(), before)


def test_an_input_is_left_as_it_was():
    x = normal(50)
    copy = x.clone()
    drop(x, 0.5, seeded())
    assert torch.equal(x, copy)


def test_the_mask_has_two_values_mean_1_and_variance_p_over_1_minus_p():
    n, p = 40_000, 0.2
    drawn = mask(torch.empty(n, dtype=torch.float64), p, seeded())
    assert set(drawn.tolist()) == {0, 1 / (1 - p)}
    error = (p / (1 - p) / n) ** 0.5
    assert abs(drawn.mean() - 1) < 4 * error
    assert abs(drawn.var() - p / (1 - p)) < 0.02


def test_units_are_dropped_independently_also_from_example_to_example():
    drawn = mask(torch.empty(20_000, 4), 0.5, seeded())
    both = torch.cat([drawn[1:], drawn[:-1]], dim=1)  # an example's four units, and the one's above
    correlations = torch.corrcoef(both.T) - torch.eye(8)
    assert correlations.abs().max() < 6 / 20_000**0.5


def test_over_all_masks_dropout_in_a_linear_regression_is_ridge():
    """2⁵ masks for each of six examples, weighted: the gradient of the mean loss is 0 at ridge."""
    x, y, p = normal(6, 5), normal(6, seed=1), 0.3
    x = x / x.square().mean(0).sqrt()
    kept = torch.tensor(list(itertools.product((0.0, 1.0), repeat=5)), dtype=torch.float64)
    chance = ((1 - p) ** kept * p ** (1 - kept)).prod(1)
    w = ridge(x, y, p / (1 - p)).requires_grad_()
    dropped = x[:, None] * kept / (1 - p)  # (examples, masks, features)
    loss = (chance * (dropped @ w - y[:, None]).square()).sum(1).mean() / 2
    penalized = (x @ w - y).square().mean() / 2 + p / (1 - p) / 2 * w.square().sum()
    torch.testing.assert_close(loss, penalized)
    assert torch.autograd.grad(loss, w)[0].abs().max() < 1e-12


@pytest.mark.parametrize("p", [-0.1, 1.1, float("nan")])
def test_a_p_that_is_no_probability_is_refused(p):
    with pytest.raises(ValueError, match="p must be"):
        drop(torch.ones(3), p)


def test_a_p_that_is_no_number_is_refused():
    with pytest.raises(TypeError, match="p must be"):
        drop(torch.ones(3), "0.5")
