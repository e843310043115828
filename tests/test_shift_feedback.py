"""Feedback loops, against the urn's and the gambler's closed forms and a plain loop."""

import numpy as np
import pytest
from scipy import stats

from d2lstab.shift.feedback import lend, patrol

LEVEL = 1e-3  # of each statistical test; the seeds are fixed


def test_every_day_an_incident_joins_the_record_of_the_area_that_was_visited():
    steps = np.diff(patrol((1, 1), days=50, cities=30, start=(2, 3)).record, axis=0)
    assert steps.shape == (50, 2, 30)
    assert set(np.unique(steps)) == {0, 1} and (steps.sum(1) == 1).all()


def test_the_record_starts_as_given_and_share_is_its_first_part():
    patrols = patrol((0.5, 0.2), days=5, cities=4, start=(8, 2))
    np.testing.assert_array_equal(patrols.record[0], [[8] * 4, [2] * 4])
    np.testing.assert_array_equal(patrols.share[0], 0.8)
    np.testing.assert_allclose(
        patrols.share, patrols.record[:, 0] / (patrols.record[:, 0] + patrols.record[:, 1])
    )


@pytest.mark.parametrize("start", [(1, 1), (4, 2)])
def test_with_an_incident_a_day_the_record_is_beta_binomial(start):
    days, cities = 12, 4000
    record = patrol((1, 1), days, cities, start, seed=1).record[-1, 0] - start[0]
    counts = np.bincount(record.astype(int), minlength=days + 1)
    expected = cities * stats.betabinom(days, *start).pmf(np.arange(days + 1))
    assert stats.chisquare(counts, expected).pvalue > LEVEL


@pytest.mark.parametrize(("rate", "start"), [(1, (1, 1)), (0.6, (3, 5))])
def test_with_equal_rates_the_share_ends_as_a_beta_variable(rate, start):
    share = patrol((rate, rate), days=3000, cities=400, start=start, seed=2).share[-1]
    assert stats.kstest(share, stats.beta(*start).cdf).pvalue > LEVEL
    wrong = stats.beta(2 * start[0], 2 * start[1])
    assert stats.kstest(share, wrong.cdf).pvalue < LEVEL


def test_incidents_are_found_at_the_rate_of_the_area_that_is_visited():
    days, cities = 400, 200
    patrols = patrol((0.7, 0.2), days, cities, seed=3)
    steps = np.diff(patrols.record, axis=0)
    visits_a = patrols.share[:-1].sum()  # expected: a martingale difference, with variance below
    expected = np.array([0.7 * visits_a, 0.2 * (days * cities - visits_a)])
    deviation = np.sqrt((days * cities) * 0.25)
    np.testing.assert_array_less(abs(steps.sum((0, 2)) - expected), 4 * deviation)


def test_the_area_with_the_higher_rate_takes_all():
    share = patrol((0.6, 0.3), days=8000, cities=200, seed=4).share
    assert np.median(share[-1]) > 0.98
    decline = np.log(np.median(1 - share[8000]) / np.median(1 - share[1000])) / np.log(8)
    assert decline == pytest.approx(0.3 / 0.6 - 1, abs=0.05)


@pytest.mark.parametrize("rates", [(0.5, 0.5), (0.6, 0.3)])
def test_weighted_records_are_unbiased_whatever_the_start(rates):
    days, cities, start = 300, 3000, (1, 4)
    record = patrol(rates, days, cities, start, weighted=True, seed=5).record[-1]
    for area in (0, 1):
        error = record[area].std(ddof=1) / cities**0.5
        expected = start[area] + rates[area] * days
        assert abs(record[area].mean() - expected) < 3.5 * error
        assert error < 0.05 * expected  # else the line above says nothing
    unweighted = patrol(rates, days, cities, start, seed=5).record[-1]
    assert unweighted[0].mean() < 0.8 * (start[0] + rates[0] * days)


def test_weighted_patrols_end_near_the_share_of_incidents():
    share = patrol((0.6, 0.3), days=4000, cities=300, weighted=True, seed=6).share[-1]
    assert np.median(share) == pytest.approx(2 / 3, abs=0.01)
    assert np.median(abs(share - 2 / 3)) < 0.06


@pytest.mark.parametrize("weighted", [False, True])
def test_a_city_is_the_loop_written_out(weighted):
    rates, record = (0.7, 0.4), np.array([2.0, 1.0])
    random, path = np.random.default_rng(7), [record.copy()]
    for _ in range(60):
        went, finds = random.random(2)
        probability = record / record.sum()
        area = 0 if went < probability[0] else 1
        if finds < rates[area]:
            record[area] += 1 / probability[area] if weighted else 1
        path.append(record.copy())
    record = patrol(rates, 60, 1, start=(2, 1), weighted=weighted, seed=7).record
    np.testing.assert_allclose(record[:, :, 0], path)


@pytest.mark.parametrize("opinion", [0, 1, 3])
def test_shut_out_for_ever_is_the_gambler_s_ruin(opinion):
    histories = lend(0.6, months=600, histories=3000, opinion=opinion, seed=8)
    shut_out = int((~histories.lent[-1]).sum())
    ruin = (0.4 / 0.6) ** (opinion + 1)
    assert stats.binomtest(shut_out, 3000, ruin).pvalue > LEVEL


def test_who_is_shut_out_has_lost_one_loan_more_than_the_opinion_and_is_never_seen_again():
    histories = lend(0.6, months=300, histories=500, opinion=2, seed=9)
    balance = 2 + (histories.lent * np.where(histories.repaid, 1, -1)).cumsum(0)
    stopped = ~histories.lent[-1]
    assert 0 < stopped.sum() < 500
    assert (balance[-1, stopped] == -1).all() and (balance[:, ~stopped] >= 0).all()
    assert (np.diff(histories.lent.astype(int), axis=0) <= 0).all()
    np.testing.assert_array_equal(histories.chance, histories.lent)


def test_a_bank_that_explores_lends_to_the_shut_out_at_its_rate_and_lets_them_back():
    histories = lend(0.6, months=2000, histories=400, explore=0.2, seed=10)
    assert set(np.unique(histories.chance)) == {0.2, 1.0}
    assert histories.lent[histories.chance == 1].all()
    tries = histories.lent[histories.chance < 1]
    assert stats.binomtest(int(tries.sum()), tries.size, 0.2).pvalue > LEVEL
    balance = (histories.lent * np.where(histories.repaid, 1, -1)).cumsum(0)
    np.testing.assert_array_equal(histories.chance[1:] == 1, balance[:-1] >= 0)
    assert (histories.chance[-1] == 1).mean() > 0.99


def test_what_the_bank_sees_is_biased_down_and_weighting_by_the_chance_mends_it():
    histories = lend(0.6, months=100, histories=4000, explore=0.3, seed=11)
    seen = (histories.lent & histories.repaid).sum(0) / histories.lent.sum(0)
    weighted = (histories.lent * histories.repaid / histories.chance).mean(0)
    errors = [estimate.std(ddof=1) / 4000**0.5 for estimate in (seen, weighted)]
    assert seen.mean() < 0.6 - 5 * errors[0]
    assert abs(weighted.mean() - 0.6) < 3.5 * errors[1]


def test_customers_repay_at_their_rate_whether_seen_or_not():
    histories = lend(0.3, months=100, histories=100, seed=12)
    assert stats.binomtest(int(histories.repaid.sum()), 10_000, 0.3).pvalue > LEVEL
    hidden = histories.repaid[~histories.lent]
    assert hidden.size > 5000
    assert stats.binomtest(int(hidden.sum()), hidden.size, 0.3).pvalue > LEVEL
    assert not lend(0.0, 5, 3).repaid.any() and not lend(0.0, 5, 3).lent[1:].any()


def test_seeds_repeat_and_leave_the_global_generator_alone():
    before = np.random.get_state()[1].tolist()
    first, again, other = (patrol((0.5, 0.5), 20, 9, seed=s).record for s in (1, 1, 2))
    assert (first == again).all() and (first != other).any()
    first, again, other = (lend(0.5, 20, 9, seed=s).repaid for s in (1, 1, 2))
    assert (first == again).all() and (first != other).any()
    assert np.random.get_state()[1].tolist() == before


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        (((0, 0.5), 5, 5), ValueError, r"rates must be > 0 and ≤ 1; got \[0.0, 0.5\]"),
        (((0.5, 1.2), 5, 5), ValueError, "rates must be > 0 and ≤ 1"),
        (((0.5,), 5, 5), ValueError, r"rates must have shape \(2,\)"),
        (((0.5, 0.5), 5, 5, (1, 0)), ValueError, "start must be > 0, or nobody ever looks there"),
        (((0.5, 0.5), 0, 5), ValueError, "days must be an integer ≥ 1; got 0"),
        (((0.5, 0.5), 5, 0), ValueError, "cities must be an integer ≥ 1; got 0"),
        (((0.5, 0.5), 5, 5, (1, 1), False, -1), ValueError, "seed must be an integer ≥ 0"),
        (((0.5, "a"), 5, 5), TypeError, "rates must be numbers"),
    ],
)
def test_patrols_that_cannot_be_are_refused(arguments, error, message):
    with pytest.raises(error, match=message):
        patrol(*arguments)


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ((1.2, 5, 5), ValueError, "repayment must be a number from 0 to 1; got 1.2"),
        ((-0.1, 5, 5), ValueError, "repayment must be a number from 0 to 1; got -0.1"),
        ((0.5, 5, 5, 0, 1.5), ValueError, "explore must be a number from 0 to 1; got 1.5"),
        ((0.5, 0, 5), ValueError, "months must be an integer ≥ 1; got 0"),
        ((0.5, 5, 0), ValueError, "histories must be an integer ≥ 1; got 0"),
        ((0.5, 5, 5, -1), ValueError, "opinion must be an integer ≥ 0; got -1"),
        (("a", 5, 5), TypeError, "repayment must be a finite number"),
        ((0.5, 5, 5, 0, 0.0, -1), ValueError, "seed must be an integer ≥ 0"),
    ],
)
def test_loans_that_cannot_be_are_refused(arguments, error, message):
    with pytest.raises(error, match=message):
        lend(*arguments)
