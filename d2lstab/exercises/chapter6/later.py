"""Exercise 6.10: the score on houses like those of the test part, by a classifier's weights."""

from collections.abc import Callable, Iterator

from torch import Generator, Tensor

from d2lstab.exercises.exercise import Exercise, Mistake, integer, normal


def _houses(generator: Generator) -> Iterator[tuple]:
    for train in (4, integer(generator, 5, 8)):
        chances = (0.8 * normal(generator, train) - 0.4).sigmoid()
        test = train + integer(generator, 2, 5)
        yield chances, test, 0.15 * normal(generator, train)


def _odds(chances: Tensor, m: int, errors: Tensor) -> Tensor:
    return chances / (1 - chances)


def _weights(chances: Tensor, m: int, errors: Tensor) -> Tensor:
    return _odds(chances, m, errors) * len(chances) / m


def _weighted(change: Callable[[Tensor, Tensor], Tensor]) -> Callable[..., Tensor]:
    """A score from the weights and the errors."""
    return lambda chances, m, errors: change(_weights(chances, m, errors), errors)


LATER = Exercise(
    asks="a function of chances, m and errors that returns a tensor and a number",
    cases=_houses,
    truth=lambda *case: (
        _weights(*case),
        _weighted(lambda w, e: ((w * e**2).sum() / w.sum()).sqrt())(*case),
    ),
    parts=("the weights", "the score"),
    mistakes=(
        Mistake(
            "these are odds. The classifier also knows that the parts are not equally large.",
            _odds,
        ),
        Mistake(
            "the numbers of houses stand the wrong way round.",
            lambda chances, m, e: _odds(chances, m, e) * m / len(chances),
        ),
        Mistake(
            "these are the chances; a house that is as likely here as there must get 1.",
            lambda chances, m, e: chances,
        ),
        Mistake(
            "they favor houses that are typical of training.",
            lambda chances, m, e: 1 / _weights(chances, m, e),
        ),
        Mistake(
            "they were scaled to the mean 1; asked are the ratios themselves.",
            lambda *case: _weights(*case) / _weights(*case).mean(),
        ),
        Mistake(
            "the weights do not add up to the number of houses, by which it is divided.",
            _weighted(lambda w, e: (w * e**2).mean().sqrt()),
            part=1,
        ),
        Mistake(
            "this is the plain score, without weights.",
            _weighted(lambda w, e: e.square().mean().sqrt()),
            part=1,
        ),
        Mistake("the root is missing.", _weighted(lambda w, e: (w * e**2).sum() / w.sum()), part=1),
        Mistake(
            "the weights are squared along with the errors.",
            _weighted(lambda w, e: ((w * e).square().sum() / w.sum()).sqrt()),
            part=1,
        ),
        Mistake(
            "this is a mean of absolute errors.",
            _weighted(lambda w, e: (w * e.abs()).sum() / w.sum()),
            part=1,
        ),
    ),
)
