"""Exercise 3.6: a covariate shift detector."""

from torch import Generator

from d2lstab.exercises.answers import AnswerError, call, read
from d2lstab.exercises.exercise import integer, normal

ASKS = "a function of source, target and seed that returns a p-value"
FEATURES = 8
LEVEL = 0.05
DRAWS, MOST = 40, 9
"""Of so many pairs of samples without a shift, at most so many may raise an alarm, for equal and
for unequal sizes: a right answer has more in one of 24 000 classes."""
SHIFTED, FEWEST = 8, 6
"""Of so many pairs with a shift, at least so many must raise an alarm."""


def check_detector(answer: object, seed: int) -> None:
    """`AnswerError` unless ``answer`` raises few alarms without a shift, and most with one."""
    generator = Generator().manual_seed(seed)
    feature = integer(generator, 1, FEATURES - 1)
    equal = _p_values(answer, generator, DRAWS, (60, 60))
    alarms = sum(p <= LEVEL for p in equal)
    if alarms > MOST:
        raise AnswerError(
            f"Without any shift, {alarms} of {DRAWS} p-values are at most {LEVEL}; about one is "
            "due. Which examples did the classifier learn, and on which is it put to the test?"
        )
    alarms = sum(p <= LEVEL for p in _p_values(answer, generator, DRAWS, (40, 160)))
    if alarms > MOST:
        raise AnswerError(
            f"Without any shift, but with 40 source and 160 target examples, {alarms} of {DRAWS} "
            f"p-values are at most {LEVEL}. How often is right who always says “target”?"
        )
    shifted = _p_values(answer, generator, SHIFTED, (60, 60), feature)
    shifted += _p_values(answer, generator, SHIFTED, (40, 160), feature)
    _check_power(equal, shifted)


def _p_values(
    answer: object,
    generator: Generator,
    draws: int,
    sizes: tuple[int, int],
    feature: int | None = None,
) -> list[float]:
    """The answer's p-values for pairs of samples; a shift moves one feature's mean by 2.5."""
    found = []
    for _ in range(draws):
        source, target = (normal(generator, size, FEATURES) for size in sizes)
        if feature is not None:
            target[:, feature] += 2.5
        case = (source, target, integer(generator, 0, 10**6))
        p = read(call(answer, case, ASKS, RAISED), "The p-value")
        if p.numel() != 1:
            raise AnswerError(f"A single p-value is needed, got shape {tuple(p.shape)}.")
        if p.item() == 0:
            raise AnswerError(
                "Your function returns 0. A p-value is never 0, since chance can do anything; nor "
                "is it the decision, yes or no."
            )
        if not 0 < p.item() <= 1:
            raise AnswerError(f"A p-value lies between 0 and 1; got {p.item():.3g}.")
        found.append(p.item())
    return found


def _check_power(equal: list[float], shifted: list[float]) -> None:
    alarms = sum(p <= LEVEL for p in shifted)
    if alarms >= 2 * FEWEST:
        return
    hint = (
        f"One feature of the target moved by 2.5 standard deviations, but only {alarms} of "
        f"{len(shifted)} p-values are at most {LEVEL}."
    )
    if sorted(shifted)[SHIFTED] > sorted(equal)[DRAWS * 9 // 10]:
        hint += (
            " They even rise with the shift: a p-value says how often chance alone would do so well"
            ", not how well the classifier does."
        )
    else:
        hint += " Does the classifier hear every feature, and both samples?"
    raise AnswerError(hint)


RAISED = {
    "at least 2 classes": "It needs examples of both samples, each with the name of its sample.",
}
