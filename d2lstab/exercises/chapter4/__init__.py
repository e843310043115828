"""The checkers of chapter 4, by the number of the exercise."""

from d2lstab.exercises.chapter4.axes import GROUP_NORM, OTHER_UNIT, SHARED
from d2lstab.exercises.chapter4.backward import NORM_BACKWARD
from d2lstab.exercises.chapter4.batches import BATCH_SPREAD, FOLD, ONE_CLASS
from d2lstab.exercises.chapter4.depth import GROWTH, STREAM
from d2lstab.exercises.chapter4.layers import BATCH_NORM, HALVES
from d2lstab.exercises.chapter4.training import GROUND_MOVES, check_recompute, forgetful_network
from d2lstab.exercises.chapter4.weights import COSINE, DECAYING_RATE, WEIGHT_NORM_GRADIENTS

__all__ = ["CHECKERS", "forgetful_network"]

CHECKERS = {
    "4.1": SHARED,
    "4.2": BATCH_NORM,
    "4.3": GROUP_NORM,
    "4.4": HALVES,
    "4.5": NORM_BACKWARD,
    "4.6": COSINE,
    "4.7": WEIGHT_NORM_GRADIENTS,
    "4.8": FOLD,
    "4.9": BATCH_SPREAD,
    "4.10": ONE_CLASS,
    "4.11": check_recompute,
    "4.12": OTHER_UNIT,
    "4.13": DECAYING_RATE,
    "4.14": GROWTH,
    "4.15": STREAM,
    "4.16": GROUND_MOVES,
}
