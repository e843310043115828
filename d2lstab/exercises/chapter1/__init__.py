"""The checkers of chapter 1, by the number of the exercise."""

from d2lstab.exercises.chapter1.differentiation import (
    GRADIENTS_WITH_BIAS,
    HESSIAN_VECTOR,
    NUMERIC_GRADIENT,
)
from d2lstab.exercises.chapter1.memory import FOOTPRINT
from d2lstab.exercises.chapter1.networks import (
    CRITICAL_SIGMA,
    FIRST_GRADIENT,
    broken_network,
    check_repair,
    check_twin,
)
from d2lstab.exercises.chapter1.products import ALIGNMENT, LOG_NORM, STRETCH_BOUNDS

__all__ = ["CHECKERS", "broken_network"]

CHECKERS = {
    "1.1": NUMERIC_GRADIENT,
    "1.2": LOG_NORM,
    "1.3": GRADIENTS_WITH_BIAS,
    "1.4": FOOTPRINT,
    "1.5": HESSIAN_VECTOR,
    "1.6": STRETCH_BOUNDS,
    "1.7": CRITICAL_SIGMA,
    "1.8": check_twin,
    "1.9": FIRST_GRADIENT,
    "1.10": ALIGNMENT,
    "1.11": check_repair,
}
