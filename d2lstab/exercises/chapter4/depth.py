"""Exercises 4.14, 4.15: what a norm does to gradients per layer, and where it stands in a block."""

from collections.abc import Callable, Iterator

import torch
from torch import Generator, Tensor
from torch.nn import functional as F

from d2lstab import gaussian
from d2lstab.exercises.exercise import Exercise, Mistake, fraction, integer, number

# 4.14 Growth per layer


def _activations(generator: Generator) -> Iterator[tuple]:
    slope, shift = fraction(generator, 0.1, 0.4), fraction(generator, 0.05, 0.25)
    yield (lambda z: F.softplus(1.5 * z) - shift,)  # here every mistake gives its own number
    yield (lambda z: torch.where(z > 0, z, slope * z),)
    yield (lambda z: torch.sigmoid(z + 4 * shift),)
    yield (torch.relu,)


def _expectation(f: Callable[[Tensor], Tensor]) -> Tensor:
    """E f(z) for z ~ N(0, 1), a number."""
    return number(gaussian.expectation(lambda z: f(torch.from_numpy(z)).numpy(), 1.0))


def _slope(phi: Callable) -> Callable[[Tensor], Tensor]:
    def slope(z: Tensor) -> Tensor:
        with torch.enable_grad():
            z = z.clone().requires_grad_()
            return torch.autograd.grad(phi(z).sum(), z)[0]

    return slope


def _square(phi: Callable) -> Tensor:
    return _expectation(lambda z: phi(z) ** 2)


def _variance(phi: Callable) -> Tensor:
    return _square(phi) - _expectation(phi) ** 2


def _slope_square(phi: Callable) -> Tensor:
    return _square(_slope(phi))


def _batch(phi: Callable) -> Tensor:
    return (_slope_square(phi) / _variance(phi)).sqrt()


def _layer(phi: Callable) -> Tensor:
    return (_slope_square(phi) / _square(phi)).sqrt()


_ABOUT_BOTH = (
    ("this is its square: the factor of the gradient's *mean square*.", lambda f: f**2),
    ("it is upside down.", lambda f: 1 / f),
)

GROWTH = Exercise(
    asks="a function of phi that returns two numbers",
    cases=_activations,
    truth=lambda phi: (_batch(phi), _layer(phi)),
    parts=("the factor with batch norm", "the factor with layer norm"),
    mistakes=(
        Mistake(
            "E φ² stands where the variance should: over the batch, the mean of φ is taken off.",
            _layer,
        ),
        Mistake(
            "E φ' was squared; it is the mean of the squares that counts.",
            lambda phi: _expectation(_slope(phi)).abs() / _variance(phi).sqrt(),
        ),
        Mistake(
            "σ is missing: this is the factor of a net without norm, and weights of variance 1/n.",
            lambda phi: _slope_square(phi).sqrt(),
        ),
        Mistake(
            "σ² stands where σ should.", lambda phi: _slope_square(phi).sqrt() / _variance(phi)
        ),
        *(Mistake(h, lambda phi, f=f: f(_batch(phi))) for h, f in _ABOUT_BOTH),
        Mistake(
            "the variance stands where E φ² should: among the units of one example the weights' "
            "random signs leave no mean to take off.",
            _batch,
            part=1,
        ),
        Mistake(
            "E φ' was squared; it is the mean of the squares that counts.",
            lambda phi: _expectation(_slope(phi)).abs() / _square(phi).sqrt(),
            part=1,
        ),
        Mistake(
            "σ is missing: this is the factor of a net without norm, and weights of variance 1/n.",
            lambda phi: _slope_square(phi).sqrt(),
            part=1,
        ),
        *(Mistake(h, lambda phi, f=f: f(_layer(phi)), part=1) for h, f in _ABOUT_BOTH),
    ),
    tolerance=2e-3,
    matching=2e-3,
    near="it is less than 5 % off. A sum over z needs many points, and ends far out.",
)


# 4.15 Where the norm stands


def _blocks(generator: Generator) -> Iterator[tuple]:
    for kind in ("none", "pre", "post"):
        yield kind, fraction(generator, 0.2, 0.8), integer(generator, 3, 12)


def _stream(kind: str, branch: float, blocks: int) -> tuple[float, float]:
    if kind == "pre":
        return 1 + blocks * branch, 1 / (1 + blocks * branch)
    grown = (1 + branch) ** blocks
    return (grown if kind == "none" else 1.0), 1 / grown


def _if_kind(kind: str, hint: str, wrong: Callable[[float, int], float], part: int = 0) -> Mistake:
    """One kind of block has another variance, or another share."""

    def compute(name: str, branch: float, blocks: int) -> Tensor:
        right = _stream(name, branch, blocks)[part]
        return number(float(wrong(branch, blocks) if name == kind else right))

    return Mistake(hint, compute, part)


_AS_NONE = "with pre, the branch hears a signal of variance 1, however large the stream is: it "
_AS_NONE += "adds the same each time."

STREAM = Exercise(
    asks="a function of kind, branch and blocks that returns two numbers",
    cases=_blocks,
    truth=lambda *case: tuple(number(float(value)) for value in _stream(*case)),
    parts=("the variance of the stream", "the share of the input"),
    mistakes=(
        _if_kind("pre", _AS_NONE, lambda v, n: (1 + v) ** n),
        _if_kind("pre", _AS_NONE, lambda v, n: (1 + v) ** -n, part=1),
        _if_kind(
            "pre", "with pre, the norm is in the branch; the stream itself is not.", lambda v, n: 1
        ),
        _if_kind("pre", "with pre, the input's own variance of 1 is missing.", lambda v, n: n * v),
        _if_kind(
            "none",
            "with none, the branch hears the whole stream: it adds in proportion to it.",
            lambda v, n: 1 + n * v,
        ),
        _if_kind(
            "none",
            "with none, the branch hears the whole stream: it adds in proportion to it.",
            lambda v, n: 1 / (1 + n * v),
            part=1,
        ),
        _if_kind(
            "none", "with none, the input is missing in the sum: x + f(x).", lambda v, n: v**n
        ),
        _if_kind(
            "post", "with post, the sum itself is normalized each time.", lambda v, n: (1 + v) ** n
        ),
        _if_kind(
            "post", "with post, the sum itself is normalized each time.", lambda v, n: 1 + n * v
        ),
        _if_kind(
            "post",
            "with post, each norm divides what is left of the input as well, by the same factor.",
            lambda v, n: 1 / (1 + n * v),
            part=1,
        ),
        _if_kind(
            "post",
            "with post, each norm divides what is left of the input as well: it does not stay.",
            lambda v, n: 1.0,
            part=1,
        ),
        _if_kind(
            "post",
            "with post, this is the share of the standard deviation; variances add up.",
            lambda v, n: (1 + v) ** (-n / 2),
            part=1,
        ),
    ),
)
