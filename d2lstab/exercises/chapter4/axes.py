"""Exercises 4.1, 4.3, 4.12: which numbers share a mean, groups of channels, and mixed units."""

from collections.abc import Callable, Iterator

import torch
import torch.nn.functional as F
from torch import Generator, Tensor

from d2lstab.exercises.exercise import Exercise, Mistake, fraction, integer, normal, number

# 4.1 Which numbers share a mean?


def _shapes(generator: Generator) -> Iterator[tuple]:
    primes = (5, 7, 11, 13)  # so that no two products are the same by chance
    for norm in ("batch", "layer", "instance", "group"):
        examples = primes[integer(generator, 0, 3)]
        shape = examples, 12, integer(generator, 8, 10), integer(generator, 16, 18)
        yield norm, shape, (2, 3, 4, 6)[integer(generator, 0, 3)]


def _shared(norm: str, shape: tuple[int, ...], groups: int) -> tuple[Tensor, Tensor]:
    n, c, h, w = shape
    means = {"batch": c, "layer": n, "instance": n * c, "group": n * groups}[norm]
    return number(float(means)), number(n * c * h * w / means)


def _if_norm(norm: str, hint: str, means: Callable[..., float]) -> tuple[Mistake, Mistake]:
    """One norm has another number of means: seen in it, or in how many numbers share one."""

    def wrong(part: int) -> Callable[..., Tensor]:
        def compute(name: str, shape: tuple[int, ...], groups: int) -> Tensor:
            if name != norm:
                return _shared(name, shape, groups)[part]
            n, c, h, w = shape
            count = means(n, c, h, w, groups)
            return number(float(count if part == 0 else n * c * h * w / count))

        return compute

    return Mistake(hint, wrong(0)), Mistake(hint, wrong(1), part=1)


SHARED = Exercise(
    asks="a function of norm, shape and groups that returns two numbers",
    cases=_shapes,
    truth=_shared,
    parts=("how many means", "how many numbers share one"),
    mistakes=(
        *_if_norm(
            "layer",
            "layer norm's means go over the examples here; it never looks at another example.",
            lambda n, c, h, w, g: 1,
        ),
        *_if_norm(
            "layer",
            "layer norm has a mean for each position here, as in a transformer. Of an image all "
            "positions share one.",
            lambda n, c, h, w, g: n * h * w,
        ),
        *_if_norm(
            "batch",
            "batch norm has a mean for each pixel of each channel here. A convolution treats all "
            "positions alike, and so does its norm.",
            lambda n, c, h, w, g: c * h * w,
        ),
        *_if_norm(
            "batch",
            "batch norm's means are those of single examples here: that is instance norm.",
            lambda n, c, h, w, g: n * c,
        ),
        *_if_norm("batch", "batch norm's mean is one for all channels.", lambda n, c, h, w, g: 1),
        *_if_norm(
            "instance",
            "instance norm's means go over the examples here: that is batch norm.",
            lambda n, c, h, w, g: c,
        ),
        *_if_norm(
            "group",
            "`groups` was taken for the number of channels in a group.",
            lambda n, c, h, w, g: n * c / g,
        ),
        *_if_norm(
            "group",
            "group norm's means go over the examples here; it never looks at another example.",
            lambda n, c, h, w, g: g,
        ),
        *_if_norm(
            "group",
            "group norm's means are those of single positions here; all positions share one.",
            lambda n, c, h, w, g: n * g * h * w,
        ),
    ),
)


# 4.3 Groups of channels


def _images(generator: Generator) -> Iterator[tuple]:
    for groups in (3, 2):
        size = integer(generator, 2, 4), 12, integer(generator, 2, 3), 4
        channels = 3 * normal(generator, 1, 12, 1, 1)
        yield normal(generator, *size) + channels, groups, fraction(generator, 0.02, 0.2)


def _by(x: Tensor, shape: tuple[int, ...], dims: tuple[int, ...], eps: float, **options) -> Tensor:
    """x standardized over some dimensions of another shape."""
    seen = x.reshape(shape)
    var, mean = torch.var_mean(seen, dims, keepdim=True, correction=options.get("correction", 0))
    return ((seen - mean) / (var + eps).sqrt()).reshape(x.shape)


GROUP_NORM = Exercise(
    asks="a function of x, groups and eps that returns a tensor",
    cases=_images,
    truth=lambda x, groups, eps: F.group_norm(x, groups, eps=eps),
    parts=("the output",),
    mistakes=(
        Mistake(
            "the groups are interleaved: channel 0 is not with its neighbor, but with channel "
            "`groups`.",
            lambda x, groups, eps: _by(x, (len(x), -1, groups, *x.shape[2:]), (1, 3, 4), eps),
        ),
        Mistake(
            "`groups` was taken for the number of channels in a group.",
            lambda x, groups, eps: F.group_norm(x, x.shape[1] // groups, eps=eps),
        ),
        Mistake(
            "the examples of the batch share their means.",
            lambda x, groups, eps: _by(x, (len(x), groups, -1), (0, 2), eps),
        ),
        Mistake(
            "each position has its own mean; all positions of a group share one.",
            lambda x, groups, eps: _by(x, (len(x), groups, -1, *x.shape[2:]), (2,), eps),
        ),
        Mistake(
            "each channel has its own mean: that is instance norm.",
            lambda x, groups, eps: F.instance_norm(x, eps=eps),
        ),
        Mistake(
            "all channels share a mean: that is layer norm.",
            lambda x, groups, eps: F.group_norm(x, 1, eps=eps),
        ),
        Mistake(
            "its variance is the unbiased one.",
            lambda x, groups, eps: _by(x, (len(x), groups, -1), (2,), eps, correction=1),
        ),
        Mistake("eps is missing.", lambda x, groups, eps: F.group_norm(x, groups, eps=0.0)),
    ),
)


# 4.12 Another unit


def _rows(generator: Generator) -> Iterator[tuple]:
    for columns in (5, integer(generator, 6, 9)):
        x = normal(generator, 6, columns)
        column = integer(generator, 0, columns - 1)
        signs = torch.tensor([1.0, -1.0] * 3, dtype=torch.float64)
        x[:, column] = signs * (0.5 + x[:, column].abs())
        yield x, column


def _layer_norm(x: Tensor) -> Tensor:
    return F.layer_norm(x, x.shape[1:], eps=0.0)


def _limit(x: Tensor, column: int) -> Tensor:
    return _layer_norm(_pointed(x, column))


def _pointed(x: Tensor, column: int) -> Tensor:
    """What is left of a row when one column outweighs the others: its sign."""
    pointed = torch.zeros_like(x)
    pointed[:, column] = x[:, column].sign()
    return pointed


OTHER_UNIT = Exercise(
    asks="a function of x and column that returns a tensor",
    cases=_rows,
    truth=_limit,
    parts=("the limit",),
    mistakes=(
        Mistake(
            "these are the rows over their lengths. What is their mean, what their mean square?",
            _pointed,
        ),
        Mistake(
            "the other columns are 0, as RMS norm would have it; layer norm takes the mean out.",
            lambda x, column: _pointed(x, column) * x.shape[1] ** 0.5,
        ),
        Mistake(
            "all rows are alike; the large number may be negative.",
            lambda x, column: _limit(x.abs(), column),
        ),
        Mistake(
            "its variance is the unbiased one, with d − 1.",
            lambda x, column: _limit(x, column) * ((x.shape[1] - 1) / x.shape[1]) ** 0.5,
        ),
        Mistake("the unit has not changed at all.", lambda x, column: _layer_norm(x)),
        Mistake(
            "this is batch norm: it does not notice a unit.",
            lambda x, column: (x - x.mean(0)) / x.std(0, False),
        ),
        Mistake(
            "this is the other way: the unit is so large that the number became 0.",
            lambda x, column: _layer_norm(x - _pointed(x.abs(), column) * x),
        ),
    ),
    near="it is less than 5 % off: how large was your factor, and what does the limit forget?",
)
