"""Exercises 6.1, 6.2: numbers and words of new houses, by what the training part has."""

from collections.abc import Callable, Iterator, Sequence

import torch
from torch import Generator, Tensor

from d2lstab.exercises.exercise import Exercise, Mistake, integer, normal

# 6.1 Standardize by the training part

Moments = tuple[Tensor, Tensor]


def _parts(generator: Generator) -> Iterator[tuple]:
    """Columns with gaps, with gaps in the new part alone, and one that does not vary."""
    for new in (5, 1):  # the last house comes alone
        parts = [normal(generator, rows, 4) * 3 + 7 for rows in (integer(generator, 6, 8), new)]
        parts[0][:, 2] = 4.0
        if new > 1:
            parts[0][1, 0] = parts[0][4, 0] = parts[1][0, 0] = parts[1][2, 1] = torch.nan
        yield tuple(parts)


def _moments(x: Tensor, less: int = 0) -> Moments:
    """The mean and standard deviation of the known values of each column, 1 for a constant."""
    known = ~x.isnan()
    x, count = x.nan_to_num(), known.sum(0)
    mean = (x * known).sum(0) / count
    std = (((x - mean) * known).square().sum(0) / (count - less).clamp(min=1)).sqrt()
    return mean, torch.where(std == 0, torch.ones_like(std), std)


def _scaled(x: Tensor, moments: Moments) -> Tensor:
    return ((x - moments[0]) / moments[1]).nan_to_num()


def _by(moments: Callable[[Tensor, Tensor], Moments], part: int) -> Callable[..., Tensor]:
    """The training (0) or new (1) part, by moments that are taken from both."""
    return lambda *case: _scaled(case[part], moments(*case))


def _mean_first(train: Tensor, new: Tensor) -> Moments:
    """As though gaps had been filled by the mean before the standard deviation is taken."""
    filled = torch.where(train.isnan(), _moments(train)[0], train)
    return _moments(filled)


def _zero_gap(part: int) -> Callable[..., Tensor]:
    """Gaps that are 0 before they are standardized."""
    return lambda *case: _scaled(case[part].nan_to_num(), _moments(case[0]))


_LEAK = "the new houses have a part in the means and standard deviations: that is leakage."
_AS_ZERO = "a gap was taken for a 0 of the table, and not for the mean."
_LESS = (
    "the squares are divided by one less than their number; asked is the population's standard "
    "deviation."
)
_SHRUNK = (
    "gaps were filled before the standard deviation was taken: all those means make it smaller."
)

STANDARDIZED = Exercise(
    asks="a function of train and new that returns two tensors",
    cases=_parts,
    truth=lambda *case: tuple(
        _by(lambda train, new: _moments(train), part)(*case) for part in (0, 1)
    ),
    parts=("the training part", "the new part"),
    mistakes=(
        Mistake(_LEAK, _by(lambda train, new: _moments(torch.cat([train, new])), 0)),
        Mistake(_LESS, _by(lambda train, new: _moments(train, less=1), 0)),
        Mistake(_SHRUNK, _by(_mean_first, 0)),
        Mistake(_AS_ZERO, _zero_gap(0)),
        Mistake(
            _AS_ZERO,
            lambda train, new: _scaled(train.nan_to_num(), _moments(train.nan_to_num())),
        ),
        Mistake(
            "the mean is taken off, and nothing is divided.",
            _by(lambda train, new: (_moments(train)[0], torch.ones(4)), 0),
        ),
        Mistake(
            "it is divided by variances.",
            _by(lambda train, new: (_moments(train)[0], _moments(train)[1] ** 2), 0),
        ),
        Mistake(
            "it is standardized by itself: a model would meet the same house in another unit, and "
            "one house alone is its own mean.",
            _by(lambda train, new: _moments(new), 1),
            part=1,
        ),
        Mistake(_LEAK, _by(lambda train, new: _moments(torch.cat([train, new])), 1), part=1),
        Mistake(_AS_ZERO, _zero_gap(1), part=1),
    ),
    not_finite="It holds NaN or Inf. Is a gap left, or has a column that does not vary been "
    "divided by its spread?",
)


# 6.2 A word never seen

_WORDS = ("BrkSide", "Edwards", "Gilbert", "NAmes", "OldTown", "Sawyer", "Timber", "Veenker")

Words = Sequence[str | None]


def _words(generator: Generator) -> Iterator[tuple]:
    """Three words in training, not in their order; a new one and a gap in the new part."""
    for gap in (True, False):
        places = sorted(torch.randperm(8, generator=generator)[:4].tolist())
        unseen = places.pop(integer(generator, 0, 3))
        low, middle, high = (_WORDS[place] for place in places)
        train = (middle, high, low, middle, *([None] if gap else []), low, middle)
        new = (high, _WORDS[unseen], None, middle, high)
        yield train, new


def _categories(words: Words) -> list[str | None]:
    return sorted({word for word in words if word}) + [None] * (None in words)


def _ones(words: Words, columns: Sequence[str | None]) -> Tensor:
    rows = [[float(word == column) for column in columns] for word in words]
    return torch.tensor(rows, dtype=torch.float64)


def _with(columns: Callable[[Words, Words], list[str | None]]) -> Callable[..., Tensor]:
    return lambda train, new: _ones(new, columns(train, new))


def _unknown_is_missing(train: Words, new: Words) -> Tensor:
    seen = _categories(train)
    return _ones([word if word in seen else None for word in new], seen)


ONE_HOT = Exercise(
    asks="a function of train and new that returns a tensor",
    cases=_words,
    truth=_with(lambda train, new: _categories(train)),
    parts=("the columns",),
    mistakes=(
        Mistake(
            "a word that only the new part has gets a column, whose weight no house has trained.",
            _with(lambda train, new: _categories(train + new)),
        ),
        Mistake(
            "they are the words of the new part; a model has weights for those of training.",
            _with(lambda train, new: _categories(new)),
        ),
        Mistake(
            "a word never seen was called missing. Nobody forgot to write it down.",
            _unknown_is_missing,
        ),
        Mistake(
            "there is none for gaps, though training had some.",
            _with(lambda train, new: [word for word in _categories(train) if word]),
        ),
        Mistake(
            "there is one for gaps, though training had none.",
            _with(lambda train, new: [*filter(None, _categories(train)), None]),
        ),
        Mistake(
            "that of the gaps does not stand last.",
            _with(
                lambda train, new: [None] * (None in train) + [*filter(None, _categories(train))]
            ),
        ),
        Mistake(
            "they stand in the order in which the words come, and not in that of the alphabet.",
            _with(
                lambda train, new: [*filter(None, dict.fromkeys(train))] + [None] * (None in train)
            ),
        ),
        Mistake(
            "one category has none. That may be done, but is not asked for.",
            _with(lambda train, new: _categories(train)[1:]),
        ),
        Mistake(
            "there are none: a word became the number of its category, as though categories had an "
            "order and distances.",
            lambda train, new: torch.tensor(
                [_categories(train).index(w) if w in train else -1.0 for w in new]
            ).double(),
        ),
    ),
)
