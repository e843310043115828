"""Exercise 2.7: orthogonal weights of any shape."""

import math

import torch
from torch import Generator, Tensor

from d2lstab.exercises.answers import AnswerError, call, close, read
from d2lstab.exercises.exercise import fraction

ASKS = "a function of shape, gain and generator that returns a tensor"
SHAPES = ((4, 4), (3, 7), (8, 3), (6, 2, 3, 3), (20, 2, 2, 2))
ROUNDING = 1e-4  # of the largest entry: weights may be float32
DRAWS = 300
FARTHEST = 0.15
"""How far, in Kolmogorov's distance, `DRAWS` draws of an entry may lie from the uniform
distribution: with nine entries, a right answer is farther once in 40 000 classes."""


def check_orthogonal(answer: object, seed: int) -> None:
    """`AnswerError` unless ``answer`` draws gain × orthonormal weights, all directions alike."""
    generator = Generator().manual_seed(seed)
    for shape in SHAPES:
        gain = fraction(generator, 1.2, 2.5)
        weight = _draw(answer, shape, gain, seed)
        _check_products(weight, shape, gain)
        _check_randomness(answer, shape, gain, seed, weight)
    _check_directions(answer, seed)


def _draw(answer: object, shape: tuple[int, ...], gain: float, seed: int) -> Tensor:
    generator = Generator().manual_seed(seed)
    weight = read(call(answer, (shape, gain, generator), ASKS, {}), "The weight")
    if weight.shape != shape:
        raise AnswerError(f"The weight: shape {tuple(shape)} is needed, got {tuple(weight.shape)}.")
    if not weight.isfinite().all():
        raise AnswerError("The weight holds NaN or Inf.")
    return weight


def _products(matrix: Tensor) -> Tensor:
    """All products of two rows, or of two columns where there are more rows than columns."""
    rows, columns = matrix.shape
    return matrix @ matrix.T if rows <= columns else matrix.T @ matrix


def _check_products(weight: Tensor, shape: tuple[int, ...], gain: float) -> None:
    matrix = weight.reshape(shape[0], -1)
    rows, columns = matrix.shape
    products = _products(matrix)
    unit = torch.eye(len(products), dtype=torch.float64)
    if close(products, gain**2 * unit, ROUNDING):
        return
    what = "rows" if rows <= columns else "columns"
    case = f"For shape {tuple(shape)}"
    for power, hint in (
        (0.0, "the gain is missing"),
        (0.5, "the gain comes in by its square root"),
        (2.0, "the gain comes in twice"),
        (-1.0, "the gain divides"),
    ):
        if close(products, gain ** (2 * power) * unit, ROUNDING):
            raise AnswerError(f"{case} {hint}.")
    if len(shape) > 2 and _each_position(weight):
        raise AnswerError(
            f"{case} the weights of each position of the kernel are orthogonal by themselves. A "
            "unit hears all positions at once: what is one row?"
        )
    off = products - products.diagonal().diag()
    if off.abs().max() <= ROUNDING * products.diagonal().max():
        raise AnswerError(
            f"{case} its {what} are at right angles, but of another length than gain."
        )
    hint = f"{case} its {what} are not at right angles."
    lengths = matrix.norm(dim=1)
    if rows > columns and close(lengths, gain * torch.ones_like(lengths), ROUNDING):
        hint += " There are more rows than columns; how many directions can be at right angles?"
    raise AnswerError(hint)


def _each_position(weight: Tensor) -> bool:
    """Whether the slice of each position in the kernel has orthogonal rows or columns."""
    for position in weight.flatten(2).unbind(2):
        products = _products(position)
        size = products.diagonal().mean()
        if size <= 0 or not close(products, size * torch.eye(len(products)).double(), ROUNDING):
            return False
    return True


def _check_randomness(
    answer: object, shape: tuple[int, ...], gain: float, seed: int, weight: Tensor
) -> None:
    again, other = (_draw(answer, shape, gain, s) for s in (seed, (seed + 1) % 2**32))
    if close(weight, other, ROUNDING):
        raise AnswerError("Each generator gives the same weight: it is not drawn at random.")
    if not close(weight, again, ROUNDING):
        raise AnswerError(
            "The same generator gives another weight the second time: the numbers come from "
            "elsewhere."
        )


def _check_directions(answer: object, seed: int) -> None:
    """Every entry of a uniformly distributed 3 × 3 rotation is uniform on (−1, 1) (Archimedes)."""
    draws = torch.stack([_draw(answer, (3, 3), 1.0, (seed + n) % 2**32) for n in range(DRAWS)])
    expected = (torch.arange(DRAWS, dtype=torch.float64) + 0.5) / DRAWS
    share = (draws.flatten(1).sort(dim=0).values + 1) / 2
    distance = (share - expected[:, None]).abs().amax(0)
    if distance.max() <= FARTHEST:
        return
    entry = divmod(int(distance.argmax()), 3)
    values = draws[:, entry[0], entry[1]]
    positive, negative = (values > 0).double().mean(), (values < 0).double().mean()
    hint = f"It is orthogonal, but not every direction is alike: of {DRAWS} 3 × 3 matrices"
    if abs(positive - negative) > 4 / math.sqrt(DRAWS):
        hint += f" the entry {entry} is positive in {positive:.0%}"
        raise AnswerError(f"{hint}. Which signs does the decomposition choose by itself?")
    raise AnswerError(
        f"{hint} the entry {entry} has a mean square of {values.square().mean():.2f}, where ⅓ is "
        "each one's share."
    )
