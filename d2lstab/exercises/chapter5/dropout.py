"""Exercises 5.8, 5.9: dropout, and the noise that it makes in a layer."""

from collections.abc import Callable, Iterator
from functools import partial

import torch
from torch import Generator, Tensor

from d2lstab.exercises.exercise import Exercise, Mistake, fraction, integer, normal, number


def odds(p: float) -> float:
    """The variance of a mask that is scaled: p / (1 − p)."""
    return p / (1 - p)


# 5.8 Drop units


def _layers(generator: Generator) -> Iterator[tuple]:
    some = fraction(generator, 0.25, 0.4)
    for p, training in ((some, True), (0.0, True), (1.0, True), (1 - some, False)):
        x = normal(generator, integer(generator, 3, 5), 4)
        u = torch.rand(x.shape, generator=generator, dtype=x.dtype)
        u.view(-1)[:3] = torch.tensor([0.0, 0.2, 0.9])  # of torch.rand, 0 may come and 1 may not
        yield x, p, training, u


def _dropped(
    x: Tensor, p: float, training: bool, u: Tensor, *,
    keep: Callable[[Tensor, float], Tensor] = torch.ge,
    scale: Callable[[float, Tensor], float | Tensor] = lambda p, kept: 1 / (1 - p) if p < 1 else 0,
    evaluated: Callable[[Tensor, Tensor, float], Tensor] = lambda x, dropped, p: x,
) -> Tensor:  # fmt: skip
    """A mistake keeps others, scales otherwise, or does something in evaluation."""
    kept = keep(u, p).double()
    dropped = kept * x * scale(p, kept)
    return dropped if training else evaluated(x, dropped, p)


DROP = Exercise(
    asks="a function of x, p, training and u that returns a tensor",
    cases=_layers,
    truth=_dropped,
    parts=("the output",),
    mistakes=(
        Mistake(
            "the units that stay are as they were: its mean over the masks is less than x.",
            partial(_dropped, scale=lambda p, kept: 1.0),
        ),
        Mistake(
            "the units that stay are divided by p, the probability to go.",
            partial(_dropped, scale=lambda p, kept: 1 / p if p else 0.0),
        ),
        Mistake(
            "the units that stay are multiplied where they should be divided.",
            partial(_dropped, scale=lambda p, kept: 1 - p),
        ),
        Mistake(
            "the units that stay are divided by the share that this mask has kept: its mean over "
            "the masks is not x, and a mask that keeps none is 0/0.",
            partial(_dropped, scale=lambda p, kept: 1 / kept.mean() if kept.any() else 0.0),
        ),
        Mistake(
            "the wrong ones are dropped: with a small p most units stay.",
            partial(_dropped, keep=torch.lt),
        ),
        Mistake("a unit goes with p = 0: u may be 0.", partial(_dropped, keep=torch.gt)),
        Mistake(
            "in evaluation, too, units are dropped.", partial(_dropped, evaluated=lambda x, d, p: d)
        ),
        Mistake(
            "in evaluation it is scaled once more; training has seen to that.",
            partial(_dropped, evaluated=lambda x, d, p: (1 - p) * x),
        ),
        Mistake(
            "in evaluation it is divided, too; nothing was dropped there.",
            partial(_dropped, evaluated=lambda x, d, p: x / (1 - p)),
        ),
    ),
    not_finite="it holds NaN or Inf. Is p 1, and what is 0/0?",
)


# 5.9 How noisy is a layer?


def _activations(generator: Generator) -> Iterator[tuple]:
    for units in (5, integer(generator, 2, 4)):
        h = normal(generator, 5, units) + 1 + normal(generator, units)
        yield h, fraction(generator, 0.15, 0.45), integer(generator, 3, 9)


def _variance(h: Tensor, p: float = 0.0, depth: int = 0) -> Tensor:
    return h.var(0, correction=0)


def _squares(h: Tensor) -> Tensor:
    return h.square().mean(0)


LAYER_SPREAD = Exercise(
    asks="a function of h, p and depth that returns two tensors and a number",
    cases=_activations,
    truth=lambda h, p, depth: (
        _variance(h),
        _variance(h) + odds(p) * _squares(h),
        number((1 - p) ** -depth),
    ),
    parts=("the variance without dropout", "the variance with dropout", "the growth"),
    mistakes=(
        Mistake("this is the unbiased one, with n − 1.", lambda h, p, depth: h.var(0)),
        Mistake(
            "it goes over the units; each unit has its own.",
            lambda h, p, depth: h.var(1, correction=0),
        ),
        Mistake("the mean has not been taken off.", lambda h, p, depth: _squares(h)),
        Mistake("these are standard deviations.", lambda h, p, depth: h.std(0, correction=0)),
        Mistake(
            "it is as without dropout: a mask keeps the mean, and what else?", _variance, part=1
        ),
        Mistake(
            "it is smaller than without: that would be a mask without its factor, and a unit of "
            "mean 0.",
            lambda h, p, depth: (1 - p) * _variance(h),
            part=1,
        ),
        Mistake(
            "this is right for units of mean 0. A unit that is always 1 has no variance, and "
            "what has it behind a mask?",
            lambda h, p, depth: _variance(h) / (1 - p),
            part=1,
        ),
        Mistake(
            "the mask's variance is that of a 0 or 1; what is the factor's?",
            lambda h, p, depth: _variance(h) + p * (1 - p) * _squares(h),
            part=1,
        ),
        Mistake(
            "this is the noise of the masks alone; the examples differ, too.",
            lambda h, p, depth: odds(p) * _squares(h),
            part=1,
        ),
        Mistake(
            "the mean has not been taken off.",
            lambda h, p, depth: _squares(h) / (1 - p),
            part=1,
        ),
        Mistake(
            "it shrinks: that would be masks without their factor.",
            lambda h, p, depth: number((1 - p) ** depth),
            part=2,
        ),
        Mistake(
            "this is the growth of its root.",
            lambda h, p, depth: number((1 - p) ** (-depth / 2)),
            part=2,
        ),
        Mistake("this is that of one layer.", lambda h, p, depth: number(1 / (1 - p)), part=2),
        Mistake(
            "the layers' shares are added; the next layer's masks multiply what has grown already.",
            lambda h, p, depth: number(1 + depth * odds(p)),
            part=2,
        ),
        Mistake("the mean stays; the mean square does not.", lambda *_: number(1.0), part=2),
    ),
)
