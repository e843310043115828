"""An exercise as data: cases to try, how to compute the truth, and what each mistake would give."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from itertools import islice

import torch
from torch import Generator, Tensor

from d2lstab.exercises.answers import AnswerError, call, close, read


def normal(generator: Generator, *shape: int) -> Tensor:
    """Standard normal numbers for a case, float64."""
    return torch.randn(shape, generator=generator, dtype=torch.float64)


def integer(generator: Generator, low: int, high: int) -> int:
    """A random integer for a case, both ends included."""
    return int(torch.randint(low, high + 1, (), generator=generator))


def number(value: float) -> Tensor:
    """A float64 tensor without dimensions."""
    return torch.tensor(value, dtype=torch.float64)


def fraction(generator: Generator, low: float, high: float) -> float:
    """A random number with two decimals."""
    share = torch.rand((), generator=generator).item()
    return round(low + (high - low) * share, 2)


@dataclass(frozen=True)
class Mistake:
    """A known mistake: an answer that equals what ``compute`` gives has made it.

    hint : names the mistake. compute : the case's arguments → what a learner who makes it gets.
    part : which part of the answer it concerns.
    """

    hint: str
    compute: Callable[..., Tensor]
    part: int = 0


@dataclass(frozen=True)
class Exercise:
    """An exercise whose answer is a function with one right value for each case.

    asks : what the answer must be, as a noun phrase.
    cases : generator → the arguments to try, one tuple for each call.
    truth : the arguments of a case → the right value, float64, by measurement or closed form; a
        tuple of them where the answer has several parts.
    parts : what each part is called.
    mistakes : the known ones, the likelier first.
    tolerance : how far an entry may be off, as a share of the largest entry of the truth.
    matching : the same for a value that equals what a mistake gives.
    near, not_finite : hints for a value that is less than 5 % off, and for NaN or Inf.
    raised : hints for exceptions of the answer, by a part of their text.
    """

    asks: str
    cases: Callable[[Generator], Iterable[tuple]]
    truth: Callable[..., Tensor | tuple[Tensor, ...]]
    parts: tuple[str, ...]
    mistakes: tuple[Mistake, ...]
    tolerance: float = 1e-6
    matching: float = 1e-5
    near: str = "It is less than 5 % off, but more than rounding explains."
    not_finite: str = "It holds NaN or Inf."
    raised: dict[str, str] = field(default_factory=dict)

    def __call__(self, answer: object, seed: int) -> None:
        """Raise `AnswerError` with a hint unless ``answer`` is right in all cases of ``seed``."""
        for case in self.cases(Generator().manual_seed(seed)):
            value = call(answer, case, self.asks, self.raised)
            truth = self.truth(*case)
            truths = truth if isinstance(truth, tuple) else (truth,)
            for index, (part, true) in enumerate(zip(self._parts(value), truths, strict=True)):
                name = self.parts[index][0].upper() + self.parts[index][1:]
                self._compare(name, index, read(part, name), true, case)

    def _parts(self, value: object) -> tuple:
        """The answer's value taken apart into as many parts as there are."""
        if len(self.parts) == 1:
            return (value,)
        try:
            parts = tuple(islice(value, len(self.parts) + 1))
        except Exception:  # no iterable, or one that raises
            parts = (value,)
        if len(parts) != len(self.parts):
            names = ", ".join(self.parts)
            raise AnswerError(
                f"Your function must return {len(self.parts)} values, in the order {names}."
            )
        return parts

    def _compare(self, name: str, index: int, value: Tensor, truth: Tensor, case: tuple) -> None:
        if truth.ndim == 0 and value.numel() == 1:
            value = value.reshape(())
        if close(value, truth, self.tolerance):
            return
        for mistake in self.mistakes:
            if mistake.part == index and close(value, mistake.compute(*case), self.matching):
                raise AnswerError(f"{name}: {mistake.hint}")
        if value.shape != truth.shape:
            shapes = f"shape {tuple(truth.shape)} is needed, got {tuple(value.shape)}"
            raise AnswerError(f"{name}: {shapes}.")
        if not value.isfinite().all():
            raise AnswerError(f"{name}: {self.not_finite}")
        if close(value, truth, 0.05):
            raise AnswerError(f"{name}: {self.near}")
        raise AnswerError(
            f"{name}: the value is not right; try it on a case small enough for paper."
        )
