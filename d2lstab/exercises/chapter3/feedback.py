"""Exercises 3.13, 3.14: data that a model makes itself, and data that are looked at too often."""

import math
from collections import Counter
from collections.abc import Iterator

import torch
from scipy.special import bdtr
from torch import Generator, Tensor

from d2lstab.exercises.exercise import Exercise, Mistake, fraction, integer, number

# 3.13 The search engine that learns from its clicks


def _engines(generator: Generator) -> Iterator[tuple]:
    for rounds in (6, 1, integer(generator, 15, 30)):
        rates = fraction(generator, 0.5, 0.9), fraction(generator, 0.1, 0.4)
        yield integer(generator, 1, 3), integer(generator, 4, 6), *rates, rounds


def _states(a: int, b: int, rate_a: float, rate_b: float, rounds: int) -> dict:
    """The probability of each pair of clicks after all rounds, exactly."""
    states = Counter({(a, b): 1.0})
    for _ in range(rounds):
        after = Counter()
        for (m, n), p in states.items():
            click_a, click_b = p * m / (m + n) * rate_a, p * n / (m + n) * rate_b
            after[m + 1, n] += click_a
            after[m, n + 1] += click_b
            after[m, n] += p - click_a - click_b
        states = after
    return states


def _expected_share(*case: float) -> Tensor:
    return number(math.fsum(p * m / (m + n) for (m, n), p in _states(*case).items()))


def _ratio_of_means(*case: float) -> Tensor:
    states = _states(*case).items()
    return number(
        math.fsum(p * m for (m, n), p in states) / math.fsum(p * (m + n) for (m, n), p in states)
    )


def _mean_path(a: float, b: float, rate_a: float, rate_b: float, rounds: int) -> Tensor:
    for _ in range(rounds):
        share = a / (a + b)
        a, b = a + share * rate_a, b + (1 - share) * rate_b
    return number(a / (a + b))


ENGINE_SHARE = Exercise(
    asks="a function of a, b, rate_a, rate_b and rounds that returns a number",
    cases=_engines,
    truth=_expected_share,
    parts=("the expected share",),
    mistakes=(
        Mistake(
            "this is the share at the start. It stays, in the mean, where both are clicked alike.",
            lambda a, b, *_: number(a / (a + b)),
        ),
        Mistake(
            "this is what users like if both are shown to all of them; the engine shows one.",
            lambda a, b, rate_a, rate_b, rounds: number(rate_a / (rate_a + rate_b)),
        ),
        Mistake(
            "both results are shown in every round here.",
            lambda a, b, rate_a, rate_b, rounds: number(
                (a + rate_a * rounds) / (a + b + (rate_a + rate_b) * rounds)
            ),
        ),
        Mistake(
            "the means of the clicks are carried on from round to round; the mean of a share is "
            "another thing than the share of the means.",
            _mean_path,
        ),
        Mistake(
            "the mean of a ratio is another thing than the ratio of the means.",
            _ratio_of_means,
        ),
        Mistake(
            "one round is missing.",
            lambda *case: _expected_share(*case[:4], case[4] - 1),
        ),
        Mistake(
            "there is one round too many.",
            lambda *case: _expected_share(*case[:4], case[4] + 1),
        ),
        Mistake("this is the share of B.", lambda *case: 1 - _expected_share(*case)),
        Mistake(
            "the engine does not learn here: it shows A by its share at the start in all rounds.",
            lambda a, b, rate_a, rate_b, rounds: number(
                (a + rounds * rate_a * a / (a + b))
                / (a + b + rounds * (rate_a * a + rate_b * b) / (a + b))
            ),
        ),
        Mistake(
            "A and B are shown equally often here, whatever has been clicked.",
            lambda a, b, rate_a, rate_b, rounds: number(
                (a + rounds * rate_a / 2) / (a + b + rounds * (rate_a + rate_b) / 2)
            ),
        ),
    ),
    near="it is less than 5 % off; a simulation is too coarse, and there are few enough pairs of "
    "clicks to follow all of them.",
)


# 3.14 The best of many models


def _test_sets(generator: Generator) -> Iterator[tuple]:
    yield 20, 30, fraction(generator, 0.4, 0.6)  # here every mistake gives its own number
    for _ in range(2):
        size = integer(generator, 40, 300)
        yield integer(generator, 2, 200), size, fraction(generator, 0.5, 0.95)


def _at_most(examples: int, accuracy: float) -> Tensor:
    """P(at most k are right) for k = 0, …, examples − 1, of one model."""
    below = torch.arange(examples).numpy()
    return torch.from_numpy(bdtr(below, examples, accuracy))


def _best_of(models: int, examples: int, accuracy: float) -> Tensor:
    """E[max] = Σ P(max > k) over k = 0, …, n − 1, as a share of the n examples."""
    return (1 - _at_most(examples, accuracy) ** models).sum() / examples


BEST_OF = Exercise(
    asks="a function of models, examples and accuracy that returns a number",
    cases=_test_sets,
    truth=_best_of,
    parts=("the expected accuracy",),
    mistakes=(
        Mistake(
            "this is what every model has; the best *measured* one is asked for.",
            lambda models, examples, accuracy: number(accuracy),
        ),
        Mistake(
            "this is a number of examples, not a share of them.",
            lambda *case: _best_of(*case) * case[1],
        ),
        Mistake(
            "this is the expected accuracy of the *worst* of them.",
            lambda models, examples, accuracy: (
                ((1 - _at_most(examples, accuracy)) ** models).sum() / examples
            ),
        ),
        Mistake(
            "it is one example too many.",
            lambda *case: _best_of(*case) + 1 / case[1],
        ),
        Mistake(
            "it is one example too few.",
            lambda *case: _best_of(*case) - 1 / case[1],
        ),
        Mistake(
            "this is one standard deviation above the accuracy, however many models there are.",
            lambda models, examples, accuracy: number(
                accuracy + math.sqrt(accuracy * (1 - accuracy) / examples)
            ),
        ),
        Mistake(
            "this is the chance that at least one model has everything right.",
            lambda models, examples, accuracy: number(1 - (1 - accuracy**examples) ** models),
        ),
        Mistake(
            "one model is missing.",
            lambda models, examples, accuracy: _best_of(models - 1, examples, accuracy),
        ),
        Mistake(
            "with models and examples exchanged, it would be right.",
            lambda models, examples, accuracy: _best_of(examples, models, accuracy),
        ),
    ),
    near="it is less than 5 % off; a simulation or a normal distribution is too coarse: the number "
    "of right answers is known to be binomial.",
)
