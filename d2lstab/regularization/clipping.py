"""Gradient clipping: by the norm of the whole gradient, and entry by entry."""

from collections.abc import Sequence

import torch
from torch import Tensor

from d2lstab import checks
from d2lstab.optimizers import norm


def clip_by_norm(gradients: Sequence[Tensor], limit: float) -> list[Tensor]:
    """Return the gradients, all scaled by min(1, limit / ‖g‖); ‖g‖ is over all their entries.

    The direction stays (Pascanu, Mikolov & Bengio 2013, arXiv 1211.5063, algorithm 1).
    `torch.nn.utils.clip_grad_norm_` divides by ‖g‖ + 1e-6 instead. ``limit`` > 0.

    >>> clip_by_norm([torch.tensor([3.0]), torch.tensor([4.0])], limit=1)
    [tensor([0.6000]), tensor([0.8000])]
    """
    checks.real("limit", limit, above=0)
    lengths = [norm(g) for g in gradients if g.numel()]
    length = norm(torch.stack(lengths)) if lengths else torch.zeros(())
    if length <= limit:
        return list(gradients)
    return [g / length * limit for g in gradients]  # not limit / length: it may underflow


def clip_by_value(gradients: Sequence[Tensor], limit: float) -> list[Tensor]:
    """Return the gradients with each entry moved into [−limit, limit]; the direction may turn.

    The same as `torch.nn.utils.clip_grad_value_`. ``limit`` > 0.

    >>> clip_by_value([torch.tensor([0.5, -40.0])], limit=1)
    [tensor([ 0.5000, -1.0000])]
    """
    checks.real("limit", limit, above=0)
    return [g.clamp(-limit, limit) for g in gradients]
