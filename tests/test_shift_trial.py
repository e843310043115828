"""A trial of a shift against numbers that are computed without it, and what its examples claim."""

import dataclasses
import math
import random
from dataclasses import replace

import numpy as np
import pytest
import torch
from sklearn.decomposition import PCA
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import accuracy_score, log_loss
from sklearn.neighbors import KNeighborsClassifier

from d2lstab.datasets import digits
from d2lstab.shift.detect import DETECTORS, prediction_test
from d2lstab.shift.linear import LinearModel, fit_linear
from d2lstab.shift.plane import DIGITS, covariate_score, digits_in_a_plane
from d2lstab.shift.prior import black_box_prior, em_prior
from d2lstab.shift.trial import CORRECTIONS, EXAMPLES, TESTS, ShiftSpec, try_shift
from d2lstab.shift.weights import classifier_weights

QUICK = ShiftSpec(detector="KS + Bonferroni")
ALL_THREE = replace(QUICK, covariate=0.75, label=0.3, concept=0.4)
PLANE = digits_in_a_plane()
SEEDS = range(20)


def cells(population):
    """Every cell of a population as one weighted example, for scikit-learn."""
    atoms, classes = population.joint.shape
    inputs = np.repeat(population.inputs.numpy(), classes, axis=0)
    return inputs, np.tile(np.arange(classes), atoms), population.joint.reshape(-1)


def trials(spec, seeds=SEEDS):
    return [try_shift(replace(spec, detector="KS + Bonferroni", seed=seed)) for seed in seeds]


def mean(values):
    return sum(values) / len(values)


# --- the population -------------------------------------------------------------------------------


def test_the_plane_holds_the_two_principal_components_of_real_digits():
    batch = digits()
    mine = torch.isin(batch.labels, torch.tensor(DIGITS))
    scores = PCA(2, svd_solver="full").fit_transform(batch.inputs[mine].double().numpy())
    scores /= scores.std(0)
    plane = PLANE.inputs.numpy()
    assert plane.shape == (mine.sum(), 2)
    for sign_x, sign_y in ((1, 1), (1, -1), (-1, 1), (-1, -1)):
        turned = scores * [sign_x, sign_y]
        turned = turned[covariate_score(turned).argsort()]
        if np.allclose(turned, plane, atol=1e-6):
            return
    pytest.fail("no choice of signs makes them equal")


def test_the_chance_of_a_label_is_its_share_among_the_nearest_images():
    inputs, shares = PLANE.inputs.numpy(), PLANE.labels_given_input
    batch = digits()
    mine = torch.isin(batch.labels, torch.tensor(DIGITS))
    images = batch.inputs[mine].double().numpy()
    scores = PCA(2, svd_solver="full").fit_transform(images)
    scores /= scores.std(0)
    oracle = KNeighborsClassifier(15).fit(scores, batch.labels[mine].numpy())
    # the populations differ by the order of the atoms and the signs: compare what is neither
    found = np.sort(shares @ [1, 10, 100])
    np.testing.assert_allclose(found, np.sort(oracle.predict_proba(scores) @ [1, 10, 100]))
    assert len(inputs) == len(found) and 0.8 < shares.max(1).mean() < 0.9  # not determined


def test_the_atoms_are_in_the_order_of_the_score():
    score = covariate_score(PLANE.inputs)
    assert (np.diff(score) >= 0).all() and 0.5 < score.std() < 1.5
    assert PLANE.input_probability == pytest.approx(1 / len(score))


# --- the shift ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "sizes"),
    [("covariate", (-10, -0.25, 0.25, 10)), ("label", (0.05, 1)), ("concept", (0.05, 1))],
)
def test_each_slider_alone_is_a_shift_of_its_kind_and_of_no_other(kind, sizes):
    for size in sizes:
        assert try_shift(replace(QUICK, **{kind: size})).moved.kinds == (kind,)
    together = try_shift(ALL_THREE).moved
    assert together.kinds == () and min(dataclasses.astuple(together)[:4]) > 0.05


def test_without_a_shift_the_target_is_the_source():
    trial = try_shift(QUICK)
    np.testing.assert_allclose(trial.target.joint, trial.source.joint, atol=1e-15)
    assert trial.moved.kinds == ()
    assert trial.accuracy_before == pytest.approx(trial.accuracy_on_source)


def test_the_target_is_what_the_three_sizes_say_in_a_plain_sum():
    table, score = PLANE.joint, PLANE.inputs.numpy() @ [-0.5, math.sqrt(3) / 2]
    tilted = [[p * math.exp(0.75 * s) for p in row] for row, s in zip(table, score, strict=True)]
    total = sum(map(sum, tilted))
    prior = [sum(row[y] for row in tilted) / total for y in range(3)]
    wanted = [0.7 * p + 0.3 * (y == 1) for y, p in enumerate(prior)]
    expected = []
    for row in tilted:
        one, eight, nine = (p / total * w / q for p, w, q in zip(row, wanted, prior, strict=True))
        expected.append([one, 0.6 * eight + 0.4 * nine, 0.6 * nine + 0.4 * eight])
    np.testing.assert_allclose(try_shift(ALL_THREE).target.joint, expected, rtol=1e-9)


def test_a_seed_keeps_the_samples_of_the_source_and_lets_those_of_the_target_follow_the_shift():
    start, near, far = (try_shift(replace(QUICK, covariate=c)) for c in (1.0, 1.25, 3.0))
    for other in (near, far):
        assert torch.equal(start.training.inputs, other.training.inputs)
        assert torch.equal(start.held_out.labels, other.held_out.labels)
    moved = [
        (start.unlabelled.atoms - t.unlabelled.atoms).abs().double().mean() for t in (near, far)
    ]
    assert 0 < moved[0] < 40 and moved[0] < moved[1]  # of 536 atoms, in the order of the score
    assert not torch.equal(start.training.atoms, start.held_out.atoms)
    assert not torch.equal(start.training.atoms, try_shift(replace(QUICK, seed=8)).training.atoms)


# --- the model ------------------------------------------------------------------------------------


@pytest.mark.parametrize("correction", CORRECTIONS)
def test_the_accuracies_are_those_of_scikit_learns_model_over_the_whole_population(correction):
    # at this seed no class gets the weight 0, and scikit-learn sees all three
    trial = try_shift(replace(ALL_THREE, correction=correction, seed=1))
    inputs, labels = trial.training.inputs.numpy(), trial.training.labels.numpy()
    before = LogisticRegression().fit(inputs, labels)

    def accuracy(model, population):
        x, y, p = cells(population)
        return accuracy_score(y, model.predict(x), sample_weight=p)

    def loss(model):
        x, y, p = cells(trial.target)
        return log_loss(y, model.predict_proba(x), sample_weight=p)

    assert trial.accuracy_on_source == pytest.approx(accuracy(before, trial.source))
    assert trial.accuracy_before == pytest.approx(accuracy(before, trial.target))
    assert trial.loss_before == pytest.approx(loss(before))
    if correction == "none":
        assert trial.after is None and trial.correction.weights is None
        assert math.isnan(trial.accuracy_after) and math.isnan(trial.loss_after)
    else:
        weights = trial.correction.weights.values
        after = LogisticRegression(max_iter=1000).fit(inputs, labels, sample_weight=weights)
        assert trial.accuracy_after == pytest.approx(accuracy(after, trial.target), abs=2e-3)
        assert trial.loss_after == pytest.approx(loss(after), rel=1e-3)


def test_the_best_possible_accuracy_is_that_of_the_likeliest_label():
    trial = try_shift(ALL_THREE)
    assert trial.best_on_source == pytest.approx(sum(map(max, trial.source.joint)))
    assert trial.best_on_target == trial.target.accuracy(trial.target.joint.argmax(1))
    assert max(trial.accuracy_before, trial.accuracy_on_source) < trial.best_on_source


def test_a_class_that_was_not_seen_is_never_predicted():
    two = fit_linear([[0.0], [1.0], [4.0], [5.0]], [1, 1, 2, 2], classes=3)
    oracle = LogisticRegression().fit([[0.0], [1.0], [4.0], [5.0]], [1, 1, 2, 2])
    found = two.probabilities([[0.5], [3.0]])
    np.testing.assert_allclose(found[:, 1:], oracle.predict_proba([[0.5], [3.0]]), rtol=1e-6)
    assert (found[:, 0] == 0).all()
    one = fit_linear([[0.0], [1.0], [4.0]], [0, 2, 2], classes=3, weights=[0, 1, 2])
    assert one.predict([[0.0], [9.0]]).tolist() == [2, 2]
    assert np.isneginf(one.intercepts).tolist() == [True, True, False]
    assert one.log_loss(PLANE_OF_ONE_FEATURE) == math.inf
    assert isinstance(one, LinearModel)


PLANE_OF_ONE_FEATURE = dataclasses.replace(PLANE, inputs=PLANE.inputs[:, :1])


# --- detection ------------------------------------------------------------------------------------


@pytest.mark.parametrize("detector", TESTS)
def test_the_detector_compares_held_out_inputs_with_those_of_the_target(detector):
    trial = try_shift(replace(ALL_THREE, detector=detector, seed=3))
    samples = trial.held_out.inputs.numpy(), trial.unlabelled.inputs.numpy()
    if detector == "black box":
        model = LogisticRegression().fit(trial.training.inputs, trial.training.labels)
        expected = prediction_test(*map(model.predict_proba, samples))
    else:
        expected = DETECTORS[detector](*samples, 3)
    assert trial.detection.p_value == pytest.approx(expected.p_value, rel=1e-6)
    assert trial.detection.method == expected.method


@pytest.mark.parametrize("detector", TESTS)
def test_no_detector_can_tell_a_concept_shift_from_no_shift(detector):
    for seed in range(4):
        still = try_shift(replace(QUICK, detector=detector, seed=seed))
        renamed = try_shift(replace(still.spec, concept=1.0))
        assert renamed.detection.p_value == still.detection.p_value
        assert renamed.accuracy_before < still.accuracy_before - 0.3
        assert not torch.equal(renamed.unlabelled.labels, still.unlabelled.labels)


# --- correction -----------------------------------------------------------------------------------


def test_the_exact_weights_are_the_tilt_itself():
    trial = try_shift(replace(QUICK, covariate=1.5, correction="exact weights"))
    tilt = np.exp(1.5 * (trial.training.inputs.numpy() @ [-0.5, math.sqrt(3) / 2]))
    weights = trial.correction.weights
    np.testing.assert_allclose(weights.values, tilt / tilt.mean(), rtol=1e-9)
    assert weights.effective_size == pytest.approx(tilt.sum() ** 2 / (tilt**2).sum())
    everywhere = np.exp(1.5 * covariate_score(PLANE.inputs))
    assert weights.overlap == pytest.approx(min(1, tilt.mean() / everywhere.mean()))


def test_the_density_ratio_sees_training_and_unlabelled_inputs_only():
    trial = try_shift(replace(ALL_THREE, correction="density ratio"))
    expected = classifier_weights(trial.training.inputs, trial.unlabelled.inputs)
    np.testing.assert_allclose(trial.correction.weights.values, expected.values)
    assert trial.correction.estimate is None


@pytest.mark.parametrize("correction", ["black box", "EM"])
def test_the_weight_of_a_label_is_the_ratio_of_the_estimated_priors(correction):
    trial = try_shift(replace(QUICK, label=0.5, correction=correction))
    labels, held_out = trial.training.labels.numpy(), trial.held_out
    model = LogisticRegression().fit(trial.training.inputs, labels)
    if correction == "EM":
        frequency = [mean(labels == y) for y in range(3)]
        estimate = em_prior(frequency, model.predict_proba(trial.unlabelled.inputs))
    else:
        predictions = (model.predict(x.inputs) for x in (held_out, trial.unlabelled))
        estimate = black_box_prior(held_out.labels, *predictions, 3)
    np.testing.assert_allclose(trial.correction.estimate.prior, estimate.prior, rtol=1e-3)
    values = trial.correction.weights.values
    assert values.mean() == pytest.approx(1)
    for y in range(3):
        own = values[labels == y] / values[labels == 1][0]
        assert own == pytest.approx(estimate.ratio[y] / estimate.ratio[1], rel=1e-3)


def test_a_correction_that_cannot_be_done_says_why_and_changes_nothing_else():
    draws = (torch.Generator().manual_seed(seed) for seed in range(20_000))
    lacking = next(
        seed
        for seed, generator in enumerate(draws)
        if (PLANE.draw(20, generator), len(PLANE.draw(20, generator).labels.unique()))[1] < 3
    )
    trial = try_shift(replace(QUICK, size=20, seed=lacking, correction="black box"))
    assert trial.correction.weights is None and trial.after is None
    assert "class" in trial.correction.warning.lower() and math.isnan(trial.accuracy_after)
    assert (
        trial.accuracy_before == try_shift(replace(trial.spec, correction="none")).accuracy_before
    )


def test_a_class_absent_in_the_training_sample_is_survived_by_every_correction():
    lacking = next(s for s in range(20_000) if len(PLANE.draw(20, s).labels.unique()) < 3)
    for correction in CORRECTIONS:
        for label in (0.0, 1.0):
            spec = ShiftSpec(label=label, size=20, seed=lacking, correction=correction)
            trial = try_shift(spec)
            assert np.isinf(trial.before.intercepts).sum() == 1
            assert 0 <= trial.accuracy_before <= 1
            assert (
                trial.correction.weights is not None
                or trial.correction.warning
                or (correction == "none")
            )


# --- the examples ---------------------------------------------------------------------------------

# At least 18 of 20 seeds: by Clopper and Pearson, with 95 % confidence more than two thirds of all.


def test_weights_help():
    found = trials(EXAMPLES["weights help"])
    assert sum(t.accuracy_after > t.accuracy_before + 0.1 for t in found) >= 18
    assert mean([t.accuracy_before for t in found]) == pytest.approx(0.55, abs=0.02)
    assert mean([t.accuracy_after for t in found]) == pytest.approx(0.87, abs=0.02)
    sizes = [t.correction.weights.effective_size for t in found]
    assert mean(sizes) == pytest.approx(50, abs=10)
    assert all(t.detection.p_value <= 0.05 for t in found)


def test_labels_move():
    found = trials(EXAMPLES["labels move"])
    assert sum(t.accuracy_after > t.accuracy_before for t in found) >= 18
    assert mean([t.accuracy_before for t in found]) == pytest.approx(0.68, abs=0.03)
    assert mean([t.accuracy_after for t in found]) == pytest.approx(0.83, abs=0.03)
    assert mean([t.correction.estimate.prior[1] for t in found]) == pytest.approx(0.73, abs=0.06)


def test_nobody_can_see_it():
    found = trials(EXAMPLES["nobody can see it"])
    assert mean([t.accuracy_on_source for t in found]) == pytest.approx(0.755, abs=0.02)
    assert mean([t.accuracy_before for t in found]) == pytest.approx(0.55, abs=0.02)
    assert all(t.moved.inputs < 1e-12 for t in found)
    assert sum(t.detection.p_value <= 0.05 for t in found) <= 4  # of 20 at 5 %: 99.7 %


def test_a_wrong_assumption():
    found = trials(EXAMPLES["wrong assumption"])
    assert sum(t.accuracy_after < t.accuracy_before for t in found) >= 18
    assert mean([t.accuracy_after for t in found]) == pytest.approx(0.41, abs=0.04)


def test_exact_weights_harm_the_accuracy_and_lower_the_loss():
    found = trials(EXAMPLES["weights harm"])
    assert sum(t.accuracy_after < t.accuracy_before for t in found) >= 18
    assert mean([t.accuracy_before - t.accuracy_after for t in found]) == pytest.approx(
        0.03, abs=0.01
    )
    assert all(t.loss_after < t.loss_before - 0.1 for t in found)
    assert found[0].moved.kinds == ("covariate",)


def test_no_overlap():
    found = trials(EXAMPLES["no overlap"])
    assert sum(t.correction.weights.overlap < 0.5 for t in found) >= 16
    assert all(t.correction.warning for t in found)
    assert mean([t.accuracy_after - t.accuracy_before for t in found]) < 0.02


# --- what comes in --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("wrong", "error", "says"),
    [
        (dict(covariate=11), ValueError, "covariate must be a number from -10 to 10; got 11"),
        (dict(covariate=math.nan), ValueError, "covariate"),
        (dict(covariate="1"), TypeError, "covariate"),
        (dict(label=-0.1), ValueError, "label must be a number from 0 to 1; got -0.1"),
        (dict(concept=1.01), ValueError, "concept must be a number from 0 to 1; got 1.01"),
        (dict(size=19), ValueError, "size must be an integer from 20 to 2000; got 19"),
        (dict(size=20.5), TypeError, "size"),
        (dict(detector="mmd"), ValueError, "detector must be one of 'KS"),
        (dict(correction="em"), ValueError, "correction must be one of 'none'"),
        (dict(seed=-1), ValueError, "seed"),
    ],
)
def test_a_wrong_value_is_named(wrong, error, says):
    with pytest.raises(error, match=says):
        ShiftSpec(**wrong)


@pytest.mark.parametrize("correction", CORRECTIONS)
@pytest.mark.parametrize("covariate", [-10.0, 10.0])
@pytest.mark.parametrize("size", [20, 2000])
def test_all_shifts_at_their_ends_give_numbers_or_a_reason(correction, covariate, size):
    spec = ShiftSpec(covariate, 1.0, 1.0, size, "KS + Bonferroni", correction)
    trial = try_shift(spec)
    assert trial.target.joint.sum() == pytest.approx(1) and trial.detection.p_value <= 0.05
    assert 0 <= trial.accuracy_before <= trial.best_on_target + 1e-12
    done = trial.correction
    if done.weights is not None:
        assert np.isfinite(done.weights.values).all() and 1 <= done.weights.effective_size <= size
        assert 0 <= trial.accuracy_after <= 1 + 1e-12
    else:
        assert correction == "none" or done.warning


def test_the_same_specification_gives_the_same_trial_and_no_random_state_moves():
    states = random.getstate(), torch.get_rng_state(), np.random.get_state()[1].copy()
    spec = ShiftSpec(covariate=1.0, correction="density ratio")
    one, two = try_shift(spec), try_shift(spec)
    assert one.detection.p_value == two.detection.p_value
    np.testing.assert_array_equal(one.after.coefficients, two.after.coefficients)
    assert random.getstate() == states[0] and torch.equal(torch.get_rng_state(), states[1])
    assert (np.random.get_state()[1] == states[2]).all()
