"""The checkers of chapter 5, by the number of the exercise."""

from d2lstab.exercises.chapter5.choice import CHOICE, PRIORS
from d2lstab.exercises.chapter5.dropout import DROP, LAYER_SPREAD
from d2lstab.exercises.chapter5.limits import BALL, CLIP, TURN
from d2lstab.exercises.chapter5.masks import DROPPED_WEIGHTS, SWITCHED
from d2lstab.exercises.chapter5.noise import NOISE_PENALTIES, OTHER_NOISE
from d2lstab.exercises.chapter5.optimizers import TWO_ADAMS, check_groups
from d2lstab.exercises.chapter5.penalties import L1_STEPS, L2_STEP, MATRIX_PENALTY
from d2lstab.exercises.chapter5.stopping import PATIENCE

__all__ = ["CHECKERS"]

CHECKERS = {
    "5.1": L2_STEP,
    "5.2": L1_STEPS,
    "5.3": MATRIX_PENALTY,
    "5.4": CHOICE,
    "5.5": PRIORS,
    "5.6": check_groups,
    "5.7": TWO_ADAMS,
    "5.8": DROP,
    "5.9": LAYER_SPREAD,
    "5.10": SWITCHED,
    "5.11": DROPPED_WEIGHTS,
    "5.12": OTHER_NOISE,
    "5.13": NOISE_PENALTIES,
    "5.14": CLIP,
    "5.15": TURN,
    "5.16": BALL,
    "5.17": PATIENCE,
}
