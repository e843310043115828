"""Train a network on the digits step by step, so that something can watch."""

from collections.abc import Iterator
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import nn

from d2lstab.datasets import digits
from d2lstab.modes import evaluating

HELD_OUT = 360  # of 1797 digits, a fifth


@dataclass(frozen=True)
class Step:
    """number : 1 for the first step. loss : of its batch, before the update."""

    number: int
    loss: float


def train(
    network: nn.Module,
    steps: int,
    learning_rate: float = 0.01,
    momentum: float = 0.9,
    batch_size: int = 128,
    seed: int = 0,
) -> Iterator[Step]:
    """Train on the digits by stochastic gradient descent, cross-entropy loss; yield every step.

    The network is changed in place; stop by not asking for more. Dropout draws from the global
    random state, batches from ``seed``.

    >>> from d2lstab import NetworkSpec, build
    >>> network = build(NetworkSpec(depth=2))
    >>> losses = [step.loss for step in train(network, 60, learning_rate=0.03)]
    >>> losses[-1] < losses[0] / 2
    True
    """
    data = digits()
    inputs, labels = data.inputs[:-HELD_OUT], data.labels[:-HELD_OUT]
    generator = torch.Generator().manual_seed(seed)
    optimizer = torch.optim.SGD(network.parameters(), lr=learning_rate, momentum=momentum)
    for number in range(1, steps + 1):
        batch = torch.randint(len(inputs), (batch_size,), generator=generator)
        loss = F.cross_entropy(network(inputs[batch]), labels[batch])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        yield Step(number, loss.item())


def accuracy(network: nn.Module) -> float:
    """Share of the held-out digits classified right, in evaluation mode; the mode is put back.

    0.1 is guessing. A network whose outputs are NaN is right by chance at most.
    """
    data = digits()
    with torch.no_grad(), evaluating(network):
        predicted = network(data.inputs[-HELD_OUT:]).argmax(dim=1)
    return (predicted == data.labels[-HELD_OUT:]).double().mean().item()
