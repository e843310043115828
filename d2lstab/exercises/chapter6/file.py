"""Exercise 6.11: the file that the competition takes."""

import math
from collections.abc import Iterator

from torch import Generator, Tensor

from d2lstab.exercises.answers import AnswerError, call
from d2lstab.exercises.exercise import integer, normal

ASKED = "a function of ids and log_prices that returns the text of the file"
HEAD = "Id,SalePrice"


def check_file(answer: object, seed: int) -> None:
    """`AnswerError` unless each price stands under its Id, and nonsense makes no file."""
    generator = Generator().manual_seed(seed)
    for ids, logs in _houses(generator):
        _check_text(call(answer, (ids, logs), ASKED, {}), ids, logs)
    logs = 12 + 0.3 * normal(generator, 3)
    for place, value, words in (
        (1, math.nan, "a price that is no number"),
        (2, 180_000.0, "a price that is infinite (here a dollar price was taken for a logarithm)"),
    ):
        spoiled = logs.clone()
        spoiled[place] = value
        _check_refusal(answer, (7, 8, 9), spoiled, words)
    _check_refusal(answer, (7, 8, 7), logs, "an Id twice")


def _houses(generator: Generator) -> Iterator[tuple[tuple[int, ...], Tensor]]:
    """Once Ids that are not in their order."""
    first, rows = integer(generator, 1400, 1500), integer(generator, 3, 5)
    ids = tuple(range(first, first + rows))
    for numbers in (ids, ids[::-1]):
        yield numbers, 12 + 0.3 * normal(generator, rows)


def _check_text(text: object, ids: tuple[int, ...], logs: Tensor) -> None:
    if not isinstance(text, str):
        raise AnswerError(
            f"Return the text that would stand in the file; got a {type(text).__name__}."
        )
    if "tensor(" in text:
        raise AnswerError("The file has the word tensor in it: prices must become plain numbers.")
    head, *lines = [line.strip() for line in text.strip().splitlines()] or [""]
    _check_head(head)
    if len(lines) != len(ids):
        raise AnswerError(
            f"{len(ids)} houses need as many lines after the first; got {len(lines)}."
        )
    for line, number, log in zip(lines, ids, logs.tolist(), strict=True):
        _check_line(line, number, log)


def _check_head(head: str) -> None:
    if head == HEAD:
        return
    if head.startswith(","):
        raise AnswerError(
            "There is a column too many in front: pandas writes its row numbers unless told not to."
        )
    if any(sign in head for sign in ";\t") or "," not in head:
        raise AnswerError(f"A comma separates the columns; the first line is {head!r}.")
    if not any(sign.isalpha() for sign in head):
        raise AnswerError("The first line has numbers; the names of the columns are missing.")
    raise AnswerError(f"The first line must name the columns as the site does; got {head!r}.")


def _check_line(line: str, number: int, log: float) -> None:
    fields = line.split(",")
    try:
        found, price = map(float, fields)
    except ValueError:
        raise AnswerError(f"A line must be an Id, a comma and a price; got {line!r}.") from None
    if fields[0] != str(number):
        raise AnswerError(
            f"The Id {fields[0]} stands where {number} should: "
            + ("it is a whole number." if found == number else "the order is that of `ids`.")
        )
    if math.isclose(price, log, rel_tol=1e-3):
        raise AnswerError(f"The price of house {number} is still a logarithm.")
    if not math.isclose(price, math.exp(log), rel_tol=1e-4):
        near = math.isclose(price, math.exp(log), rel_tol=0.1)
        why = "nearly, but not to the dollar" if near else "not what its logarithm says"
        raise AnswerError(f"The price of house {number} is {why}.")


def _check_refusal(answer: object, ids: tuple[int, ...], logs: Tensor, words: str) -> None:
    try:
        call(answer, (ids, logs), ASKED, {})
    except AnswerError as reason:
        if "raised ValueError" in str(reason):
            return
        if "raised" not in str(reason):
            raise
        raise AnswerError(
            f"Given {words}, your function fails, but not with a ValueError that says why."
        ) from None
    raise AnswerError(f"Given {words}, your function makes a file, which the site would refuse.")
