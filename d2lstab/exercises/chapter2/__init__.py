"""The checkers of chapter 2, by the number of the exercise."""

from d2lstab.exercises.chapter2.algorithms import LARS_STEP, LSUV
from d2lstab.exercises.chapter2.fans import FANS, XAVIER_FACTORS
from d2lstab.exercises.chapter2.meanfield import EDGE_OF_CHAOS, RELU_CORRELATION
from d2lstab.exercises.chapter2.networks import check_initialize, neglected_network
from d2lstab.exercises.chapter2.orthogonal import check_orthogonal
from d2lstab.exercises.chapter2.symmetry import COPIES, DISTINCT_UNITS
from d2lstab.exercises.chapter2.variance import BRANCH_SCALE, DEFAULT_MEAN_SQUARE, WEIGHT_SCALE

__all__ = ["CHECKERS", "neglected_network"]

CHECKERS = {
    "2.1": DISTINCT_UNITS,
    "2.2": COPIES,
    "2.3": DEFAULT_MEAN_SQUARE,
    "2.4": WEIGHT_SCALE,
    "2.5": FANS,
    "2.6": XAVIER_FACTORS,
    "2.7": check_orthogonal,
    "2.8": EDGE_OF_CHAOS,
    "2.9": RELU_CORRELATION,
    "2.10": LSUV,
    "2.11": LARS_STEP,
    "2.12": BRANCH_SCALE,
    "2.13": check_initialize,
}
