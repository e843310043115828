"""Train without gradients: the loss of whole populations of parameters, and an evolution strategy.

What every gradient-free method needs is one vector per candidate and the losses of many candidates
at once. `PopulationLoss` gives both to any optimizer, of this package or of a library, and keeps
the same record of each.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Generator, Tensor, nn
from torch.func import functional_call, vmap

from d2lstab import checks


def parameter_vector(network: nn.Module) -> Tensor:
    """Return a copy of all parameters as one vector, shape (d,), in the order of `parameters()`.

    >>> parameter_vector(nn.Linear(3, 2)).shape
    torch.Size([8])
    """
    return nn.utils.parameters_to_vector(network.parameters()).detach()  # joined: never a view


def set_parameters(network: nn.Module, vector: Tensor) -> None:
    """Write ``vector``, shape (d,), into the parameters of ``network``; ValueError if d differs.

    The network gets a copy, in its own dtype.
    """
    d = sum(p.numel() for p in network.parameters())
    if tuple(vector.shape) != (d,):
        raise ValueError(f"vector must have shape ({d},); got {tuple(vector.shape)}.")
    with torch.no_grad():
        parameters = list(network.parameters())
        for p, part in zip(parameters, vector.split([p.numel() for p in parameters]), strict=True):
            p.copy_(part.view(p.shape))


@dataclass(frozen=True, eq=False)
class Search:
    """What a search for parameters found, and what it cost.

    evaluations : losses computed so far, int64, (calls,), one entry for each population.
    best_loss : the smallest of them, float64, (calls,); it never rises.
    parameters : the candidate that had it, shape (d,).
    """

    evaluations: Tensor
    best_loss: Tensor
    parameters: Tensor


class PopulationLoss:
    """The loss of a network at many parameter vectors at once, with a record of the search.

    network : any module whose outputs depend on its parameters and inputs alone, so without
        dropout and without batch norm. It is never changed.
    inputs : what it is called with. targets : what ``loss`` compares the outputs with.
    loss : (outputs, targets) → scalar tensor, cross-entropy by default. It needs no derivative.
    chunk : candidates computed together, which bounds the memory.

    Call it with a population, shape (candidates, d), and it returns the losses, shape
    (candidates,): a tensor for a tensor; for a numpy array, as libraries send it, float64 numpy.
    Raises ValueError for another shape. `search` returns the record.

    >>> from d2lstab import NetworkSpec, build
    >>> from d2lstab.datasets import digits
    >>> network, data = build(NetworkSpec(depth=1, width=8, activation="hard_step")), digits(128)
    >>> loss = PopulationLoss(network, data.inputs, data.labels)
    >>> loss(torch.zeros(3, 610))
    tensor([2.3026, 2.3026, 2.3026])
    """

    def __init__(
        self,
        network: nn.Module,
        inputs: Tensor,
        targets: Tensor,
        loss: Callable[[Tensor, Tensor], Tensor] = F.cross_entropy,
        chunk: int = 64,
    ):
        self._shapes = {name: p.shape for name, p in network.named_parameters()}
        self._sizes = [shape.numel() for shape in self._shapes.values()]
        self._dtype = next(network.parameters()).dtype
        self._chunk = chunk
        self._losses = vmap(lambda some: loss(functional_call(network, some, (inputs,)), targets))
        self._counts: list[int] = []
        self._best: list[float] = []
        self._parameters = torch.full((sum(self._sizes),), math.nan, dtype=self._dtype)

    @property
    def size(self) -> int:
        """d, how many numbers a candidate has."""
        return sum(self._sizes)

    @torch.no_grad()
    def __call__(self, population: Tensor | np.ndarray) -> Tensor | np.ndarray:
        candidates = torch.as_tensor(population).to(self._dtype)
        if candidates.ndim != 2 or candidates.shape[1] != self.size or not len(candidates):
            raise ValueError(
                f"population must have shape (candidates, {self.size}); "
                f"got {tuple(candidates.shape)}."
            )
        losses = torch.cat([self._losses(self._named(c)) for c in candidates.split(self._chunk)])
        self._record(candidates, losses)
        return losses if isinstance(population, Tensor) else losses.double().numpy()

    def _named(self, candidates: Tensor) -> dict[str, Tensor]:
        """The vectors cut into the network's parameters, each of shape (candidates, *shape)."""
        parts = candidates.split(self._sizes, dim=1)
        shapes = self._shapes.items()
        return {
            name: part.reshape(-1, *shape)
            for (name, shape), part in zip(shapes, parts, strict=True)
        }

    def _record(self, candidates: Tensor, losses: Tensor) -> None:
        index = losses.nan_to_num(math.inf).argmin()
        best = self._best[-1] if self._best else math.inf
        if losses[index] < best:
            best, self._parameters = losses[index].item(), candidates[index].clone()
        self._counts.append((self._counts[-1] if self._counts else 0) + len(losses))
        self._best.append(best)

    def search(self) -> Search:
        """Return the record of all calls so far; ValueError before the first."""
        if not self._counts:
            raise ValueError("there is no search yet: call the loss with a population first.")
        return Search(
            torch.tensor(self._counts),
            torch.tensor(self._best, dtype=torch.float64),
            self._parameters.clone(),
        )


def smoothed_gradient(
    loss: Callable[[Tensor], Tensor],
    parameters: Tensor,
    std: float,
    pairs: int,
    generator: Generator,
) -> Tensor:
    """Estimate the gradient of the smoothed loss, E[loss(θ + std ε)] for ε ~ N(0, I), from losses.

    loss : population (candidates, d) → losses (candidates,), any function; it is called once, with
        2 · ``pairs`` candidates.
    parameters : θ, shape (d,). std : how far the candidates scatter, > 0.

    Returns the mean of (loss(θ + std ε) − loss(θ − std ε)) / (2 std) · ε over the pairs, shape
    (d,): unbiased for any loss, differentiable or not (the score-function estimator with mirrored
    noise, Salimans et al. 2017, arXiv 1703.03864). Where the loss is linear with gradient g, its
    mean square is ‖g‖² (1 + (d + 1) / pairs).
    """
    _check(std, pairs)
    noise = torch.randn(pairs, len(parameters), generator=generator, dtype=parameters.dtype)
    losses = loss(torch.cat([parameters + std * noise, parameters - std * noise]))
    return (losses[:pairs] - losses[pairs:]) @ noise / (2 * std * pairs)


def evolution_strategy(
    loss: Callable[[Tensor], Tensor],
    start: Tensor,
    generations: int,
    *,
    std: float = 0.1,
    learning_rate: float = 0.1,
    momentum: float = 0.9,
    pairs: int = 25,
    seed: int = 0,
) -> Tensor:
    """Descend along `smoothed_gradient` from ``start``, shape (d,); return where it ends, (d,).

    A generation costs 2 · ``pairs`` evaluations for the gradient and one at its centre, which is
    what a search is judged by. The global random state is not touched.

    >>> def bowl(population):
    ...     return (population**2).sum(dim=1)
    >>> end = evolution_strategy(bowl, torch.ones(20), 100, learning_rate=0.02)
    >>> bool(bowl(end[None]) < 0.01)
    True
    """
    _check(std, pairs)
    generator = torch.Generator().manual_seed(seed)
    centre, velocity = start.detach().clone(), torch.zeros_like(start)
    for _ in range(generations):
        gradient = smoothed_gradient(loss, centre, std, pairs, generator)
        velocity = momentum * velocity + gradient
        centre = centre - learning_rate * velocity
        loss(centre[None])
    return centre


def _check(std: float, pairs: int) -> None:
    checks.real("std", std, above=0)
    checks.integer("pairs", pairs, 1)
