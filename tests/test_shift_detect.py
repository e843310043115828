"""Two-sample tests: against enumeration, double loops and scipy, and their false alarm rates."""

import itertools

import numpy as np
import pytest
import torch
from scipy import stats

from d2lstab.shift.detect import (
    DETECTORS,
    classifier_test,
    ks_test,
    mmd_test,
    prediction_test,
)

RNG = np.random.default_rng


def normal(size, features, seed, mean=0.0):
    return RNG(seed).normal(mean, 1, (size, features))


def softmax(values):
    powers = np.exp(values)
    return powers / powers.sum(1, keepdims=True)


def mmd_by_loops(source, target):
    """The unbiased MMD², one pair after the other; (Gretton et al. 2012)."""
    pooled = np.concatenate([source, target])
    pairs = itertools.combinations(pooled, 2)
    squared_width = np.median([((a - b) ** 2).sum() for a, b in pairs])

    def similar(a, b):
        return np.exp(-((a - b) ** 2).sum() / (2 * squared_width))

    within = [
        np.mean([similar(a, b) for a, b in itertools.permutations(sample, 2)])
        for sample in (source, target)
    ]
    return sum(within) - 2 * np.mean([similar(a, b) for a in source for b in target])


def every_split(source, target):
    """The MMD² of each way to divide the pooled examples, the kernel being the same for all."""
    pooled = np.concatenate([source, target])
    for chosen in itertools.combinations(range(len(pooled)), len(source)):
        yield mmd_by_loops(pooled[list(chosen)], np.delete(pooled, chosen, axis=0))


# KS


@pytest.mark.parametrize(("n", "m"), [(30, 30), (30, 41), (200, 13)])
def test_ks_is_scipy_s_worst_feature_times_the_number_of_features(n, m):
    source, target = normal(n, 5, 0), normal(m, 5, 1, mean=[0, 0, 0.4, 0, 0])
    alone = [stats.ks_2samp(s, t) for s, t in zip(source.T, target.T, strict=True)]
    found = ks_test(source, target)
    assert found.statistic == pytest.approx(max(one.statistic for one in alone))
    assert found.p_value == pytest.approx(min(1, 5 * min(one.pvalue for one in alone)))
    assert found.null is None


def test_ks_takes_ties_as_scipy_does():
    for seed in range(20):
        source, target = RNG(seed).integers(0, 4, (40, 6)), RNG(seed + 99).integers(0, 4, (25, 6))
        alone = [stats.ks_2samp(s, t).statistic for s, t in zip(source.T, target.T, strict=True)]
        assert ks_test(source, target).statistic == pytest.approx(max(alone))


def test_ks_does_not_count_features_that_never_vary():
    source, target = normal(30, 2, 0), normal(30, 2, 1, mean=0.5)
    wide = [np.hstack([x, np.full((30, 7), 3.0)]) for x in (source, target)]
    assert ks_test(*wide).p_value == ks_test(source, target).p_value
    assert ks_test(*wide).p_value < 0.5


def test_ks_counts_a_feature_that_varies_between_the_samples_only():
    source, target = np.zeros((20, 2)), np.ones((20, 2))
    assert ks_test(source, target).p_value == pytest.approx(
        2 * stats.ks_2samp(source[:, 0], target[:, 0]).pvalue
    )


def test_a_bonferroni_p_value_is_at_most_1():
    assert ks_test(normal(20, 50, 0), normal(20, 50, 1)).p_value == 1


# MMD


@pytest.mark.parametrize(("n", "m"), [(12, 12), (9, 20)])
def test_mmd_is_the_double_loop_over_pairs(n, m):
    source, target = normal(n, 3, 0), normal(m, 3, 1, mean=0.7)
    assert mmd_test(source, target).statistic == pytest.approx(
        mmd_by_loops(source, target), abs=1e-6
    )


@pytest.mark.parametrize("n", [4, 5])
def test_mmd_s_p_value_is_that_of_enumeration(n):
    source, target = normal(n, 2, 3), normal(4, 2, 4, mean=1.2)
    splits = np.array(list(every_split(source, target)))
    observed = mmd_by_loops(source, target)
    exact = np.mean(splits >= observed - 1e-9)
    assert 0.01 < exact < 0.5
    found = mmd_test(source, target, permutations=20_000)
    assert abs(found.p_value - exact) < 4 * (exact * (1 - exact) / 20_000) ** 0.5 + 1e-4
    # Every mixed sample is one of the splits, and each split comes as often as the others.
    nearest = abs(found.null[:, None] - splits).argmin(1)
    assert abs(found.null - splits[nearest]).max() < 1e-6
    assert len(np.unique(nearest)) >= len(np.unique(splits.round(6)))


def test_mmd_s_p_value_counts_the_samples_as_they_came():
    found = mmd_test(normal(30, 2, 0), normal(30, 2, 1, mean=3), permutations=99)
    assert (found.null >= found.statistic).sum() == 0 and found.p_value == 1 / 100
    close = mmd_test(normal(30, 2, 0), normal(30, 2, 1, mean=0.3), permutations=99)
    assert close.p_value == ((close.null >= close.statistic).sum() + 1) / 100
    assert found.null.shape == (99,) and found.null.dtype == np.float64


def test_equal_statistics_count_as_large():
    """Four points and their copies: mixing often gives back the same samples."""
    points = np.array([[0.0], [1.0], [5.0], [6.0]])
    source, target = np.repeat(points[:2], 2, axis=0), np.repeat(points[2:], 2, axis=0)
    splits = np.array(list(every_split(source, target)))
    exact = np.mean(splits >= mmd_by_loops(source, target) - 1e-9)
    assert exact == 2 / 70
    found = mmd_test(source, target, permutations=20_000).p_value
    assert abs(found - exact) < 4 * (exact / 20_000) ** 0.5


def test_mmd_is_the_same_with_the_samples_exchanged():
    source, target = normal(20, 2, 0), normal(35, 2, 1)
    exchanged = mmd_test(target, source).statistic
    assert mmd_test(source, target).statistic == pytest.approx(exchanged, abs=1e-7)


def test_the_width_of_many_points_is_near_the_median_of_all():
    source, target = normal(160, 2, 0), normal(160, 2, 1, mean=0.5)
    assert mmd_test(source, target).statistic == pytest.approx(
        mmd_by_loops(source, target), rel=0.1
    )


# Classifier


def test_the_classifier_s_p_value_is_the_binomial_one_of_its_accuracy():
    for seed in range(5):
        source, target = normal(41, 3, seed), normal(60, 3, seed + 50, mean=0.4)
        found = classifier_test(source, target, seed=seed)
        right = round(found.statistic * 40)
        assert found.statistic == right / 40
        expected = stats.binomtest(right, 40, 0.5, alternative="greater").pvalue
        assert found.p_value == pytest.approx(expected)


def test_the_classifier_tells_far_apart_samples_without_error():
    found = classifier_test(normal(20, 2, 0), normal(30, 2, 1, mean=20))
    assert found.statistic == 1 and found.p_value == pytest.approx(0.5**20)


def test_the_classifier_is_tried_on_examples_that_it_has_not_seen():
    """It could learn 40 examples of 200 features by heart."""
    accuracies = [
        classifier_test(normal(40, 200, seed), normal(40, 200, seed + 500)).statistic
        for seed in range(60)
    ]
    assert abs(np.mean(accuracies) - 0.5) < 4 * (0.25 / (60 * 40)) ** 0.5


def test_a_larger_sample_does_not_win_by_its_size():
    """Who always says "the larger sample" would be right in nine of ten."""
    accuracies = [
        classifier_test(normal(40, 1, seed), normal(400, 1, seed + 500)).statistic
        for seed in range(60)
    ]
    assert abs(np.mean(accuracies) - 0.5) < 4 * (0.25 / (60 * 40)) ** 0.5


# Black box


def test_the_black_box_is_ks_on_the_class_probabilities():
    source, target = softmax(normal(50, 4, 0)), softmax(normal(50, 4, 1, mean=[1, 0, 0, 0]))
    box, ks = prediction_test(source, target), ks_test(source, target)
    assert (box.statistic, box.p_value) == (ks.statistic, ks.p_value)
    assert box.method == "black box"


def test_of_two_classes_the_black_box_counts_one():
    source, target = softmax(normal(50, 2, 0)), softmax(normal(50, 2, 1, mean=[0.5, 0]))
    alone = stats.ks_2samp(source[:, 0], target[:, 0]).pvalue
    assert prediction_test(source, target).p_value == pytest.approx(alone)


# False alarms

TRIALS = 300
CASES = {
    "KS + Bonferroni": lambda s, t, seed: ks_test(s, t),
    "MMD": lambda s, t, seed: mmd_test(s, t, permutations=99, seed=seed),
    "classifier": classifier_test,
    "black box": lambda s, t, seed: prediction_test(softmax(s), softmax(t)),
}


@pytest.fixture(scope="module")
def p_values():
    """Of each test, on samples of one distribution; the sizes differ."""
    found = {name: [] for name in CASES}
    for seed in range(TRIALS):
        source, target = normal(60, 4, [seed, 0]), normal(45, 4, [seed, 1])
        for name, test in CASES.items():
            found[name].append(test(source, target, seed).p_value)
    return {name: np.array(values) for name, values in found.items()}


@pytest.mark.parametrize("name", CASES)
def test_the_false_alarm_rate_is_no_more_than_the_level(p_values, name):
    for level in (0.05, 0.2, 0.5):
        most = stats.binom.ppf(0.9995, TRIALS, level)
        assert (p_values[name] <= level).sum() <= most


def test_the_false_alarm_rate_of_the_permutation_test_is_the_level(p_values):
    for level in (0.05, 0.2, 0.5):
        low, high = stats.binom.interval(0.999, TRIALS, level)
        assert low <= (p_values["MMD"] <= level).sum() <= high


@pytest.mark.parametrize("name", CASES)
def test_a_large_shift_is_found(name):
    source, target = normal(60, 4, 0), normal(45, 4, 1, mean=[1.5, 0, 0, 0])
    assert CASES[name](source, target, 0).p_value <= 0.01


@pytest.mark.parametrize("name", CASES)
def test_no_p_value_is_0(name):
    source, target = normal(60, 4, 0, mean=[-20, 0, 0, 0]), normal(45, 4, 1, mean=[20, 0, 0, 0])
    assert 0 < CASES[name](source, target, 0).p_value < 0.02


# What comes in


def test_the_lab_s_detectors_are_the_tests_of_the_inputs():
    source, target = normal(40, 3, 0), normal(40, 3, 1)
    expected = {
        "KS + Bonferroni": ks_test(source, target),
        "MMD": mmd_test(source, target, seed=7),
        "classifier": classifier_test(source, target, seed=7),
    }
    assert list(DETECTORS) == list(expected)
    for name, test in DETECTORS.items():
        found = test(source, target, 7)
        assert found.method == name and found.p_value == expected[name].p_value
        np.testing.assert_array_equal(found.null, expected[name].null)


@pytest.mark.parametrize("test", [mmd_test, classifier_test])
def test_the_seed_decides_and_global_randomness_plays_no_part(test):
    source, target = normal(40, 3, 0), normal(40, 3, 1)
    state = np.random.get_state()[1].copy()
    assert test(source, target, seed=3).p_value == test(source, target, seed=3).p_value
    assert len({test(source, target, seed=seed).p_value for seed in range(9)}) > 1
    np.testing.assert_array_equal(np.random.get_state()[1], state)


@pytest.mark.parametrize("name", ["KS + Bonferroni", "MMD", "classifier"])
def test_tensors_lists_and_arrays_are_the_same(name):
    source, target = normal(20, 3, 0), normal(20, 3, 1)
    expected = DETECTORS[name](source, target, 0).p_value
    tensors = torch.tensor(source, requires_grad=True), torch.tensor(target)
    assert DETECTORS[name](*tensors, 0).p_value == expected
    assert DETECTORS[name](source.tolist(), target.tolist(), 0).p_value == expected


@pytest.mark.parametrize("name", ["KS + Bonferroni", "MMD", "classifier"])
def test_samples_of_one_value_are_no_shift(name):
    found = DETECTORS[name](np.ones((10, 2)), np.ones((12, 2)), 0)
    assert found.p_value > 0.5 and np.isfinite(found.statistic)


@pytest.mark.parametrize("test", [ks_test, mmd_test, classifier_test])
@pytest.mark.parametrize(
    ("source", "target", "message"),
    [
        (
            np.ones(30),
            np.ones((30, 1)),
            r"source must be \(examples, features\); got shape \(30,\)",
        ),
        (np.ones((30, 2)), np.ones((30, 3)), "the same features; got 2 and 3"),
        (np.ones((30, 2)), np.ones((3, 2)), "target must have at least . examples"),
        (np.ones((30, 2)), np.full((30, 2), np.nan), "target must be finite; got 60"),
    ],
)
def test_samples_that_cannot_be_compared_are_refused(test, source, target, message):
    with pytest.raises(ValueError, match=message):
        test(source, target)


def test_too_many_examples_for_mmd_s_pairs_are_refused():
    with pytest.raises(ValueError, match="at most 8000 examples in all; got 8004: take some"):
        mmd_test(np.ones((8000, 1)), np.ones((4, 1)))


def test_too_few_permutations_to_ever_reach_the_level_are_refused():
    with pytest.raises(ValueError, match="permutations must be an integer ≥ 19; got 18"):
        mmd_test(np.ones((8, 1)), np.ones((8, 1)), permutations=18)


def test_rows_that_are_no_probabilities_are_refused():
    good = softmax(normal(10, 3, 0))
    with pytest.raises(ValueError, match="target must be class probabilities"):
        prediction_test(good, np.log(good))
    with pytest.raises(ValueError, match="source must be class probabilities"):
        prediction_test(2 * good, good)
    negative = good + [[1.0, 0.0, -1.0]]
    with pytest.raises(ValueError, match="with minimum -"):
        prediction_test(negative, good)
    prediction_test(good.astype(np.float32), good)
