"""Exercises 4.8, 4.9, 4.10: a norm without its batch, small batches, and batches of one class."""

from collections.abc import Iterator

import torch
from torch import Generator, Tensor

from d2lstab.exercises.exercise import Exercise, Mistake, fraction, integer, normal

# 4.8 Fold it away


def _trained_layers(generator: Generator) -> Iterator[tuple]:
    for units in (4, integer(generator, 2, 5)):  # the first is square: any mix-up has a shape
        W, b = normal(generator, units, 4), normal(generator, units)
        gamma, beta, mean = (normal(generator, units) for _ in range(3))
        variance = normal(generator, units).square() + 0.1
        yield W, b, gamma, beta, mean, variance, fraction(generator, 0.02, 0.2)


def _scale(gamma: Tensor, variance: Tensor, eps: float) -> Tensor:
    return gamma / (variance + eps).sqrt()


def _fold(W, b, gamma, beta, mean, variance, eps) -> tuple[Tensor, Tensor]:
    scale = _scale(gamma, variance, eps)
    return scale[:, None] * W, scale * (b - mean) + beta


def _scaled_with(scale):
    return lambda W, b, gamma, beta, mean, variance, eps: scale(gamma, variance, eps)[:, None] * W


FOLD = Exercise(
    asks="a function of W, b, gamma, beta, mean, var and eps that returns two tensors",
    cases=_trained_layers,
    truth=_fold,
    parts=("the weights", "the bias"),
    mistakes=(
        Mistake("eps is missing.", _scaled_with(lambda gamma, var, eps: gamma / var.sqrt())),
        Mistake(
            "eps stands outside the root; it is added to the variance.",
            _scaled_with(lambda gamma, var, eps: gamma / (var.sqrt() + eps)),
        ),
        Mistake(
            "they are divided by the variance; the root is missing.",
            _scaled_with(lambda gamma, var, eps: gamma / (var + eps)),
        ),
        Mistake("gamma is missing.", _scaled_with(lambda gamma, var, eps: 1 / (var + eps).sqrt())),
        Mistake(
            "the factors belong to the units, the rows of W, not to its inputs.",
            lambda W, b, gamma, beta, mean, var, eps: (
                W * _scale(gamma, var, eps) if len(W) == W.shape[1] else W
            ),
        ),
        Mistake("the old ones are unchanged.", lambda W, *_: W),
        Mistake("the old one is unchanged.", lambda W, b, *_: b, part=1),
        Mistake(
            "the mean has not been taken off.",
            lambda W, b, gamma, beta, mean, var, eps: _scale(gamma, var, eps) * b + beta,
            part=1,
        ),
        Mistake(
            "the mean has been taken off as it is; what is taken off *before* the division is "
            "divided, too.",
            lambda W, b, gamma, beta, mean, var, eps: _scale(gamma, var, eps) * b - mean + beta,
            part=1,
        ),
        Mistake(
            "b has not been scaled: the norm comes after it.",
            lambda W, b, gamma, beta, mean, var, eps: b - _scale(gamma, var, eps) * mean + beta,
            part=1,
        ),
        Mistake(
            "b is missing: in train mode the mean would take it off again, but the mean that is "
            "stored is not that of these x.",
            lambda W, b, gamma, beta, mean, var, eps: beta - _scale(gamma, var, eps) * mean,
            part=1,
        ),
        Mistake(
            "beta is missing.",
            lambda W, b, gamma, beta, mean, var, eps: _scale(gamma, var, eps) * (b - mean),
            part=1,
        ),
        Mistake(
            "beta has been scaled; it is added after gamma.",
            lambda W, b, gamma, beta, mean, var, eps: _scale(gamma, var, eps) * (b - mean + beta),
            part=1,
        ),
    ),
)


# 4.9 How far a batch is off


def _populations(generator: Generator) -> Iterator[tuple]:
    for size in (3, 2, 5):
        yield 3 * normal(generator, integer(generator, 7, 9)) + 1, size


def _variance(values: Tensor, size: int) -> Tensor:
    """Of the mean of a batch, drawn without replacement."""
    return values.var() / size * (1 - size / len(values))


BATCH_SPREAD = Exercise(
    asks="a function of values and size that returns two numbers",
    cases=_populations,
    truth=lambda values, size: (
        _variance(values, size).sqrt(),
        values.var() * (size - 1) / size,
    ),
    parts=("the spread of the means", "the mean of the variances"),
    mistakes=(
        Mistake(
            "this would be right with replacement. A batch of all values has no error at all.",
            lambda values, size: values.std(correction=0) / size**0.5,
        ),
        Mistake(
            "this would be right for draws from endlessly many values. A batch of all values has "
            "no error at all.",
            lambda values, size: values.std() / size**0.5,
        ),
        Mistake("this is its square.", _variance),
        Mistake(
            "this is the spread of single values.", lambda values, size: values.std(correction=0)
        ),
        Mistake(
            "it falls like 1/m here; the *variance* of a mean does, its root does not.",
            lambda values, size: values.std(correction=0) / size,
        ),
        Mistake(
            "the share of the values that are in the batch is under no root here.",
            lambda values, size: values.std() / size**0.5 * (1 - size / len(values)),
        ),
        Mistake(
            "a batch's deviations are from its *own* mean, which lies among its values: they are "
            "too small.",
            lambda values, size: values.var(correction=0),
            part=1,
        ),
        Mistake(
            "this is the mean of the *unbiased* variances; the layer divides by m.",
            lambda values, size: values.var(),
            part=1,
        ),
        Mistake(
            "this would be right with replacement.",
            lambda values, size: values.var(correction=0) * (size - 1) / size,
            part=1,
        ),
        Mistake(
            "it is too large: the factor is upside down.",
            lambda values, size: values.var() * size / (size - 1),
            part=1,
        ),
        Mistake(
            "this is a root of it.",
            lambda values, size: (values.var() * (size - 1) / size).sqrt(),
            part=1,
        ),
    ),
)


# 4.10 One class a batch


def _classes(generator: Generator) -> Iterator[tuple]:
    for classes in (3, integer(generator, 2, 5)):
        shares = torch.softmax(0.7 * normal(generator, classes), 0)
        means = 2 * normal(generator, classes) + 3
        yield means, normal(generator, classes).abs() + 0.5, shares


def _mean(means: Tensor, stds: Tensor, shares: Tensor) -> Tensor:
    return shares @ means


def _within(means: Tensor, stds: Tensor, shares: Tensor) -> Tensor:
    return shares @ stds**2


def _between(means: Tensor, stds: Tensor, shares: Tensor) -> Tensor:
    return shares @ (means - shares @ means) ** 2


def _mixed(means: Tensor, stds: Tensor, shares: Tensor) -> Tensor:
    return _within(means, stds, shares) + _between(means, stds, shares)


ONE_CLASS = Exercise(
    asks="a function of means, stds and shares that returns three numbers",
    cases=_classes,
    truth=lambda *case: (_mean(*case), _mixed(*case), _within(*case)),
    parts=(
        "the running mean",
        "the running variance of mixed batches",
        "the running variance of one-class batches",
    ),
    mistakes=(
        Mistake("all classes count alike; see `shares`.", lambda m, s, shares: m.mean()),
        Mistake(
            "each batch's own mean is 0 after the norm; asked is what gets averaged before.",
            lambda m, s, shares: 0 * m.sum(),
        ),
        Mistake(
            "this is the variance within the classes; a mixed batch's deviations are from the mean "
            "of all.",
            _within,
            part=1,
        ),
        Mistake("this is the spread of the classes' means alone.", _between, part=1),
        Mistake(
            "this is the mean of the squares: the squared mean has not been taken off.",
            lambda m, s, shares: shares @ (s**2 + m**2),
            part=1,
        ),
        Mistake(
            "the classes' means count alike in it; see `shares`.",
            lambda m, s, shares: _within(m, s, shares) + m.var(correction=0),
            part=1,
        ),
        Mistake(
            "standard deviations were averaged, and squared after.",
            lambda m, s, shares: (shares @ s) ** 2 + _between(m, s, shares),
            part=1,
        ),
        Mistake(
            "this is that of mixed batches. From which mean does a batch of one class take its "
            "deviations?",
            _mixed,
            part=2,
        ),
        Mistake("all classes count alike; see `shares`.", lambda m, s, _: (s**2).mean(), part=2),
        Mistake(
            "standard deviations were averaged, and squared after; it is variances that the layer "
            "averages.",
            lambda m, s, shares: (shares @ s) ** 2,
            part=2,
        ),
        Mistake("these are standard deviations.", lambda m, s, shares: shares @ s, part=2),
    ),
)
