"""The fit trains as it says: gradients, penalties, dropout and clip, against other programs."""

import itertools
from dataclasses import replace

import numpy as np
import pytest
import torch
from sklearn.linear_model import ElasticNet

from d2lstab.regularization.clipping import clip_by_norm
from d2lstab.regularization.dropout import mask
from d2lstab.regularization.exact import exact_weights
from d2lstab.regularization.fit import GRID, MOMENTUM, TRUTH, FitSpec, fit
from d2lstab.regularization.models import Network, Polynomial, chebyshev
from d2lstab.regularization.penalties import lasso, ridge, soft_threshold

ALL_AT_ONCE = FitSpec(
    degree=4, width=6, examples=9, l1=0.02, l2=0.05, dropout=0.3, clip=0.3, steps=30, seed=3
)


def model_of(spec):
    inputs, _ = spec.data()
    return (
        Network(inputs, spec.width) if spec.model == "network" else Polynomial(inputs, spec.degree)
    )


def centred(spec):
    """Features and targets less their means, of numpy's own polynomials."""
    inputs, targets = spec.data()
    features = np.polynomial.chebyshev.chebvander(inputs, spec.degree)[:, 1:]
    return features - features.mean(0), targets - targets.mean()


def by_torch(spec, parameters, x, kept=1.0):
    """f(x) by PyTorch's own layers and polynomials, for parameters as the models hold them."""
    if spec.model == "network":
        v, a, c = parameters[:-1].reshape(3, -1)
        units = torch.nn.functional.linear(x[:, None], a[:, None], c).tanh()
        return (units * kept) @ v / spec.width**0.5 + parameters[-1]
    seen = torch.from_numpy(spec.data()[0])
    degrees = torch.arange(1, spec.degree + 1)
    of = torch.special.chebyshev_polynomial_t
    features = of(x[:, None], degrees) - of(seen[:, None], degrees).mean(0)
    return (features * kept) @ parameters[:-1] + parameters[-1]


def replay(spec):
    """The parameters after each step and how many were clipped, written out in PyTorch."""
    x, y = map(torch.from_numpy, spec.data())
    model = model_of(spec)
    now = before = torch.from_numpy(model.start(spec.seed))
    shape = spec.steps, spec.examples, model.dropped
    generator = torch.Generator().manual_seed(spec.seed + 1)
    masks = mask(torch.ones(shape, dtype=torch.float64), spec.dropout, generator)
    visited, clipped = [], 0
    for k in range(spec.steps):
        rate = spec.learning_rate * min(1, 2 - 2 * k / spec.steps)
        ahead = (now + MOMENTUM * (now - before)).requires_grad_()
        loss = (by_torch(spec, ahead, x, masks[k]) - y).square().mean() / 2
        (gradient,) = torch.autograd.grad(loss, ahead)
        (used,) = clip_by_norm([gradient], spec.clip)
        clipped += not torch.equal(used, gradient)
        stepped = ahead.detach() - rate * used
        weights, biases = stepped[: model.decayed], stepped[model.decayed :]
        weights = soft_threshold(weights, rate * spec.l1) / (1 + rate * spec.l2)
        before, now = now, torch.cat([weights, biases])
        visited.append(now)
    return torch.stack(visited), clipped


@pytest.mark.parametrize("name", ["polynomial", "network"])
def test_the_gradient_is_that_of_autograd(name):
    spec = replace(ALL_AT_ONCE, model=name)
    model, (inputs, targets) = model_of(spec), spec.data()
    rng = np.random.default_rng(0)
    parameters = rng.normal(size=len(model.start(0)))
    masks = None, rng.integers(0, 2, size=(spec.examples, model.dropped)) * 2.0
    for kept in masks:
        leaf = torch.from_numpy(parameters).requires_grad_()
        curve = by_torch(
            spec, leaf, torch.from_numpy(inputs), 1 if kept is None else torch.tensor(kept)
        )
        loss = (curve - torch.from_numpy(targets)).square().mean() / 2
        loss.backward()
        np.testing.assert_allclose(model.gradient(parameters, targets, kept), leaf.grad, rtol=1e-9)
    twice = model.curves(np.stack([parameters, -parameters]), GRID)
    expected = by_torch(spec, torch.from_numpy(parameters), torch.from_numpy(GRID))
    np.testing.assert_allclose(twice[0], expected, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("name", ["polynomial", "network"])
def test_each_step_is_backpropagated_clipped_and_shrunk(name):
    spec = replace(ALL_AT_ONCE, model=name)
    trained, (visited, clipped) = fit(spec), replay(spec)
    weights = visited[-1, : model_of(spec).decayed]
    np.testing.assert_allclose(trained.weights, weights, rtol=1e-7, atol=1e-12)
    assert trained.zeros == (weights == 0).sum() and 0 < clipped < spec.steps
    assert trained.clipped == clipped / spec.steps
    assert trained.steps[0] == 1 and trained.steps[-1] == spec.steps
    x, y = map(torch.from_numpy, spec.data())
    errors = zip(trained.steps, trained.train_errors, trained.test_errors, strict=True)
    for step, train, test in errors:
        after = visited[step - 1]
        assert train == pytest.approx((by_torch(spec, after, x) - y).square().mean() ** 0.5)
        risk = (by_torch(spec, after, torch.from_numpy(GRID)).numpy() - TRUTH) ** 2
        assert test == pytest.approx((risk.mean() + spec.noise**2) ** 0.5)


def test_the_test_error_is_that_on_new_noisy_examples():
    trained = fit(FitSpec(degree=9))
    new = TRUTH + 0.3 * np.random.default_rng(1).normal(size=(2000, len(GRID)))
    drawn = ((trained.curve - new) ** 2).mean() ** 0.5
    assert trained.test_errors[-1] == pytest.approx(drawn, rel=0.01)


@pytest.mark.parametrize("degree", [3, 15, 30])  # with 20 examples
def test_without_l1_training_ends_at_ridge(degree):
    spec = FitSpec(degree=degree, l2=0.05, steps=600)
    trained, expected = fit(spec), ridge(*map(torch.from_numpy, centred(spec)), 0.05)
    np.testing.assert_allclose(trained.weights, expected, atol=1e-6)
    np.testing.assert_allclose(trained.exact_weights, expected, atol=1e-9)
    assert trained.distance < 1e-5


@pytest.mark.parametrize("l2", [0.0, 0.1])
def test_with_l1_training_ends_at_the_lasso_with_its_exact_zeros(l2):
    spec = FitSpec(degree=10, l1=0.05, l2=l2, steps=600)
    trained, expected = fit(spec), lasso(*map(torch.from_numpy, centred(spec)), 0.05, l2)
    np.testing.assert_allclose(trained.weights, expected, atol=1e-6)
    assert trained.zeros == (expected == 0).sum() > 3
    assert ((trained.weights == 0) == (trained.exact_weights == 0)).all()


def test_where_many_polynomials_fit_training_ends_at_the_shortest_weights():
    trained = fit(FitSpec(degree=30, examples=8, noise=0.0, steps=600))
    shortest = np.linalg.lstsq(*centred(trained.spec), rcond=None)[0]
    np.testing.assert_allclose(trained.weights, shortest, atol=1e-6)


@pytest.mark.parametrize("degree", [5, 19, 30, 60])
@pytest.mark.parametrize(("l1", "l2"), [(0.003, 0.0), (0.03, 0.0), (0.1, 0.02), (0.0, 0.3)])
def test_the_exact_weights_are_those_of_scikit_learn(degree, l1, l2):
    features, targets = centred(FitSpec(degree=degree, seed=degree))
    weights = exact_weights(features, targets, l1, l2)
    model = ElasticNet(alpha=l1 + l2, l1_ratio=l1 / (l1 + l2), tol=1e-10, max_iter=100_000)

    def objective(w):
        return ((features @ w - targets) ** 2).mean() / 2 + l1 * abs(w).sum() + l2 / 2 * w @ w

    expected = by_equations(features, targets, l2)
    if l1:
        expected = model.fit(features, targets).coef_
    # where the features outnumber the examples, other weights may be as good
    assert objective(weights) == pytest.approx(objective(expected), rel=1e-6)
    if degree < 19:
        np.testing.assert_allclose(weights, expected, atol=1e-5)


def by_equations(features, targets, l2):
    """Ridge; of no use without l2."""
    n, width = features.shape
    gram = features.T @ features / n + l2 * np.eye(width)
    return np.linalg.lstsq(gram, features.T @ targets / n, rcond=None)[0]


@pytest.mark.parametrize("l1", [0.0, 0.05])
def test_with_dropout_the_exact_weights_are_best_on_the_mean_over_all_masks(l1):
    features, targets = centred(FitSpec(degree=3, examples=6))
    kept = torch.tensor(list(itertools.product((0.0, 1.0), repeat=3)), dtype=torch.float64)
    chance = 0.6 ** kept.sum(1) * 0.4 ** (3 - kept.sum(1))  # p = 0.4
    weights = exact_weights(features, targets, l1, 0.1, 0.4)
    leaf = torch.from_numpy(weights).requires_grad_()
    outputs = (torch.from_numpy(features)[:, None] * kept / 0.6) @ leaf  # (examples, masks)
    error = (outputs - torch.from_numpy(targets)[:, None]).square() @ chance
    (error.mean() / 2 + 0.05 * leaf @ leaf).backward()
    on = weights != 0
    assert on.any() and on.all() == (l1 == 0)
    np.testing.assert_allclose(leaf.grad[on], -l1 * np.sign(weights[on]), atol=1e-7)
    assert (abs(leaf.grad[~on]) <= l1).all()


def test_training_with_dropout_goes_to_its_exact_weights():
    trained = fit(FitSpec(degree=4, dropout=0.4, steps=3000))
    plain = exact_weights(*centred(trained.spec))
    gap = np.linalg.norm(trained.exact_weights - plain)
    assert np.linalg.norm(trained.weights - trained.exact_weights) < gap / 3


def test_the_condition_numbers_are_those_of_the_centred_columns():
    spec = FitSpec(degree=9)
    trained, (inputs, _) = fit(spec), spec.data()
    powers = inputs[:, None] ** np.arange(1, 10)
    assert trained.condition == pytest.approx(np.linalg.cond(centred(spec)[0]))
    assert trained.monomial_condition == pytest.approx(np.linalg.cond(powers - powers.mean(0)))
    assert trained.monomial_condition > 30 * trained.condition
    few = fit(FitSpec(degree=30, examples=5))
    singular = np.linalg.svd(centred(few.spec)[0], compute_uv=False)
    assert few.condition == pytest.approx(singular[0] / singular[3])


def test_the_polynomials_are_numpys():
    x = np.linspace(-1, 1, 7)
    expected = np.polynomial.chebyshev.chebvander(x, 30)[:, 1:]
    np.testing.assert_allclose(chebyshev(x, 30), expected, atol=1e-12)


def test_the_examples_are_spread_and_the_noise_scales():
    (inputs, loud), (_, silent) = FitSpec(noise=0.6).data(), FitSpec(noise=0.0).data()
    assert (np.floor((inputs + 1) * 10) == np.arange(20)).all()
    np.testing.assert_allclose(silent, np.sin(np.pi * inputs))
    np.testing.assert_allclose(loud - silent, 2 * (FitSpec(noise=0.3).data()[1] - silent))
    noise = (
        FitSpec(examples=1000, noise=1.0).data()[1] - FitSpec(examples=1000, noise=0.0).data()[1]
    )
    assert abs(noise.mean()) < 0.15 and noise.std() == pytest.approx(1, abs=0.1)
    drawn = ((loud - silent) ** 2).mean() ** 0.5
    assert fit(FitSpec(noise=0.6)).true_train_error == pytest.approx(drawn)


@pytest.mark.parametrize(
    ("kind", "changes"),
    [
        ("fine", dict(degree=5)), ("underfitting", dict(degree=1)), ("overfitting", {}),
        ("underfitting", dict(l1=1.0)), ("underfitting", dict(clip=1e-4)),
        ("diverged", dict(learning_rate=3.0)), ("overfitting", dict(learning_rate=3.0, clip=0.1)),
        ("fine", dict(noise=0.0)), ("overfitting", dict(noise=0.0, examples=5)),
        ("overfitting", dict(model="network", learning_rate=1.0)),
        ("underfitting", dict(model="network", width=1)),
        ("diverged", dict(model="network", learning_rate=30.0)),
    ],
)  # fmt: skip
def test_the_kind_tells_a_fit_that_is_bad_on_the_examples_from_one_that_is_too_good(kind, changes):
    assert fit(FitSpec(**changes)).kind == kind


@pytest.mark.parametrize("name", ["polynomial", "network"])
@pytest.mark.parametrize(
    "changes",
    [
        dict(learning_rate=1e10), dict(l1=1e300), dict(l2=1e300), dict(clip=1e-300),
        dict(clip=1e300, learning_rate=9.0), dict(dropout=0.999), dict(noise=999_999.0),
        dict(steps=1), dict(examples=2), dict(degree=100, width=1),
    ],
)  # fmt: skip
def test_extreme_values_give_a_result_without_a_warning(name, changes):
    trained = fit(FitSpec(**{"steps": 40, **changes}, model=name))
    assert trained.kind and len(trained.steps) == len(trained.test_errors)
    assert (
        0 <= trained.best < len(trained.steps) and trained.distance is None or name == "polynomial"
    )


@pytest.mark.parametrize(
    ("name", "wrong"),
    [
        ("model", "tree"), ("degree", 0), ("width", 1001), ("examples", 1), ("noise", -0.1),
        ("l1", -1.0), ("l2", float("nan")), ("dropout", 1.0), ("clip", 0.0), ("steps", 0),
        ("learning_rate", 0.0), ("seed", -1),
    ],
)  # fmt: skip
def test_a_wrong_value_is_refused_by_name(name, wrong):
    with pytest.raises(ValueError, match=f"{name} must be"):
        FitSpec(**{name: wrong})
