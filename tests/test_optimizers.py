"""LARS against the paper's algorithm 1 in numpy, against SGD and common implementations."""

import copy
import math

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F

from d2lstab import NetworkSpec, build
from d2lstab.datasets import digits
from d2lstab.optimizers import LARS, local_step, norm

BATCH = digits(64)
SPEC = NetworkSpec(depth=3, width=16, activation="tanh", bias_std=0.3)


def gradients(network):
    network.zero_grad()
    inputs = BATCH.inputs.to(next(network.parameters()).dtype)
    F.cross_entropy(network(inputs), BATCH.labels).backward()


def train(network, optimizer, steps=8, lr=None):
    for t in range(steps):
        gradients(network)
        for group in optimizer.param_groups:
            group["lr"] = group["lr"] if lr is None else lr(t)
        optimizer.step()


def by_the_paper(network, lr, steps, m, beta, eta):
    """Algorithm 1 of You, Gitman & Ginsburg, in float64 numpy; γ_t is ``lr(t)``."""
    w = [p.detach().double().numpy().copy() for p in network.parameters()]
    v = [np.zeros_like(x) for x in w]
    for t in range(steps):
        with torch.no_grad():
            for p, x in zip(network.parameters(), w, strict=True):
                p.copy_(torch.from_numpy(x))
        gradients(network)
        for k, p in enumerate(network.parameters()):
            g = p.grad.double().numpy()
            rate = eta * np.linalg.norm(w[k]) / (np.linalg.norm(g) + beta * np.linalg.norm(w[k]))
            v[k] = m * v[k] + lr(t) * rate * (g + beta * w[k])
            w[k] = w[k] - v[k]
    return w


@pytest.mark.parametrize("beta", [0.0, 0.05])
@pytest.mark.parametrize("m", [0.0, 0.9])
def test_it_is_the_algorithm_of_the_paper(m, beta):
    ours, theirs = build(SPEC).double(), build(SPEC).double()

    def decay(t):
        return 2.0 * (1 - t / 8) ** 2

    optimizer = LARS(ours.parameters(), lr=1, momentum=m, weight_decay=beta, trust=0.02)
    train(ours, optimizer, lr=decay)
    expected = by_the_paper(theirs, decay, 8, m, beta, 0.02)
    for p, w in zip(ours.parameters(), expected, strict=True):
        torch.testing.assert_close(p.detach(), torch.from_numpy(w), rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("decay", [0.0, 0.1])
def test_without_trust_it_is_stochastic_gradient_descent(decay):
    ours, theirs = build(SPEC), build(SPEC)
    settings = dict(lr=0.1, momentum=0.9, weight_decay=decay)
    train(ours, LARS(ours.parameters(), trust=None, **settings))
    train(theirs, torch.optim.SGD(theirs.parameters(), **settings))
    for p, q in zip(ours.parameters(), theirs.parameters(), strict=True):
        torch.testing.assert_close(p, q, rtol=1e-5, atol=1e-7)


def test_without_decay_it_is_the_common_implementation():
    """Ratio of norms where both are > 0, else 1; the learning rate outside the velocity."""
    ours, theirs = build(SPEC), build(SPEC)
    for network in (ours, theirs):
        network[4].weight.data.zero_()
    train(ours, LARS(ours.parameters(), lr=0.3, momentum=0.9, trust=0.01, zero_rate=1.0))
    velocity = [torch.zeros_like(p) for p in theirs.parameters()]
    for _ in range(8):
        gradients(theirs)
        for v, p in zip(velocity, theirs.parameters(), strict=True):
            w, g = p.detach().norm().item(), p.grad.norm().item()
            v.mul_(0.9).add_(p.grad, alpha=0.01 * w / g if w > 0 and g > 0 else 1.0)
            p.data.add_(v, alpha=-0.3)
    for p, q in zip(ours.parameters(), theirs.parameters(), strict=True):
        torch.testing.assert_close(p, q, rtol=1e-4, atol=1e-6)
    assert ours[4].weight.abs().max() > 0


@pytest.mark.parametrize("size", [1e-35, 1e-20, 1.0, 1e20, 1e35])
def test_the_step_does_not_depend_on_the_size_of_the_gradient(size):
    w = torch.tensor([[3.0, 0.0], [0.0, 4.0]])
    g = torch.tensor([[1.0, -2.0], [2.0, 4.0]])
    expected = 0.1 * g  # ‖w‖ = ‖g‖ = 5
    torch.testing.assert_close(local_step(w, size * g, trust=0.1), expected, rtol=1e-5, atol=0)


@pytest.mark.parametrize("size", [1e-30, 1e30])
def test_the_step_is_in_proportion_to_the_weights(size):
    w, g = torch.tensor([3.0, 4.0]), torch.tensor([0.0, 1.0])
    step = local_step(size * w, g, trust=0.1)
    torch.testing.assert_close(step / size, torch.tensor([0.0, 0.5]))


def test_the_step_is_no_longer_than_trust_times_the_weights():
    """Eq. 4 of the paper; with decay the triangle inequality makes it shorter."""
    generator = torch.Generator().manual_seed(0)
    for beta in (0.0, 0.3, 10.0):
        w, g = torch.randn(2, 7, 5, generator=generator)
        length = local_step(w, g, 0.02, beta).norm() / w.norm()
        assert length <= 0.02 * (1 + 1e-6) and (beta > 0 or length > 0.02 * (1 - 1e-6))


def test_norms_neither_overflow_nor_underflow():
    x = torch.tensor([3.0, -4.0])
    for size in (1e-44, 1e-38, 1e-30, 1e30, 6e37):
        assert norm(x * size).item() == pytest.approx(5 * size, rel=0.2 if size < 1e-40 else 1e-6)
    assert norm(torch.zeros(3)) == 0 and norm(torch.tensor(-2.0)) == 2
    assert norm(torch.tensor([1.0, math.inf])) == math.inf
    assert norm(torch.tensor([1.0, math.nan])).isnan()


def one(weight, gradient, **settings):
    """The weight after one step."""
    w = nn.Parameter(torch.tensor(weight))
    w.grad = None if gradient is None else torch.tensor(gradient)
    LARS([w], lr=1.0, **{"trust": 0.1, **settings}).step()
    return w.tolist()


def test_what_happens_at_zeros():
    assert one([0.0, 0.0], [1.0, 2.0]) == [0, 0]  # λ = 0: it never moves
    assert one([0.0, 0.0], [1.0, 2.0], zero_rate=0.5) == [-0.5, -1]
    assert one([3.0, 4.0], [0.0, 0.0]) == [3, 4]  # 0/0
    assert one([3.0, 4.0], [0.0, 0.0], weight_decay=0.5) == pytest.approx([2.7, 3.6])
    assert one([3.0, 4.0], None, weight_decay=0.5) == [3, 4]
    assert one([0.0], [0.0]) == [0]
    assert one(2.0, 5.0) == pytest.approx(1.8)  # a single number, too
    assert one([], []) == []


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_a_gradient_that_is_not_finite_shows(bad):
    assert np.isnan(one([3.0, 4.0], [bad, 1.0])).all()


def test_groups_have_settings_of_their_own():
    network = build(SPEC)
    weights = [p for p in network.parameters() if p.ndim == 2]
    biases = [p for p in network.parameters() if p.ndim == 1]
    before = [p.detach().clone() for p in weights + biases]
    groups = [{"params": weights, "trust": 0.03}, {"params": biases, "trust": None, "lr": 0.1}]
    optimizer = LARS(groups, lr=1.0)
    gradients(network)
    optimizer.step()
    for p, old in zip(weights, before, strict=False):
        assert ((p - old).norm() / old.norm()).item() == pytest.approx(0.03, rel=1e-4)
    for p, old in zip(biases, before[len(weights) :], strict=True):
        torch.testing.assert_close(p.detach(), old - 0.1 * p.grad)


def test_it_goes_on_from_a_saved_state():
    straight, broken = build(SPEC), build(SPEC)
    train(straight, LARS(straight.parameters(), lr=0.5, momentum=0.9), steps=6)
    first = LARS(broken.parameters(), lr=0.5, momentum=0.9)
    train(broken, first, steps=3)
    second = LARS(broken.parameters(), lr=0.1)
    second.load_state_dict(copy.deepcopy(first.state_dict()))
    train(broken, second, steps=3)
    for p, q in zip(straight.parameters(), broken.parameters(), strict=True):
        assert torch.equal(p, q)


def test_a_closure_is_called_with_gradients_on_and_its_loss_returned():
    w = nn.Parameter(torch.tensor([3.0, 4.0]))
    optimizer = LARS([w], lr=1.0, trust=0.1)

    def closure():
        optimizer.zero_grad()
        loss = w.square().sum()
        loss.backward()
        return loss

    with torch.no_grad():
        assert optimizer.step(closure) == 25
    torch.testing.assert_close(w.detach(), torch.tensor([2.7, 3.6]))
    assert optimizer.step() is None


def test_a_scheduler_changes_the_rate():
    w = nn.Parameter(torch.ones(1))
    optimizer = LARS([w], lr=1.0, trust=0.5)
    scheduler = torch.optim.lr_scheduler.StepLR(optimizer, 1, gamma=0.1)
    for expected in (0.5, 0.475):
        w.grad = torch.ones(1)
        optimizer.step()
        scheduler.step()
        assert w.item() == pytest.approx(expected)


def test_rescaling_a_relu_network_by_powers_of_two_changes_nothing_under_lars():
    """Powers of two scale floating-point numbers exactly, so the losses agree to the last bit."""

    def losses(factors):
        network = build(NetworkSpec(depth=3, width=24, activation="relu", init="he"))
        weights = [m.weight for m in network if isinstance(m, nn.Linear)]
        for w, factor in zip(weights, factors, strict=True):
            w.data.mul_(factor)
        optimizer, found = LARS(weights, lr=0.05, momentum=0.9, trust=1.0), []
        for _ in range(10):
            loss = F.cross_entropy(network(BATCH.inputs), BATCH.labels)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            found.append(loss.item())
        return found

    assert losses((1, 1, 1, 1)) == losses((2**-9, 2**14, 2**-11, 2**6))


def test_a_sparse_gradient_is_refused():
    embedding = nn.Embedding(4, 2, sparse=True)
    embedding(torch.tensor([1])).sum().backward()
    with pytest.raises(RuntimeError, match="dense gradients"):
        LARS(embedding.parameters(), lr=1.0).step()


@pytest.mark.parametrize(
    ("settings", "error", "message"),
    [
        ({"lr": -1}, ValueError, "lr must be a finite number ≥ 0; got -1"),
        ({"lr": math.nan}, ValueError, "lr must be"),
        ({"lr": "fast"}, TypeError, "lr must be"),
        ({"momentum": 1.0}, ValueError, "momentum must be"),
        ({"weight_decay": -0.1}, ValueError, "weight_decay must be"),
        ({"trust": -0.1}, ValueError, "trust must be"),
        ({"zero_rate": -1}, ValueError, "zero_rate must be"),
    ],
)
def test_a_bad_setting_is_named(settings, error, message):
    parameters = [nn.Parameter(torch.ones(2))]
    with pytest.raises(error) as raised:
        LARS(parameters, **{"lr": 1.0, **settings})
    assert message in str(raised.value)
    with pytest.raises(error):
        LARS([{"params": parameters, **settings}], lr=1.0)
