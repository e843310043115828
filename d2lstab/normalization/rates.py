"""Scale-invariant weights in training: how fast they turn, which length they take.

A norm behind a linear map makes the loss blind to the scale of its weight W. Then the gradient is
orthogonal to W and falls as 1/‖W‖, and the learning rate that counts is η/‖W‖² (van Laarhoven
2017). Plain stochastic gradient descent here, without momentum: W ← (1 − ηκ) W − η ∇L, with the
weight decay κ.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from d2lstab import checks
from d2lstab.networks import NetworkSpec, build
from d2lstab.training import batches

NEGLIGIBLE = 1e-30
"""In place of a norm's eps, which would break the invariance; PyTorch's batch norm refuses 0."""


def start(spec: NetworkSpec, scale: float = 1.0) -> nn.Sequential:
    """Build ``spec`` in float64, without eps, the hidden layers' weights ``scale`` times as large.

    The hidden layers lose their biases: batch norm subtracts them anyway, and LN(λWx + b) is not
    LN(Wx + b). The norms' own β stays.
    Raises TypeError or ValueError for a scale that is not a number > 0.

    >>> small, large = (start(NetworkSpec(2, norm="batch"), scale) for scale in (1, 10))
    >>> inputs = torch.randn(32, 64).double()
    >>> torch.allclose(small(inputs), large(inputs), rtol=1e-10)
    True
    """
    scale = checks.real("scale", scale, above=0)
    network = build(spec).double()
    for layer in network.modules():
        if hasattr(layer, "eps"):
            layer.eps = NEGLIGIBLE
    with torch.no_grad():
        for layer in _hidden(network):
            layer.weight.mul_(scale)
            layer.bias = None
    return network


def hidden_weights(network: nn.Module) -> list[nn.Parameter]:
    """The weight matrices, (out, in) each, of all linear layers but the last."""
    return [layer.weight for layer in _hidden(network)]


def _hidden(network: nn.Module) -> list[nn.Linear]:
    return [module for module in network.modules() if isinstance(module, nn.Linear)][:-1]


@dataclass(frozen=True)
class Descent:
    """What happened to the hidden weights in training, one row for each step; float64.

    loss : (steps,), of the step's batch, before the update.
    learning_rate : (steps,), η of the hidden weights.
    weight_norm : (steps + 1, layers), ‖W‖ before each step and after the last.
    gradient_norm : (steps, layers), ‖∇L‖.
    cosine : (steps, layers), of W and ∇L: 0 where they are orthogonal.
    """

    loss: Tensor
    learning_rate: Tensor
    weight_norm: Tensor
    gradient_norm: Tensor
    cosine: Tensor

    @property
    def effective_rate(self) -> Tensor:
        """η/‖W‖², (steps, layers)."""
        return self.learning_rate[:, None] / self.weight_norm[:-1] ** 2

    @property
    def relative_update(self) -> Tensor:
        """η‖∇L‖/‖W‖, (steps, layers): without decay the tangent of the angle that W turns."""
        return self.learning_rate[:, None] * self.gradient_norm / self.weight_norm[:-1]

    @property
    def unit_gradient_norm(self) -> Tensor:
        """‖W‖‖∇L‖, (steps, layers): what ‖∇L‖ would be at ‖W‖ = 1."""
        return self.weight_norm[:-1] * self.gradient_norm


def descend(
    network: nn.Module,
    steps: int,
    learning_rate: float | Callable[[int], float] = 0.1,
    decay: float = 0.0,
    others: float = 0.1,
    batch_size: int = 32,
    seed: int = 0,
) -> Descent:
    """Train on the digits by plain SGD, cross-entropy loss, and record the hidden weights.

    network : as `start` makes it; changed in place.
    learning_rate : η of the hidden weights, > 0, or a function of the step's number from 0.
    decay : κ, of the hidden weights.  others : learning rate of all other parameters.
    seed : of the batches.

    Raises TypeError or ValueError for an argument out of range.

    >>> run = descend(start(NetworkSpec(2, width=16, norm="batch")), steps=3)
    >>> bool(run.cosine.abs().max() < 1e-12), bool((run.weight_norm.diff(dim=0) > 0).all())
    (True, True)
    """
    steps = checks.integer("steps", steps, 1)
    decay, others = checks.real("decay", decay, 0), checks.real("others", others, 0)
    rates = [learning_rate(t) if callable(learning_rate) else learning_rate for t in range(steps)]
    rates = [checks.real("learning_rate", rate, above=0) for rate in rates]
    hidden = hidden_weights(network)
    rest = [p for p in network.parameters() if all(p is not weight for weight in hidden)]
    losses, rows, device = [], [], hidden[0].device
    for rate, batch in zip(rates, batches(steps, batch_size, seed), strict=True):
        loss = F.cross_entropy(network(batch.inputs.to(hidden[0])), batch.labels.to(device))
        gradients = torch.autograd.grad(loss, [*hidden, *rest])
        losses.append(loss.detach())
        rows.append(_row(hidden, gradients))
        with torch.no_grad():
            torch._foreach_mul_(hidden, 1 - rate * decay)
            torch._foreach_add_(hidden, gradients[: len(hidden)], alpha=-rate)
            torch._foreach_add_(rest, gradients[len(hidden) :], alpha=-others)
    weight_norm, gradient_norm, product = torch.stack(rows).unbind(1)
    last = torch.stack(torch._foreach_norm(hidden)).detach()[None]
    return Descent(
        loss=torch.stack(losses),
        learning_rate=torch.tensor(rates, dtype=torch.float64, device=last.device),
        weight_norm=torch.cat([weight_norm, last]),
        gradient_norm=gradient_norm,
        cosine=product / (weight_norm * gradient_norm),
    )


@torch.no_grad()
def _row(weights: Sequence[Tensor], gradients: Sequence[Tensor]) -> Tensor:
    """‖W‖, ‖∇L‖ and ⟨W, ∇L⟩ of each layer, (3, layers)."""
    gradients = gradients[: len(weights)]
    products = [(weight * g).sum() for weight, g in zip(weights, gradients, strict=True)]
    norms = [*torch._foreach_norm(weights), *torch._foreach_norm(gradients)]
    return torch.stack([*norms, *products]).reshape(3, -1)


def equilibrium_update(learning_rate: float, decay: float) -> float:
    """Return the relative update η‖∇L‖/‖W‖ at which the length of W stays: √(2ηκ − η²κ²).

    What the gradient adds, ‖W‖² → (1 − ηκ)²‖W‖² + η²‖∇L‖², is what the decay takes; whatever the
    network and the data (Wan et al. 2020 have it for small ηκ, with momentum).
    Raises TypeError or ValueError for a learning rate or a decay that is not a number > 0, and
    for ηκ ≥ 1: such a step turns W around.

    >>> round(equilibrium_update(0.5, 0.04), 4)
    0.199
    """
    rate = checks.real("learning_rate", learning_rate, above=0)
    lost = rate * checks.real("decay", decay, above=0)
    if lost >= 1:
        raise ValueError(f"learning_rate × decay must be < 1; got {lost:g}.")
    return math.sqrt(lost * (2 - lost))


def equilibrium_norm(unit_gradient_norm: float, learning_rate: float, decay: float) -> float:
    """Return ‖W‖ where its length stays: ‖W‖⁴ = η‖∇̃L‖²/(2κ − ηκ²).

    unit_gradient_norm : ‖∇̃L‖, root mean square over steps: the gradient's norm at ‖W‖ = 1.
    Raises what `equilibrium_update` raises, and ValueError for a negative gradient norm.

    >>> round(equilibrium_norm(10.0, 0.5, 0.04), 3)
    5.013
    """
    gradient = checks.real("unit_gradient_norm", unit_gradient_norm, 0)
    return math.sqrt(learning_rate * gradient / equilibrium_update(learning_rate, decay))
