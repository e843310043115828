"""The loss cliff of a recurrent net with one unit, and the steps of gradient descent on it.

The net has no input. Its state starts at 0.5 and is asked to be at σ(x) = 0.7 after 50 steps
(Pascanu, Mikolov & Bengio 2013, arXiv 1211.5063, equation 8 and figure 6):

    xₜ = w · σ(xₜ₋₁) + b,   x₀ = 0.5,   loss = (σ(x₅₀) − 0.7)²

A point is a pair (w, b), the last dimension of a float64 tensor.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from d2lstab import checks
from d2lstab.regularization.clipping import CLIPS, clip_by_value
from d2lstab.regularization.constraints import limit_rows

LENGTH, STATE, TARGET = 50, 0.5, 0.7
"""The paper's: steps through the net, x₀, and what σ of the last state should be."""


def loss(points: Tensor, length: int = LENGTH) -> Tensor:
    """Return the loss at each of ``points``, (…, 2) → (…), after ``length`` ≥ 1 steps.

    >>> loss(torch.tensor([[5.0, -2.6], [5.0, -2.7]]))
    tensor([0.0121, 0.3605])
    """
    weight, bias = points.unbind(-1)
    state = torch.full_like(weight, STATE)
    for _ in range(checks.integer("length", length, 1)):
        state = weight * torch.sigmoid(state) + bias
    return (torch.sigmoid(state) - TARGET).square()


@torch.enable_grad()
def gradient(points: Tensor, length: int = LENGTH) -> Tensor:
    """Return the gradient of `loss` at each of ``points``, (…, 2), by autograd.

    >>> gradient(torch.tensor([5.0, -2.0])).round(decimals=4)
    tensor([0.0379, 0.0405])
    """
    points = points.detach().clone().requires_grad_()
    return torch.autograd.grad(loss(points, length).sum(), points)[0]


def wall(weights: Tensor) -> Tensor:
    """Return the bias at which the net stays where it starts, x₀ = w · σ(x₀) + b.

    For w · σ'(x₀) > 1, w > 4.26, this fixed point repels: a little more bias and the state goes
    to the upper attractor, a little less and it goes to the lower one. That is the wall.

    >>> wall(torch.tensor([5.0]))
    tensor([-2.6123])
    """
    return STATE - weights * _level(STATE)


def wall_gradient(weights: Tensor, length: int = LENGTH) -> Tensor:
    """Return the gradient's norm on the `wall`, exact, the shape of ``weights``.

    There each step multiplies by α = w · σ'(x₀), so that ∂x/∂b = (α^length − 1) / (α − 1), and
    ∂x/∂w is σ(x₀) times that.

    >>> wall_gradient(torch.tensor([4.5, 5.0], dtype=torch.float64)).round(decimals=1)
    tensor([ 11.5000, 779.4000], dtype=torch.float64)
    """
    level = _level(STATE)
    slope = level * (1 - level)
    powers = torch.arange(length, dtype=weights.dtype, device=weights.device)
    grown = ((weights * slope)[..., None] ** powers).sum(-1)
    return 2 * abs(level - TARGET) * slope * (1 + level**2) ** 0.5 * grown


def _level(state: float) -> float:
    """σ(state)."""
    return torch.sigmoid(torch.tensor(state, dtype=torch.float64)).item()


@dataclass(frozen=True, eq=False)
class Landscape:
    """The loss over a grid, float64.

    weights, (columns,), and biases, (rows,): where. loss and gradient_norm : (rows, columns).
    """

    weights: Tensor
    biases: Tensor
    loss: Tensor
    gradient_norm: Tensor


def landscape(
    weights: tuple[float, float] = (4.0, 5.6),
    biases: tuple[float, float] = (-3.1, -1.8),
    size: int = 161,
    length: int = LENGTH,
) -> Landscape:
    """Return loss and gradient over ``size`` × ``size`` points between two weights and two biases.

    >>> here = landscape(size=101)
    >>> here.loss.shape, bool(here.gradient_norm.max() > 1000 * here.gradient_norm.median())
    (torch.Size([101, 101]), True)
    """
    checks.integer("size", size, 2)
    w, b = (torch.linspace(*ends, size, dtype=torch.float64) for ends in (weights, biases))
    points = torch.stack(torch.meshgrid(w, b, indexing="xy"), dim=-1)
    return Landscape(w, b, loss(points, length), gradient(points, length).norm(dim=-1))


@dataclass(frozen=True, eq=False)
class Step:
    """One step of gradient descent at each of the points, all (…, 2).

    start, end : before and after. gradient : as backpropagated. used : what the step took of it.
    """

    start: Tensor
    end: Tensor
    gradient: Tensor
    used: Tensor


def step(points: Tensor, learning_rate: float, clip: str | None = None, limit: float = 1.0) -> Step:
    """Take a step from each of ``points``, (…, 2), with its gradient clipped or not.

    clip : None, "norm" or "value", as in `clipping.CLIPS`, each point's gradient by itself.
    limit : > 0, the longest that a gradient, or the largest that an entry of it, may be.

    >>> there = torch.tensor([5.0, wall(torch.tensor(5.0))], dtype=torch.float64)
    >>> [step(there, 0.1, clip).end.round(decimals=1).tolist() for clip in (None, "norm", "value")]
    [[46.8, 64.5], [5.1, -2.5], [5.1, -2.5]]
    """
    slopes = gradient(points)
    used = clipped(slopes, clip, limit)
    return Step(points, points - learning_rate * used, slopes, used)


def clipped(slopes: Tensor, clip: str | None, limit: float) -> Tensor:
    """Return the gradients ``slopes``, (…, 2), each clipped by itself, as `step` does.

    >>> clipped(torch.tensor([3.0, 4.0]), "norm", 1.0), clipped(torch.tensor([3.0, 4.0]), None, 1.0)
    (tensor([0.6000, 0.8000]), tensor([3., 4.]))
    """
    if clip is None:
        return slopes
    checks.choice("clip", clip, CLIPS, also="None or ")
    if clip == "value":
        return clip_by_value([slopes], limit)[0]
    # what max-norm does to the rows of a weight
    return limit_rows(slopes.reshape(-1, 2), limit).reshape(slopes.shape)


@dataclass(frozen=True, eq=False)
class Path:
    """Gradient descent, step by step.

    points : (steps + 1, …, 2), the start first. loss, gradient_norm : (steps + 1, …), there.
    """

    points: Tensor
    loss: Tensor
    gradient_norm: Tensor


def descend(
    starts: Tensor,
    learning_rate: float,
    clip: str | None = None,
    limit: float = 1.0,
    steps: int = 100,
) -> Path:
    """Take ``steps`` ≥ 0 steps from each of ``starts``, (…, 2), as `step` does.

    >>> path = descend(torch.tensor([5.0, -2.2], dtype=torch.float64), 0.1, "norm", steps=120)
    >>> path.points.shape, bool(path.loss[-1] < 0.01)
    (torch.Size([121, 2]), True)
    """
    points = [starts]
    for _ in range(checks.integer("steps", steps, 0)):
        points.append(step(points[-1], learning_rate, clip, limit).end)
    points = torch.stack(points)
    return Path(points, loss(points), gradient(points).norm(dim=-1))
