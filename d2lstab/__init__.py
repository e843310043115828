"""Numerical stability in deep learning: networks to turn knobs on, and what happens inside them.

>>> from d2lstab import NetworkSpec, diagnose, measure
>>> print(diagnose(measure(NetworkSpec(depth=40, activation="relu", init="he"))).kind)
stable
"""

from d2lstab.diagnosis import Remedy, Verdict, diagnose
from d2lstab.meanfield import Phase, edge_of_chaos, phase
from d2lstab.monitor import Monitor
from d2lstab.networks import NetworkSpec, build
from d2lstab.prediction import MeanField, predict
from d2lstab.signal import SignalProfile, measure

__all__ = [
    "MeanField",
    "Monitor",
    "NetworkSpec",
    "Phase",
    "Remedy",
    "SignalProfile",
    "Verdict",
    "build",
    "diagnose",
    "edge_of_chaos",
    "measure",
    "phase",
    "predict",
]
