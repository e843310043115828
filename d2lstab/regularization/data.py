"""Data to overfit on: many columns and few examples, made or measured."""

from dataclasses import dataclass

import torch
from torch import Tensor

from d2lstab import checks
from d2lstab.datasets import diabetes


@dataclass(frozen=True)
class Split:
    """A regression in two halves, float64.

    inputs, targets : to fit, (n, features) and (n,). test_inputs, test_targets : to judge by.
    """

    inputs: Tensor
    targets: Tensor
    test_inputs: Tensor
    test_targets: Tensor


def high_dimensional(
    n: int = 20, n_test: int = 100, features: int = 200, noise: float = 0.01, seed: int = 0
) -> Split:
    """Return the book's example of overfitting: y = 0.05 + Σ 0.01·xⱼ + ε, x and ε normal.

    n, n_test, features : ≥ 1; 200 weights and 20 examples unless told otherwise (Dive into Deep
    Learning, "Weight Decay"). noise : standard deviation of ε, ≥ 0.

    >>> split = high_dimensional()
    >>> split.inputs.shape, split.test_targets.shape
    (torch.Size([20, 200]), torch.Size([100]))
    """
    for name, value in {"n": n, "n_test": n_test, "features": features}.items():
        checks.integer(name, value, 1)
    checks.real("noise", noise, 0)
    generator = torch.Generator().manual_seed(seed)
    draw = {"generator": generator, "dtype": torch.float64, "device": "cpu"}
    inputs = torch.randn(n + n_test, features, **draw)
    targets = 0.05 + 0.01 * inputs.sum(dim=1) + noise * torch.randn(n + n_test, **draw)
    return Split(inputs[:n], targets[:n], inputs[n:], targets[n:])


def patients(n: int = 60, seed: int = 0) -> Split:
    """Return `datasets.diabetes` with ``n`` patients to fit and the others to judge by.

    Inputs are the ten columns, their squares and their products, without the square of the
    binary sex: 64 columns, standardized and then centred by the patients to fit alone; targets
    are centred and divided by their standard deviation likewise.

    >>> patients(60).inputs.shape
    torch.Size([60, 64])
    """
    data = diabetes(seed)
    checks.integer("n", n, 2, len(data.targets) - 1)
    columns = _standardized(data.inputs, n)
    first, second = torch.triu_indices(10, 10, device="cpu")
    binary = data.columns.index("sex")
    kept = ~((first == binary) & (second == binary))
    products = columns[:, first[kept]] * columns[:, second[kept]]
    inputs = _standardized(torch.cat([columns, products], dim=1), n)
    targets = _standardized(data.targets[:, None], n)[:, 0]
    return Split(inputs[:n], targets[:n], inputs[n:], targets[n:])


def _standardized(columns: Tensor, n: int) -> Tensor:
    """Each column less the mean of its first ``n`` rows, over their standard deviation."""
    std, mean = torch.std_mean(columns[:n], dim=0, correction=0)
    return (columns - mean) / torch.where(std > 0, std, torch.ones_like(std))
