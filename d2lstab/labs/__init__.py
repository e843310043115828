"""The live labs: slider values → numbers → figure.

`labs.shift.ShiftLab` and `labs.regions.RegionsLab` are imported by their own names: they need
scikit-learn, whose import takes a second that the other labs should not wait for.
"""

from d2lstab.labs.chain import ChainLab
from d2lstab.labs.cliff import CliffLab
from d2lstab.labs.gradient import GradientLab
from d2lstab.labs.normalization import NormalizationLab
from d2lstab.labs.phase import PhaseLab
from d2lstab.labs.recurrent import RecurrentLab
from d2lstab.labs.regularization import RegularizationLab

__all__ = [
    "ChainLab",
    "CliffLab",
    "GradientLab",
    "NormalizationLab",
    "PhaseLab",
    "RecurrentLab",
    "RegularizationLab",
]
