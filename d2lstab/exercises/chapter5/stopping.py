"""Exercise 5.17: when to stop, and which weights to keep."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from torch import Generator, Tensor

from d2lstab.exercises.exercise import Exercise, Mistake, integer, number


@dataclass(frozen=True)
class Stop:
    """best : the step whose weights are kept. last : the last step that is run."""

    best: int
    last: int


def _stop(
    losses: tuple[float, ...], patience: int, bad: Callable[..., bool], reset: bool = True
) -> Stop:
    """Count bad steps since the last good one, or all of them, until there are too many."""
    best = count = 0
    for step in range(1, len(losses)):
        is_bad = bad(losses, step, best)
        count = count + 1 if is_bad else count * (not reset)
        if losses[step] < losses[best]:
            best = step
        if count >= patience:
            return Stop(best, step)
    return Stop(best, len(losses) - 1)


def _no_better(losses: tuple[float, ...], step: int, best: int) -> bool:
    return losses[step] >= losses[best]


def _ties_are_better(losses: tuple[float, ...], step: int, best: int) -> bool:
    return losses[step] > losses[best]


def _rises(losses: tuple[float, ...], step: int, best: int) -> bool:
    return losses[step] >= losses[step - 1]


def _by_patience(losses: tuple[float, ...], patience: int) -> Stop:
    return _stop(losses, patience, _no_better)


RULES = {
    "this is the best step of all, which lies beyond the stop: who stops cannot know it.": (
        lambda losses, patience: Stop(losses.index(min(losses)), -1)
    ),
    "these are the weights of the step at which training stopped; better ones were on the way.": (
        lambda losses, patience: Stop(_by_patience(losses, patience).last, -2)
    ),
    "rises from one step to the next were counted; compare with the best so far.": (
        lambda losses, patience: _stop(losses, patience, _rises)
    ),
    "all steps without progress were counted; a new best starts the count anew.": (
        lambda losses, patience: _stop(losses, patience, _no_better, reset=False)
    ),
    "training stops one step too late.": (
        lambda losses, patience: _stop(losses, patience + 1, _no_better)
    ),
    "training stops one step too early.": (
        lambda losses, patience: _stop(losses, patience - 1, _no_better)
    ),
    "a loss that is as low as the best was taken for progress.": (
        lambda losses, patience: _stop(losses, patience, _ties_are_better)
    ),
}
"""What each mistake returns. The first two are about the step to keep alone."""


def _curves(generator: Generator) -> Iterator[tuple]:
    """Loss curves until every mistake has shown on one, and no two look alike on any."""
    shown: set[tuple[str, str]] = set()
    wanted = {(part, hint) for hint in RULES for part in ("best", "last")} - {
        ("last", hint) for hint in list(RULES)[:2]
    }
    while shown != wanted:
        steps, patience = integer(generator, 14, 22), integer(generator, 2, 4)
        walk = torch.randint(-2, 3, (steps,), generator=generator).cumsum(0)
        # a tuple, which no answer can change before it is compared with the truth
        losses = tuple(round(3.0 + 0.1 * value, 1) for value in walk.tolist())
        seen = {hint: rule(losses, patience) for hint, rule in RULES.items()}
        true, new = _by_patience(losses, patience), set()
        for part, hint in wanted:
            if getattr(seen[hint], part) != getattr(true, part):
                new.add((part, hint))
        alike = len({(part, getattr(seen[hint], part)) for part, hint in new}) < len(new)
        if not alike and new - shown:
            shown |= new
            yield losses, patience


def _returned(hint: str, part: str) -> Callable[..., Tensor]:
    return lambda losses, patience: number(float(getattr(RULES[hint](losses, patience), part)))


PATIENCE = Exercise(
    asks="a function of losses and patience that returns two integers",
    cases=_curves,
    truth=lambda *case: (
        number(float(_by_patience(*case).best)),
        number(float(_by_patience(*case).last)),
    ),
    parts=("the step to keep", "the last step"),
    mistakes=(
        *(Mistake(hint, _returned(hint, "best")) for hint in RULES),
        *(Mistake(hint, _returned(hint, "last"), part=1) for hint in list(RULES)[2:]),
    ),
)
