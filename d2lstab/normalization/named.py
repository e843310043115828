"""The norms that a specification can name, each as a PyTorch layer for vectors or a linear map."""

import math
from collections.abc import Callable
from dataclasses import dataclass

from torch import nn

from d2lstab.normalization import weights

GROUPS = 8
"""Of group norm; fewer where they do not divide the width: their greatest common divisor."""


@dataclass(frozen=True)
class Norm:
    """A norm by name: of signals, then ``layer`` makes it for a width; or of weights.

    layer : makes a layer for vectors of a width; None where only the linear map changes.
    linear : the linear map.
    """

    name: str
    layer: Callable[[int], nn.Module] | None = None
    linear: type[nn.Linear] = nn.Linear

    def code(self, width: int) -> str:
        """PyTorch code for ``layer``; "" where there is none."""
        if self.layer is None:
            return ""
        made = self.layer(width)
        eps = ", eps=1e-05" if isinstance(made, nn.RMSNorm) else ""
        groups = f"{made.num_groups}, " if isinstance(made, nn.GroupNorm) else ""
        return f"nn.{type(made).__name__}({groups}{width}{eps})"


NORMS: dict[str, Norm] = {
    norm.name: norm
    for norm in (
        Norm("batch", nn.BatchNorm1d),
        Norm("layer", nn.LayerNorm),
        Norm("rms", lambda width: nn.RMSNorm(width, eps=1e-5)),
        Norm("group", lambda width: nn.GroupNorm(math.gcd(GROUPS, width), width)),
        Norm("instance", lambda width: nn.GroupNorm(width, width)),  # a vector has no positions
        Norm("weight", linear=weights.WeightNorm),
        Norm("standardization", linear=weights.WeightStandardization),
        Norm("cosine", linear=weights.CosineNorm),
    )
}
