"""Exercise 3.10: how much of the past a mean that drifts should be estimated from."""

from collections.abc import Callable, Iterator

import torch
from torch import Generator, Tensor

from d2lstab.exercises.exercise import Exercise, Mistake, fraction, number


def _drifts(generator: Generator) -> Iterator[tuple]:
    yield fraction(generator, 1.2, 1.7), 0.005  # here every mistake gives its own number
    yield fraction(generator, 0.5, 2.0), fraction(generator, 0.1, 0.5)
    yield 0.2, fraction(generator, 0.5, 0.9)  # the last value alone


def _error(noise_std: float, step: float, size: Tensor, age: float = 0.5) -> Tensor:
    """Mean squared error of the mean of the last ``size`` values; age : how old they are, as a
    share of the oldest one's age."""
    return noise_std**2 / size + (age * step * (size - 1)) ** 2


def _sizes() -> Tensor:
    return torch.arange(1, 5001, dtype=torch.float64)


def _best(noise_std: float, step: float, error: Callable[..., Tensor] = _error) -> Tensor:
    return _sizes()[error(noise_std, step, _sizes()).argmin()]


def _least(noise_std: float, step: float) -> Tensor:
    return _error(noise_std, step, _best(noise_std, step))


WINDOW = Exercise(
    asks="a function of noise_std and step that returns two numbers",
    cases=_drifts,
    truth=lambda noise_std, step: (_best(noise_std, step), _least(noise_std, step)),
    parts=("the length of the window", "the mean squared error"),
    mistakes=(
        Mistake(
            "it would be right if every value in the window were as old as the oldest one.",
            lambda *case: _best(*case, lambda s, d, n: _error(s, d, n, age=1.0)),
        ),
        Mistake(
            "it is the best for the sum of standard deviation and bias; they do not add up so.",
            lambda *case: _best(*case, lambda s, d, n: s / n**0.5 + d * (n - 1) / 2),
        ),
        Mistake(
            "the bias is not squared.",
            lambda *case: _best(*case, lambda s, d, n: s * s / n + d * (n - 1) / 2),
        ),
        Mistake(
            "noise_std was taken for a variance.",
            lambda noise_std, step: _best(noise_std**0.5, step),
        ),
        Mistake(
            "this is where variance and squared bias are equal; is their sum the smallest there?",
            lambda *case: _sizes()[
                (_error(*case, _sizes(), age=0.0) - _error(0.0, case[1], _sizes())).abs().argmin()
            ],
        ),
        Mistake(
            "it is not an integer.",
            lambda noise_std, step: number((2 * (noise_std / step) ** 2) ** (1 / 3)),
        ),
        Mistake(
            "the mean was taken to wander at random; it moves by the same step each time.",
            lambda *case: _best(
                *case, lambda s, d, n: s * s / n + d * d * (n - 1) * (2 * n - 1) / (6 * n)
            ),
        ),
        Mistake(
            "this is the variance alone.",
            lambda *case: _error(*case, _best(*case), age=0.0),
            part=1,
        ),
        Mistake(
            "this is the squared bias alone.",
            lambda noise_std, step: _error(0.0, step, _best(noise_std, step)),
            part=1,
        ),
        Mistake("this is its square root.", lambda *case: _least(*case).sqrt(), part=1),
        Mistake(
            "it has the age of the oldest value in it; how old are they in the mean?",
            lambda *case: _error(*case, _best(*case), age=1.0),
            part=1,
        ),
        Mistake(
            "the newest value is of this moment: it has no age yet.",
            lambda noise_std, step: (
                noise_std**2 / _best(noise_std, step) + (step * _best(noise_std, step) / 2) ** 2
            ),
            part=1,
        ),
        Mistake(
            "this is the noise itself: what is off is the mean of the window, not its next value.",
            lambda noise_std, step: _least(noise_std, step) + noise_std**2,
            part=1,
        ),
    ),
    near="it is less than 5 % off; the errors are sums that need no simulation.",
)
