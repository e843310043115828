"""Exercises 4.11, 4.16: statistics taken anew, and a layer whose ground moves."""

import copy
from collections.abc import Callable, Iterator

import torch
import torch.nn.functional as F
from torch import Generator, Tensor, nn

from d2lstab import NetworkSpec, build
from d2lstab.datasets import digits
from d2lstab.exercises.answers import AnswerError, call
from d2lstab.exercises.exercise import Exercise, Mistake, fraction, integer, normal
from d2lstab.training import HELD_OUT

# 4.11 Take the statistics anew

EXAMPLES = 300
CLOSE = 0.02
"""How far statistics may be off, in standard deviations: n or n − 1 makes a 600th."""
OLD_BATCHES = 40
"""That the network's running statistics have seen."""


def check_recompute(answer: object, seed: int) -> None:
    """`AnswerError` unless ``answer`` gives the statistics of all x to every norm, and no more."""
    generator = Generator().manual_seed(seed)
    for layers in (2, integer(generator, 1, 3)):
        network, x = _trained(generator, layers), _examples(generator)
        old = copy.deepcopy(network)
        found = call(answer, (network, x), "a function of network and x that returns it", {})
        _check_network(found, old)
        _check_statistics(found, old, x)


def forgetful_network(seed: int = 0) -> nn.Sequential:
    """Return a network, one for each class seed, in eval mode: two hidden layers, two batch norms.

    It has learned the digits, and then forgotten how they are distributed: 20 batches of a single
    class went through it in train mode.

    >>> forgetful_network(1)[1]
    BatchNorm1d(32, eps=1e-05, momentum=0.1, affine=True, bias=True, track_running_stats=True)
    """
    network = build(NetworkSpec(2, 32, "relu", "he", norm="batch", seed=seed))
    generator, data = Generator().manual_seed(seed), digits()
    label = integer(generator, 0, 9)
    for _ in range(60):  # written out: the import of an optimizer takes longer than all of this
        batch = torch.randint(len(data.labels) - HELD_OUT, (128,), generator=generator)
        loss = F.cross_entropy(network(data.inputs[batch]), data.labels[batch])
        gradients = torch.autograd.grad(loss, tuple(network.parameters()))
        with torch.no_grad():
            for parameter, gradient in zip(network.parameters(), gradients, strict=True):
                parameter -= 0.5 * gradient
    with torch.no_grad():
        for _ in range(20):
            network(data.inputs[data.labels == label])
    return network.eval()


def _trained(generator: Generator, layers: int) -> nn.Sequential:
    """A net in eval mode, whose norms remember another population."""
    parts: list[nn.Module] = []
    for _ in range(layers):
        parts += [nn.Linear(6, 6), nn.BatchNorm1d(6), nn.ReLU()]
    network = nn.Sequential(*parts, nn.Linear(6, 3)).double()
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.copy_(normal(generator, *parameter.shape))
    for norm in _norms(network):
        norm.momentum = fraction(generator, 0.1, 0.3)
        norm.running_mean.copy_(3 * normal(generator, 6))
        norm.running_var.copy_(normal(generator, 6).square() + 3)
        norm.num_batches_tracked.fill_(OLD_BATCHES)
    return network.eval()


def _examples(generator: Generator) -> Tensor:
    return normal(generator, EXAMPLES, 6) @ normal(generator, 6, 6) + 2 * normal(generator, 6)


def _norms(network: nn.Module) -> list[nn.BatchNorm1d]:
    return [module for module in network.modules() if isinstance(module, nn.BatchNorm1d)]


def _check_network(found: object, old: nn.Module) -> None:
    if not isinstance(found, nn.Module):
        raise AnswerError(f"Return the network; got {type(found).__name__}.")
    if len(_norms(found)) != len(_norms(old)):
        raise AnswerError("Return the whole network, with all its norms.")
    parameters = dict(found.named_parameters())
    for name, parameter in old.named_parameters():
        if name not in parameters or not torch.equal(parameters[name], parameter):
            raise AnswerError(
                f"The parameter {name} has changed: nothing is to be learned, only measured."
            )


def _check_statistics(found: nn.Module, old: nn.Module, x: Tensor) -> None:
    right = _statistics(old, x, train=True)
    by_old = _statistics(old, x, train=False)
    for index, (norm, before) in enumerate(zip(_norms(found), _norms(old), strict=True)):
        kept = _pair(before)
        start = torch.stack([torch.zeros(6), torch.ones(6)]).double()
        count = OLD_BATCHES
        known = [
            ("nothing gets recorded in eval mode: they are as they were", kept),
            ("they were reset, and then nothing was recorded: in which mode was the pass?", start),
            (_A_SHARE, kept.lerp(right[index], before.momentum)),
            (_A_SHARE, start.lerp(right[index], before.momentum)),
            (
                "the old ones are still in them: without momentum the layer goes on counting "
                "where it stood",
                kept.lerp(right[index], 1 / (count + 1)),
            ),
            ("they are those that x has behind *old* statistics", by_old[index]),
            ("the standard deviation stands where the variance should", _rooted(right[index])),
        ]
        value = _pair(norm)
        if not value.isfinite().all():
            raise AnswerError("The running statistics hold NaN or Inf.")
        if not _close(value, right[index]):
            hints = [hint for hint, wrong in known if _close(value, wrong)]
            raise AnswerError(
                f"The running statistics of norm number {index + 1}: "
                + (hints[0] if hints else "they are not those of all examples of x in one batch")
                + "."
            )
        if norm.momentum != before.momentum:
            raise AnswerError("The statistics are right, but momentum is not what it was.")
    if any(module.training for module in found.modules()):
        raise AnswerError("The statistics are right, but the network is left in train mode.")


_A_SHARE = "they have moved by `momentum` of the way only"


def _statistics(network: nn.Module, x: Tensor, train: bool) -> list[Tensor]:
    """Mean and variance, (2, units), of what enters each norm while the pass is made in a mode."""
    network = copy.deepcopy(network).train(train)
    seen: list[Tensor] = []
    for norm in _norms(network):
        norm.register_forward_hook(
            lambda _, inputs, out: seen.append(torch.stack([inputs[0].mean(0), inputs[0].var(0)]))
        )
    with torch.no_grad():
        network(x)
    return seen


def _pair(norm: nn.BatchNorm1d) -> Tensor:
    if norm.running_mean is None or norm.running_var is None:
        raise AnswerError("A norm has lost its running statistics.")
    return torch.stack([norm.running_mean, norm.running_var]).detach().double()


def _rooted(pair: Tensor) -> Tensor:
    return torch.stack([pair[0], pair[1].sqrt()])


def _close(value: Tensor, truth: Tensor) -> bool:
    """Means within a share of the standard deviation, variances within a share of themselves."""
    variance = truth[1] + 1e-9
    return bool(
        ((value[0] - truth[0]).abs() <= CLOSE * variance.sqrt()).all()
        and ((value[1] - truth[1]).abs() <= CLOSE * variance).all()
    )


# 4.16 A layer whose ground moves


def _losses(generator: Generator) -> Iterator[tuple]:
    for units in (4, integer(generator, 3, 6)):
        x, y = normal(generator, 12, 5), normal(generator, 12, 2)
        W1, W2 = normal(generator, units, 5), normal(generator, 2, units)

        def loss(W1: Tensor, W2: Tensor, x: Tensor = x, y: Tensor = y) -> Tensor:
            return (torch.tanh(x @ W1.T) @ W2.T - y).square().mean()

        yield loss, W1, W2, fraction(generator, 0.3, 0.9)


def _gradients(loss: Callable[..., Tensor], W1: Tensor, W2: Tensor) -> tuple[Tensor, Tensor]:
    with torch.enable_grad():
        W1, W2 = W1.clone().requires_grad_(), W2.clone().requires_grad_()
        return torch.autograd.grad(loss(W1, W2), (W1, W2))


def _change(loss, W1, W2, rate, *, first: float = 1.0, second: float = 0.0, of: int = 1) -> Tensor:
    """The change of layer ``of``'s gradient, (units, in); a mistake is another step before it."""
    before = _gradients(loss, W1, W2)
    moved = W1 - first * rate * before[0], W2 - second * rate * before[1]
    return _gradients(loss, *moved)[of] - before[of]


def _size(**changes) -> Callable[..., Tensor]:
    return lambda *case: _change(*case, **changes).norm()


GROUND_MOVES = Exercise(
    asks="a function of loss, W1, W2 and rate that returns a number",
    cases=_losses,
    truth=_size(),
    parts=("the change",),
    mistakes=(
        Mistake(
            "both layers have moved; W2 stays where it was, only its ground moves.",
            _size(second=1.0),
        ),
        Mistake("W2 has moved, and W1 has not.", _size(first=0.0, second=1.0)),
        Mistake("this is W1's gradient, whose own ground, the data, stays.", _size(of=0)),
        Mistake("the step goes uphill.", _size(first=-1.0)),
        Mistake("this is its square.", lambda *case: _size()(*case) ** 2),
        Mistake(
            "it is divided by the gradient; asked is the change itself.",
            lambda *case: _size()(*case) / _gradients(*case[:3])[1].norm(),
        ),
        Mistake(
            "lengths were subtracted; a gradient that only turns changes, too.",
            lambda loss, W1, W2, rate: (
                _gradients(loss, W1 - rate * _gradients(loss, W1, W2)[0], W2)[1].norm()
                - _gradients(loss, W1, W2)[1].norm()
            ),
        ),
        Mistake(
            "lengths were subtracted; a gradient that only turns changes, too.",
            lambda loss, W1, W2, rate: (
                _gradients(loss, W1 - rate * _gradients(loss, W1, W2)[0], W2)[1].norm()
                - _gradients(loss, W1, W2)[1].norm()
            ).abs(),
        ),
    ),
)
