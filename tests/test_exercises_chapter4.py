"""Chapter 4's exercises take the right answers, and tell each typical mistake its name.

The right answers here are the learner's way; what the checkers hold for true is tested against
the package's layers, enumeration, finite differences, simulation and networks that are measured.
"""

import copy
import itertools
import math

import numpy as np
import pytest
import torch
from mistakes import part
from scipy import integrate, stats
from torch import nn
from torch.optim.swa_utils import update_bn

from d2lstab import NetworkSpec, build
from d2lstab.exercises import check
from d2lstab.exercises.chapter4 import CHECKERS, forgetful_network
from d2lstab.training import accuracy

pytestmark = pytest.mark.once


def generator_of(seed):
    return torch.Generator().manual_seed(seed)


def case_of(exercise, seed=0, number=0):
    return list(CHECKERS[exercise].cases(generator_of(seed)))[number]


def normal(*shape, seed=0):
    return torch.randn(*shape, generator=generator_of(seed), dtype=torch.float64)


# Right answers


def shared(norm, shape, groups):
    n, c, h, w = shape
    each = {"batch": n, "layer": c, "instance": 1, "group": c // groups}[norm] * h * w
    return n * c * h * w // each, each


def batch_norm(x, gamma, beta, running_mean, running_var, momentum, eps, unbiased=0, dim=0):
    n = len(x)
    mean = x.mean(dim, keepdim=True)
    variance = ((x - mean) ** 2).sum(dim, keepdim=True) / (x.shape[dim] - unbiased)
    y = gamma * (x - mean) * (variance + eps) ** -0.5 + beta
    new_mean = running_mean * (1 - momentum) + x.mean(0) * momentum
    new_var = running_var * (1 - momentum) + momentum * x.var(0, False) * n / (n - 1)
    return y, new_mean, new_var


def standardized(x, dims, eps, unbiased=False):
    var = x.var(dims, unbiased, keepdim=True)
    return (x - x.mean(dims, keepdim=True)) / (var + eps).sqrt()


def group_norm(x, groups, eps):
    parts = [standardized(part, (1, 2, 3), eps) for part in x.chunk(groups, dim=1)]
    return torch.cat(parts, dim=1)


def halves(x, eps):
    rms = ((x * x).sum(1, keepdim=True) / x.shape[1] + eps) ** 0.5
    return x - x.mean(0), x * (x.var(0, False) + eps) ** -0.5, x / rms


def norm_backward(x, gradient):
    rows = []
    for row, g in zip(x, gradient, strict=True):
        y = (row - row.mean()) / row.std(correction=0)
        jacobian = torch.eye(len(row)) - 1 / len(row) - torch.outer(y, y) / len(row)
        rows.append(jacobian @ g / row.std(correction=0))
    return torch.stack(rows)


def cosine(x, W):
    return torch.stack([(W @ row) / W.norm(dim=1) / row.norm() for row in x])


def weight_norm_gradients(v, g, gradient):
    length = (v * v).sum(1, keepdim=True).sqrt()
    for_g = (gradient * v / length).sum(1)
    return for_g, g[:, None] * (gradient / length - for_g[:, None] * v / length**2)


def fold(W, b, gamma, beta, mean, var, eps):
    scale = torch.diag(gamma * (var + eps) ** -0.5)
    return scale @ W, scale @ (b - mean) + beta


def batch_spread(values, size):
    n = len(values)
    variance = ((values - values.mean()) ** 2).mean()
    return (variance / size * (n - size) / (n - 1)) ** 0.5, variance * n / (n - 1) * (1 - 1 / size)


def one_class(means, stds, shares):
    mean = (shares * means).sum()
    within = (shares * stds**2).sum()
    return mean, (shares * (stds**2 + means**2)).sum() - mean**2, within


def recompute(network, x, batches=1):
    update_bn(x.chunk(batches), network)
    return network


def other_unit(x, column):
    d = x.shape[1]
    rows = torch.full((d,), -1 / math.sqrt(d - 1), dtype=torch.float64)
    rows[column] = math.sqrt(d - 1)
    return torch.stack([rows if value > 0 else -rows for value in x[:, column]])


def decaying_rate(length, slope, rate, steps):
    square = length**2
    for _ in range(steps):
        square += (rate * slope) ** 2 / square
    return square**0.5, rate / square


def expectations(phi):
    """E φ'², E φ² and (E φ)² by a sum over a grid, with differences for the derivative."""
    z = torch.linspace(-8, 8, 40_001, dtype=torch.float64)
    p = torch.exp(-z * z / 2) / torch.exp(-z * z / 2).sum()
    slope = (phi(z + 1e-5) - phi(z - 1e-5)) / 2e-5
    return p @ slope**2, p @ phi(z) ** 2, (p @ phi(z)) ** 2


def growth(phi):
    slope, square, mean = expectations(phi)
    return (slope / (square - mean)).sqrt(), (slope / square).sqrt()


def stream(kind, branch, blocks):
    variance = share = 1.0
    for _ in range(blocks):
        added = branch if kind == "pre" else branch * variance
        share *= variance / (variance + added)
        variance = 1.0 if kind == "post" else variance + added
    return variance, share


def gradients_of(loss, W1, W2):
    W1, W2 = (W.clone().requires_grad_() for W in (W1, W2))
    loss(W1, W2).backward()
    return W1.grad, W2.grad


def ground_moves(loss, W1, W2, rate, part=1, step=1.0, both=False):
    first, second = gradients_of(loss, W1, W2)
    moved = gradients_of(loss, W1 - step * rate * first, W2 - both * rate * second)
    return (moved[part] - (first, second)[part]).norm()


RIGHT = {
    "4.1": shared,
    "4.2": batch_norm,
    "4.3": group_norm,
    "4.4": halves,
    "4.5": norm_backward,
    "4.6": cosine,
    "4.7": weight_norm_gradients,
    "4.8": fold,
    "4.9": batch_spread,
    "4.10": one_class,
    "4.11": recompute,
    "4.12": other_unit,
    "4.13": decaying_rate,
    "4.14": growth,
    "4.15": stream,
    "4.16": ground_moves,
}


def by_hand(network, x):
    """Take the statistics layer by layer, and the biased variances, which differ little."""
    for layer in network:
        if isinstance(layer, nn.BatchNorm1d):
            layer.running_mean, layer.running_var = x.mean(0).detach(), x.var(0, False).detach()
        x = layer(x)
    return network


def test_another_way_to_the_same_value_passes_too():
    assert check("4.1", lambda *case: torch.tensor(shared(*case)))
    assert check("4.3", lambda x, groups, eps: nn.GroupNorm(groups, 12, eps).double()(x))
    assert check("4.11", by_hand) and check("4.11", lambda net, x: recompute(copy.deepcopy(net), x))
    assert check("4.14", lambda phi: [float(value) for value in growth(phi)])


def test_the_variants_differ_by_seed():
    for exercise, checker in CHECKERS.items():
        if hasattr(checker, "cases") and exercise not in ("4.14", "4.16"):  # theirs are functions
            first, second = (str(list(checker.cases(generator_of(seed)))) for seed in (0, 1))
            assert first != second, exercise
    for exercise in ("4.14", "4.16"):
        first, second = (CHECKERS[exercise].truth(*case_of(exercise, seed)) for seed in (0, 1))
        assert first != second, exercise
    first, second = (forgetful_network(seed)[0].weight for seed in (2, 3))
    assert not torch.equal(first, second)


# What the checkers hold for true


def test_a_mean_s_numbers_are_those_that_move_it():
    x = normal(3, 4, 2, 5)
    layers = {
        "batch": nn.BatchNorm2d(4, affine=False),
        "layer": nn.GroupNorm(1, 4, affine=False),
        "instance": nn.InstanceNorm2d(4),
        "group": nn.GroupNorm(2, 4, affine=False),
    }
    for norm, layer in layers.items():
        x.requires_grad_()
        (gradient,) = torch.autograd.grad(layer.double()(x)[0, 0, 0, 0], x)
        means, numbers = (value.item() for value in CHECKERS["4.1"].truth(norm, x.shape, 2))
        assert gradient.count_nonzero() == numbers and means * numbers == x.numel()


def test_the_way_back_is_that_of_finite_differences_and_perpendicular_to_1_and_y():
    x, gradient = normal(3, 6), normal(3, 6, seed=1)
    found = CHECKERS["4.5"].truth(x, gradient)

    def loss(x):
        return (gradient * standardized(x, 1, 0.0)).sum()

    for i, j in itertools.product(range(3), range(6)):
        step = torch.zeros(3, 6, dtype=torch.float64)
        step[i, j] = 1e-6
        slope = (loss(x + step) - loss(x - step)) / 2e-6
        assert found[i, j].item() == pytest.approx(slope.item(), abs=1e-7)
    for other in (torch.ones(3, 6), standardized(x, 1, 0.0)):
        assert (found * other).sum(1).abs().max() < 1e-12


def test_a_step_of_weight_norm_never_shortens_v():
    v, g, gradient = case_of("4.7")
    _, for_v = CHECKERS["4.7"].truth(v, g, gradient)
    assert (for_v * v).sum(1).abs().max() < 1e-12
    assert ((v - 0.3 * for_v).norm(dim=1) > v.norm(dim=1)).all()


def test_a_folded_norm_is_linear_and_batch_norm_in_eval_mode():
    W, b, gamma, beta, mean, var, eps = case_of("4.8")
    linear, norm = nn.Linear(4, 4).double(), nn.BatchNorm1d(4, eps=eps).double().eval()
    linear.load_state_dict({"weight": W, "bias": b})
    state = {"weight": gamma, "bias": beta, "running_mean": mean, "running_var": var}
    norm.load_state_dict(state, strict=False)
    x = normal(9, 4)
    weights, bias = CHECKERS["4.8"].truth(W, b, gamma, beta, mean, var, eps)
    assert torch.allclose(x @ weights.T + bias, norm(linear(x)))


def test_a_batch_s_spread_is_that_of_an_enumeration():
    values = normal(6) * 2 + 1
    for size in (2, 3, 5, 6):
        batches = [values[list(batch)] for batch in itertools.combinations(range(6), size)]
        means = torch.stack([batch.mean() for batch in batches])
        variances = torch.stack([batch.var(correction=0) for batch in batches])
        spread, variance = CHECKERS["4.9"].truth(values, size)
        assert spread.item() == pytest.approx(means.std(correction=0).item(), abs=1e-9)
        assert variance.item() == pytest.approx(variances.mean().item())


def test_running_statistics_settle_where_a_layer_s_do():
    means, stds, shares = (torch.tensor(v) for v in ([1.0, 4.0], [0.5, 2.0], [0.25, 0.75]))
    rng, n, batches = generator_of(0), 4000, 200
    mixed, single = (nn.BatchNorm1d(1, momentum=None) for _ in range(2))
    for number in range(batches):
        label = int(number % 4 > 0)  # as often as the shares say
        labels = torch.arange(n) % 4 > 0
        for norm, kinds in ((mixed, labels.long()), (single, torch.full((n,), label))):
            norm((means[kinds] + stds[kinds] * torch.randn(n, generator=rng))[:, None])
    mean, of_mixed, of_single = CHECKERS["4.10"].truth(means, stds, shares)
    assert mixed.running_mean.item() == pytest.approx(mean.item(), rel=0.01)
    assert single.running_mean.item() == pytest.approx(mean.item(), rel=0.01)
    assert mixed.running_var.item() == pytest.approx(of_mixed.item(), rel=0.01)
    assert single.running_var.item() == pytest.approx(of_single.item(), rel=0.01)


def test_a_forgetful_network_gets_its_accuracy_back_without_training():
    from d2lstab.datasets import digits

    for seed in range(3):
        network = forgetful_network(seed)
        before = accuracy(network)
        recompute(network, digits().inputs)
        assert before < 0.9 and accuracy(network) > before + 0.05 and accuracy(network) > 0.9


def test_a_column_in_a_small_unit_decides_alone():
    x, column = case_of("4.12")
    factors = torch.ones(x.shape[1], dtype=torch.float64)
    factors[column] = 1e10
    found = CHECKERS["4.12"].truth(x, column)
    assert torch.allclose(found, standardized(x * factors, 1, 0.0))
    assert len(found.unique(dim=0)) == 2  # all that is left of the rows


def test_the_effective_rate_is_that_of_weights_of_length_1():
    length, slope, rate = 0.8, 1.3, 0.5
    w = torch.tensor([length, 0.0], dtype=torch.float64)
    for _ in range(12):
        w = w - rate * slope * torch.stack([-w[1], w[0]]) / (w @ w)
    found, effective = CHECKERS["4.13"].truth(length, slope, rate, 12)
    assert found.item() == pytest.approx(w.norm().item())
    turn = math.atan(rate * slope / (w @ w).item())  # of the next step
    at_1 = math.atan(effective.item() * slope)
    assert turn == pytest.approx(at_1)


def test_growth_is_that_of_scipy_and_of_wide_networks():
    density = stats.norm.pdf
    batch, layer = (value.item() for value in CHECKERS["4.14"].truth(torch.nn.functional.softplus))
    slope, square, mean = (
        integrate.quad(lambda z, f=f: f(z) * density(z), -12, 12)[0]
        for f in (
            lambda z: (1 / (1 + math.exp(-z))) ** 2,
            lambda z: math.log1p(math.exp(z)) ** 2,
            lambda z: math.log1p(math.exp(z)),
        )
    )
    assert batch == pytest.approx(math.sqrt(slope / (square - mean**2)), rel=1e-9)
    assert layer == pytest.approx(math.sqrt(slope / square), rel=1e-9)
    for norm, predicted in zip(("batch", "layer"), CHECKERS["4.14"].truth(torch.relu), strict=True):
        measured = measured_growth(norm)
        assert measured == pytest.approx(predicted.item(), rel=0.03), norm


def measured_growth(norm, depth=16):
    """The factor per layer on the gradient for the signal, behind the first and the last norm."""
    network = build(NetworkSpec(depth, 256, "relu", "he", norm=norm, seed=1))
    signal, lengths = normal(256, 64).float(), []
    for module in network:
        signal = module(signal)
        if isinstance(module, (nn.BatchNorm1d, nn.LayerNorm)):
            signal.register_hook(lambda gradient: lengths.append(gradient.norm().item()))
    (signal * normal(*signal.shape, seed=1).float()).sum().backward()
    return (lengths[-3] / lengths[2]) ** (1 / (depth - 5))


def test_a_stream_has_the_variance_of_blocks_that_are_run():
    width, blocks = 4000, 6
    rng = generator_of(0)
    for kind, branch in itertools.product(("none", "pre", "post"), (0.3, 0.8)):
        x = start = torch.randn(width, generator=rng)
        for _ in range(blocks):
            heard = x / x.std() if kind == "pre" else x
            fresh = torch.randn(width, generator=rng)  # a wide random layer's output
            x = x + math.sqrt(branch) * heard.std() * fresh
            x = x / x.std() if kind == "post" else x
        variance, share = (value.item() for value in CHECKERS["4.15"].truth(kind, branch, blocks))
        correlation = torch.corrcoef(torch.stack([x, start]))[0, 1].item()
        assert x.var().item() == pytest.approx(variance, rel=0.15)
        assert correlation**2 == pytest.approx(share, rel=0.15, abs=0.02)


def test_the_ground_of_a_linear_network_moves_by_the_closed_form():
    W1, W2, c = normal(4, 5), normal(2, 4, seed=1), normal(2, 5, seed=2)
    found = CHECKERS["4.16"].truth(lambda A, B: (c * (B @ A)).sum(), W1, W2, 0.7)
    assert found.item() == pytest.approx(0.7 * (c @ c.T @ W2).norm().item())


# Wrong answers, and a part of the hint that each must get


def unless(norm, means):
    """A wrong number of means for one norm, in both parts."""

    def answer(name, shape, groups):
        right = shared(name, shape, groups)
        count = means(*shape, groups)
        return (count, math.prod(shape) / count) if name == norm else right

    return answer


def without_positions(norm, shape, groups):
    n, c, h, w = shape
    return n * groups * h * w, c // groups


def output(change):
    return part(batch_norm, 0, change)


def moving(number, change):
    return part(batch_norm, number, lambda value, *case: change(*case))


def of_examples(x, eps):
    return x / (x.var(1, False, keepdim=True) + eps).sqrt()


def half(number, change):
    return part(halves, number, lambda value, x, eps: change(x, eps))


def full(x, eps):
    return standardized(x, 0, eps)


def back(combine, dim=1):
    def answer(x, gradient):
        y, std = standardized(x, dim, 0.0), x.std(dim, False, keepdim=True)
        mean = gradient.mean(dim, keepdim=True)
        return combine(gradient, mean, y * (gradient * y).mean(dim, keepdim=True), std)

    return answer


def unit(rows):
    return rows / rows.norm(dim=1, keepdim=True)


def for_g(change):
    return part(weight_norm_gradients, 0, lambda value, *case: change(*case))


def for_v(change):
    return part(weight_norm_gradients, 1, lambda value, *case: change(*case))


def across(v, gradient):
    return gradient - (gradient * unit(v)).sum(1, keepdim=True) * unit(v)


def scale_of(gamma, var, eps):
    return gamma / (var + eps).sqrt()


def weights(change):
    return part(fold, 0, lambda _, W, b, g, beta, mean, var, eps: change(g, var, eps)[:, None] * W)


def bias(change):
    return part(
        fold,
        1,
        lambda _, W, b, g, beta, mean, var, eps: change(scale_of(g, var, eps), b, beta, mean),
    )


def spread(change):
    return part(batch_spread, 0, lambda value, values, m: change(values, m))


def variance(change):
    return part(batch_spread, 1, lambda value, values, m: change(values, m))


def settled(number, change):
    return part(one_class, number, lambda value, m, s, p: change(m, s, p))


def in_eval(network, x):
    network.eval()(x)
    return network


def reset_in_eval(network, x):
    for norm in (m for m in network if isinstance(m, nn.BatchNorm1d)):
        norm.reset_running_stats()
    return in_eval(network, x)


def one_pass(network, x, reset=False, momentum=None):
    for norm in (m for m in network if isinstance(m, nn.BatchNorm1d)):
        if reset:
            norm.reset_running_stats()
        norm.momentum = norm.momentum if momentum is None else None
    network.train()(x)
    return network.eval()


def behind_old(network, x):
    """What reaches each norm while the old statistics are still in use."""
    new = []
    for module in network:
        if isinstance(module, nn.BatchNorm1d):
            new.append((module, x.mean(0), x.var(0)))
        x = module(x)
    for norm, mean, var in new:
        norm.running_mean, norm.running_var = mean.detach(), var.detach()
    return network


def rooted(network, x):
    recompute(network, x)
    for norm in (m for m in network if isinstance(m, nn.BatchNorm1d)):
        norm.running_var = norm.running_var.sqrt()
    return network


def trained(network, x):
    optimizer = torch.optim.SGD(network.parameters(), lr=0.1)
    network.train()(x).square().mean().backward()
    optimizer.step()
    return recompute(network, x)


def without_momentum(network, x):
    recompute(network, x)
    for norm in (m for m in network if isinstance(m, nn.BatchNorm1d)):
        norm.momentum = None
    return network


def pointed(x, column):
    return torch.nn.functional.one_hot(torch.tensor(column), x.shape[1]) * x.sign()


def walk(step, turn=math.hypot):
    def answer(length, slope, rate, steps):
        start = length
        for _ in range(steps):
            length = turn(length, rate * step(slope, length))
        return length, decaying_rate(start, slope, rate, steps)[1]

    return answer


def effective(change):
    return part(
        decaying_rate,
        1,
        lambda value, length, slope, rate, steps: change(
            decaying_rate(length, slope, rate, steps)[0], rate, length
        ),
    )


def grows(number, change):
    return part(growth, number, lambda value, phi: change(value, phi))


def mean_slope(phi):
    z = torch.linspace(-8, 8, 40_001, dtype=torch.float64)
    p = torch.exp(-z * z / 2) / torch.exp(-z * z / 2).sum()
    return (p @ ((phi(z + 1e-5) - phi(z - 1e-5)) / 2e-5)).abs()


def at(kind, number, change):
    """A wrong part for one kind of block."""
    return part(stream, number, lambda value, name, v, n: change(v, n) if name == kind else value)


def lengths_apart(loss, W1, W2, rate):
    first, second = gradients_of(loss, W1, W2)
    return gradients_of(loss, W1 - rate * first, W2)[1].norm() - second.norm()


WRONG = [
    ("4.1", unless("layer", lambda n, c, h, w, g: 1), "layer norm's means go over the examples"),
    ("4.1", unless("layer", lambda n, c, h, w, g: n * h * w), "as in a transformer"),
    ("4.1", unless("batch", lambda n, c, h, w, g: c * h * w), "each pixel of each channel"),
    ("4.1", unless("batch", lambda n, c, h, w, g: n * c), "that is instance norm"),
    ("4.1", unless("batch", lambda n, c, h, w, g: 1), "one for all channels"),
    ("4.1", unless("instance", lambda n, c, h, w, g: c), "that is batch norm"),
    ("4.1", unless("group", lambda n, c, h, w, g: n * c // g), "channels in a group"),
    ("4.1", unless("group", lambda n, c, h, w, g: g), "group norm's means go over the examples"),
    (
        "4.1",
        unless("group", lambda n, c, h, w, g: n * g * h * w),
        "those of single positions here",
    ),
    ("4.1", lambda *case: shared(*case)[1], "must return 2 values"),
    ("4.2", lambda *case: batch_norm(*case, unbiased=1), "unbiased one, with n − 1; the layer"),
    (
        "4.2",
        output(lambda y, x, g, b, m, v, t, eps: g * (x - x.mean(0)) / (x.std(0, False) + eps) + b),
        "outside the root",
    ),
    ("4.2", output(lambda y, *case: batch_norm(*case[:-1], 0)[0]), "eps is missing"),
    (
        "4.2",
        output(lambda y, x, g, b, m, v, t, eps: g * (x - m) * (v + eps) ** -0.5 + b),
        "running statistics are in it; in train",
    ),
    (
        "4.2",
        lambda x, g, b, m, v, t, eps: (
            g * (x - x.mean(0) * t - m * (1 - t)) / (v.lerp(x.var(0), t) + eps).sqrt() + b,
            *batch_norm(x, g, b, m, v, t, eps)[1:],
        ),
        "the new running statistics are",
    ),
    ("4.2", lambda *case: batch_norm(*case, dim=1), "that is layer norm"),
    ("4.2", output(lambda y, x, g, b, *rest: (y - b) / g), "gamma and beta"),
    (
        "4.2",
        output(lambda y, x, g, b, m, v, t, eps: g * (x - x.mean(0)) / (x.var(0, False) + eps) + b),
        "the root is missing",
    ),
    ("4.2", lambda x, g, b, m, v, t, eps: batch_norm(x, g, b, m, v, 1 - t, eps), "wrong way round"),
    ("4.2", moving(1, lambda x, *rest: x.mean(0)), "the batch's alone"),
    ("4.2", moving(1, lambda x, g, b, m, *rest: m), "nothing of the batch came in"),
    (
        "4.2",
        moving(2, lambda x, g, b, m, v, t, eps: (1 - t) * v + t * x.var(0, False)),
        "in it is the biased one. An average",
    ),
    (
        "4.2",
        moving(2, lambda x, g, b, m, v, t, eps: t * v + (1 - t) * x.var(0)),
        "not of the old.",
    ),
    (
        "4.2",
        moving(2, lambda x, g, b, m, v, t, eps: t * v + (1 - t) * x.var(0, False)),
        "not of the old; and the batch's variance in it is the biased one.",
    ),
    (
        "4.2",
        moving(2, lambda x, g, b, m, v, t, eps: (1 - t) * v + t * x.std(0)),
        "the batch's standard deviation",
    ),
    ("4.2", moving(2, lambda x, g, b, m, v, *rest: v), "nothing of the batch came in"),
    ("4.2", lambda x, g, b, m, *rest: (m.add_(1), m, m), "argument number 4"),
    (
        "4.3",
        lambda x, groups, eps: (
            torch.cat([standardized(x[:, k::groups], (1, 2, 3), eps) for k in range(groups)], 1)
            .reshape(len(x), groups, -1, *x.shape[2:])
            .transpose(1, 2)
            .reshape(x.shape)
        ),
        "interleaved",
    ),
    ("4.3", lambda x, groups, eps: group_norm(x, 12 // groups, eps), "number of channels in a"),
    (
        "4.3",
        lambda x, groups, eps: torch.cat(
            [standardized(p, (0, 1, 2, 3), eps) for p in x.chunk(groups, 1)], 1
        ),
        "of the batch share",
    ),
    (
        "4.3",
        lambda x, groups, eps: torch.cat([standardized(p, 1, eps) for p in x.chunk(groups, 1)], 1),
        "each position",
    ),
    ("4.3", lambda x, groups, eps: standardized(x, (2, 3), eps), "instance norm"),
    ("4.3", lambda x, groups, eps: standardized(x, (1, 2, 3), eps), "layer norm"),
    (
        "4.3",
        lambda x, groups, eps: torch.cat(
            [standardized(p, (1, 2, 3), eps, True) for p in x.chunk(groups, 1)], 1
        ),
        "unbiased",
    ),
    ("4.3", lambda x, groups, eps: group_norm(x, groups, 0), "eps is missing"),
    ("4.4", half(0, lambda x, eps: x - x.mean(1, keepdim=True)), "each *example* is gone"),
    ("4.4", half(0, lambda x, eps: x - x.mean()), "one mean for all"),
    ("4.4", half(0, full), "deviation is gone as well"),
    ("4.4", half(1, lambda x, eps: x / (x * x).mean(0).add(eps).sqrt()), "which has the mean in"),
    ("4.4", half(1, full), "the mean is gone as well"),
    ("4.4", half(1, lambda x, eps: full(x, eps) + x.mean(0)), "put back"),
    ("4.4", half(1, lambda x, eps: x / (x.var(0) + eps).sqrt()), "unbiased"),
    ("4.4", half(1, of_examples), "deviation is that of each *example*"),
    ("4.4", half(2, lambda x, eps: x / (x * x).mean(0).add(eps).sqrt()), "each *feature*"),
    ("4.4", half(2, lambda x, eps: standardized(x, 1, eps)), "that is layer norm"),
    (
        "4.4",
        half(2, lambda x, eps: x / ((x * x).sum(1, keepdim=True) + eps).sqrt()),
        "*sum* of squares",
    ),
    (
        "4.4",
        half(2, lambda x, eps: x / ((x * x).mean(1, keepdim=True) + eps)),
        "the root is missing",
    ),
    ("4.5", back(lambda g, a, b, std: g / std), "μ and σ were held"),
    ("4.5", back(lambda g, a, b, std: (g - b) / std), "μ was held constant. Add"),
    ("4.5", back(lambda g, a, b, std: (g - a) / std), "σ was held constant. Double"),
    ("4.5", back(lambda g, a, b, std: g - a - b), "1/σ is missing"),
    ("4.5", back(lambda g, a, b, std: (g - a - b) * std), "multiplied by σ"),
    ("4.5", back(lambda g, a, b, std: (g + a + b) / std), "wrong sign"),
    (
        "4.5",
        lambda x, g: back(lambda g, a, b, std: (g - (a + b) * x.shape[1]) / std)(x, g),
        "a sum over",
    ),
    ("4.5", back(lambda g, a, b, std: (g - a - b) / std, dim=0), "over the batch"),
    ("4.5", back(lambda g, a, b, std: (g - a - b * std**2) / std), "x − μ stands"),
    ("4.6", lambda x, W: x @ W.T, "plain product"),
    ("4.6", lambda x, W: x @ unit(W).T, "that is weight norm"),
    ("4.6", lambda x, W: unit(x) @ W.T, "the inputs alone"),
    ("4.6", lambda x, W: unit(x) @ (W / W.norm()).T, "the whole matrix"),
    ("4.6", lambda x, W: unit(x) @ unit(W.T), "over the units"),
    (
        "4.6",
        lambda x, W: cosine(x, W) / x.norm(dim=1)[:, None] / W.norm(dim=1),
        "squares of the lengths",
    ),
    (
        "4.6",
        lambda x, W: np.corrcoef(x, W)[: len(x), len(x) :],
        "Pearson",
    ),
    ("4.7", for_g(lambda v, g, d: (d * v).sum(1)), "its own length there"),
    ("4.7", for_g(lambda v, g, d: g * (d * unit(v)).sum(1)), "g itself is in it"),
    ("4.7", for_g(lambda v, g, d: d * unit(v)), "the sum over the inputs"),
    ("4.7", for_g(lambda v, g, d: d.sum(1)), "the direction is missing"),
    ("4.7", for_v(lambda v, g, d: g[:, None] * d / v.norm(dim=1)[:, None]), "held constant"),
    ("4.7", for_v(lambda v, g, d: across(v, d)), "not the factor in front"),
    ("4.7", for_v(lambda v, g, d: across(v, d) / v.norm(dim=1)[:, None]), "g is missing"),
    ("4.7", for_v(lambda v, g, d: g[:, None] * across(v, d)), "1/‖v‖ is missing"),
    (
        "4.7",
        for_v(
            lambda v, g, d: (g / v.norm(dim=1))[:, None] * (d - (d * v).sum(1, keepdim=True) * v)
        ),
        "a vector of length 1",
    ),
    (
        "4.7",
        for_v(lambda v, g, d: (g / v.norm(dim=1))[:, None] * (d - across(v, d))),
        "the part along v",
    ),
    (
        "4.7",
        for_v(
            lambda v, g, d: (
                (g / v.norm(dim=1))[:, None] * across(v.reshape(1, -1), d.reshape(1, -1)).view_as(v)
            )
        ),
        "that of the whole matrix",
    ),
    ("4.8", weights(lambda g, var, eps: g / var.sqrt()), "eps is missing"),
    ("4.8", weights(lambda g, var, eps: g / (var.sqrt() + eps)), "outside the root"),
    ("4.8", weights(lambda g, var, eps: g / (var + eps)), "the root is missing"),
    ("4.8", weights(lambda g, var, eps: (var + eps) ** -0.5), "gamma is missing"),
    (
        "4.8",
        part(fold, 0, lambda _, W, b, g, beta, mean, var, eps: W * scale_of(g, var, eps)),
        "the rows of W",
    ),
    ("4.8", part(fold, 0, lambda value, W, *rest: W), "the old ones are unchanged"),
    ("4.8", bias(lambda s, b, beta, mean: b), "the old one is unchanged"),
    ("4.8", bias(lambda s, b, beta, mean: s * b + beta), "not been taken off"),
    ("4.8", bias(lambda s, b, beta, mean: s * b - mean + beta), "taken off as it is"),
    ("4.8", bias(lambda s, b, beta, mean: b - s * mean + beta), "b has not been scaled"),
    ("4.8", bias(lambda s, b, beta, mean: beta - s * mean), "b is missing"),
    ("4.8", bias(lambda s, b, beta, mean: s * (b - mean)), "beta is missing"),
    ("4.8", bias(lambda s, b, beta, mean: s * (b - mean + beta)), "beta has been scaled"),
    ("4.9", spread(lambda x, m: x.std(correction=0) / m**0.5), "right with replacement. A batch"),
    ("4.9", spread(lambda x, m: x.std() / m**0.5), "endlessly many"),
    ("4.9", spread(lambda x, m: x.var() / m * (1 - m / len(x))), "its square"),
    ("4.9", spread(lambda x, m: x.std(correction=0)), "of single values"),
    ("4.9", spread(lambda x, m: x.std(correction=0) / m), "like 1/m"),
    ("4.9", spread(lambda x, m: x.std() / m**0.5 * (1 - m / len(x))), "under no root"),
    ("4.9", variance(lambda x, m: x.var(correction=0)), "they are too small"),
    ("4.9", variance(lambda x, m: x.var()), "*unbiased* variances"),
    ("4.9", variance(lambda x, m: x.var(correction=0) * (m - 1) / m), "right with replacement."),
    ("4.9", variance(lambda x, m: x.var() * m / (m - 1)), "upside down"),
    ("4.9", variance(lambda x, m: x.std() * ((m - 1) / m) ** 0.5), "a root of it"),
    ("4.10", settled(0, lambda m, s, p: m.mean()), "count alike; see"),
    ("4.10", settled(0, lambda m, s, p: 0.0), "mean is 0 after the norm"),
    ("4.10", settled(1, lambda m, s, p: p @ s**2), "variance within the classes"),
    ("4.10", settled(1, lambda m, s, p: p @ (m - p @ m) ** 2), "means alone"),
    ("4.10", settled(1, lambda m, s, p: p @ (m * m + s * s)), "mean of the squares"),
    (
        "4.10",
        settled(1, lambda m, s, p: p @ s**2 + m.var(correction=0)),
        "means count alike in it",
    ),
    ("4.10", settled(1, lambda m, s, p: (p @ s) ** 2 + p @ (m - p @ m) ** 2), "and squared after."),
    ("4.10", settled(2, lambda m, s, p: one_class(m, s, p)[1]), "that of mixed batches"),
    ("4.10", settled(2, lambda m, s, p: (s * s).mean()), "count alike; see"),
    ("4.10", settled(2, lambda m, s, p: (p @ s) ** 2), "it is variances that"),
    ("4.10", settled(2, lambda m, s, p: p @ s), "are standard deviations."),
    ("4.11", in_eval, "nothing gets recorded in eval mode"),
    ("4.11", reset_in_eval, "in which mode was the pass"),
    ("4.11", one_pass, "moved by `momentum` of the way"),
    ("4.11", lambda net, x: one_pass(net, x, reset=True), "moved by `momentum` of the way"),
    ("4.11", lambda net, x: one_pass(net, x, momentum="none"), "the old ones are still in them"),
    ("4.11", behind_old, "behind *old* statistics"),
    ("4.11", rooted, "standard deviation stands"),
    ("4.11", trained, "has changed: nothing is to be learned"),
    ("4.11", without_momentum, "momentum is not what it was"),
    ("4.11", lambda net, x: recompute(net, x).train(), "left in train mode"),
    ("4.11", lambda net, x: recompute(net, x[:20]), "not those of all examples"),
    ("4.11", lambda net, x: recompute(net, x)(x), "Return the network; got Tensor"),
    ("4.11", lambda net, x: net[0], "with all its norms"),
    ("4.12", pointed, "the rows over their lengths"),
    ("4.12", lambda x, c: pointed(x, c) * x.shape[1] ** 0.5, "RMS norm would have it"),
    ("4.12", lambda x, c: other_unit(x.abs(), c), "may be negative"),
    (
        "4.12",
        lambda x, c: standardized(pointed(x, c).double(), 1, 0.0, True),
        "the unbiased one, with d",
    ),
    ("4.12", lambda x, c: standardized(x, 1, 0.0), "has not changed at all"),
    ("4.12", lambda x, c: standardized(x, 0, 0.0), "this is batch norm"),
    (
        "4.12",
        lambda x, c: standardized(x * (1 - pointed(x, c).abs()), 1, 0.0),
        "the number became 0",
    ),
    ("4.12", lambda x, c: standardized(x * (1 + 1e3 * pointed(x, c).abs()), 1, 0.0), "your factor"),
    ("4.13", walk(lambda slope, length: slope), "the gradient stays"),
    ("4.13", walk(lambda slope, length: slope * length), "grows with the weights"),
    ("4.13", walk(lambda slope, length: slope / length**2), "square of the length here"),
    ("4.13", walk(lambda slope, length: slope / length, lambda a, b: a + b), "was added to"),
    ("4.13", walk(lambda slope, length: slope / length, lambda a, b: a - b), "was taken from"),
    (
        "4.13",
        part(decaying_rate, 0, lambda v, length, c, rate, t: decaying_rate(length, c, rate, 1)[0]),
        "a single step",
    ),
    ("4.13", part(decaying_rate, 0, lambda value, *case: value**2), "this is its square"),
    ("4.13", effective(lambda length, rate, start: rate / length), "divided by the length once"),
    ("4.13", effective(lambda length, rate, start: rate), "you began with"),
    ("4.13", effective(lambda length, rate, start: rate * length**2), "multiplied, not"),
    ("4.13", effective(lambda length, rate, start: rate * length), "multiplied, not"),
    ("4.13", effective(lambda length, rate, start: rate / start**2), "before the first step"),
    ("4.14", lambda phi: (growth(phi)[1], growth(phi)[1]), "E φ² stands where"),
    (
        "4.14",
        grows(
            0,
            lambda f, phi: mean_slope(phi) / (expectations(phi)[1] - expectations(phi)[2]).sqrt(),
        ),
        "E φ' was squared",
    ),
    ("4.14", grows(0, lambda f, phi: expectations(phi)[0].sqrt()), "σ is missing"),
    (
        "4.14",
        grows(0, lambda f, phi: f**2 / expectations(phi)[0].sqrt()),
        "σ² stands where σ",
    ),
    ("4.14", grows(0, lambda f, phi: f**2), "this is its square"),
    ("4.14", grows(0, lambda f, phi: 1 / f), "it is upside down"),
    ("4.14", lambda phi: (growth(phi)[0], growth(phi)[0]), "no mean to take off"),
    (
        "4.14",
        grows(1, lambda f, phi: mean_slope(phi) / expectations(phi)[1].sqrt()),
        "E φ' was squared",
    ),
    ("4.14", grows(1, lambda f, phi: expectations(phi)[0].sqrt()), "σ is missing"),
    ("4.14", grows(1, lambda f, phi: f**2), "this is its square"),
    ("4.14", grows(1, lambda f, phi: 1 / f), "it is upside down"),
    ("4.15", at("pre", 0, lambda v, n: (1 + v) ** n), "adds the same each time"),
    ("4.15", at("pre", 1, lambda v, n: (1 + v) ** -n), "adds the same each time"),
    ("4.15", at("pre", 0, lambda v, n: 1), "the norm is in the branch"),
    ("4.15", at("pre", 0, lambda v, n: n * v), "variance of 1 is missing"),
    ("4.15", at("none", 0, lambda v, n: 1 + n * v), "with none, the branch hears"),
    ("4.15", at("none", 1, lambda v, n: 1 / (1 + n * v)), "with none, the branch hears"),
    ("4.15", at("none", 0, lambda v, n: v**n), "the input is missing in the sum"),
    ("4.15", at("post", 0, lambda v, n: (1 + v) ** n), "the sum itself is normalized"),
    ("4.15", at("post", 0, lambda v, n: 1 + n * v), "the sum itself is normalized"),
    ("4.15", at("post", 1, lambda v, n: 1 / (1 + n * v)), "by the same factor"),
    ("4.15", at("post", 1, lambda v, n: 1), "it does not stay"),
    ("4.15", at("post", 1, lambda v, n: (1 + v) ** (-n / 2)), "variances add up"),
    ("4.16", lambda *case: ground_moves(*case, both=True), "both layers have moved"),
    ("4.16", lambda *case: ground_moves(*case, step=0.0, both=True), "W1 has not"),
    ("4.16", lambda *case: ground_moves(*case, part=0), "W1's gradient"),
    ("4.16", lambda *case: ground_moves(*case, step=-1.0), "uphill"),
    ("4.16", lambda *case: ground_moves(*case) ** 2, "its square"),
    (
        "4.16",
        lambda loss, W1, W2, rate: (
            ground_moves(loss, W1, W2, rate) / gradients_of(loss, W1, W2)[1].norm()
        ),
        "divided by the gradient",
    ),
    ("4.16", lengths_apart, "only turns"),
    ("4.16", lambda *case: lengths_apart(*case).abs(), "only turns"),
]

SPOILERS = (".var(", "correction=", ".reshape(", "no_grad", "momentum = None", ".mean(", "torch.")
