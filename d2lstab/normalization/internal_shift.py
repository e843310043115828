"""Internal covariate shift: how much the inputs of a layer move from one training step to the next.

Two measures of it, of the inputs themselves and of the layer's gradient, and a noise that makes it
larger. Nothing here moves the network.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.func import functional_call

from d2lstab import checks
from d2lstab.normalization.landscape import Loss, loss_and_gradient, trained

MEAN, SCALE, JITTER = 0.5, 1.25, 0.1
"""n_μ, n_σ and r_μ = r_σ of Santurkar et al. 2018, appendix A.2.1."""


class ShiftingNoise(nn.Module):
    """s x + m for x of shape (examples, units), with other s and m in every pass in train mode.

    Each unit draws m̄ from U(−0.5, 0.5) and s̄ from U(1, 1.25) in each pass; each example its m from
    U(m̄ − 0.1, m̄ + 0.1) and its s from N(s̄, 0.1²). Behind a batch norm it is the "noisy" batch norm
    of Santurkar et al. 2018 (arXiv 1805.11604, algorithm 1). In eval mode it does nothing.

    seed : fixes the noise of all passes, 0 ≤ seed < 2³².

    The number of the pass is a buffer that no state dict holds; where a measure works on copies
    of the buffers, as here, it sees the noise of the next pass and takes it from no one.

    >>> noise, x = ShiftingNoise(seed=0), torch.zeros(500, 1)
    >>> bool((noise(x).mean() - noise(x).mean()).abs() > 0.1)
    True
    """

    def __init__(self, seed: int):
        super().__init__()
        self.seed = checks.integer("seed", seed, 0, 2**32 - 1)
        self.register_buffer("passes", torch.tensor(0), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        if not self.training:
            return x
        # explicit, so that a reader's torch.set_default_dtype or _device changes nothing here
        kind = {"dtype": torch.float32, "device": "cpu"}
        generator = torch.Generator().manual_seed((self.seed << 24) + int(self.passes))
        self.passes.add_(1)
        unit = torch.rand(2, x.shape[1], generator=generator, **kind)
        shift = MEAN * (2 * unit[0] - 1)
        shift = shift + JITTER * (2 * torch.rand(x.shape, generator=generator, **kind) - 1)
        scale = 1 + (SCALE - 1) * unit[1]
        scale = scale + JITTER * torch.randn(x.shape, generator=generator, **kind)
        return scale.to(x) * x + shift.to(x)


@dataclass(frozen=True)
class LayerInputs:
    """Mean and standard deviation over a batch of what enters each `nn.Linear`, unit by unit.

    mean, std : layer → (units,), in the order in which the layers run.
    """

    mean: Mapping[str, Tensor]
    std: Mapping[str, Tensor]

    def shift_to(self, after: "LayerInputs") -> Tensor:
        """How far each layer's inputs have moved, (layers,), in their standard deviations.

        The root of Σ (Δμ² + Δσ²) / Σ σ², summed over units: for a normal distribution Δμ² + Δσ²
        is the squared Wasserstein distance. NaN or infinite where a layer's inputs are constant.

        >>> one = LayerInputs({"1": torch.tensor([0.0])}, {"1": torch.tensor([2.0])})
        >>> two = LayerInputs({"1": torch.tensor([3.0])}, {"1": torch.tensor([6.0])})
        >>> one.shift_to(two)
        tensor([2.5000])
        """
        moved = [
            (after.mean[layer] - mean).square().sum() + (after.std[layer] - std).square().sum()
            for (layer, mean), std in zip(self.mean.items(), self.std.values(), strict=True)
        ]
        spread = [std.square().sum() for std in self.std.values()]
        return (torch.stack(moved) / torch.stack(spread)).sqrt()


@torch.no_grad()
def layer_inputs(network: nn.Module, inputs: Tensor) -> LayerInputs:
    """Return what enters each `nn.Linear` of the network, in the mode that it is in.

    inputs : (examples, ...). The standard deviation is the biased one, as in batch norm.
    Raises ValueError where the network has no `nn.Linear`.
    """
    mean, std, handles = {}, {}, []

    def listen(name):
        def hook(_module, args):
            x = args[0].detach().flatten(0, -2)  # (examples and positions, units)
            std[name], mean[name] = torch.std_mean(x, dim=0, correction=0)

        return hook

    try:
        for name, module in network.named_modules():
            if isinstance(module, nn.Linear):
                handles.append(module.register_forward_pre_hook(listen(name)))
        if not handles:
            raise ValueError("the network has no nn.Linear whose inputs could move.")
        with torch.random.fork_rng({inputs.device} if inputs.is_cuda else ()):
            buffers = {name: buffer.clone() for name, buffer in network.named_buffers()}
            functional_call(network, buffers, (inputs,))
    finally:
        for handle in handles:
            handle.remove()
    return LayerInputs(mean, std)


@dataclass(frozen=True)
class GradientChange:
    """What a step of the layers below does to each weight matrix's gradient G; all (layers,).

    names : of the weight matrices. norms : ‖G‖ before. distances : ‖G − G′‖.
    cosines : of the angle between G and G′, NaN where one is 0.
    """

    names: tuple[str, ...]
    norms: Tensor
    distances: Tensor
    cosines: Tensor


def gradient_change(
    network: nn.Module,
    inputs: Tensor,
    labels: Tensor,
    learning_rate: float,
    loss: Loss = F.cross_entropy,
) -> GradientChange:
    """Return how a step of everything below a layer changes the layer's own gradient.

    G is the gradient of a weight matrix; G′ the one after a step of plain gradient descent has
    moved the parameters that are registered before it, on the same batch, in the network's mode:
    internal covariate shift in definition 2.1 of Santurkar et al. 2018 (arXiv 1805.11604).

    Network and global random state are as before. Raises TypeError or ValueError for a
    ``learning_rate`` that is no number ≥ 0, ValueError where there is no weight matrix.

    >>> change = gradient_change(nn.Linear(3, 2), torch.ones(5, 3), torch.tensor([0] * 5), 0.1)
    >>> change.names, change.distances  # nothing is below the first layer
    (('weight',), tensor([0.]))
    """
    learning_rate = checks.real("learning_rate", learning_rate, 0)
    before = trained(network)
    names = tuple(name for name, tensor in before.items() if tensor.ndim >= 2)
    if not names:
        raise ValueError("the network has no weight matrix that is trained.")
    _, gradient = loss_and_gradient(network, before, inputs, labels, loss)
    point, rows = dict(before), []
    for name in before:
        if name in names:
            g = gradient[name]
            _, changed = loss_and_gradient(network, point, inputs, labels, loss)
            cosine = (g * changed[name]).sum() / (g.norm() * changed[name].norm())
            rows.append(torch.stack([g.norm(), (g - changed[name]).norm(), cosine]))
        point[name] = before[name] - learning_rate * gradient[name]
    return GradientChange(names, *torch.stack(rows).T)
