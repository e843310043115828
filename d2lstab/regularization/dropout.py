"""Dropout: leave out units at random, and scale those that stay."""

import torch
from torch import Generator, Tensor

from d2lstab import checks


def drop(x: Tensor, p: float, generator: Generator | None = None) -> Tensor:
    """Return ``x``, any shape, with each entry 0 with probability ``p``, else divided by 1 − p.

    So the mean over masks is ``x``, and nothing has to be done in evaluation ("inverted" dropout;
    Srivastava et al. 2014, and `torch.nn.Dropout`). 0 ≤ p ≤ 1; with p = 1 all are 0.
    Masks are drawn from ``generator``, or from PyTorch's global state.

    >>> drop(torch.ones(6), 0.5, Generator().manual_seed(0))
    tensor([0., 0., 2., 0., 0., 0.])
    """
    if checks.between("p", p, 0, 1) == 1:
        return x * 0
    return x * mask(x, p, generator)


def mask(x: Tensor, p: float, generator: Generator | None = None) -> Tensor:
    """Return what `drop` multiplies by: 0 with probability ``p`` < 1, else 1 / (1 − p)."""
    keep = torch.empty_like(x).bernoulli_(1 - p, generator=generator)
    return keep / (1 - p)
