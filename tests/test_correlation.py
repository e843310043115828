"""`correlations` against cosines taken one pair at a time."""

import itertools
import math

import numpy as np
import pytest
import torch
from torch import nn

from d2lstab import NetworkSpec, build
from d2lstab.correlation import correlations


def noise(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def by_pairs(output):
    rows = output.detach().double().flatten(1)
    cosines = [torch.dot(a, b) / (a.norm() * b.norm()) for a, b in itertools.combinations(rows, 2)]
    return torch.stack(cosines).mean().item()


def test_each_layer_has_the_mean_cosine_of_its_pre_activations():
    network, x = build(NetworkSpec(depth=2, width=9, activation="relu", bias_std=0.5)), noise(7, 64)
    first = network[0](x)
    second = network[2](first.relu())
    last = network[4](second.relu())
    expected = [by_pairs(output) for output in (first, second, last)]
    assert correlations(network, x) == pytest.approx(expected, abs=1e-6)


def test_convolutions_and_several_inputs_are_taken_as_they_come():
    class Two(nn.Module):
        def __init__(self):
            super().__init__()
            self.late, self.early = nn.Linear(18, 3), nn.Conv2d(1, 2, 2)

        def forward(self, x, scale):
            return self.late(self.early(x).flatten(1) * scale)

    network, x = Two(), noise(5, 1, 4, 4)
    conv = network.early(x)
    expected = [by_pairs(conv), by_pairs(network.late(conv.flatten(1) * 2))]
    assert correlations(network, (x, 2.0)) == pytest.approx(expected, abs=1e-6)


def test_a_layer_that_runs_twice_gets_the_mean_of_its_runs():
    layer, x = nn.Linear(6, 6), noise(4, 6)
    once = layer(x)
    expected = (by_pairs(once) + by_pairs(layer(once))) / 2
    assert correlations(nn.Sequential(layer, layer), x) == pytest.approx([expected], abs=1e-6)


def test_very_small_and_very_large_vectors_have_a_cosine_and_zero_has_none():
    layer, x = nn.Linear(3, 3, bias=False), noise(6, 3).double()
    layer = layer.double()
    for scale in (1e-200, 1e200):
        assert correlations(layer, scale * x) == pytest.approx(correlations(layer, x))
    assert math.isnan(correlations(layer, torch.zeros(3, 3).double())[0])


def test_the_module_and_the_random_state_are_left_alone():
    network = nn.Sequential(nn.Linear(4, 4), nn.BatchNorm1d(4), nn.Dropout(0.5), nn.Linear(4, 2))
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    state, x = torch.get_rng_state(), noise(8, 4)
    first, second = correlations(network, x), correlations(network, x)
    assert np.array_equal(first, second)
    assert not np.array_equal(first, correlations(network, x, seed=1))
    assert torch.equal(torch.get_rng_state(), state) and network.training
    after = network.state_dict()
    assert all(torch.equal(after[name], tensor) for name, tensor in before.items())
    assert all(p.grad is None for p in network.parameters())
    assert not any(module._forward_hooks for module in network.modules())


def test_hooks_are_gone_after_a_failure():
    network = nn.Linear(4, 4)
    with pytest.raises(RuntimeError):
        correlations(network, noise(3, 5))
    assert not network._forward_hooks


@pytest.mark.parametrize(
    ("network", "inputs", "error", "message"),
    [
        ("network", noise(2, 3), TypeError, "torch.nn.Module"),
        (nn.ReLU(), noise(2, 3), ValueError, "no layer"),
        (nn.Linear(3, 3), noise(1, 3), ValueError, "two examples"),
        (nn.LazyLinear(3), noise(2, 3), ValueError, "lazy layer"),
    ],
)
def test_wrong_arguments_are_refused(network, inputs, error, message):
    with pytest.raises(error, match=message):
        correlations(network, inputs)
