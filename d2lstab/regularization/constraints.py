"""Max-norm: no unit's incoming weights may be longer than a limit."""

import torch
from torch import Tensor, nn

from d2lstab import checks


def limit_rows(weight: Tensor, limit: float) -> Tensor:
    """Return ``weight``, (fan_out, fan_in), with each row longer than ``limit`` scaled to it.

    A row holds what comes into one unit. This is the projection onto the allowed set: no matrix
    whose rows are within the limit is nearer (Srivastava et al. 2014, section 5.1). ``limit`` > 0,
    in the unit of the weights; shorter rows are left as they are, bit for bit.

    >>> limit_rows(torch.tensor([[3.0, 4.0], [0.6, 0.8]]), 2.5)
    tensor([[1.5000, 2.0000],
            [0.6000, 0.8000]])
    """
    checks.real("limit", limit, above=0)
    # in float64, where the square of 1e30 is a number
    lengths = weight.norm(dim=1, keepdim=True, dtype=torch.float64)
    return weight * (limit / lengths).clamp(max=1).to(weight.dtype)


@torch.no_grad()
def limit_hidden_norms(network: nn.Module, limit: float) -> None:
    """Apply `limit_rows` in place to every `torch.nn.Linear` of ``network`` but the last.

    >>> network = nn.Sequential(nn.Linear(5, 3), nn.ReLU(), nn.Linear(3, 1))
    >>> limit_hidden_norms(network, 0.1)
    >>> bool((network[0].weight.norm(dim=1) <= 0.1001).all())
    True
    """
    linears = [module for module in network.modules() if isinstance(module, nn.Linear)]
    for linear in linears[:-1]:
        linear.weight.copy_(limit_rows(linear.weight, limit))
