"""The checkers of chapter 6, by the number of the exercise."""

from d2lstab.exercises.chapter6.file import check_file
from d2lstab.exercises.chapter6.folds import DIFFERENCE, TUNED
from d2lstab.exercises.chapter6.gaps import FLAGGED, HIDDEN
from d2lstab.exercises.chapter6.later import LATER
from d2lstab.exercises.chapter6.leakage import check_leaks
from d2lstab.exercises.chapter6.preparation import ONE_HOT, STANDARDIZED
from d2lstab.exercises.chapter6.scale import RESCALED, UNITS

__all__ = ["CHECKERS"]

CHECKERS = {
    "6.1": STANDARDIZED,
    "6.2": ONE_HOT,
    "6.3": check_leaks,
    "6.4": HIDDEN,
    "6.5": FLAGGED,
    "6.6": RESCALED,
    "6.7": UNITS,
    "6.8": TUNED,
    "6.9": DIFFERENCE,
    "6.10": LATER,
    "6.11": check_file,
}
