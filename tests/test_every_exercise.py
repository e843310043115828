"""What holds for the exercises of every chapter: right answers, typical mistakes, hints."""

import pytest
import test_exercises
import test_exercises_chapter2
import test_exercises_chapter3
import test_exercises_chapter4
import test_exercises_chapter5
import test_exercises_chapter6
from mistakes import made, unmade

from d2lstab.exercises import CHECKERS, check

pytestmark = pytest.mark.once

CHAPTERS = (
    test_exercises,
    test_exercises_chapter2,
    test_exercises_chapter3,
    test_exercises_chapter4,
    test_exercises_chapter5,
    test_exercises_chapter6,
)
RIGHT = {number: answer for chapter in CHAPTERS for number, answer in chapter.RIGHT.items()}
WRONG = [mistake for chapter in CHAPTERS for mistake in chapter.WRONG]
SPOILERS = {
    exercise: chapter.SPOILERS
    for number, chapter in enumerate(CHAPTERS, start=1)
    for exercise in CHECKERS
    if exercise.startswith(f"{number}.")
}
# Those of chapter 1 are checked in parts, which `mistakes.made` does not know.
LATER = {number: checker for number, checker in CHECKERS.items() if number[:2] != "1."}


def test_every_exercise_has_a_right_answer_and_many_wrong_ones():
    assert set(RIGHT) | {"1.11"} == set(CHECKERS)  # of 1.11: a network to repair
    for exercise in CHECKERS:
        least = 3 if exercise.startswith("1.") else 5
        assert sum(number == exercise for number, _, _ in WRONG) >= least, exercise


def test_every_hint_that_an_exercise_has_is_given_to_some_wrong_answer():
    assert unmade(LATER, WRONG) == []


@pytest.mark.parametrize("exercise", [n for n in LATER if hasattr(LATER[n], "mistakes")])
def test_no_mistake_is_taken_for_another_one(exercise):
    for mistake in CHECKERS[exercise].mistakes:
        for seed in range(100, 103 if exercise == "2.8" else 106):
            result = check(exercise, made(CHECKERS[exercise], mistake), seed=seed)
            assert mistake.hint in result.hint, (seed, mistake.hint, result)


@pytest.mark.parametrize("exercise", RIGHT)
def test_the_right_answer_passes_under_many_seeds(exercise):
    for seed in range(8):
        result = check(exercise, RIGHT[exercise], seed=seed)
        assert result and result.correct and result.hint == "", result


@pytest.mark.parametrize(("exercise", "answer", "hint"), WRONG)
def test_a_typical_mistake_gets_the_hint_meant_for_it(exercise, answer, hint):
    for seed in (3,) if exercise == "1.11" else (0, 3):  # the network of 1.11 is that of seed 3
        result = check(exercise, answer, seed=seed)
        assert not result and not result.correct and hint in result.hint, result


@pytest.mark.parametrize("exercise", CHECKERS)
def test_a_hint_gives_no_solution_away(exercise):
    own = [answer for number, answer, _ in WRONG if number == exercise]
    hints = " ".join(check(exercise, answer, seed=3).hint for answer in own)
    assert not any(spoiler in hints for spoiler in SPOILERS[exercise]), hints
