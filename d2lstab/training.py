"""Train a network on the digits step by step, so that something can watch."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from d2lstab.datasets import Batch, digits
from d2lstab.modes import evaluating

HELD_OUT = 360  # of 1797 digits, a fifth


@dataclass(frozen=True)
class Step:
    """number : 1 for the first step. loss, right : of its batch, before the update, in the
    network's mode; ``right`` is the share of examples whose largest output is their class's."""

    number: int
    loss: float
    right: float


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
    return train_on(network, batches(steps, batch_size, seed), learning_rate, momentum)


def batches(steps: int, size: int, seed: int) -> Iterator[Batch]:
    """Yield ``steps`` batches of ``size`` training digits, drawn with replacement by ``seed``."""
    data, generator = training_digits(), torch.Generator().manual_seed(seed)
    for _ in range(steps):
        drawn = torch.randint(len(data.labels), (size,), generator=generator)
        yield Batch(data.inputs[drawn], data.labels[drawn])


@lru_cache(maxsize=1)  # a copy of all digits takes as long as the rest of a batch
@torch.inference_mode(False)  # what is kept must also serve a caller who trains
def training_digits() -> Batch:
    """The digits that are not held out; one object for all callers, not to be changed."""
    data = digits()
    return Batch(data.inputs[:-HELD_OUT], data.labels[:-HELD_OUT])


def train_on(
    network: nn.Module, batches: Iterable[Batch], learning_rate: float, momentum: float = 0.9
) -> Iterator[Step]:
    """Take a step of `train` with each of the batches."""
    # By hand: the first torch.optim.SGD of a process loads PyTorch's compiler, and a lab would
    # stand still for 1.5 s.
    velocity = {p: torch.zeros_like(p) for p in network.parameters() if p.requires_grad}
    for number, batch in enumerate(batches, start=1):
        outputs = network(batch.inputs)
        loss = F.cross_entropy(outputs, batch.labels)
        network.zero_grad()
        loss.backward()
        with torch.no_grad():
            for parameter, v in velocity.items():
                if parameter.grad is not None:
                    v.mul_(momentum).add_(parameter.grad)
                    parameter.sub_(v, alpha=learning_rate)
        yield Step(number, loss.item(), share_right(outputs, batch.labels))


def share_right(outputs: Tensor, labels: Tensor) -> float:
    """Return the share of examples, outputs (examples, classes), whose largest is their class's."""
    return (outputs.argmax(dim=1) == labels).double().mean().item()


def accuracy(network: nn.Module) -> float:
    """Share of the held-out digits classified right, in evaluation mode; the mode is put back.

    0.1 is guessing. A network whose outputs are NaN is right by chance at most.
    """
    data = digits()
    with torch.no_grad(), evaluating(network):
        return share_right(network(data.inputs[-HELD_OUT:]), data.labels[-HELD_OUT:])
