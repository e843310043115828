"""Chapter 3's exercises take the right answers, and tell each typical mistake its name.

The right answers here are the learner's way; what the checkers hold for true is tested against
enumeration, exact populations, simulation and scipy.
"""

import itertools
import math

import numpy as np
import pytest
import torch
from mistakes import part
from scipy import stats
from sklearn.linear_model import LogisticRegression

from d2lstab.exercises import check
from d2lstab.exercises.chapter3 import CHECKERS, learnable_table
from d2lstab.exercises.chapter3.detector import DRAWS, FEWEST, LEVEL, MOST, SHIFTED
from d2lstab.exercises.chapter3.kinds import _shifted_tables
from d2lstab.exercises.chapter3.kinds import kinds as true_kinds
from d2lstab.shift import Population, compare, shift_labels

pytestmark = pytest.mark.once

SEEDS = range(8)


def generator_of(seed):
    return torch.Generator().manual_seed(seed)


# Right answers


def same(p, q):
    return bool((p - q).abs().max() < 1e-7)


def kinds(P, Q, same=same, rows=1, columns=0):
    x, y = same(P.sum(rows), Q.sum(rows)), same(P.sum(columns), Q.sum(columns))
    labels = same(P / P.sum(1, keepdim=True), Q / Q.sum(1, keepdim=True))
    inputs = same(P / P.sum(0), Q / Q.sum(0))
    found = set()
    if not x and labels:
        found.add("covariate")
    if not y and inputs:
        found.add("label")
    if x and not labels:
        found.add("concept")
    return found


def shift_table(P, inputs, prior):
    return (P.T * (inputs / P.sum(1))).T, P * (prior / P.sum(0))


def weigh(atoms, p, q):
    w = torch.tensor([q[k] / p[k] for k in atoms.tolist()], dtype=torch.float64)
    w = w * len(w) / w.sum()
    return w, len(w) / (w**2).mean()


def p_value(observed, null):
    every = [*null.tolist(), observed]
    return sum(value >= observed for value in every) / len(every)


def many_tests(level, tests):
    permutations = 1
    while 1 / (permutations + 1) > level / tests:
        permutations += 1
    return level / tests, permutations, 1 - (1 - level) ** tests


def discriminant(source, target, bias=0.0):
    """Fisher's linear discriminant, far quicker than a fit: examples → whether it says "target"."""
    means = source.mean(0), target.mean(0)
    centred = torch.cat([source - means[0], target - means[1]])
    direction = torch.linalg.solve(centred.T @ centred / len(centred), means[1] - means[0])
    middle = direction @ (means[0] + means[1]) / 2
    return lambda examples: (examples @ direction - middle + bias > 0).numpy().astype(int)


def halves(source, target, bias=0.0):
    """Of a classifier trained on half: how often it says "target" of the other halves' examples."""
    n, m = len(source) // 2, len(target) // 2
    says_target = discriminant(source[:n], target[:m], bias)
    return says_target(source[n:]), says_target(target[m:])


def shift_detector(source, target, seed):
    alarms, hits = halves(source, target)
    table = [[hits.sum(), (1 - hits).sum()], [alarms.sum(), (1 - alarms).sum()]]
    return stats.fisher_exact(table, alternative="greater")[1]


def fitted(source, target, **options):
    sizes = len(source), len(target)
    return LogisticRegression(**options).fit(torch.cat([source, target]), np.repeat([0, 1], sizes))


def shift_weights(source, target):
    p = fitted(source, target).predict_proba(source)[:, 1]
    return p / (1 - p) * len(source) / len(target)


def target_prior(C, mu):
    prior = torch.linalg.inv(C / C.sum(0)) @ mu
    return prior, prior / C.sum(0)


def em_step(probabilities, source_prior, prior):
    adjusted = torch.stack([row * prior / source_prior for row in probabilities])
    adjusted = torch.stack([row / row.sum() for row in adjusted])
    return adjusted, adjusted.sum(0) / len(adjusted)


def best_window(noise_std, step, age=0.5):
    n = np.arange(1, 2000)
    errors = noise_std**2 / n + (age * step * (n - 1)) ** 2
    return int(n[errors.argmin()]), errors.min()


def unseen_shift(P):
    return P[:, list(range(1, P.shape[1])) + [0]]


def largest_fall(P, Q):
    return sum(float((p - q).max()) for p, q in zip(P, Q, strict=True)), (P - Q).clamp(min=0).sum()


def engine_share(a, b, rate_a, rate_b, rounds):
    states = {(a, b): 1.0}
    for _ in range(rounds):
        after = {}
        for (m, n), p in states.items():
            share = m / (m + n)
            for state, chance in (
                ((m + 1, n), share * rate_a),
                ((m, n + 1), (1 - share) * rate_b),
                ((m, n), share * (1 - rate_a) + (1 - share) * (1 - rate_b)),
            ):
                after[state] = after.get(state, 0.0) + p * chance
        states = after
    return sum(p * m / (m + n) for (m, n), p in states.items())


def best_of(models, examples, accuracy):
    cumulative = stats.binom(examples, accuracy).cdf(np.arange(examples + 1)) ** models
    return np.diff(cumulative, prepend=0) @ np.arange(examples + 1) / examples


RIGHT = {
    "3.1": kinds,
    "3.2": shift_table,
    "3.3": weigh,
    "3.4": p_value,
    "3.5": many_tests,
    "3.6": shift_detector,
    "3.7": shift_weights,
    "3.8": target_prior,
    "3.9": em_step,
    "3.10": best_window,
    "3.11": unseen_shift,
    "3.12": largest_fall,
    "3.13": engine_share,
    "3.14": best_of,
}


def ranked(source, target, seed):
    """Compare the held-out scores instead of the predictions."""
    n, m = len(source) // 2, len(target) // 2
    score = fitted(source[:n], target[:m]).decision_function
    return stats.mannwhitneyu(score(target[m:]), score(source[n:]), alternative="greater").pvalue


def no_classifier(source, target, seed):
    p = [stats.ks_2samp(x, y).pvalue for x, y in zip(source.T, target.T, strict=True)]
    return min(1.0, min(p) * len(p))


def test_another_way_to_the_same_value_passes_too():
    assert check("3.1", lambda P, Q: sorted(kinds(P, Q)))
    assert check("3.3", lambda *case: [weigh(*case)[0].tolist(), float(weigh(*case)[1])])
    assert check("3.6", ranked) and check("3.6", no_classifier)
    assert check("3.7", lambda *samples: shift_weights(*samples)[:, None])
    assert check("3.7", lambda *samples: shift_weights(*samples) / shift_weights(*samples).mean())
    assert check("3.11", lambda P: P.roll(-1, 1).tolist())
    assert check("3.12", lambda P, Q: torch.tensor(largest_fall(P, Q)))


def test_the_variants_differ_by_seed():
    for exercise, checker in CHECKERS.items():
        if hasattr(checker, "cases"):
            first, second = (str(list(checker.cases(generator_of(seed)))) for seed in (0, 1))
            assert first != second, exercise
    assert not torch.equal(learnable_table(2), learnable_table(3))


# What the checkers hold for true


def populations(P, Q):
    inputs = torch.arange(float(len(P)))[:, None]
    return Population(inputs, P), Population(inputs, Q)


def test_the_kinds_of_shift_are_those_that_the_package_finds():
    found = []
    for P, Q in itertools.chain(*(_shifted_tables(generator_of(seed)) for seed in SEEDS)):
        found.append(true_kinds(P, Q))
        assert found[-1] == set(compare(*populations(P, Q)).kinds)
    assert set(map(frozenset, found)) == set(
        map(
            frozenset,
            [
                {"covariate"},
                {"label"},
                {"concept"},
                (),
                ("covariate", "label"),
                ("label", "concept"),
            ],
        )
    )


def test_a_shifted_table_is_a_shift_of_that_kind_and_has_the_marginal_that_was_asked_for():
    for P, inputs, prior in CHECKERS["3.2"].cases(generator_of(0)):
        first, second = CHECKERS["3.2"].truth(P, inputs, prior)
        assert torch.allclose(first.sum(1), inputs) and torch.allclose(second.sum(0), prior)
        assert compare(*populations(P, first)).kinds == ("covariate",)
        assert compare(*populations(P, second)).kinds == ("label",)


def test_a_weighted_mean_has_the_variance_of_so_many_examples():
    atoms, p, q = next(iter(CHECKERS["3.3"].cases(generator_of(1))))
    weights, effective = CHECKERS["3.3"].truth(atoms, p, q)
    values = torch.randn(20_000, len(atoms), generator=generator_of(2), dtype=torch.float64)
    variance = (values @ weights / weights.sum()).var()  # of values with the variance 1
    assert (1 / variance).item() == pytest.approx(effective.item(), rel=4 * (2 / 20_000) ** 0.5)
    assert 1 <= effective <= len(atoms)
    equal = CHECKERS["3.3"].truth(atoms, p, p)
    assert equal[1].item() == pytest.approx(len(atoms)) and torch.allclose(
        equal[0], torch.ones(len(atoms), dtype=torch.float64)
    )


def test_a_permutation_p_value_is_scipy_s():
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=12), rng.normal(0.6, size=10)
    found = stats.permutation_test(
        (x, y),
        lambda x, y: y.mean() - x.mean(),
        n_resamples=499,
        alternative="greater",
        random_state=0,
    )
    null = torch.tensor(found.null_distribution)
    assert CHECKERS["3.4"].truth(found.statistic, null).item() == pytest.approx(found.pvalue)


def test_bonferroni_s_numbers_are_those_of_a_search_and_of_a_binomial():
    for level, tests in CHECKERS["3.5"].cases(generator_of(0)):
        each, permutations, chance = CHECKERS["3.5"].truth(level, tests)
        assert (tests / level) % 1 > 1e-6  # no rounding decides
        assert 1 / (permutations + 1) <= each < 1 / permutations
        assert chance.item() == pytest.approx(stats.binom(tests, level).sf(0))


def test_a_valid_detector_fails_by_chance_in_almost_no_class():
    assert 2 * stats.binom(DRAWS, LEVEL).sf(MOST) < 1 / 24_000
    assert FEWEST <= SHIFTED


def test_the_detector_of_this_test_keeps_its_level_and_has_its_power():
    draws = 200

    def alarms(shift, sizes):
        found = 0
        for number in range(draws):
            rng = generator_of(number)
            pair = [torch.randn(n, 8, generator=rng, dtype=torch.float64) for n in sizes]
            pair[1][:, 3] += shift
            found += shift_detector(*pair, 0) <= LEVEL
        return found

    assert alarms(0.0, (40, 160)) <= stats.binom(draws, LEVEL).ppf(0.999)
    assert alarms(2.5, (60, 60)) / draws > 0.97  # so that 12 of 16 are no matter of luck


def test_the_ratio_of_the_corrector_s_samples_is_the_one_of_the_densities():
    from d2lstab.exercises.chapter3.weights import _normal_samples

    source, target, ratio = _normal_samples(generator_of(0))
    step = torch.linalg.lstsq(
        torch.cat([source, torch.ones(len(source), 1)], 1).double(), ratio.log()[:, None]
    ).solution[:2, 0]
    density = stats.multivariate_normal
    exact = density(step.numpy()).pdf(source) / density([0, 0]).pdf(source)
    assert np.allclose(ratio, exact)
    assert torch.allclose(target.mean(0), step, atol=4 / len(target) ** 0.5)


def test_the_target_s_prior_is_the_one_that_made_the_predictions():
    for C, mu in CHECKERS["3.8"].cases(generator_of(0)):
        prior, ratio = CHECKERS["3.8"].truth(C, mu)
        assert prior.sum().item() == pytest.approx(1) and prior.min() > 0
        target = C / C.sum(0) * prior  # the joint table under label shift
        assert torch.allclose(target.sum(1), mu) and torch.allclose(ratio * C.sum(0), prior)


def test_em_adjusts_as_the_exact_label_shift_does_and_its_likelihood_grows():
    P = torch.rand(5, 3, generator=generator_of(0), dtype=torch.float64)
    source, _ = populations(P / P.sum(), P / P.sum())
    target = shift_labels(source, [0.2, 0.2, 0.6])
    says = torch.tensor(source.labels_given_input)
    old, new = torch.tensor(source.prior), torch.tensor(target.prior)
    assert np.allclose(CHECKERS["3.9"].truth(says, old, new)[0], target.labels_given_input)
    guess, likelihoods = old, []
    for _ in range(50):
        likelihoods.append((says @ (guess / old)).log().sum().item())
        guess = CHECKERS["3.9"].truth(says, old, guess)[1]
    assert np.all(np.diff(likelihoods) >= -1e-12)


def test_a_window_s_error_is_that_of_a_simulation():
    noise, step = 1.0, 0.3
    n, error = (value.item() for value in CHECKERS["3.10"].truth(noise, step))
    values = np.random.default_rng(0).normal(size=(100_000, 12)) * noise - step * np.arange(12)
    errors = (np.cumsum(values, 1) / np.arange(1, 13)) ** 2
    assert errors.mean(0).argmin() + 1 == n
    column = errors[:, int(n) - 1]
    assert abs(column.mean() - error) < 4 * column.std() / len(column) ** 0.5


def test_the_table_of_a_class_is_learnable_and_has_equal_labels():
    for seed in SEEDS:
        P = learnable_table(seed)
        assert P.sum().item() == pytest.approx(1) and P.min() > 0
        assert P.amax(1).sum() > 0.7 and torch.allclose(P.sum(0), P.sum(0).mean())
        assert torch.equal(P, learnable_table(seed))


def test_the_largest_fall_is_that_of_some_model_and_never_exceeds_the_total_variation():
    for seed in range(5):
        P, Q = (torch.rand(4, 3, generator=generator_of(2 * seed + k)).double() for k in (0, 1))
        P, Q = P / P.sum(), Q / Q.sum()
        source, target = populations(P, Q)
        falls = [
            source.accuracy(model) - target.accuracy(model)
            for model in itertools.product(range(3), repeat=4)
        ]
        fall, distance = (value.item() for value in CHECKERS["3.12"].truth(P, Q))
        sets = (np.array(s) for s in itertools.product((0, 1), repeat=12))
        cells = (P - Q).numpy().reshape(-1)
        assert max(falls) == pytest.approx(fall) and fall <= distance
        assert max(float(cells @ s) for s in sets) == pytest.approx(distance)


def test_the_engine_s_share_is_that_of_a_simulation_and_fair_for_equal_rates():
    a, b, rate_a, rate_b, rounds = case = (2, 5, 0.8, 0.3, 20)
    rng, runs = np.random.default_rng(0), 40_000
    clicks = np.tile([float(a), float(b)], (runs, 1))
    for _ in range(rounds):
        shown = (rng.random(runs) > clicks[:, 0] / clicks.sum(1)).astype(int)
        clicked = rng.random(runs) < np.array([rate_a, rate_b])[shown]
        clicks[np.arange(runs), shown] += clicked
    shares = clicks[:, 0] / clicks.sum(1)
    error = abs(shares.mean() - CHECKERS["3.13"].truth(*case).item())
    assert error < 4 * shares.std() / runs**0.5
    assert CHECKERS["3.13"].truth(2, 5, 0.4, 0.4, 30).item() == pytest.approx(2 / 7)


def test_the_best_of_two_models_is_that_of_an_enumeration():
    accuracy, found = 0.7, 0.0
    for right in itertools.product((0, 1), repeat=6):
        chance = math.prod(accuracy if r else 1 - accuracy for r in right)
        found += chance * max(sum(right[:3]), sum(right[3:])) / 3
    assert CHECKERS["3.14"].truth(2, 3, accuracy).item() == pytest.approx(found)
    assert CHECKERS["3.14"].truth(1, 90, accuracy).item() == pytest.approx(accuracy)
    for examples, printed in ((100, 0.625), (10_000, 0.513)):  # in the model answer to 3.16
        assert CHECKERS["3.14"].truth(100, examples, 0.5).item() == pytest.approx(printed, abs=5e-4)


# Wrong answers, and a part of the hint that each must get


def exactly(p, q):
    return torch.equal(p, q)


def moved_only(P, Q):
    """Name a shift by what moves, whatever stays."""
    return {
        kind
        for kind, p, q in (
            ("covariate", P.sum(1), Q.sum(1)),
            ("label", P.sum(0), Q.sum(0)),
            ("concept", P / P.sum(1, keepdim=True), Q / Q.sum(1, keepdim=True)),
        )
        if not same(p, q)
    }


def without(kind):
    """Look at what moves alone for the other kinds."""
    return lambda P, Q: kinds(P, Q) | (moved_only(P, Q) - {kind, *(set() if kind else ())})


def careless(kind):
    return lambda P, Q: kinds(P, Q) | (moved_only(P, Q) & {kind})


def one_kind(P, Q):
    return sorted(kinds(P, Q))[:1]


def rows(table):
    return table / table.sum(1, keepdim=True)


def unit(values):
    return values / values.sum()


def table(number, change):
    return part(shift_table, number, lambda _, P, inputs, prior: change(P, inputs, prior))


def weights(change):
    return part(weigh, 0, change)


def size(change):
    return part(weigh, 1, change)


def raw(atoms, p, q):
    return (q / p)[atoms]


def in_sample(source, target, seed):
    hits = discriminant(source, target)(torch.cat([source, target]))
    right = (hits == np.repeat([0, 1], [len(source), len(target)])).sum()
    return stats.binomtest(int(right), len(hits), 0.5, alternative="greater").pvalue


def against_a_coin(source, target, seed):
    alarms, hits = halves(source, target, bias=math.log(len(target) / len(source)))
    right, size = int(hits.sum() + (1 - alarms).sum()), len(hits) + len(alarms)
    return stats.binomtest(right, size, 0.5, alternative="greater").pvalue


def held_out_accuracy(source, target, seed):
    alarms, hits = halves(source, target)
    return (hits.mean() + 1 - alarms.mean()) / 2


def by_feature(source, target, seed, worst=min):
    return worst(stats.ttest_ind(source.numpy(), target.numpy()).pvalue)


def adjusted(change):
    return part(em_step, 0, lambda _, *case: change(*case))


def next_prior(change):
    return part(em_step, 1, lambda _, *case: change(*case))


def window(number, change):
    return part(best_window, number, lambda value, s, d: change(value, s, d))


def best_by(error):
    n = np.arange(1, 5000)
    return lambda value, s, d: int(n[np.argmin(error(s, d, n))])


def fall(change):
    return part(largest_fall, 0, lambda value, P, Q: change(P, Q))


def distance(change):
    return part(largest_fall, 1, lambda value, P, Q: change(P, Q))


def mean_path(a, b, rate_a, rate_b, rounds):
    for _ in range(rounds):
        share = a / (a + b)
        a, b = a + share * rate_a, b + (1 - share) * rate_b
    return a / (a + b)


def of_means(a, b, rate_a, rate_b, rounds):
    states = {(a, b): 1.0}
    for _ in range(rounds):
        after = {}
        for (m, n), p in states.items():
            click_a, click_b = p * m / (m + n) * rate_a, p * n / (m + n) * rate_b
            for state, q in (
                ((m + 1, n), click_a),
                ((m, n + 1), click_b),
                ((m, n), p - click_a - click_b),
            ):
                after[state] = after.get(state, 0) + q
        states = after
    mean = [sum(p * s[k] for s, p in states.items()) for k in (0, 1)]
    return mean[0] / sum(mean)


def simulated(a, b, rate_a, rate_b, rounds):
    return engine_share(a, b, rate_a, rate_b, rounds) * 1.003


def swap_marginals(P):
    return P.flip(0)


def joint_kernel(C):
    return C / C.sum(1, keepdim=True)


WRONG = [
    ("3.1", careless("covariate"), "covariate shift in which P(x) moves, but P(y | x)"),
    ("3.1", careless("label"), "label shift in which P(y) moves, but P(x | y)"),
    ("3.1", careless("concept"), "concept shift in which P(y | x) moves, but P(x)"),
    ("3.1", moved_only, "What has to stay?"),
    ("3.1", lambda P, Q: kinds(P, Q, same=exactly), "up to rounding"),
    ("3.1", lambda P, Q: {"covariate"}, "covariate shift in which P(x) "),
    ("3.1", lambda P, Q: {"concept"}, "in which P(y | x) does not move at all"),
    ("3.1", lambda P, Q: kinds(P, Q) or {"label"}, "label shift in which P(y) moves"),
    ("3.1", lambda P, Q: kinds(P, Q) or ({"label"} if same(P, Q) else ()), "by rounding only"),
    ("3.1", one_kind, "one kind only"),
    ("3.1", lambda P, Q: set(), "It misses a covariate shift"),
    ("3.1", lambda P, Q: kinds(P, Q) - {"concept"}, "misses a concept shift"),
    ("3.1", lambda P, Q: next(iter(kinds(P, Q)), ""), "Return a set of names"),
    ("3.1", lambda P, Q: {f"{kind} shift" for kind in kinds(P, Q)}, "The names are"),
    ("3.1", lambda P, Q: 3, "got int"),
    ("3.2", lambda P, inputs, prior: shift_table(P, inputs, prior)[::-1], "under label shift. Wh"),
    ("3.2", table(1, lambda P, i, y: shift_table(P, i, y)[0]), "under covariate shift. Wh"),
    ("3.2", table(0, lambda P, i, y: P * i[:, None]), "the old P(x)"),
    ("3.2", table(1, lambda P, i, y: P * y), "the old P(y)"),
    ("3.2", table(0, lambda P, i, y: unit(P * i[:, None])), "the old P(x)"),
    ("3.2", table(1, lambda P, i, y: unit(P * y)), "the old P(y)"),
    ("3.2", table(0, lambda P, i, y: torch.outer(i, P.sum(0))), "forgets P(y | x)"),
    ("3.2", table(1, lambda P, i, y: torch.outer(P.sum(1), y)), "forgets P(x | y)"),
    ("3.2", table(0, lambda P, i, y: P * (P.sum(1) / i)[:, None]), "upside down"),
    ("3.2", table(1, lambda P, i, y: unit(P * P.sum(0) / y)), "upside down"),
    ("3.2", table(0, lambda P, i, y: rows(P)), "this is P(y | x)"),
    ("3.2", table(1, lambda P, i, y: P / P.sum(0)), "this is P(x | y)"),
    ("3.2", table(0, lambda P, i, y: P / P.sum(0) * i[:, None]), "those of the columns"),
    ("3.2", table(1, lambda P, i, y: rows(P) * y), "those of the rows"),
    ("3.3", weights(lambda w, atoms, p, q: weigh(atoms, q, p)[0]), "they are upside down"),
    ("3.3", weights(lambda w, atoms, p, q: raw(atoms, q, p)), "they are upside down"),
    ("3.3", weights(lambda w, *case: raw(*case)), "sample is not 1"),
    ("3.3", weights(lambda w, *case: w / w.sum()), "With the sum 1"),
    ("3.3", weights(lambda w, atoms, p, q: q[atoms]), "q alone"),
    ("3.3", weights(lambda w, atoms, p, q: q[atoms] / q[atoms].mean()), "q alone"),
    ("3.3", weights(lambda w, atoms, p, q: q / p), "one for each atom"),
    (
        "3.3",
        weights(
            lambda w, atoms, p, q: weigh(
                atoms, torch.bincount(atoms, minlength=len(p)).clamp(min=1) / len(atoms), q
            )[0]
        ),
        "the frequencies of this sample",
    ),
    ("3.3", weights(lambda w, *case: raw(*case).log()), "logarithms"),
    ("3.3", size(lambda n, atoms, p, q: len(atoms)), "the sample size"),
    ("3.3", size(lambda n, atoms, p, q: n / len(atoms)), "a share of the sample"),
    ("3.3", size(lambda n, *case: 1 / n), "upside down: no weights"),
    ("3.3", size(lambda n, *case: 1 / (weigh(*case)[0] ** 2).sum()), "to have the sum 1"),
    ("3.3", size(lambda n, *case: (weigh(*case)[0] ** 2).sum()), "the squares alone"),
    ("3.3", size(lambda n, *c: weigh(*c)[0].sum() / (weigh(*c)[0] ** 2).sum()), "been squared?"),
    ("3.3", size(lambda n, *case: raw(*case).sum() / raw(*case).max()), "the largest weight"),
    ("3.3", size(lambda n, atoms, p, q: weigh(torch.arange(len(p)), p, q)[1]), "counted once"),
    ("3.4", lambda o, null: (null >= o).double().mean(), "itself is missing: without"),
    ("3.4", lambda o, null: (null > o).double().mean(), "And statistics equal"),
    ("3.4", lambda o, null: ((null > o).sum() + 1) / (len(null) + 1), "are not counted"),
    ("3.4", lambda o, null: ((null >= o).sum() + 1) / len(null), "but not below"),
    ("3.4", lambda o, null: (null >= o).sum() / (len(null) + 1), "but not above"),
    ("3.4", lambda o, null: ((null <= o).sum() + 1) / (len(null) + 1), "small statistics"),
    ("3.4", lambda o, null: (null <= o).double().mean(), "small statistics"),
    ("3.4", lambda o, null: (null < o).double().mean(), "small statistics"),
    ("3.4", lambda o, null: 1 - p_value(o, null), "1 − p"),
    ("3.4", lambda o, null: p_value(abs(o), null.abs()), "both sides"),
    ("3.4", lambda o, null: 2 * p_value(o, null), "both sides"),
    (
        "3.4",
        lambda o, null: stats.norm(float(null.mean()), float(null.std())).sf(o),
        "normally distributed",
    ),
    ("3.5", part(many_tests, 0, lambda v, a, k: a), "all of them together"),
    ("3.5", part(many_tests, 0, lambda v, a, k: 1 - (1 - a) ** (1 / k)), "Šidák"),
    ("3.5", part(many_tests, 0, lambda v, a, k: a * k), "it grows"),
    ("3.5", part(many_tests, 1, lambda v, a, k: math.ceil(k / a)), "one less is enough"),
    ("3.5", part(many_tests, 1, lambda v, a, k: int(k / a) - 1), "one more is needed"),
    ("3.5", part(many_tests, 1, lambda v, a, k: math.ceil(1 / a) - 1), "for a single test"),
    ("3.5", part(many_tests, 1, lambda v, a, k: math.ceil(1 / a)), "for a single test"),
    ("3.5", part(many_tests, 1, lambda v, a, k: k / a - 1), "an integer"),
    ("3.5", part(many_tests, 1, lambda v, a, k: k / a), "an integer"),
    ("3.5", part(many_tests, 2, lambda v, a, k: a * k), "the union bound"),
    ("3.5", part(many_tests, 2, lambda v, a, k: min(1, a * k)), "is the union bound"),
    ("3.5", part(many_tests, 2, lambda v, a, k: 1 - v), "no false alarm"),
    ("3.5", part(many_tests, 2, lambda v, a, k: a), "a given test"),
    ("3.5", part(many_tests, 2, lambda v, a, k: stats.binom(k, a).pmf(1)), "exactly one"),
    ("3.5", part(many_tests, 2, lambda v, a, k: 1 - (1 - a / k) ** k), "the one without"),
    ("3.6", in_sample, "Which examples did the classifier learn"),
    ("3.6", against_a_coin, "who always says"),
    ("3.6", lambda s, t, seed: float(held_out_accuracy(s, t, seed)), "They even rise"),
    ("3.6", lambda s, t, seed: 1 - shift_detector(s, t, seed), "They even rise"),
    ("3.6", by_feature, "Without any shift"),
    ("3.6", lambda s, t, seed: by_feature(s[:, :1], t[:, :1], seed), "hear every feature"),
    ("3.6", lambda s, t, seed: 1.0, "hear every feature"),
    ("3.6", lambda s, t, seed: by_feature(s, t, seed) < 0.05 / 8, "nor is it the decision"),
    ("3.6", lambda s, t, seed: round(shift_detector(s, t, seed), 2), "returns 0"),
    ("3.6", lambda s, t, seed: 5 * held_out_accuracy(s, t, seed), "lies between 0 and 1"),
    ("3.6", lambda s, t, seed: halves(s, t)[0], "A single p-value"),
    (
        "3.6",
        lambda s, t, seed: LogisticRegression().fit(s, np.zeros(len(s))).score(t, np.ones(len(t))),
        "examples of both samples",
    ),
    ("3.7", lambda s, t: 1 / shift_weights(s, t), "upside down"),
    ("3.7", lambda s, t: 1 - fitted(s, t).predict_proba(s)[:, 1], "upside down"),
    ("3.7", lambda s, t: np.exp(fitted(s, t).decision_function(s)), "its odds know it"),
    ("3.7", lambda s, t: shift_weights(s, t) * len(s) / len(t), "the wrong way round"),
    ("3.7", lambda s, t: unit(shift_weights(s, t)), "have the sum 1"),
    ("3.7", lambda s, t: 7 * shift_weights(s, t), "under P is 1"),
    ("3.7", lambda s, t: fitted(s, t).predict_proba(s)[:, 1], "probability of the target"),
    ("3.7", lambda s, t: fitted(s, t).decision_function(s), "negative"),
    ("3.7", lambda s, t: fitted(s, t).predict(s), "a predicted class"),
    ("3.7", lambda s, t: np.ones(len(s)), "one or two different"),
    ("3.7", lambda s, t: shift_weights(t, s), "for each target example"),
    ("3.7", lambda s, t: np.exp(fitted(s, t).decision_function(torch.cat([s, t]))), "of both"),
    ("3.7", lambda s, t: shift_weights(s, t)[:10], "Shape (800,) is needed"),
    ("3.7", lambda s, t: shift_weights(s, t) * math.nan, "NaN or Inf"),
    ("3.7", lambda s, t: shift_weights(s, t).take(np.arange(1, 801) % 800), "off by"),
    ("3.8", part(target_prior, 0, lambda v, C, mu: torch.linalg.solve(C, mu)), "of *all* examples"),
    ("3.8", part(target_prior, 0, lambda v, C, mu: unit(torch.linalg.solve(C, mu))), "mend it"),
    ("3.8", lambda C, mu: target_prior(C, mu)[::-1], "of *all* examples"),
    ("3.8", part(target_prior, 0, lambda v, C, mu: mu), "errors are still in them"),
    ("3.8", part(target_prior, 0, lambda v, C, mu: C.sum(0)), "the prior of the source"),
    ("3.8", lambda C, mu: target_prior(C.T, mu), "are exchanged"),
    ("3.8", part(target_prior, 0, lambda v, C, mu: torch.linalg.solve(C.T, mu)), "are exchanged"),
    (
        "3.8",
        part(target_prior, 0, lambda v, C, mu: unit(torch.linalg.solve(C.T, mu))),
        "are exchanged",
    ),
    (
        "3.8",
        part(target_prior, 0, lambda v, C, mu: torch.linalg.solve(joint_kernel(C), mu)),
        "by the sums of its rows",
    ),
    ("3.8", part(target_prior, 0, lambda v, C, mu: joint_kernel(C).T @ mu), "it moves with"),
    ("3.8", part(target_prior, 0, lambda v, C, mu: C / C.sum(0) @ mu), "go the other way"),
    ("3.8", part(target_prior, 1, lambda v, C, mu: v * C.sum(0)), "not its ratio"),
    ("3.8", part(target_prior, 1, lambda v, C, mu: 1 / v), "upside down"),
    ("3.8", part(target_prior, 1, lambda v, C, mu: mu / C.sum(1)), "ratio of the predictions"),
    ("3.8", part(target_prior, 1, lambda v, C, mu: mu / C.sum(0)), "by the prior of the labels"),
    ("3.8", part(target_prior, 1, lambda v, C, mu: torch.linalg.solve(C.T, mu)), "are exchanged"),
    ("3.8", part(target_prior, 1, lambda v, C, mu: v * C.sum(0) / C.sum(1)), "another sum"),
    ("3.9", adjusted(lambda p, old, new: p * new / old), "the sum 1 for each example"),
    ("3.9", adjusted(lambda p, old, new: p * new / old / (p * new / old).sum(0)), "over the examp"),
    ("3.9", adjusted(lambda p, old, new: unit(p * new / old)), "all of them together"),
    ("3.9", adjusted(lambda p, old, new: rows(p * new)), "source's prior is still"),
    ("3.9", adjusted(lambda p, old, new: p * new), "source's prior is still"),
    ("3.9", adjusted(lambda p, old, new: rows(p / old)), "equally frequent"),
    ("3.9", lambda p, old, new: em_step(p, new, old), "upside down."),
    ("3.9", adjusted(lambda p, old, new: p * old / new), "upside down, and"),
    ("3.9", adjusted(lambda p, old, new: p), "those of the source"),
    ("3.9", next_prior(lambda p, old, new: p.mean(0)), "in the source's terms"),
    (
        "3.9",
        next_prior(
            lambda p, old, new: (
                torch.bincount(em_step(p, old, new)[0].argmax(1), minlength=len(old)) / len(p)
            )
        ),
        "counts the likeliest",
    ),
    ("3.9", next_prior(lambda *case: em_step(*case)[0].sum(0)), "a sum over the examples"),
    ("3.9", next_prior(lambda *case: em_step(*case)[0].mean(1)), "the mean over the labels"),
    ("3.9", next_prior(lambda p, old, new: new), "no step has been made"),
    ("3.9", next_prior(lambda p, old, new: (p * new / old).mean(0)), "normalized before"),
    ("3.9", next_prior(lambda p, old, new: unit((p * new / old).mean(0))), "by itself before"),
    (
        "3.9",
        next_prior(lambda p, old, new: unit(em_step(p, old, new)[0].mean(0) * new / old)),
        "in it twice",
    ),
    ("3.10", window(0, lambda n, s, d: best_window(s, d, age=1.0)[0]), "as old as the oldest"),
    ("3.10", window(0, best_by(lambda s, d, n: s / n**0.5 + d * (n - 1) / 2)), "the sum of stand"),
    ("3.10", window(0, best_by(lambda s, d, n: s * s / n + d * (n - 1) / 2)), "not squared"),
    ("3.10", window(0, lambda n, s, d: best_window(s**0.5, d)[0]), "taken for a variance"),
    (
        "3.10",
        window(0, best_by(lambda s, d, n: abs(s * s / n - (d * (n - 1) / 2) ** 2))),
        "are equal",
    ),
    ("3.10", window(0, lambda n, s, d: (2 * (s / d) ** 2) ** (1 / 3)), "not an integer"),
    (
        "3.10",
        window(0, best_by(lambda s, d, n: s * s / n + d * d * (n - 1) * (2 * n - 1) / (6 * n))),
        "wander at random",
    ),
    ("3.10", window(1, lambda e, s, d: s * s / best_window(s, d)[0]), "the variance alone"),
    ("3.10", window(1, lambda e, s, d: e - s * s / best_window(s, d)[0]), "squared bias alone"),
    ("3.10", window(1, lambda e, s, d: e**0.5), "square root"),
    (
        "3.10",
        window(
            1,
            lambda e, s, d: s * s / best_window(s, d)[0] + (d * (best_window(s, d)[0] - 1)) ** 2,
        ),
        "in the mean?",
    ),
    (
        "3.10",
        window(
            1, lambda e, s, d: s * s / best_window(s, d)[0] + (d * best_window(s, d)[0] / 2) ** 2
        ),
        "it has no age",
    ),
    ("3.10", window(1, lambda e, s, d: e + s * s), "the noise itself"),
    ("3.10", window(1, lambda e, s, d: e * 1.02), "no simulation"),
    ("3.11", lambda P: P, "still gets"),
    ("3.11", lambda P: P.sum(1, keepdim=True) * P.sum(0), "still gets"),
    ("3.11", lambda P: P.roll(1, 0), "P(x) has moved"),
    ("3.11", swap_marginals, "P(x) has moved"),
    (
        "3.11",
        lambda P: P.sum(1, keepdim=True) * torch.eye(P.shape[1])[torch.zeros(len(P)).long()],
        "P(y) has moved",
    ),
    ("3.11", lambda P: rows(P.roll(1, 1)), "have the sum"),
    ("3.11", lambda P: 2 * P.sum(1, keepdim=True) * P.sum(0) - P, "negative"),
    ("3.11", lambda P: P[:, :1], "is needed, got"),
    ("3.11", lambda P: P * math.nan, "NaN or Inf"),
    ("3.12", lambda P, Q: ((P - Q).abs().sum() / 2,) * 2, "several labels"),
    ("3.12", fall(lambda P, Q: (P - Q)[range(len(P)), P.argmax(1)].sum()), "best for P;"),
    ("3.12", fall(lambda P, Q: (P - Q)[range(len(P)), Q.argmin(1)].sum()), "worst for Q;"),
    ("3.12", fall(lambda P, Q: P.amax(1).sum() - Q.amax(1).sum()), "the model stays the same"),
    ("3.12", fall(lambda P, Q: (P - Q).max()), "a single cell"),
    ("3.12", fall(lambda P, Q: largest_fall(Q, P)[0]), "largest *rise*"),
    ("3.12", fall(lambda P, Q: (Q - P).amin(1).sum()), "the wrong sign"),
    ("3.12", distance(lambda P, Q: (P - Q).abs().sum()), "twice as much"),
    ("3.12", distance(lambda P, Q: (P - Q).sum(1).abs().sum() / 2), "that of P(x)"),
    ("3.12", distance(lambda P, Q: (P - Q).sum(0).abs().sum() / 2), "that of P(y)"),
    ("3.12", distance(lambda P, Q: (P - Q).abs().max()), "of a single cell"),
    ("3.12", distance(lambda P, Q: ((P - Q) ** 2).sum() ** 0.5), "Euclidean"),
    ("3.13", lambda a, b, *rest: a / (a + b), "the share at the start. It"),
    ("3.13", lambda a, b, r, s, t: r / (r + s), "the engine shows one"),
    ("3.13", lambda a, b, r, s, t: (a + r * t) / (a + b + (r + s) * t), "both results are shown"),
    ("3.13", mean_path, "the share of the means"),
    ("3.13", of_means, "the ratio of the means"),
    ("3.13", lambda *case: engine_share(*case[:4], case[4] - 1), "one round is missing"),
    ("3.13", lambda *case: engine_share(*case[:4], case[4] + 1), "one round too many"),
    ("3.13", lambda *case: 1 - engine_share(*case), "the share of B"),
    (
        "3.13",
        lambda a, b, r, s, t: (a * (a + b) + t * r * a) / ((a + b) ** 2 + t * (r * a + s * b)),
        "does not learn",
    ),
    (
        "3.13",
        lambda a, b, r, s, t: (2 * a + t * r) / (2 * (a + b) + t * (r + s)),
        "equally often",
    ),
    ("3.13", simulated, "a simulation is too coarse"),
    ("3.14", lambda k, n, p: p, "what every model has"),
    ("3.14", lambda k, n, p: n * best_of(k, n, p), "a number of examples"),
    ("3.14", lambda k, n, p: 1 - best_of(k, n, 1 - p), "*worst*"),
    ("3.14", lambda k, n, p: best_of(k, n, p) + 1 / n, "one example too many"),
    ("3.14", lambda k, n, p: best_of(k, n, p) - 1 / n, "one example too few"),
    ("3.14", lambda k, n, p: p + (p * (1 - p) / n) ** 0.5, "one standard deviation"),
    ("3.14", lambda k, n, p: 1 - (1 - p**n) ** k, "everything right"),
    ("3.14", lambda k, n, p: best_of(k - 1, n, p), "one model is missing"),
    ("3.14", lambda k, n, p: best_of(n, k, p), "models and examples exchanged"),
    ("3.14", lambda k, n, p: 1.004 * best_of(k, n, p), "too coarse"),
]


SPOILERS = ("m + 1", "+ 1)", "level / tests", ".roll", "amax", "fisher", "n_s", "solve(", "P(y) ·")
