"""Exercise 1.4: what training keeps, and what prediction needs."""

import math
from collections.abc import Callable, Iterator

import torch
from torch import Generator, Tensor

from d2lstab.exercises.exercise import Exercise, Mistake, integer
from d2lstab.graph import peak_bytes, saved_bytes
from d2lstab.networks import N_CLASSES, N_FEATURES, NetworkSpec, build


def _sizes(generator: Generator) -> Iterator[tuple]:
    for activation in ("tanh", "gelu", "relu", "silu"):
        depth, batch = integer(generator, 2, 9), integer(generator, 3, 40)
        yield depth, 8 * integer(generator, 2, 5), batch, activation


def _footprint(depth: int, width: int, batch: int, activation: str) -> tuple[Tensor, Tensor]:
    """Measured: bytes kept for the way back, and the peak of a prediction."""
    network = build(NetworkSpec(depth=depth, width=width, activation=activation))
    inputs = torch.zeros(batch, N_FEATURES, dtype=torch.float32)
    kept = saved_bytes(lambda: network(inputs)).activations
    with torch.no_grad():
        peak = peak_bytes(lambda: network(inputs))
    return tuple(torch.tensor(size, dtype=torch.float64) for size in (kept, peak))


def _kept(change: Callable[..., float]) -> Callable:
    """The bytes kept, changed as a mistake would; ``change`` gets them and the case."""
    return lambda *case: _footprint(*case)[0] + change(*case)


def _numbers(*parts: float) -> Tensor:
    return torch.tensor(math.prod(parts), dtype=torch.float64)


FOOTPRINT = Exercise(
    asks="a function of depth, width, batch, activation that returns two numbers of bytes",
    cases=_sizes,
    truth=_footprint,
    parts=("training", "prediction"),
    mistakes=(
        Mistake("this counts numbers, not bytes.", lambda *case: _footprint(*case)[0] / 4),
        Mistake("this would be right for float64.", lambda *case: _footprint(*case)[0] * 2),
        Mistake("this is one example, not the batch.", lambda *c: _footprint(*c)[0] / c[2]),
        Mistake(
            "the batch of inputs is missing: the first layer's weights need it for their gradient.",
            _kept(lambda depth, width, batch, name: -4 * batch * N_FEATURES),
        ),
        Mistake(
            "the outputs of the network are counted, but no layer of the network needs them again.",
            _kept(lambda depth, width, batch, name: 4 * batch * N_CLASSES),
        ),
        Mistake(
            "one tensor per layer is counted. Can this activation function tell its derivative "
            "from its output alone?",
            lambda depth, width, batch, name: _numbers(4, batch, N_FEATURES + depth * width),
        ),
        Mistake(
            "two tensors per layer are counted. This activation function can tell its derivative "
            "from its output, which the next layer keeps anyway.",
            lambda depth, width, batch, name: _numbers(4, batch, N_FEATURES + 2 * depth * width),
        ),
        Mistake("this counts numbers, not bytes.", lambda *case: _footprint(*case)[1] / 4, 1),
        Mistake(
            "a single activation is too little: a layer's input and output are alive together.",
            lambda *case: _footprint(*case)[1] / 2,
            1,
        ),
        Mistake(
            "this is what training keeps. Who still needs a layer's input when nothing goes back?",
            lambda *case: _footprint(*case)[0],
            1,
        ),
        Mistake(
            "all layers are added up. Who still needs a layer's input when nothing goes back?",
            lambda depth, width, batch, name: _numbers(4, batch, depth * width),
            1,
        ),
        Mistake(
            "nothing is kept, that is true; but the peak on the way is asked for.",
            lambda *case: _numbers(0),
            1,
        ),
    ),
)
