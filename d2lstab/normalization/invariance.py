"""What a norm does not notice: changes of weights or data, measured at a linear map and its norm.

Ba, Kiros & Hinton (2016), table 1, says it for three norms and the output; here it is computed,
and for the gradients too.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from d2lstab import checks
from d2lstab.normalization.layers import (
    BatchNorm,
    GroupNorm,
    InstanceNorm,
    LayerNorm,
    RMSNorm,
)
from d2lstab.normalization.weights import CosineNorm, WeightNorm, WeightStandardization

EXACT = 1e-12
"""Relative changes below it are rounding, in float64."""

MULTIPLE = 1e-9
"""Likewise what is left of a gradient when a multiple of the other is taken away."""

Layer = Callable[[Tensor, Tensor], Tensor]
"""Weight (units, features) and inputs (examples, features, *positions) → (examples, units, …)."""


def normalized_maps(
    units: int, features: int, groups: int = 4, eps: float = 0.0
) -> dict[str, Layer]:
    """Return linear maps from ``features`` to ``units`` by the name of their norm, γ = 1, β = 0.

    groups : of group norm.  eps : added to variances; weight and cosine norm have none.

    "instance" leaves nothing of inputs without positions. Batch norm is in train mode.
    Raises TypeError or ValueError for sizes that the norms refuse.

    >>> maps = normalized_maps(4, 3)
    >>> weight, inputs = torch.randn(4, 3), torch.randn(5, 3)
    >>> torch.allclose(maps["layer"](2 * weight, inputs), maps["layer"](weight, inputs))
    True
    """
    norms = {
        "none": nn.Identity(),
        "batch": BatchNorm(units, eps),
        "layer": LayerNorm(units, eps),
        "rms": RMSNorm(units, eps),
        "group": GroupNorm(groups, units, eps),
        "instance": InstanceNorm(units, eps),
    }
    with torch.random.fork_rng(devices=[]):  # each draws weights of its own, which are not used
        linear = {
            "weight": WeightNorm(features, units, bias=False),
            "standardization": WeightStandardization(features, units, bias=False),
            "cosine": CosineNorm(features, units, bias=False),
        }
    return {
        **{name: _then(norm.requires_grad_(False)) for name, norm in norms.items()},
        **{name: _inside(kind.requires_grad_(False)) for name, kind in linear.items()},
    }


def _then(norm: nn.Module) -> Layer:
    """The linear map at each position, then the norm."""
    return lambda weight, inputs: norm.to(weight)(
        F.linear(inputs.movedim(1, -1), weight).movedim(-1, 1)
    )


def _inside(linear: nn.Linear) -> Layer:
    """The linear map that normalizes its own weight, at each position."""
    del linear.weight  # a tensor with a history takes the parameter's place

    def layer(weight: Tensor, inputs: Tensor) -> Tensor:
        linear.to(weight).weight = weight
        return linear(inputs.movedim(1, -1)).movedim(-1, 1)

    return layer


@dataclass(frozen=True)
class Transformation:
    """A change of weights or data.

    weight : (weight (units, features), v (features,)) → weight.
    inputs : (inputs, v) → inputs.
    units, examples : how many of them are changed, the first ones; None for all.
    """

    weight: Callable[[Tensor, Tensor], Tensor] = lambda weight, _: weight
    inputs: Callable[[Tensor, Tensor], Tensor] = lambda inputs, _: inputs
    units: int | None = None
    examples: int | None = None


def transformations(scale: float = 10.0) -> dict[str, Transformation]:
    """Return the changes by name; λ is ``scale``, v a vector of one number for each feature.

    The first six are those of Ba et al., in their order.

    Raises TypeError or ValueError for a scale that is not a number > 0.
    """
    scale = checks.real("scale", scale, above=0)
    return {
        "all weights × λ": Transformation(lambda w, v: scale * w),
        "each unit's weights + v": Transformation(lambda w, v: w + v),
        "one unit's weights × λ": Transformation(_first(lambda w, v: scale * w), units=1),
        "all data × λ": Transformation(inputs=lambda x, v: scale * x),
        "all data + v": Transformation(inputs=lambda x, v: x + v.reshape(-1, *[1] * (x.ndim - 2))),
        "one example × λ": Transformation(inputs=_first(lambda x, v: scale * x), examples=1),
        "one unit's weights + 1": Transformation(_first(lambda w, v: w + 1), units=1),
        "all weights × −λ": Transformation(lambda w, v: -scale * w),
    }


def _first(change: Callable[[Tensor, Tensor], Tensor]) -> Callable[[Tensor, Tensor], Tensor]:
    """The change made to the first unit or example only."""
    return lambda tensor, v: torch.cat([change(tensor[:1], v), tensor[1:]])


@dataclass(frozen=True)
class Change:
    """What a transformation changes.

    output : ‖h′ − h‖/‖h‖, relative.
    weight_gradient, input_gradient : c where the gradient afterwards is c times the one before,
        both of ⟨r, h⟩ with the same r; NaN where it is no multiple. Where one unit or one example
        is changed, that unit's or example's gradient.
    """

    output: float
    weight_gradient: float
    input_gradient: float

    @property
    def invariant(self) -> bool:
        """Whether the output stays as it was, up to rounding."""
        return self.output < EXACT


def change(
    layer: Layer, transformation: Transformation, weight: Tensor, inputs: Tensor, seed: int = 0
) -> Change:
    """Measure what ``transformation`` changes at ``layer``, in float64.

    weight : (units, features).  inputs : (examples, features) or (examples, features, *positions).
    seed : of v and of r, the gradient at the outputs; both standard normal.

    >>> weight, inputs = torch.randn(8, 5), torch.randn(16, 5)
    >>> scaled = transformations(10)["all weights × λ"]
    >>> found = change(normalized_maps(8, 5)["batch"], scaled, weight, inputs)
    >>> found.invariant, round(found.weight_gradient, 6), round(found.input_gradient, 6)
    (True, 0.1, 1.0)
    """
    weight, inputs = weight.detach().double(), inputs.detach().double()
    generator, double = torch.Generator().manual_seed(seed), dict(dtype=torch.float64, device="cpu")
    v = torch.randn(weight.shape[1], generator=generator, **double).to(weight)
    outputs = (len(inputs), len(weight), *inputs.shape[2:])
    r = torch.randn(outputs, generator=generator, **double).to(weight)
    old = _pass(layer, weight, inputs, r)
    new = _pass(layer, transformation.weight(weight, v), transformation.inputs(inputs, v), r)
    changed = (transformation.units, transformation.examples)
    return Change(
        ((new[0] - old[0]).norm() / old[0].norm()).item(),
        *(_multiple(*pair, part) for *pair, part in zip(old[1:], new[1:], changed, strict=True)),
    )


def _pass(layer: Layer, weight: Tensor, inputs: Tensor, r: Tensor) -> tuple[Tensor, ...]:
    """h, and the gradients of ⟨r, h⟩ with respect to the weight and the inputs."""
    leaves = [weight.clone().requires_grad_(), inputs.clone().requires_grad_()]
    h = layer(*leaves)
    # r handed over as grad_outputs would make PyTorch import sympy, the first time: a second
    return h.detach(), *torch.autograd.grad((r * h).sum(), leaves)


def _multiple(old: Tensor, new: Tensor, part: int | None) -> float:
    """c with new = c old, NaN where there is none."""
    old, new = old[:part], new[:part]
    c = (old * new).sum() / old.square().sum()
    left = (new - c * old).norm() / new.norm()
    return c.item() if left < MULTIPLE else math.nan


def invariances(
    layers: Mapping[str, Layer], weight: Tensor, inputs: Tensor, scale: float = 10.0
) -> dict[str, dict[str, Change]]:
    """Return norm → transformation → `Change`, for all `transformations`.

    Raises what `transformations` raises.
    """
    return {
        norm: {
            name: change(layer, transformation, weight, inputs)
            for name, transformation in transformations(scale).items()
        }
        for norm, layer in layers.items()
    }
