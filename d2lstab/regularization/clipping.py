"""Gradient clipping: by the norm of the whole gradient, and entry by entry."""

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from d2lstab import checks
from d2lstab.optimizers import norm


def clip_by_norm(gradients: Sequence[Tensor], limit: float) -> list[Tensor]:
    """Return the gradients, all scaled by min(1, limit / ‖g‖); ‖g‖ is over all their entries.

    The direction stays (Pascanu, Mikolov & Bengio 2013, arXiv 1211.5063, algorithm 1).
    `torch.nn.utils.clip_grad_norm_` divides by ‖g‖ + 1e-6 instead. ``limit`` > 0. A gradient with
    an entry that is Inf or NaN cannot be mended by scaling: some or all of it becomes NaN.

    >>> clip_by_norm([torch.tensor([3.0]), torch.tensor([4.0])], limit=1)
    [tensor([0.6000]), tensor([0.8000])]
    """
    checks.real("limit", limit, above=0)
    length = total_norm(gradients)
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


CLIPS = {"norm": clip_by_norm, "value": clip_by_value}
"""Ways to clip by name."""


def total_norm(gradients: Sequence[Tensor]) -> Tensor:
    """Return the Euclidean norm over the entries of all gradients together, 0-dimensional.

    Unlike `torch.nn.utils.get_total_norm` it squares nothing that would over- or underflow.

    >>> total_norm([torch.tensor([3e30]), torch.tensor([4e30])])
    tensor(5.0000e+30)
    """
    lengths = [norm(g) for g in gradients if g.numel()]
    return norm(torch.stack(lengths)) if lengths else torch.zeros(())


def angle(gradients: Sequence[Tensor], others: Sequence[Tensor]) -> float:
    """Return the angle between two gradients, over all their entries, in degrees from 0 to 180.

    NaN where one of them is zero or not finite. Exact for small angles too, where the arc cosine
    of the scalar product is not (Kahan's formula).

    >>> g = [torch.tensor([3.0, 0.0]), torch.tensor([40.0])]
    >>> round(angle(g, clip_by_value(g, limit=3)), 2), angle(g, clip_by_norm(g, limit=3)) < 1e-5
    (40.71, True)
    """
    one, two = (torch.cat([g.flatten().double() for g in side]) for side in (gradients, others))
    one, two = one / norm(one), two / norm(two)
    return math.degrees(2 * math.atan2((one - two).norm(), (one + two).norm()))
