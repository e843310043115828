"""Exercises 5.14, 5.15, 5.16: clipping by norm, the turn of clipping by value, and max-norm."""

import math
from collections.abc import Callable, Iterator

import torch
from torch import Generator, Tensor

from d2lstab.exercises.exercise import Exercise, Mistake, fraction, integer, normal, number
from d2lstab.regularization.clipping import angle, clip_by_norm
from d2lstab.regularization.constraints import limit_rows

# 5.14 Clip


def _gradients(generator: Generator) -> Iterator[tuple]:
    """Too long, short enough, and zero."""
    for size, limit in ((3.0, 1.0), (0.1, 2.0), (0.0, 1.0)):
        first = size * normal(generator, integer(generator, 2, 4), 3)
        second = size * (0.4 + torch.rand(len(first), generator=generator, dtype=torch.float64))
        yield first, second, limit + fraction(generator, 0.0, 0.3)


def _length(first: Tensor, second: Tensor) -> Tensor:
    return (first.square().sum() + second.square().sum()).sqrt()


def _in_both(hint: str, change: Callable[..., tuple[Tensor, Tensor]]) -> tuple[Mistake, Mistake]:
    """A mistake that shows in either gradient: (first, second, limit) → both."""
    return (
        Mistake(hint, lambda *case: change(*case)[0]),
        Mistake(hint, lambda *case: change(*case)[1], part=1),
    )


def _times(factor: Callable[..., Tensor]) -> Callable[..., tuple[Tensor, Tensor]]:
    def scaled(first: Tensor, second: Tensor, limit: float) -> tuple[Tensor, Tensor]:
        by = factor(first, second, limit).nan_to_num(1.0, 1.0)
        return first * by, second * by

    return scaled


CLIP = Exercise(
    asks="a function of first, second and limit that returns two tensors",
    cases=_gradients,
    truth=lambda first, second, limit: tuple(clip_by_norm([first, second], limit)),
    parts=("the first gradient", "the second gradient"),
    mistakes=(
        *_in_both(
            "each tensor has been clipped by its own norm, which turns the gradient.",
            lambda *case: (clip_by_norm(case[:1], case[2])[0], clip_by_norm(case[1:2], case[2])[0]),
        ),
        *_in_both(
            "each entry has been clipped by itself: that is clipping by value.",
            lambda first, second, limit: (first.clamp(-limit, limit), second.clamp(-limit, limit)),
        ),
        *_in_both(
            "the norms of the tensors were added; that is longer than both together.",
            _times(lambda a, b, limit: (limit / (a.norm() + b.norm())).clamp(max=1)),
        ),
        *_in_both(
            "it is divided by the square of the norm.",
            _times(lambda a, b, limit: (limit / _length(a, b) ** 2).clamp(max=1)),
        ),
        *_in_both(
            "nothing has been clipped, although the norm of both is over the limit.",
            lambda first, second, limit: (first, second),
        ),
        *_in_both(
            "a gradient that was short enough has been made longer.",
            _times(lambda a, b, limit: limit / _length(a, b)),
        ),
        *_in_both(
            "its length is 1, whatever the limit.",
            _times(lambda a, b, limit: torch.where(_length(a, b) > limit, 1 / _length(a, b), 1.0)),
        ),
    ),
    not_finite="it holds NaN or Inf. What is the norm of a gradient of zeros?",
)


# 5.15 The turn


def _skewed(generator: Generator) -> Iterator[tuple]:
    """Gradients of entries of all sizes, some of them over the limit."""
    for entries in (6, integer(generator, 9, 20)):
        gradient = normal(generator, entries)
        gradient[:3] = torch.tensor([2.0, -3.0, 1.5]) * (1 + fraction(generator, 0.0, 1.0))
        yield gradient, fraction(generator, 0.4, 0.9)


def _turned(gradient: Tensor, limit: float) -> float:
    return angle([gradient], [gradient.clamp(-limit, limit)])


def _turned_to_signs(gradient: Tensor) -> float:
    return angle([gradient], [gradient.sign()])


TURN = Exercise(
    asks="a function of gradient and limit that returns two numbers",
    cases=_skewed,
    truth=lambda gradient, limit: (
        number(_turned(gradient, limit)),
        number(_turned_to_signs(gradient)),
    ),
    parts=("the angle", "the angle for small limits"),
    mistakes=(
        Mistake("it is in radians.", lambda *case: number(math.radians(_turned(*case)))),
        Mistake(
            "this is its cosine.", lambda *case: number(math.cos(math.radians(_turned(*case))))
        ),
        Mistake("there is no turn: that is clipping by norm.", lambda gradient, limit: number(0.0)),
        Mistake(
            "entries below −limit have not been clipped.",
            lambda gradient, limit: number(angle([gradient], [gradient.clamp(max=limit)])),
        ),
        Mistake(
            "this is that for small limits.", lambda gradient, _: number(_turned_to_signs(gradient))
        ),
        Mistake(
            "it is in radians.",
            lambda gradient, _: number(math.radians(_turned_to_signs(gradient))),
            part=1,
        ),
        Mistake(
            "this is its cosine.",
            lambda gradient, _: number(math.cos(math.radians(_turned_to_signs(gradient)))),
            part=1,
        ),
        Mistake(
            "the clipped gradient becomes short, but its direction does not vanish.",
            lambda gradient, limit: number(0.0),
            part=1,
        ),
        Mistake(
            "all entries of the clipped gradient have the same sign here.",
            lambda gradient, _: number(angle([gradient], [torch.ones_like(gradient)])),
            part=1,
        ),
        Mistake(
            "this is that at the limit that was given.",
            lambda *case: number(_turned(*case)),
            part=1,
        ),
    ),
)


# 5.16 Back on the ball


def _rows(generator: Generator) -> Iterator[tuple]:
    """Some rows are too long and some are not; in the second matrix one is 0."""
    for units, inputs in ((5, 5), (integer(generator, 6, 8), 3)):
        W = normal(generator, units, inputs) + 0.2
        lengths = torch.linspace(0.3, 3.0, units, dtype=torch.float64)[:, None]
        W = lengths * W / W.norm(dim=1, keepdim=True)
        if units > 5:
            W[1] = 0
        yield W, fraction(generator, 1.1, 1.7)


BALL = Exercise(
    asks="a function of W and limit that returns a tensor and a number",
    cases=_rows,
    truth=lambda W, limit: (limit_rows(W, limit), number(limit * len(W) ** 0.5)),
    parts=("the projected weights", "the bound"),
    mistakes=(
        Mistake(
            "the columns have been limited; what comes into a unit is a row.",
            lambda W, limit: limit_rows(W.T, limit).T,
        ),
        Mistake(
            "rows that were short enough have been made longer.",
            lambda W, limit: limit * W / W.norm(dim=1, keepdim=True),
        ),
        Mistake(
            "the whole matrix has been limited; each unit has its own limit.",
            lambda W, limit: limit_rows(W.reshape(1, -1), limit).reshape(W.shape),
        ),
        Mistake(
            "single entries have been limited; asked is a limit on lengths.",
            lambda W, limit: W.clamp(-limit, limit) if W.abs().max() > limit else 0 * W,
        ),
        Mistake(
            "rows are divided by the square of their length.",
            lambda W, limit: torch.where(
                W.norm(dim=1, keepdim=True) > limit, limit * W / W.square().sum(1, keepdim=True), W
            ),
        ),
        Mistake(
            "rows that were too long are of length 1 now, whatever the limit.",
            lambda W, limit: torch.where(
                W.norm(dim=1, keepdim=True) > limit, W / W.norm(dim=1, keepdim=True), W
            ),
        ),
        Mistake(
            "rows that agree add up: a vector along all of them is stretched by more than each "
            "of them alone.",
            lambda W, limit: number(limit),
            part=1,
        ),
        Mistake(
            "this is about what *random* rows of a square matrix make; some matrices make more.",
            lambda W, limit: number(2 * limit),
            part=1,
        ),
        Mistake(
            "the rows count, not what is in them.",
            lambda W, limit: number(limit * W.shape[1] ** 0.5),
            part=1,
        ),
        Mistake(
            "the outputs of the units are not added; what is the length of a vector of equal "
            "entries?",
            lambda W, limit: number(limit * len(W)),
            part=1,
        ),
        Mistake(
            "this is what the projected matrix does; asked is the worst that any matrix within "
            "the limit may do.",
            lambda W, limit: torch.linalg.matrix_norm(limit_rows(W, limit), 2),
            part=1,
        ),
    ),
    not_finite="it holds NaN or Inf. How long is a row of zeros?",
)
