"""Exercises 4.6, 4.7, 4.13: norms of weights, and the steps that lengthen them."""

import math
from collections.abc import Callable, Iterator

import torch
import torch.nn.functional as F
from torch import Generator, Tensor

from d2lstab.exercises.exercise import Exercise, Mistake, fraction, integer, normal, number

# 4.6 A bounded product


def _products(generator: Generator) -> Iterator[tuple]:
    for inputs in (4, integer(generator, 5, 7)):
        x = 3 * normal(generator, integer(generator, 3, 6), inputs) + 1
        yield x, 2 * normal(generator, integer(generator, 2, 5), inputs)


def _lengths(vectors: Tensor) -> Tensor:
    return vectors.norm(dim=1, keepdim=True)


def _centred(vectors: Tensor) -> Tensor:
    return vectors - vectors.mean(1, keepdim=True)


COSINE = Exercise(
    asks="a function of x and W that returns a tensor",
    cases=_products,
    truth=lambda x, W: F.cosine_similarity(x[:, None], W[None], dim=2),
    parts=("the output",),
    mistakes=(
        Mistake("this is the plain product, without any bound.", lambda x, W: x @ W.T),
        Mistake(
            "the weights alone have length 1: that is weight norm, which has no bound.",
            lambda x, W: x @ (W / _lengths(W)).T,
        ),
        Mistake("the inputs alone have length 1.", lambda x, W: x / _lengths(x) @ W.T),
        Mistake(
            "the length of W is that of the whole matrix; each unit has its own.",
            lambda x, W: x / _lengths(x) @ W.T / W.norm(),
        ),
        Mistake(
            "the weights' lengths go over the units; those of a unit are a row of W.",
            lambda x, W: x / _lengths(x) @ (W / W.norm(dim=0)).T,
        ),
        Mistake(
            "it is divided by the squares of the lengths.",
            lambda x, W: x @ W.T / _lengths(x) ** 2 / _lengths(W).T ** 2,
        ),
        Mistake(
            "this is the *centered* cosine, Pearson's correlation.",
            lambda x, W: F.cosine_similarity(_centred(x)[:, None], _centred(W)[None], dim=2),
        ),
    ),
)


# 4.7 A length and a direction


def _weights(generator: Generator) -> Iterator[tuple]:
    for units in (3, integer(generator, 2, 5)):
        v = 2 * normal(generator, units, integer(generator, 4, 7))
        yield v, normal(generator, units).abs() + 0.5, normal(generator, *v.shape)


def _weight_norm_gradients(v: Tensor, g: Tensor, gradient: Tensor) -> tuple[Tensor, Tensor]:
    with torch.enable_grad():
        v, g = v.clone().requires_grad_(), g.clone().requires_grad_()
        w = g[:, None] * v / _lengths(v)
        return tuple(torch.autograd.grad((w * gradient).sum(), (g, v)))


def _across(v: Tensor, gradient: Tensor) -> Tensor:
    """The part of the gradient that is perpendicular to v."""
    return gradient - _along(v, gradient)


def _along(v: Tensor, gradient: Tensor) -> Tensor:
    return (gradient * v).sum(1, keepdim=True) / _lengths(v) ** 2 * v


WEIGHT_NORM_GRADIENTS = Exercise(
    asks="a function of v, g and gradient that returns two tensors",
    cases=_weights,
    truth=_weight_norm_gradients,
    parts=("the gradient for g", "the gradient for v"),
    mistakes=(
        Mistake(
            "v has its own length there; the direction has length 1.",
            lambda v, g, gradient: (gradient * v).sum(1),
        ),
        Mistake(
            "g itself is in it: w is linear in g, so its slope is not.",
            lambda v, g, gradient: g * (gradient * v).sum(1) / v.norm(dim=1),
        ),
        Mistake(
            "the sum over the inputs is missing: a unit has one g.",
            lambda v, g, gradient: gradient * v / _lengths(v),
        ),
        Mistake(
            "the direction is missing: how far does w move with g, and where to?",
            lambda v, g, gradient: gradient.sum(1),
        ),
        Mistake(
            "‖v‖ was held constant. A longer v gives the same w: what must v's product with the "
            "gradient be?",
            lambda v, g, gradient: g[:, None] / _lengths(v) * gradient,
            part=1,
        ),
        Mistake(
            "the projection is there, but not the factor in front of it: how far does w move "
            "with v?",
            lambda v, g, gradient: _across(v, gradient),
            part=1,
        ),
        Mistake("g is missing.", lambda v, g, grad: _across(v, grad) / _lengths(v), part=1),
        Mistake(
            "1/‖v‖ is missing: a long v turns less.",
            lambda v, g, gradient: g[:, None] * _across(v, gradient),
            part=1,
        ),
        Mistake(
            "the projection takes v for a vector of length 1.",
            lambda v, g, gradient: (
                g[:, None] / _lengths(v) * (gradient - (gradient * v).sum(1, keepdim=True) * v)
            ),
            part=1,
        ),
        Mistake(
            "this is the part along v, which is the one to take away.",
            lambda v, g, gradient: g[:, None] / _lengths(v) * _along(v, gradient),
            part=1,
        ),
        Mistake(
            "the projection is that of the whole matrix; each unit has its own direction.",
            lambda v, g, gradient: (
                g[:, None] / _lengths(v) * (gradient - (gradient * v).sum() / v.norm() ** 2 * v)
            ),
            part=1,
        ),
    ),
)


# 4.13 The learning rate that decays by itself


def _walks(generator: Generator) -> Iterator[tuple]:
    yield tuple(fraction(generator, *b) for b in ((1.3, 1.9), (1.5, 2.5), (0.4, 0.9))) + (3,)
    yield (
        fraction(generator, 0.5, 3.0),
        fraction(generator, 0.5, 2.0),
        fraction(generator, 0.2, 1.0),
        integer(generator, 20, 60),
    )


def _length(
    length: float,
    slope: float,
    rate: float,
    steps: int,
    *,
    gradient: Callable[[float, float], float] = lambda slope, length: slope / length,
    turn: Callable[[float, float], float] = math.hypot,
) -> float:
    """The length after some steps; a mistake is another gradient, or another sum."""
    for _ in range(steps):
        length = turn(length, rate * gradient(slope, length))
    return length


def _walked(**changes) -> Callable[..., Tensor]:
    return lambda *case: number(_length(*case, **changes))


def _effective(power: int) -> Callable[..., Tensor]:
    return lambda *case: number(case[2] * _length(*case) ** power)


DECAYING_RATE = Exercise(
    asks="a function of length, slope, rate and steps that returns two numbers",
    cases=_walks,
    truth=lambda *case: (number(_length(*case)), _effective(-2)(*case)),
    parts=("the length", "the effective learning rate"),
    mistakes=(
        Mistake(
            "the gradient stays the same here; behind a norm it shrinks while the weights grow.",
            _walked(gradient=lambda slope, length: slope),
        ),
        Mistake(
            "the gradient grows with the weights here. The loss knows their direction alone: how "
            "far does a step turn long weights?",
            _walked(gradient=lambda slope, length: slope * length),
        ),
        Mistake(
            "the gradient falls with the square of the length here.",
            _walked(gradient=lambda slope, length: slope / length**2),
        ),
        Mistake(
            "the step was added to the length; it stands at a right angle to the weights.",
            _walked(turn=lambda length, step: length + step),
        ),
        Mistake(
            "the step was taken from the length; it stands at a right angle to the weights.",
            _walked(turn=lambda length, step: length - step),
        ),
        Mistake("this is after a single step.", lambda *case: number(_length(*case[:3], 1))),
        Mistake(
            "this is its square.",
            lambda *case: number(_length(*case) ** 2),
        ),
        Mistake(
            "it is divided by the length once: a step turns long weights less, *and* its gradient "
            "is smaller.",
            _effective(-1),
            part=1,
        ),
        Mistake("it is the learning rate that you began with.", lambda *case: number(case[2]), 1),
        Mistake(
            "it is multiplied, not divided: at length 1 the weights turn more easily.",
            _effective(2),
            part=1,
        ),
        Mistake(
            "it is multiplied, not divided: at length 1 the weights turn more easily.",
            _effective(1),
            part=1,
        ),
        Mistake(
            "it is that of the length before the first step.",
            lambda *case: number(case[2] / case[0] ** 2),
            part=1,
        ),
    ),
)
