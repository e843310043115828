"""Exercises 2.1, 2.2: hidden units that stay equal, and the copies of a minimum."""

import math
from collections.abc import Iterator

import torch
from torch import Generator, Tensor

from d2lstab.exercises.exercise import Exercise, Mistake, integer, normal

# 2.1 Units that stay equal


def _partly_equal(generator: Generator) -> Iterator[tuple]:
    """Weights of few different rows and columns: 8 or 6 different units, and copies of some.

    Every wrong way to count gives a number of its own.
    """
    for rows, columns, distinct, copies in ((4, 3, 8, 6), (3, 5, 6, 1)):
        incoming, outgoing = normal(generator, rows, 2), normal(generator, columns, 3)
        pairs = torch.cartesian_prod(torch.arange(rows), torch.arange(columns))
        # the first pairs meet every row and every column
        diagonal = [i * columns + i % columns for i in range(rows)]
        diagonal += [i % rows * columns + i for i in range(rows, columns)]
        others = [i for i in range(len(pairs)) if i not in diagonal]
        order = torch.randperm(len(others), generator=generator)
        chosen = [*diagonal, *(others[i] for i in order)][:distinct]
        again = torch.randint(distinct, (copies,), generator=generator)
        units = pairs[chosen + [chosen[i] for i in again]]
        units = units[torch.randperm(len(units), generator=generator)]
        yield incoming[units[:, 0]], outgoing[units[:, 1]].T.contiguous()


def _count(vectors: Tensor) -> Tensor:
    """How many different rows there are."""
    return torch.tensor(float(len(vectors.unique(dim=0))), dtype=torch.float64)


def _different_units(W1: Tensor, W2: Tensor) -> Tensor:
    return _count(torch.cat([W1, W2.T], 1))


DISTINCT_UNITS = Exercise(
    asks="a function of W1 and W2 that returns a number",
    cases=_partly_equal,
    truth=_different_units,
    parts=("the number of groups",),
    mistakes=(
        Mistake(
            "it looks at the incoming weights alone. Two units that hear the same and speak "
            "differently: are their first gradients equal?",
            lambda W1, W2: _count(W1),
        ),
        Mistake(
            "it looks at the outgoing weights alone. What does a unit compute?",
            lambda W1, W2: _count(W2.T),
        ),
        Mistake(
            "every unit is counted as a group of its own.",
            lambda W1, W2: torch.tensor(float(len(W1)), dtype=torch.float64),
        ),
        Mistake(
            "these are the superfluous units, not the groups.",
            lambda W1, W2: len(W1) - _different_units(W1, W2),
        ),
        Mistake(
            "this is a rank. Units can depend on each other linearly and still go apart.",
            lambda W1, W2: torch.linalg.matrix_rank(W1).double(),
        ),
        Mistake(
            "this is a rank. Units can depend on each other linearly and still go apart.",
            lambda W1, W2: torch.linalg.matrix_rank(torch.cat([W1, W2.T], 1)).double(),
        ),
        Mistake(
            "the different incoming weights and the different outgoing ones are counted each for "
            "itself, and added.",
            lambda W1, W2: _count(W1) + _count(W2.T),
        ),
    ),
)


# 2.2 The copies of a minimum


def _hidden_widths(generator: Generator) -> Iterator[tuple]:
    yield ((2, 3),)
    yield (tuple(integer(generator, 4, 40) for _ in range(3)),)
    yield ((integer(generator, 200, 300), 1024),)


def _decades(*factorials: int, signs: int = 0) -> Tensor:
    """log₁₀ of a product of factorials and powers of two."""
    natural = sum(math.lgamma(n + 1) for n in factorials) + signs * math.log(2)
    return torch.tensor(natural / math.log(10), dtype=torch.float64)


def _copies(widths: tuple[int, ...]) -> Tensor:
    return _decades(*widths, signs=sum(widths))


COPIES = Exercise(
    asks="a function of the hidden widths that returns a number",
    cases=_hidden_widths,
    truth=_copies,
    parts=("the logarithm",),
    mistakes=(
        Mistake(
            "only the order of the units is in it. What did exercise 1.8 find?",
            lambda widths: _decades(*widths),
        ),
        Mistake(
            "only the signs are in it. In how many orders can the units of a layer stand?",
            lambda widths: _decades(signs=sum(widths)),
        ),
        Mistake(
            "all signs of a layer change together here; may not each unit change its own?",
            lambda widths: _decades(*widths, signs=len(widths)),
        ),
        Mistake(
            "units of different layers change places here. Do they have the same inputs?",
            lambda widths: _decades(sum(widths), signs=sum(widths)),
        ),
        Mistake(
            "this is a natural logarithm; decades are asked for.",
            lambda widths: _copies(widths) * math.log(10),
        ),
        Mistake(
            "this is the number itself, not its logarithm.",
            lambda widths: 10 ** _copies(widths).clamp(max=300),
        ),
        Mistake(
            "the choices in different layers are added; each goes with each of the others.",
            lambda widths: sum(10 ** _copies((n,)).clamp(max=300) for n in widths).log10(),
        ),
        Mistake(
            "the point itself is not counted; it is one of them.",
            lambda widths: (10 ** _copies(widths).clamp(max=300) - 1).log10(),
        ),
    ),
    not_finite="the number left the range of float64 before its logarithm was taken.",
    raised={"OverflowError": "The number is too large for a float; its logarithm is not."},
)
