"""Exercises 2.8, 2.9: the edge of chaos, and how ReLU makes all inputs alike."""

import math
from collections.abc import Callable, Iterator

import torch
from torch import Generator, Tensor

from d2lstab.exercises.chapter2.variance import expectation
from d2lstab.exercises.exercise import Exercise, Mistake, fraction, number

# 2.8 The edge of chaos


def _odd_activations(generator: Generator) -> Iterator[tuple]:
    pairs = (
        (torch.erf, lambda z: 2 / math.sqrt(math.pi) * torch.exp(-z * z)),
        (torch.tanh, lambda z: 1 - torch.tanh(z) ** 2),
        (torch.atan, lambda z: 1 / (1 + z * z)),
        (lambda z: 2 * torch.tanh(z / 3), lambda z: 2 / 3 * (1 - torch.tanh(z / 3) ** 2)),
    )
    for phi, derivative in pairs:
        yield phi, derivative, fraction(generator, 0.15, 0.6)


def _edge(
    phi: Callable,
    derivative: Callable,
    bias_std: float,
    g: Callable = torch.square,
) -> Tensor:
    """σ_w with χ = 1, by bisection for the fixed point q of the variance at that σ_w.

    A mistake is another g(φ').
    """

    def slope(q: float) -> float:
        return expectation(lambda z: g(derivative(z)), math.sqrt(q)).item()

    def surplus(q: float) -> float:
        return expectation(lambda z: phi(z) ** 2, math.sqrt(q)).item() / slope(q) + bias_std**2 - q

    low, high = 1e-6, 1.0
    while surplus(high) > 0 and high < 1e6:
        high *= 2
    for _ in range(40):
        middle = (low + high) / 2
        low, high = (middle, high) if surplus(middle) > 0 else (low, middle)
    return number(slope(low) ** -0.5)


def _slope_at(variance: Callable[[float], float]) -> Callable[..., Tensor]:
    """σ_w with χ = 1 at a variance that has been guessed instead of the fixed point."""
    return lambda phi, derivative, bias_std: (
        expectation(lambda z: derivative(z) ** 2, math.sqrt(variance(bias_std))) ** -0.5
    )


EDGE_OF_CHAOS = Exercise(
    asks="a function of phi, derivative, bias_std that returns a number",
    cases=_odd_activations,
    truth=_edge,
    parts=("the value of σ_w",),
    mistakes=(
        Mistake("this is σ_w².", lambda *case: _edge(*case) ** 2),
        Mistake(
            "the biases are not in it: they widen the preactivations.",
            lambda phi, derivative, bias_std: (
                derivative(torch.zeros((), dtype=torch.float64)) ** -1
            ),
        ),
        Mistake(
            "bias_std was taken for the variance of the biases.",
            lambda phi, derivative, bias_std: _edge(phi, derivative, bias_std**0.5),
        ),
        Mistake("the variance of the preactivations was taken for 1.", _slope_at(lambda b: 1.0)),
        Mistake(
            "the preactivations have the variance of the biases alone here; what do the weights "
            "bring?",
            _slope_at(lambda b: b * b),
        ),
        Mistake(
            "the mean of φ' is in it; χ asks for the mean of another quantity.",
            lambda *case: _edge(*case, g=torch.abs),
        ),
        Mistake("this is 1/σ_w.", lambda *case: 1 / _edge(*case)),
    ),
    tolerance=0.005,
    matching=0.001,
    near="it is less than 5 % off, but more than 0.5 %: take more samples, or an integral, and let "
    "the variance settle.",
    not_finite="it holds NaN or Inf. Did the variance settle, or run away?",
)


# 2.9 What He's initialization does to two inputs


def _pairs_of_inputs(generator: Generator) -> Iterator[tuple]:
    yield fraction(generator, -0.9, -0.2), 3  # here every mistake gives its own number
    for depth in (1, 8, 60):
        yield fraction(generator, -0.9, 0.7), depth


def _one_layer(c: float) -> float:
    """The arc-cosine kernel of degree 1 (Cho & Saul 2009), normalized."""
    return (math.sqrt(1 - c * c) + c * (math.pi - math.acos(c))) / math.pi


def _repeat(layer: Callable[[float], float], c: float, times: int) -> Tensor:
    for _ in range(times):
        c = layer(max(-1.0, min(1.0, c)))
    return number(c)


def _wrong_angle(c: float) -> float:
    return (math.sqrt(1 - c * c) + c * math.acos(c)) / math.pi


def _centred(c: float) -> float:
    """Pearson's correlation of ReLU's outputs: their mean is 1/√2π, their mean square ½."""
    mean_square = 1 / (2 * math.pi)
    return (_one_layer(c) / 2 - mean_square) / (0.5 - mean_square)


RELU_CORRELATION = Exercise(
    asks="a function of c and depth that returns a number",
    cases=_pairs_of_inputs,
    truth=lambda c, depth: _repeat(_one_layer, c, depth),
    parts=("the cosine",),
    mistakes=(
        Mistake(
            "this is what one layer does, whatever depth.",
            lambda c, depth: _repeat(_one_layer, c, 1),
        ),
        Mistake("one layer is missing.", lambda c, depth: _repeat(_one_layer, c, depth - 1)),
        Mistake("there is one layer too many.", lambda c, depth: _repeat(_one_layer, c, depth + 1)),
        Mistake(
            "it is the cosine of the inputs: a linear network would keep it.",
            lambda c, depth: number(c),
        ),
        Mistake(
            "this is the angle, not its cosine.",
            lambda c, depth: _repeat(_one_layer, c, depth).acos(),
        ),
        Mistake(
            "it is half of what it should be: the mean square of ReLU's outputs has to be divided "
            "out.",
            lambda c, depth: _repeat(_one_layer, c, depth) / 2,
        ),
        Mistake(
            "without the mean square of ReLU's outputs divided out, the cosine shrinks at every "
            "layer.",
            lambda c, depth: _repeat(lambda x: _one_layer(x) / 2, c, depth),
        ),
        Mistake(
            "the mean of the outputs has been subtracted; the angle between the vectors themselves "
            "is asked for.",
            lambda c, depth: _repeat(_centred, c, depth),
        ),
        Mistake(
            "the angle stands where its supplement should: let both inputs be equal, and see what "
            "comes out.",
            lambda c, depth: _repeat(_wrong_angle, c, depth),
        ),
        Mistake(
            "it says how often both units are on together; how large they are then is not in it.",
            lambda c, depth: _repeat(lambda x: 1 - math.acos(x) / math.pi, c, depth),
        ),
    ),
    tolerance=2e-3,
    matching=5e-4,
    near="it is less than 5 % off, but more than 0.2 %: samples are not enough here; the integral "
    "has a closed form.",
    not_finite="it holds NaN or Inf. Has rounding carried a cosine over 1?",
)
