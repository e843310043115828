"""Exercises 6.4, 6.5: values that are not missing at random, and a column that says so."""

from collections.abc import Callable, Iterator

import torch
from torch import Generator, Tensor

from d2lstab.exercises.exercise import Exercise, Mistake, integer, normal

# 6.4 Not at random


def _columns(generator: Generator) -> Iterator[tuple]:
    """One with a tail of large values, one with a tail of small ones, and both have two ends."""
    for largest in (True, False):
        found = False
        while not found:
            tail = normal(generator, integer(generator, 9, 12)).exp()
            x, k = (tail if largest else -tail) + 3 * normal(generator), integer(generator, 2, 3)
            worst = _worst(x, k)
            found = worst.equal(_ends(x, k, largest)) and not worst.equal(_far(x, k))
        yield x, k


def _places(x: Tensor, places: Tensor) -> Tensor:
    return torch.zeros_like(x).index_fill(0, places, 1.0)


def _ends(x: Tensor, k: int, largest: bool) -> Tensor:
    return _places(x, x.topk(k, largest=largest).indices)


def _far(x: Tensor, k: int) -> Tensor:
    return _places(x, (x - x.mean()).abs().topk(k).indices)


def _known_mean(x: Tensor, missing: Tensor) -> Tensor:
    return x[missing == 0].mean()


def _worst(x: Tensor, k: int) -> Tensor:
    ends = [_ends(x, k, largest) for largest in (True, False)]
    return max(ends, key=lambda end: (_known_mean(x, end) - x.mean()).abs())


def _filled(x: Tensor, k: int) -> Tensor:
    missing = _worst(x, k)
    return torch.where(missing == 0, x, _known_mean(x, missing))


def _std(x: Tensor) -> Tensor:
    return x.std(correction=0)


HIDDEN = Exercise(
    asks="a function of x and k that returns a tensor and two numbers",
    cases=_columns,
    truth=lambda x, k: (_worst(x, k), _filled(x, k).mean(), _std(_filled(x, k))),
    parts=("the gaps", "the mean", "the standard deviation"),
    mistakes=(
        Mistake(
            "the largest values are hidden; look at the other end, too.",
            lambda x, k: _ends(x, k, True),
        ),
        Mistake(
            "the smallest values are hidden; look at the other end, too.",
            lambda x, k: _ends(x, k, False),
        ),
        Mistake("what is missing at both ends pulls the mean both ways.", _far),
        Mistake(
            "it is True where a value is known; asked is where it is missing.",
            lambda x, k: 1 - _worst(x, k),
        ),
        Mistake(
            "these are places; asked is a mask of the column's shape.",
            lambda x, k: _worst(x, k).nonzero()[:, 0].double(),
        ),
        Mistake(
            "this is that of the true column, which nobody knows any more.",
            lambda x, k: x.mean(),
            part=1,
        ),
        Mistake(
            "this is that of the hidden values.", lambda x, k: x[_worst(x, k) == 1].mean(), part=1
        ),
        Mistake("gaps count as 0 in it.", lambda x, k: (x * (1 - _worst(x, k))).mean(), part=1),
        Mistake("this is that of the true column.", lambda x, k: _std(x), part=2),
        Mistake(
            "this is that of the known values; all the means beside them make it smaller.",
            lambda x, k: _std(x[_worst(x, k) == 0]),
            part=2,
        ),
        Mistake(
            "the squares are divided by one less than their number.",
            lambda x, k: _filled(x, k).std(),
            part=2,
        ),
        Mistake("this is the variance.", lambda x, k: _std(_filled(x, k)) ** 2, part=2),
    ),
)


# 6.5 Say that it is missing


def _gappy(generator: Generator) -> Iterator[tuple]:
    """Houses without a value have another level of prices, and gaps are more than one."""
    for gaps in (2, integer(generator, 3, 4)):
        x = 2 * normal(generator, integer(generator, 8, 10)) + 5
        y = 0.4 * x + normal(generator, len(x)) + 3
        x[torch.randperm(len(x), generator=generator)[:gaps]] = torch.nan
        y[x.isnan()] -= 2
        yield x, y


def _slope(x: Tensor, y: Tensor) -> Tensor:
    """Of least squares with a bias."""
    x = x - x.mean()
    return x @ y / x.square().sum()


def _of_known(change: Callable[[Tensor, Tensor], Tensor]) -> Callable[..., Tensor]:
    return lambda x, y: change(x[~x.isnan()], y[~x.isnan()])


def _mean_missing(x: Tensor, y: Tensor) -> Tensor:
    return y[x.isnan()].mean()


def _mean_known(x: Tensor, y: Tensor) -> Tensor:
    return y[~x.isnan()].mean()


FLAGGED = Exercise(
    asks="a function of x and y that returns three numbers",
    cases=_gappy,
    truth=lambda x, y: (_of_known(_slope)(x, y), y.mean(), _mean_missing(x, y)),
    parts=("the slope", "the prediction without the indicator", "the prediction with it"),
    mistakes=(
        Mistake("gaps were filled by 0, not by the mean.", lambda x, y: _slope(x.nan_to_num(), y)),
        Mistake("there is no bias in this fit.", _of_known(lambda x, y: x @ y / x.square().sum())),
        Mistake(
            "this is a correlation; a slope has units.",
            _of_known(lambda x, y: torch.corrcoef(torch.stack([x, y]))[0, 1]),
        ),
        Mistake("it is the other way round, of x over y.", _of_known(lambda x, y: _slope(y, x))),
        Mistake("this is what houses with a known value cost.", _mean_known, part=1),
        Mistake("this is the prediction with the indicator.", _mean_missing, part=1),
        Mistake(
            "this is the bias: the prediction where the column is 0, not where it is missing.",
            lambda x, y: (
                y.mean() - _of_known(_slope)(x, y) * _of_known(lambda x, y: x.mean())(x, y)
            ),
            part=1,
        ),
        Mistake(
            "it is the same as before: is there one weight more to fit with?",
            lambda x, y: y.mean(),
            part=2,
        ),
        Mistake("this is what houses with a known value cost.", _mean_known, part=2),
        Mistake(
            "this is the weight of the indicator, not what is predicted with it.",
            lambda x, y: _mean_missing(x, y) - _mean_known(x, y),
            part=2,
        ),
    ),
)
