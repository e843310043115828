"""Exercises 6.8, 6.9: a penalty chosen over folds, and how sure a difference of folds is."""

from collections.abc import Callable, Iterator
from functools import partial

import torch
from torch import Generator, Tensor

from d2lstab.exercises.exercise import Exercise, Mistake, integer, normal

# 6.8 Tune over the folds

PENALTIES = torch.logspace(-2, 1, 7, dtype=torch.float64)

Folds = tuple[Tensor, ...]


def _tasks(generator: Generator) -> Iterator[tuple]:
    """Folds of unequal sizes; the best penalty is neither the least nor the last."""
    left = 2
    while left:
        rows, columns = integer(generator, 11, 13), 4
        X = normal(generator, rows, columns) + 2 * normal(generator, columns)
        y = X @ normal(generator, columns) / 2 + 12 + 1.5 * normal(generator, rows)
        order = torch.randperm(rows, generator=generator)
        case = X, y, order.split([2, 3, rows - 5]), PENALTIES
        if 0 < _scores(*case).argmin() < len(PENALTIES) - 1:
            left -= 1
            yield case


def _scores(
    X: Tensor, y: Tensor, folds: Folds, penalties: Tensor, *,
    centred: str = "fold", judged: str = "held out", pooled: bool = False, n: float | None = None,
) -> Tensor:  # fmt: skip
    """The mean over the folds of the root mean square error, (penalties,); a mistake is another."""
    squares = []  # of each fold, (penalties, houses)
    for held_out in folds:
        keep = torch.ones(len(y), dtype=torch.bool)
        keep[held_out] = False
        means = {
            "fold": (X[keep].mean(0), y[keep].mean()),
            "all": (X.mean(0), y.mean()),
            "none": (0.0, 0.0),
        }
        centre, level = means[centred]
        x, size = X[keep] - centre, keep.sum() if n is None else n
        squared, directions = torch.linalg.eigh(x.T @ x)
        along = directions.T @ (x.T @ (y[keep] - level))
        w = along / (squared + size * penalties[:, None]) @ directions.T  # (penalties, columns)
        rows = held_out if judged == "held out" else keep
        squares.append((w @ (X[rows] - centre).T + level - y[rows]).square())
    if pooled:
        return torch.cat(squares, 1).mean(1).sqrt()
    return torch.stack([of_fold.mean(1).sqrt() for of_fold in squares]).mean(0)


def _chosen(**how: object) -> Callable[..., Tensor]:
    return lambda *case: case[3][_scores(*case, **how).argmin()]


TUNED = Exercise(
    asks="a function of X, y, folds and penalties that returns a tensor and a number",
    cases=_tasks,
    truth=lambda *case: (_scores(*case), _chosen()(*case)),
    parts=("the scores", "the chosen penalty"),
    mistakes=(
        Mistake(
            "these are errors on the houses that were fitted.", partial(_scores, judged="training")
        ),
        Mistake(
            "the means were taken before the folds, of the held-out houses, too.",
            partial(_scores, centred="all"),
        ),
        Mistake(
            "there is no bias: the penalty pulls the level of all prices toward 0.",
            partial(_scores, centred="none"),
        ),
        Mistake(
            "the squares of all houses were averaged before the root; asked is the mean over the "
            "folds of each fold's own score.",
            partial(_scores, pooled=True),
        ),
        Mistake(
            "the penalty is n times too small: the squares are averaged, and the penalty is not.",
            partial(_scores, n=1),
        ),
        Mistake(
            "n is that of all houses; the mean is over those that are fitted.",
            lambda *case: _scores(*case, n=len(case[1])),
        ),
        Mistake(
            "the root is missing.",
            lambda X, y, folds, penalties: torch.stack(
                [_scores(X, y, (fold,), penalties) ** 2 for fold in folds]
            ).mean(0),
        ),
        Mistake("folds are added up, not averaged.", lambda *case: len(case[2]) * _scores(*case)),
        Mistake(
            "it was chosen by the error on the fitted houses, which always asks for the least.",
            _chosen(judged="training"),
            part=1,
        ),
        Mistake(
            "this is its place in `penalties`.",
            lambda *case: _scores(*case).argmin().double(),
            part=1,
        ),
        Mistake("this is its score.", lambda *case: _scores(*case).amin(), part=1),
    ),
)


# 6.9 Is the difference luck?


def _pairs(generator: Generator) -> Iterator[tuple]:
    for count in (5, integer(generator, 6, 10)):
        common = 0.15 + 0.03 * normal(generator, count)
        yield tuple(common + 0.008 * normal(generator, count) + more for more in (0.01, 0.0))


def _error(values: Tensor) -> Tensor:
    """The standard error of a mean."""
    return values.std() / len(values) ** 0.5


def _paired(first: Tensor, second: Tensor) -> Tensor:
    return _error(first - second)


def _unpaired(first: Tensor, second: Tensor) -> Tensor:
    return (_error(first) ** 2 + _error(second) ** 2).sqrt()


_NOT_OF_A_MEAN = "this is how far single folds scatter; a mean of them is surer."
_ONE_LESS = "a mean was taken off before: divide the squares by one less than their number."

DIFFERENCE = Exercise(
    asks="a function of first and second that returns three numbers",
    cases=_pairs,
    truth=lambda *case: ((case[0] - case[1]).mean(), _paired(*case), _unpaired(*case)),
    parts=("the difference", "its error on the same folds", "its error on other folds"),
    mistakes=(
        Mistake("it has the wrong sign.", lambda first, second: (second - first).mean()),
        Mistake("folds are added up, not averaged.", lambda first, second: (first - second).sum()),
        Mistake("this is a ratio.", lambda first, second: first.mean() / second.mean()),
        Mistake(_NOT_OF_A_MEAN, lambda first, second: (first - second).std(), part=1),
        Mistake(
            _ONE_LESS,
            lambda first, second: (first - second).std(correction=0) / len(first) ** 0.5,
            part=1,
        ),
        Mistake(
            "it is divided by K and not by its root.", lambda a, b: (a - b).std() / len(a), part=1
        ),
        Mistake(
            "this is the error on other folds: the luck that both share is still in it.",
            _unpaired,
            part=1,
        ),
        Mistake(
            "errors of independent means do not add up: their squares do.",
            lambda first, second: _error(first) + _error(second),
            part=2,
        ),
        Mistake(
            _NOT_OF_A_MEAN,
            lambda first, second: (first.var() + second.var()).sqrt(),
            part=2,
        ),
        Mistake("the second model has luck of its own.", lambda a, b: _error(a), part=2),
        Mistake("this is the error on the same folds.", _paired, part=2),
        Mistake(
            _ONE_LESS,
            lambda a, b: _unpaired(a, b) * ((len(a) - 1) / len(a)) ** 0.5,
            part=2,
        ),
    ),
)
