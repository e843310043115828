"""The normalization bench: one network, one batch, and what a norm does with them."""

import math
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from d2lstab import checks
from d2lstab.activations import ACTIVATIONS
from d2lstab.datasets import Batch
from d2lstab.modes import evaluating
from d2lstab.networks import N_CLASSES, NetworkSpec, build
from d2lstab.normalization.batches import batch_of, mismatches
from d2lstab.normalization.rates import hidden_weights
from d2lstab.signal import SignalProfile, measure
from d2lstab.training import accuracy, share_right, train_on

WIDTH = 64
"""Units in a hidden layer."""

SCHEMES = {"relu": "he", "tanh": "xavier", "sigmoid": "xavier", "linear": "xavier"}
"""The bench's activation functions, each with its initialization."""

LARGEST_BATCH = 512
SHOWN = 5  # layers whose signals are kept, at most
BIN, REACH = 0.2, 30
"""Of the histograms: the width of a bin, and how many there are to each side of the middle one."""

CENTRES = BIN * np.arange(-REACH, REACH + 1)
"""Of the bins; the outermost two hold all that is beyond."""

EVERY = 5
"""Steps from one classification of the held-out digits to the next."""

_BATCHES_OF_A_SEED = 10_000  # so that two seeds share none; a generator knows 32 bits of its seed


@dataclass(frozen=True)
class BenchSpec:
    """Everything that fixes the network on the bench and its batches.

    norm : None or a name in `NORMS`.
    batch_size : examples, 1 to 512.
    composition : share of each batch that comes from one class, 0 (i.i.d.) to 1 (all of it).
    weight_scale : λ > 0; the hidden layers' weights are drawn and then multiplied by it. The
        output layer is left alone, so that a norm of the hidden layers can undo λ.
    norm_place : a name in `NORM_PLACES`, as in `NetworkSpec`.
    residual : whether each hidden layer after the first is ``x + layer(x)``.
    activation : a name in `SCHEMES`.
    depth : hidden layers of 64 units, 1 to 50.
    seed : fixes weights and batches, 0 ≤ seed < 2³².

    Raises TypeError or ValueError for a wrong value, with its name.

    >>> BenchSpec(batch_size=0)
    Traceback (most recent call last):
    ...
    ValueError: batch_size must be an integer from 1 to 512; got 0.
    """

    norm: str | None = "batch"
    batch_size: int = 64
    composition: float = 0.0
    weight_scale: float = 1.0
    norm_place: str = "before"
    residual: bool = False
    activation: str = "relu"
    depth: int = 8
    seed: int = 0

    def __post_init__(self):
        checks.choice("activation", self.activation, SCHEMES)
        as_python = {
            "batch_size": checks.integer("batch_size", self.batch_size, 1, LARGEST_BATCH),
            "composition": checks.between("composition", self.composition, 0, 1),
            "weight_scale": checks.real("weight_scale", self.weight_scale, above=0),
            "depth": checks.integer("depth", self.depth, 1, 50),
            "seed": checks.integer("seed", self.seed, 0, 2**32 - 1),
        }
        for field, value in as_python.items():
            object.__setattr__(self, field, value)
        _ = self.network  # checks the rest

    @property
    def network(self) -> NetworkSpec:
        """The network before λ multiplies its hidden weights."""
        return NetworkSpec(
            depth=self.depth, width=WIDTH, activation=self.activation,
            init=SCHEMES[self.activation], norm=self.norm, norm_place=self.norm_place,
            residual=self.residual, seed=self.seed,
        )  # fmt: skip

    def build(self) -> nn.Sequential:
        """Build the network, with its hidden weights multiplied by λ, in train mode."""
        network = build(self.network)
        with torch.no_grad():
            torch._foreach_mul_(hidden_weights(network), self.weight_scale)
        return network

    def batch(self, number: int = 0) -> Batch:
        """Return the batch with this number; the favoured class is the number's last digit.

        So one-class batches come class by class, in turn.
        """
        seed = self.seed * _BATCHES_OF_A_SEED + number
        return batch_of(self.batch_size, self.composition, number % N_CLASSES, seed)


@dataclass(frozen=True, eq=False)
class Bench:
    """One forward and backward pass in train mode, with batch 0 of the specification.

    refusal : what PyTorch says where it refuses the batch, else "". Then the rest is empty.
    profile : the `SignalProfile`, None where there is none.
    layers : numbers of up to `SHOWN` hidden layers, the first and the last among them.
    shares : of what the activation of these layers receives, the share in each bin of `CENTRES`,
        (shown, bins); 0 throughout where there is Inf or NaN.
    stds : its standard deviation, over examples and units, (shown,).
    mean_gaps, std_ratios : for each layer of batch norm, how far the batch's means are from the
        running ones, in running standard deviations, and its standard deviations over the running
        ones; root mean squares over the units, (norm layers,). Empty for the other norms.
    right_in_train, right_in_eval : accuracy on the batch in either mode.
    """

    spec: BenchSpec
    refusal: str = ""
    profile: SignalProfile | None = None
    layers: tuple[int, ...] = ()
    shares: Tensor = torch.empty(0, len(CENTRES))
    stds: Tensor = torch.empty(0)
    mean_gaps: Tensor = torch.empty(0)
    std_ratios: Tensor = torch.empty(0)
    right_in_train: float = math.nan
    right_in_eval: float = math.nan


def try_bench(spec: BenchSpec, network: nn.Module | None = None) -> Bench:
    """Run batch 0 through ``network``, or through the one that ``spec`` builds, and back.

    The network is left as it was, its running statistics too.

    >>> try_bench(BenchSpec(batch_size=1)).refusal
    'Expected more than 1 value per channel when training, got input size torch.Size([1, 64])'
    >>> try_bench(BenchSpec(norm="layer", batch_size=1)).layers
    (1, 3, 5, 6, 8)
    """
    network, batch = spec.build() if network is None else network, spec.batch()
    module = ACTIVATIONS[spec.activation].module
    activations = [part for part in network.modules() if type(part) is module]
    shown = np.unique(np.linspace(0, spec.depth - 1, SHOWN).round().astype(int))
    signals: list[Tensor] = []
    right: list[float] = []

    def loss(outputs: Tensor) -> Tensor:
        right.append(share_right(outputs, batch.labels))
        return F.cross_entropy(outputs, batch.labels)

    def hear(_: nn.Module, inputs: tuple[Tensor]) -> None:
        signals.append(inputs[0].detach())

    with ExitStack() as hooks:
        for index in shown:
            hooks.callback(activations[index].register_forward_pre_hook(hear).remove)
        try:
            profile = measure(network, batch.inputs, loss)
        except ValueError as error:
            if not _refuses(error):
                raise
            return Bench(spec, refusal=str(error))
    with torch.no_grad(), evaluating(network):
        right.append(share_right(network(batch.inputs), batch.labels))
    found = mismatches(network, batch.inputs) if spec.norm == "batch" else []
    return Bench(
        spec,
        profile=profile,
        layers=tuple(int(index) + 1 for index in shown),
        shares=torch.stack([histogram(x) for x in signals]),
        stds=torch.stack([x.std(correction=0) for x in signals]),
        mean_gaps=torch.tensor([x.mean.square().mean().sqrt() for x in found]),
        std_ratios=torch.tensor([x.variance.mean().sqrt() for x in found]),
        right_in_train=right[0],
        right_in_eval=right[1],
    )


def _refuses(error: ValueError) -> bool:
    """Whether PyTorch says that a norm has one number only."""
    return str(error).startswith("Expected more than 1 value per channel")


def histogram(x: Tensor) -> Tensor:
    """Return the share of the numbers in each bin of `CENTRES`, (bins,); 0 for Inf or NaN.

    >>> histogram(torch.tensor([0.0, 0.09, -99.0, 99.0]))[[0, 30, 60]]
    tensor([0.2500, 0.5000, 0.2500])
    """
    if not x.isfinite().all():
        return torch.zeros(len(CENTRES))
    bins = (x / BIN).round().clamp(-REACH, REACH).long().flatten() + REACH
    return torch.bincount(bins, minlength=len(CENTRES)) / x.numel()


def gradients_at_one(spec: BenchSpec) -> Tensor:
    """Return ‖∂loss/∂W‖ of every layer at λ = 1, (layers,); kept, so that a moved λ is cheap."""
    return _gradients(replace(spec, weight_scale=1.0))


@lru_cache(maxsize=4)
def _gradients(spec: BenchSpec) -> Tensor:
    return try_bench(spec).profile.weight_gradient_norm


@dataclass(frozen=True)
class BenchStep:
    """A step of training. loss, right : of its batch, before the update, in train mode.
    held_out : accuracy in eval mode after the step, None where it was not asked for."""

    loss: float
    right: float
    held_out: float | None


def train_bench(
    network: nn.Module, spec: BenchSpec, steps: int, learning_rate: float, done: int = 0
) -> Iterator[BenchStep]:
    """Train on the batches 1, 2, … of ``spec`` by SGD with momentum 0.9; yield every step.

    done : batches that have been used before. At every fifth the held-out digits are classified in
    eval mode. Raises what PyTorch raises where it refuses a batch.

    >>> spec = BenchSpec(norm="layer", depth=2)
    >>> list(train_bench(spec.build(), spec, 30, 0.03))[-1].held_out > 0.6
    True
    """
    batches = (spec.batch(number) for number in range(done + 1, done + steps + 1))
    for step in train_on(network, batches, learning_rate):
        held_out = accuracy(network) if (done + step.number) % EVERY == 0 else None
        yield BenchStep(step.loss, step.right, held_out)
