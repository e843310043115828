"""Penalized regression agrees with scikit-learn, with closed forms and with its conditions.

Its data are the book's, and patients in which no row to judge by has a say.
"""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.datasets import load_diabetes
from sklearn.linear_model import ElasticNet, Lasso, Ridge
from sklearn.preprocessing import PolynomialFeatures, StandardScaler

from d2lstab.regularization.data import high_dimensional, patients
from d2lstab.regularization.penalties import lasso, ridge, shrinkage, soft_threshold


def regression(n=12, features=5, seed=0):
    """Inputs (n, features) and targets (n,), float64, of normal numbers."""
    table = torch.from_numpy(np.random.default_rng(seed).normal(size=(n, features + 1)))
    return table[:, :-1].contiguous(), table[:, -1].contiguous()


def objective(x, y, w, l1, l2):
    fit = (x @ w - y).square().sum() / (2 * len(y))
    return (fit + l1 * w.abs().sum() + l2 / 2 * w.square().sum()).item()


SHAPES = [(12, 5), (5, 12)]


@pytest.mark.parametrize(("n", "features"), SHAPES)
@pytest.mark.parametrize("l2", [1e-3, 0.3, 20])
def test_ridge_is_scikit_learn_s_with_alpha_n_times_l2(n, features, l2):
    x, y = regression(n, features)
    theirs = Ridge(alpha=n * l2, fit_intercept=False, solver="cholesky").fit(x, y)
    np.testing.assert_allclose(ridge(x, y, l2), theirs.coef_, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize(("n", "features"), SHAPES)
def test_ridge_without_a_penalty_is_the_shortest_least_squares_solution(n, features):
    x, y = regression(n, features)
    x = torch.cat([x, x[:, :2]], dim=1)  # two columns twice: rank-deficient in either shape
    shortest, *_ = np.linalg.lstsq(x.numpy(), y.numpy(), rcond=1e-12)
    np.testing.assert_allclose(ridge(x, y, 0), shortest, rtol=1e-9, atol=1e-12)


def test_a_singular_value_that_is_zero_up_to_rounding_is_taken_for_zero():
    x, y = regression(8, 3)
    x = x - x.mean(0)
    x = torch.cat([x, (x @ torch.tensor([[0.1], [0.7], [-1.3]], dtype=x.dtype))], dim=1)
    assert 0 < torch.linalg.svdvals(x)[-1] < 1e-14
    assert ridge(x, y, 0).norm() < 10


@settings(max_examples=25, deadline=None)
@given(st.floats(1e-3, 1e3), st.floats(0, 1e3), st.integers(1, 50))
def test_shrinkage_is_what_ridge_does_to_a_single_direction(d, l2, n):
    x = torch.full((n, 1), d / n**0.5, dtype=torch.float64)  # its singular value is d
    slope = ridge(x, 2 * x[:, 0], l2).item()
    factor = shrinkage(torch.tensor([d], dtype=torch.float64), l2, n).item()
    assert (
        slope
        == pytest.approx(2 * factor, rel=1e-9)
        == pytest.approx(2 * d**2 / (d**2 + n * l2), rel=1e-9)
    )


def test_shrinkage_is_0_in_a_direction_without_data_and_1_without_a_penalty():
    d = torch.tensor([0.0, 1e-30, 1e30])  # whose squares are 0 and infinite in float32
    assert shrinkage(d, 0, 3).tolist() == [0, 1, 1]
    assert shrinkage(d, 1, 3).tolist() == [0, 0, 1]


def test_ridge_in_small_units_is_ridge():
    x, y = (part.float() for part in regression(4, 2))
    torch.testing.assert_close(1e-24 * ridge(1e-24 * x, y, 0), ridge(x, y, 0))


@settings(max_examples=25, deadline=None)
@given(st.floats(-5, 5), st.floats(0, 5))
def test_soft_threshold_minimizes_its_objective(w, threshold):
    v = torch.linspace(-6, 6, 24_001, dtype=torch.float64)  # in steps of 0.0005
    best = v[((v - w).square() / 2 + threshold * v.abs()).argmin()].item()
    stepped = soft_threshold(torch.tensor([w], dtype=torch.float64), threshold).item()
    assert stepped == pytest.approx(best, abs=3e-4)
    assert (stepped == 0) == (abs(w) <= threshold)


@pytest.mark.parametrize(("n", "features"), SHAPES)
@pytest.mark.parametrize("l1", [0.02, 0.2])
def test_lasso_is_scikit_learn_s(n, features, l1):
    x, y = regression(n, features)
    theirs = Lasso(alpha=l1, fit_intercept=False, tol=1e-12, max_iter=100_000).fit(x, y).coef_
    ours = lasso(x, y, l1, steps=5000)
    np.testing.assert_allclose(ours, theirs, rtol=0, atol=1e-8)
    np.testing.assert_array_equal(ours == 0, theirs == 0)


def test_lasso_with_an_l2_penalty_is_the_elastic_net():
    x, y = regression(5, 12)
    net = ElasticNet(alpha=0.3, l1_ratio=1 / 3, fit_intercept=False, tol=1e-12, max_iter=100_000)
    ours = lasso(x, y, l1=0.1, l2=0.2)
    np.testing.assert_allclose(ours, net.fit(x, y).coef_, rtol=0, atol=1e-9)
    torch.testing.assert_close(lasso(x, y, l1=0, l2=0.2), ridge(x, y, 0.2))


@pytest.mark.parametrize("l2", [0.0, 0.5])
def test_lasso_meets_the_conditions_of_a_minimum_on_real_patients(l2):
    split, l1 = patients(60), 0.1
    x, y = split.inputs, split.targets
    w = lasso(x, y, l1, l2)
    pull = x.T @ (y - x @ w) / 60 - l2 * w  # the negative gradient of all but the L1 penalty
    alive = w != 0
    assert 3 < alive.sum() < 30
    torch.testing.assert_close(pull[alive], l1 * w[alive].sign(), rtol=0, atol=1e-7)
    assert pull[~alive].abs().max() < l1


def test_lasso_is_0_from_the_largest_correlation_on():
    x, y = regression()
    most = (x.T @ y / len(y)).abs().max().item()
    assert not lasso(x, y, 1.0001 * most).any() and lasso(x, y, 0.99 * most).any()


def test_more_steps_never_leave_the_lasso_worse_off():
    x, y = regression(30, 60, seed=1)
    values = [objective(x, y, lasso(x, y, 0.05, steps=k), 0.05, 0) for k in (1, 10, 100, 1000)]
    assert values == sorted(values, reverse=True) and values[0] > values[-1] + 0.01


def test_a_column_of_zeros_gets_the_weight_0():
    x, y = regression()
    x[:, 2] = 0
    assert abs(ridge(x, y, 0)[2]) < 1e-14 and abs(ridge(x, y, 0.1)[2]) < 1e-14  # up to rounding
    assert lasso(x, y, 0.01)[2] == 0
    assert not lasso(torch.zeros(3, 2), torch.ones(3), 0.1).any()


def test_float32_stays_float32_and_agrees():
    x, y = regression()
    for solve in (lambda x, y: ridge(x, y, 0.1), lambda x, y: lasso(x, y, 0.1, 0.05)):
        single = solve(x.float(), y.float())
        assert single.dtype == torch.float32
        torch.testing.assert_close(single.double(), solve(x, y), rtol=0, atol=1e-5)


X, Y = torch.ones(3, 2), torch.ones(3)
WRONG = [
    ((X, Y[:2]), ValueError, r"inputs must have the shape .* got \(3, 2\) and \(2,\)"),
    ((X, Y[:, None]), ValueError, r"targets \(examples,\); got .* \(3, 1\)"),
    ((X[:, :0], Y), ValueError, r"got \(3, 0\)"),
    ((X[:0], Y[:0]), ValueError, r"got \(0, 2\)"),
    ((X, Y.double()), TypeError, "same floating-point type; got torch.float32 and torch.float64"),
    ((X.long(), Y.long()), TypeError, "floating-point type; got torch.int64"),
    ((X * torch.inf, Y), ValueError, "must be finite"),
    ((X, Y * torch.nan), ValueError, "must be finite"),
]


@pytest.mark.parametrize(("given", "error", "message"), WRONG)
@pytest.mark.parametrize("solve", [ridge, lasso])
def test_what_does_not_fit_is_refused(solve, given, error, message):
    with pytest.raises(error, match=message):
        solve(*given, 0.1)


def test_a_negative_penalty_or_no_steps_are_refused():
    calls = {
        "l2 must be": [lambda: ridge(X, Y, -1), lambda: lasso(X, Y, 0.1, -1)],
        "l1 must be": [lambda: lasso(X, Y, -1), lambda: lasso(X, Y, float("nan"))],
        "l2 must": [lambda: shrinkage(Y, -1, 3)],
        "threshold must be": [lambda: soft_threshold(Y, -1)],
        "steps must be an integer ≥ 1": [lambda: lasso(X, Y, 0.1, steps=0)],
    }
    for message, refused in calls.items():
        for call in refused:
            with pytest.raises(ValueError, match=message):
                call()


def test_the_book_s_example_has_its_weights_its_bias_and_its_noise():
    data = high_dimensional(n=4000, n_test=3, features=20, noise=0.5, seed=1)
    x = torch.cat([data.inputs, torch.ones(4000, 1, dtype=torch.float64)], dim=1)
    fitted, residual, *_ = np.linalg.lstsq(x.numpy(), data.targets.numpy(), rcond=None)
    error = 0.5 / 4000**0.5
    np.testing.assert_allclose(fitted[:-1], 0.01, atol=4.5 * error)
    assert fitted[-1] == pytest.approx(0.05, abs=4.5 * error)
    assert residual.item() / 3979 == pytest.approx(0.25, rel=0.1)
    clean = high_dimensional(noise=0)
    for inputs, targets in (
        (clean.inputs, clean.targets),
        (clean.test_inputs, clean.test_targets),
    ):
        torch.testing.assert_close(targets, 0.05 + 0.01 * inputs.sum(1))


def test_another_seed_is_other_data_and_the_same_seed_the_same():
    for make in (high_dimensional, patients):
        one, same, other = make(seed=1), make(seed=1), make(seed=2)
        assert torch.equal(one.inputs, same.inputs) and torch.equal(one.targets, same.targets)
        assert not torch.equal(one.inputs, other.inputs)


def test_patients_are_scikit_learn_s_squares_and_products_scaled_by_the_rows_to_fit():
    raw, progress = load_diabetes(return_X_y=True, scaled=False)
    split, n = patients(60, seed=3), 60
    order = torch.randperm(442, generator=torch.Generator().manual_seed(3)).numpy()
    scaler, powers = StandardScaler().fit(raw[order[:n]]), PolynomialFeatures(2, include_bias=False)
    expected = powers.fit_transform(scaler.transform(raw[order]))
    sex = list(powers.get_feature_names_out()).index("x1^2")
    expected = np.delete(expected, sex, axis=1)
    expected = StandardScaler().fit(expected[:n]).transform(expected)
    np.testing.assert_allclose(torch.cat([split.inputs, split.test_inputs]), expected, atol=1e-9)
    y = progress[order]
    expected = (y - y[:n].mean()) / y[:n].std()
    np.testing.assert_allclose(torch.cat([split.targets, split.test_targets]), expected)


def test_a_column_that_is_constant_in_the_rows_to_fit_becomes_0_there():
    few = patients(2, seed=0)
    assert few.inputs.isfinite().all() and few.test_inputs.isfinite().all()
    constant = few.inputs.abs().amax(0) == 0
    assert constant.any() and not constant.all()


def test_numbers_of_rows_that_cannot_be_are_refused():
    for n in (1, 442):
        with pytest.raises(ValueError, match="n must be an integer from 2 to 441"):
            patients(n)
    for name in ("n", "n_test", "features"):
        with pytest.raises(ValueError, match=f"{name} must be an integer ≥ 1; got 0"):
            high_dimensional(**{name: 0})
    with pytest.raises(ValueError, match="noise must be"):
        high_dimensional(noise=-1)
