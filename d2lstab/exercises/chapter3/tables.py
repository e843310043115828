"""Exercises 3.2, 3.12: move a table as a shift would, and how far that can carry a model."""

from collections.abc import Iterator

import torch
from torch import Generator, Tensor

from d2lstab.exercises.exercise import Exercise, Mistake, integer


def distribution(generator: Generator, *shape: int) -> Tensor:
    """Random probabilities of this shape with the sum 1, none of them close to 0."""
    table = 0.15 + torch.rand(shape, generator=generator, dtype=torch.float64)
    return table / table.sum()


# 3.2 Shift a table by hand


def _tables_to_shift(generator: Generator) -> Iterator[tuple]:
    for inputs, classes in ((3, 3), (2, 3), (integer(generator, 4, 7), integer(generator, 2, 4))):
        P = distribution(generator, inputs, classes)
        yield P, distribution(generator, inputs), distribution(generator, classes)


def _with_inputs(P: Tensor, inputs: Tensor) -> Tensor:
    return P / P.sum(1, keepdim=True) * inputs[:, None]


def _with_prior(P: Tensor, prior: Tensor) -> Tensor:
    return P / P.sum(0) * prior


def _normalized(table: Tensor) -> Tensor:
    return table / table.sum()


_OLD_MARGINAL = "the old {0} is still in it: the new table does not have the {0} that is asked for."
_UPSIDE_DOWN = "what the target has often gets a small weight here: the ratio is upside down."

SHIFTED_TABLES = Exercise(
    asks="a function of P, inputs and prior that returns two tables",
    cases=_tables_to_shift,
    truth=lambda P, inputs, prior: (_with_inputs(P, inputs), _with_prior(P, prior)),
    parts=("the table under covariate shift", "the table under label shift"),
    mistakes=(
        Mistake(
            "this is a table under label shift. Which of its sums should have become `inputs`?",
            lambda P, inputs, prior: _with_prior(P, prior),
        ),
        Mistake(
            "this is a table under covariate shift. Which of its sums should have become `prior`?",
            lambda P, inputs, prior: _with_inputs(P, inputs),
            part=1,
        ),
        Mistake(_OLD_MARGINAL.format("P(x)"), lambda P, inputs, prior: P * inputs[:, None]),
        Mistake(_OLD_MARGINAL.format("P(y)"), lambda P, inputs, prior: P * prior, part=1),
        Mistake(
            _OLD_MARGINAL.format("P(x)"),
            lambda P, inputs, prior: _normalized(P * inputs[:, None]),
        ),
        Mistake(
            _OLD_MARGINAL.format("P(y)"),
            lambda P, inputs, prior: _normalized(P * prior),
            part=1,
        ),
        Mistake(
            "the label does not depend on x any more: a product of P(y) and Q(x) forgets P(y | x).",
            lambda P, inputs, prior: inputs[:, None] * P.sum(0),
        ),
        Mistake(
            "the input does not depend on y any more: a product of P(x) and Q(y) forgets P(x | y).",
            lambda P, inputs, prior: P.sum(1, keepdim=True) * prior,
            part=1,
        ),
        Mistake(
            _UPSIDE_DOWN,
            lambda P, inputs, prior: P * (P.sum(1) / inputs)[:, None],
        ),
        Mistake(_UPSIDE_DOWN, lambda P, inputs, prior: P * P.sum(0) / prior, part=1),
        Mistake(
            _UPSIDE_DOWN,
            lambda P, inputs, prior: _normalized(P * (P.sum(1) / inputs)[:, None]),
        ),
        Mistake(_UPSIDE_DOWN, lambda P, inputs, prior: _normalized(P * P.sum(0) / prior), part=1),
        Mistake(
            "this is P(y | x), whose rows have the sum 1 each; a joint table has the sum 1 in all.",
            lambda P, inputs, prior: P / P.sum(1, keepdim=True),
        ),
        Mistake(
            "this is P(x | y), whose columns have the sum 1 each; a joint table has the sum 1 in "
            "all.",
            lambda P, inputs, prior: P / P.sum(0),
            part=1,
        ),
        Mistake(
            "P(x | y) stands where P(y | x) should: the sums that were divided out are those of "
            "the columns.",
            lambda P, inputs, prior: P / P.sum(0) * inputs[:, None],
        ),
        Mistake(
            "P(y | x) stands where P(x | y) should: the sums that were divided out are those of "
            "the rows.",
            lambda P, inputs, prior: P / P.sum(1, keepdim=True) * prior,
            part=1,
        ),
    ),
)


# 3.12 How far can a model fall?


def _pairs_of_tables(generator: Generator) -> Iterator[tuple]:
    yield tuple(distribution(generator, 5, 4) for _ in range(2))
    for _ in range(3):
        shape = integer(generator, 3, 6), integer(generator, 2, 5)
        yield tuple(distribution(generator, *shape) for _ in range(2))


def _largest_fall(P: Tensor, Q: Tensor) -> Tensor:
    """Each input's label is chosen for itself: the one that loses most."""
    return (P - Q).amax(1).sum()


def _total_variation(P: Tensor, Q: Tensor) -> Tensor:
    return (P - Q).abs().sum() / 2


def _fall_of_best(P: Tensor, Q: Tensor, of: Tensor) -> Tensor:
    """The fall of the model that is best for the table ``of``."""
    return (P - Q).gather(1, of.argmax(1, keepdim=True)).sum()


LARGEST_FALL = Exercise(
    asks="a function of P and Q that returns two numbers",
    cases=_pairs_of_tables,
    truth=lambda P, Q: (_largest_fall(P, Q), _total_variation(P, Q)),
    parts=("the largest fall", "the total variation"),
    mistakes=(
        Mistake(
            "this is the total variation. A model gives one label to an input; here several labels "
            "of the same input count.",
            _total_variation,
        ),
        Mistake(
            "this is the fall of the model that is best for P; another one may fall farther.",
            lambda P, Q: _fall_of_best(P, Q, of=P),
        ),
        Mistake(
            "this is the fall of the model that is worst for Q; another one may fall farther.",
            lambda P, Q: _fall_of_best(P, Q, of=-Q),
        ),
        Mistake(
            "this compares the best model for P with the best one for Q; the model stays the same.",
            lambda P, Q: P.amax(1).sum() - Q.amax(1).sum(),
        ),
        Mistake(
            "this is a single cell of the table; a model labels every input.",
            lambda P, Q: (P - Q).max(),
        ),
        Mistake(
            "this is the largest *rise* from P to Q.",
            lambda P, Q: _largest_fall(Q, P),
        ),
        Mistake("it has the wrong sign: a fall is positive.", lambda P, Q: -_largest_fall(P, Q)),
        Mistake(
            "this is twice as much: what is lost in one cell is won in another, and both were "
            "counted.",
            lambda P, Q: 2 * _total_variation(P, Q),
            part=1,
        ),
        Mistake(
            "this is that of P(x) alone; accuracy depends on the labels as well.",
            lambda P, Q: _total_variation(P.sum(1), Q.sum(1)),
            part=1,
        ),
        Mistake(
            "this is that of P(y) alone; accuracy depends on the inputs as well.",
            lambda P, Q: _total_variation(P.sum(0), Q.sum(0)),
            part=1,
        ),
        Mistake(
            "this is the largest difference of a single cell.",
            lambda P, Q: (P - Q).abs().max(),
            part=1,
        ),
        Mistake(
            "this is a Euclidean distance.",
            lambda P, Q: (P - Q).norm(),
            part=1,
        ),
    ),
)
