"""The loss along the gradient: how far it is worth going, and how soon the gradient is another one.

The measures are those of Santurkar et al. 2018, section 3 and appendix A.2.2 (arXiv 1805.11604).
Nothing here moves the network: losses are computed on copies of its parameters and buffers.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.func import functional_call

from d2lstab import checks

Loss = Callable[[Tensor, Tensor], Tensor]
"""Of the network's outputs and the labels: a number, 0-dimensional."""

Tensors = dict[str, Tensor]
"""Parameters by name, or their gradients."""


@dataclass(frozen=True)
class Landscape:
    """What was met on a straight line from the network's weights against their gradient.

    loss : where the line begins. gradient_norm : length of the gradient there.
    steps : (k,), as given. lengths : (k,), the distances moved.
    losses : (k,), at each step.
    gradient_distances : (k,), length of the difference between the gradient there and the first.
    """

    loss: float
    gradient_norm: float
    steps: Tensor
    lengths: Tensor
    losses: Tensor
    gradient_distances: Tensor

    @property
    def changes(self) -> Tensor:
        """Change of the gradient per distance moved, (k,): for short steps a curvature."""
        return self.gradient_distances / self.lengths

    @property
    def smoothness(self) -> float:
        """The largest of these changes, the "effective β": the smaller, the smoother."""
        return self.changes.max().item()


def along_gradient(
    network: nn.Module,
    inputs: Tensor,
    labels: Tensor,
    steps: Sequence[float],
    loss: Loss = F.cross_entropy,
    relative: bool = False,
) -> Landscape:
    """Return the losses and gradients at w − step · ∇L(w), in the network's mode, on one batch.

    w : all parameters that are trained, joined into one vector.
    steps : (k,), each > 0: learning rates that one might take.
    relative : measure every parameter tensor in units of its own norm: w = ‖w‖u, of which u moves
        by ``step`` in all, against its gradient. A step of 0.1 moves the weights by 10 % of what
        they are. A tensor that is 0 stays so.

    The network keeps parameters, gradients, buffers and mode, and the global random state is as
    before: random layers draw the same numbers at each step.

    Raises TypeError or ValueError where a step is no number > 0 or there is none, and ValueError
    where nothing is trained or the gradient is 0.

    >>> network = nn.Linear(1, 1, bias=False)  # the loss is 2 w²: a parabola of curvature 4
    >>> inputs, labels = torch.tensor([[2.0]]), torch.tensor([[0.0]])
    >>> line = along_gradient(network, inputs, labels, [0.1, 0.25], lambda y, _: (y**2).mean() / 2)
    >>> round(line.smoothness, 4), bool(line.losses[1] < 1e-9)
    (4.0, True)
    """
    steps = [checks.real("each of steps", step, above=0) for step in steps]
    if not steps:
        raise ValueError("steps must hold one number at least; got none.")
    point = trained(network)
    units = {name: tensor.norm() if relative else 1.0 for name, tensor in point.items()}
    start, gradient = loss_and_gradient(network, point, inputs, labels, loss, units)
    norm = length(gradient)
    if norm == 0:
        raise ValueError("the gradient is 0: there is no direction to move in.")
    rows = []
    for step in steps:
        factor = step / norm if relative else step
        there = {name: w - factor * units[name] * gradient[name] for name, w in point.items()}
        value, other = loss_and_gradient(network, there, inputs, labels, loss, units)
        apart = length({name: other[name] - gradient[name] for name in gradient})
        rows.append((step, step if relative else step * norm, value, apart))
    columns = torch.tensor(rows, dtype=torch.float64).T
    return Landscape(start.item(), norm.item(), *columns)


def trained(network: nn.Module) -> Tensors:
    """Return the parameters that training moves, detached: they share memory with the network's.

    Raises ValueError where there is none, or one without a shape.
    """
    point = {}
    for name, parameter in network.named_parameters():
        checks.has_shape(name, parameter)
        if parameter.requires_grad:
            point[name] = parameter.detach()
    if not point:
        raise ValueError("the network has no parameter that is trained.")
    return point


def loss_and_gradient(
    network: nn.Module,
    point: Tensors,
    inputs: Tensor,
    labels: Tensor,
    loss: Loss = F.cross_entropy,
    units: dict[str, Tensor | float] | None = None,
) -> tuple[Tensor, Tensors]:
    """Return the loss at ``point`` and its gradient, each tensor in its unit; nothing is changed.

    point : the trained parameters, by name. The others, and the buffers, are the network's.
    """
    devices = {tensor.device for tensor in point.values() if tensor.is_cuda}
    with torch.random.fork_rng(devices), torch.enable_grad():
        leaves = {name: tensor.detach().requires_grad_() for name, tensor in point.items()}
        buffers = {name: buffer.clone() for name, buffer in network.named_buffers()}
        value = loss(functional_call(network, {**leaves, **buffers}, (inputs,)), labels)
        found = torch.autograd.grad(value, list(leaves.values()), materialize_grads=True)
    scaled = {
        name: gradient * units[name] if units else gradient
        for name, gradient in zip(leaves, found, strict=True)
    }
    return value.detach(), scaled


def length(tensors: Tensors) -> Tensor:
    """Return the Euclidean norm of all entries, 0-dimensional.

    >>> length({"a": torch.tensor([3.0]), "b": torch.tensor([[4.0]])})
    tensor(5.)
    """
    return torch.stack(torch._foreach_norm(list(tensors.values()))).norm()
