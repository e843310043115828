"""How often a test sounds the alarm: counted, with its interval."""

import numpy as np
import pytest
from scipy import stats

from d2lstab.shift.power import alarm_rate


def test_p_values_up_to_the_level_are_alarms():
    found = alarm_rate([0.05, 0.0500001, 0.01, 1.0])
    assert (found.alarms, found.trials, found.rate) == (2, 4, 0.5)
    assert alarm_rate([0.05, 0.06, 0.01, 1.0], level=0.1).alarms == 3


@pytest.mark.parametrize(("alarms", "trials"), [(0, 20), (3, 20), (20, 20), (50, 1000)])
def test_the_interval_is_clopper_and_pearson_s(alarms, trials):
    found = alarm_rate(np.repeat([0.01, 0.5], [alarms, trials - alarms]))
    low = stats.beta.ppf(0.025, alarms, trials - alarms + 1) if alarms else 0
    high = stats.beta.ppf(0.975, alarms + 1, trials - alarms) if alarms < trials else 1
    assert (found.low, found.high) == (pytest.approx(low), pytest.approx(high))


def test_the_interval_holds_the_true_rate_in_95_of_100_experiments_at_least():
    for rate in (0.05, 0.5, 0.97):
        covered = 0
        for alarms in range(41):
            found = alarm_rate(np.repeat([0.01, 0.5], [alarms, 40 - alarms]))
            covered += stats.binom.pmf(alarms, 40, rate) * (found.low <= rate <= found.high)
        assert 0.95 <= covered <= 1


def test_it_prints_as_a_rate_and_its_interval():
    assert str(alarm_rate([0.01, 0.9])) == "0.500 [0.013, 0.987]"


@pytest.mark.parametrize("wrong", [[], [0.1, 1.1], [-0.1], [np.nan]])
def test_numbers_that_are_no_p_values_are_refused(wrong):
    with pytest.raises(ValueError, match="p_values must be"):
        alarm_rate(wrong)


def test_a_level_must_leave_room_for_both_answers():
    with pytest.raises(ValueError, match="level must be"):
        alarm_rate([0.5], level=0)
