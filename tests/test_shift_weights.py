"""Learned weights against density ratios that are known: counted, of a normal, of a population."""

import warnings

import numpy as np
import pytest
import torch
from densratio import densratio

from d2lstab.shift.make import Population, compare, density_ratio, shift_covariates
from d2lstab.shift.weights import Weights, classifier_weights, effective_sample_size

TABLE = np.array([[0.10, 0.05], [0.20, 0.05], [0.05, 0.25], [0.10, 0.20]])


def one_hot(cells, count=4):
    """A feature per cell of a table: then a logistic regression can give each its own odds."""
    return np.eye(count)[np.asarray(cells)]


def table(joint=TABLE):
    return Population(torch.eye(len(joint), dtype=torch.float64), joint)


def two_normals(n=500, shift=1.0, features=2, seed=0):
    rng = np.random.default_rng(seed)
    source, target = rng.normal(size=(n, features)), rng.normal(size=(n, features))
    target[:, 0] += shift
    return source, target


# The weights.


def test_on_a_table_they_are_the_ratio_of_the_counts():
    source_counts, target_counts = np.array([40, 30, 20, 10]), np.array([10, 40, 5, 145])
    source = one_hot(np.repeat(np.arange(4), source_counts))
    target = one_hot(np.repeat(np.arange(4), target_counts))
    weights = classifier_weights(source, target, penalty=1e-6)
    ratio = (target_counts / 200) / (source_counts / 100)
    np.testing.assert_allclose(weights.values, np.repeat(ratio, source_counts), rtol=1e-3)


def test_on_a_population_they_come_near_its_exact_density_ratio():
    source = table()
    target = shift_covariates(source, [0, 1, 2, 3], 0.7)
    have, want = source.draw(40_000, 0), target.draw(30_000, 1)
    weights = classifier_weights(have.inputs, want.inputs, penalty=1e-3)
    exact = density_ratio(source, target)[have.atoms]
    np.testing.assert_allclose(weights.values, exact, rtol=0.1)


def test_for_two_normals_they_come_near_the_exact_ratio():
    source, target = two_normals(n=5000)
    weights = classifier_weights(source, target)
    assert np.corrcoef(np.log(weights.values), source[:, 0])[0, 1] > 0.99
    slope = np.polyfit(source[:, 0], np.log(weights.values), 1)[0]
    assert slope == pytest.approx(1, abs=0.1)  # log ratio of N(1, 1) to N(0, 1): x − 1/2


def test_they_agree_with_ulsif_where_the_ratio_is_smooth():
    source, target = two_normals(n=1000, shift=0.5, features=1)
    np.random.seed(0)  # densratio draws its kernel centres from the global state
    with np.errstate(divide="ignore"):
        fitted = densratio(target, source, sigma_range=[1.0], lambda_range=[0.1], verbose=False)
    reference = fitted.compute_density_ratio(source)
    reference = reference / reference.mean()  # cutting off negative coefficients makes it too large
    weights = classifier_weights(source, target).values
    middle = abs(source[:, 0]) < 1.5  # its kernels fade where there are no centres
    assert np.corrcoef(weights[middle], reference[middle])[0, 1] > 0.98
    assert np.abs(weights - reference)[middle].mean() < 0.08


def test_their_mean_is_one_whatever_the_sizes():
    source, target = two_normals()
    for weights in (
        classifier_weights(source, target[:40]),
        classifier_weights(source[:40], target),
    ):
        assert weights.values.mean() == pytest.approx(1, abs=1e-12)
        assert weights.overlap > 0.5


def test_without_a_shift_they_are_nearly_equal():
    weights = classifier_weights(*two_normals(shift=0))
    assert weights.effective_size > 480 and weights.overlap > 0.99 and weights.warning == ""


def test_they_do_not_depend_on_the_unit_or_the_origin_of_a_feature():
    source, target = two_normals()
    unit, origin = np.array([1000.0, 1e-3]), np.array([5.0, -2.0])
    other = classifier_weights(source * unit + origin, target * unit + origin)
    np.testing.assert_allclose(other.values, classifier_weights(source, target).values, rtol=1e-3)


def test_a_constant_feature_changes_nothing():
    source, target = two_normals()
    wide = [np.column_stack([sample, np.full(500, 7.0)]) for sample in (source, target)]
    expected = classifier_weights(source, target).values
    np.testing.assert_allclose(classifier_weights(*wide).values, expected, rtol=1e-4)


def test_they_take_tensors_and_lists():
    source, target = two_normals(n=20)
    expected = classifier_weights(source, target).values
    tensors = [torch.tensor(sample, requires_grad=True) for sample in (source, target)]
    np.testing.assert_array_equal(classifier_weights(*tensors).values, expected)
    np.testing.assert_array_equal(
        classifier_weights(source.tolist(), target.tolist()).values, expected
    )


def test_a_larger_penalty_pulls_them_to_one():
    source, target = two_normals(shift=2)
    sizes = [classifier_weights(source, target, p).effective_size for p in (0.1, 10, 1000, 1e5)]
    assert sizes == sorted(sizes) and sizes[-1] > 490


def test_they_leave_the_global_random_state_and_the_samples_alone():
    source, target = two_normals()
    copies = source.copy(), target.copy()
    state = np.random.get_state()[1].copy()
    first, second = classifier_weights(source, target), classifier_weights(source, target)
    np.testing.assert_array_equal(first.values, second.values)
    np.testing.assert_array_equal(np.random.get_state()[1], state)
    np.testing.assert_array_equal(source, copies[0])
    np.testing.assert_array_equal(target, copies[1])


# Effective sample size.


def test_the_effective_size_is_kishs_whatever_the_scale():
    values = np.random.default_rng(0).exponential(size=50)
    expected = values.sum() ** 2 / np.sum(values**2)
    for scale in (1e-200, 1, 1e200):
        assert effective_sample_size(scale * values) == pytest.approx(expected)
    assert classifier_weights(*two_normals()).effective_size == pytest.approx(
        effective_sample_size(classifier_weights(*two_normals()).values)
    )


def test_the_effective_size_is_that_of_the_variance_of_a_weighted_mean():
    weights = np.array([4.0, 2.0, 1.0, 1.0])
    noise = np.random.default_rng(0).normal(size=(20_000, 4))
    variance = np.average(noise, axis=1, weights=weights).var()
    # The variance of 20 000 draws has a relative standard error of √(2 / 20 000) = 0.01.
    assert 1 / variance == pytest.approx(effective_sample_size(weights), rel=0.03)


@pytest.mark.parametrize("wrong", [[], [0, 0], [1, -1], [1, np.nan], [[1, 2]]])
def test_an_effective_size_of_wrong_weights_is_refused(wrong):
    with pytest.raises(ValueError, match="weights must"):
        effective_sample_size(wrong)


# Overlap.


@pytest.mark.parametrize("hidden", [[], [0], [2], [2, 3]])
def test_the_overlap_is_the_share_of_the_target_that_the_source_covers(hidden):
    target = table()
    joint = TABLE.copy()
    joint[hidden] = 0
    source = table(joint / joint.sum())
    have, want = source.draw(5000, 0), target.draw(5000, 1)
    weights = classifier_weights(have.inputs, want.inputs, penalty=1e-3)
    # The share of 5000 draws: standard error at most 0.5 / √5000 = 0.007.
    assert weights.overlap == pytest.approx(1 - compare(source, target).uncovered, abs=0.03)


def test_the_overlap_is_one_for_a_target_that_is_a_small_part_of_the_source():
    source = table()
    rare = np.zeros_like(TABLE)
    rare[0] = TABLE[0]
    have, want = source.draw(4000, 0), table(rare / rare.sum()).draw(200, 1)
    weights = classifier_weights(have.inputs, want.inputs, penalty=1e-3)
    assert weights.overlap == pytest.approx(1, abs=0.03)
    assert weights.effective_size == pytest.approx(4000 * TABLE[0].sum(), rel=0.1)
    assert weights.warning == ""


def test_the_overlap_is_never_more_than_one():
    samples = [two_normals(n=200, features=20, seed=seed) for seed in range(10)]
    overlaps = [classifier_weights(*sample).overlap for sample in samples]
    assert max(overlaps) == 1 and min(overlaps) < 1  # some means were over 1, some not


def test_the_overlap_falls_with_the_shift():
    overlaps = [classifier_weights(*two_normals(shift=s)).overlap for s in (0, 2, 3, 4, 8)]
    assert overlaps == sorted(overlaps, reverse=True)
    assert overlaps[0] > 0.99 and overlaps[-1] < 0.02


# Warnings.


def test_no_overlap_is_said_with_its_measure_and_a_remedy():
    weights = classifier_weights(*two_normals(shift=20))
    assert weights.overlap < 0.01 and np.isfinite(weights.values).all()
    assert weights.effective_size > 100  # why the effective size alone is not enough
    assert weights.warning.startswith("Too little overlap: the source accounts for 1% of")
    assert "collect" in weights.warning.lower() and "never seen" in weights.warning


def test_weights_that_explode_are_said_with_their_measure_and_a_remedy():
    weights = classifier_weights(*two_normals(shift=2.2))
    assert weights.overlap > 0.5 and weights.effective_size < 60
    warned = Weights(weights.values, 12.34, 0.9).warning
    assert warned.startswith("Weights explode: 500 examples count as 12.3;") and "penalty" in warned


@pytest.mark.parametrize(
    ("count", "size", "overlap", "word"),
    [
        (500, 31, 0.51, ""),
        (500, 29, 0.51, "explode"),
        (500, 29, 0.49, "overlap"),
        (20, 11, 1.0, ""),  # a small sample is not an exploded one
        (20, 9, 1.0, "explode"),
    ],
)
def test_the_warning_speaks_at_its_limits(count, size, overlap, word):
    warning = Weights(np.ones(count), size, overlap).warning
    assert word in warning and bool(word) == bool(warning)


def test_samples_that_a_plane_separates_give_finite_weights_and_no_warning_of_the_solver():
    source, target = two_normals(shift=1000)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for penalty in (1e-3, 1, 1e3):
            weights = classifier_weights(source, target, penalty)
            assert np.isfinite(weights.values).all() and 0 <= weights.overlap <= 1


# Bad input.


@pytest.mark.parametrize(
    ("source", "target", "message"),
    [
        (np.ones((9, 2)), np.ones((20, 2)), "source must have at least 10 examples"),
        (np.ones((20, 2)), np.ones((9, 2)), "target must have at least 10 examples"),
        (np.ones(20), np.ones((20, 1)), r"source must be \(examples, features\)"),
        (np.ones((20, 2)), np.ones((20, 3)), "same features; got 2 and 3"),
        (np.full((20, 2), np.nan), np.ones((20, 2)), "source must be finite"),
        (np.ones((20, 2)), np.full((20, 2), np.inf), "target must be finite"),
    ],
)
def test_bad_samples_are_refused_by_name(source, target, message):
    with pytest.raises(ValueError, match=message):
        classifier_weights(source, target)


@pytest.mark.parametrize("penalty", [0, -1, np.nan])
def test_a_penalty_that_cannot_be_is_refused(penalty):
    with pytest.raises(ValueError, match="penalty must be"):
        classifier_weights(*two_normals(), penalty)
