"""What a monitor writes down: the numbers of one step, the record of a run, and its alarms."""

import numbers
from collections.abc import Sequence
from dataclasses import dataclass, fields
from functools import cached_property

import numpy as np
import torch
from torch import Tensor

from d2lstab.diagnosis import MOSTLY_DEAD, MOSTLY_SATURATED
from d2lstab.statistics import BINADES, binades


@dataclass(frozen=True)
class Thresholds:
    """Where an alarm rings.

    Reason for all: of 162 networks of 3 to 30 layers, trained for 150 steps, alarms rang in 4 of
    the 35 that learned and in 118 of the 127 that did not (`python -m benchmarks.alarms`).

    vanishing : a layer's gradient norm over the whole network's, dimensionless. One learning rate
        has to serve all layers: where it suits the whole, a layer at 1e-4 of it stands still. The
        scale of the loss cancels.
    exploding : the gradient norm of the whole network, in units of the loss. In the networks that
        learned, cross-entropy's rose to about 40; a loss of another scale needs another threshold.
    smallest_update, largest_update : ‖Δw‖/‖w‖ of one step, dimensionless. CS231n's rule of thumb
        is "somewhere around 1e-3" (notes, neural-networks-3, "Ratio of weights:updates"). At
        1e-4, ten thousand steps in one direction are needed to replace a weight; at 0.1, ten. The
        median layer of the networks that learned was between 2e-4 and 4e-2.
    dead, saturated : as in `diagnose`: share of a layer's dead units, and mean share over the
        layers of saturated activations.
    patience : in so many observed steps in a row must a quantity be out of range. One step says
        little: momentum starts from rest, and Adam's first steps are its largest. An exploding
        gradient rings at once, and so does NaN.

    Raises ValueError for a value that is no number > 0, and a patience that is no integer ≥ 1.
    """

    vanishing: float = 1e-4
    exploding: float = 1e3
    smallest_update: float = 1e-4
    largest_update: float = 1e-1
    dead: float = MOSTLY_DEAD
    saturated: float = MOSTLY_SATURATED
    patience: int = 10

    def __post_init__(self):
        for field in fields(self):
            value = getattr(self, field.name)
            kind, need = numbers.Real, "a number > 0"
            if field.name == "patience":
                kind, need = numbers.Integral, "an integer ≥ 1"
            if isinstance(value, bool) or not isinstance(value, kind) or not value > 0:
                raise ValueError(f"{field.name} must be {need}; got {value!r}.")


@dataclass(frozen=True)
class Alarm:
    """One quantity that left its range, at the step where that became certain.

    step : 1 for the first update of the weights.
    layer : name in ``model.named_modules()``; "" for the whole network.
    kind : "vanishing", "exploding", "small update", "large update", "dead" or "saturated"; or
        where Inf or NaN arises: "nan input", "nan output", "nan loss", "nan gradient",
        "nan weight".
    value, threshold : what was measured and the limit that it passed; NaN where there is none.
    words : the same as a sentence.
    """

    step: int
    layer: str
    kind: str
    value: float
    threshold: float
    words: str

    def __str__(self) -> str:
        return f"step {self.step}: {self.words}"


@dataclass(frozen=True, eq=False)
class StepHealth:
    """One observed step: its number, and what `TrainingRecord` says of it, as numpy arrays.

    trouble : kind, layer and words of the first Inf or NaN of the step, or None.
    """

    number: int
    total_gradient_norm: float
    weight_gradient_norm: np.ndarray
    update_ratio: np.ndarray
    saturated_share: np.ndarray
    dead_share: np.ndarray
    gradient_samples: list[Tensor]
    trouble: tuple[str, str, str] | None = None


@dataclass(frozen=True, eq=False)
class TrainingRecord:
    """A training run: one row for each observed step, one column for each layer.

    A layer is what it is in `SignalProfile`; the layers stand in the order in which the first pass
    ran them. All arrays are float64; NaN stands where there is nothing to
    measure (a frozen weight, a layer without activation function).

    names : the layers' names, (layers,).
    steps : numbers of the observed steps, 1 for the first, int64, (steps,).
    total_gradient_norm : Euclidean norm of the gradient of all parameters, biases too, as
        backpropagation left it, before any clipping, (steps,).
    weight_gradient_norm : the same of each layer's ∂loss/∂W, (steps, layers).
    update_ratio : ‖Δw‖/‖w‖, w the layer's weights before the step and Δw what the step added,
        dimensionless, (steps, layers). 0 where no weight changed, Inf where all were 0.
    saturated_share, dead_share : as in `SignalProfile`, over all examples of the step,
        (steps, layers).
    gradient_samples : per step and layer, evenly spaced entries of ∂loss/∂W, float32, some
        hundred or all of fewer.
    alarms : in the order in which they rang. thresholds : at which they did.
    """

    names: tuple[str, ...]
    steps: Tensor
    total_gradient_norm: Tensor
    weight_gradient_norm: Tensor
    update_ratio: Tensor
    saturated_share: Tensor
    dead_share: Tensor
    gradient_samples: tuple[tuple[Tensor, ...], ...]
    alarms: tuple[Alarm, ...]
    thresholds: Thresholds

    def __len__(self) -> int:
        return len(self.steps)

    @cached_property
    def gradient_histogram(self) -> Tensor:
        """Share of the entries of ∂loss/∂W by size, (steps, layers, `statistics.BINADES`).

        Column k counts 2^(k-150) ≤ |g| < 2^(k-149). A row sums to 1, less zeros, Inf and NaN.
        """
        every = [sample.double() for step in self.gradient_samples for sample in step]
        if not every:
            return torch.zeros(0, len(self.names), BINADES, dtype=torch.float64)
        return binades(every)[0].reshape(len(self), len(self.names), BINADES)

    @property
    def gradient_overflow(self) -> Tensor:
        """Whether ∂loss/∂W holds Inf or NaN, bool, (steps, layers)."""
        present = [[len(sample) > 0 for sample in step] for step in self.gradient_samples]
        present = torch.tensor(present, dtype=torch.bool).reshape(self.weight_gradient_norm.shape)
        return present & ~self.weight_gradient_norm.isfinite()

    @property
    def first_nan(self) -> Alarm | None:
        """The alarm that says at which step and where Inf or NaN arose, or None."""
        return next((alarm for alarm in self.alarms if alarm.kind.startswith("nan")), None)


def record_of(
    history: Sequence[StepHealth],
    layers: Sequence[str],
    order: Sequence[str],
    alarms: Sequence[Alarm],
    thresholds: Thresholds,
) -> TrainingRecord:
    """Put the observed steps together.

    layers : names of the columns of ``history``. order : those that ran, as they ran; they come
    first.
    """
    names = tuple(dict.fromkeys((*order, *layers)))
    columns = [list(layers).index(name) for name in names]

    def table(field: str) -> Tensor:
        rows = [getattr(step, field)[columns] for step in history]
        return torch.from_numpy(np.stack(rows) if rows else np.zeros((0, len(names))))

    totals = [step.total_gradient_norm for step in history]
    return TrainingRecord(
        names=names,
        steps=torch.tensor([step.number for step in history], dtype=torch.int64),
        total_gradient_norm=torch.tensor(totals, dtype=torch.float64),
        weight_gradient_norm=table("weight_gradient_norm"),
        update_ratio=table("update_ratio"),
        saturated_share=table("saturated_share"),
        dead_share=table("dead_share"),
        gradient_samples=tuple(
            tuple(step.gradient_samples[column] for column in columns) for step in history
        ),
        alarms=tuple(alarms),
        thresholds=thresholds,
    )
