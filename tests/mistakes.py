"""The mistakes that an exercise knows, made on purpose."""


def made(checker, mistake):
    """An answer that is right but for this mistake."""

    def answer(*case):
        truth = checker.truth(*case)
        if not isinstance(truth, tuple):
            return mistake.compute(*case)
        return [mistake.compute(*case) if n == mistake.part else x for n, x in enumerate(truth)]

    return answer


def part(function, number, change):
    """Answers of which one part is changed by a mistake: (value, case) → value."""

    def answer(*case):
        values = list(function(*case))
        values[number] = change(values[number], *case)
        return values

    return answer


def unmade(checkers, wrong):
    """Hints of the checkers that none of the wrong answers (exercise, answer, hint) is to get."""
    expected = {number: [hint for n, _, hint in wrong if n == number] for number in checkers}
    return [
        (number, mistake.hint)
        for number, checker in checkers.items()
        for mistake in getattr(checker, "mistakes", ())
        if not any(hint in mistake.hint for hint in expected[number])
    ]
