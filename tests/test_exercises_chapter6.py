"""Chapter 6's exercises take the right answers, and tell each typical mistake its name.

The right answers here are the learner's way, with pandas; what the checkers hold for true is tested
against the chapter's own preparation, scikit-learn, enumeration, descent and simulation.
"""

import io
import itertools
import math

import numpy as np
import pandas as pd
import pytest
import torch
from mistakes import part
from sklearn.linear_model import LinearRegression, Ridge
from sklearn.preprocessing import StandardScaler

from d2lstab.exercises import check
from d2lstab.exercises.chapter6 import CHECKERS
from d2lstab.exercises.chapter6.leakage import HONEST, LEAKY
from d2lstab.houses import table

pytestmark = pytest.mark.once


def generator_of(seed):
    return torch.Generator().manual_seed(seed)


def case_of(exercise, seed=0, number=0):
    return list(CHECKERS[exercise].cases(generator_of(seed)))[number]


def cases_of(exercise, seeds=2):
    return [case for s in range(seeds) for case in CHECKERS[exercise].cases(generator_of(s))]


# Right answers


def standardize(train, new, less=0):
    a, b = pd.DataFrame(train.numpy()), pd.DataFrame(new.numpy())
    return scaled((a, b), a.mean(), a.std(ddof=less))


def scaled(frames, mean, std):
    std = std.where(std > 0, 1.0)
    return [((frame - mean) / std).fillna(0.0).to_numpy() for frame in frames]


def one_hot(train, new):
    words = sorted(word for word in set(train) if word is not None)
    columns = pd.Index([*words, np.nan] if None in train else words, dtype=object)
    return (
        pd.get_dummies(pd.Series(new, dtype=object), dummy_na=True)
        .reindex(columns=columns, fill_value=0)
        .to_numpy(dtype=float)
    )


def leaks(prepare, table, held_out):
    rest = [row for row in range(len(table)) if row not in held_out.tolist()]
    before, seen = prepare(table, held_out)[rest], []
    for change in (lambda t: t + 1e3, lambda t: t - 1e3, lambda t: -50 * t):
        other = torch.where(
            torch.isin(torch.arange(len(table)), held_out)[:, None], change(table), table
        )
        seen.append(torch.equal(prepare(other, held_out)[rest], before))
    return not all(seen)


def hide(x, k):
    order = x.sort().indices
    ends = [
        x.new_zeros(len(x)).index_fill(0, places, 1).bool() for places in (order[:k], order[-k:])
    ]
    gaps = ends[int((x[~ends[1]].mean() - x.mean()).abs() > (x[~ends[0]].mean() - x.mean()).abs())]
    filled = x.clone()
    filled[gaps] = x[~gaps].mean()
    return gaps, filled.mean(), filled.std(correction=0)


def flagged(x, y):
    filled = pd.Series(x.numpy()).fillna(float(x.nanmean())).to_numpy()
    gap = x.isnan().numpy()
    two = np.stack([filled, gap], 1)
    plain, full = (LinearRegression().fit(X, y) for X in (filled[:, None], two))
    place = int(gap.argmax())
    return plain.coef_[0], plain.predict(filled[:, None])[place], full.predict(two)[place]


def rescale(predicted, prices):
    gap = prices.log() - predicted.log()
    factor = torch.linalg.lstsq(predicted[:, None], prices[:, None]).solution.item()
    return factor, torch.exp(gap.mean()), (gap - gap.mean()).square().mean().sqrt()


def units(X):
    scaled = StandardScaler().fit_transform(X)
    return (
        2 * len(X) / torch.linalg.matrix_norm(X, 2) ** 2,
        np.linalg.cond(X) ** 2,
        (np.linalg.cond(scaled) ** 2),
    )


def ridge_scores(X, y, folds, penalties, centred=True, judged="held out", n=None):
    """(folds, penalties): by scikit-learn."""
    rows = []
    for held_out in folds:
        rest = np.setdiff1d(np.arange(len(y)), held_out)
        judge = held_out if judged == "held out" else rest
        models = [
            Ridge(alpha=(n or len(rest)) * l2, fit_intercept=centred).fit(X[rest], y[rest])
            for l2 in penalties.tolist()
        ]
        rows.append([np.mean((m.predict(X[judge]) - y[judge].numpy()) ** 2) for m in models])
    return np.sqrt(rows)


def tune(X, y, folds, penalties, **how):
    scores = ridge_scores(X, y, folds, penalties, **how).mean(0)
    return scores, penalties[scores.argmin()].item()


def difference(first, second):
    a, b = pd.Series(first.numpy()), pd.Series(second.numpy())
    return a.mean() - b.mean(), (a - b).sem(), math.hypot(a.sem(), b.sem())


def later(chances, m, errors):
    weights = len(chances) * torch.exp(torch.logit(chances)) / m
    return weights, math.sqrt(np.average(errors.numpy() ** 2, weights=weights.numpy()))


def submission(ids, log_prices):
    prices = torch.exp(log_prices)
    if not torch.isfinite(prices).all() or len(set(ids)) != len(ids):
        raise ValueError("nothing that the site takes")
    lines = [f"{number},{price:.2f}" for number, price in zip(ids, prices.tolist(), strict=True)]
    return "\n".join(["Id,SalePrice", *lines])


RIGHT = {
    "6.1": standardize,
    "6.2": one_hot,
    "6.3": leaks,
    "6.4": hide,
    "6.5": flagged,
    "6.6": rescale,
    "6.7": units,
    "6.8": tune,
    "6.9": difference,
    "6.10": later,
    "6.11": submission,
}


def test_another_way_to_the_same_value_passes_too():
    assert check("6.1", lambda *case: [torch.tensor(part) for part in standardize(*case)])
    assert check("6.2", lambda *case: torch.tensor(one_hot(*case)).bool())
    assert check("6.3", lambda *case: torch.tensor(leaks(*case)))
    assert check("6.4", lambda *case: [np.asarray(part) for part in hide(*case)])
    assert check("6.11", lambda *case: submission(*case) + "\r\n")
    table = pd.DataFrame
    assert check(
        "6.11",
        lambda ids, logs: (
            submission(ids, logs)
            and table({"Id": ids, "SalePrice": logs.exp()}).round(0).to_csv(index=False)
        ),
    )


def test_the_variants_differ_by_seed():
    for exercise, checker in CHECKERS.items():
        if hasattr(checker, "cases"):
            first, second = (str(case_of(exercise, seed)) for seed in (0, 1))
            assert first != second, exercise
    for exercise in ("6.3", "6.11"):
        seen = [[], []]
        for seed, kept in enumerate(seen):
            check(exercise, lambda *case, kept=kept: kept.append(str(case[-2:])), seed=seed)
        assert seen[0][0] != seen[1][0], exercise


def test_a_gap_in_an_argument_may_stay_and_may_not_be_filled():
    def fill(train, new):
        right = standardize(train, new)
        train[train.isnan()] = 0
        return right

    assert check("6.1", standardize)
    assert "argument number 1 changed" in check("6.1", fill).hint


# What the checkers hold for true


def test_a_preparation_is_the_chapter_s_own():
    for train, new in cases_of("6.1"):
        frames = [pd.DataFrame(part.numpy(), columns=list("abcd")) for part in (train, new)]
        ready = table.Preparation.fit(frames[0])
        for found, frame in zip(CHECKERS["6.1"].truth(train, new), frames, strict=True):
            assert torch.allclose(found.float(), ready.transform(frame), atol=1e-6)


def test_the_columns_of_words_are_the_chapter_s_own():
    for words in cases_of("6.2"):
        train, new = (pd.DataFrame({"w": part}, dtype=object) for part in words)
        own = table.Preparation.fit(train).transform(new)
        assert torch.equal(CHECKERS["6.2"].truth(*words).float(), own)


def test_a_preparation_leaks_if_its_training_rows_have_a_slope_in_the_held_out_ones():
    X, held_out = torch.randn(9, 3, generator=generator_of(0)).double(), torch.tensor([3, 6])
    rest = [0, 1, 2, 4, 5, 7, 8]
    for name, prepare in {**HONEST, **LEAKY}.items():
        if any(word in name for word in ("largest", "smallest", "median")):
            continue  # a slope only in the row that is it
        (slope,) = torch.autograd.functional.jacobian(
            lambda t, p=prepare: (p(t, held_out)[rest],), X
        )
        assert bool(slope[..., held_out, :].any()) == (name in LEAKY), name


def test_no_other_gaps_move_the_mean_further():
    for x, k in cases_of("6.4"):
        gaps, mean, std = CHECKERS["6.4"].truth(x, k)
        ways = [list(way) for way in itertools.combinations(range(len(x)), len(x) - k)]
        moves = [abs(x[way].mean() - x.mean()) for way in ways]
        assert (mean - x.mean()).abs() == pytest.approx(max(moves)) and gaps.sum() == k
        filled = torch.where(gaps == 1, mean, x)
        assert filled.mean() == pytest.approx(mean) and filled.std(correction=0) == std


def test_a_factor_has_no_slope_of_its_error_left():
    for predicted, prices in cases_of("6.6"):
        dollars, logs, score = CHECKERS["6.6"].truth(predicted, prices)
        for factor, scale in ((dollars, lambda v: v), (logs, torch.log)):
            f = factor.clone().requires_grad_()
            error = (scale(f * predicted) - scale(prices)).square().mean()
            (slope,) = torch.autograd.grad(error, f)
            assert abs(slope) < 1e-9 * max(1.0, float((prices**2).mean()))
        assert score == pytest.approx(table.log_rmse(logs * predicted, prices))


def test_descent_converges_below_the_rate_and_explodes_above_it():
    (X,) = case_of("6.7")
    rate = CHECKERS["6.7"].truth(X)[0].item()
    w = torch.ones(2, 3).double()
    for _ in range(2000):
        w = w - rate * torch.tensor([[0.99], [1.01]]).double() * (w @ X.T @ X / len(X))
    assert w[0].norm() < 2 and w[1].norm() > 1e6


def test_the_error_on_the_same_folds_is_what_the_difference_scatters_by():
    rng, checker = np.random.default_rng(0), CHECKERS["6.9"]
    common = rng.normal(0, 0.04, (2000, 1, 6))
    scores = torch.tensor(0.15 + rng.normal(0, 0.01, (2000, 2, 6)) + common)
    found = torch.stack([torch.stack(checker.truth(*pair)) for pair in scores[:300]])
    true = (scores[:, 0] - scores[:, 1]).mean(1).std()
    assert found[:, 1].square().mean().sqrt() == pytest.approx(float(true), rel=0.1)
    apart = (scores[:1000, 0] - scores[1000:, 1]).mean(1).std()
    assert found[:, 2].square().mean().sqrt() == pytest.approx(float(apart), rel=0.1)


def test_the_best_classifier_s_weights_are_the_ratio():
    p, q, m = torch.tensor([0.6, 0.4]), torch.tensor([0.3, 0.7]), 25
    chances = (m * q / (2 * p + m * q)).double()
    weights, score = CHECKERS["6.10"].truth(chances, m, torch.tensor([0.1, 0.3]).double())
    assert torch.allclose(weights, (q / p).double(), atol=1e-6)
    assert score**2 == pytest.approx(
        float(weights @ torch.tensor([0.01, 0.09]).double() / weights.sum())
    )


# Wrong answers, and a part of the hint that each must get


def together(train, new):
    both = pd.concat([pd.DataFrame(train.numpy()), pd.DataFrame(new.numpy())])
    frames = pd.DataFrame(train.numpy()), pd.DataFrame(new.numpy())
    return scaled(frames, both.mean(), both.std(ddof=0))


def filled_with_means(train, new):
    a, b = pd.DataFrame(train.numpy()), pd.DataFrame(new.numpy())
    return scaled((a.fillna(a.mean()), b), a.mean(), a.fillna(a.mean()).std(ddof=0))


def by_variance(train, new):
    a = pd.DataFrame(train.numpy())
    return scaled((a, pd.DataFrame(new.numpy())), a.mean(), a.var(ddof=0))


def centred(train, new):
    return [(part - train.nanmean(0)).nan_to_num() for part in (train, new)]


def zero_after(number):
    """Gaps as 0 of the table, put in after mean and spread are known."""

    def answer(train, new):
        a = pd.DataFrame(train.numpy())
        filled = [part.nan_to_num().numpy() for part in (train, new)]
        wrong = scaled(map(pd.DataFrame, filled), a.mean(), a.std(ddof=0))[number]
        return [wrong if n == number else value for n, value in enumerate(standardize(train, new))]

    return answer


def undefined(train, new):
    a, b = train.numpy(), new.numpy()
    with np.errstate(invalid="ignore", divide="ignore"):
        return [(x - np.nanmean(a, 0)) / np.nanstd(a, 0) for x in (a, b)]


def dummies(columns):
    """6.2: an answer from other columns."""

    def answer(train, new):
        return torch.tensor([[float(w == c) for c in columns(train, new)] for w in new])

    return answer


def seen(words):
    return sorted({word for word in words if word is not None})


def unknown_is_missing(train, new):
    return one_hot(train, [word if word in train else None for word in new])


def notices(change, rows="rest", where="held out"):
    """6.3: a test with one change, a comparison of some rows, and a change of some rows."""

    def answer(prepare, table, held_out):
        out = torch.isin(torch.arange(len(table)), held_out)
        changed = out if where == "held out" else torch.ones_like(out)
        other = torch.where(changed[:, None], change(table), table)
        kept = ~out if rows == "rest" else torch.ones_like(out)
        return not torch.equal(prepare(table, held_out)[kept], prepare(other, held_out)[kept])

    return answer


def in_column(column):
    """6.3: a test that changes one column alone, both ways."""

    def answer(prepare, table, held_out):
        def moved(value):
            other = table.clone()
            other[held_out, column] = value
            return other

        kept = ~torch.isin(torch.arange(len(table)), held_out)
        before = prepare(table, held_out)[kept]
        return any(
            not torch.equal(prepare(moved(value), held_out)[kept], before) for value in (1e6, -1e6)
        )

    return answer


def masks(change):
    return part(hide, 0, lambda value, x, k: change(x, k))


def ends(x, k, largest):
    return torch.zeros(len(x)).index_fill(0, x.topk(k, largest=largest).indices, 1)


def means(change):
    return part(hide, 1, lambda value, x, k: change(x, hide(x, k)[0]))


def spreads(change):
    return part(hide, 2, lambda value, x, k: change(x, hide(x, k)[0]))


def slopes(change):
    def of(value, x, y):
        known = ~x.isnan()
        return change(x[known], y[known])

    return part(flagged, 0, of)


def guesses(number, change):
    return part(flagged, number, lambda value, x, y: change(y, x.isnan()))


def bias_alone(value, x, y):
    return y.mean() - flagged(x, y)[0] * x.nanmean()


def zeros(x, y):
    return LinearRegression().fit(x.nan_to_num()[:, None], y).coef_[0]


def factor(number, change):
    return part(rescale, number, lambda value, a, b: change(a, b))


def unit(number, change):
    return part(units, number, lambda value, X: change(X))


def condition(X):
    return float(torch.linalg.cond(X)) ** 2


def tuned(number, change):
    return part(tune, number, lambda value, *case: change(value, *case))


def centred_on_all(X, y, folds, penalties):
    return ridge_scores(X - X.mean(0), y - y.mean(), folds, penalties, centred=False).mean(0)


def pooled(value, X, y, folds, penalties):
    sizes = np.array([len(fold) for fold in folds])[:, None]
    squares = ridge_scores(X, y, folds, penalties) ** 2
    return np.sqrt((sizes * squares).sum(0) / sizes.sum())


def gaps(number, change):
    return part(difference, number, lambda value, a, b: change(a, b))


def weights(change):
    return part(later, 0, lambda value, c, m, e: change(c / (1 - c), len(c), m, c))


def promise(change):
    return part(later, 1, lambda value, *case: change(later(*case)[0], case[2]))


def file(change):
    """6.11: the text, changed."""
    return lambda ids, logs: change(submission(ids, logs))


def unchecked(ids, logs):
    table = pd.DataFrame({"Id": ids, "SalePrice": logs.exp()})
    return table.to_csv(index=False)


def of_prices(change):
    def answer(ids, logs):
        submission(ids, logs)
        prices = change(logs)
        lines = [f"{number},{price!r}" for number, price in zip(ids, prices, strict=True)]
        return "\n".join(["Id,SalePrice", *lines])

    return answer


def in_order(ids, logs):
    text = submission(ids, logs).splitlines()
    return "\n".join([text[0], *sorted(text[1:])])


def asserts(ids, logs):
    assert len(set(ids)) == len(ids) and logs.exp().isfinite().all()
    return submission(ids, logs)


def not_twice(ids, logs):
    return unchecked(ids, logs) if len(set(ids)) < len(ids) else submission(ids, logs)


def not_infinite(ids, logs):
    return unchecked(ids, logs) if logs.max() > 1e3 else submission(ids, logs)


WRONG = [
    ("6.1", together, "that is leakage"),
    ("6.1", lambda *case: standardize(*case, less=1), "one less than their number"),
    ("6.1", filled_with_means, "all those means make it smaller"),
    ("6.1", zero_after(0), "a 0 of the table"),
    ("6.1", lambda *case: standardize(case[0].nan_to_num(), case[1]), "a 0 of the table"),
    ("6.1", centred, "nothing is divided"),
    ("6.1", by_variance, "divided by variances"),
    (
        "6.1",
        lambda train, new: (standardize(train, new)[0], standardize(new, new)[1]),
        "one house alone is its own mean",
    ),
    ("6.1", lambda *case: (standardize(*case)[0], together(*case)[1]), "that is leakage"),
    ("6.1", zero_after(1), "a 0 of the table"),
    ("6.1", undefined, "divided by its spread"),
    (
        "6.2",
        dummies(lambda a, b: [*seen(a + b), None][: len(seen(a + b)) + (None in a + b)]),
        "whose weight no house has trained",
    ),
    ("6.2", dummies(lambda a, b: [*seen(b), None]), "they are the words of the new part"),
    ("6.2", unknown_is_missing, "Nobody forgot"),
    ("6.2", dummies(lambda a, b: seen(a)), "none for gaps"),
    ("6.2", dummies(lambda a, b: [*seen(a), None]), "one for gaps"),
    ("6.2", dummies(lambda a, b: [None, *seen(a)] if None in a else seen(a)), "stand last"),
    (
        "6.2",
        dummies(lambda a, b: sorted(dict.fromkeys(a), key=lambda word: word is None)),
        "in which the words come",
    ),
    ("6.2", lambda *case: one_hot(*case)[:, 1:], "one category has none"),
    (
        "6.2",
        lambda a, b: [([*seen(a), None].index(w) if w in a else -1) for w in b],
        "the number of its category",
    ),
    ("6.3", lambda *case: True, "is accused"),
    ("6.3", notices(lambda t: t + 1e3, rows="all"), "is accused"),
    ("6.3", notices(lambda t: t + 1e3, where="all"), "is accused"),
    ("6.3", lambda *case: False, "whose means and standard deviations"),
    ("6.3", in_column(1), "over rows of its kind"),
    ("6.3", in_column(0), "in the last column alone"),
    ("6.3", notices(lambda t: t - 1e3), "the largest value of all rows"),
    ("6.3", notices(lambda t: t + 1e3), "the smallest value of all rows"),
    (
        "6.3",
        notices(lambda t: t + 1e3 * (t - t.median(0).values).sign()),
        "the median of all rows",
    ),
    ("6.3", lambda *case: "perhaps", "True or False"),
    ("6.4", masks(lambda x, k: ends(x, k, True)), "largest values are hidden"),
    ("6.4", masks(lambda x, k: ends(x, k, False)), "smallest values are hidden"),
    ("6.4", masks(lambda x, k: ends((x - x.mean()).abs(), k, True)), "pulls the mean both ways"),
    ("6.4", part(hide, 0, lambda value, x, k: ~value), "where it is missing"),
    ("6.4", part(hide, 0, lambda value, x, k: value.nonzero()[:, 0]), "these are places"),
    ("6.4", means(lambda x, gaps: x.mean()), "nobody knows any more"),
    ("6.4", means(lambda x, gaps: x[gaps].mean()), "that of the hidden values"),
    ("6.4", means(lambda x, gaps: (x * ~gaps).mean()), "gaps count as 0"),
    ("6.4", spreads(lambda x, gaps: x.std(correction=0)), "that of the true column"),
    ("6.4", spreads(lambda x, gaps: x[~gaps].std(correction=0)), "that of the known values"),
    (
        "6.4",
        part(hide, 2, lambda value, x, k: value * (len(x) / (len(x) - 1)) ** 0.5),
        "one less than their number",
    ),
    ("6.4", part(hide, 2, lambda value, x, k: value**2), "this is the variance"),
    ("6.5", part(flagged, 0, lambda value, x, y: zeros(x, y)), "filled by 0"),
    ("6.5", slopes(lambda x, y: (x * y).sum() / (x * x).sum()), "no bias in this fit"),
    ("6.5", slopes(lambda x, y: np.corrcoef(x, y)[0, 1]), "this is a correlation"),
    ("6.5", slopes(lambda x, y: np.polyfit(y, x, 1)[0]), "x over y"),
    ("6.5", guesses(1, lambda y, gap: y[~gap].mean()), "with a known value cost"),
    ("6.5", guesses(1, lambda y, gap: y[gap].mean()), "prediction with the indicator"),
    ("6.5", part(flagged, 1, bias_alone), "where the column is 0"),
    ("6.5", guesses(2, lambda y, gap: y.mean()), "one weight more to fit with"),
    ("6.5", guesses(2, lambda y, gap: y[~gap].mean()), "with a known value cost"),
    (
        "6.5",
        guesses(2, lambda y, gap: y[gap].mean() - y[~gap].mean()),
        "the weight of the indicator",
    ),
    ("6.6", factor(0, lambda a, b: b.mean() / a.mean()), "makes the sums equal"),
    ("6.6", factor(0, lambda a, b: (b / a).mean()), "the mean of the ratios"),
    ("6.6", factor(0, lambda a, b: (a @ b) / (b @ b)), "the factor on the prices"),
    ("6.6", lambda a, b: (rescale(a, b)[1], *rescale(a, b)[1:]), "the factor for logarithms"),
    ("6.6", factor(1, lambda a, b: (b / a).mean()), "the mean of the ratios"),
    ("6.6", factor(1, lambda a, b: (b / a).log().mean()), "this is its logarithm"),
    ("6.6", factor(1, lambda a, b: (a / b).log().mean().exp()), "upside down"),
    (
        "6.6",
        factor(1, lambda a, b: (a.log() @ b.log()) / a.log().square().sum()),
        "the logarithms are multiplied",
    ),
    ("6.6", factor(1, lambda a, b: (a @ b) / (a @ a)), "the factor for dollars"),
    ("6.6", factor(2, lambda a, b: table.log_rmse(a, b)), "before anything is multiplied"),
    (
        "6.6",
        factor(2, lambda a, b: table.log_rmse(a * (a @ b) / (a @ a), b)),
        "with the factor for dollars",
    ),
    ("6.6", factor(2, lambda a, b: (a / b).log().var(correction=0)), "root is missing"),
    ("6.6", factor(2, lambda a, b: (a / b).log().std()), "one less than their number"),
    ("6.6", factor(2, lambda a, b: (a / b).log10().std(correction=0)), "the base 10"),
    ("6.7", part(units, 0, lambda value, X: value / 2), "nothing explodes yet"),
    ("6.7", part(units, 0, lambda value, X: value / len(X)), "averaged in the loss"),
    (
        "6.7",
        unit(0, lambda X: 2 * len(X) / torch.linalg.matrix_norm(X, -2) ** 2),
        "the steepest one explodes first",
    ),
    (
        "6.7",
        unit(0, lambda X: 2 / np.linalg.eigvalsh(np.corrcoef(X.T))[-1]),
        "the limit with standardized columns",
    ),
    ("6.7", unit(1, lambda X: condition(X) ** 0.5), "squares of its singular values"),
    ("6.7", unit(1, lambda X: 1 / condition(X)), "upside down"),
    ("6.7", unit(1, lambda X: condition(X - X.mean(0))), "taken off first"),
    ("6.7", lambda X: [units(X)[place] for place in (0, 2, 2)], "of the standardized columns"),
    ("6.7", lambda X: [units(X)[place] for place in (0, 1, 1)], "the columns as they are"),
    ("6.7", unit(2, lambda X: condition(X / X.std(0))), "the means are still there"),
    ("6.7", unit(2, lambda X: condition(X - X.mean(0))), "but the units stayed"),
    ("6.7", part(units, 2, lambda value, X: value**0.5), "squares of its singular values"),
    ("6.8", lambda *case: tune(*case, judged="training"), "on the houses that were fitted"),
    ("6.8", tuned(0, lambda value, *case: centred_on_all(*case)), "taken before the folds"),
    ("6.8", lambda *case: tune(*case, centred=False), "there is no bias"),
    ("6.8", tuned(0, pooled), "averaged before the root"),
    ("6.8", lambda *case: tune(*case, n=1), "n times too small"),
    ("6.8", lambda *case: tune(*case, n=len(case[1])), "n is that of all houses"),
    (
        "6.8",
        tuned(0, lambda value, *case: (ridge_scores(*case) ** 2).mean(0)),
        "root is missing",
    ),
    ("6.8", tuned(0, lambda value, *case: value * len(case[2])), "added up, not averaged"),
    (
        "6.8",
        tuned(1, lambda value, *case: tune(*case, judged="training")[1]),
        "which always asks for the least",
    ),
    ("6.8", tuned(1, lambda v, *case: case[3].tolist().index(v)), "its place in"),
    ("6.8", tuned(1, lambda value, *case: tune(*case)[0].min()), "this is its score"),
    ("6.9", gaps(0, lambda a, b: b.mean() - a.mean()), "wrong sign"),
    ("6.9", gaps(0, lambda a, b: a.sum() - b.sum()), "added up, not averaged"),
    ("6.9", gaps(0, lambda a, b: a.mean() / b.mean()), "this is a ratio"),
    ("6.9", gaps(1, lambda a, b: (a - b).std()), "single folds scatter"),
    (
        "6.9",
        gaps(1, lambda a, b: np.std((a - b).numpy()) / len(a) ** 0.5),
        "a mean was taken off before",
    ),
    ("6.9", gaps(1, lambda a, b: (a - b).std() / len(a)), "not by its root"),
    ("6.9", lambda a, b: [difference(a, b)[n] for n in (0, 2, 2)], "luck that both share"),
    (
        "6.9",
        gaps(2, lambda a, b: (a.std() + b.std()) / len(a) ** 0.5),
        "do not add up",
    ),
    ("6.9", gaps(2, lambda a, b: torch.hypot(a.std(), b.std())), "single folds scatter"),
    ("6.9", gaps(2, lambda a, b: a.std() / len(a) ** 0.5), "luck of its own"),
    ("6.9", lambda a, b: [difference(a, b)[n] for n in (0, 1, 1)], "error on the same folds"),
    (
        "6.9",
        gaps(2, lambda a, b: math.hypot(np.std(a.numpy()), np.std(b.numpy())) / len(a) ** 0.5),
        "a mean was taken off before",
    ),
    ("6.10", weights(lambda odds, n, m, c: odds), "these are odds"),
    ("6.10", weights(lambda odds, n, m, c: odds * m / n), "the wrong way round"),
    ("6.10", weights(lambda odds, n, m, c: c), "these are the chances"),
    ("6.10", weights(lambda odds, n, m, c: m / n / odds), "typical of training"),
    ("6.10", weights(lambda odds, n, m, c: odds / odds.mean()), "scaled to the mean 1"),
    ("6.10", promise(lambda w, e: (w * e * e).mean() ** 0.5), "by which it is divided"),
    ("6.10", promise(lambda w, e: (e * e).mean() ** 0.5), "without weights"),
    ("6.10", promise(lambda w, e: (w * e * e).sum() / w.sum()), "root is missing"),
    ("6.10", promise(lambda w, e: ((w * e) ** 2).sum().div(w.sum()) ** 0.5), "weights are squared"),
    ("6.10", promise(lambda w, e: (w * e.abs()).sum() / w.sum()), "mean of absolute errors"),
    ("6.11", file(lambda text: pd.read_csv(io.StringIO(text))), "got a DataFrame"),
    ("6.11", of_prices(lambda logs: logs.exp()), "plain numbers"),
    ("6.11", file(lambda text: text.rsplit("\n", 1)[0]), "as many lines"),
    ("6.11", file(lambda text: pd.read_csv(io.StringIO(text)).to_csv()), "a column too many"),
    ("6.11", file(lambda text: text.replace(",", ";")), "A comma separates"),
    ("6.11", file(lambda text: text.split("\n", 1)[1]), "names of the columns are missing"),
    ("6.11", file(lambda text: text.replace("SalePrice", "Price")), "as the site does"),
    ("6.11", file(lambda text: text.replace(",1", ",$1").replace(",2", ",$2")), "A line must be"),
    ("6.11", file(lambda text: text.replace(",", ".0,").replace("Id.0", "Id")), "whole number"),
    ("6.11", in_order, "the order is that of"),
    ("6.11", of_prices(lambda logs: logs.tolist()), "still a logarithm"),
    ("6.11", of_prices(lambda logs: (10**logs).tolist()), "not what its logarithm says"),
    ("6.11", of_prices(lambda logs: logs.exp().round(decimals=-4).tolist()), "to the dollar"),
    ("6.11", unchecked, "Given a price that is no number"),
    ("6.11", not_infinite, "Given a price that is infinite"),
    ("6.11", not_twice, "Given an Id twice"),
    ("6.11", asserts, "not with a ValueError"),
]

SPOILERS = (
    ".std(",
    "torch.",
    "index=False",
    ".exp(",
    "nan_to_num",
    "isfinite",
    "eigval",
    "n / m",
    "topk",
)
