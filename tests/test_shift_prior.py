"""Estimated priors, against exact tables, scipy's optimizers and tests, and many draws."""

import numpy as np
import pytest
import torch
from scipy import optimize, stats
from sklearn.linear_model import LogisticRegression

from d2lstab.datasets import digits
from d2lstab.shift import prior as module
from d2lstab.shift.intervals import black_box_variance, likelihood_interval, score_interval
from d2lstab.shift.make import Population, shift_labels
from d2lstab.shift.prior import adjust, black_box_prior, em_prior, project_on_simplex

# P(prediction | label) in twentieths, and priors whose products are whole numbers of 2000.
CONDITIONAL = np.array([[14, 4, 2], [4, 12, 6], [2, 4, 12]]) / 20
SOURCE, TARGET = np.array([0.5, 0.3, 0.2]), np.array([0.1, 0.3, 0.6])


def listed(joint, total=2000):
    """Labels and predictions of ``total`` examples, as frequent as joint[prediction, label]."""
    counts = np.rint(joint * total).astype(int)
    assert np.allclose(counts, joint * total)
    predictions, labels = np.repeat(np.indices(joint.shape).reshape(2, -1), counts.ravel(), axis=1)
    return labels, predictions


def random_problem(seed, classes=3, cells=6, size=200):
    """A table P(x | y), the posterior under a uniform prior, and a target sample's rows of it."""
    generator = np.random.default_rng(seed)
    inputs_given_label = generator.dirichlet(np.ones(cells) * 0.5, size=classes).T
    truth = generator.dirichlet(np.ones(classes))
    posterior = inputs_given_label / inputs_given_label.sum(1, keepdims=True)
    drawn = generator.choice(cells, size, p=inputs_given_label @ truth)
    return posterior[drawn], truth


def log_likelihood(prior, rows, source):
    return np.log((rows / source) @ prior).sum()


def maximum(rows, source, fixed=None):
    """The largest log likelihood on the simplex and where, by scipy; fixed = (class, share)."""
    k = len(source)
    constraints = [{"type": "eq", "fun": lambda q: q.sum() - 1}]
    if fixed:
        constraints.append({"type": "eq", "fun": lambda q: q[fixed[0]] - fixed[1]})
    found = optimize.minimize(
        lambda q: -log_likelihood(np.maximum(q, 1e-12), rows, source) / len(rows),
        np.full(k, 1 / k), bounds=[(0, 1)] * k, constraints=constraints, method="SLSQP",
        options={"ftol": 1e-13, "maxiter": 500},
    )  # fmt: skip
    return -found.fun * len(rows), found.x


def binomial_bounds(trials, probability=0.95):
    """Numbers of successes that a true ``probability`` leaves once in a thousand."""
    return stats.binom.ppf([0.0005, 0.9995], trials, probability)


# Black box shift estimation.


def test_the_exact_confusion_matrix_gives_back_the_exact_prior():
    labels, predictions = listed(CONDITIONAL * SOURCE)
    _, target = listed(CONDITIONAL * TARGET)
    estimate = black_box_prior(labels, predictions, target, 3)
    np.testing.assert_allclose(estimate.prior, TARGET, atol=1e-12)
    np.testing.assert_allclose(estimate.ratio, [0.2, 1, 3], atol=1e-12)
    assert estimate.method == "black box" and estimate.warning == ""
    assert estimate.prior.dtype == np.float64


def test_the_ratio_solves_the_joint_confusion_matrix():
    generator = np.random.default_rng(0)
    labels = generator.choice(3, 900, p=SOURCE)
    predictions = np.where(generator.random(900) < 0.8, labels, generator.integers(0, 3, 900))
    target = generator.choice(3, 500, p=[0.25, 0.35, 0.4])
    joint = np.zeros((3, 3))
    np.add.at(joint, (predictions, labels), 1 / 900)
    ratio = np.linalg.solve(joint, np.bincount(target) / 500)
    assert ratio.min() > 0
    np.testing.assert_allclose(black_box_prior(labels, predictions, target, 3).ratio, ratio)


def test_tensors_and_lists_give_the_same():
    labels, predictions = listed(CONDITIONAL * SOURCE)
    _, target = listed(CONDITIONAL * TARGET)
    arrays = black_box_prior(labels, predictions, target, 3)
    tensors = black_box_prior(*map(torch.tensor, (labels, predictions, target)), 3)
    lists = black_box_prior(*map(list, (labels, predictions, target)), 3)
    for other in (tensors, lists):
        np.testing.assert_array_equal(other.prior, arrays.prior)
        np.testing.assert_array_equal(other.low, arrays.low)


@pytest.mark.parametrize("seed", range(5))
def test_the_projection_is_the_nearest_distribution(seed):
    values = np.random.default_rng(seed).normal(0.25, 0.5, 4)
    found = optimize.minimize(
        lambda q: ((q - values) ** 2).sum(), np.full(4, 0.25), bounds=[(0, 1)] * 4,
        constraints={"type": "eq", "fun": lambda q: q.sum() - 1}, method="SLSQP",
        options={"ftol": 1e-14},
    )  # fmt: skip
    projected = project_on_simplex(values)
    np.testing.assert_allclose(projected, found.x, atol=1e-6)
    assert projected.min() >= 0 and projected.sum() == pytest.approx(1)


def test_the_projection_leaves_a_distribution_alone():
    np.testing.assert_allclose(project_on_simplex(TARGET), TARGET)
    np.testing.assert_array_equal(project_on_simplex(np.array([0.0, 1.0, 0.0])), [0, 1, 0])


def test_a_negative_solution_is_projected():
    labels, predictions = listed(CONDITIONAL * SOURCE)
    estimate = black_box_prior(labels, predictions, [0] * 140 + [1] * 42 + [2] * 18, 3)
    raw = np.linalg.solve(CONDITIONAL, [0.7, 0.21, 0.09])
    assert raw.min() < 0
    np.testing.assert_allclose(estimate.prior, project_on_simplex(raw), atol=1e-12)


def test_an_estimate_stands_in_its_interval_even_where_projecting_moved_it_far():
    table = np.array([[15, 6, 17], [3, 6, 0], [2, 8, 3]])  # [prediction, label], 20 a label
    labels = np.repeat(np.tile(np.arange(3), 3), table.ravel())
    estimate = black_box_prior(labels, np.repeat([0, 1, 2], table.sum(1)), [0, 2, 2, 2, 2], 3)
    raw = np.linalg.solve(table / 20, [0.2, 0, 0.8])
    np.testing.assert_array_equal(raw < 0, [True, False, False])
    low, high = score_interval(table / 20, np.full(3, 20), 5, raw, estimate.prior)
    assert low[1] > estimate.prior[1] and high[2] < estimate.prior[2]  # which is mended here:
    assert (estimate.low <= estimate.prior).all() and (estimate.prior <= estimate.high).all()


# EM.


@pytest.mark.parametrize("seed", range(8))
def test_em_finds_the_maximum_of_the_likelihood(seed):
    rows, _ = random_problem(seed)
    source = np.full(3, 1 / 3)
    best, where = maximum(rows, source)
    estimate = em_prior(source, rows)
    assert log_likelihood(estimate.prior, rows, source) >= best - 200 * 1e-7 - 1e-9
    np.testing.assert_allclose(estimate.prior, where, atol=2e-3)
    assert estimate.warning == "" and estimate.method == "EM"


def test_the_problems_above_have_a_maximum_at_the_border():
    source = np.full(3, 1 / 3)
    shares = [maximum(random_problem(seed)[0], source)[1].min() for seed in range(8)]
    assert min(shares) < 1e-6 and max(shares) > 0.01


def test_em_gives_back_the_exact_prior_of_a_table():
    population = Population(torch.arange(3)[:, None], CONDITIONAL * SOURCE)
    target = shift_labels(population, TARGET)
    counts = np.rint(target.input_probability * 2000).astype(int)
    rows = np.repeat(population.labels_given_input, counts, axis=0)
    estimate = em_prior(population.prior, rows)
    np.testing.assert_allclose(estimate.prior, TARGET, atol=1e-3)
    np.testing.assert_allclose(estimate.ratio, estimate.prior / SOURCE)


def test_em_takes_the_softmax_of_float32():
    logits = torch.randn(300, 10, generator=torch.Generator().manual_seed(0)) * 3
    estimate = em_prior(torch.full((10,), 0.1), logits.softmax(1))
    assert estimate.prior.sum() == pytest.approx(1) and estimate.prior.dtype == np.float64


def test_em_depends_on_calibration():
    rows, truth = random_problem(3, size=20_000)
    flat = rows**0.5 / (rows**0.5).sum(1, keepdims=True)
    source = np.full(3, 1 / 3)
    right, wrong = em_prior(source, rows), em_prior(source, flat)
    assert abs(right.prior - truth).max() < 0.03 < abs(wrong.prior - truth).max()


# Corrected predictions.


def test_adjusting_by_the_exact_ratio_is_bayes_rule():
    source = Population(torch.arange(3)[:, None], CONDITIONAL * SOURCE)
    target = shift_labels(source, TARGET)
    corrected = adjust(source.labels_given_input, TARGET / SOURCE)
    np.testing.assert_allclose(corrected, target.labels_given_input)
    by_hand = CONDITIONAL[1] * TARGET
    np.testing.assert_allclose(corrected[1], by_hand / by_hand.sum())


def test_the_scale_of_the_ratio_does_not_matter():
    rows = np.random.default_rng(0).dirichlet(np.ones(4), 5)
    ratio = np.array([0.0, 1, 2, 3])
    np.testing.assert_allclose(adjust(rows, ratio), adjust(rows, 7 * ratio))
    np.testing.assert_allclose(adjust(rows, np.ones(4)), rows)


# Intervals.


def test_with_a_faultless_classifier_and_a_large_source_the_interval_is_wilson_s():
    many, shares = np.full(3, 10**9), np.array([0.02, 0.38, 0.6])
    low, high = score_interval(np.eye(3), many, 50, shares, shares)
    for j, successes in enumerate((1, 19, 30)):
        wilson = stats.binomtest(successes, 50).proportion_ci(0.95, method="wilson")
        assert (low[j], high[j]) == pytest.approx((wilson.low, wilson.high), abs=1e-6)


def test_an_estimate_with_next_to_nothing_behind_it_has_the_whole_range_for_interval():
    nearly_singular, few = np.array([[0.6, 0.4], [0.4, 0.6]]), np.array([10, 10])
    low, high = score_interval(nearly_singular, few, 20, np.array([4, -3]), np.array([1.0, 0]))
    np.testing.assert_array_equal([low, high], [[0, 0], [1, 1]])


def test_with_sure_probabilities_the_interval_is_the_likelihood_ratio_s():
    prior, counts = np.array([0.02, 0.38, 0.6]), np.array([1, 19, 30])
    low, high = likelihood_interval(np.repeat(np.eye(3), counts, axis=0), prior)

    def fall(t, k):
        return stats.binom.logpmf(k, 50, k / 50) - stats.binom.logpmf(k, 50, t) - 3.841459 / 2

    for j, k in enumerate(counts):
        assert low[j] == pytest.approx(optimize.brentq(fall, 1e-9, k / 50, (k,)), abs=2e-4)
        assert high[j] == pytest.approx(optimize.brentq(fall, k / 50, 1 - 1e-9, (k,)), abs=2e-4)


@pytest.mark.parametrize("seed", [0, 4, 5])
def test_at_the_ends_of_a_likelihood_interval_the_profile_has_fallen_by_half_a_quantile(seed):
    rows, _ = random_problem(seed, size=300)
    source = np.full(3, 1 / 3)
    estimate = em_prior(source, rows)
    best, _ = maximum(rows, source)
    for j in range(3):
        for end in (estimate.low[j], estimate.high[j]):
            if 1e-3 < end < 1 - 1e-3:
                # The line followed is not quite the profile: it stops a little early.
                fall = best - maximum(rows, source, fixed=(j, end))[0]
                assert 0.93 * 3.8415 / 2 < fall < 1.02 * 3.8415 / 2


def test_the_variance_of_a_black_box_estimate_is_that_of_many_draws():
    generator = np.random.default_rng(0)
    draws, counts, size = 4000, np.array([500, 300, 200]), 400
    means = generator.multinomial(size, CONDITIONAL @ TARGET, draws) / size
    columns = [generator.multinomial(n, CONDITIONAL[:, j], draws) / n for j, n in enumerate(counts)]
    raw = np.linalg.solve(np.stack(columns, axis=2), means[..., None])[..., 0]
    predicted = black_box_variance(CONDITIONAL, counts, size, np.tile(TARGET, (3, 1)))
    np.testing.assert_allclose(predicted, raw.var(0), rtol=0.1)
    from_target = black_box_variance(CONDITIONAL, counts * 10**6, size, np.tile(TARGET, (3, 1)))
    assert (from_target < 0.8 * predicted).all()  # both parts are felt here


@pytest.mark.parametrize("truth", [(0.02, 0.38, 0.6), (0.0, 0.5, 0.5)])
@pytest.mark.parametrize("method", ["black box", "EM"])
def test_the_intervals_cover_the_truth_as_often_as_they_say(method, truth):
    draws, truth = 200, np.array(truth)
    source = Population(torch.arange(3)[:, None], CONDITIONAL * SOURCE)
    target = shift_labels(source, truth)
    posterior = source.labels_given_input  # and the predictions are the atoms themselves
    covered = np.zeros(3)
    for seed in range(draws):
        atoms = target.draw(120, draws + seed).atoms.numpy()
        if method == "EM":
            estimate = em_prior(source.prior, posterior[atoms])
        else:
            held_out = source.draw(500, seed)
            estimate = black_box_prior(held_out.labels, held_out.atoms, atoms, 3)
        covered += (estimate.low <= truth) & (truth <= estimate.high)
    low, high = binomial_bounds(draws)
    inside = truth > 0  # at the border only the lower end counts: more is covered
    assert (covered >= low).all() and (covered[inside] <= high).all()


def test_an_absent_class_does_not_make_the_other_intervals_too_narrow():
    data = digits()
    model = LogisticRegression(max_iter=1000).fit(data.inputs[:100], data.labels[:100])
    # The labels are drawn by the model's own probabilities: it is calibrated.
    source = Population(data.inputs, model.predict_proba(data.inputs) / len(data.inputs))
    truth, draws, covered = np.array([0, *np.log10(1 + 1 / np.arange(1, 10))]), 40, 0
    target = shift_labels(source, truth)
    for seed in range(draws):
        rows = source.labels_given_input[target.draw(300, seed).atoms]
        estimate = em_prior(source.prior, rows)
        covered += ((estimate.low <= truth) & (truth <= estimate.high))[1:].sum()
    assert covered >= binomial_bounds(9 * draws)[0]


def test_errors_that_a_small_source_did_not_show_are_counted():
    conditional = np.array([[0.97, 0.02], [0.03, 0.98]])
    truth, generator, covered = np.array([0.9, 0.1]), np.random.default_rng(0), 0
    for _ in range(300):
        labels = np.repeat([0, 1], 30)
        seen = (generator.random(60) < conditional[1, labels]).astype(int)
        target = (generator.random(5000) < conditional[1] @ truth).astype(int)
        estimate = black_box_prior(labels, seen, target, 2)
        covered += estimate.low[1] <= truth[1] <= estimate.high[1]
    assert covered >= binomial_bounds(300)[0]


def test_a_class_that_is_not_there_has_a_low_end_of_zero():
    sure = np.repeat(np.eye(4), [30, 70, 0, 0], axis=0)
    estimate = em_prior(np.full(4, 0.25), sure)
    assert estimate.low[2:].max() == pytest.approx(0, abs=1e-6)
    # 2 · 100 · log(1 / (1 − t)) = 3.84
    assert estimate.high[2] == pytest.approx(1 - np.exp(-3.841459 / 200), abs=2e-4)


def test_classes_that_look_alike_share_an_honest_interval():
    rows = np.repeat([[0.8, 0.1, 0.1], [0.1, 0.45, 0.45]], [40, 160], axis=0)
    estimate = em_prior(np.full(3, 1 / 3), rows)
    assert estimate.low[1] < 1e-3 and estimate.high[1] > 0.7


# Bad input.

GOOD = ([0, 0, 1, 1], [0, 0, 1, 1], [0, 1, 1])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (([0, 0, 0], [0, 0, 1], [0, 1], 2), "class 1 is absent"),
        (([0, 0, 1, 1], [0, 0, 0, 0], [0, 1], 2), "smallest singular value is 0 .*merge"),
        (([0, 0, 1, 1], [0, 1, 0, 1], [0, 1], 2), "smallest singular value is .*better classifier"),
        (([0, 0, 1], [0, 0, 1, 1], [0], 2), "as many as source_labels; got 4 for 3"),
        (([0, 0, 1, 2], [0, 0, 1, 1], [0], 2), "source_labels must be labels.*0 to 1; got 0 to 2"),
        (([0, 0, 1, 1], [0, 0.5, 1, 1], [0], 2), "source_predictions must be labels"),
        (([0, 0, 1, 1], [0, 0, 1, 1], [-1, 0], 2), "target_predictions must be labels.*got -1"),
        (([0, 0, 1, 1], [0, 0, 1, 1], [], 2), "target_predictions must have at least one"),
        (([0, 0, 1, 1], [0, 0, 1, 1], [np.nan], 2), "target_predictions must be finite"),
        ((np.eye(2), [0, 1], [0], 2), "source_labels must have one dimension"),
        ((*GOOD, 1), "classes must be an integer ≥ 2; got 1"),
    ],
)
def test_black_box_prior_refuses(arguments, message):
    with pytest.raises(ValueError, match=message):
        black_box_prior(*arguments)


@pytest.mark.parametrize(
    ("source", "rows", "message"),
    [
        ([1, 0], [[0.5, 0.5]], "class 1 is absent"),
        ([1.0], [[1.0]], "number of classes must be an integer ≥ 2"),
        ([0.5, 0.6], [[0.5, 0.5]], "source_prior must be ≥ 0 and have the sum 1"),
        ([0.5, 0.5], [[0.5, 0.5], [2.0, -1.0]], "not logits.*row 1 with minimum -1, sum 1"),
        ([0.5, 0.5], [[0.5, 0.6]], "sum 1 in each row.*sum 1.1"),
        ([0.5, 0.5], [[0.2, 0.3, 0.5]], "must have 2 columns.*got 3"),
        ([0.5, 0.5], [[np.nan, 0.5]], "target_probabilities must be finite"),
        ([0.5, 0.5], [0.5, 0.5], r"must be \(examples, features\); got shape \(2,\)"),
    ],
)
def test_em_prior_refuses(source, rows, message):
    with pytest.raises(ValueError, match=message):
        em_prior(source, rows)


@pytest.mark.parametrize(
    ("rows", "ratio", "message"),
    [
        ([[0.5, 0.5]], [1, -1], "ratio must be ≥ 0; got -1"),
        ([[0.5, 0.5], [1, 0]], [0, 1], "row 1 of probabilities has only classes with ratio 0"),
        ([[0.5, 0.5]], [1, 1, 1], "must have 3 columns"),
        ([[0.5, 0.6]], [1, 1], "sum 1 in each row"),
    ],
)
def test_adjust_refuses(rows, ratio, message):
    with pytest.raises(ValueError, match=message):
        adjust(rows, ratio)


def test_a_confusion_matrix_that_may_be_singular_is_warned_of():
    labels = np.repeat([0, 1], 50)
    predictions = np.r_[np.repeat([0, 1], [30, 20]), np.repeat([0, 1], [22, 28])]
    warning = black_box_prior(labels, predictions, [0, 1] * 50, 2).warning
    assert "may be singular" in warning and "0.16" in warning and "merge the classes" in warning
    # ten times the examples, and the same singular value is no longer in doubt
    again = black_box_prior(np.tile(labels, 10), np.tile(predictions, 10), [0, 1] * 50, 2)
    assert again.warning == ""


def test_the_standard_error_of_the_singular_value_is_that_of_many_draws():
    share, generator = np.array([[10, 6, 4], [6, 9, 6], [4, 5, 10]]) / 20, np.random.default_rng(0)
    columns = [generator.multinomial(100, share[:, j], 20_000) / 100 for j in range(3)]
    drawn = np.linalg.svd(np.stack(columns, axis=2), compute_uv=False)[:, -1]
    warning = black_box_prior(*listed(share / 3, 300), [0, 1, 2], 3).warning
    said = float(warning.split("standard error of ")[1].split(". ")[0])
    assert said == pytest.approx(drawn.std(), rel=0.1)


def test_a_class_with_few_examples_is_warned_of():
    warning = black_box_prior([0] * 9 + [1] * 20, [0] * 9 + [1] * 20, [0, 1], 2).warning
    assert "Class 0 has only 9 source examples" in warning
    assert black_box_prior([0] * 10 + [1] * 20, [0] * 10 + [1] * 20, [0, 1], 2).warning == ""


def test_a_solution_that_no_label_shift_explains_is_warned_of():
    labels, predictions = listed(CONDITIONAL * SOURCE)
    warning = black_box_prior(labels, predictions, [0] * 970 + [1] * 20 + [2] * 10, 3).warning
    raw = np.linalg.solve(CONDITIONAL, [0.97, 0.02, 0.01])
    assert f"Class {raw.argmin()} would have the share {raw.min():.2f}" in warning
    assert "under 0" in warning
    nearly = black_box_prior(labels, predictions, [0] * 160 + [1] * 34 + [2] * 6, 3)
    assert nearly.warning == ""


def test_an_em_that_does_not_arrive_is_warned_of(monkeypatch):
    rows, _ = random_problem(1)
    monkeypatch.setattr(module, "ITERATIONS", 3)
    assert "not arrived after 3 steps" in em_prior(np.full(3, 1 / 3), rows).warning
