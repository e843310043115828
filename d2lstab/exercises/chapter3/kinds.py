"""Exercises 3.1, 3.11: the names of the shifts, and a shift that nobody can see without labels."""

from collections.abc import Iterator
from itertools import islice

import torch
from torch import Generator, Tensor

from d2lstab.exercises.answers import AnswerError, call, read
from d2lstab.exercises.chapter3.tables import distribution
from d2lstab.exercises.exercise import integer

KINDS = ("covariate", "label", "concept")
ROUNDING = 1e-6

# 3.1 Name the shift


def check_kinds(answer: object, seed: int) -> None:
    """`AnswerError` unless ``answer`` names all kinds of shift that hold, and no others."""
    asks = "a function of P and Q that returns a set of names"
    for P, Q in _shifted_tables(Generator().manual_seed(seed)):
        names = _names(call(answer, (P, Q), asks, {}))
        moves = _what_moves(P, Q)
        true = kinds(P, Q)
        if names != true:
            raise AnswerError(_hint(names, true, moves))


def kinds(P: Tensor, Q: Tensor) -> set[str]:
    """The kinds of shift from the joint table P to Q, both (inputs, classes); several may hold.

    >>> P = torch.tensor([[0.4, 0.1], [0.1, 0.4]])
    >>> kinds(P, P.flip(1))
    {'concept'}
    """
    x, y, y_given_x, x_given_y = (_what_moves(P, Q)[part] for part in PARTS)
    holds = (x and not y_given_x, y and not x_given_y, y_given_x and not x)
    return {kind for kind, true in zip(KINDS, holds, strict=True) if true}


PARTS = ("P(x)", "P(y)", "P(y | x)", "P(x | y)")


def _what_moves(P: Tensor, Q: Tensor) -> dict[str, bool]:
    pairs = (
        (P.sum(1), Q.sum(1)),
        (P.sum(0), Q.sum(0)),
        (P / P.sum(1, keepdim=True), Q / Q.sum(1, keepdim=True)),
        (P / P.sum(0), Q / Q.sum(0)),
    )
    return {
        part: bool((p - q).abs().max() > ROUNDING)
        for part, (p, q) in zip(PARTS, pairs, strict=True)
    }


def _shifted_tables(generator: Generator) -> Iterator[tuple[Tensor, Tensor]]:
    """One pair of tables for each thing that can happen, and some that look like another one."""
    P = distribution(generator, 4, 3)
    rows, columns = distribution(generator, 4, 1), distribution(generator, 3)
    conditional = distribution(generator, 4, 3)
    conditional = conditional / conditional.sum(1, keepdim=True)
    yield P, P / P.sum(1, keepdim=True) * rows  # covariate
    yield P, P / P.sum(0) * columns  # label
    yield P, P.sum(1, keepdim=True) * conditional  # concept
    yield P, rows * conditional  # none: nothing stays
    yield P, P / P.sum(1, keepdim=True) * P.sum(1, keepdim=True)  # none: nothing moves
    certain = torch.zeros(6, 3, dtype=torch.float64)
    certain[torch.arange(6), torch.tensor([0, 0, 1, 1, 2, 2])] = distribution(generator, 6)
    yield certain, certain / certain.sum(0) * columns  # covariate and label
    unrelated = rows * distribution(generator, 3)
    yield unrelated, rows * columns  # label and concept


def _names(value: object) -> set[str]:
    """A learner's collection of names as a set."""
    if isinstance(value, str):
        raise AnswerError("Return a set of names, even of one: more than one may hold, or none.")
    try:
        names = set(islice(value, 10))  # it may never end
    except Exception:  # no collection, or one that raises
        raise AnswerError(f"Return a set of names; got {type(value).__name__}.") from None
    if strange := [n for n in names if not isinstance(n, str) or n not in KINDS]:
        got = repr(strange[0][:40]) if isinstance(strange[0], str) else type(strange[0]).__name__
        raise AnswerError(f"The names are {', '.join(KINDS)}; got {got}.")
    return names


def _hint(names: set[str], true: set[str], moves: dict[str, bool]) -> str:
    """Name the mistake behind a wrong set of names."""
    if not any(moves.values()):
        return "It names a shift where the tables differ by rounding only."
    for kind, part, stays in (
        ("covariate", "P(x)", "P(y | x)"),
        ("label", "P(y)", "P(x | y)"),
        ("concept", "P(y | x)", "P(x)"),
    ):
        if kind in names - true:
            if moves[part]:
                return (
                    f"It calls a pair of tables {kind} shift in which {part} moves, but {stays} "
                    "moves as well. What has to stay?"
                )
            return f"It calls a pair of tables {kind} shift in which {part} does not move at all."
    if names and len(true) > 1:
        return "It names one kind only for a pair of tables of which two hold."
    missing = min(true - names, key=KINDS.index)
    return (
        f"It misses a {missing} shift. What has to stay is equal only up to rounding; and which "
        "sums make a conditional probability?"
    )


# 3.11 A shift that nobody can see


def learnable_table(seed: int = 0) -> Tensor:
    """Return a joint table, one for each class seed, float64, (inputs, labels).

    All labels are equally frequent, and the best model gets more than 70 % right.

    >>> learnable_table(1).sum(0)
    tensor([0.3333, 0.3333, 0.3333], dtype=torch.float64)
    """
    return _learnable(Generator().manual_seed(seed), labels=3)


def check_unseen(answer: object, seed: int) -> None:
    """`AnswerError` unless ``answer`` ruins a table's best model and leaves P(x) and P(y) alone."""
    generator = Generator().manual_seed(seed)
    for labels in (3, 2, integer(generator, 4, 6)):
        P = _learnable(generator, labels)
        value = call(answer, (P,), "a function of P that returns a table", {})
        _check_unseen(P, read(value, "The table"))


def _learnable(generator: Generator, labels: int) -> Tensor:
    copies = integer(generator, 2, 3)
    noise = distribution(generator, copies * labels, labels)
    best = torch.eye(labels, dtype=torch.float64).repeat(copies, 1) / copies
    table = (0.78 * best + 0.22 * noise / noise.sum(0)) / labels
    return table[torch.randperm(len(table), generator=generator)]


def _check_unseen(P: Tensor, Q: Tensor) -> None:
    if Q.shape != P.shape:
        raise AnswerError(f"The table: shape {tuple(P.shape)} is needed, got {tuple(Q.shape)}.")
    if not Q.isfinite().all():
        raise AnswerError("The table holds NaN or Inf.")
    if Q.min() < -ROUNDING:
        raise AnswerError("The table has negative entries: they are no probabilities.")
    if abs(Q.sum() - 1) > ROUNDING:
        raise AnswerError(
            f"The entries have the sum {Q.sum():.3g}; those of a joint table have the sum 1."
        )
    if _moved(P, Q, 1):
        raise AnswerError("P(x) has moved: a test on the inputs can see that.")
    if _moved(P, Q, 0):
        raise AnswerError("P(y) has moved: who knows the new share of each label would notice.")
    right = Q.gather(1, P.argmax(1, keepdim=True)).sum().item()
    if right > 1 / P.shape[1] - ROUNDING:
        raise AnswerError(
            f"The model that is best for P still gets {right:.0%} right in your table; of "
            f"{P.shape[1]} labels, guessing gets {1 / P.shape[1]:.0%}."
        )


def _moved(P: Tensor, Q: Tensor, dimension: int) -> bool:
    return bool((P.sum(dimension) - Q.sum(dimension)).abs().max() > ROUNDING)
