"""Exercises 6.6, 6.7: dollars or logarithms, and columns in their own units."""

from collections.abc import Callable, Iterator

import torch
from torch import Generator, Tensor

from d2lstab.exercises.exercise import Exercise, Mistake, fraction, integer, normal, number

# 6.6 Dollars or logarithms


def _prices(generator: Generator) -> Iterator[tuple]:
    for houses in (5, integer(generator, 6, 9)):
        prices = 100_000 * normal(generator, houses).exp()
        slip = 0.3 * normal(generator, houses) + fraction(generator, 0.2, 0.6)
        yield prices * slip.exp(), prices


def _in_dollars(predicted: Tensor, prices: Tensor) -> Tensor:
    return predicted @ prices / (predicted @ predicted)


def _ratio(predicted: Tensor, prices: Tensor) -> Tensor:
    return (prices / predicted).log()


def _in_logs(predicted: Tensor, prices: Tensor) -> Tensor:
    return _ratio(predicted, prices).mean().exp()


def _score(factor: Callable[..., Tensor]) -> Callable[..., Tensor]:
    """The log-RMSE after all predictions are multiplied by a factor."""
    return lambda *case: (_ratio(*case) - factor(*case).log()).square().mean().sqrt()


_MEAN_OF_RATIOS = "this is the mean of the ratios, which one cheap house can decide."

RESCALED = Exercise(
    asks="a function of predicted and prices that returns three numbers",
    cases=_prices,
    truth=lambda *case: (_in_dollars(*case), _in_logs(*case), _score(_in_logs)(*case)),
    parts=("the factor for dollars", "the factor for logarithms", "the log-RMSE"),
    mistakes=(
        Mistake(
            "this makes the sums equal, and not the squares least.",
            lambda predicted, prices: prices.sum() / predicted.sum(),
        ),
        Mistake(_MEAN_OF_RATIOS, lambda predicted, prices: (prices / predicted).mean()),
        Mistake(
            "it is the factor on the prices for which they come nearest to the predictions.",
            lambda predicted, prices: _in_dollars(prices, predicted),
        ),
        Mistake("this is the factor for logarithms.", _in_logs),
        Mistake(_MEAN_OF_RATIOS, lambda predicted, prices: (prices / predicted).mean(), part=1),
        Mistake(
            "this is its logarithm; predictions are multiplied in dollars.",
            lambda *case: _ratio(*case).mean(),
            part=1,
        ),
        Mistake("it is upside down.", lambda *case: 1 / _in_logs(*case), part=1),
        Mistake(
            "the logarithms are multiplied by it, and not the dollars.",
            lambda predicted, prices: _in_dollars(predicted.log(), prices.log()),
            part=1,
        ),
        Mistake("this is the factor for dollars.", _in_dollars, part=1),
        Mistake(
            "this is the one before anything is multiplied.",
            _score(lambda *case: number(1.0)),
            part=2,
        ),
        Mistake("this is the one with the factor for dollars.", _score(_in_dollars), part=2),
        Mistake("the root is missing.", lambda *case: _score(_in_logs)(*case) ** 2, part=2),
        Mistake(
            "the squares are divided by one less than their number; the score is a mean.",
            lambda *case: _ratio(*case).std(),
            part=2,
        ),
        Mistake(
            "the logarithm has the base 10.",
            lambda *case: _score(_in_logs)(*case) / torch.tensor(10.0).double().log(),
            part=2,
        ),
    ),
)


# 6.7 Square feet beside years


def _tables(generator: Generator) -> Iterator[tuple]:
    for rows in (7, integer(generator, 8, 12)):
        spread = torch.tensor([1.0, 8.0, 60.0]).double() * fraction(generator, 0.7, 1.5)
        yield (
            normal(generator, rows, 3) * spread
            + torch.tensor([2.0, 20.0, 150.0]) * fraction(generator, 0.5, 1.0),
        )


def _curvatures(x: Tensor) -> Tensor:
    """Eigenvalues of the second derivatives of half the mean square, from small to large."""
    return torch.linalg.eigvalsh(x.T @ x / len(x))


def _condition(x: Tensor) -> Tensor:
    curvatures = _curvatures(x)
    return curvatures[-1] / curvatures[0]


def _standardized(x: Tensor) -> Tensor:
    return (x - x.mean(0)) / x.std(0)


UNITS = Exercise(
    asks="a function of X that returns three numbers",
    cases=_tables,
    truth=lambda x: (2 / _curvatures(x)[-1], _condition(x), _condition(_standardized(x))),
    parts=("the rate", "the condition number", "the condition number of standardized columns"),
    mistakes=(
        Mistake(
            "at half the limit the steepest direction is solved in one step, but nothing explodes "
            "yet.",
            lambda x: 1 / _curvatures(x)[-1],
        ),
        Mistake(
            "the squares are added up here, and averaged in the loss.",
            lambda x: 2 / _curvatures(x)[-1] / len(x),
        ),
        Mistake(
            "this is what the flattest direction would allow; the steepest one explodes first.",
            lambda x: 2 / _curvatures(x)[0],
        ),
        Mistake(
            "this is the limit with standardized columns.",
            lambda x: 2 / _curvatures(_standardized(x) * (len(x) / (len(x) - 1)) ** 0.5)[-1],
        ),
        Mistake(
            "it is that of X; the curvatures are squares of its singular values.",
            lambda x: _condition(x).sqrt(),
            part=1,
        ),
        Mistake("it is upside down.", lambda x: 1 / _condition(x), part=1),
        Mistake("the means were taken off first.", lambda x: _condition(x - x.mean(0)), part=1),
        Mistake(
            "this is that of the standardized columns.",
            lambda x: _condition(_standardized(x)),
            part=1,
        ),
        Mistake("this is that of the columns as they are.", _condition, part=2),
        Mistake(
            "the means are still there: columns that are all positive point in one direction.",
            lambda x: _condition(x / x.std(0)),
            part=2,
        ),
        Mistake(
            "the means were taken off, but the units stayed.",
            lambda x: _condition(x - x.mean(0)),
            part=2,
        ),
        Mistake(
            "it is that of X; the curvatures are squares of its singular values.",
            lambda x: _condition(_standardized(x)).sqrt(),
            part=2,
        ),
    ),
)
