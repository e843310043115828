"""The checkers of chapter 3, by the number of the exercise."""

from d2lstab.exercises.chapter3.detection import BONFERRONI, P_VALUE
from d2lstab.exercises.chapter3.detector import check_detector
from d2lstab.exercises.chapter3.drift import WINDOW
from d2lstab.exercises.chapter3.feedback import BEST_OF, ENGINE_SHARE
from d2lstab.exercises.chapter3.kinds import check_kinds, check_unseen, learnable_table
from d2lstab.exercises.chapter3.priors import EM_STEP, TARGET_PRIOR
from d2lstab.exercises.chapter3.tables import LARGEST_FALL, SHIFTED_TABLES
from d2lstab.exercises.chapter3.weights import WEIGHTS, check_corrector

__all__ = ["CHECKERS", "learnable_table"]

CHECKERS = {
    "3.1": check_kinds,
    "3.2": SHIFTED_TABLES,
    "3.3": WEIGHTS,
    "3.4": P_VALUE,
    "3.5": BONFERRONI,
    "3.6": check_detector,
    "3.7": check_corrector,
    "3.8": TARGET_PRIOR,
    "3.9": EM_STEP,
    "3.10": WINDOW,
    "3.11": check_unseen,
    "3.12": LARGEST_FALL,
    "3.13": ENGINE_SHARE,
    "3.14": BEST_OF,
}
