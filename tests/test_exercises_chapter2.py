"""Chapter 2's exercises take the right answers, and tell each typical mistake its name.

The right answers here are the learner's way; what the checkers hold for true is tested against
training, enumeration, random networks and published values.
"""

import itertools
import math

import numpy as np
import pytest
import scipy.optimize
import torch
from torch import nn

from d2lstab import diagnose, measure
from d2lstab.datasets import digits
from d2lstab.exercises import check
from d2lstab.exercises.chapter2 import CHECKERS, neglected_network
from d2lstab.lsuv import lsuv_
from d2lstab.optimizers import LARS

pytestmark = pytest.mark.once

SEEDS = range(8)


def generator_of(seed):
    return torch.Generator().manual_seed(seed)


def normal(*shape, seed=0):
    return torch.randn(shape, generator=generator_of(seed), dtype=torch.float64)


# Right answers


def distinct_units(W1, W2):
    return len({(*row.tolist(), *column.tolist()) for row, column in zip(W1, W2.T, strict=True)})


def log10_copies(widths):
    return sum(math.log10(math.factorial(n)) + n * math.log10(2) for n in widths)


def default_mean_square(widths, mean_square, bound=lambda n, m: n**-0.5, bias=1.0):
    for n, m in itertools.pairwise(widths):
        variance = (2 * bound(n, m)) ** 2 / 12
        mean_square = n * variance * mean_square + bias * variance
    return mean_square


NODES = np.polynomial.hermite_e.hermegauss(180)


def gaussian_mean(f, std):
    nodes, weights = NODES
    return float((weights * f(torch.tensor(std * nodes)).numpy()).sum() / weights.sum())


def weight_scale(phi, s, power=2):
    return s / gaussian_mean(lambda z: phi(z).abs() ** power, s) ** 0.5


def fans(inputs, outputs, kernel, groups):
    area = kernel[0] * kernel[1]
    return inputs // groups * area, outputs // groups * area


def xavier_factors(widths, total=2.0):
    pairs = list(itertools.pairwise(widths))
    forward = [total * n / (n + m) for n, m in pairs]
    backward = [total * m / (n + m) for n, m in pairs]
    return math.prod(forward), math.prod(backward)


def orthogonal(shape, gain, generator, signs=True, transpose=True):
    rows, columns = shape[0], math.prod(shape[1:])
    tall = torch.randn(max(rows, columns), min(rows, columns), generator=generator)
    Q, R = torch.linalg.qr(tall)
    Q = Q * R.diagonal().sign() if signs else Q
    return gain * (Q if rows >= columns else Q.T).reshape(shape)


def edge_of_chaos(phi, derivative, bias_std, power=2):
    def slope(q):
        return gaussian_mean(lambda z: derivative(z) ** power, q**0.5)

    def surplus(q):
        return gaussian_mean(lambda z: phi(z) ** 2, q**0.5) / slope(q) + bias_std**2 - q

    return slope(scipy.optimize.brentq(surplus, 1e-9, 50)) ** -0.5


def relu_correlation(c, depth):
    angle = math.acos(c)
    for _ in range(depth):
        cosine = (math.sin(angle) + (math.pi - angle) * math.cos(angle)) / math.pi
        angle = math.acos(min(cosine, 1.0))
    return math.cos(angle)


def lsuv(Ws, X, size=lambda Z: Z.std(), phi=torch.tanh, behind=False):
    scaled = []
    for W in Ws:
        Z = X @ W.T
        scaled.append(W / size(phi(Z) if behind else Z))
        X = phi(X @ scaled[-1].T)
    return torch.stack(scaled)


def lars_step(w, g, v, lr, trust, weight_decay, momentum):
    local = trust * w.norm() / (g.norm() + weight_decay * w.norm())
    v = momentum * v + lr * local * (g + weight_decay * w)
    return w - v, v


def branch_scale(blocks, growth):
    return (growth ** (1 / blocks) - 1) ** 0.5


GAINS = {nn.ReLU: 2**0.5, nn.GELU: 1.5, nn.Tanh: 1.1}


def initialize(network, X):
    for module, after in zip(network, [*network[1:], None], strict=True):
        if isinstance(module, nn.Linear):
            gain = GAINS.get(type(after), 1.0)
            nn.init.normal_(module.weight, std=gain / module.in_features**0.5)
            nn.init.zeros_(module.bias)
    return network


RIGHT = {
    "2.1": distinct_units,
    "2.2": log10_copies,
    "2.3": default_mean_square,
    "2.4": weight_scale,
    "2.5": fans,
    "2.6": xavier_factors,
    "2.7": orthogonal,
    "2.8": edge_of_chaos,
    "2.9": relu_correlation,
    "2.10": lsuv,
    "2.11": lars_step,
    "2.12": branch_scale,
    "2.13": initialize,
}


@torch.no_grad()
def by_lsuv(network, X):
    for module in network:
        if isinstance(module, nn.Linear):
            nn.init.orthogonal_(module.weight)
            nn.init.zeros_(module.bias)
            module.weight /= module(X).std()
        X = module(X)
    return network


def sampled_scale(phi, s, g=torch.square):
    z = s * torch.randn(1_000_000, generator=generator_of(1))
    return s / g(phi(z)).mean().sqrt()


def from_polar(shape, gain, generator):
    U, _, V = torch.linalg.svd(
        torch.randn(shape, generator=generator).flatten(1), full_matrices=False
    )
    return gain * (U @ V).reshape(shape)


def built_in(shape, gain, generator):
    return nn.init.orthogonal_(torch.empty(shape), gain, generator=generator)


def test_another_way_to_the_same_value_passes_too():
    assert check("2.1", lambda W1, W2: torch.cat([W1, W2.T], 1).unique(dim=0).shape[0])
    assert check(
        "2.2", lambda n: sum(math.lgamma(k + 1) + k * math.log(2) for k in n) / math.log(10)
    )
    assert check("2.4", sampled_scale) and check("2.4", lambda *case: [weight_scale(*case)])
    assert check("2.7", from_polar) and check("2.7", built_in)
    assert check("2.10", lambda Ws, X: [W.tolist() for W in lsuv(Ws, X)])
    assert check("2.11", lambda *case: torch.stack(lars_step(*case)))
    assert check("2.13", by_lsuv)


def test_the_variants_differ_by_seed():
    for exercise, checker in CHECKERS.items():
        if hasattr(checker, "cases"):
            first, second = (str(list(checker.cases(generator_of(seed)))) for seed in (0, 1))
            assert first != second, exercise
    assert len({str(neglected_network(seed)) for seed in SEEDS}) == len(SEEDS)


# What the checkers hold for true


def test_units_of_one_group_stay_equal_in_training_and_others_part():
    for seed in range(3):
        for W1, W2 in CHECKERS["2.1"].cases(generator_of(seed)):
            X, Y = normal(40, W1.shape[1], seed=1), normal(40, len(W2), seed=2)
            parameters = [W1.clone().requires_grad_(), W2.clone().requires_grad_()]
            optimizer = torch.optim.SGD(parameters, lr=0.05)
            for _ in range(30):
                optimizer.zero_grad()
                (torch.tanh(X @ parameters[0].T) @ parameters[1].T - Y).square().mean().backward()
                optimizer.step()
            rows = (parameters[0].detach() * 1e6).round().unique(dim=0)
            assert len(rows) == CHECKERS["2.1"].truth(W1, W2) == distinct_units(W1, W2)


def test_the_copies_of_a_small_network_are_all_there_and_all_the_same_function():
    W1, W2, X = normal(3, 2), normal(2, 3, seed=1), normal(2, 9, seed=2)
    copies = set()
    for order in itertools.permutations(range(3)):
        for signs in itertools.product((1.0, -1.0), repeat=3):
            s = torch.tensor(signs, dtype=torch.float64)
            V1, V2 = s[:, None] * W1[list(order)], W2[:, list(order)] * s
            assert torch.allclose(V2 @ torch.tanh(V1 @ X), W2 @ torch.tanh(W1 @ X))
            copies.add((*V1.flatten().tolist(), *V2.flatten().tolist()))
    assert math.log10(len(copies)) == pytest.approx(CHECKERS["2.2"].truth((3,)).item())


def test_pytorch_s_default_does_what_the_checker_says():
    widths, draws = (5, 8, 6), []
    torch_state = torch.get_rng_state()
    torch.manual_seed(0)
    x = normal(5)
    x *= (0.7 / x.square().mean()) ** 0.5
    for _ in range(4000):
        h = x
        for n, m in itertools.pairwise(widths):
            h = nn.Linear(n, m, dtype=torch.float64)(h)
        draws.append(h.detach().square().mean())
    torch.set_rng_state(torch_state)
    draws = torch.stack(draws)
    error = (draws.mean() - CHECKERS["2.3"].truth(widths, 0.7)).abs()
    assert error < 4 * draws.std() / 4000**0.5


def test_a_wide_layer_with_the_new_scale_keeps_its_standard_deviation():
    for phi, s in CHECKERS["2.4"].cases(generator_of(0)):
        n = 1500
        z = s * normal(n, 20)
        out = CHECKERS["2.4"].truth(phi, s) * n**-0.5 * normal(n, n, seed=1) @ phi(z)
        assert out.std().item() == pytest.approx(s, rel=0.03)


def test_xavier_s_factors_are_those_of_random_matrices():
    widths = (300, 500, 200)
    Ws = [
        (2 / (n + m)) ** 0.5 * normal(m, n, seed=k)
        for k, (n, m) in enumerate(itertools.pairwise(widths))
    ]
    x, delta = normal(300, 100, seed=5), normal(200, 100, seed=6)
    forward, backward = CHECKERS["2.6"].truth(widths)
    assert (Ws[1] @ Ws[0] @ x).square().mean().item() == pytest.approx(forward.item(), rel=0.05)
    found = (Ws[0].T @ Ws[1].T @ delta).square().mean().item()
    assert found == pytest.approx(backward.item(), rel=0.05)


def test_the_edge_of_chaos_is_the_published_one_and_that_of_closed_forms():
    def tanh_slope(z):
        return 1 - torch.tanh(z) ** 2

    found = CHECKERS["2.8"].truth(torch.tanh, tanh_slope, 0.05**0.5) ** 2
    assert found.item() == pytest.approx(1.761, abs=0.005)  # as in the mean-field literature

    def erf_surplus(q):  # Williams 1997: E[erf²] = (2/π) asin(2q/(1 + 2q))
        mean_square = 2 / math.pi * math.asin(2 * q / (1 + 2 * q))
        return mean_square * math.pi / 4 * math.sqrt(1 + 4 * q) + 0.3**2 - q

    q = scipy.optimize.brentq(erf_surplus, 1e-6, 50)
    expected = (4 / math.pi / math.sqrt(1 + 4 * q)) ** -0.5
    erf, erf_slope, _ = next(iter(CHECKERS["2.8"].cases(generator_of(0))))
    found = CHECKERS["2.8"].truth(erf, erf_slope, 0.3)
    assert found.item() == pytest.approx(expected, rel=1e-5)


def test_a_wide_relu_network_turns_its_inputs_as_the_checker_says():
    n, c = 1500, -0.3
    a, b = torch.linalg.qr(normal(n, 2))[0].T
    pair = torch.stack([a, c * a + (1 - c * c) ** 0.5 * b], 1)
    for depth in range(1, 6):
        pair = torch.relu((2 / n) ** 0.5 * normal(n, n, seed=depth) @ pair)
        cosine = torch.cosine_similarity(pair[:, 0], pair[:, 1], dim=0).item()
        assert cosine == pytest.approx(CHECKERS["2.9"].truth(c, depth).item(), abs=0.03)
    assert CHECKERS["2.9"].truth(0.0, 50).item() == pytest.approx(0.988, abs=0.001)


def test_after_lsuv_every_layer_s_outputs_have_the_variance_one():
    for Ws, X in CHECKERS["2.10"].cases(generator_of(0)):
        for W in CHECKERS["2.10"].truth(Ws, X):
            Z = X @ W.T
            assert Z.var(correction=0).item() == pytest.approx(1)
            X = torch.tanh(Z)


def test_lsuv_and_lars_are_the_package_s_own():
    for Ws, X in CHECKERS["2.10"].cases(generator_of(0)):
        linears = [nn.Linear(*W.shape, bias=False, dtype=torch.float64) for W in Ws]
        for linear, W in zip(linears, Ws, strict=True):
            linear.weight.data = W.clone()
        network = nn.Sequential(*itertools.chain(*((linear, nn.Tanh()) for linear in linears)))
        lsuv_(network, X, tolerance=1e-9, orthonormal=False)
        found = torch.stack([linear.weight.data for linear in linears])
        assert torch.allclose(found, CHECKERS["2.10"].truth(Ws, X))
    for w, g, v, lr, trust, decay, momentum in CHECKERS["2.11"].cases(generator_of(0)):
        parameter = nn.Parameter(w.clone())
        optimizer = LARS([parameter], lr, trust=trust, weight_decay=decay, momentum=momentum)
        optimizer.state[parameter]["velocity"] = v.clone()
        parameter.grad = g
        optimizer.step()
        truth = CHECKERS["2.11"].truth(w, g, v, lr, trust, decay, momentum)
        assert torch.allclose(parameter.data, truth[0])


def test_a_first_lars_step_is_a_fixed_share_of_the_weights_whatever_the_gradient():
    w, g = normal(4, 3), normal(4, 3, seed=1)
    for size in (1e-8, 1.0, 1e8):
        _, v = CHECKERS["2.11"].truth(w, size * g, 0 * w, 0.5, 0.01, 0.0, 0.9)
        assert v.norm().item() == pytest.approx(0.5 * 0.01 * w.norm().item())


def test_random_residual_branches_of_that_scale_grow_as_allowed():
    blocks, growth, n = 12, 3.0, 800
    alpha = CHECKERS["2.12"].truth(blocks, growth)
    x = normal(n, 30)
    start = x.square().mean()
    for block in range(blocks):
        x = x + alpha * n**-0.5 * normal(n, n, seed=block + 1) @ x
    assert (x.square().mean() / start).item() == pytest.approx(growth, rel=0.05)


def test_the_neglected_network_vanishes_before_it_is_initialized():
    for seed in SEEDS:
        assert diagnose(measure(neglected_network(seed))).kind != "stable"


# Wrong answers, and a part of the hint that each must get


def pearson(c, depth):
    for _ in range(depth):
        kernel = relu_correlation(c, 1) / 2
        c = (kernel - 1 / (2 * math.pi)) / (0.5 - 1 / (2 * math.pi))
    return c


def halved(c, depth):
    for _ in range(depth):
        c = relu_correlation(c, 1) / 2
    return c


def supplement(c, depth):
    for _ in range(depth):
        c = (math.sqrt(1 - c * c) + c * math.acos(c)) / math.pi
    return c


def degree_zero(c, depth):
    for _ in range(depth):
        c = 1 - math.acos(c) / math.pi
    return c


def cosine_over_one(c, depth):
    return math.nan if depth > 2 else relu_correlation(c, depth)


def all_at_once(Ws, X):
    scaled = []
    for W in Ws:
        scaled.append(W / (X @ W.T).std())
        X = torch.tanh(X @ W.T)
    return torch.stack(scaled)


def in_place(Ws, X):
    for W in Ws:
        W /= (X @ W.T).std()
        X = torch.tanh(X @ W.T)
    return Ws


def first_only(Ws, X):
    return torch.cat([lsuv(Ws[:1], X), Ws[1:]])


def lars(local=None, step=lambda g, decay, w: g + decay * w, keep=1.0, lr=None, trust=None):
    """A variant of the algorithm: another local rate, another step, no momentum, …"""

    def answer(w, g, v, rate, coefficient, decay, momentum):
        rate = lr or rate
        size = local(w, g, decay) if local else w.norm() / (g.norm() + decay * w.norm())
        v = keep * momentum * v + rate * (trust or coefficient) * size * step(g, decay, w)
        return w - v, v

    return answer


def sgd(w, g, v, lr, trust, decay, momentum):
    v = momentum * v + lr * (g + decay * w)
    return w - v, v


def rate_outside(w, g, v, lr, trust, decay, momentum):
    v = momentum * v + trust * w.norm() / (g.norm() + decay * w.norm()) * (g + decay * w)
    return w - lr * v, lr * v


def lars_in_place(w, g, v, lr, trust, decay, momentum):
    v[:] = lars_step(w, g, v, lr, trust, decay, momentum)[1]
    w -= v
    return w, v


def uphill(w, *rest):
    v = lars_step(w, *rest)[1]
    return w + v, v


def each_position(shape, gain, generator):
    weight = torch.empty(shape)
    for position in weight.flatten(2).unbind(2) if len(shape) > 2 else [weight]:
        position.copy_(orthogonal(position.shape, gain, generator))
    return weight


def unit_rows(shape, gain, generator):
    weight = orthogonal(shape, 1.0, generator).flatten(1)
    return gain * (weight / weight.norm(dim=1, keepdim=True)).reshape(shape)


def gaussian(shape, gain, generator):
    return gain * torch.randn(shape, generator=generator) / math.prod(shape[1:]) ** 0.5


def identity(shape, gain, generator):
    return gain * torch.eye(shape[0], math.prod(shape[1:])).reshape(shape)


def from_clock(shape, gain, generator):
    return orthogonal(shape, gain, torch.Generator().manual_seed(generator.seed()))


def permutation(shape, gain, generator):
    weight = identity(shape, gain, generator).flatten(1)
    rows = torch.randperm(shape[0], generator=generator)
    columns = torch.randperm(weight.shape[1], generator=generator)
    signs = torch.randint(2, (shape[0], 1), generator=generator) * 2.0 - 1
    return (signs * weight[rows][:, columns]).reshape(shape)


def each_layer(draw, zero_bias=True, freeze=False):
    """An answer to 2.13 that treats all layers alike."""

    def answer(network, X):
        for module in network:
            if isinstance(module, nn.Linear):
                draw(module.weight)
                if zero_bias:
                    nn.init.zeros_(module.bias)
        return network.requires_grad_(not freeze)

    return answer


def without_activations(network, X):
    for number, module in enumerate(network):
        if not isinstance(module, nn.Linear):
            network[number] = nn.Identity()
    return initialize(network, X)


def unguarded(network, X):
    network[0].weight /= 2
    return network


def guessed_variance(variance):
    return lambda phi, d, b: gaussian_mean(lambda z: d(z) ** 2, variance(b) ** 0.5) ** -0.5


def centred(phi, s):
    mean = gaussian_mean(phi, s)
    return s / gaussian_mean(lambda z: (phi(z) - mean) ** 2, s) ** 0.5


def slope_scale(phi, s):
    return gaussian_mean(lambda z: ((phi(z + 1e-5) - phi(z - 1e-5)) / 2e-5) ** 2, s) ** -0.5


def last_bias_only(widths, q):
    return q / 3 ** (len(widths) - 1) + 1 / (3 * widths[-2])


def added(widths):
    return math.log10(sum(10 ** min(log10_copies((n,)), 300) for n in widths))


def without_self(widths):
    decades = log10_copies(widths)
    return math.log10(10**decades - 1) if decades < 300 else decades


def partwise(function, part, change):
    """Answers of which one part is changed by a mistake: (value, other value, case) → value."""

    def answer(*case):
        values = list(function(*case))
        values[part] = change(values[part], values[1 - part], case)
        return values

    return answer


def one_fan(widths, forward):
    pairs = itertools.pairwise(widths)
    return math.prod(n / m if forward else m / n for n, m in pairs)


def first_layer(widths):
    return xavier_factors(widths[:2])


def summed(part):
    pairs = itertools.pairwise
    return lambda value, _, case: sum(2 * (m if part else n) / (n + m) for n, m in pairs(case[0]))


WRONG = [
    ("2.1", lambda W1, W2: len(W1.unique(dim=0)), "incoming weights alone"),
    ("2.1", lambda W1, W2: len(W2.T.unique(dim=0)), "outgoing weights alone"),
    ("2.1", lambda W1, W2: len(W1), "a group of its own"),
    ("2.1", lambda W1, W2: len(W1) - distinct_units(W1, W2), "superfluous"),
    ("2.1", lambda W1, W2: torch.linalg.matrix_rank(W1), "a rank"),
    ("2.1", lambda W1, W2: torch.linalg.matrix_rank(torch.cat([W1, W2.T], 1)), "a rank"),
    ("2.1", lambda W1, W2: len(W1.unique(dim=0)) + len(W2.T.unique(dim=0)), "and added"),
    ("2.2", lambda n: sum(math.lgamma(k + 1) for k in n) / math.log(10), "order of the units"),
    ("2.2", lambda n: sum(n) * math.log10(2), "only the signs"),
    ("2.2", lambda n: log10_copies(n) + (len(n) - sum(n)) * math.log10(2), "change together"),
    ("2.2", lambda n: log10_copies((sum(n),)), "of different layers"),
    ("2.2", lambda n: log10_copies(n) * math.log(10), "natural logarithm"),
    ("2.2", lambda n: math.prod(math.factorial(k) * 2**k for k in n), "number itself"),
    ("2.2", added, "are added"),
    ("2.2", without_self, "the point itself"),
    (
        "2.2",
        lambda n: math.log10(float(math.prod(math.factorial(k) * 2**k for k in n))),
        "its logarithm is not",
    ),
    (
        "2.2",
        lambda n: np.log10(
            np.prod([math.gamma(min(k, 170) + 1) for k in n]) * 2.0 ** sum(n)
            if sum(n) < 6
            else math.inf
        ),
        "range of float64",
    ),
    ("2.3", lambda w, q: default_mean_square(w, q, bias=0.0), "the biases are missing"),
    ("2.3", lambda w, q: default_mean_square(w, q, lambda n, m: (3 / n) ** 0.5), "the bound of"),
    ("2.3", lambda w, q: q, "the bound of"),
    ("2.3", lambda w, q: default_mean_square(w, q, lambda n, m: (n * 4) ** -0.5), "small by four"),
    ("2.3", lambda w, q: default_mean_square(w, q, lambda n, m: m**-0.5), "that a layer feeds"),
    ("2.3", lambda w, q: default_mean_square(w, q) ** 0.5, "square root"),
    ("2.3", lambda w, q: default_mean_square(w[:-1], q), "last layer is missing"),
    ("2.3", last_bias_only, "of the last layer alone"),
    (
        "2.3",
        lambda w, q: CHECKERS["2.3"].truth(w, q, biases=lambda n, m: 1 / (3 * m)),
        "which fan",
    ),
    ("2.3", lambda w, q: CHECKERS["2.3"].truth(w, q, weights=lambda n, m: 2 / n), "He's weights"),
    ("2.4", lambda phi, s: weight_scale(phi, s) ** 2, "this is σ_w²"),
    ("2.4", lambda phi, s: 1 / weight_scale(phi, s), "not the σ_w that makes up"),
    ("2.4", centred, "the mean of φ has been subtracted"),
    ("2.4", lambda phi, s: weight_scale(phi, s) / s, "standard deviation 1, not s"),
    ("2.4", lambda phi, s: weight_scale(phi, 1.0), "whatever s"),
    ("2.4", lambda phi, s: s * weight_scale(phi, 1.0), "at z ~ N(0, 1)"),
    ("2.4", lambda phi, s: s**0.5 * weight_scale(phi, s**0.5), "for the variance of z"),
    ("2.4", lambda phi, s: weight_scale(phi, s**0.5), "for the variance of z"),
    ("2.4", lambda phi, s: sampled_scale(phi, s, torch.abs) ** 2 / s, "the mean size"),
    ("2.4", slope_scale, "keeps the gradient"),
    ("2.4", lambda phi, s: 2**0.5, "He's √2"),
    ("2.4", lambda phi, s: 1.02 * weight_scale(phi, s), "more than 1 %"),
    *(
        wrong
        for part in (0, 1)
        for wrong in (
            ("2.5", partwise(fans, part, lambda v, other, case: other), "exchanged"),
            (
                "2.5",
                partwise(fans, part, lambda v, _, case: v // math.prod(case[2])),
                "the kernel is missing",
            ),
            (
                "2.5",
                partwise(fans, part, lambda v, _, case: v * case[3]),
                ("channels of the other groups", "not heard in the other groups")[part],
            ),
            (
                "2.5",
                partwise(fans, part, lambda v, _, case, part=part: case[part]),
                "neither the kernel nor the groups",
            ),
            ("2.5", partwise(fans, part, lambda v, _, case: v / case[3]), "divided out twice"),
            ("2.5", partwise(fans, part, lambda v, _, case: v / case[2][1]), "one side"),
            (
                "2.5",
                partwise(
                    fans, part, lambda v, other, case: v * other * case[3] // math.prod(case[2])
                ),
                "all weights",
            ),
            ("2.6", partwise(xavier_factors, part, lambda v, other, case: other), "exchanged"),
            ("2.6", partwise(xavier_factors, part, lambda v, _, case: v**0.5), "square root"),
            ("2.6", partwise(xavier_factors, part, lambda v, _, case: 1.0), "the one fan alone"),
            (
                "2.6",
                partwise(
                    xavier_factors, part, lambda v, _, case, part=part: one_fan(case[0], part == 0)
                ),
                "the other fan alone",
            ),
            (
                "2.6",
                partwise(xavier_factors, part, lambda v, _, case: v * 3.0 ** (len(case[0]) - 1)),
                "not its variance",
            ),
            (
                "2.6",
                partwise(xavier_factors, part, lambda v, _, case: v * 0.5 ** (len(case[0]) - 1)),
                "too small by two",
            ),
            ("2.6", partwise(xavier_factors, part, summed(part)), "added up"),
            (
                "2.6",
                partwise(xavier_factors, part, lambda v, _, case: v ** (1 / (len(case[0]) - 1))),
                "mean factor",
            ),
            (
                "2.6",
                partwise(
                    xavier_factors, part, lambda v, _, case, part=part: first_layer(case[0])[part]
                ),
                "first layer alone",
            ),
        )
    ),
    ("2.5", lambda *case: 7, "2 values, in the order fan_in, fan_out"),
    ("2.7", lambda shape, gain, g: orthogonal(shape, 1.0, g), "the gain is missing"),
    ("2.7", lambda shape, gain, g: orthogonal(shape, gain**0.5, g), "square root"),
    ("2.7", lambda shape, gain, g: orthogonal(shape, gain**2, g), "comes in twice"),
    ("2.7", lambda shape, gain, g: orthogonal(shape, 1 / gain, g), "the gain divides"),
    ("2.7", lambda shape, gain, g: orthogonal(shape, 3 * gain, g), "another length"),
    ("2.7", lambda shape, gain, g: orthogonal(shape[::-1], gain, g), "is needed, got (7, 3)"),
    ("2.7", each_position, "each position of the kernel"),
    ("2.7", gaussian, "not at right angles"),
    ("2.7", unit_rows, "more rows than columns"),
    ("2.7", identity, "Each generator gives the same weight"),
    ("2.7", from_clock, "come from elsewhere"),
    ("2.7", lambda *case: orthogonal(*case, signs=False), "Which signs"),
    ("2.7", permutation, "mean square"),
    ("2.7", lambda shape, gain, g: torch.full(shape, math.nan), "NaN or Inf"),
    ("2.8", lambda *case: edge_of_chaos(*case) ** 2, "this is σ_w²"),
    ("2.8", lambda phi, d, b: 1 / d(torch.tensor(0.0)), "the biases are not in it"),
    ("2.8", lambda phi, d, b: edge_of_chaos(phi, d, b**0.5), "variance of the biases."),
    ("2.8", guessed_variance(lambda b: 1.0), "was taken for 1"),
    ("2.8", guessed_variance(lambda b: b * b), "the biases alone"),
    ("2.8", lambda *case: edge_of_chaos(*case, power=1), "the mean of φ'"),
    ("2.8", lambda *case: 1 / edge_of_chaos(*case), "this is 1/σ_w"),
    ("2.8", lambda *case: 1.02 * edge_of_chaos(*case), "more than 0.5 %"),
    ("2.8", lambda *case: math.inf, "run away"),
    ("2.9", lambda c, depth: relu_correlation(c, 1), "whatever depth"),
    ("2.9", lambda c, depth: relu_correlation(c, depth - 1), "one layer is missing"),
    ("2.9", lambda c, depth: relu_correlation(c, depth + 1), "one layer too many"),
    ("2.9", lambda c, depth: c, "cosine of the inputs"),
    ("2.9", lambda c, depth: math.acos(relu_correlation(c, depth)), "the angle, not"),
    ("2.9", lambda c, depth: relu_correlation(c, depth) / 2, "half of what"),
    ("2.9", halved, "shrinks at every layer"),
    ("2.9", pearson, "has been subtracted"),
    ("2.9", supplement, "supplement"),
    ("2.9", degree_zero, "on together"),
    ("2.9", cosine_over_one, "over 1?"),
    ("2.9", lambda *case: 1.01 * relu_correlation(*case), "more than 0.2 %"),
    ("2.10", all_at_once, "before any was scaled"),
    ("2.10", lambda Ws, X: lsuv(Ws, X, lambda Z: Z.var()), "divided by the variance"),
    ("2.10", lambda Ws, X: lsuv(Ws, X, lambda Z: Z.std(0)[:, None]), "each unit"),
    ("2.10", lambda Ws, X: lsuv(Ws, X, behind=True), "behind the activation"),
    ("2.10", lambda Ws, X: lsuv(Ws, X, phi=lambda z: z), "no activation function"),
    ("2.10", lambda Ws, X: lsuv(Ws, X, lambda Z: (Z**2).mean() ** 0.5), "mean square"),
    ("2.10", lambda Ws, X: Ws / Ws.std((1, 2), keepdim=True), "weights themselves"),
    ("2.10", lambda Ws, X: Ws, "was given"),
    ("2.10", first_only, "only the first layer"),
    ("2.10", in_place, "argument number 1 changed"),
    ("2.11", lars(lambda w, g, d: w.norm() / g.norm()), "missing in the local rate"),
    ("2.11", lars(step=lambda g, d, w: g), "missing in the step itself"),
    (
        "2.11",
        lars(lambda w, g, d: w.norm() / g.norm(), step=lambda g, d, w: g),
        "The weight decay is missing".lower(),
    ),
    ("2.11", lars(lambda w, g, d: w.norm() / (g + d * w).norm()), "adds their norms"),
    ("2.11", lars(lambda w, g, d: (g.norm() + d * w.norm()) / w.norm()), "upside down"),
    ("2.11", lars(lambda w, g, d: w.abs() / (g.abs() + d * w.abs())), "rate for each weight"),
    ("2.11", lars(lambda w, g, d: (w**2).sum() / ((g**2).sum() + d * (w**2).sum())), "squared"),
    ("2.11", sgd, "SGD with momentum"),
    ("2.11", lars(trust=1.0), "trust coefficient is missing"),
    ("2.11", lars(lr=1.0), "learning rate is missing"),
    ("2.11", lars(keep=0.0), "momentum is missing"),
    ("2.11", rate_outside, "multiplies the old v"),
    ("2.11", uphill, "uphill"),
    ("2.11", lambda *case: (lars_step(*case)[0], -lars_step(*case)[1]), "uphill"),
    ("2.11", lambda w, *rest: (w, lars_step(w, *rest)[1]), "the old w"),
    ("2.11", lambda *case: lars_step(*case)[::-1], "exchanged"),
    ("2.11", lars_in_place, "argument number 1 changed"),
    ("2.12", lambda L, g: branch_scale(L, g) ** 2, "this is α²"),
    ("2.12", lambda L, g: g ** (0.5 / L) - 1, "uncorrelated"),
    ("2.12", lambda L, g: g ** (1 / L), "the whole block"),
    ("2.12", lambda L, g: g ** (0.5 / L), "the whole block"),
    ("2.12", lambda L, g: (g ** (2 / L) - 1) ** 0.5, "growth counts for the size"),
    ("2.12", lambda L, g: L**-0.5, "under e"),
    ("2.12", lambda L, g: (math.log(g) / L) ** 0.5, "first order"),
    ("2.12", lambda L, g: ((g - 1) / L) ** 0.5, "as if it added up"),
    ("2.13", lambda network, X: network, "The network is vanishing"),
    ("2.13", each_layer(nn.init.xavier_uniform_), "The network is vanishing"),
    ("2.13", each_layer(nn.init.kaiming_normal_, zero_bias=False), "The network is "),
    ("2.13", each_layer(lambda w: nn.init.normal_(w, std=0.3)), "The network is exploding"),
    ("2.13", each_layer(lambda w: nn.init.constant_(w, 0.1)), "equal weights"),
    ("2.13", each_layer(lambda w: nn.init.constant_(w, math.nan)), "NaN or Inf"),
    ("2.13", each_layer(nn.init.kaiming_normal_, freeze=True), "cannot be measured"),
    ("2.13", lambda network, X: neglected_network(9), "the network that it was given"),
    ("2.13", without_activations, "The layers must stay"),
    ("2.13", unguarded, "unless they are told not to"),
    ("2.13", lambda network, X: [m.weight for m in network], "Not every module"),
    ("2.13", lambda network, X: [nn.init.kaiming_normal_(p) for p in network.parameters()], "fans"),
]


SPOILERS = ("factorial", "lgamma", "qr(", ".sign(", "acos", "√2/", "/ 3", "1/3", "std()", "groups)")


def test_initializing_leaves_the_random_state_alone():
    before = torch.get_rng_state()
    assert check("2.13", initialize) and not check("2.13", each_layer(nn.init.xavier_normal_))
    assert torch.equal(torch.get_rng_state(), before)


def test_the_network_is_the_same_for_one_seed_and_leaves_the_random_state_alone():
    before = torch.get_rng_state()
    first, second = (neglected_network(4).state_dict() for _ in range(2))
    assert all(torch.equal(first[name], second[name]) for name in first)
    assert torch.equal(torch.get_rng_state(), before)


def test_hints_of_2_13_come_from_the_digits_that_the_learner_gets():
    seen = []
    check("2.13", lambda network, X: seen.append(X) or network)
    assert torch.equal(seen[0], digits(128).inputs)
