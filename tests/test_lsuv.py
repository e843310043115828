"""LSUV against the paper's algorithm, written here for plain stacks, layer after layer."""

import math

import pytest
import torch
from torch import nn
from torch.nn import functional as F
from torch.nn.utils.parametrizations import weight_norm

from d2lstab import NetworkSpec, build
from d2lstab.datasets import digits
from d2lstab.lsuv import lsuv_

pytestmark = pytest.mark.once

INPUTS = digits(200).inputs


def by_the_paper(network, x, tolerance, trials):
    """Algorithm 1 of Mishkin & Matas on a Sequential: no hooks, each layer's input kept."""
    for module in network:
        if isinstance(module, (nn.Linear, nn.Conv2d)):
            for _ in range(trials):
                output = module(x).flatten().double()
                variance = (output - output.mean()).square().mean()
                if abs(variance - 1) < tolerance:
                    break
                module.weight.data /= float(variance) ** 0.5
        x = module(x)


def copy_of(network):
    """The same architecture with the same parameters."""
    twin = build(NetworkSpec(depth=6, activation="sigmoid", bias_std=0.5))
    twin.load_state_dict(network.state_dict())
    return twin


@pytest.mark.parametrize(("tolerance", "trials"), [(0.1, 10), (1e-3, 100), (0.3, 1)])
def test_it_is_the_algorithm_of_the_paper(tolerance, trials):
    network = build(NetworkSpec(depth=6, activation="sigmoid", bias_std=0.5))
    twin = copy_of(network)
    lsuv_(network, INPUTS, tolerance=tolerance, trials=trials, orthonormal=False)
    with torch.no_grad():
        by_the_paper(twin, INPUTS, tolerance, trials)
    for ours, theirs in zip(network.parameters(), twin.parameters(), strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("activation", ["linear", "tanh", "relu", "sigmoid", "selu", "softplus"])
@pytest.mark.parametrize("gain", [0.01, 30.0])
def test_every_layer_ends_at_variance_one(activation, gain):
    network = build(NetworkSpec(depth=15, activation=activation, gain=gain, bias_std=0.3))
    done = lsuv_(network, INPUTS, tolerance=0.05)
    with torch.no_grad():
        x = INPUTS
        for module in network:
            x = module(x)
            if isinstance(module, nn.Linear):
                assert x.var(correction=0).item() == pytest.approx(1, abs=0.05)
    assert [layer.name for layer in done] == [
        name for name, module in network.named_modules() if isinstance(module, nn.Linear)
    ]
    assert all(layer.trials == len(layer.variances) - 1 <= 10 for layer in done)


def test_without_biases_one_division_does_it_exactly():
    done = lsuv_(build(NetworkSpec(depth=5, activation="relu", gain=3)), INPUTS, tolerance=1e-4)
    assert {layer.trials for layer in done} == {1}
    assert all(layer.variances[1] == pytest.approx(1, abs=1e-5) for layer in done)


def test_the_weights_are_orthonormal_up_to_a_factor():
    network = build(NetworkSpec(depth=3, width=48, activation="tanh"))
    lsuv_(network, INPUTS)
    for layer in (m for m in network if isinstance(m, nn.Linear)):
        values = torch.linalg.svdvals(layer.weight)
        assert (values / values[0] > 1 - 1e-5).all()


def test_other_activations_in_one_network_and_convolutions():
    network = nn.Sequential(
        nn.Unflatten(1, (1, 8, 8)),
        nn.Conv2d(1, 6, 3, padding=1),
        nn.Sigmoid(),
        nn.AvgPool2d(2),
        nn.Conv2d(6, 16, 3),
        nn.ReLU(inplace=True),
        nn.Flatten(),
        nn.Linear(64, 32),
        nn.Dropout(0.5),
        nn.Tanh(),
        nn.Linear(32, 10),
    ).double()
    network[7].train(False)
    done = lsuv_(network, INPUTS.double(), tolerance=0.01)
    assert [layer.name for layer in done] == ["1", "4", "7", "10"]
    assert all(abs(layer.variances[-1] - 1) < 0.01 for layer in done)
    assert network.training and not network[7].training and network[8].training
    kernel = network[4].weight.detach().flatten(1)
    gram = kernel @ kernel.T
    torch.testing.assert_close(gram / gram[0, 0], torch.eye(16).double(), rtol=0, atol=1e-9)


class Backwards(nn.Module):
    """Layers that run in another order than they are named, one twice, one never, one frozen."""

    def __init__(self):
        super().__init__()
        self.last, self.twice, self.never, self.frozen, self.first = (
            nn.Linear(64, 64) for _ in range(5)
        )
        self.frozen.weight.requires_grad_(False)

    def forward(self, x, scale):
        x = torch.tanh(self.first(scale * x))
        x = torch.tanh(self.twice(torch.tanh(self.twice(x))))
        return self.last(self.frozen(x))


def test_the_layers_are_taken_as_they_run():
    network = Backwards()
    before = {name: value.clone() for name, value in network.state_dict().items()}
    done = lsuv_(network, (INPUTS, 3.0))
    assert [layer.name for layer in done] == ["first", "twice", "last"]
    assert all(abs(layer.variances[-1] - 1) < 0.1 for layer in done)
    with torch.no_grad():
        first_call = network.twice(torch.tanh(network.first(3 * INPUTS)))
    assert done[1].variances[-1] == pytest.approx(first_call.var(correction=0).item(), rel=1e-5)
    changed = {n for n, value in network.state_dict().items() if not torch.equal(value, before[n])}
    assert changed == {"first.weight", "twice.weight", "last.weight"}


def test_running_statistics_and_random_state_stay():
    network = build(NetworkSpec(depth=3, norm="batch", dropout=0.5))
    before, state = network[1].running_var.clone(), torch.get_rng_state()
    lsuv_(network, INPUTS)
    assert torch.equal(network[1].running_var, before)
    assert torch.equal(torch.get_rng_state(), state)
    assert all(module.training for module in network.modules())


def test_the_seed_fixes_the_weights():
    networks = [build(NetworkSpec(depth=2)) for _ in range(3)]
    for network, seed in zip(networks, (1, 1, 2), strict=True):
        lsuv_(network, INPUTS, seed=seed)
    first, again, other = (network[0].weight for network in networks)
    assert torch.equal(first, again) and not torch.equal(first, other)


def test_trials_can_run_out():
    network = nn.Sequential(nn.Linear(64, 20))
    nn.init.normal_(network[0].bias, std=3.0, generator=torch.Generator().manual_seed(0))
    (layer,) = lsuv_(network, INPUTS, trials=4)
    assert layer.trials == 4 and layer.variances[-1] > 1.1


def test_the_gradient_comes_back_where_the_signal_was_fading():
    """ReLU with PyTorch's weights: each layer keeps a sixth of the variance, forward and back."""

    def gradient_norm(network):
        F.cross_entropy(network(INPUTS), digits(200).labels).backward()
        return network[0].weight.grad.norm().item()

    spec = NetworkSpec(depth=30, activation="relu", init="pytorch")
    plain, scaled = build(spec), build(spec)
    lsuv_(scaled, INPUTS)
    assert gradient_norm(plain) < 1e-8 < 1e-2 < gradient_norm(scaled)


def test_unit_variance_can_be_a_part_that_all_inputs_share():
    """Sigmoid: the variance is over units, too, and nearly all of it is the same for each digit."""
    network = build(NetworkSpec(depth=30, activation="sigmoid"))
    done = lsuv_(network, INPUTS)
    with torch.no_grad():
        logits = network(INPUTS)
    assert abs(done[-1].variances[-1] - 1) < 0.1
    assert logits.var(dim=0).max() < 1e-6 * logits.var(correction=0)


def dead():
    network = build(NetworkSpec(depth=3, activation="relu"))
    network[2].weight.data.zero_()
    network[2].bias.data.fill_(-1)
    return network


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: lsuv_(len, INPUTS), TypeError, "network must be a torch.nn.Module"),
        (lambda: lsuv_(nn.Linear(64, 2), INPUTS, tolerance=0), ValueError, "tolerance must be"),
        (lambda: lsuv_(nn.Linear(64, 2), INPUTS, trials=0), ValueError, "trials must be"),
        (lambda: lsuv_(nn.Linear(64, 2), INPUTS, seed=-1), ValueError, "seed must be"),
        (lambda: lsuv_(nn.ReLU(), INPUTS), ValueError, "no linear or convolutional layer"),
        (lambda: lsuv_(nn.LazyLinear(3), INPUTS), ValueError, "lazy layer without a shape"),
        (lambda: lsuv_(weight_norm(nn.Linear(64, 3)), INPUTS), ValueError, "reparametrized"),
        (
            lambda: lsuv_(dead(), INPUTS, orthonormal=False),
            ValueError,
            "layer '2' has variance 0.0",
        ),
        (lambda: lsuv_(nn.Linear(64, 3), INPUTS * math.nan), ValueError, "has variance nan"),
    ],
)
def test_a_bad_argument_is_named(call, error, message):
    with pytest.raises(error) as raised:
        call()
    assert message in str(raised.value)
