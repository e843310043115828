"""Batches by size and composition, and what their statistics have to do with the running ones."""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from d2lstab import checks
from d2lstab.datasets import Batch
from d2lstab.modes import evaluating
from d2lstab.networks import N_CLASSES
from d2lstab.normalization.layers import BatchNorm
from d2lstab.training import training_digits

BATCH_NORMS = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d, BatchNorm)


def batch_of(size: int, composition: float = 0.0, label: int = 0, seed: int = 0) -> Batch:
    """Return ``size`` training digits, drawn with replacement by ``seed``; inputs (size, 64).

    composition : the share, rounded to whole examples, that is drawn from the class ``label``
        only; the rest comes from all classes. 0: independent and identically distributed; 1: one
        class, as a data file sorted by class gives.
    Raises TypeError or ValueError for a size under 1, a share outside [0, 1] or a label that is
    no digit.

    >>> batch_of(4, composition=1, label=7).labels
    tensor([7, 7, 7, 7])
    """
    size = checks.integer("size", size, 1)
    composition = checks.between("composition", composition, 0, 1)
    label = checks.integer("label", label, 0, N_CLASSES - 1)
    data = training_digits()
    generator = torch.Generator().manual_seed(seed)
    drawn = torch.randint(len(data.labels), (size,), generator=generator, device="cpu")
    of_class = (data.labels == label).nonzero().flatten()
    same = round(composition * size)
    pick = torch.randint(len(of_class), (same,), generator=generator, device="cpu")
    drawn[:same] = of_class[pick]
    return Batch(data.inputs[drawn], data.labels[drawn])


@dataclass(frozen=True)
class Mismatch:
    """How far a batch's statistics are from the running ones of a batch-norm layer.

    layer : the layer's name in the network.
    mean : (μ_batch − μ_running)/σ_running, (channels,), dimensionless; 0 where they agree.
    variance : σ²_batch/σ²_running, (channels,); 1 where they agree. Both variances are the
        unbiased ones, and to both the layer's eps is added, as the layer does.
    """

    layer: str
    mean: Tensor
    variance: Tensor


@torch.no_grad()
def mismatches(network: nn.Module, inputs: Tensor) -> list[Mismatch]:
    """Compare the statistics of a batch with the running ones, layer by layer in order of use.

    Each batch-norm layer sees what it would see in train mode, when all layers before it use the
    batch's statistics; dropout is off. Nothing in ``network`` changes, its mode included.

    Raises ValueError where no layer keeps running statistics, and, as PyTorch does in train mode,
    for a batch with one number per channel.

    >>> layer = nn.BatchNorm1d(1)  # running mean 0, running variance 1
    >>> mismatches(layer, torch.tensor([[1.0], [3.0]]))
    [Mismatch(layer='', mean=tensor([2.0000]), variance=tensor([2.0000]))]
    """
    found: list[Mismatch] = []
    names = {
        layer: name
        for name, layer in network.named_modules()
        if isinstance(layer, BATCH_NORMS) and layer.running_mean is not None
    }
    if not names:
        raise ValueError("network must have a batch-norm layer with running statistics; got none.")

    def compare(layer: nn.Module, arguments: tuple[Tensor], _: Tensor) -> Tensor:
        (x,) = arguments
        output = F.batch_norm(x, None, None, layer.weight, layer.bias, training=True, eps=layer.eps)
        by_channel = x.transpose(0, 1).flatten(1)
        variance, mean = torch.var_mean(by_channel, 1, correction=1)
        running = layer.running_var + layer.eps
        gap = (mean - layer.running_mean) / running.sqrt()
        found.append(Mismatch(names[layer], gap, (variance + layer.eps) / running))
        return output  # in place of eval mode's

    handles = [layer.register_forward_hook(compare) for layer in names]
    try:
        with evaluating(network):
            network(inputs)
    finally:
        for handle in handles:
            handle.remove()
    return found
