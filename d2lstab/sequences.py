"""Sequences for recurrent networks: handwritten digits row by row, and the adding problem."""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from d2lstab import checks
from d2lstab.datasets import digits

N_PIXELS = 8
"""Pixels in a row of a digit: the features of one step of `digit_rows`."""

N_ROWS = 1797 * 8


def digit_rows(length: int) -> Tensor:
    """Return a sequence of real data: handwritten digits, one after the other, row by row.

    The standardized digits of `datasets.digits`, 8 rows of 8 pixels each. Float32, (length, 8).
    Raises TypeError or ValueError unless ``length`` is an integer from 1 to 14 376.

    >>> digit_rows(100).shape
    torch.Size([100, 8])
    """
    checks.integer("length", length, 1, N_ROWS)
    return digits(math.ceil(length / 8)).inputs.reshape(-1, N_PIXELS)[:length]


@dataclass(frozen=True, eq=False)
class AddingProblem:
    """inputs : float32, (length, examples, 2): a number from 0 to 1, and a marker, 0 or 1.
    targets : float32, (examples,): the sum of the two numbers that are marked.
    """

    inputs: Tensor
    targets: Tensor


def adding_problem(length: int, examples: int, generator: torch.Generator) -> AddingProblem:
    """Draw sequences of which two numbers are to be added, wherever they stand.

    One number of the first half and one of the second half of the sequence is marked; the answer
    is asked at the end. Always answering 1, the mean, has an expected squared error of 1/6, the
    variance of the sum of two uniform numbers (Hochreiter & Schmidhuber 1997, experiment 4; in
    the form of Le, Jaitly & Hinton 2015).

    Raises TypeError or ValueError unless length is an integer ≥ 2 and examples one ≥ 1.

    >>> batch = adding_problem(50, 4, torch.Generator().manual_seed(0))
    >>> batch.inputs.shape, batch.inputs[:, :, 1].sum(dim=0)
    (torch.Size([50, 4, 2]), tensor([2., 2., 2., 2.]))
    """
    checks.integer("length", length, 2, 1_000_000)
    checks.integer("examples", examples, 1, 1_000_000)
    numbers_ = torch.rand(length, examples, generator=generator)
    middle = length // 2
    first = torch.randint(middle, (examples,), generator=generator)
    second = torch.randint(middle, length, (examples,), generator=generator)
    markers = torch.zeros(length, examples)
    markers[first, torch.arange(examples)] = 1
    markers[second, torch.arange(examples)] = 1
    return AddingProblem(torch.stack([numbers_, markers], dim=-1), (numbers_ * markers).sum(dim=0))
