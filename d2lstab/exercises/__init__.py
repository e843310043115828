"""Check the answers to the course's exercises: right, or a hint that names the mistake.

>>> from d2lstab.exercises import check
>>> check("1.9", lambda X, y, n_classes, c: X.mean(0))
1.9 is not right yet. The gradient: shape (3, 4) is needed, got (4,).
"""

import difflib
import html
import numbers
from dataclasses import dataclass

from d2lstab.exercises import chapter1, chapter2, chapter3, chapter4, chapter5, chapter6
from d2lstab.exercises.answers import AnswerError

__all__ = ["Result", "check"]

CHECKERS = {
    **chapter1.CHECKERS,
    **chapter2.CHECKERS,
    **chapter3.CHECKERS,
    **chapter4.CHECKERS,
    **chapter5.CHECKERS,
    **chapter6.CHECKERS,
}
"""Every checker by the number of its exercise: (answer, seed) → None, or an `AnswerError`."""


@dataclass(frozen=True, repr=False)
class Result:
    """What became of an answer; true in an ``if`` when the answer is right.

    exercise : its number. correct : whether the answer is right. hint : the mistake, "" if right.
    """

    exercise: str
    correct: bool
    hint: str = ""

    def __bool__(self) -> bool:
        return self.correct

    def __repr__(self) -> str:
        return f"{self.exercise} is " + (
            "right." if self.correct else f"not right yet. {self.hint}"
        )

    def _repr_html_(self) -> str:
        color = "#2e9e4f" if self.correct else "#d9822b"
        style = f"border-left: 4px solid {color}; padding: 4px 10px; max-width: 48em"
        head, _, hint = repr(self).partition(". ")
        text = html.escape(hint)
        return f'<div style="{style}"><b>{head.rstrip(".")}.</b> {text}</div>'


def check(exercise: str, answer: object, *, seed: int = 0) -> Result:
    """Say whether ``answer`` solves an exercise, and if not, what is wrong with it.

    exercise : its number as text, "1.3". answer : what the exercise asks for, mostly a function;
    anything at all may be given, a wrong kind is a wrong answer. seed : draws the cases that are
    tried and, where the exercise has variants, says which one was solved; 0 to 2³² − 1.

    Each call of the answer is stopped after 5 seconds, in the main thread on Unix.

    Raises ValueError for an exercise that does not exist, with the nearest one that does, and
    TypeError when its number is not text: as numbers, 1.1 and 1.10 are the same.
    """
    if not isinstance(exercise, str):
        raise TypeError(f'exercise must be text, like "1.3"; got {exercise!r}.')
    if exercise not in CHECKERS:
        near = difflib.get_close_matches(exercise, CHECKERS, n=1, cutoff=0)[0]
        raise ValueError(
            f"exercise must be one of {', '.join(CHECKERS)}; got {exercise!r}. "
            f"Did you mean {near!r}?"
        )
    if not isinstance(seed, numbers.Integral) or isinstance(seed, bool):
        raise TypeError(f"seed must be an integer from 0 to 2³² − 1; got {seed!r}.")
    if not 0 <= seed < 2**32:
        raise ValueError(f"seed must be an integer from 0 to 2³² − 1; got {seed!r}.")
    try:
        CHECKERS[exercise](answer, int(seed))
    except AnswerError as wrong:
        return Result(exercise, False, str(wrong))
    return Result(exercise, True)
