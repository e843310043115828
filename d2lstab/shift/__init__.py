"""Distribution shift: make one of known size, detect it, correct for it.

make : `Population` and three ways to move it.  detect, power : two-sample tests, and how often they
    ring.  weights : for covariate shift.  prior : for label shift.
Imported by their own names: drift, window, alarm (concepts that move over time), feedback (models
that make their own data), drawings, regions, plane (populations), trial (one tick of the lab).
"""

from d2lstab.shift.detect import (
    DETECTORS,
    Detection,
    classifier_test,
    ks_test,
    mmd_test,
    prediction_test,
)
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
from d2lstab.shift.power import AlarmRate, alarm_rate
from d2lstab.shift.prior import PriorEstimate, adjust, black_box_prior, em_prior
from d2lstab.shift.weights import Weights, classifier_weights, effective_sample_size

__all__ = [
    "DETECTORS",
    "AlarmRate",
    "Detection",
    "Moved",
    "Population",
    "PriorEstimate",
    "Sample",
    "Weights",
    "adjust",
    "alarm_rate",
    "black_box_prior",
    "classifier_test",
    "classifier_weights",
    "compare",
    "density_ratio",
    "effective_sample_size",
    "em_prior",
    "ks_test",
    "mmd_test",
    "prediction_test",
    "shift_concept",
    "shift_covariates",
    "shift_labels",
]
