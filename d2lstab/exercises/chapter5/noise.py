"""Exercises 5.12, 5.13: noise like dropout's, and the penalties that noise on inputs amounts to."""

from collections.abc import Callable, Iterator

import torch
from torch import Generator, Tensor

from d2lstab.exercises.exercise import Exercise, Mistake, fraction, integer, normal, number

# 5.12 Another noise


def _rates(generator: Generator) -> Iterator[tuple]:
    for _ in range(2):
        p = fraction(generator, 0.25, 0.45)
        yield p, round(fraction(generator, 1.3, 1.8) / (1 - p), 2)  # all three may happen


def _three(p: float, gamma: float, mean: float = 1.0, square: float | None = None) -> Tensor:
    """The probabilities of 0, γ/2 and γ for a mean and a mean square; a mistake is in these."""
    square = 1 / (1 - p) if square is None else square
    high = 2 * square / gamma**2 - mean / gamma
    middle = 4 * (mean / gamma - square / gamma**2)
    return torch.tensor([1 - high - middle, middle, high], dtype=torch.float64)


def _keeping_p(p: float, gamma: float) -> Tensor:
    middle = 2 * (1 - p - 1 / gamma)
    return torch.tensor([p, middle, 1 - p - middle], dtype=torch.float64)


OTHER_NOISE = Exercise(
    asks="a function of p and gamma that returns three probabilities and a number",
    cases=_rates,
    truth=lambda p, gamma: (_three(p, gamma), number((p / (1 - p)) ** 0.5)),
    parts=("the probabilities", "the standard deviation"),
    mistakes=(
        Mistake(
            "they stand in the other order: that of 0 comes first.",
            lambda p, gamma: _three(p, gamma).flip(0),
        ),
        Mistake(
            "the noise's *mean square* has the value that its variance should have.",
            lambda p, gamma: _three(p, gamma, square=p / (1 - p)),
        ),
        Mistake(
            "its variance is that of a mask of 0 and 1; what is it with the factor?",
            lambda p, gamma: _three(p, gamma, square=1 + p * (1 - p)),
        ),
        Mistake(
            "its mean is not 1: the signal would shrink.",
            lambda p, gamma: _three(p, gamma, mean=1 - p, square=1 - p),
        ),
        Mistake(
            "its mean is 1, and 0 is as likely as in dropout; then the variance is another one.",
            _keeping_p,
        ),
        Mistake("this is the variance.", lambda p, gamma: number(p / (1 - p)), part=1),
        Mistake(
            "this is that of a mask of 0 and 1; what is it with the factor?",
            lambda p, gamma: number((p * (1 - p)) ** 0.5),
            part=1,
        ),
        Mistake(
            "this is the root of the mean square; the mean has not been taken off.",
            lambda p, gamma: number((1 - p) ** -0.5),
            part=1,
        ),
        Mistake("this is the probability to drop.", lambda p, gamma: number(p), part=1),
    ),
)


# 5.13 Noise is a penalty


def _tables(generator: Generator) -> Iterator[tuple]:
    for examples in (8, integer(generator, 6, 9)):
        units = 0.4 + 2 * torch.rand(3, generator=generator, dtype=torch.float64)
        X = normal(generator, examples, 3) * units + 0.5
        y = X @ normal(generator, 3) + normal(generator, examples)
        yield X, y, fraction(generator, 0.2, 0.4), 0.4 + normal(generator, 3).abs()


def _solved(X: Tensor, y: Tensor, penalty: Tensor, n: float | None = None) -> Tensor:
    """The weights with a penalty of its own for each, (features,), or with a whole matrix."""
    n = len(y) if n is None else n
    matrix = penalty if penalty.ndim == 2 else torch.diag(penalty)
    return torch.linalg.solve(X.T @ X / n + matrix, X.T @ y / n)


def _for_masks(change: Callable[..., Tensor], n: float | None = None) -> Callable[..., Tensor]:
    return lambda X, y, p, stds: _solved(X, y, change(p, X.square().mean(0)), n)


def _for_noise(change: Callable[..., Tensor], n: float | None = None) -> Callable[..., Tensor]:
    return lambda X, y, p, stds: _solved(X, y, change(stds, X.square().mean(0)), n)


_right_masks = _for_masks(lambda p, squares: p / (1 - p) * squares)
_right_noise = _for_noise(lambda stds, squares: stds**2)
_plain = _for_noise(lambda stds, squares: 0 * stds)

NOISE_PENALTIES = Exercise(
    asks="a function of X, y, p and stds that returns two tensors",
    cases=_tables,
    truth=lambda *case: (_right_masks(*case), _right_noise(*case)),
    parts=("the weights with dropout", "the weights with noise"),
    mistakes=(
        Mistake(
            "all weights have the same penalty. What does dropping a column of large numbers do "
            "to the prediction?",
            _for_masks(lambda p, squares: p / (1 - p) * torch.ones_like(squares)),
        ),
        Mistake(
            "the penalty is p times the mean square; how far does a mask move a column?",
            _for_masks(lambda p, squares: p * squares),
        ),
        Mistake(
            "a mask's variance is that of a 0 or 1; what is the factor's?",
            _for_masks(lambda p, squares: p * (1 - p) * squares),
        ),
        Mistake(
            "the penalty couples the columns; their masks are independent.",
            lambda X, y, p, stds: _solved(X, y, p / (1 - p) * X.T @ X / len(y)),
        ),
        Mistake(
            "the penalty is n times too small: one is a sum of squares and the other a mean.",
            _for_masks(lambda p, squares: p / (1 - p) * squares, n=1),
        ),
        Mistake("these are those of least squares: there is no penalty.", _plain),
        Mistake(
            "the standard deviations are not squared.",
            _for_noise(lambda stds, squares: stds),
            part=1,
        ),
        Mistake(
            "all weights have the same penalty; not all columns have the same noise.",
            _for_noise(lambda stds, squares: (stds**2).mean().expand(3)),
            part=1,
        ),
        Mistake(
            "the penalty is n times too small: one is a sum of squares and the other a mean.",
            _for_noise(lambda stds, squares: stds**2, n=1),
            part=1,
        ),
        Mistake(
            "the penalty is halved once more; the squares have a ½, too.",
            _for_noise(lambda stds, squares: stds**2 / 2),
            part=1,
        ),
        Mistake(
            "the noise is in proportion to the columns here; it is added to them.",
            _for_noise(lambda stds, squares: stds**2 * squares),
            part=1,
        ),
        Mistake("these are those of least squares: there is no penalty.", _plain, part=1),
    ),
)
