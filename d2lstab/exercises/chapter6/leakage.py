"""Exercise 6.3: a test for leakage, tried on preparations that leak and on some that do not."""

from collections.abc import Callable, Iterator

import torch
from torch import Generator, Tensor

from d2lstab.exercises.answers import AnswerError, call
from d2lstab.exercises.exercise import integer, normal

ASKED = "a function of prepare, table and held_out that returns True or False"

Prepare = Callable[[Tensor, Tensor], Tensor]


def _others(table: Tensor, held_out: Tensor) -> Tensor:
    """The rows of the training part."""
    keep = torch.ones(len(table), dtype=torch.bool)
    keep[held_out] = False
    return table[keep]


def _by_training(table: Tensor, held_out: Tensor) -> Tensor:
    train = _others(table, held_out)
    return (table - train.mean(0)) / train.std(0)


def _each_by_itself(table: Tensor, held_out: Tensor) -> Tensor:
    """Held-out rows are centred by their own mean: bad, but training knows nothing of them."""
    out = _by_training(table, held_out)
    out[held_out] = table[held_out] - table[held_out].mean(0)
    return out


def _signed_root(table: Tensor, held_out: Tensor) -> Tensor:
    return table.sign() * table.abs().sqrt()


def _by_all(table: Tensor, held_out: Tensor) -> Tensor:
    return (table - table.mean(0)) / table.std(0)


def _by_largest(table: Tensor, held_out: Tensor) -> Tensor:
    return table / table.amax(0).abs()


def _by_smallest(table: Tensor, held_out: Tensor) -> Tensor:
    return table - table.amin(0)


def _by_median(table: Tensor, held_out: Tensor) -> Tensor:
    return table - table.median(0).values


def _last_column(table: Tensor, held_out: Tensor) -> Tensor:
    out = _by_training(table, held_out)
    return torch.cat([out[:, :-1], _by_all(table, held_out)[:, -1:]], 1)


def _price_of_a_place(table: Tensor, held_out: Tensor) -> Tensor:
    """The first sign is a category; a row gets the mean of the last column over its own."""
    like = table[:, :1].sign() == table[:, 0].sign()
    return (like * table[:, -1]).sum(1, keepdim=True) / like.sum(1, keepdim=True)


HONEST = {
    "that learns from the training rows alone": _by_training,
    "that treats the held-out rows by themselves": _each_by_itself,
    "that learns nothing at all": _signed_root,
}

LEAKY = {
    "whose means and standard deviations are those of all rows": _by_all,
    "that gives a row the mean of the last column over rows of its kind": _price_of_a_place,
    "that leaks in the last column alone": _last_column,
    "that divides by the largest value of all rows": _by_largest,
    "that takes off the smallest value of all rows": _by_smallest,
    "that takes off the median of all rows": _by_median,
}


def check_leaks(answer: object, seed: int) -> None:
    """`AnswerError` unless each preparation is judged rightly, the honest ones first."""
    generator = Generator().manual_seed(seed)
    for table, held_out in _tables(generator):
        for kinds, leaks in ((HONEST, False), (LEAKY, True)):
            for words, prepare in kinds.items():
                _judge(call(answer, (prepare, table, held_out), ASKED, {}), words, leaks)


def _tables(generator: Generator) -> Iterator[tuple[Tensor, Tensor]]:
    """Both extremes of each column are in the training part; the held-out rows are not near."""
    for rows in (9, integer(generator, 10, 13)):
        table = normal(generator, rows, 3) + torch.tensor([0.0, 2.0, -1.0])
        table[0], table[1] = table.amax(0) + 1, table.amin(0) - 1
        yield table, torch.randperm(rows - 2, generator=generator)[:3] + 2


def _judge(verdict: object, words: str, leaks: bool) -> None:
    try:
        verdict = bool(torch.as_tensor(verdict).item())
    except Exception:  # whatever a learner returns
        raise AnswerError("Your function must return True or False.") from None
    if verdict and not leaks:
        raise AnswerError(
            f"A preparation {words} is accused. Which rows of the result may change, and which "
            "rows did you change?"
        )
    if leaks and not verdict:
        raise AnswerError(f"A preparation goes free {words}. Would any of your changes move that?")
