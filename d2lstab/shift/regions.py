"""The soft-drink map: the same drinks everywhere, called by another word in another place."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np
import torch

from d2lstab import checks
from d2lstab.shift.arrays import vector
from d2lstab.shift.make import Population

WORDS = ("soda", "pop", "coke", "other")
SOFT_DRINKS = ("cola", "lemon-lime", "orange", "root beer")
DRINKS = (*SOFT_DRINKS, "water", "coffee", "tea", "milk")
"""What is seen: one atom each."""

LABELS = (*WORDS, *DRINKS[len(SOFT_DRINKS) :])
"""What it is called: soft drinks by one of the `WORDS`, the rest by their own names."""

# In percent of all answers of a state: soda, pop, coke; the rest is "other". Divisions as the
# Census Bureau draws them; the District of Columbia counts as a state.
_ANSWERS = {
    "New England": "ME 92 2 1, NH 82 1 2, VT 89 2 1, MA 72 1 3, RI 93 1 2, CT 94 2 2",
    "Middle Atlantic": "NY 66 30 2, NJ 93 2 3, PA 45 52 1",
    "East North Central": "OH 13 83 2, MI 34 64 1, IN 16 59 21, IL 29 65 4, WI 69 27 1",
    "West North Central": "MN 13 84 1, IA 16 81 1, MO 71 21 6, ND 18 79 1, SD 21 76 1, NE 17 78 1,"
    "KS 21 66 8",
    "South Atlantic": "DE 88 3 5, MD 82 3 11, DC 77 6 10, VA 66 7 19, WV 21 66 10, NC 46 4 32,"
    "SC 36 2 52, GA 21 2 71, FL 48 3 32",
    "East South Central": "KY 15 28 50, TN 18 4 72, MS 10 4 80, AL 14 4 67",
    "West South Central": "AR 17 8 71, LA 10 2 72, OK 17 42 37, TX 23 2 70",
    "Mountain": "MT 20 73 3, ID 31 57 4, WY 15 46 7, NV 73 10 12, UT 49 38 7, CO 36 54 6,"
    "AZ 70 15 11, NM 35 7 53",
    "Pacific": "WA 30 66 2, OR 36 58 4, CA 78 4 11, AK 57 29 5, HI 82 4 4",
}


def _shares(row: str) -> tuple[str, np.ndarray]:
    state, *percent = row.split()
    known = [int(number) for number in percent]
    shares = np.array([*known, 100 - sum(known)]) / 100
    shares.flags.writeable = False
    return state, shares


_TABLE = {name: dict(map(_shares, rows.split(","))) for name, rows in _ANSWERS.items()}

REGIONS: dict[str, tuple[str, ...]] = {name: tuple(rows) for name, rows in _TABLE.items()}
"""The nine divisions of the Census Bureau, by name: the postal codes of their states."""

SHARES: dict[str, np.ndarray] = {state: s for rows in _TABLE.values() for state, s in rows.items()}
"""What a state's people said, by its postal code: shares in the order of `WORDS`, (4,).

374 250 answers of volunteers on the web to popvssoda.com (A. McConchie, CC BY), in the counts
that the R package bayesrules (Dogucu, Johnson and Ott) keeps; rounded here to whole percents.
"""

ROUND_TRIP = (
    *("CA", "NV", "UT", "WY", "NE", "IA", "IL", "IN", "OH", "PA", "NJ"),  # Interstate 80, east
    *("PA", "DE", "MD", "DC", "VA", "NC", "SC", "GA", "FL"),  # Interstate 95, south
    *("AL", "MS", "LA", "TX", "NM", "AZ", "CA"),  # Interstate 10, west
)
"""The states of three roads that make a round trip, from California to California."""


def drinks_in(states: Iterable[str]) -> Population:
    """What the drinks are called in these states together, each state counting the same.

    Atoms are the eight `DRINKS`, one-hot, (8, 8), each equally frequent everywhere; labels are
    the `LABELS`. So P(x) is one and the same for all places, and P(y | x) is not.

    Raises ValueError for an unknown state, or none.

    >>> georgia, ohio = drinks_in(["GA"]), drinks_in(["OH"])
    >>> georgia.labels_given_input[0, :4], ohio.labels_given_input[0, :4]
    (array([0.21, 0.02, 0.71, 0.06]), array([0.13, 0.83, 0.02, 0.02]))
    """
    words = np.mean([SHARES[state] for state in _known(states)], axis=0)
    return Population(torch.eye(len(DRINKS)), _joint(words))


def drinks_with_place(frequencies: Mapping[str, float]) -> Population:
    """The same drinks, but the input says in which state: it never leaves P(y | x) to move.

    frequencies : how often each state is seen, ≥ 0, one > 0; states not named are never seen.

    Atoms are all pairs of a state of `SHARES` and a drink, states first, (51 · 8, 51 + 8): one-hot
    of the state, then of the drink. Whatever the frequencies, the atoms are the same, so that
    `compare` may compare any two.

    >>> both = drinks_with_place({"GA": 1, "OH": 3})
    >>> both.inputs.shape, float(both.input_probability.reshape(51, 8)[:, 0].max())
    (torch.Size([408, 59]), 0.09375)
    """
    named = list(frequencies)
    weights = vector("frequencies", [frequencies[state] for state in _known(named)])
    if weights.min() < 0 or weights.sum() <= 0:
        raise ValueError(f"frequencies must be ≥ 0 and one of them > 0; got {dict(frequencies)}.")
    share = dict(zip(named, weights / weights.sum(), strict=True))
    joint = [share.get(state, 0) * _joint(words) for state, words in SHARES.items()]
    states, drinks = torch.eye(len(SHARES)), torch.eye(len(DRINKS))
    inputs = torch.cat(
        [states.repeat_interleave(len(drinks), dim=0), drinks.repeat(len(states), 1)], dim=1
    )
    return Population(inputs, np.concatenate(joint))


def best_labels(population: Population) -> np.ndarray:
    """The label that is right most often, for each atom, int64, (atoms,): no model does better.

    >>> [LABELS[label] for label in best_labels(drinks_in(["TX"]))[3:6]]
    ['coke', 'water', 'coffee']
    """
    return population.joint.argmax(1)


@dataclass(frozen=True, eq=False)
class Transfer:
    """How well the best model of each place does in each place.

    names : the places. accuracy : float64, (places, places), exact: row the model's own place,
    column the place where it is used.
    """

    names: tuple[str, ...]
    accuracy: np.ndarray

    @property
    def loss(self) -> np.ndarray:
        """What a model of another place costs: the best accuracy there minus this one, ≥ 0."""
        return np.diag(self.accuracy) - self.accuracy


def transfer(populations: Mapping[str, Population]) -> Transfer:
    """Use the best model of each population in every other; all must have the same atoms.

    >>> transfer({state: drinks_in([state]) for state in ("GA", "OH")}).accuracy
    array([[0.855, 0.51 ],
           [0.51 , 0.915]])
    """
    models = [best_labels(population) for population in populations.values()]
    accuracy = [[place.accuracy(model) for place in populations.values()] for model in models]
    return Transfer(tuple(populations), np.array(accuracy))


def _joint(words: np.ndarray) -> np.ndarray:
    """P(drink, label) of a place with these shares of `WORDS`, (8, 8)."""
    table = np.zeros((len(DRINKS), len(LABELS)))
    soft, named = len(SOFT_DRINKS), len(WORDS)
    table[:soft, :named] = words
    table[soft:, named:] = np.eye(len(DRINKS) - soft)
    return table / len(DRINKS)


def _known(states: Iterable[str]) -> list[str]:
    found = [checks.choice("state", state, SHARES) for state in states]
    if not found:
        raise ValueError("states must name at least one state, such as 'GA'; got none.")
    return found
