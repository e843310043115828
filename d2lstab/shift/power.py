"""Ask of a test how often it sounds the alarm: falsely without a shift, rightly with one."""

from dataclasses import dataclass

from scipy import stats

from d2lstab import checks
from d2lstab.shift.arrays import vector


@dataclass(frozen=True)
class AlarmRate:
    """How often a test found a shift. Without a shift it is the false alarm rate, else the power.

    alarms : the trials in which it did. trials : how many there were.
    low, high : a 95 % interval for the true rate.
    """

    alarms: int
    trials: int
    low: float
    high: float

    @property
    def rate(self) -> float:
        """The share of the trials, 0 to 1."""
        return self.alarms / self.trials

    def __str__(self) -> str:
        return f"{self.rate:.3f} [{self.low:.3f}, {self.high:.3f}]"


def alarm_rate(p_values, level: float = 0.05) -> AlarmRate:
    """Count the p-values that are at most ``level``.

    p_values : (trials,), one of each trial, each on samples of its own, from 0 to 1.
    level : the false alarm rate that the test is meant to have.

    The interval is the exact one of Clopper & Pearson (1934): it holds the true rate in at least
    95 of 100 experiments.

    Raises ValueError for p-values that are none.

    >>> print(alarm_rate([0.01, 0.2, 0.5, 0.9]))
    0.250 [0.006, 0.806]
    """
    values = vector("p_values", p_values)
    checks.real("level", level, above=0, below=1)
    if not len(values) or values.min() < 0 or values.max() > 1:
        raise ValueError(f"p_values must be one or more numbers from 0 to 1; got {p_values!r}.")
    alarms = int((values <= level).sum())
    interval = stats.binomtest(alarms, len(values)).proportion_ci(0.95, method="exact")
    return AlarmRate(alarms, len(values), float(interval.low), float(interval.high))
