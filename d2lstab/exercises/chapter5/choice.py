"""Exercises 5.4, 5.5: how strong a penalty, by a validation set and by a prior."""

import math
from collections.abc import Callable, Iterator

import torch
from torch import Generator, Tensor

from d2lstab.exercises.exercise import Exercise, Mistake, fraction, integer, normal, number

# 5.4 Choose the penalty

PENALTIES = torch.logspace(-2, 1, 16, dtype=torch.float64)


def _splits(generator: Generator) -> Iterator[tuple]:
    """Small ones, of which no two ways to choose choose the same."""
    left = 2
    while left:
        truth, case = normal(generator, 6), []
        for examples, noise in ((9, 2.0), (5, 1.0), (20, 2.0)):
            X = normal(generator, examples, 6)
            case += [X, X @ truth + noise * normal(generator, examples)]
        case.append(PENALTIES)
        validation, *others = (_chosen(*case, **how) for how in ({}, *_OTHER_CHOICES))
        if len({validation, *others[:3]}) == 4 and others[3] not in (validation, *others[:2]):
            left -= 1
            yield tuple(case)


def _fits(X: Tensor, y: Tensor, penalties: Tensor, n: float | None = None) -> Tensor:
    """The weights of each penalty, (penalties, features)."""
    n = len(y) if n is None else n
    squares = X.T @ X + n * penalties[:, None, None] * torch.eye(X.shape[1], dtype=X.dtype)
    return torch.linalg.solve(squares, (X.T @ y).expand(len(penalties), -1)[..., None])[..., 0]


def _errors(weights: Tensor, X: Tensor, y: Tensor) -> Tensor:
    """The mean squared error of each of the weights, (penalties,)."""
    return (weights @ X.T - y).square().mean(1)


def _chosen(*case: Tensor, by: str = "validation", penalty: float = 0.0) -> int:
    """The place of the λ with the least error on a part, with a share of the penalty in it."""
    weights, start = _fits(*case[:2], case[6]), ("training", "validation", "test").index(by)
    errors = _errors(weights, *case[2 * start : 2 * start + 2])
    return int((errors + penalty * case[6] * weights.square().sum(1)).argmin())


_OTHER_CHOICES = ({"by": "training"}, {"by": "test"}, {"penalty": 1.0}, {"penalty": 0.5})


def _penalty_of(**how) -> Callable[..., Tensor]:
    return lambda *case: case[6][_chosen(*case, **how)]


def _training(*case: Tensor) -> Tensor:
    return _errors(_fits(*case[:2], case[6]), *case[:2])


def _judged(part: int) -> Callable[..., Tensor]:
    """The error of the chosen weights on the training (0), validation (1) or test (2) part."""
    return lambda *case: _errors(
        _fits(*case[:2], case[6][_chosen(*case)][None]), *case[2 * part : 2 * part + 2]
    )[0]


def _refitted(*case: Tensor) -> Tensor:
    X, y = torch.cat(case[:4:2]), torch.cat(case[1:4:2])
    return _errors(_fits(X, y, case[6][_chosen(*case)][None]), *case[4:6])[0]


def _with_penalty(half: float) -> Callable[..., Tensor]:
    def compute(*case: Tensor) -> Tensor:
        return _training(*case) + half * case[6] * _fits(*case[:2], case[6]).square().sum(1)

    return compute


_IN_TRAINING = "the penalty is in them: it is no part of how wrong a prediction is."
_IN_VALIDATION = "it was chosen by an error with the penalty in it, which always asks for less."

CHOICE = Exercise(
    asks="a function of X, y, X_val, y_val, X_test, y_test and penalties that returns a tensor "
    "and two numbers",
    cases=_splits,
    truth=lambda *case: (_training(*case), _penalty_of()(*case), _judged(2)(*case)),
    parts=("the training errors", "the chosen penalty", "the test error"),
    mistakes=(
        Mistake(_IN_TRAINING, _with_penalty(1.0)),
        Mistake(_IN_TRAINING, _with_penalty(0.5)),
        Mistake(
            "the weights are those of penalties n times too small: the squares are averaged, "
            "and the penalty is not.",
            lambda *case: _errors(_fits(*case[:2], case[6], 1), *case[:2]),
        ),
        Mistake("these are halves of them.", lambda *case: _training(*case) / 2),
        Mistake(
            "squares are added up, not averaged.", lambda *case: len(case[1]) * _training(*case)
        ),
        Mistake(
            "these are the errors on the test part.",
            lambda *case: _errors(_fits(*case[:2], case[6]), *case[4:6]),
        ),
        Mistake(
            "these are the errors on the validation part.",
            lambda *case: _errors(_fits(*case[:2], case[6]), *case[2:4]),
        ),
        Mistake(
            "it was chosen by the training error, which always asks for no penalty at all.",
            _penalty_of(by="training"),
            part=1,
        ),
        Mistake(
            "it was chosen by the test part, which can judge nothing after that.",
            _penalty_of(by="test"),
            part=1,
        ),
        Mistake(_IN_VALIDATION, _penalty_of(penalty=1.0), part=1),
        Mistake(_IN_VALIDATION, _penalty_of(penalty=0.5), part=1),
        Mistake("this is its place in `penalties`.", lambda *case: number(_chosen(*case)), part=1),
        Mistake(
            "this is the error on the validation part, too low because it was chosen for that.",
            _judged(1),
            part=2,
        ),
        Mistake("this is the error on the training part.", _judged(0), part=2),
        Mistake(
            "this is the smallest test error of all penalties, not that of the chosen one.",
            lambda *case: _errors(_fits(*case[:2], case[6]), *case[4:6]).amin(),
            part=2,
        ),
        Mistake(
            "the weights were fitted anew, to both parts; asked is the error of those that were "
            "chosen.",
            _refitted,
            part=2,
        ),
        Mistake("this is half of it.", lambda *case: _judged(2)(*case) / 2, part=2),
    ),
)


# 5.5 What you believed before


def _beliefs(generator: Generator) -> Iterator[tuple]:
    for _ in range(2):
        noise, spread = fraction(generator, 0.3, 0.9), fraction(generator, 1.1, 3.0)
        yield integer(generator, 5, 40), noise, spread


def _l2(n: int, noise: float, spread: float) -> float:
    return noise**2 / (n * spread**2)


def _l1(n: int, noise: float, spread: float) -> float:
    return math.sqrt(2) * noise**2 / (n * spread)


def _value(formula: Callable[[int, float, float], float]) -> Callable[..., Tensor]:
    return lambda *case: number(formula(*case))


PRIORS = Exercise(
    asks="a function of n, noise and spread that returns two numbers",
    cases=_beliefs,
    truth=lambda *case: (number(_l2(*case)), number(_l1(*case))),
    parts=("the L2 penalty", "the L1 penalty"),
    mistakes=(
        Mistake(
            "n is missing: more examples outvote any prior.",
            _value(lambda n, s, t: s**2 / t**2),
        ),
        Mistake(
            "standard deviations stand where variances should.", _value(lambda n, s, t: s / t / n)
        ),
        Mistake(
            "it is upside down: who believes in small weights, or has noisy targets, wants more.",
            _value(lambda n, s, t: t**2 / s**2 / n),
        ),
        Mistake(
            "it grows with n: more examples outvote any prior.",
            _value(lambda n, s, t: n * s**2 / t**2),
        ),
        Mistake(
            "it is half as large as it should be; the objective has a ½ of its own.",
            _value(lambda n, s, t: _l2(n, s, t) / 2),
        ),
        Mistake(
            "the noise is missing: it decides how much the squares count.",
            _value(lambda n, s, t: 1 / (n * t**2)),
        ),
        Mistake(
            "`spread` is the standard deviation, which is not the scale in the density.",
            _value(lambda n, s, t: s**2 / (n * t)),
            part=1,
        ),
        Mistake(
            "from scale to standard deviation it is the other way round.",
            _value(lambda n, s, t: s**2 / (n * t) / math.sqrt(2)),
            part=1,
        ),
        Mistake(
            "the spread is squared; |w| has the unit of the weights.",
            _value(lambda n, s, t: math.sqrt(2) * _l2(n, s, t)),
            part=1,
        ),
        Mistake(
            "n is missing: more examples outvote any prior.",
            _value(lambda n, s, t: n * _l1(n, s, t)),
            part=1,
        ),
        Mistake(
            "the noise is not squared.",
            _value(lambda n, s, t: _l1(n, s, t) / s),
            part=1,
        ),
        Mistake("this is the L2 penalty.", _value(_l2), part=1),
    ),
)
