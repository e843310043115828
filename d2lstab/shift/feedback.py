"""Feedback loops: a model whose decisions choose the data that it will learn from next."""

from dataclasses import dataclass

import numpy as np

from d2lstab import checks
from d2lstab.shift.arrays import vector


@dataclass(frozen=True, eq=False)
class Patrols:
    """What was recorded in two areas, day by day, in many independent cities.

    record : float64, (days + 1, 2, cities), incidents recorded so far, those of the start included.
    """

    record: np.ndarray

    @property
    def share(self) -> np.ndarray:
        """The chance that the next patrol goes to the first area, (days + 1, cities)."""
        return self.record[:, 0] / self.record.sum(1)


def patrol(rates, days: int, cities: int, start=(1, 1), weighted=False, seed: int = 0) -> Patrols:
    """Send one patrol a day where incidents were recorded, and record what it finds there.

    The patrol goes to an area with the probability of its share of the record, and finds an
    incident there with the probability ``rates`` of that area. In the other area nobody looks.

    rates : (2,), above 0 and at most 1.  start : (2,), > 0, the record before the first day.
    weighted : count an incident as 1 / (the probability that the patrol went there), which makes
        the record unbiased: its expectation grows by ``rates`` a day, wherever patrols go.

    Raises ValueError for rates and starts out of range.
    With equal rates this is Pólya's urn: the share converges to a random limit with the
    distribution Beta(start). Source: Ensign et al. 2018, Runaway feedback loops in predictive
    policing (whose remedy drops incidents at random instead of weighting them).

    >>> patrol((1, 1), days=3, cities=1, start=(8, 2)).record.sum(1).T
    array([[10., 11., 12., 13.]])
    """
    chances, before = vector("rates", rates, 2), vector("start", start, 2)
    if chances.min() <= 0 or chances.max() > 1:
        raise ValueError(f"rates must be > 0 and ≤ 1; got {chances.tolist()}.")
    if before.min() <= 0:
        raise ValueError(f"start must be > 0, or nobody ever looks there; got {before.tolist()}.")
    checks.integer("days", days, 1)
    every = np.arange(checks.integer("cities", cities, 1))
    random = np.random.default_rng(checks.integer("seed", seed, 0))
    record = np.empty((days + 1, 2, cities))
    record[0] = before[:, None]
    for day in range(days):
        record[day + 1] = record[day]
        probability = record[day] / record[day].sum(0)
        went, finds = random.random((2, cities))
        area = (went >= probability[0]).astype(int)
        found = finds < chances[area]
        weight = 1 / probability[area, every] if weighted else 1
        record[day + 1, area, every] += found * weight
    return Patrols(record)


@dataclass(frozen=True, eq=False)
class Loans:
    """What a bank saw of one group of customers, month by month, in many independent histories.

    chance : float64, (months, histories), the probability with which it lent in that month.
    lent : bool, (months, histories), whether it did.
    repaid : bool, (months, histories), whether the customer repays; the bank sees it where it lent.
    """

    chance: np.ndarray
    lent: np.ndarray
    repaid: np.ndarray


def lend(
    repayment: float,
    months: int,
    histories: int,
    opinion: int = 0,
    explore: float = 0.0,
    seed: int = 0,
) -> Loans:
    """Lend one loan a month while the record is good: as many loans repaid as lost, at least.

    repayment : the probability that a customer repays, 0 to 1.
    opinion : ≥ 0, by how much the repaid ones are ahead at the start, before any loan was made.
    explore : 0 to 1, the probability to lend though the record is bad.

    Raises ValueError for numbers out of range.
    Labels that only some decisions reveal are called selective labels (Lakkaraju et al. 2017).
    Without exploring, a group that deserves loans (repayment p > ½) is shut out for ever with the
    probability ((1 - p) / p)^(opinion + 1): the gambler's ruin.

    >>> history = lend(1.0, months=3, histories=1)
    >>> history.lent.T, history.chance.T
    (array([[ True,  True,  True]]), array([[1., 1., 1.]]))
    """
    checks.integer("months", months, 1)
    checks.integer("histories", histories, 1)
    checks.between("repayment", repayment, 0, 1)
    checks.between("explore", explore, 0, 1)
    random = np.random.default_rng(checks.integer("seed", seed, 0))
    repaid = random.random((months, histories)) < repayment
    dice = random.random((months, histories))
    chance, lent = np.empty((months, histories)), np.empty((months, histories), dtype=bool)
    ahead = np.full(histories, checks.integer("opinion", opinion, 0))
    for month in range(months):
        chance[month] = np.where(ahead >= 0, 1.0, explore)
        lent[month] = dice[month] < chance[month]
        ahead += lent[month] * np.where(repaid[month], 1, -1)
    return Loans(chance, lent, repaid)
