"""Linear layers that normalize their weights, or both factors of the product, written out.

They are `nn.Linear` with another forward pass: `weight` is the free parameter v, (out, in), from
which each step computes the weights that are used. Statistics of the batch play no part.
"""

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

TINY = 1e-12
"""Lengths and deviations below it count as it: a zero vector stays zero."""


def unit(vectors: Tensor) -> Tensor:
    """Return the vectors along the last dimension at length 1.

    As in PyTorch's `normalize`, a length whose square overflows (from 1.8e19 on in float32)
    gives a zero vector.

    >>> unit(torch.tensor([[3.0, 4.0]]))
    tensor([[0.6000, 0.8000]])
    """
    return vectors / vectors.norm(dim=-1, keepdim=True).clamp_min(TINY)


class WeightNorm(nn.Linear):
    """g (v·x)/‖v‖ + b, a length g and a direction v for each unit (Salimans & Kingma 2016).

    `gain` is g, (out,), 1 at the start. PyTorch's `weight_norm` is the same with g = ‖v‖ there.

    >>> layer = WeightNorm(3, 2)
    >>> layer.effective_weight().norm(dim=1).detach().round(decimals=4)
    tensor([1., 1.])
    """

    def __init__(self, in_features: int, out_features: int, bias: bool = True):
        super().__init__(in_features, out_features, bias)
        self.gain = nn.Parameter(torch.ones(out_features))

    def effective_weight(self) -> Tensor:
        """The weights that multiply x, (out, in)."""
        return self.gain[:, None] * unit(self.weight)

    def forward(self, x: Tensor) -> Tensor:
        return F.linear(x, self.effective_weight(), self.bias)


class WeightStandardization(nn.Linear):
    """((v − mean v)/(std v · √in))·x + b, each unit for itself (Qiao et al. 2019).

    The 1/√in is of Brock, De & Smith 2021: without it a sum of ``in`` terms grows with ``in``,
    which is no matter only where another norm follows.

    >>> weight = WeightStandardization(4, 2).effective_weight()
    >>> bool(weight.sum(1).abs().max() < 1e-6), weight.norm(dim=1).detach().round(decimals=4)
    (True, tensor([1., 1.]))
    """

    def effective_weight(self) -> Tensor:
        """The weights that multiply x, (out, in)."""
        centred = self.weight - self.weight.mean(1, keepdim=True)
        deviation = centred.square().mean(1, keepdim=True).clamp_min(TINY**2).sqrt()
        return centred / (deviation * math.sqrt(self.in_features))

    def forward(self, x: Tensor) -> Tensor:
        return F.linear(x, self.effective_weight(), self.bias)


class CosineNorm(nn.Linear):
    """cos(v, x) + b = (v·x)/(‖v‖ ‖x‖) + b, without the bias in [−1, 1] (Luo et al. 2017).

    >>> layer = CosineNorm(2, 1, bias=False)
    >>> float((layer(torch.tensor([[1e9, -3.0]])).abs() <= 1 + 1e-6).all())
    1.0
    """

    def forward(self, x: Tensor) -> Tensor:
        return F.linear(unit(x), unit(self.weight), self.bias)
