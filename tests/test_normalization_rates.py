"""Scale-invariant weights in training, against PyTorch's optimizer and a recursion by hand."""

import math

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from d2lstab import NetworkSpec, build
from d2lstab.datasets import digits
from d2lstab.normalization.rates import (
    descend,
    equilibrium_norm,
    equilibrium_update,
    hidden_weights,
    start,
)

INVARIANT = ("batch", "layer", "rms", "group", "weight", "standardization", "cosine")


def spec(norm, seed=0):
    return NetworkSpec(depth=2, width=32, activation="relu", init="he", norm=norm, seed=seed)


def test_a_start_is_the_network_in_float64_with_larger_hidden_weights():
    network, original = start(spec("layer"), 3), build(spec("layer"))
    first, norm, *_, last = network
    assert first.bias is None and last.bias.dtype == torch.float64 and norm.eps == 1e-30
    torch.testing.assert_close(first.weight, 3 * original[0].weight.double())
    torch.testing.assert_close(last.weight, original[-1].weight.double())
    shapes = [tuple(weight.shape) for weight in hidden_weights(network)]
    assert shapes == [(32, 64), (32, 32)]


def test_descent_is_pytorch_s_sgd_with_weight_decay_on_the_hidden_weights():
    ours, theirs = start(spec("batch")), start(spec("batch"))
    run = descend(ours, 5, 0.3, decay=0.2, others=0.05, batch_size=16, seed=3)
    hidden = [theirs[0].weight, theirs[3].weight]
    others = [theirs[1].weight, theirs[1].bias, theirs[4].weight, theirs[4].bias]
    sgd = torch.optim.SGD([
        {"params": hidden, "lr": 0.3, "weight_decay": 0.2},
        {"params": [*others, *theirs[-1].parameters()], "lr": 0.05},
    ])  # fmt: skip
    data, generator = digits(), torch.Generator().manual_seed(3)
    for step in range(5):
        batch = torch.randint(1437, (16,), generator=generator)
        loss = F.cross_entropy(theirs(data.inputs[batch].double()), data.labels[batch])
        sgd.zero_grad()
        loss.backward()
        assert run.loss[step] == pytest.approx(loss.item(), rel=1e-9)
        for layer, weight in enumerate(hidden):
            assert run.weight_norm[step, layer] == pytest.approx(weight.norm().item(), rel=1e-9)
            length, pull = weight.norm().item(), weight.grad.norm().item()
            assert run.gradient_norm[step, layer] == pytest.approx(pull, rel=1e-9)
            assert run.effective_rate[step, layer] == pytest.approx(0.3 / length**2, rel=1e-9)
            assert run.relative_update[step, layer] == pytest.approx(0.3 * pull / length, rel=1e-9)
            assert run.unit_gradient_norm[step, layer] == pytest.approx(pull * length, rel=1e-9)
        sgd.step()
    for mine, other in zip(ours.parameters(), theirs.parameters(), strict=True):
        torch.testing.assert_close(mine, other, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("norm", INVARIANT)
def test_weights_before_a_norm_grow_by_pythagoras(norm):
    run = descend(start(spec(norm)), 8, 0.5)
    grown = run.weight_norm[:-1] ** 2 + (0.5 * run.gradient_norm) ** 2
    torch.testing.assert_close(run.weight_norm[1:] ** 2, grown, rtol=1e-10, atol=0)
    assert run.cosine.abs().max() < 1e-12


@pytest.mark.parametrize("norm", INVARIANT)
def test_larger_weights_with_a_larger_rate_are_the_same_training(norm):
    small = descend(start(spec(norm)), 8, 0.2, decay=0.1)
    large = descend(start(spec(norm), 10), 8, 20, decay=0.001)
    torch.testing.assert_close(large.loss, small.loss, rtol=1e-8, atol=0)
    torch.testing.assert_close(large.weight_norm, 10 * small.weight_norm, rtol=1e-8, atol=0)
    torch.testing.assert_close(large.effective_rate, small.effective_rate, rtol=1e-8, atol=0)
    torch.testing.assert_close(large.relative_update, small.relative_update, rtol=1e-8, atol=0)
    torch.testing.assert_close(
        large.unit_gradient_norm, small.unit_gradient_norm, rtol=1e-8, atol=0
    )


def test_weight_decay_is_a_growing_rate():
    decayed = descend(start(spec("batch")), 10, 0.2, decay=0.5)
    growing = descend(start(spec("batch")), 10, lambda step: 0.2 * 0.9 ** (-2 * step - 1))
    torch.testing.assert_close(growing.loss, decayed.loss, rtol=1e-9, atol=0)
    shrunk = 0.9 ** torch.arange(11.0).double()[:, None]
    torch.testing.assert_close(growing.weight_norm * shrunk, decayed.weight_norm)


def test_without_a_norm_none_of_this_holds():
    plain = descend(start(spec(None)), 8, 0.2)
    grown = plain.weight_norm[:-1] ** 2 + (0.2 * plain.gradient_norm) ** 2
    assert (plain.weight_norm[1:] ** 2 - grown).abs().max() > 1e-3
    assert plain.cosine.abs().max() > 0.01
    growing = descend(start(spec(None)), 8, lambda step: 0.2 * 0.9 ** (-2 * step - 1))
    assert (descend(start(spec(None)), 8, 0.2, 0.5).loss - growing.loss).abs().max() > 0.1
    assert not torch.allclose(start(spec(None), 2)(torch.ones(1, 64).double()),
                              start(spec(None))(torch.ones(1, 64).double()))  # fmt: skip


def test_no_rate_is_too_large_for_longer_than_a_step():
    for rate in (1, 10, 1000):
        run = descend(start(spec("layer")), 2, rate)
        assert (run.effective_rate[1] <= 1 / (2 * run.unit_gradient_norm[0])).all()


def test_at_equilibrium_the_recursion_of_the_length_stands_still():
    rate, decay, unit_gradient = 0.3, 0.2, 4.0
    squared = 100.0
    for _ in range(400):
        squared = (1 - rate * decay) ** 2 * squared + rate**2 * unit_gradient**2 / squared
    assert equilibrium_norm(unit_gradient, rate, decay) == pytest.approx(math.sqrt(squared))
    assert equilibrium_update(rate, decay) == pytest.approx(rate * unit_gradient / squared)


def test_a_network_arrives_at_the_predicted_equilibrium():
    run = descend(start(spec("batch"), 0.5), 70, 0.5, decay=0.1)
    unit_gradients = run.unit_gradient_norm[30:].square().mean(0).sqrt()
    for layer, unit_gradient in enumerate(unit_gradients.tolist()):
        predicted = equilibrium_norm(unit_gradient, 0.5, 0.1)
        assert run.weight_norm[30:, layer].mean() == pytest.approx(predicted, rel=0.1)


def test_arguments_out_of_range_are_refused():
    network = start(spec("batch"))
    with pytest.raises(ValueError, match="steps must be an integer ≥ 1"):
        descend(network, 0)
    with pytest.raises(ValueError, match="learning_rate must be a finite number > 0"):
        descend(network, 2, lambda step: 1.0 - step)
    with pytest.raises(ValueError, match="decay must be a finite number ≥ 0"):
        descend(network, 2, decay=-0.1)
    with pytest.raises(ValueError, match="scale must be a finite number > 0"):
        start(spec("batch"), 0)
    with pytest.raises(ValueError, match=r"learning_rate × decay must be < 1; got 2"):
        equilibrium_update(4, 0.5)
    with pytest.raises(ValueError, match="unit_gradient_norm must be a finite number ≥ 0"):
        equilibrium_norm(-1, 0.1, 0.1)


def test_only_linear_layers_before_the_last_are_hidden():
    assert hidden_weights(nn.Sequential(nn.Linear(2, 3))) == []
