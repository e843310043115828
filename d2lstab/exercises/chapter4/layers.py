"""Exercises 4.2, 4.4: batch norm with its memory, and its two halves."""

from collections.abc import Iterator

import torch
import torch.nn.functional as F
from torch import Generator, Tensor

from d2lstab.exercises.exercise import Exercise, Mistake, fraction, integer, normal

# 4.2 Batch norm, with its memory


def _batches(generator: Generator) -> Iterator[tuple]:
    for features in (3, integer(generator, 4, 6)):
        x = 2 * normal(generator, integer(generator, 7, 12), features) + normal(generator, features)
        weight, bias, mean = (normal(generator, features) for _ in range(3))
        variance = normal(generator, features).square() + 0.5
        momentum, eps = fraction(generator, 0.1, 0.4), fraction(generator, 0.02, 0.2)
        yield x, weight, bias, mean, variance, momentum, eps


def _normalized(x, weight, bias, mean, variance, momentum, eps, *, dim=0, unbiased=False) -> Tensor:
    var, mu = torch.var_mean(x, dim, keepdim=True, correction=int(unbiased))
    return weight * (x - mu) / (var + eps).sqrt() + bias


def _moved(old: Tensor, new: Tensor, momentum: float) -> Tensor:
    return old + momentum * (new - old)


def _batch_norm(x, weight, bias, mean, variance, momentum, eps) -> tuple[Tensor, ...]:
    mean, variance = mean.clone(), variance.clone()  # PyTorch changes them
    y = F.batch_norm(x, mean, variance, weight, bias, True, momentum, eps)
    return y, mean, variance


def _by_stored(x, weight, bias, mean, variance, momentum, eps) -> Tensor:
    return weight * (x - mean) / (variance + eps).sqrt() + bias


_WRONG_WAY = (
    "momentum is the wrong way round: in PyTorch it is the share of the *new* value, not of the old"
)

BATCH_NORM = Exercise(
    asks="a function of x, gamma, beta, running_mean, running_var, momentum and eps that returns "
    "three tensors",
    cases=_batches,
    truth=_batch_norm,
    parts=("the output", "the running mean", "the running variance"),
    mistakes=(
        Mistake(
            "its variance is the unbiased one, with n − 1; the layer divides by n here.",
            lambda *case: _normalized(*case, unbiased=True),
        ),
        Mistake(
            "eps stands outside the root; it is added to the variance.",
            lambda x, g, b, m, v, momentum, eps: g * (x - x.mean(0)) / (x.std(0, False) + eps) + b,
        ),
        Mistake("eps is missing.", lambda *case: _normalized(*case[:-1], 0.0)),
        Mistake(
            "the running statistics are in it; in train mode the batch's own are used.", _by_stored
        ),
        Mistake(
            "the new running statistics are in it; in train mode the batch's own are used.",
            lambda *case: _by_stored(*case[:3], *_batch_norm(*case)[1:], *case[5:]),
        ),
        Mistake(
            "its mean is that of each example: that is layer norm.",
            lambda *case: _normalized(*case, dim=1),
        ),
        Mistake(
            "gamma and beta are missing.",
            lambda *case: (case[0] - case[0].mean(0)) / (case[0].var(0, False) + case[-1]).sqrt(),
        ),
        Mistake(
            "it is divided by the variance; the root is missing.",
            lambda x, g, b, m, v, momentum, eps: g * (x - x.mean(0)) / (x.var(0, False) + eps) + b,
        ),
        Mistake(
            _WRONG_WAY + ".",
            lambda x, g, b, m, v, momentum, eps: _moved(x.mean(0), m, momentum),
            part=1,
        ),
        Mistake(
            "it is the batch's alone: nothing of the old one is left.",
            lambda x, *_: x.mean(0),
            part=1,
        ),
        Mistake("it is the old one: nothing of the batch came in.", lambda *case: case[3], part=1),
        Mistake(
            "the batch's variance in it is the biased one. An average of those would be too small "
            "for eval mode; PyTorch takes the one with n − 1 here.",
            lambda x, g, b, m, v, momentum, eps: _moved(v, x.var(0, False), momentum),
            part=2,
        ),
        Mistake(
            _WRONG_WAY + ".",
            lambda x, g, b, m, v, momentum, eps: _moved(x.var(0), v, momentum),
            part=2,
        ),
        Mistake(
            _WRONG_WAY + "; and the batch's variance in it is the biased one.",
            lambda x, g, b, m, v, momentum, eps: _moved(x.var(0, False), v, momentum),
            part=2,
        ),
        Mistake(
            "the batch's standard deviation went into it.",
            lambda x, g, b, m, v, momentum, eps: _moved(v, x.std(0), momentum),
            part=2,
        ),
        Mistake("it is the old one: nothing of the batch came in.", lambda *case: case[4], part=2),
    ),
)


# 4.4 Half a norm


def _tables(generator: Generator) -> Iterator[tuple]:
    for features in (4, 3):
        x = normal(generator, integer(generator, 5, 9), features) + 2 * normal(generator, features)
        yield x, fraction(generator, 0.02, 0.2)


def _root(square: Tensor, eps: float) -> Tensor:
    return (square + eps).sqrt()


HALVES = Exercise(
    asks="a function of x and eps that returns three tensors",
    cases=_tables,
    truth=lambda x, eps: (
        x - x.mean(0),
        x / _root(x.var(0, False), eps),
        F.rms_norm(x, x.shape[1:], eps=eps),
    ),
    parts=("the one without mean", "the one without variance", "the RMS norm"),
    mistakes=(
        Mistake("the mean of each *example* is gone.", lambda x, eps: x - x.mean(1, keepdim=True)),
        Mistake(
            "one mean for all features is gone; each has its own.", lambda x, eps: x - x.mean()
        ),
        Mistake(
            "the standard deviation is gone as well.",
            lambda x, eps: (x - x.mean(0)) / _root(x.var(0, False), eps),
        ),
        Mistake(
            "it is divided by the root mean square, which has the mean in it.",
            lambda x, eps: x / _root(x.square().mean(0), eps),
            part=1,
        ),
        Mistake(
            "the mean is gone as well.",
            lambda x, eps: (x - x.mean(0)) / _root(x.var(0, False), eps),
            part=1,
        ),
        Mistake(
            "the mean was taken out, and put back as it was; here it gets divided with the rest.",
            lambda x, eps: (x - x.mean(0)) / _root(x.var(0, False), eps) + x.mean(0),
            part=1,
        ),
        Mistake(
            "its variance is the unbiased one, with n − 1.",
            lambda x, eps: x / _root(x.var(0), eps),
            part=1,
        ),
        Mistake(
            "the standard deviation is that of each *example*.",
            lambda x, eps: x / _root(x.var(1, False, keepdim=True), eps),
            part=1,
        ),
        Mistake(
            "the root mean square is that of each *feature*; RMS norm asks no other example.",
            lambda x, eps: x / _root(x.square().mean(0), eps),
            part=2,
        ),
        Mistake(
            "the mean is gone: that is layer norm.",
            lambda x, eps: F.layer_norm(x, x.shape[1:], eps=eps),
            part=2,
        ),
        Mistake(
            "it is divided by the length, the root of the *sum* of squares.",
            lambda x, eps: x / _root(x.square().sum(1, keepdim=True), eps),
            part=2,
        ),
        Mistake(
            "it is divided by the mean square; the root is missing.",
            lambda x, eps: x / (x.square().mean(1, keepdim=True) + eps),
            part=2,
        ),
    ),
)
