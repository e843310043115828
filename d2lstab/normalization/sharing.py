"""Which numbers share a mean: asked of the layer itself, by autograd."""

import copy

import torch
from torch import Tensor, nn


def sharing_set(norm: nn.Module, x: Tensor, at: tuple[int, ...]) -> Tensor:
    """Return which numbers of ``x`` influence the output at one place: bool, shaped as ``x``.

    norm : a layer whose output has the shape of its input; it is left as it is, running
        statistics included.
    x : its input, in general position: of equal numbers none has an influence.
    at : an index for each dimension of ``x``.

    These are the numbers with a nonzero derivative ∂output[at]/∂x: those that share μ and σ with
    ``x[at]``. Alone in its set a number equals its μ, and the set comes out empty.

    Raises ValueError where ``at`` names no single number.

    >>> x = torch.tensor([[1.0, 2.0, 4.0], [3.0, 9.0, 5.0]])
    >>> sharing_set(nn.LayerNorm(3), x, at=(0, 1))
    tensor([[ True,  True,  True],
            [False, False, False]])
    """
    if len(at) != x.ndim:
        raise ValueError(f"at must have an index for each dimension of {tuple(x.shape)}; got {at}.")
    x = x.detach().clone().requires_grad_()
    output = copy.deepcopy(norm)(x)[at]
    return torch.autograd.grad(output, x)[0] != 0
