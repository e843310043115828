"""Chapter 5's exercises take the right answers, and tell each typical mistake its name.

The right answers here are the learner's way; what the checkers hold for true is tested against
autograd, PyTorch's optimizers, enumeration of all masks, scikit-learn and simulation.
"""

import itertools
import math

import numpy as np
import pytest
import torch
from mistakes import part
from sklearn.linear_model import Ridge
from torch import nn
from torch.optim.adam import adam
from torch.optim.adamw import adamw

from d2lstab.exercises import check
from d2lstab.exercises.chapter5 import CHECKERS
from d2lstab.regularization.penalties import lasso, ridge

pytestmark = pytest.mark.once


def generator_of(seed):
    return torch.Generator().manual_seed(seed)


def case_of(exercise, seed=0, number=0):
    return list(CHECKERS[exercise].cases(generator_of(seed)))[number]


def normal(*shape, seed=0):
    return torch.randn(*shape, generator=generator_of(seed), dtype=torch.float64)


# Right answers


def l2_step(X, y, w, b, rate, l2):
    design, v = torch.cat([X, torch.ones(len(X), 1)], 1), torch.cat([w, torch.tensor([b])])
    decay = torch.full_like(v, l2)
    decay[-1] = 0
    v = v - rate * (design.T @ (design @ v - y) / len(y) + decay * v)
    return v[:-1], v[-1]


def l1_steps(w, gradient, rate, l1):
    sign = (w > 0).double() - (w < 0).double()
    moved, threshold = w - rate * gradient, rate * l1
    soft = torch.where(moved > 0, (moved - threshold).relu(), -(-moved - threshold).relu())
    return w - rate * gradient - threshold * sign, soft


def matrix_penalty(W, l2):
    return l2 / 2 * (torch.linalg.svdvals(W) ** 2).sum(), l2 * W


def errors_of(X, y, parts, penalties):
    """(penalties, parts): by scikit-learn."""
    rows = []
    for l2 in penalties.tolist():
        w = Ridge(alpha=len(y) * l2, fit_intercept=False).fit(X, y).coef_
        rows.append([np.mean((A.numpy() @ w - b.numpy()) ** 2) for A, b in parts])
    return np.array(rows)


def choose(X, y, X_val, y_val, X_test, y_test, penalties):
    errors = errors_of(X, y, [(X, y), (X_val, y_val), (X_test, y_test)], penalties)
    best = errors[:, 1].argmin()
    return errors[:, 0], penalties[best].item(), errors[best, 2]


def map_penalties(n, noise, spread):
    return (noise / spread) ** 2 / n, noise**2 / n * math.sqrt(2) / spread


def decay_groups(module, weight_decay, decayed=(nn.Linear, nn.Conv1d, nn.Conv2d)):
    groups = [{"params": [], "weight_decay": value} for value in (weight_decay, 0)]
    for layer in module.modules():
        for kind, parameter in layer.named_parameters(recurse=False):
            free = kind != "weight" or not isinstance(layer, decayed)
            groups[free]["params"].append(parameter)
    return groups


def adam_step(w, g, m, v, t, rate):
    m_hat = (0.9 * m + 0.1 * g) / (1 - 0.9**t)
    v_hat = (0.999 * v + 0.001 * g * g) / (1 - 0.999**t)
    return rate * m_hat / (v_hat**0.5 + 1e-8)


def two_adams(w, gradient, m, v, t, rate, decay):
    coupled = w - adam_step(w, gradient + decay * w, m, v, t, rate)
    return coupled, w - rate * decay * w - adam_step(w, gradient, m, v, t, rate)


def dropout(x, p, training, u):
    if not training:
        return x.clone()
    return torch.where(u < p, 0.0, x / max(1 - p, 1e-300))


def layer_spread(h, p, depth):
    square = (h**2).mean(0)
    growth = 1.0
    for _ in range(depth):
        growth /= 1 - p
    return square - h.mean(0) ** 2, square / (1 - p) - h.mean(0) ** 2, growth


def switched(h, W, v, p1, p2):
    def variance(p1, p2):
        covariance = p1 / (1 - p1) * torch.diag(h**2)
        square = W @ (covariance + torch.outer(h, h)) @ W.T  # E h₂ h₂ᵀ
        masked = square + p2 / (1 - p2) * torch.diag(square.diag())
        return v @ masked @ v - (v @ W @ h) ** 2

    return variance(p1, p2), variance(p2, p1)


def noise_covariance(W, h, p):
    units = W @ torch.diag(p / (1 - p) * h**2) @ W.T
    return units, torch.diag(W**2 @ h**2) * p / (1 - p)


def other_noise(p, gamma):
    rows = np.array([[1, 1, 1], [0, gamma / 2, gamma], [0, gamma**2 / 4, gamma**2]])
    return np.linalg.solve(rows, [1, 1, 1 / (1 - p)]), math.sqrt(1 / (1 - p) - 1)


def augmented(X, y, penalty):
    """Ridge with a penalty for each column, as least squares with more rows."""
    rows = torch.cat([X, torch.diag((len(y) * penalty).sqrt())])
    return torch.linalg.lstsq(rows, torch.cat([y, torch.zeros(X.shape[1])])[:, None]).solution[:, 0]


def fit_with_noise(X, y, p, stds):
    return augmented(X, y, p / (1 - p) * (X**2).mean(0)), augmented(X, y, stds**2)


def clip(first, second, limit):
    norm = torch.cat([first.flatten(), second.flatten()]).norm()
    return [g * min(1.0, limit / max(norm.item(), 1e-300)) for g in (first, second)]


def angle(a, b):
    return math.degrees(math.acos(a @ b / a.norm() / b.norm()))


def turn(gradient, limit):
    signs = gradient.abs().sum() / (len(gradient) ** 0.5 * gradient.norm())
    return angle(gradient, gradient.clip(-limit, limit)), math.degrees(math.acos(signs))


def project(W, limit):
    return torch.renorm(W, 2, 0, limit), math.sqrt(len(W)) * limit


def stop_early(losses, patience):
    best, waited = 0, 0
    for step in range(1, len(losses)):
        best, waited = (step, 0) if losses[step] < losses[best] else (best, waited + 1)
        if waited == patience:
            return best, step
    return best, len(losses) - 1


RIGHT = {
    "5.1": l2_step,
    "5.2": l1_steps,
    "5.3": matrix_penalty,
    "5.4": choose,
    "5.5": map_penalties,
    "5.6": decay_groups,
    "5.7": two_adams,
    "5.8": dropout,
    "5.9": layer_spread,
    "5.10": switched,
    "5.11": noise_covariance,
    "5.12": other_noise,
    "5.13": fit_with_noise,
    "5.14": clip,
    "5.15": turn,
    "5.16": project,
    "5.17": stop_early,
}


def each_alone(module, decay):
    """Groups of one parameter, as iterators."""
    for group in decay_groups(module, decay):
        yield from ({**group, "params": iter([p])} for p in group["params"])


def test_another_way_to_the_same_value_passes_too():
    assert check("5.2", lambda *case: [v.tolist() for v in l1_steps(*case)])
    assert check("5.6", lambda module, decay: iter(decay_groups(module, decay)[::-1]))
    assert check("5.6", each_alone)
    assert check("5.13", lambda *case: np.stack([w.numpy() for w in fit_with_noise(*case)]))
    assert check(
        "5.14", lambda first, second, limit: map(torch.Tensor.numpy, clip(first, second, limit))
    )
    assert check("5.17", lambda *case: torch.tensor(stop_early(*case)))


def test_the_variants_differ_by_seed():
    for exercise, checker in CHECKERS.items():
        if hasattr(checker, "cases"):
            first, second = (str(list(checker.cases(generator_of(seed)))) for seed in (0, 1))
            assert first != second, exercise
    shapes = []
    for seed in (0, 1, 2):
        seen = []
        check("5.6", lambda module, decay, seen=seen: seen.append((str(module), decay)), seed=seed)
        shapes.append(seen[0])
    assert len(set(shapes)) == 3


# What the checkers hold for true


def test_a_step_goes_down_the_gradient_of_the_penalized_loss():
    X, y, w, b, rate, l2 = case_of("5.1")
    w_, b_ = w.clone().requires_grad_(), torch.tensor(b, requires_grad=True, dtype=torch.float64)
    loss = (X @ w_ + b_ - y).square().mean() / 2 + l2 / 2 * (w_ @ w_)
    slopes = torch.autograd.grad(loss, (w_, b_))
    found = CHECKERS["5.1"].truth(X, y, w, b, rate, l2)
    assert torch.allclose(found[0], w - rate * slopes[0])
    assert found[1].item() == pytest.approx(b - rate * slopes[1].item())


def test_proximal_steps_arrive_at_the_lasso_with_exact_zeros():
    X, y, l1 = normal(12, 6), normal(12, seed=1), 0.2
    rate, w = 0.3, torch.zeros(6, dtype=torch.float64)
    for _ in range(400):
        gradient = X.T @ (X @ w - y) / 12
        _, w = CHECKERS["5.2"].truth(w, gradient, rate, l1)
    assert torch.allclose(w, lasso(X, y, l1), atol=1e-6) and 0 < (w == 0).sum() < 6


def test_a_matrix_s_penalty_has_the_gradient_of_autograd_and_no_direction():
    W, l2 = case_of("5.3")
    rotated = torch.linalg.qr(normal(3, 3))[0] @ W
    penalty, gradient = CHECKERS["5.3"].truth(W, l2)
    assert torch.allclose(CHECKERS["5.3"].truth(rotated, l2)[0], penalty)
    W = W.requires_grad_()
    (slope,) = torch.autograd.grad(l2 / 2 * (W.T @ W).trace(), W)
    assert torch.allclose(slope, gradient)


def test_the_choice_s_errors_are_those_of_scikit_learn_and_no_two_choices_agree():
    for seed in range(3):
        *parts, penalties = case_of("5.4", seed)
        pairs = list(zip(parts[::2], parts[1::2], strict=True))
        errors = errors_of(*pairs[0], pairs, penalties)
        training, chosen, tested = CHECKERS["5.4"].truth(*parts, penalties)
        places = errors.argmin(0)
        assert np.allclose(training, errors[:, 0]) and len(set(places)) == 3
        assert chosen == penalties[places[1]]
        assert tested.item() == pytest.approx(errors[places[1], 2])


def test_penalties_of_priors_find_the_likeliest_weights():
    n, noise, spread = 15, 0.7, 1.3
    X, w = normal(n, 3), normal(3, seed=3)
    y = X @ w + noise * normal(n, seed=2)
    l2, l1 = (value.item() for value in CHECKERS["5.5"].truth(n, noise, spread))
    for prior, found in (
        (torch.distributions.Normal(0, spread), ridge(X, y, l2)),
        (torch.distributions.Laplace(0, spread / 2**0.5), lasso(X, y, l1)),
    ):

        def logarithm(v, prior=prior):
            likelihood = torch.distributions.Normal(v @ X.T, noise).log_prob(y).sum(-1)
            return likelihood + prior.log_prob(v).sum(-1)

        around = found + 0.02 * normal(400, 3, seed=4)
        assert (logarithm(around) <= logarithm(found) + 1e-9).all()


def test_the_two_adams_are_those_of_pytorch_over_several_steps():
    w = normal(5)
    for number, optimizer in enumerate((adam, adamw)):
        ours, m, v = w.clone(), torch.zeros(5).double(), torch.zeros(5).double()
        theirs, state = w.clone(), ([m.clone()], [v.clone()], [], [torch.tensor(0.0)])
        for t in range(1, 5):
            g = normal(5, seed=t)
            penalized = g + 0.3 * ours if number == 0 else g
            ours = CHECKERS["5.7"].truth(ours, g, m, v, t, 0.1, 0.3)[number]
            m, v = 0.9 * m + 0.1 * penalized, 0.999 * v + 0.001 * penalized**2
            optimizer(
                [theirs], [g], *state, amsgrad=False, beta1=0.9, beta2=0.999, lr=0.1,
                weight_decay=0.3, eps=1e-8, maximize=False, foreach=False,
            )  # fmt: skip
        assert torch.allclose(ours, theirs)


def all_masks(n, p):
    """Scaled masks of n units, (2ⁿ, n), and their probabilities, (2ⁿ,)."""
    kept = torch.tensor(list(itertools.product((0.0, 1.0), repeat=n)), dtype=torch.float64)
    return kept / (1 - p), (p ** (1 - kept) * (1 - p) ** kept).prod(1)


def spread_of(values, chance):
    return chance @ values**2 - (chance @ values) ** 2


def test_dropout_has_the_mean_of_its_input_over_even_u():
    x = normal(2, 3)
    even = (torch.arange(400).double() / 400)[:, None, None].expand(400, 2, 3)
    for p in (0.0, 0.25, 0.5):
        drawn = torch.stack([CHECKERS["5.8"].truth(x, p, True, u) for u in even])
        assert torch.allclose(drawn.mean(0), x)
    assert not CHECKERS["5.8"].truth(x, 1.0, True, even[0]).any()


def test_a_noisy_layer_s_variance_is_that_of_an_enumeration():
    h, p, depth = case_of("5.9")
    masks, chance = all_masks(len(h), p)
    found = CHECKERS["5.9"].truth(h, p, depth)[1]
    for unit in range(h.shape[1]):
        values = (masks * h[:, unit]).flatten()  # each example has a mask of its own
        weight = (chance[:, None] / len(h)).expand(-1, len(h)).flatten()
        assert found[unit].item() == pytest.approx(spread_of(values, weight).item())


def test_a_wide_he_network_grows_as_foretold():
    width, depth, p = 1000, 3, 0.4
    rng = generator_of(0)
    x = torch.randn(100, width, generator=rng)
    squares = []
    for _ in range(depth + 1):
        squares.append(x.square().mean().item())
        x = torch.relu(x @ torch.randn(width, width, generator=rng) * (2 / width) ** 0.5)
        x = x * torch.empty_like(x).bernoulli_(1 - p, generator=rng) / (1 - p)
    growth = CHECKERS["5.9"].truth(normal(3, 2), p, depth)[2].item()
    assert squares[-1] / squares[0] == pytest.approx(growth, rel=0.08)


def test_two_noisy_layers_have_the_variance_of_an_enumeration():
    h, W, v, p1, p2 = case_of("5.10")
    for found, (a, b) in zip(
        CHECKERS["5.10"].truth(h, W, v, p1, p2), ((p1, p2), (p2, p1)), strict=True
    ):
        (first, chance1), (second, chance2) = all_masks(3, a), all_masks(4, b)
        out = (first * h) @ W.T @ (second * v).T
        chance = chance1[:, None] * chance2
        assert found.item() == pytest.approx(spread_of(out.flatten(), chance.flatten()).item())


def test_dropped_units_and_weights_have_the_covariance_of_an_enumeration():
    h, W, p = normal(3) + 1, normal(2, 3, seed=1), 0.3
    units, weights = CHECKERS["5.11"].truth(W, h, p)
    for found, (masks, chance) in ((units, all_masks(3, p)), (weights, all_masks(6, p))):
        z = (masks.view(len(masks), -1, 3) * W) @ h  # (masks, 2)
        z = z - chance @ z
        assert torch.allclose(z.T @ (chance[:, None] * z), found)


def test_the_other_noises_have_mean_one_and_dropout_s_variance():
    for seed in range(5):
        p, gamma = case_of("5.12", seed)
        probabilities, std = CHECKERS["5.12"].truth(p, gamma)
        values = torch.tensor([0, gamma / 2, gamma], dtype=torch.float64)
        masks, chance = all_masks(1, p)
        assert probabilities.min() > 0 and probabilities.sum().item() == pytest.approx(1)
        assert (probabilities @ values).item() == pytest.approx(1)
        variance = spread_of(masks[:, 0], chance).item()
        assert spread_of(values, probabilities).item() == pytest.approx(variance)
        assert std.item() ** 2 == pytest.approx(variance)


def test_weights_with_noise_are_those_of_least_squares_on_noisy_copies():
    X, y, p, stds = case_of("5.13")
    masks, chance = all_masks(3, p)  # a row has one of eight masks, with its probability
    rows = (masks[:, None] * X * chance.sqrt()[:, None, None]).flatten(0, 1)
    targets = (chance.sqrt()[:, None] * y).flatten()[:, None]
    found = CHECKERS["5.13"].truth(X, y, p, stds)
    assert torch.allclose(torch.linalg.lstsq(rows, targets).solution[:, 0], found[0])
    signs = 2 * (masks > 0).double() - 1  # ±stds has the mean and the covariance of the noise
    rows = (X + signs[:, None] * stds).flatten(0, 1)
    targets = y.repeat(8)[:, None]
    assert torch.allclose(torch.linalg.lstsq(rows, targets).solution[:, 0], found[1])


def test_limits_are_those_of_pytorch():
    first, second, limit = case_of("5.14")
    parameters = [nn.Parameter(g.clone()) for g in (first, second)]
    for p in parameters:
        p.grad = p.detach().clone()
    nn.utils.clip_grad_norm_(parameters, limit)
    for p, g in zip(parameters, CHECKERS["5.14"].truth(first, second, limit), strict=True):
        assert torch.allclose(p.grad, g, rtol=1e-5)
    W, limit = case_of("5.16")
    projected, bound = CHECKERS["5.16"].truth(W, limit)
    assert torch.allclose(torch.renorm(W, 2, 0, limit), projected, rtol=1e-5)
    alike = limit * nn.functional.normalize(normal(1, 5)).expand(5, 5)
    assert torch.linalg.matrix_norm(alike, 2).item() == pytest.approx(bound.item())
    assert torch.linalg.matrix_norm(torch.renorm(normal(5, 5, seed=1), 2, 0, limit), 2) < bound


def test_a_small_limit_turns_as_far_as_signs_do():
    gradient, limit = case_of("5.15")
    tiny = CHECKERS["5.15"].truth(gradient, 1e-6)
    assert tiny[0].item() == pytest.approx(tiny[1].item())
    assert tiny[1].item() == pytest.approx(angle(gradient, gradient.sign()))


def test_patience_is_that_of_a_look_back():
    rng = np.random.default_rng(0)
    for patience in (1, 2, 4):
        for _ in range(20):
            losses = rng.integers(-2, 3, 15).cumsum().tolist()
            ages = [step - losses.index(min(losses[: step + 1])) for step in range(15)]
            last = next((step for step in range(15) if ages[step] >= patience), 14)
            found = CHECKERS["5.17"].truth(losses, patience)
            assert [value.item() for value in found] == [last - ages[last], last]


# Wrong answers, and a part of the hint that each must get


def weights(change):
    """5.1: w from its gradient, w, rate, l2 and n."""

    def of(value, X, y, w, b, rate, l2):
        return change(X.T @ (X @ w + b - y) / len(y), w, rate, l2, len(y))

    return part(l2_step, 0, of)


def bias(change):
    return part(
        l2_step,
        1,
        lambda value, X, y, w, b, rate, l2: change((X @ w + b - y).mean(), b, rate, l2, len(y)),
    )


def late_bias(X, y, w, b, rate, l2):
    w = l2_step(X, y, w, b, rate, l2)[0]
    return w, l2_step(X, y, w, b, rate, l2)[1]


def pulled(change):
    return part(l1_steps, 0, lambda value, *case: change(*case))


def shrunk(change):
    """5.2: from the moved weights and the threshold."""
    return part(
        l1_steps, 1, lambda value, w, g, rate, l1: change(w - rate * g, rate * l1, w, rate * g, l1)
    )


def soft(w, threshold):
    return w.sign() * (w.abs() - threshold).clamp(min=0)


def penalty(change):
    return part(matrix_penalty, 0, lambda value, W, l2: l2 / 2 * change(W))


def slope(change):
    return part(matrix_penalty, 1, lambda value, W, l2: change(W, l2))


def chooses(how):
    """5.4: the place chosen from the errors, (penalties, 3), and ‖w‖² · λ, (penalties,)."""

    def answer(*case):
        *parts, penalties = case
        pairs = list(zip(parts[::2], parts[1::2], strict=True))
        errors = errors_of(*pairs[0], pairs, penalties)
        norms = np.array([ridge(*pairs[0], l2).square().sum() * l2 for l2 in penalties.tolist()])
        place = how(errors, norms)
        return errors[:, 0], penalties[place], errors[place, 2]

    return answer


def chosen(number, change):
    """5.4: one part from the errors, (penalties, 3), the chosen place, and the case."""

    def of(value, *case):
        pairs = list(zip(case[:6:2], case[1:6:2], strict=True))
        errors = errors_of(*pairs[0], pairs, case[6])
        return change(errors, errors[:, 1].argmin(), case)

    return part(choose, number, of)


def without_n(*case):
    scaled = case[6] / len(case[1])
    return choose(*case[:6], scaled)


def with_penalty(half):
    def change(errors, place, case):
        norms = [ridge(*case[:2], l2).square().sum() * l2 for l2 in case[6].tolist()]
        return errors[:, 0] + half * np.array(norms)

    return chosen(0, change)


def fitted_anew(errors, place, case):
    X, y = torch.cat([case[0], case[2]]), torch.cat([case[1], case[3]])
    return (case[4] @ ridge(X, y, case[6][place].item()) - case[5]).square().mean()


def for_l2(change):
    return part(map_penalties, 0, lambda value, n, noise, spread: change(n, noise, spread))


def for_l1(change):
    return part(map_penalties, 1, lambda value, n, noise, spread: change(n, noise, spread))


def by_dimension(module, decay):
    matrices = [p for p in module.parameters() if p.ndim > 1]
    rest = [p for p in module.parameters() if p.ndim <= 1]
    return [{"params": matrices, "weight_decay": decay}, {"params": rest, "weight_decay": 0.0}]


def by_name(module, decay, word="weight"):
    named = list(module.named_parameters())
    one, two = ([p for name, p in named if (word in name) == on] for on in (True, False))
    return [{"params": one, "weight_decay": decay}, {"params": two, "weight_decay": 0.0}]


def regrouped(change):
    def answer(module, decay):
        groups = decay_groups(module, decay)
        change(groups)
        return groups

    return answer


def adams(number, change):
    return part(two_adams, number, lambda value, *case: change(*case))


def uncorrected(g, m, v, rate, correct=lambda beta: 1.0, betas=(0.9, 0.999), root=0.5):
    m = betas[0] * m + (1 - betas[0]) * g
    v = betas[1] * v + (1 - betas[1]) * g**2
    return rate * m / correct(betas[0]) / ((v / correct(betas[1])) ** root + 1e-8)


def both_adams(**changes):
    """5.7: the same mistake in both; `correct` may know t."""

    def answer(w, gradient, m, v, t, rate, decay):
        options = {"correct": lambda beta: 1 - beta**t, **changes}
        if "behind" in options:
            del options["behind"]
            options["correct"] = lambda beta: 1 - beta ** (t - 1) if t > 1 else 1.0
        coupled = w - uncorrected(gradient + decay * w, m, v, rate, **options)
        return coupled, (1 - rate * decay) * w - uncorrected(gradient, m, v, rate, **options)

    return answer


def plain_adam(w, gradient, m, v, t, rate, decay):
    return w - adam_step(w, gradient, m, v, t, rate)


def penalty_in_mean_alone(w, gradient, m, v, t, rate, decay):
    mean = (0.9 * m + 0.1 * (gradient + decay * w)) / (1 - 0.9**t)
    square = (0.999 * v + 0.001 * gradient**2) / (1 - 0.999**t)
    return w - rate * mean / (square.sqrt() + 1e-8)


def decay_over_root(w, gradient, m, v, t, rate, decay):
    root = ((0.999 * v + 0.001 * gradient**2) / (1 - 0.999**t)).sqrt() + 1e-8
    return plain_adam(w, gradient, m, v, t, rate, decay) - rate * decay * w / root


def drops(change):
    """5.8: in training, from x, p and what stays."""
    return lambda x, p, training, u: change(x, p, u >= p) if training else x


def evaluates(change):
    return lambda x, p, training, u: dropout(x, p, True, u) if training else change(x, p, u)


def spread(number, change):
    return part(layer_spread, number, lambda value, h, p, depth: change(h, p, depth))


def output(change):
    return part(switched, 0, lambda value, h, W, v, p1, p2: change(h, W, v, *odds(p1, p2)))


def odds(*rates):
    return [p / (1 - p) for p in rates]


def apart(h, W, v):
    """What each layer's masks do to the output alone, and what the second do to the first's."""
    first, second = ((v @ W) * h) ** 2, (v * (W @ h)) ** 2
    return first.sum(), second.sum(), ((W * h) ** 2 * v[:, None] ** 2).sum()


def covariance(number, change):
    return part(noise_covariance, number, lambda value, W, h, p: change(W, h, p))


def chances(target, mean=1.0):
    """5.12: for another mean square."""

    def answer(value, p, gamma):
        rows = np.array([[1, 1, 1], [0, gamma / 2, gamma], [0, gamma**2 / 4, gamma**2]])
        return np.linalg.solve(rows, [1, mean if mean == 1 else 1 - p, target(p)])

    return part(other_noise, 0, answer)


def kept_chance(value, p, gamma):
    rows = np.array([[1, 1, 1], [0, gamma / 2, gamma], [1, 0, 0]])
    return np.linalg.solve(rows, [1, 1, p])


def normal_noise(change):
    return part(other_noise, 1, lambda value, p, gamma: change(p))


def by_masks(change):
    return part(
        fit_with_noise, 0, lambda v, X, y, p, stds: augmented(X, y, change(p, (X * X).mean(0)))
    )


def by_noise(change):
    return part(
        fit_with_noise, 1, lambda v, X, y, p, stds: augmented(X, y, change(stds, (X * X).mean(0)))
    )


def least_squares(value, X, y, p, stds):
    return torch.linalg.lstsq(X, y[:, None]).solution[:, 0]


def coupled(value, X, y, p, stds):
    return least_squares(None, X, y, p, stds) * (1 - p)  # XᵀX/(1 − p) w = Xᵀy


def scaled(factor):
    def answer(first, second, limit):
        norm = torch.cat([first.flatten(), second.flatten()]).norm()
        return [g * factor(norm, limit, first, second) for g in (first, second)]

    return answer


def turned(number, change):
    return part(turn, number, lambda value, gradient, limit: change(value, gradient, limit))


def rows(change):
    return part(project, 0, lambda value, W, limit: change(W, W.norm(dim=1, keepdim=True), limit))


def bound(change):
    return part(project, 1, lambda value, W, limit: change(W, limit))


def patient(bad, losses, patience, reset=True):
    best = count = 0
    for step in range(1, len(losses)):
        count = count + 1 if bad(losses, step, best) else count * (not reset)
        best = step if losses[step] < losses[best] else best
        if count == patience:
            return best, step
    return best, len(losses) - 1


def no_better(losses, step, best):
    return losses[step] >= losses[best]


WRONG = [
    ("5.1", weights(lambda g, w, r, l2, n: w - r * g), "there is no penalty in them"),
    ("5.1", weights(lambda g, w, r, l2, n: w - r * (g + 2 * l2 * w)), "becomes of the ½"),
    ("5.1", weights(lambda g, w, r, l2, n: w - r * (g + l2 * w / n)), "outside the mean"),
    ("5.1", weights(lambda g, w, r, l2, n: w - r * (g - l2 * w)), "makes them longer"),
    ("5.1", weights(lambda g, w, r, l2, n: (1 - l2) * w - r * g), "rate is missing before its"),
    ("5.1", weights(lambda g, w, r, l2, n: (1 - r * l2) * (w - r * g)), "shrank after it"),
    ("5.1", weights(lambda g, w, r, l2, n: w - r * (n * g + l2 * w)), "the loss is a mean"),
    ("5.1", weights(lambda g, w, r, l2, n: w - r * (2 * g + l2 * w)), "twice as steep"),
    ("5.1", weights(lambda g, w, r, l2, n: w + r * (g + l2 * w)), "uphill"),
    ("5.1", lambda X, y, w, b, r, l2: l2_step(X, y, w, 0.0, r, l2), "b is missing"),
    ("5.1", bias(lambda g, b, r, l2, n: b - r * (g + l2 * b)), "no sign of complexity"),
    ("5.1", bias(lambda g, b, r, l2, n: b), "has not moved"),
    ("5.1", late_bias, "all move at once"),
    ("5.1", bias(lambda g, b, r, l2, n: b - r * n * g), "the loss is a mean"),
    ("5.1", bias(lambda g, b, r, l2, n: b + r * g), "uphill"),
    ("5.2", pulled(lambda w, g, r, l1: (1 - r * l1) * w - r * g), "that is L2"),
    ("5.2", pulled(lambda w, g, r, l1: w - r * (g + l1 * w.abs())), "the penalty itself"),
    ("5.2", pulled(lambda w, g, r, l1: w - r * g + r * l1 * w.sign()), "away from 0"),
    ("5.2", pulled(lambda w, g, r, l1: w - r * g - l1 * w.sign()), "before the penalty's slope"),
    ("5.2", pulled(lambda w, g, r, l1: w - r * (g + 0.5 * l1 * w.sign())), "no ½"),
    (
        "5.2",
        pulled(lambda w, g, r, l1: w - r * (g + l1 * (2 * (w >= 0).double() - 1))),
        "a weight that is 0 is pulled",
    ),
    (
        "5.2",
        pulled(lambda w, g, r, l1: w - r * g - r * l1 * (w - r * g).sign()),
        "after the gradient's step",
    ),
    ("5.2", pulled(lambda *case: l1_steps(*case)[1]), "this is the proximal step"),
    ("5.2", lambda *case: (l1_steps(*case)[0],) * 2, "subgradient step once more"),
    ("5.2", shrunk(lambda u, t, w, g, l1: soft(u, l1)), "same for every learning rate"),
    ("5.2", shrunk(lambda u, t, w, g, l1: u * (u.abs() > t)), "large ones were not moved"),
    ("5.2", shrunk(lambda u, t, w, g, l1: u - t * u.sign()), "to the other side"),
    ("5.2", shrunk(lambda u, t, w, g, l1: soft(w, t) - g), "the threshold came first"),
    (
        "5.2",
        shrunk(lambda u, t, w, g, l1: w.sign() * (u.abs() - t).clamp(min=0)),
        "changed sides",
    ),
    ("5.2", shrunk(lambda u, t, w, g, l1: u - soft(u, t)), "takes away, not what it leaves"),
    ("5.3", penalty(lambda W: W.norm()), "the norm is not squared"),
    ("5.3", penalty(lambda W: 2 * (W * W).sum()), "the ½ is missing"),
    ("5.3", penalty(lambda W: torch.linalg.matrix_norm(W, 2) ** 2), "largest singular value"),
    ("5.3", penalty(lambda W: torch.linalg.matrix_norm(W, "nuc")), "and not their squares"),
    ("5.3", penalty(lambda W: W.abs().sum()), "that is L1"),
    ("5.3", penalty(lambda W: (W * W).mean()), "a mean over the entries"),
    ("5.3", lambda W, l2: (l2 / 2 * (W @ W).trace(), l2 * W), "one must be transposed"),
    ("5.3", slope(lambda W, l2: 2 * l2 * W), "becomes of the ½"),
    ("5.3", slope(lambda W, l2: l2 / 2 * W / W.norm()), "its square has another"),
    ("5.3", slope(lambda W, l2: W), "l2 is missing"),
    ("5.3", slope(lambda W, l2: l2 * W.T), "it is transposed"),
    ("5.3", slope(lambda W, l2: l2 * W.sign()), "these are the signs"),
    ("5.4", with_penalty(1.0), "no part of how wrong"),
    ("5.4", with_penalty(0.5), "no part of how wrong"),
    ("5.4", without_n, "n times too small"),
    ("5.4", chosen(0, lambda errors, place, case: errors[:, 0] / 2), "halves of them"),
    ("5.4", chosen(0, lambda errors, place, case: 9 * errors[:, 0]), "added up, not averaged"),
    ("5.4", chosen(0, lambda errors, place, case: errors[:, 2]), "errors on the test part"),
    ("5.4", chosen(0, lambda errors, place, case: errors[:, 1]), "errors on the validation part"),
    ("5.4", chooses(lambda errors, norms: errors[:, 0].argmin()), "no penalty at all"),
    ("5.4", chooses(lambda errors, norms: errors[:, 2].argmin()), "judge nothing after"),
    ("5.4", chooses(lambda errors, norms: (errors[:, 1] + norms).argmin()), "asks for less"),
    ("5.4", chooses(lambda errors, norms: (errors[:, 1] + norms / 2).argmin()), "asks for less"),
    ("5.4", chosen(1, lambda errors, place, case: place), "its place in"),
    ("5.4", chosen(2, lambda errors, place, case: errors[place, 1]), "chosen for that"),
    ("5.4", chosen(2, lambda errors, place, case: errors[place, 0]), "error on the training part"),
    ("5.4", chosen(2, lambda errors, place, case: errors[:, 2].min()), "smallest test error of"),
    ("5.4", chosen(2, fitted_anew), "fitted anew"),
    ("5.4", chosen(2, lambda errors, place, case: errors[place, 2] / 2), "this is half of it"),
    ("5.5", for_l2(lambda n, s, t: (s / t) ** 2), "n is missing"),
    ("5.5", for_l2(lambda n, s, t: s / t / n), "where variances should"),
    ("5.5", for_l2(lambda n, s, t: (t / s) ** 2 / n), "upside down"),
    ("5.5", for_l2(lambda n, s, t: n * (s / t) ** 2), "it grows with n"),
    ("5.5", for_l2(lambda n, s, t: (s / t) ** 2 / n / 2), "half as large"),
    ("5.5", for_l2(lambda n, s, t: t**-2 / n), "the noise is missing"),
    ("5.5", for_l1(lambda n, s, t: s * s / t / n), "not the scale in the density"),
    ("5.5", for_l1(lambda n, s, t: s * s / t / n / 2**0.5), "the other way round"),
    ("5.5", for_l1(lambda n, s, t: 2**0.5 * s * s / t**2 / n), "the unit of the weights"),
    ("5.5", for_l1(lambda n, s, t: 2**0.5 * s * s / t), "n is missing"),
    ("5.5", for_l1(lambda n, s, t: 2**0.5 * s / t / n), "the noise is not squared"),
    ("5.5", lambda *case: (map_penalties(*case)[0],) * 2, "this is the L2 penalty"),
    ("5.6", by_dimension, "does not make it a matrix between units"),
    ("5.6", by_name, "a gain or slope, one of BatchNorm2d"),
    ("5.6", lambda m, decay: by_name(m, decay, ""), "bias decays: it is a bias"),
    ("5.6", lambda m, decay: by_name(m, decay, "none"), "does not decay: it has the weights of"),
    ("5.6", lambda m, decay: decay_groups(m, decay / 2), "not as strongly"),
    ("5.6", lambda m, decay: decay_groups(m, decay)[:1], "is in no group"),
    ("5.6", regrouped(lambda g: g[1]["params"].extend(g[0]["params"])), "in the groups twice"),
    ("5.6", regrouped(lambda g: g[1].pop("weight_decay")), "optimizer's own decay"),
    ("5.6", regrouped(lambda g: g[1]["params"].append(torch.zeros(3))), "is no parameter of"),
    ("5.6", lambda m, decay: decay_groups(m, decay)[0]["params"], "as optimizers take them"),
    ("5.6", lambda m, decay: decay_groups(m, decay, nn.Linear), "the weights of Conv2d"),
    ("5.7", both_adams(correct=lambda beta: 1.0), "bias correction is missing"),
    ("5.7", both_adams(behind=True), "one step behind"),
    ("5.7", both_adams(root=1), "root is missing"),
    ("5.7", both_adams(betas=(0.999, 0.9)), "betas are exchanged"),
    ("5.7", lambda *case: (two_adams(*case)[1],) * 2, "this is AdamW"),
    ("5.7", adams(0, penalty_in_mean_alone), "not into the mean of the squares"),
    ("5.7", adams(0, plain_adam), "no penalty in it"),
    ("5.7", lambda *case: (two_adams(*case)[0],) * 2, "this is Adam with L2"),
    ("5.7", adams(1, plain_adam), "do not decay"),
    ("5.7", adams(1, lambda *case: plain_adam(*case) - case[6] * case[0]), "not multiplied by"),
    (
        "5.7",
        adams(1, lambda *case: plain_adam(*case) + case[5] * case[6] * case[0]),
        "weights grow",
    ),
    (
        "5.7",
        adams(1, lambda *case: (1 - case[5] * case[6]) * plain_adam(*case)),
        "shrink after the step",
    ),
    ("5.7", adams(1, decay_over_root), "then it is not decoupled"),
    ("5.8", drops(lambda x, p, stays: x * stays), "as they were"),
    ("5.8", drops(lambda x, p, stays: x * stays / p if p else 0 * x), "the probability to go"),
    ("5.8", drops(lambda x, p, stays: x * stays * (1 - p)), "should be divided"),
    (
        "5.8",
        drops(lambda x, p, stays: x * stays / stays.double().mean().clamp(min=0.01)),
        "that this mask has kept",
    ),
    ("5.8", lambda x, p, on, u: x * (u < p) / max(1 - p, 1e-9) if on else x, "wrong ones are"),
    ("5.8", lambda x, p, on, u: x * (u > p) / max(1 - p, 1e-9) if on else x, "u may be 0"),
    ("5.8", drops(lambda x, p, stays: x * stays / (1 - torch.tensor(p))), "what is 0/0"),
    ("5.8", evaluates(lambda x, p, u: dropout(x, p, True, u)), "in evaluation, too, units are"),
    ("5.8", evaluates(lambda x, p, u: x * (1 - p)), "scaled once more"),
    ("5.8", evaluates(lambda x, p, u: x / (1 - p)), "nothing was dropped there"),
    ("5.9", spread(0, lambda h, p, d: h.var(0)), "the unbiased one"),
    ("5.9", spread(0, lambda h, p, d: h.var(1, correction=0)), "goes over the units"),
    ("5.9", spread(0, lambda h, p, d: (h**2).mean(0)), "mean has not been taken off"),
    ("5.9", spread(0, lambda h, p, d: h.std(0, correction=0)), "are standard deviations"),
    ("5.9", spread(1, lambda h, p, d: h.var(0, correction=0)), "as without dropout"),
    ("5.9", spread(1, lambda h, p, d: (1 - p) * h.var(0, correction=0)), "smaller than without"),
    ("5.9", spread(1, lambda h, p, d: h.var(0, correction=0) / (1 - p)), "right for units of mean"),
    (
        "5.9",
        spread(1, lambda h, p, d: h.var(0, correction=0) + p * (1 - p) * (h * h).mean(0)),
        "that of a 0 or 1",
    ),
    ("5.9", spread(1, lambda h, p, d: p / (1 - p) * (h * h).mean(0)), "noise of the masks alone"),
    ("5.9", spread(1, lambda h, p, d: (h * h).mean(0) / (1 - p)), "mean has not been taken off"),
    ("5.9", spread(2, lambda h, p, d: (1 - p) ** d), "it shrinks"),
    ("5.9", spread(2, lambda h, p, d: (1 - p) ** (-d / 2)), "growth of its root"),
    ("5.9", spread(2, lambda h, p, d: 1 / (1 - p)), "of one layer"),
    ("5.9", spread(2, lambda h, p, d: 1 + d * p / (1 - p)), "shares are added"),
    ("5.9", spread(2, lambda h, p, d: 1), "the mean square does not"),
    (
        "5.10",
        output(lambda h, W, v, a, b: a * apart(h, W, v)[0] + b * apart(h, W, v)[1]),
        "noisy already",
    ),
    ("5.10", output(lambda h, W, v, a, b: a * apart(h, W, v)[0]), "first masks alone"),
    ("5.10", output(lambda h, W, v, a, b: b * apart(h, W, v)[1]), "second masks alone"),
    ("5.10", output(lambda h, W, v, a, b: a * b * apart(h, W, v)[2]), "ones' noise, alone"),
    (
        "5.10",
        part(switched, 0, lambda value, h, W, v, *p: value + (v @ W @ h) ** 2),
        "squared mean has not",
    ),
    (
        "5.10",
        output(lambda h, W, v, a, b: ((1 + a) * (1 + b) - 1) * (v @ W @ h) ** 2),
        "share one mask",
    ),
    (
        "5.10",
        part(
            switched,
            0,
            lambda value, h, W, v, p, q: sum(
                x * y
                for x, y in zip(
                    (p * (1 - p), q * (1 - q), p * (1 - p) * q * (1 - q)),
                    apart(h, W, v),
                    strict=True,
                )
            ),
        ),
        "that of a 0 or 1",
    ),
    ("5.10", part(switched, 0, lambda value, *case: value**0.5), "this is its root"),
    ("5.10", lambda *case: switched(*case)[::-1], "with the rates switched"),
    ("5.10", lambda *case: (switched(*case)[0],) * 2, "as sensitive to both"),
    ("5.11", lambda *case: (noise_covariance(*case)[1],) * 2, "who notices"),
    (
        "5.11",
        covariance(0, lambda W, h, p: p / (1 - p) * torch.outer(W @ h, W @ h)),
        "share one mask",
    ),
    (
        "5.11",
        part(noise_covariance, 0, lambda v, W, h, p: v + torch.outer(W @ h, W @ h)),
        "the mean has not",
    ),
    (
        "5.11",
        covariance(0, lambda W, h, p: p * (1 - p) * W @ torch.diag(h * h) @ W.T),
        "that of a 0 or 1",
    ),
    ("5.11", covariance(0, lambda W, h, p: p / (1 - p) * W @ W.T), "h is missing"),
    ("5.11", covariance(0, lambda W, h, p: p / (1 - p) * W @ torch.diag(h) @ W.T), "not squared"),
    ("5.11", lambda *case: (noise_covariance(*case)[0],) * 2, "has masks of its own"),
    (
        "5.11",
        part(noise_covariance, 1, lambda v, W, h, p: v + torch.outer(W @ h, W @ h)),
        "squares of the mean",
    ),
    (
        "5.11",
        covariance(1, lambda W, h, p: p * (1 - p) * torch.diag(W**2 @ h**2)),
        "that of a 0 or 1",
    ),
    ("5.11", part(noise_covariance, 1, lambda v, *case: v.sqrt()), "are standard deviations"),
    ("5.12", part(other_noise, 0, lambda v, *case: v[::-1].copy()), "in the other order"),
    ("5.12", chances(lambda p: p / (1 - p)), "*mean square* has the value"),
    ("5.12", chances(lambda p: 1 + p * (1 - p)), "is that of a mask of 0 and 1"),
    ("5.12", chances(lambda p: 1 - p, mean=0), "its mean is not 1"),
    ("5.12", part(other_noise, 0, kept_chance), "as likely as in dropout"),
    ("5.12", normal_noise(lambda p: p / (1 - p)), "this is the variance"),
    ("5.12", normal_noise(lambda p: (p - p * p) ** 0.5), "this is that of a mask of 0 and 1"),
    ("5.12", normal_noise(lambda p: (1 - p) ** -0.5), "root of the mean square"),
    ("5.12", normal_noise(lambda p: p), "probability to drop"),
    ("5.13", by_masks(lambda p, q: p / (1 - p) * torch.ones(3)), "column of large numbers"),
    ("5.13", by_masks(lambda p, q: p * q), "p times the mean square"),
    ("5.13", by_masks(lambda p, q: p * (1 - p) * q), "that of a 0 or 1"),
    ("5.13", part(fit_with_noise, 0, coupled), "couples the columns"),
    (
        "5.13",
        part(
            fit_with_noise,
            0,
            lambda v, X, y, p, s: augmented(X, y, p / (1 - p) * (X * X).mean(0) / len(y)),
        ),
        "n times too small",
    ),
    ("5.13", part(fit_with_noise, 0, least_squares), "those of least squares"),
    ("5.13", by_noise(lambda s, q: s), "are not squared"),
    ("5.13", by_noise(lambda s, q: (s @ s / 3).expand(3)), "not all columns"),
    (
        "5.13",
        part(fit_with_noise, 1, lambda v, X, y, p, s: augmented(X, y, s**2 / len(y))),
        "n times too small",
    ),
    ("5.13", by_noise(lambda s, q: s * s / 2), "halved once more"),
    ("5.13", by_noise(lambda s, q: s * s * q), "it is added to them"),
    ("5.13", part(fit_with_noise, 1, least_squares), "those of least squares"),
    (
        "5.14",
        lambda a, b, c: [g * min(1, c / max(float(g.norm()), 1e-9)) for g in (a, b)],
        "by its own norm",
    ),
    ("5.14", lambda a, b, c: (a.clip(-c, c), b.clip(-c, c)), "clipping by value"),
    (
        "5.14",
        scaled(lambda n, c, a, b: min(1, c / max(float(a.norm() + b.norm()), 1e-9))),
        "the tensors were added",
    ),
    ("5.14", scaled(lambda n, c, a, b: (c / n.clamp(min=1e-9) ** 2).clamp(max=1)), "square of the"),
    ("5.14", lambda a, b, c: (a, b), "nothing has been clipped"),
    ("5.14", scaled(lambda n, c, a, b: c / n.clamp(min=1e-9)), "made longer"),
    ("5.14", scaled(lambda n, c, a, b: 1 / n if n > c else 1), "whatever the limit"),
    (
        "5.14",
        scaled(lambda n, c, a, b: torch.minimum(n, torch.tensor(c)) / n),
        "norm of a gradient",
    ),
    ("5.15", turned(0, lambda value, *case: math.radians(value)), "in radians"),
    ("5.15", turned(0, lambda value, *case: math.cos(math.radians(value))), "its cosine"),
    ("5.15", turned(0, lambda *case: 0.0), "clipping by norm"),
    ("5.15", turned(0, lambda v, g, c: angle(g, g.clip(max=c))), "below −limit"),
    ("5.15", lambda *case: (turn(*case)[1],) * 2, "that for small limits"),
    ("5.15", turned(1, lambda value, *case: math.radians(value)), "in radians"),
    ("5.15", turned(1, lambda value, *case: math.cos(math.radians(value))), "its cosine"),
    ("5.15", turned(1, lambda *case: 0.0), "direction does not vanish"),
    ("5.15", turned(1, lambda v, g, c: angle(g, torch.ones_like(g))), "the same sign"),
    ("5.15", lambda *case: (turn(*case)[0],) * 2, "limit that was given"),
    ("5.16", part(project, 0, lambda v, W, c: torch.renorm(W, 2, 1, c)), "columns have been"),
    ("5.16", rows(lambda W, n, c: c * W / n.clamp(min=1e-9)), "rows that were short enough"),
    ("5.16", rows(lambda W, n, c: W * min(1, c / float(W.norm()))), "the whole matrix"),
    ("5.16", rows(lambda W, n, c: W.clip(-c, c)), "single entries"),
    ("5.16", rows(lambda W, n, c: torch.where(n > c, c * W / n**2, W)), "square of their length"),
    ("5.16", rows(lambda W, n, c: torch.where(n > c, W / n, W)), "of length 1 now"),
    ("5.16", rows(lambda W, n, c: W / n * n.clamp(max=c)), "row of zeros"),
    ("5.16", bound(lambda W, c: c), "rows that agree"),
    ("5.16", bound(lambda W, c: 2 * c), "*random* rows"),
    ("5.16", bound(lambda W, c: c * W.shape[1] ** 0.5), "the rows count"),
    ("5.16", bound(lambda W, c: c * len(W)), "vector of equal"),
    (
        "5.16",
        bound(lambda W, c: torch.linalg.matrix_norm(torch.renorm(W, 2, 0, c), 2)),
        "what the projected matrix does",
    ),
    (
        "5.17",
        part(stop_early, 0, lambda v, losses, k: losses.index(min(losses))),
        "beyond the stop",
    ),
    ("5.17", lambda *case: (stop_early(*case)[1],) * 2, "better ones were on the way"),
    (
        "5.17",
        lambda *case: patient(lambda losses, s, b: losses[s] >= losses[s - 1], *case),
        "from one step to the next",
    ),
    ("5.17", lambda *case: patient(no_better, *case, reset=False), "starts the count anew"),
    ("5.17", lambda losses, k: stop_early(losses, k + 1), "one step too late"),
    ("5.17", lambda losses, k: stop_early(losses, k - 1), "one step too early"),
    (
        "5.17",
        lambda *case: patient(lambda losses, s, b: losses[s] > losses[b], *case),
        "taken for progress",
    ),
]

SPOILERS = (".sign(", "clamp", ".norm(", "1 - p", "argmin", "torch.", "isinstance", "sqrt", "λw")
