"""Exercises 3.4, 3.5: the p-value of a permutation test, and many tests at once."""

import math
from collections.abc import Iterator
from fractions import Fraction

import torch
from scipy.special import ndtr
from torch import Generator, Tensor

from d2lstab.exercises.exercise import Exercise, Mistake, integer, normal, number

# 3.4 The p-value of a permutation test


def _permuted(generator: Generator) -> Iterator[tuple]:
    """Some null statistics that equal the observed one; then none that reaches it."""
    for size, rank in ((39, 8), (integer(generator, 60, 150), 5)):
        null = (10 * normal(generator, size)).round() / 10
        observed = null.sort().values[-rank].item()
        null[:2] = observed
        yield observed, null[torch.randperm(size, generator=generator)]
    null = normal(generator, 99)
    yield null.max().item() + 1, null


def _share(count: Tensor, size: int) -> Tensor:
    return count.sum().double() / size


def _p_value(observed: float, null: Tensor) -> Tensor:
    return _share(null >= observed, 1).add(1) / (len(null) + 1)


_ITSELF = "the observed statistic itself is missing: without a shift, it is one more permutation."
_TIES = "statistics equal to the observed one are not counted; they are as large as it."

P_VALUE = Exercise(
    asks="a function of observed and null that returns a number",
    cases=_permuted,
    truth=_p_value,
    parts=("the p-value",),
    mistakes=(
        Mistake(_ITSELF, lambda observed, null: _share(null >= observed, len(null))),
        Mistake(
            _ITSELF + " And " + _TIES,
            lambda observed, null: _share(null > observed, len(null)),
        ),
        Mistake(
            _TIES,
            lambda observed, null: (_share(null > observed, 1) + 1) / (len(null) + 1),
        ),
        Mistake(
            "the observed statistic counts above the line, but not below.",
            lambda observed, null: (_share(null >= observed, 1) + 1) / len(null),
        ),
        Mistake(
            "the observed statistic counts below the line, but not above.",
            lambda observed, null: _share(null >= observed, len(null) + 1),
        ),
        Mistake(
            "this is the share of small statistics; a shift makes them large.",
            lambda observed, null: (_share(null <= observed, 1) + 1) / (len(null) + 1),
        ),
        Mistake(
            "this is the share of small statistics; a shift makes them large.",
            lambda observed, null: _share(null <= observed, len(null)),
        ),
        Mistake(
            "this is the share of small statistics; a shift makes them large.",
            lambda observed, null: _share(null < observed, len(null)),
        ),
        Mistake("this is 1 − p.", lambda *case: 1 - _p_value(*case)),
        Mistake(
            "both sides are counted; only large statistics speak for a shift.",
            lambda observed, null: (_share(null.abs() >= abs(observed), 1) + 1) / (len(null) + 1),
        ),
        Mistake(
            "both sides are counted; only large statistics speak for a shift.",
            lambda *case: 2 * _p_value(*case),
        ),
        Mistake(
            "this takes the statistics for normally distributed; the permutations are there so "
            "that nothing of the kind is needed.",
            lambda observed, null: number(ndtr((null.mean() - observed) / null.std()).item()),
        ),
    ),
)


# 3.5 Many tests at once


def _many_tests(generator: Generator) -> Iterator[tuple]:
    """Levels in hundredths by which no number of tests is divisible without a rest."""
    for _ in range(3):
        level = (3, 7, 9)[integer(generator, 0, 2)] / 100
        tests = integer(generator, 4, 70)
        while tests % 3 == 0 or tests % 7 == 0:
            tests += 1
        yield level, tests


def _fewest(level: float, tests: int) -> Tensor:
    exact = Fraction(str(level))
    return number(math.ceil(tests / exact) - 1)


BONFERRONI = Exercise(
    asks="a function of level and tests that returns three numbers",
    cases=_many_tests,
    truth=lambda level, tests: (
        number(level / tests),
        _fewest(level, tests),
        number(1 - (1 - level) ** tests),
    ),
    parts=("the level of each test", "the number of permutations", "the chance of a false alarm"),
    mistakes=(
        Mistake("this is the level of all of them together.", lambda level, tests: number(level)),
        Mistake(
            "this is Šidák's level, for independent tests; Bonferroni's holds for any.",
            lambda level, tests: number(1 - (1 - level) ** (1 / tests)),
        ),
        Mistake(
            "it grows with the number of tests; each must be stricter.",
            lambda level, tests: number(level * tests),
        ),
        Mistake(
            "one less is enough: how small can the p-value of exercise 3.4 be?",
            lambda level, tests: _fewest(level, tests) + 1,
            part=1,
        ),
        Mistake(
            "one more is needed: the smallest p-value is still larger than the level.",
            lambda level, tests: _fewest(level, tests) - 1,
            part=1,
        ),
        Mistake(
            "it is enough for a single test; here each one has a stricter level.",
            lambda level, tests: _fewest(level, 1),
            part=1,
        ),
        Mistake(
            "it is enough for a single test; here each one has a stricter level.",
            lambda level, tests: _fewest(level, 1) + 1,
            part=1,
        ),
        Mistake(
            "there is no such number: it must be an integer.",
            lambda level, tests: number(tests / level - 1),
            part=1,
        ),
        Mistake(
            "there is no such number: it must be an integer.",
            lambda level, tests: number(tests / level),
            part=1,
        ),
        Mistake(
            "this is the union bound; for independent tests the chance itself is known.",
            lambda level, tests: number(level * tests),
            part=2,
        ),
        Mistake(
            "this is the union bound; for independent tests the chance itself is known.",
            lambda level, tests: number(min(1.0, level * tests)),
            part=2,
        ),
        Mistake(
            "this is the chance of no false alarm at all.",
            lambda level, tests: number((1 - level) ** tests),
            part=2,
        ),
        Mistake(
            "this is the chance that a given test raises one.",
            lambda level, tests: number(level),
            part=2,
        ),
        Mistake(
            "this is the chance of exactly one.",
            lambda level, tests: number(tests * level * (1 - level) ** (tests - 1)),
            part=2,
        ),
        Mistake(
            "this is the chance with Bonferroni's level; asked for is the one without.",
            lambda level, tests: number(1 - (1 - level / tests) ** tests),
            part=2,
        ),
    ),
)
