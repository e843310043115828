"""Activation functions: what they compute, how they differentiate, where they are flat.

One table serves the networks (which build them), `measure` (which asks where a unit is
saturated), the lessons (which plot them) and `NetworkSpec.to_pytorch` (which prints them).
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.overrides import handle_torch_function, has_torch_function_unary

INF = math.inf


class HardStep(nn.Module):
    """The hard step, 0 below and 1 above zero, ½ at zero.

    Written as ``(sign(x) + 1) / 2`` because autograd defines the derivative of ``sign`` as 0
    everywhere: the graph stays whole and every gradient behind it is exactly zero.
    """

    def forward(self, x: Tensor) -> Tensor:
        return hard_step(x)


def hard_step(x: Tensor) -> Tensor:
    """Return 0 where ``x`` < 0, ½ where it is 0 and 1 where it is > 0; same shape as ``x``."""
    if has_torch_function_unary(x):  # `measure` hears one call, as of PyTorch's own functions
        return handle_torch_function(hard_step, (x,), x)
    return (torch.sign(x) + 1) / 2


@dataclass(frozen=True)
class Activation:
    """One activation function and what the course says about it.

    name : the name that `NetworkSpec` and the labs use.
    function : Tensor of any shape → Tensor of the same shape.
    derivative : Tensor of any shape → Tensor of the same shape, in closed form and independent
        of autograd, with PyTorch's own choice where the function has a kink.
    module : the class that builds the layer.
    code : how a reader writes that layer in plain PyTorch.
    flat_below, flat_above : a unit is *saturated* where its preactivation lies below
        ``flat_below`` or above ``flat_above``: from there on |φ'| stays under 1 % of its largest
        value (`FLAT_SHARE`). −inf and +inf where that never happens; both finite ones are opposite.
    """

    name: str
    function: Callable[[Tensor], Tensor]
    derivative: Callable[[Tensor], Tensor]
    module: type[nn.Module]
    code: str
    flat_below: float
    flat_above: float = INF

    def flat(self, pre_activations: Tensor) -> Tensor:
        """Return where units are saturated: bool, the shape of ``pre_activations``."""
        return self.flat_(pre_activations.clone()).bool()

    def flat_(self, pre_activations: Tensor) -> Tensor:
        """Replace each entry by 1 where a unit is saturated and by 0 elsewhere, in place."""
        if self.flat_above == INF:
            return pre_activations.le_(self.flat_below)
        return pre_activations.abs_().gt_(self.flat_above)  # flat_below is −flat_above


FLAT_SHARE = 0.01
"""A unit counts as saturated where |φ'| is under this share of the largest |φ'|: what is behind it
learns a hundred times slower than it could. (Leaky ReLU, with slope 0.01, never is.)"""

SELU_SCALE, SELU_ALPHA = 1.0507009873554805, 1.6732632423543772  # Klambauer et al. 2017


def _normal_cdf(x: Tensor) -> Tensor:
    return torch.special.ndtr(x)


def _normal_density(x: Tensor) -> Tensor:
    return torch.exp(-x * x / 2) / math.sqrt(2 * math.pi)


def _silu_derivative(x: Tensor) -> Tensor:
    s = torch.sigmoid(x)
    return s * (1 + x * (1 - s))


_ALL = (
    Activation("linear", lambda x: x, torch.ones_like, nn.Identity, "nn.Identity()", -INF),
    Activation(
        "sigmoid",
        torch.sigmoid,
        lambda x: torch.sigmoid(x) * torch.sigmoid(-x),
        nn.Sigmoid,
        "nn.Sigmoid()",
        -5.9864,
        5.9864,
    ),
    Activation(
        "tanh",
        torch.tanh,
        lambda x: 1 - torch.tanh(x) ** 2,
        nn.Tanh,
        "nn.Tanh()",
        -2.9932,
        2.9932,
    ),
    Activation(
        "relu",
        torch.relu,
        lambda x: (x > 0).to(x.dtype),  # PyTorch takes 0 at the kink
        nn.ReLU,
        "nn.ReLU()",
        0.0,
    ),
    Activation(
        "leaky_relu",
        F.leaky_relu,
        lambda x: torch.where(x > 0, torch.ones_like(x), torch.full_like(x, 0.01)),
        nn.LeakyReLU,
        "nn.LeakyReLU()",
        -INF,  # its slope of 0.01 is small, and never smaller
    ),
    Activation(
        "elu",
        F.elu,
        lambda x: torch.where(x > 0, torch.ones_like(x), torch.exp(x.clamp(max=0))),
        nn.ELU,
        "nn.ELU()",
        -4.6052,
    ),
    Activation(
        "selu",
        F.selu,
        lambda x: (
            SELU_SCALE
            * torch.where(x > 0, torch.ones_like(x), SELU_ALPHA * torch.exp(x.clamp(max=0)))
        ),
        nn.SELU,
        "nn.SELU()",
        -4.6052,
    ),
    Activation(
        "gelu",
        F.gelu,
        lambda x: _normal_cdf(x) + x * _normal_density(x),
        nn.GELU,
        "nn.GELU()",
        -3.0217,
    ),
    Activation("silu", F.silu, _silu_derivative, nn.SiLU, "nn.SiLU()", -6.143),
    Activation("softplus", F.softplus, torch.sigmoid, nn.Softplus, "nn.Softplus()", -4.5951),
    Activation("hard_step", hard_step, torch.zeros_like, HardStep, "HardStep()", INF),
)

ACTIVATIONS: dict[str, Activation] = {activation.name: activation for activation in _ALL}
"""Every activation of the course by name, in the order of the labs' menus."""
