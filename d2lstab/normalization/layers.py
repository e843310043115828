"""Normalization layers written out: γ (x − μ)/σ + β, and which numbers share a μ and a σ.

Each keeps its parameters under the names of PyTorch's own layer, so that a state dict of the one
loads into the other: `weight` is γ, `bias` is β.
"""

import math

import torch
from torch import Tensor, nn

from d2lstab import checks

EPS = 1e-5
"""Added to σ² before the root, as PyTorch does."""


def standardize(x: Tensor, dims: tuple[int, ...], center: bool = True, eps: float = EPS) -> Tensor:
    """Return (x − μ)/σ, with μ and σ² = mean of (x − μ)² + eps over ``dims``.

    Without ``center`` μ is 0, and σ the root mean square. Same shape as ``x``.

    >>> standardize(torch.tensor([[1.0, 3.0]]), dims=(1,))
    tensor([[-1.0000,  1.0000]])
    """
    if center:
        x = x - x.mean(dims, keepdim=True)
    return x / (x.square().mean(dims, keepdim=True) + eps).sqrt()


class Normalization(nn.Module):
    """γ (x − μ)/σ + β for x of shape (examples, channels) or (examples, channels, *positions).

    channels : C; each has a γ (`weight`) and a β (`bias`), both (C,).
    groups : how many groups the channels fall into; μ and σ are shared by the channels of a group
        and by all positions. C groups: every channel for itself. It must divide C.
    center : whether μ is subtracted, and β added.

    The layers below are this one with other groups; `BatchNorm` shares among examples, too.
    Raises TypeError or ValueError for ``channels`` or ``groups`` that do not fit, and for inputs
    of another shape or of other than floating-point numbers.

    >>> Normalization(4, groups=2)(torch.tensor([[1.0, 3.0, 10.0, 30.0]])).detach()
    tensor([[-1.0000,  1.0000, -1.0000,  1.0000]])
    """

    over_examples = False

    def __init__(self, channels: int, groups: int, *, center: bool = True, eps: float = EPS):
        super().__init__()
        self.channels = checks.integer("channels", channels, 1)
        self.groups = checks.integer("groups", groups, 1, channels)
        if channels % groups:
            raise ValueError(f"groups must divide the {channels} channels; got {groups}.")
        self.center, self.eps = center, checks.real("eps", eps, 0)
        self.weight = nn.Parameter(torch.ones(channels))
        self.register_parameter("bias", nn.Parameter(torch.zeros(channels)) if center else None)

    @property
    def dims(self) -> tuple[int, ...]:
        """Over which of (examples, groups, channels of a group, positions) μ and σ are taken."""
        return (0, 2, 3) if self.over_examples else (2, 3)

    def forward(self, x: Tensor) -> Tensor:
        self._check(x)
        return self.scale(self.standardize(x))

    def standardize(self, x: Tensor) -> Tensor:
        """(x − μ)/σ, in the shape of ``x``."""
        return standardize(self.grouped(x), self.dims, self.center, self.eps).reshape(x.shape)

    def grouped(self, x: Tensor) -> Tensor:
        """``x`` as (examples, groups, channels of a group, positions)."""
        positions = math.prod(x.shape[2:])  # 1 of a vector; −1 could not be told of no examples
        return x.reshape(len(x), self.groups, self.channels // self.groups, positions)

    def scale(self, x: Tensor) -> Tensor:
        """γ x + β, channel by channel."""
        per_channel = (1, self.channels, *[1] * (x.ndim - 2))
        x = x * self.weight.reshape(per_channel)
        return x if self.bias is None else x + self.bias.reshape(per_channel)

    def _check(self, x: Tensor) -> None:
        if not (isinstance(x, Tensor) and x.is_floating_point()):
            kind = x.dtype if isinstance(x, Tensor) else type(x).__name__
            raise TypeError(f"inputs must be a tensor of floating-point numbers; got {kind}.")
        if x.ndim < 2 or x.shape[1] != self.channels:
            shape = f"(examples, {self.channels}) or (examples, {self.channels}, *positions)"
            raise ValueError(f"inputs must have the shape {shape}; got {tuple(x.shape)}.")

    def extra_repr(self) -> str:
        return f"{self.channels}, groups={self.groups}"


class LayerNorm(Normalization):
    """One μ and σ for each example (Ba, Kiros & Hinton 2016).

    On vectors `nn.LayerNorm(channels)`; on images `nn.GroupNorm(1, channels)`, since γ and β
    belong to channels here.
    """

    def __init__(self, channels: int, eps: float = EPS):
        super().__init__(channels, 1, eps=eps)


class RMSNorm(Normalization):
    """Layer norm without μ and β: x over its root mean square (Zhang & Sennrich 2019)."""

    def __init__(self, channels: int, eps: float = EPS):
        super().__init__(channels, 1, center=False, eps=eps)


class GroupNorm(Normalization):
    """A μ and a σ for each example and group of channels (Wu & He 2018)."""

    def __init__(self, groups: int, channels: int, eps: float = EPS):  # in nn.GroupNorm's order
        super().__init__(channels, groups, eps=eps)


class InstanceNorm(Normalization):
    """A μ and a σ for each example and channel (Ulyanov, Vedaldi & Lempitsky 2016).

    Of a vector without positions nothing is left: each number is its own mean.
    """

    def __init__(self, channels: int, eps: float = EPS):
        super().__init__(channels, channels, eps=eps)


class BatchNorm(Normalization):
    """A μ and a σ for each channel, shared by the examples of the batch (Ioffe & Szegedy 2015).

    In eval mode the running statistics take their place: `running_mean` and `running_var`, both
    (channels,), are moved by ``momentum`` of the way to each training batch's; to its unbiased
    variance, though σ itself is the biased one. So does PyTorch.

    Raises ValueError in train mode for a batch with one number per channel: nothing would be left.
    """

    over_examples = True

    def __init__(self, channels: int, eps: float = EPS, momentum: float = 0.1):
        super().__init__(channels, channels, eps=eps)
        self.momentum = checks.real("momentum", momentum, 0)
        self.register_buffer("running_mean", torch.zeros(channels))
        self.register_buffer("running_var", torch.ones(channels))
        self.register_buffer("num_batches_tracked", torch.tensor(0))

    def standardize(self, x: Tensor) -> Tensor:
        by_channel = self.grouped(x)  # (examples, channels, 1, positions)
        if self.training:
            if x.numel() < 2 * self.channels:
                raise ValueError(
                    "batch norm needs more than one number per channel in train mode; got inputs "
                    f"of shape {tuple(x.shape)}. Of one number x − μ is 0: take a larger batch, "
                    "or eval mode."
                )
            self._track(by_channel.detach())
            return super().standardize(x)
        mean, variance = (
            statistic.reshape(1, -1, 1, 1) for statistic in (self.running_mean, self.running_var)
        )
        return ((by_channel - mean) / (variance + self.eps).sqrt()).reshape(x.shape)

    def _track(self, x: Tensor) -> None:
        with torch.no_grad():
            variance, mean = torch.var_mean(x, self.dims, correction=1)
            self.running_mean.lerp_(mean, self.momentum)
            self.running_var.lerp_(variance, self.momentum)
            self.num_batches_tracked += 1
