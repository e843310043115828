"""Exercises 2.3, 2.4, 2.12: what becomes of a mean square, layer by layer and in branches."""

import math
from collections.abc import Callable, Iterator
from functools import partial

import torch
from torch import Generator, Tensor
from torch.nn import functional as F

from d2lstab import gaussian
from d2lstab.exercises.exercise import Exercise, Mistake, fraction, integer, number


def expectation(f: Callable[[Tensor], Tensor], std: float) -> Tensor:
    """E[f(z)] for z ~ N(0, std²), a number; f maps tensors."""
    return number(gaussian.expectation(lambda z: f(torch.from_numpy(z)).numpy(), std * std))


# 2.3 What nn.Linear does by default


def _linear_networks(generator: Generator) -> Iterator[tuple]:
    for layers in (2, 5, 9):
        widths = tuple(integer(generator, 4, 60) for _ in range(layers + 1))
        yield widths, fraction(generator, 0.3, 3.0)


def _default(
    widths: tuple[int, ...],
    mean_square: float,
    weights: Callable[[int, int], float] = lambda n, m: 1 / (3 * n),
    biases: Callable[[int, int], float] = lambda n, m: 1 / (3 * n),
) -> Tensor:
    """The mean square behind the last layer; a mistake is another variance of the draws.

    weights, biases : (fan_in, fan_out) → variance of one of them.
    """
    for n, m in zip(widths[:-1], widths[1:], strict=True):
        mean_square = n * weights(n, m) * mean_square + biases(n, m)
    return number(mean_square)


DEFAULT_MEAN_SQUARE = Exercise(
    asks="a function of widths and mean_square that returns a number",
    cases=_linear_networks,
    truth=_default,
    parts=("the mean square",),
    mistakes=(
        Mistake(
            "the biases are missing: `nn.Linear` draws them at random as well.",
            partial(_default, biases=lambda n, m: 0.0),
        ),
        Mistake(
            "1/√n is the bound of the uniform distribution here, not its standard deviation.",
            partial(_default, weights=lambda n, m: 1 / n, biases=lambda n, m: 1 / n),
        ),
        Mistake(
            "1/√n is the bound of the uniform distribution here, not its standard deviation.",
            partial(_default, weights=lambda n, m: 1 / n, biases=lambda n, m: 0.0),
        ),
        Mistake(
            "the weights' variance is too small by four: how wide is an interval from −b to b?",
            partial(_default, weights=lambda n, m: 1 / (12 * n), biases=lambda n, m: 1 / (12 * n)),
        ),
        Mistake(
            "the biases are drawn with another bound here: which fan does `nn.Linear` use for it?",
            partial(_default, biases=lambda n, m: 1 / (3 * m)),
        ),
        Mistake(
            "the units that a layer feeds stand where those that feed it should.",
            partial(_default, weights=lambda n, m: 1 / (3 * m), biases=lambda n, m: 1 / (3 * m)),
        ),
        Mistake(
            "these are He's weights, which one of the spellings in the documentation suggests.",
            partial(_default, weights=lambda n, m: 2 / n),
        ),
        Mistake("this is its square root.", lambda *case: _default(*case).sqrt()),
        Mistake("the last layer is missing.", lambda widths, q: _default(widths[:-1], q)),
        Mistake(
            "the biases of the last layer alone are in it; those of the others pass through the "
            "weights behind them.",
            lambda widths, q: number(q / 3 ** (len(widths) - 1) + 1 / (3 * widths[-2])),
        ),
    ),
)


# 2.4 A scale for a new activation function


def _new_activations(generator: Generator) -> Iterator[tuple]:
    yield torch.sigmoid, fraction(generator, 1.3, 1.7)  # here every mistake gives its own number
    functions = (
        lambda z: z * torch.tanh(F.softplus(z)),  # mish
        lambda z: torch.sin(2 * z),
        lambda z: torch.relu(z) ** 2,
        lambda z: torch.where(z > 0, z, 0.2 * z),
    )
    for function in functions:
        side = 1 if torch.rand((), generator=generator) < 0.5 else -1  # 0.9 to 1.1 left out
        yield function, round(1 + side * fraction(generator, 0.2, 0.6), 2)


def _scale(phi: Callable, s: float, g: Callable = torch.square, std: float | None = None) -> Tensor:
    """The σ_w at which the standard deviation s stays; a mistake is another g(φ) or spread."""
    return s / expectation(lambda z: g(phi(z)), s if std is None else std).sqrt()


def _centred(phi: Callable, s: float) -> Tensor:
    mean = expectation(phi, s)
    return _scale(phi, s, lambda h: (h - mean) ** 2)


def _slope(phi: Callable, s: float) -> Tensor:
    """1 / √E[φ'(z)²], what keeps the gradient."""

    def derivative(z: Tensor) -> Tensor:
        z = z.clone().requires_grad_()
        return torch.autograd.grad(phi(z).sum(), z)[0]

    return expectation(lambda z: derivative(z) ** 2, s) ** -0.5


WEIGHT_SCALE = Exercise(
    asks="a function of phi and s that returns a number",
    cases=_new_activations,
    truth=_scale,
    parts=("the value of σ_w",),
    mistakes=(
        Mistake("this is σ_w².", lambda phi, s: _scale(phi, s) ** 2),
        Mistake(
            "this is what a layer of σ_w = 1 does, not the σ_w that makes up for it.",
            lambda phi, s: 1 / _scale(phi, s),
        ),
        Mistake(
            "the mean of φ has been subtracted. A sum over the inputs of a unit knows nothing of "
            "their mean: what is E[w²h²]?",
            _centred,
        ),
        Mistake(
            "with it the outputs get the standard deviation 1, not s.",
            lambda phi, s: _scale(phi, s) / s,
        ),
        Mistake(
            "this is the value for z ~ N(0, 1), whatever s.",
            lambda phi, s: _scale(phi, 1.0),
        ),
        Mistake(
            "φ was taken at z ~ N(0, 1); its inputs have the standard deviation s.",
            lambda phi, s: _scale(phi, s, std=1.0),
        ),
        Mistake(
            "s was taken for the variance of z.",
            lambda phi, s: _scale(phi, s, std=s**0.5),
        ),
        Mistake("s was taken for the variance of z.", lambda phi, s: _scale(phi, s**0.5)),
        Mistake(
            "the mean size of φ is in it; variances ask for the mean of another quantity.",
            lambda phi, s: s / expectation(lambda z: phi(z).abs(), s),
        ),
        Mistake(
            "φ' is in it: that is what keeps the gradient (exercise 1.7), not the signal.", _slope
        ),
        Mistake(
            "this is He's √2, which belongs to ReLU.",
            lambda phi, s: number(math.sqrt(2)),
        ),
    ),
    tolerance=0.01,
    matching=0.002,
    near="it is less than 5 % off, but more than 1 %: take more samples, or an integral.",
)


# 2.12 The scale of a residual branch


def _residual_networks(generator: Generator) -> Iterator[tuple]:
    for blocks in (2, integer(generator, 5, 40), integer(generator, 100, 1000)):
        yield blocks, fraction(generator, 1.5, 6.0)


def _branch(blocks: int, growth: float) -> Tensor:
    return number(math.sqrt(growth ** (1 / blocks) - 1))


BRANCH_SCALE = Exercise(
    asks="a function of blocks and growth that returns a number",
    cases=_residual_networks,
    truth=_branch,
    parts=("the value of α",),
    mistakes=(
        Mistake("this is α².", lambda *case: _branch(*case) ** 2),
        Mistake(
            "this lets the sum's size grow as if branch and input pointed the same way; they are "
            "uncorrelated.",
            lambda blocks, growth: number(growth ** (1 / (2 * blocks)) - 1),
        ),
        Mistake(
            "this is the factor of the whole block; what is left for the branch?",
            lambda blocks, growth: number(growth ** (1 / blocks)),
        ),
        Mistake(
            "this is the factor of the whole block; what is left for the branch?",
            lambda blocks, growth: number(growth ** (1 / (2 * blocks))),
        ),
        Mistake(
            "growth counts for the size here; it is that of the mean square.",
            lambda blocks, growth: number(math.sqrt(growth ** (2 / blocks) - 1)),
        ),
        Mistake(
            "1/√L keeps the growth under e, whatever growth is allowed.",
            lambda blocks, growth: number(blocks**-0.5),
        ),
        Mistake(
            "this is the first order in 1/L, right only for many blocks.",
            lambda blocks, growth: number(math.sqrt(math.log(growth) / blocks)),
        ),
        Mistake(
            "the growth is shared among the blocks as if it added up; from block to block the mean "
            "square is multiplied.",
            lambda blocks, growth: number(math.sqrt((growth - 1) / blocks)),
        ),
    ),
)
