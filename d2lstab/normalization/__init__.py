"""Normalization: the layers written out, and what can be measured of them."""

from d2lstab.normalization.layers import (
    BatchNorm,
    GroupNorm,
    InstanceNorm,
    LayerNorm,
    Normalization,
    RMSNorm,
    standardize,
)
from d2lstab.normalization.weights import CosineNorm, WeightNorm, WeightStandardization

__all__ = [
    "BatchNorm",
    "CosineNorm",
    "GroupNorm",
    "InstanceNorm",
    "LayerNorm",
    "Normalization",
    "RMSNorm",
    "WeightNorm",
    "WeightStandardization",
    "standardize",
]
