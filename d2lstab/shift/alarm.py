"""Notice a change by a model's errors."""

from dataclasses import dataclass

import numpy as np

from d2lstab import checks
from d2lstab.shift.arrays import vector


@dataclass(frozen=True, eq=False)
class Alarm:
    """What a CUSUM chart says of a sequence of errors.

    statistic : float64, (n,). threshold : where it raises the alarm.
    step : how many errors it had seen when it first did, or None.
    """

    statistic: np.ndarray
    threshold: float
    step: int | None


def cusum(errors, before: float, after: float, threshold: float) -> Alarm:
    """Watch a model's errors: has their rate gone from ``before`` to ``after``, at any moment?

    errors : (n,), 1 where the model was wrong, 0 where right. before < after, both in (0, 1).
    threshold : natural logarithm of a likelihood ratio, > 0. A false alarm comes every
        exp(threshold) steps or less often, in the mean (Lorden 1971).

    The statistic is the log-likelihood ratio of the errors since the moment that suits the alarm
    best, never below 0 (Page 1954).

    >>> cusum([0, 1, 1, 1], before=0.1, after=0.4, threshold=3).step
    4
    """
    wrong = vector("errors", errors)
    if not np.isin(wrong, (0, 1)).all():
        raise ValueError("errors must be 1 where the model was wrong and 0 where it was right.")
    before = checks.real("before", before, 0, 1, above=0)
    after = checks.real("after", after, 0, 1, above=before)
    threshold = checks.real("threshold", threshold, above=0)
    ratio = np.where(wrong == 1, np.log(after / before), np.log((1 - after) / (1 - before)))
    statistic, level = np.zeros(len(wrong)), 0.0
    for step, gain in enumerate(ratio):
        statistic[step] = level = max(0.0, level + gain)
    over = np.flatnonzero(statistic >= threshold)
    return Alarm(statistic, threshold, int(over[0]) + 1 if len(over) else None)
