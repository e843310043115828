"""A concept that turns: the stream, the models that follow it, the theory, the alarm."""

import math

import numpy as np
import pytest
from scipy import stats
from sklearn.decomposition import PCA
from sklearn.linear_model import LogisticRegression

from d2lstab.datasets import digits
from d2lstab.shift.alarm import cusum
from d2lstab.shift.drift import (
    FLIP,
    Stream,
    concept,
    digit_plane,
    keep,
    retrain,
    sample_stream,
    update,
)
from d2lstab.shift.make import compare
from d2lstab.shift.window import online_error, window_error

TURNING = sample_stream(np.linspace(0, 2, 400), seed=3)


def test_the_plane_is_that_of_the_main_components_each_in_standard_deviations():
    pca = PCA(2).fit(digits().inputs.double().numpy())
    scores = pca.transform(digits().inputs.double().numpy())
    scores *= np.sign(pca.components_[[0, 1], abs(pca.components_).argmax(1)])
    np.testing.assert_allclose(digit_plane(), scores / scores.std(0), atol=1e-8)
    assert not digit_plane().flags.writeable


@pytest.mark.parametrize("angle", [0.0, 1.0, np.pi / 2, -2.5, 7.0])
def test_a_concept_gives_each_digit_the_label_of_its_side_but_for_a_tenth(angle):
    population = concept(angle)
    for (x, y), (zero, one) in zip(
        digit_plane()[::50], population.labels_given_input[::50], strict=True
    ):
        on_side = math.cos(math.atan2(y, x) - angle) > 0
        assert (zero, one) == pytest.approx((0.1, 0.9) if on_side else (0.9, 0.1))
    np.testing.assert_allclose(population.input_probability, 1 / 1797)
    assert population.accuracy(population.joint.argmax(1)) == pytest.approx(0.9)


def test_turning_moves_the_labels_and_not_the_inputs():
    moved = compare(concept(0), concept(1))
    assert moved.inputs < 1e-12 and moved.kinds == ("concept",)
    opposite = compare(concept(0), concept(np.pi))
    assert opposite.labels_given_input == pytest.approx(0.8)


def test_a_stream_is_drawn_from_the_concept_of_each_moment():
    n = 20_000
    angles = np.linspace(0, 40, n)
    drawn = sample_stream(angles, seed=1)
    direction = np.arctan2(drawn.inputs[:, 1], drawn.inputs[:, 0])
    wrong = (np.cos(direction - angles) > 0) != drawn.labels
    low, high = stats.binom.interval(0.9999, n, FLIP)
    assert low <= wrong.sum() <= high
    _, seen = np.unique(drawn.inputs, axis=0, return_counts=True)
    expected = np.unique(digit_plane(), axis=0, return_counts=True)[1] * n / 1797
    assert stats.chisquare(seen, expected).pvalue > 1e-4


def test_a_stream_depends_on_its_seed_only():
    same, other = sample_stream(TURNING.angles, seed=3), sample_stream(TURNING.angles, seed=4)
    np.testing.assert_array_equal(same.inputs, TURNING.inputs)
    np.testing.assert_array_equal(same.labels, TURNING.labels)
    assert (other.labels != TURNING.labels).any()


def judged(stream, step, predict):
    """The accuracy on the concept of the next example, as a population has it."""
    return concept(float(stream.angles[step])).accuracy(predict(digit_plane()))


def test_a_model_that_is_kept_has_learned_from_the_first_examples_only():
    model = LogisticRegression().fit(TURNING.inputs[:60], TURNING.labels[:60])
    track = keep(TURNING, 60, every=50)
    assert track.steps.tolist() == [100, 150, 200, 250, 300, 350]
    expected = [judged(TURNING, step, model.predict) for step in track.steps]
    np.testing.assert_allclose(track.accuracy, expected, atol=1e-12)


@pytest.mark.parametrize(("window", "delay"), [(30, 0), (1000, 0), (30, 45)])
def test_retraining_uses_the_newest_labels_that_are_there(window, delay):
    track = retrain(TURNING, window, every=40, delay=delay)
    assert track.steps[0] == (80 if delay else 40) and track.steps[-1] == 360
    for step, accuracy in zip(track.steps, track.accuracy, strict=True):
        rows = [i for i in range(step) if step - delay - window <= i < step - delay]
        model = LogisticRegression().fit(TURNING.inputs[rows], TURNING.labels[rows])
        assert accuracy == pytest.approx(judged(TURNING, step, model.predict), abs=1e-12)


@pytest.mark.parametrize("delay", [0, 45])
def test_updating_is_one_gradient_step_for_each_label_in_order(delay):
    track, rate = update(TURNING, 0.3, every=40, delay=delay), 0.3
    weight, bias, seen = np.zeros(2), 0.0, 0
    for step, accuracy in zip(track.steps, track.accuracy, strict=True):
        for i in range(seen, step - delay):
            x = TURNING.inputs[i]
            gradient = 1 / (1 + math.exp(-(weight @ x + bias))) - TURNING.labels[i]
            weight, bias = weight - rate * gradient * x, bias - rate * gradient
        seen = step - delay
        right = concept(float(TURNING.angles[step])).accuracy(digit_plane() @ weight + bias > 0)
        assert accuracy == pytest.approx(right, abs=1e-12)


@pytest.mark.parametrize(
    "follow", [lambda s: retrain(s, 50, delay=30), lambda s: update(s, 1, delay=30)]
)
def test_labels_that_have_not_come_yet_change_nothing(follow):
    labels = TURNING.labels.copy()
    labels[170:] = 1 - labels[170:]
    before, after = follow(TURNING), follow(Stream(TURNING.inputs, labels, TURNING.angles))
    known = before.steps <= 200
    np.testing.assert_array_equal(before.accuracy[known], after.accuracy[known])
    assert (before.accuracy[~known] != after.accuracy[~known]).any()


def test_a_window_of_one_class_says_that_class():
    constant = Stream(TURNING.inputs, np.ones(400, int), TURNING.angles)
    track = retrain(constant, 20, every=100)
    expected = [judged(constant, step, lambda inputs: np.ones(len(inputs))) for step in track.steps]
    np.testing.assert_allclose(track.accuracy, expected, atol=1e-12)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: concept(float("nan")), "angle must be a finite number"),
        (lambda: sample_stream([[0.0]]), "angles must have one dimension"),
        (lambda: sample_stream([0.0], seed=-1), "seed must be an integer"),
        (lambda: keep(TURNING, 400), "size must be an integer from 2 to 399"),
        (lambda: retrain(TURNING, 1), "window must be an integer"),
        (lambda: retrain(TURNING, 20, delay=-1), "delay must be an integer"),
        (lambda: retrain(TURNING, 20, every=0), "every must be an integer"),
        (lambda: retrain(TURNING, 20, delay=500), "longer than 502 examples; got 400"),
        (lambda: update(TURNING, 0), "rate must be a finite number > 0"),
        (lambda: window_error([0.5], 1, 1), "window must be ≥ 1; got 0.5"),
        (lambda: online_error([0], 1, 1), "learning_rate must be > 0 and ≤ 1"),
        (lambda: online_error([1.5], 1, 1), "learning_rate must be > 0 and ≤ 1"),
        (lambda: cusum([0, 2], 0.1, 0.2, 1), "errors must be 1 where"),
        (lambda: cusum([0, 1], 0.2, 0.1, 1), "after must be a finite number .* > 0.2"),
        (lambda: cusum([0, 1], 0, 0.1, 1), "before must be"),
        (lambda: cusum([0, 1], 0.1, 0.2, 0), "threshold must be"),
    ],
)
def test_bad_input_is_named(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def parts(weights, noise, rate, delay):
    """Noise and staleness of an estimate from the weights of observations of age 1, 2, …"""
    ages = delay + np.arange(1, len(weights) + 1)
    return noise**2 * (weights**2).sum(), (rate * (weights @ ages)) ** 2


@pytest.mark.parametrize("delay", [0, 7])
@pytest.mark.parametrize("window", [1, 2, 13])
def test_the_error_of_a_window_follows_from_its_weights(window, delay):
    error = window_error([window], 1.5, 0.2, delay)
    expected = parts(np.full(window, 1 / window), 1.5, 0.2, delay)
    assert (error.noise[0], error.staleness[0]) == pytest.approx(expected)
    assert error.total[0] == pytest.approx(sum(expected))


@pytest.mark.parametrize("delay", [0, 7])
@pytest.mark.parametrize("share", [0.02, 0.3, 1.0])
def test_the_error_of_an_online_estimate_follows_from_its_weights(share, delay):
    error = online_error([share], 1.5, 0.2, delay)
    expected = parts(share * (1 - share) ** np.arange(3000), 1.5, 0.2, delay)
    assert (error.noise[0], error.staleness[0]) == pytest.approx(expected)


def test_the_error_of_a_window_is_what_is_measured():
    rng, rate, window, delay = np.random.default_rng(0), 0.05, 10, 3
    y = rate * np.arange(30) + rng.standard_normal((20_000, 30))  # independent streams
    estimate = y[:, 29 - delay - window : 29 - delay].mean(1)
    squared = (estimate - rate * 29) ** 2
    expected = window_error([window], 1.0, rate, delay).total[0]
    assert abs(squared.mean() - expected) < 4 * squared.std() / len(squared) ** 0.5


def test_window_and_online_learner_are_equally_good_at_their_best():
    windows, shares = np.arange(1.0, 3000), np.geomspace(1e-4, 1, 20_000)
    best = window_error(windows, 1.0, 1e-4).total.min(), online_error(shares, 1, 1e-4).total.min()
    assert best[0] == pytest.approx(best[1], rel=0.01)
    n = windows[window_error(windows, 1.0, 1e-4).total.argmin()]
    assert n == pytest.approx((2 / 1e-8) ** (1 / 3), rel=0.01)


def test_cusum_is_the_largest_likelihood_ratio_over_all_moments_of_change():
    wrong = np.random.default_rng(0).random(60) < 0.2
    alarm = cusum(wrong, before=0.1, after=0.3, threshold=2.5)
    for t in range(60):
        starts = [
            stats.bernoulli.logpmf(wrong[k : t + 1], 0.3).sum()
            - stats.bernoulli.logpmf(wrong[k : t + 1], 0.1).sum()
            for k in range(t + 1)
        ]
        assert alarm.statistic[t] == pytest.approx(max(0, *starts), abs=1e-9)
    assert alarm.step == 1 + next(t for t, s in enumerate(alarm.statistic) if s >= 2.5)


def test_cusum_without_enough_evidence_raises_no_alarm():
    assert cusum([0, 1, 0, 0], 0.1, 0.4, threshold=10).step is None


def test_false_alarms_are_as_rare_as_promised_and_delays_as_short():
    rng, h = np.random.default_rng(1), math.log(200)
    steps = {
        rate: [cusum(rng.random(400) < rate, 0.1, 0.3, h).step or 400 for _ in range(400)]
        for rate in (0.1, 0.3)
    }
    assert np.mean(steps[0.1]) > 200  # of at most 400, and the promise is for no end
    kl = 0.3 * math.log(3) + 0.7 * math.log(7 / 9)
    delay = np.array(steps[0.3])
    assert abs(delay.mean() - h / kl) < 0.3 * h / kl
