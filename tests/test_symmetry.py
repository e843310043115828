"""Twin units: trained side by side as torch trains them alone, parting as the Hessian says."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from d2lstab.datasets import digits
from d2lstab.symmetry import escape_rate, train_twins
from d2lstab.training import HELD_OUT


def random_start(runs, units=5, seed=0):
    generator = torch.Generator().manual_seed(seed)
    draw = [torch.randn(runs, units, n, generator=generator, dtype=torch.float64) for n in (64, 10)]
    return draw[0] / 8, draw[1] / 2


def trained_by_torch(hidden, output, steps, learning_rate, batch_size, seed):
    """The network as nn.Sequential, trained by torch.optim.SGD on the same batches."""
    first, last = nn.Linear(64, len(hidden), bias=False), nn.Linear(len(hidden), 10)
    network = nn.Sequential(first, nn.Tanh(), last).double()
    with torch.no_grad():
        first.weight.copy_(hidden)
        last.weight.copy_(output.T)
        last.bias.zero_()
    data, generator = digits(), torch.Generator().manual_seed(seed)
    optimizer = torch.optim.SGD(network.parameters(), learning_rate)
    for _ in range(steps):
        batch = torch.randint(len(data.labels) - HELD_OUT, (batch_size,), generator=generator)
        loss = F.cross_entropy(network(data.inputs[batch].double()), data.labels[batch])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return network


def test_each_run_is_trained_as_torch_would_train_it_alone():
    hidden, output = random_start(runs=3)
    training = train_twins(hidden, output, 15, 0.3, batch_size=32, every=15, seed=7)
    inputs = digits(20).inputs
    for run in range(3):
        network = trained_by_torch(hidden[run], output[run], 15, 0.3, 32, 7)
        first, _, last = network
        torch.testing.assert_close(training.hidden[-1, run], first.weight.detach())
        torch.testing.assert_close(training.output[-1, run], last.weight.detach().T)
        torch.testing.assert_close(training.bias[-1, run], last.bias.detach())
        expected = network(inputs.double()).detach()
        torch.testing.assert_close(training.logits(inputs)[run], expected)


def test_the_start_is_kept_first_and_left_as_it_was():
    hidden, output = random_start(runs=1)
    before = hidden.clone(), output.clone()
    training = train_twins(hidden, output, steps=7, every=3)
    assert training.steps.tolist() == [0, 3, 6]
    assert training.hidden.shape == (3, 1, 5, 64) and training.output.shape == (3, 1, 5, 10)
    assert torch.equal(training.hidden[0], before[0]) and torch.equal(hidden, before[0])
    assert torch.equal(training.output[0], before[1]) and torch.equal(output, before[1])
    assert not hidden.requires_grad
    assert not torch.equal(training.hidden[1], training.hidden[2])


def test_the_seed_decides_on_the_batches_and_the_global_state_on_nothing():
    hidden, output = random_start(runs=1)
    first = train_twins(hidden, output, steps=3, every=3).hidden
    torch.manual_seed(5)
    state = torch.get_rng_state()
    again = train_twins(hidden, output, steps=3, every=3).hidden
    assert torch.equal(first, again) and torch.equal(torch.get_rng_state(), state)
    assert not torch.equal(first, train_twins(hidden, output, steps=3, every=3, seed=1).hidden)


def test_singular_values_are_those_of_numpy():
    hidden, output = random_start(runs=2)
    training = train_twins(hidden, output, steps=4, every=2)
    expected = np.linalg.svd(training.hidden.numpy(), compute_uv=False)
    np.testing.assert_allclose(training.singular_values().numpy(), expected, rtol=1e-10)


def test_units_that_start_alike_stay_alike_to_rounding_and_perturbed_ones_do_not():
    hidden = torch.full((2, 8, 64), 0.1, dtype=torch.float64)
    hidden[1] += 1e-4 * random_start(runs=1, units=8)[0][0]
    training = train_twins(hidden, torch.full((2, 8, 10), 0.1), steps=120, every=60)
    ratio = training.singular_values()[:, :, 1] / training.singular_values()[:, :, 0]
    assert ratio[:2, 0].max() < 1e-9
    assert ratio[2, 1] > 50 * ratio[0, 1] > 0


def escape_rate_by_autograd(w, v, bias, units, inputs, labels):
    """From the Hessian of the whole loss along (δ, −δ) of the first two units."""

    def loss(delta):
        ws, vs = w.expand(units, -1), v.expand(units, -1)
        sign = torch.zeros(units, 1, dtype=torch.float64)
        sign[0], sign[1] = 1, -1
        ws, vs = ws + sign * delta[: len(w)], vs + sign * delta[len(w) :]
        return F.cross_entropy(torch.tanh(inputs @ ws.T) @ vs + bias, labels)

    zero = torch.zeros(len(w) + len(v), dtype=torch.float64)
    hessian = torch.autograd.functional.hessian(loss, zero)
    return -torch.linalg.eigvalsh(hessian)[0].item() / 2  # δ counts twice: for (δ) and for (−δ)


@pytest.mark.parametrize("units", [2, 5])
def test_the_escape_rate_is_the_hessian_s_most_negative_eigenvalue(units):
    generator = torch.Generator().manual_seed(units)
    w, v, bias = (torch.randn(n, generator=generator, dtype=torch.float64) / 3 for n in (6, 3, 3))
    inputs = torch.randn(40, 6, generator=generator, dtype=torch.float64)
    labels = torch.randint(3, (40,), generator=generator)
    others = (units - 1) * torch.outer(torch.tanh(inputs @ w), v)
    expected = escape_rate_by_autograd(w, v, bias, units, inputs, labels)
    assert escape_rate(w, v, bias + others, inputs, labels) == pytest.approx(expected, rel=1e-9)


def test_the_escape_rate_is_zero_where_nothing_depends_on_the_inputs():
    w, v = torch.zeros(6), torch.zeros(3)
    inputs, labels = torch.zeros(9, 6), torch.arange(9) % 3
    assert escape_rate(w, v, torch.zeros(3), inputs, labels) == 0


@pytest.mark.parametrize(
    ("hidden", "output"),
    [((4, 64), (4, 10)), ((1, 4, 63), (1, 4, 10)), ((1, 4, 64), (1, 3, 10)), ((1, 4, 64), (1, 4))],
)
def test_shapes_that_do_not_fit_are_named(hidden, output):
    with pytest.raises(ValueError, match=r"hidden must be \(runs, units, 64\)"):
        train_twins(torch.zeros(hidden), torch.zeros(output))


@pytest.mark.parametrize(
    "wrong", [{"steps": -1}, {"every": 0}, {"batch_size": 0}, {"learning_rate": float("nan")}]
)
def test_numbers_out_of_range_are_named(wrong):
    with pytest.raises(ValueError, match=f"{next(iter(wrong))} must be"):
        train_twins(*random_start(runs=1), **wrong)
