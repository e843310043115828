"""Exercises 2.5, 2.6: what a layer's two fans are, and what Xavier gives up between them."""

import math
from collections.abc import Callable, Iterator

import torch
from torch import Generator, Tensor
from torch.nn import functional as F

from d2lstab.exercises.exercise import Exercise, Mistake, integer, number

# 2.5 The fans of a convolution


def _convolutions(generator: Generator) -> Iterator[tuple]:
    for groups in (3, 1, 2, 8):
        inputs, outputs = (groups * n for n in _two_of((7, 8, 9, 10), generator))
        yield inputs, outputs, _two_of((2, 5, 6), generator), groups


def _two_of(numbers: tuple[int, ...], generator: Generator) -> tuple[int, int]:
    """Two different ones, in any order."""
    first, second = torch.randperm(len(numbers), generator=generator)[:2].tolist()
    return numbers[first], numbers[second]


def _fans(inputs: int, outputs: int, kernel: tuple[int, int], groups: int) -> tuple[Tensor, Tensor]:
    """Counted: inputs that change one output, and outputs that one input changes."""
    weight = torch.ones(outputs, inputs // groups, *kernel, dtype=torch.float64)
    window = torch.ones(1, inputs, *kernel, dtype=torch.float64, requires_grad=True)
    F.conv2d(window, weight, groups=groups)[0, 0].sum().backward()
    spot = torch.zeros(1, inputs, 1, 1, dtype=torch.float64)
    spot[0, 0] = 1.0
    around = (kernel[0] - 1, kernel[1] - 1)
    reached = F.conv2d(spot, weight, padding=around, groups=groups)
    return window.grad.count_nonzero().double(), reached.count_nonzero().double()


def _fan_mistakes(part: int) -> tuple[Mistake, ...]:
    def other(*case) -> Tensor:
        return _fans(*case)[1 - part]

    def whole(*case) -> Tensor:
        return _fans(*case)[part] * case[3]

    groups = (
        "a unit does not hear the channels of the other groups.",
        "an input is not heard in the other groups. Whoever reads the fan off the shape of the "
        "weight (as `nn.init` does) cannot see that.",
    )[part]
    return (
        Mistake("fan_in and fan_out are exchanged.", other, part),
        Mistake(
            "the kernel is missing: the positions count, not only the channels.",
            lambda inputs, outputs, kernel, n: number((inputs, outputs)[part] / n),
            part,
        ),
        Mistake(groups, whole, part),
        Mistake(
            "neither the kernel nor the groups are in it; these are the channels.",
            lambda inputs, outputs, kernel, n: number((inputs, outputs)[part]),
            part,
        ),
        Mistake(
            "the groups are divided out twice.",
            lambda *case: _fans(*case)[part] / case[3],
            part,
        ),
        Mistake(
            "only one side of the kernel is in it.",
            lambda *case: _fans(*case)[part] / case[2][1],
            part,
        ),
        Mistake(
            "this counts all weights of the layer.",
            lambda inputs, outputs, kernel, n: number(inputs * outputs * math.prod(kernel) / n),
            part,
        ),
    )


FANS = Exercise(
    asks="a function of in_channels, out_channels, kernel, groups that returns two numbers",
    cases=_convolutions,
    truth=_fans,
    parts=("fan_in", "fan_out"),
    mistakes=_fan_mistakes(0) + _fan_mistakes(1),
)


# 2.6 What Xavier gives up


def _unequal_networks(generator: Generator) -> Iterator[tuple]:
    for layers in (1, 3, 8):
        ends = sorted(integer(generator, 10, 40) for _ in range(2))
        inner = [integer(generator, 60, 400) for _ in range(layers)]
        yield ((ends[0], *inner[1:], ends[1] + 1 + inner[0]),)


def _factors(
    widths: tuple[int, ...], variance: Callable[[int, int], float], back: bool
) -> list[float]:
    pairs = zip(widths[:-1], widths[1:], strict=True)
    return [(m if back else n) * variance(n, m) for n, m in pairs]


def _xavier(n: int, m: int) -> float:
    return 2 / (n + m)


def _product(
    widths: tuple[int, ...], back: bool, variance: Callable[[int, int], float] = _xavier
) -> Tensor:
    return number(math.prod(_factors(widths, variance, back)))


def _factor_mistakes(part: int) -> tuple[Mistake, ...]:
    back = bool(part)
    return (
        Mistake(
            "forward and backward are exchanged. Over which index does the sum run?",
            lambda widths: _product(widths, not back),
            part,
        ),
        Mistake(
            "this is its square root: mean squares are asked for.",
            lambda widths: _product(widths, back).sqrt(),
            part,
        ),
        Mistake(
            "this would be right if the variance were that of the one fan alone; Xavier takes the "
            "mean of both.",
            lambda widths: number(1.0),
            part,
        ),
        Mistake(
            "this would be right if the variance were that of the other fan alone; Xavier takes "
            "the mean of both.",
            lambda widths: _product(widths, back, lambda n, m: 1 / (n if back else m)),
            part,
        ),
        Mistake(
            "6/(n + m) is the square of the uniform distribution's bound, not its variance.",
            lambda widths: _product(widths, back, lambda n, m: 6 / (n + m)),
            part,
        ),
        Mistake(
            "the variance is too small by two: the mean of two fans is half of their sum.",
            lambda widths: _product(widths, back, lambda n, m: 1 / (n + m)),
            part,
        ),
        Mistake(
            "the layers' factors are added up.",
            lambda widths: number(sum(_factors(widths, _xavier, back))),
            part,
        ),
        Mistake(
            "this is the mean factor of a layer, not what all of them do.",
            lambda widths: _product(widths, back) ** (1 / (len(widths) - 1)),
            part,
        ),
        Mistake(
            "this is the first layer alone.",
            lambda widths: _product(widths[:2], back),
            part,
        ),
    )


XAVIER_FACTORS = Exercise(
    asks="a function of widths that returns two numbers, forward and backward",
    cases=_unequal_networks,
    truth=lambda widths: (_product(widths, False), _product(widths, True)),
    parts=("the forward factor", "the backward factor"),
    mistakes=_factor_mistakes(0) + _factor_mistakes(1),
)
