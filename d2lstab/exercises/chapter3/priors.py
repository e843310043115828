"""Exercises 3.8, 3.9: the target's prior from a confusion matrix, and by EM."""

from collections.abc import Iterator

import torch
from torch import Generator, Tensor
from torch.linalg import solve

from d2lstab.exercises.chapter3.tables import distribution
from d2lstab.exercises.exercise import Exercise, Mistake, integer, normal

# 3.8 Joint or conditional?


def _confusions(generator: Generator) -> Iterator[tuple]:
    """Joint confusion matrices of a fair classifier, and what it predicts in the target."""
    for classes in (3, 2, integer(generator, 4, 8)):
        rates = torch.eye(classes, dtype=torch.float64)
        noise = torch.rand(classes, classes, generator=generator, dtype=torch.float64)
        rates = 0.65 * rates + 0.35 * noise / noise.sum(0)  # column y: P(prediction | y)
        source, target = distribution(generator, classes), distribution(generator, classes)
        yield rates * source, rates @ target


def _ratio(C: Tensor, mu: Tensor) -> Tensor:
    return solve(C, mu)


def _prior(C: Tensor, mu: Tensor) -> Tensor:
    return _ratio(C, mu) * C.sum(0)


def _normalized(values: Tensor) -> Tensor:
    return values / values.sum()


_MIXED_UP = (
    "the entries of C are shares of *all* examples. With them, what does the solution of C v = μ "
    "stand for?"
)
_TRANSPOSED = "rows and columns of C are exchanged: a row belongs to a prediction."

TARGET_PRIOR = Exercise(
    asks="a function of C and mu that returns two vectors",
    cases=_confusions,
    truth=lambda C, mu: (_prior(C, mu), _ratio(C, mu)),
    parts=("the prior", "the ratio"),
    mistakes=(
        Mistake(_MIXED_UP, _ratio),
        Mistake(
            _MIXED_UP + " Dividing by the sum does not mend it.",
            lambda C, mu: _normalized(_ratio(C, mu)),
        ),
        Mistake(
            "these are the predictions in the target: the classifier's errors are still in them.",
            lambda C, mu: mu,
        ),
        Mistake(
            "this is the prior of the source.",
            lambda C, mu: C.sum(0),
        ),
        Mistake(_TRANSPOSED, lambda C, mu: solve(C.T, mu) * C.sum(1)),
        Mistake(_TRANSPOSED, lambda C, mu: solve(C.T, mu)),
        Mistake(_TRANSPOSED, lambda C, mu: _normalized(solve(C.T, mu))),
        Mistake(
            "C was divided by the sums of its rows: that is P(label | prediction), which moves "
            "with the prior.",
            lambda C, mu: solve(C / C.sum(1, keepdim=True), mu),
        ),
        Mistake(
            "this takes P(label | prediction) from the source; it moves with the prior.",
            lambda C, mu: (C / C.sum(1, keepdim=True)).T @ mu,
        ),
        Mistake(
            "this predicts from μ what the classifier would say; go the other way.",
            lambda C, mu: C / C.sum(0) @ mu,
        ),
        Mistake("this is the prior, not its ratio to the source's.", _prior, part=1),
        Mistake("it is upside down.", lambda C, mu: 1 / _ratio(C, mu), part=1),
        Mistake(
            "this is the ratio of the predictions, in which the classifier's errors are.",
            lambda C, mu: mu / C.sum(1),
            part=1,
        ),
        Mistake(
            "the predictions were divided by the prior of the labels.",
            lambda C, mu: mu / C.sum(0),
            part=1,
        ),
        Mistake(_TRANSPOSED, lambda C, mu: solve(C.T, mu), part=1),
        Mistake(
            "it was divided by the shares of the predictions; the source's prior is another sum.",
            lambda C, mu: _prior(C, mu) / C.sum(1),
            part=1,
        ),
    ),
    raised={"size": "Which sums of C are which?"},
)


# 3.9 A step of EM


def _predictions(generator: Generator) -> Iterator[tuple]:
    for size, classes in ((7, 3), (integer(generator, 20, 60), integer(generator, 2, 6))):
        probabilities = torch.softmax(1.5 * normal(generator, size, classes), 1)
        yield probabilities, distribution(generator, classes), distribution(generator, classes)


def _weighted(probabilities: Tensor, source_prior: Tensor, prior: Tensor) -> Tensor:
    return probabilities * prior / source_prior


def _adjusted(*case: Tensor) -> Tensor:
    weighted = _weighted(*case)
    return weighted / weighted.sum(1, keepdim=True)


def _rows(table: Tensor) -> Tensor:
    return table / table.sum(1, keepdim=True)


EM_STEP = Exercise(
    asks="a function of probabilities, source_prior and prior that returns a table and a vector",
    cases=_predictions,
    truth=lambda *case: (_adjusted(*case), _adjusted(*case).mean(0)),
    parts=("the adjusted probabilities", "the next prior"),
    mistakes=(
        Mistake("they do not have the sum 1 for each example.", _weighted),
        Mistake(
            "they have the sum 1 over the examples; it is the labels of one example that exclude "
            "each other.",
            lambda *case: _weighted(*case) / _weighted(*case).sum(0),
        ),
        Mistake(
            "all of them together have the sum 1; each example's must.",
            lambda *case: _weighted(*case) / _weighted(*case).sum(),
        ),
        Mistake(
            "the source's prior is still in them.",
            lambda probabilities, old, new: _rows(probabilities * new),
        ),
        Mistake(
            "the source's prior is still in them.",
            lambda probabilities, old, new: probabilities * new,
        ),
        Mistake(
            "the new prior is not in them: this is what a classifier would say if all labels were "
            "equally frequent.",
            lambda probabilities, old, new: _rows(probabilities / old),
        ),
        Mistake(
            "the ratio of the priors is upside down.",
            lambda probabilities, old, new: _adjusted(probabilities, new, old),
        ),
        Mistake(
            "the ratio of the priors is upside down, and they do not have the sum 1.",
            lambda probabilities, old, new: probabilities * old / new,
        ),
        Mistake(
            "they are those of the source.",
            lambda probabilities, old, new: probabilities,
        ),
        Mistake(
            "this is the mean of what the classifier said in the source's terms; the adjusted "
            "probabilities are better informed.",
            lambda probabilities, old, new: probabilities.mean(0),
            part=1,
        ),
        Mistake(
            "it counts the likeliest labels; EM counts each label by its probability.",
            lambda *case: (
                torch.bincount(_adjusted(*case).argmax(1), minlength=len(case[1])) / len(case[0])
            ),
            part=1,
        ),
        Mistake(
            "it is a sum over the examples, not a share of them.",
            lambda *case: _adjusted(*case).sum(0),
            part=1,
        ),
        Mistake(
            "it is the mean over the labels; a prior has an entry for each label.",
            lambda *case: _adjusted(*case).mean(1),
            part=1,
        ),
        Mistake(
            "it is the prior that was given: no step has been made.",
            lambda probabilities, old, new: new,
            part=1,
        ),
        Mistake(
            "the adjusted probabilities had better be normalized before their mean is taken.",
            lambda *case: _weighted(*case).mean(0),
            part=1,
        ),
        Mistake(
            "each example must be normalized by itself before the mean is taken, not the mean.",
            lambda *case: _normalized(_weighted(*case).mean(0)),
            part=1,
        ),
        Mistake(
            "the ratio of the priors is in it twice: what is adjusted already is a probability "
            "under the prior that was given.",
            lambda probabilities, old, new: _normalized(
                _adjusted(probabilities, old, new).mean(0) * new / old
            ),
            part=1,
        ),
    ),
)
