"""Exercises 3.3, 3.7: importance weights from known and from learned densities."""

from collections.abc import Iterator

import torch
from torch import Generator, Tensor

from d2lstab.exercises.answers import AnswerError, call, read
from d2lstab.exercises.chapter3.tables import distribution
from d2lstab.exercises.exercise import Exercise, Mistake, fraction, integer, normal, number

# 3.3 Weights, and what they cost


def _samples(generator: Generator) -> Iterator[tuple]:
    for size in (30, integer(generator, 80, 200)):
        p, q = distribution(generator, 5), distribution(generator, 5)
        yield torch.multinomial(p, size, replacement=True, generator=generator), p, q


def _weights(atoms: Tensor, p: Tensor, q: Tensor) -> Tensor:
    weights = (q / p)[atoms]
    return weights / weights.mean()


def _effective(weights: Tensor) -> Tensor:
    return weights.sum() ** 2 / weights.square().sum()


def _frequencies(atoms: Tensor, p: Tensor) -> Tensor:
    """The share of each atom in the sample, in the place of its probability."""
    return torch.bincount(atoms, minlength=len(p)).double().clamp(min=1) / len(atoms)


_UPSIDE_DOWN = "they are upside down: what the target has often must count for more."
_MEAN = "their mean over the sample is not 1."

WEIGHTS = Exercise(
    asks="a function of atoms, p and q that returns weights and a number",
    cases=_samples,
    truth=lambda atoms, p, q: (_weights(atoms, p, q), _effective(_weights(atoms, p, q))),
    parts=("the weights", "the effective sample size"),
    mistakes=(
        Mistake(_UPSIDE_DOWN, lambda atoms, p, q: _weights(atoms, q, p)),
        Mistake(_UPSIDE_DOWN, lambda atoms, p, q: (p / q)[atoms]),
        Mistake(_MEAN, lambda atoms, p, q: (q / p)[atoms]),
        Mistake(
            _MEAN + " With the sum 1, how large are they?",
            lambda atoms, p, q: _weights(atoms, p, q) / len(atoms),
        ),
        Mistake(
            "q alone is in them. How often is the atom already in the sample?",
            lambda atoms, p, q: q[atoms] / q[atoms].mean(),
        ),
        Mistake(
            "q alone is in them. How often is the atom already in the sample?",
            lambda atoms, p, q: q[atoms],
        ),
        Mistake(
            "there is one for each atom; the sample has examples, many of the same atom.",
            lambda atoms, p, q: q / p,
        ),
        Mistake(
            "the frequencies of this sample stand in the place of p, which is known.",
            lambda atoms, p, q: _weights(atoms, _frequencies(atoms, p), q),
        ),
        Mistake(
            "these are logarithms of weights.",
            lambda atoms, p, q: (q / p)[atoms].log(),
        ),
        Mistake("this is the sample size.", lambda atoms, p, q: number(len(atoms)), part=1),
        Mistake(
            "this is a share of the sample, not a number of examples. Has the sum been squared?",
            lambda atoms, p, q: _effective(_weights(atoms, p, q)) / len(atoms),
            part=1,
        ),
        Mistake(
            "it is upside down: no weights can be worth less than one example.",
            lambda atoms, p, q: 1 / _effective(_weights(atoms, p, q)),
            part=1,
        ),
        Mistake(
            "this takes the weights to have the sum 1; theirs is n.",
            lambda atoms, p, q: 1 / _weights(atoms, p, q).square().sum(),
            part=1,
        ),
        Mistake(
            "this is the sum of the squares alone: it is larger than n.",
            lambda atoms, p, q: _weights(atoms, p, q).square().sum(),
            part=1,
        ),
        Mistake(
            "this counts how often the largest weight goes into their sum; the variance of a "
            "weighted mean is another thing.",
            lambda atoms, p, q: len(atoms) / _weights(atoms, p, q).max(),
            part=1,
        ),
        Mistake(
            "every atom is counted once, however often it is in the sample.",
            lambda atoms, p, q: _effective(q / p),
            part=1,
        ),
    ),
)


# 3.7 A covariate shift corrector

SOURCE, TARGET = 800, 2000
ASKS = "a function of source and target that returns a weight for each source example"
NORMALIZED = 0.25
"""How far the mean weight may be from 1: that of 2000 logistic regressions was within 0.08."""
ERROR = 0.3
"""How far weights may be off, root mean square, as a share of the exact ones': of 2000 logistic
regressions, the farthest was 0.24 off, and one in a hundred more than 0.17."""


def check_corrector(answer: object, seed: int) -> None:
    """`AnswerError` unless ``answer`` estimates Q(x)/P(x) at the source's examples."""
    generator = Generator().manual_seed(seed)
    for _ in range(2):
        source, target, ratio = _normal_samples(generator)
        value = read(call(answer, (source, target), ASKS, {}), "The weights")
        if value.shape == (SOURCE, 1):
            value = value[:, 0]
        _check_form(value)
        _check_shape(value, ratio)
        _check_size(value)


def _normal_samples(generator: Generator) -> tuple[Tensor, Tensor, Tensor]:
    """Source and target from normal distributions, and the exact Q(x)/P(x) of the source's."""
    source, target = normal(generator, SOURCE, 2), normal(generator, TARGET, 2)
    direction = normal(generator, 2)
    step = direction / direction.norm() * fraction(generator, 0.7, 0.9)
    return source, target + step, torch.exp(source @ step - step @ step / 2)


def _check_form(weights: Tensor) -> None:
    if weights.shape == (TARGET,):
        raise AnswerError("There is a weight for each target example. Whose losses get weighted?")
    if weights.shape == (SOURCE + TARGET,):
        raise AnswerError("There is a weight for each example of both. Whose losses get weighted?")
    if weights.shape != (SOURCE,):
        raise AnswerError(f"Shape {(SOURCE,)} is needed, got {tuple(weights.shape)}.")
    if not weights.isfinite().all():
        raise AnswerError("The weights hold NaN or Inf.")
    if weights.min() < 0:
        raise AnswerError(
            "Some weights are negative; a ratio of densities never is. Is it still a logarithm?"
        )
    if weights.unique().numel() <= 2:
        raise AnswerError(
            "There are only one or two different weights: a predicted class is no probability."
        )


def _check_shape(weights: Tensor, ratio: Tensor) -> None:
    if _distance(weights, ratio) <= ERROR:
        return
    odds = ratio * TARGET / SOURCE
    upside_down = "They are upside down: examples as the target has them count for less here."
    known = [
        (upside_down, 1 / ratio),
        (upside_down, 1 / (1 + odds)),
        (
            "They follow the probability of the target; the ratio of the densities is not the "
            "probability, but what you make of it and its complement.",
            odds / (1 + odds),
        ),
    ]
    for hint, wrong in known:
        if _distance(weights, wrong) <= ERROR / 2:
            raise AnswerError(hint)
    raise AnswerError(
        f"The weights are off by {_distance(weights, ratio):.0%} of the exact ratio. Do they rise "
        "toward where the target is?"
    )


def _check_size(weights: Tensor) -> None:
    mean = weights.mean().item()
    if abs(mean - 1) <= NORMALIZED:
        return
    if abs(mean * SOURCE - 1) < NORMALIZED:
        raise AnswerError("The weights have the sum 1. What is the mean of Q(x)/P(x) under P?")
    known = {
        "The classifier saw more examples of the target than of the source, and its odds know it. "
        "What are the odds where both densities are equal?": TARGET / SOURCE,
        "The sizes of the samples have been taken account of, but twice or the wrong way round.": (
            SOURCE / TARGET
        ),
    }
    for hint, factor in known.items():
        if abs(mean / factor - 1) <= NORMALIZED:
            raise AnswerError(f"The mean weight is {mean:.2f}, not about 1. {hint}")
    raise AnswerError(f"The mean weight is {mean:.2f}; that of Q(x)/P(x) under P is 1.")


def _distance(weights: Tensor, ratio: Tensor) -> float:
    """Root mean square of the difference, both with mean 1, as a share of the ratio's own."""
    weights, ratio = weights / weights.mean(), ratio / ratio.mean()
    return ((weights - ratio).square().mean() / ratio.square().mean()).sqrt().item()
