"""The live labs: slider values → numbers → figure."""

from d2lstab.labs.chain import ChainLab
from d2lstab.labs.gradient import GradientLab
from d2lstab.labs.phase import PhaseLab
from d2lstab.labs.recurrent import RecurrentLab

__all__ = ["ChainLab", "GradientLab", "PhaseLab", "RecurrentLab"]
