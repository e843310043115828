"""Distribution shift: make one of known size, detect it, correct for it."""

from d2lstab.shift.make import (
    Moved,
    Population,
    Sample,
    compare,
    density_ratio,
    shift_concept,
    shift_covariates,
    shift_labels,
)

__all__ = [
    "Moved",
    "Population",
    "Sample",
    "compare",
    "density_ratio",
    "shift_concept",
    "shift_covariates",
    "shift_labels",
]
