"""Exercises 5.10, 5.11: the noise of two layers of masks, and weights left out."""

from collections.abc import Iterator

import torch
from torch import Generator, Tensor

from d2lstab.exercises.chapter5.dropout import odds
from d2lstab.exercises.exercise import Exercise, Mistake, fraction, integer, normal

# 5.10 Switch the rates


def _two_layers(generator: Generator) -> Iterator[tuple]:
    for units in (4, integer(generator, 2, 5)):
        h, W, v = normal(generator, 3) + 1, normal(generator, units, 3), normal(generator, units)
        yield h, W, v, fraction(generator, 0.1, 0.3), fraction(generator, 0.4, 0.7)


def _from_first(h: Tensor, W: Tensor, v: Tensor) -> Tensor:
    """What the first masks would do if the second did not exist, per variance of a mask."""
    return ((v @ W) * h).square().sum()


def _from_second(h: Tensor, W: Tensor, v: Tensor) -> Tensor:
    return (v * (W @ h)).square().sum()


def _from_both(h: Tensor, W: Tensor, v: Tensor) -> Tensor:
    """What the second masks do to the noise of the first."""
    return ((v[:, None] * W * h) ** 2).sum()


def _noise(h: Tensor, W: Tensor, v: Tensor, a: float, b: float) -> Tensor:
    """The output's variance, for masks of the variances a and b."""
    case = h, W, v
    return a * _from_first(*case) + b * _from_second(*case) + a * b * _from_both(*case)


def _at_rates(h: Tensor, W: Tensor, v: Tensor, p1: float, p2: float) -> Tensor:
    return _noise(h, W, v, odds(p1), odds(p2))


def _switched(h: Tensor, W: Tensor, v: Tensor, p1: float, p2: float) -> Tensor:
    return _at_rates(h, W, v, p2, p1)


SWITCHED = Exercise(
    asks="a function of h, W, v, p1 and p2 that returns two numbers",
    cases=_two_layers,
    truth=lambda *case: (_at_rates(*case), _switched(*case)),
    parts=("the variance", "the variance with the rates switched"),
    mistakes=(
        Mistake(
            "the two noises are added as though the second masks met a quiet layer; what they "
            "multiply is noisy already.",
            lambda h, W, v, p1, p2: (
                odds(p1) * _from_first(h, W, v) + odds(p2) * _from_second(h, W, v)
            ),
        ),
        Mistake(
            "this is the noise of the first masks alone.",
            lambda h, W, v, p1, p2: odds(p1) * _from_first(h, W, v),
        ),
        Mistake(
            "this is the noise of the second masks alone.",
            lambda h, W, v, p1, p2: odds(p2) * _from_second(h, W, v),
        ),
        Mistake(
            "this is what the second masks make of the first ones' noise, alone.",
            lambda h, W, v, p1, p2: odds(p1) * odds(p2) * _from_both(h, W, v),
        ),
        Mistake(
            "the squared mean has not been taken off.",
            lambda *case: _at_rates(*case) + (case[2] @ case[1] @ case[0]) ** 2,
        ),
        Mistake(
            "all units of a layer share one mask here; each has its own.",
            lambda h, W, v, p1, p2: (1 / ((1 - p1) * (1 - p2)) - 1) * (v @ W @ h) ** 2,
        ),
        Mistake(
            "a mask's variance is that of a 0 or 1; what is the factor's?",
            lambda h, W, v, p1, p2: _noise(h, W, v, p1 * (1 - p1), p2 * (1 - p2)),
        ),
        Mistake("this is its root.", lambda *case: _at_rates(*case).sqrt()),
        Mistake("this is that with the rates switched.", _switched),
        Mistake(
            "it is the same as before; is the output as sensitive to both layers?",
            _at_rates,
            part=1,
        ),
    ),
)


# 5.11 Drop weights instead


def _connections(generator: Generator) -> Iterator[tuple]:
    for units in (3, integer(generator, 2, 4)):
        W, h = normal(generator, units, 4), normal(generator, 4) + 1
        yield W, h, fraction(generator, 0.2, 0.4)


def _of_units(W: Tensor, h: Tensor, p: float) -> Tensor:
    return odds(p) * (W * h) @ (W * h).T


def _of_weights(W: Tensor, h: Tensor, p: float) -> Tensor:
    return torch.diag(_of_units(W, h, p).diag())


def _outer(W: Tensor, h: Tensor) -> Tensor:
    return torch.outer(W @ h, W @ h)


DROPPED_WEIGHTS = Exercise(
    asks="a function of W, h and p that returns two tensors",
    cases=_connections,
    truth=lambda *case: (_of_units(*case), _of_weights(*case)),
    parts=("the covariance with units dropped", "the covariance with weights dropped"),
    mistakes=(
        Mistake(
            "the outputs have nothing to do with each other here; when a unit of h goes, who "
            "notices?",
            _of_weights,
        ),
        Mistake(
            "all units of h share one mask here; each has its own.",
            lambda W, h, p: odds(p) * _outer(W, h),
        ),
        Mistake(
            "the mean has not been taken off.", lambda W, h, p: _of_units(W, h, p) + _outer(W, h)
        ),
        Mistake(
            "a mask's variance is that of a 0 or 1; what is the factor's?",
            lambda W, h, p: p * (1 - p) * (W * h) @ (W * h).T,
        ),
        Mistake("h is missing: a large unit makes more noise.", lambda W, h, p: odds(p) * W @ W.T),
        Mistake(
            "h is not squared in it.",
            lambda W, h, p: odds(p) * (W * h) @ W.T,
        ),
        Mistake(
            "it is as with units dropped; here every output has masks of its own.",
            _of_units,
            part=1,
        ),
        Mistake(
            "the squares of the mean have not been taken off.",
            lambda W, h, p: _of_weights(W, h, p) + _outer(W, h),
            part=1,
        ),
        Mistake(
            "a mask's variance is that of a 0 or 1; what is the factor's?",
            lambda W, h, p: (1 - p) ** 2 * _of_weights(W, h, p),
            part=1,
        ),
        Mistake(
            "these are standard deviations.", lambda W, h, p: _of_weights(W, h, p).sqrt(), part=1
        ),
    ),
)
