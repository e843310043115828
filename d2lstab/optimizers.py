"""Optimizers of the course that PyTorch does not have: LARS, with one learning rate per layer."""

from collections.abc import Callable

import torch
from torch import Tensor
from torch.optim import Optimizer

from d2lstab import checks


class LARS(Optimizer):
    """Layer-wise adaptive rate scaling: each tensor moves in proportion to its own norm.

    For each parameter tensor w with gradient g (You, Gitman & Ginsburg 2017, arXiv 1708.03888,
    algorithm 1; a tensor is what the paper calls a layer, weight and bias apart):

        λ = trust · ‖w‖ / (‖g‖ + weight_decay · ‖w‖)
        v ← momentum · v + lr · λ · (g + weight_decay · w)
        w ← w − v

    params : parameters or groups of them, as for every optimizer of torch. Each group may have
        its own settings.
    lr : γ, the global learning rate, ≥ 0. Only lr · trust counts.
    momentum : 0 ≤ m < 1. weight_decay : β ≥ 0.
    trust : η ≥ 0, 0.001 in the paper's experiments; or None for a group that takes plain steps,
        λ = 1, as one does for biases, the gains of norm layers and single scalars.
    zero_rate : λ where a tensor is all zeros, ≥ 0. The paper's formula gives 0, the default:
        such a tensor never moves. Most implementations take 1 there, a plain step.

    The norms are taken in units of the largest entry: the squares of a gradient of 1e-30 would be
    0 in float32. The velocity holds the learning rate, unlike that of ``torch.optim.SGD``: when
    lr falls, the steps that are under way do not.

    Raises ValueError or TypeError for a setting out of range, RuntimeError for a sparse gradient.
    A gradient that is not finite makes its tensor NaN.

    >>> w = torch.nn.Parameter(torch.tensor([3.0, 4.0]))
    >>> optimizer = LARS([w], lr=1.0, trust=0.1)
    >>> w.grad = torch.tensor([1e-30, 0.0])
    >>> optimizer.step()
    >>> w.data  # ‖w‖ = 5, so the step is 0.5 long, however small the gradient
    tensor([2.5000, 4.0000])
    """

    def __init__(
        self,
        params,
        lr: float,
        *,
        momentum: float = 0.0,
        weight_decay: float = 0.0,
        trust: float | None = 0.001,
        zero_rate: float = 0.0,
    ):
        defaults = {
            "lr": lr,
            "momentum": momentum,
            "weight_decay": weight_decay,
            "trust": trust,
            "zero_rate": zero_rate,
        }
        super().__init__(params, defaults)

    def add_param_group(self, param_group: dict) -> None:
        """Add parameters with settings of their own, checked as at the start."""
        settings = {**self.defaults, **param_group}
        checks.real("lr", settings["lr"], 0)
        checks.real("momentum", settings["momentum"], 0, 1)
        checks.real("weight_decay", settings["weight_decay"], 0)
        checks.real("zero_rate", settings["zero_rate"], 0)
        if settings["trust"] is not None:
            checks.real("trust", settings["trust"], 0)
        super().add_param_group(param_group)

    @torch.no_grad()
    def step(self, closure: Callable[[], Tensor] | None = None):
        """Take one step; return the loss of ``closure``, which computes it with its gradient."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            for parameter in group["params"]:
                if parameter.grad is not None:
                    self._move(parameter, group)
        return loss

    def _move(self, w: Tensor, group: dict) -> None:
        if w.grad.is_sparse:
            raise RuntimeError("LARS needs dense gradients; got a sparse one.")
        change = local_step(w, w.grad, group["trust"], group["weight_decay"], group["zero_rate"])
        change = change * group["lr"]
        if group["momentum"]:
            state = self.state[w]
            if "velocity" not in state:
                state["velocity"] = torch.zeros_like(w)
            change = state["velocity"].mul_(group["momentum"]).add_(change)
        w.sub_(change)


def local_step(
    w: Tensor, g: Tensor, trust: float | None, weight_decay: float = 0.0, zero_rate: float = 0.0
) -> Tensor:
    """Return λ · (g + weight_decay · w), the shape of ``w``: LARS's step at lr = 1.

    w, g : weights and gradient of one shape. Settings as of `LARS`.

    >>> local_step(torch.tensor([0.0, 2.0]), torch.tensor([1e30, 0.0]), trust=0.5)
    tensor([1., 0.])
    """
    if not w.numel():
        return torch.zeros_like(w)
    length = norm(w)
    if trust is None or length == 0:
        return (g + weight_decay * w) * (1.0 if trust is None else zero_rate)
    unit = torch.maximum(g.abs().amax(), weight_decay * w.abs().amax())
    if unit == 0:
        return torch.zeros_like(w)
    g, decay = g / unit, w * (weight_decay / unit)
    return (g + decay) * (trust * length / (norm(g) + norm(decay)))


def norm(x: Tensor) -> Tensor:
    """Return the Euclidean norm of all entries, 0-dimensional, without over- or underflow.

    >>> norm(torch.tensor([3e-30, 4e-30]))
    tensor(5.0000e-30)
    """
    largest = x.abs().amax()
    if largest == 0 or not largest.isfinite():
        return largest
    return largest * (x / largest).norm()
