"""One step of training: gather what is heard of it, and reduce it to a few numbers per layer."""

import math
from collections.abc import Callable, Sequence
from functools import reduce

import numpy as np
import torch
from torch import Tensor, nn

from d2lstab import statistics
from d2lstab.health import StepHealth
from d2lstab.passes import Pass, Sighting, see
from d2lstab.recorder import Recorder, dense_real
from d2lstab.units import Units

KEPT = 128
"""Entries of a weight's gradient that are kept at each step: so many or a few more, or all of
fewer. A step by itself is coarse then, but there are many."""


class Layers:
    """The layers of ``network`` as `measure` names them, and which of them owns a parameter."""

    def __init__(self, network: nn.Module):
        self.network = network
        recorder = Recorder(network)
        owners = {key: layer.name for key, layer in recorder.layer_by_weight.items()}
        self.names = tuple(dict.fromkeys(owners.values()))
        self.row = {key: self.names.index(name) for key, name in owners.items()}
        self.parameter_names = {id(p): name for name, p in network.named_parameters()}

    def sums(self, parameters: Sequence[nn.Parameter], values: Sequence[float]) -> np.ndarray:
        """Sum of the values of each layer's weights, (layers,); NaN where there is none.

        Parameters that are no weights, as biases, are left out.
        """
        weights = [(self.row[id(p)], value) for p, value in zip(parameters, values, strict=True)
                   if id(p) in self.row]  # fmt: skip
        rows, some = zip(*weights, strict=True) if weights else ((), ())
        total = np.bincount(rows, some, len(self.names)).astype(float)
        total[np.bincount(rows, minlength=len(self.names)) == 0] = math.nan
        return total

    def owner(self, parameter: nn.Parameter) -> str:
        """The name of the module that owns a parameter."""
        return self.parameter_names[id(parameter)].rpartition(".")[0]

    def describe(self, place: str) -> str:
        """A module's name and class, or just the class of the network itself."""
        kind = type(self.network.get_submodule(place)).__name__
        return f"{place} ({kind})" if place else kind


class TrainingStep:
    """What is heard between one change of the weights and the next.

    fresh : whether a gradient has come that no update has used.
    updated : whether the weights have changed, so that the next gradient begins another step.
    versions : says whether the weights have changed since the step began.
    before : the parameters as they were, once `keep_weights` was called.
    """

    def __init__(self, number: int, observed: bool, versions: int):
        self.number, self.observed, self.versions = number, observed, versions
        self.fresh = self.updated = False
        self.before: list[Tensor] | None = None
        self.passes: dict[Pass, None] = {}
        self.health: StepHealth | None = None
        self._weights: list[nn.Parameter] = []
        self._others: list[nn.Parameter] = []  # biases and the like
        self._gradients: dict[int, tuple[nn.Parameter, float]] = {}  # Σg², by the parameter's id
        self._samples: dict[int, Tensor] = {}  # entries of the weights' gradients
        self._sightings: list[Sighting] = []

    @property
    def order(self) -> tuple[str, ...]:
        """The layers as the step's first pass ran them."""
        return next(iter(self.passes)).order if self.passes else ()

    @torch.no_grad()
    def keep_weights(self, parameters: Sequence[nn.Parameter], layers: Layers) -> None:
        """Copy the trainable weights, to know later what the step has added."""
        trainable = [p for p in parameters if p.requires_grad]
        self._weights = [p for p in trainable if id(p) in layers.row]
        self._others = [p for p in trainable if id(p) not in layers.row]
        self.before = [dense_real(weight).clone() for weight in self._weights]

    @torch.no_grad()
    def note_gradients(
        self, parameters: Sequence[nn.Parameter], layers: Layers, clock: Callable[[], int]
    ) -> None:
        """Take down each parameter's ``.grad``; of several in one step, the last one stands."""
        gradients = [dense_real(parameter.grad) for parameter in parameters]
        squares = statistics.square_sums(gradients)
        for parameter, gradient, square in zip(parameters, gradients, squares, strict=True):
            self._gradients[id(parameter)] = parameter, square
            if not math.isfinite(square):
                places = [layers.owner(parameter)]
                self._sightings.extend(see(clock(), "gradient", places, gradient))
        weights = [(id(p), g) for p, g in zip(parameters, gradients, strict=True)
                   if id(p) in layers.row]  # fmt: skip
        samples = statistics.samples([gradient for _, gradient in weights], least=KEPT)
        for (key, _), values in zip(weights, samples, strict=True):
            self._samples[key] = values.float()

    @torch.no_grad()
    def measure(self, layers: Layers) -> StepHealth:
        """Reduce the step, whose weights have just been updated."""
        after = [dense_real(weight) for weight in self._weights]
        added = statistics.square_sums(torch._foreach_sub(after, self.before))
        size = statistics.square_sums(self.before)
        parameters = [parameter for parameter, _ in self._gradients.values()]
        squares = np.array([square for _, square in self._gradients.values()])
        with np.errstate(invalid="ignore", divide="ignore"):  # 0/0 is the NaN we promise
            ratio = layers.sums(self._weights, added) / layers.sums(self._weights, size)
        saturated, dead = self._shares(layers)
        return StepHealth(
            number=self.number,
            total_gradient_norm=math.sqrt(squares.sum()),
            weight_gradient_norm=np.sqrt(layers.sums(parameters, squares)),
            update_ratio=np.sqrt(ratio),
            saturated_share=saturated,
            dead_share=dead,
            gradient_samples=self._layer_samples(layers),
            trouble=self._trouble(layers, squares, size, added),
        )

    def _layer_samples(self, layers: Layers) -> list[Tensor]:
        samples: list[list[Tensor]] = [[] for _ in layers.names]
        for key, values in self._samples.items():
            samples[layers.row[key]].append(values)
        empty = torch.empty(0, dtype=torch.float32, device="cpu")
        return [some[0] if len(some) == 1 else torch.cat([empty, *some]) for some in samples]

    def _shares(self, layers: Layers) -> tuple[np.ndarray, np.ndarray]:
        """Saturated and dead share of each layer, over all passes that the loss reached."""
        saturated, dead = np.full((2, len(layers.names)), math.nan)
        for row, name in enumerate(layers.names):
            heard = [one.units[name] for one in self.passes if name in one.units]
            if heard:
                units = reduce(Units.joined, heard)
                saturated[row] = units.saturated_share
                dead[row] = units.dead_share
        return saturated, dead

    def _trouble(
        self, layers: Layers, gradients: np.ndarray, size: np.ndarray, added: np.ndarray
    ) -> tuple[str, str, str] | None:
        """Kind, layer and words of the first Inf or NaN, in the order of computation."""
        if not np.isfinite(size).all():
            owner = layers.owner(self._weights[int(np.argmin(np.isfinite(size)))])
            words = f"{layers.describe(owner)} has weights of Inf or NaN before this step"
            return "nan weight", owner, words
        others = statistics.square_sums([dense_real(parameter) for parameter in self._others])
        if np.isfinite(gradients.sum() + added.sum() + others.sum()):
            return None
        sightings = [*self._sightings, *(s for one in self.passes for s in one.sightings)]
        for sighting in sorted(sightings, key=lambda sighting: sighting.time):
            if found := sighting.found:
                places = " or ".join(map(layers.describe, sighting.places))
                words = _WORDS[sighting.kind].format(found=found, places=places)
                return f"nan {sighting.kind}", " or ".join(sighting.places), words
        parameters, values = [*self._weights, *self._others], np.append(added, others)
        owner = layers.owner(parameters[int(np.argmin(np.isfinite(values)))])
        words = f"the update makes Inf or NaN of {layers.describe(owner)}, out of finite gradients"
        return "nan weight", owner, words


_WORDS = {
    "input": "the network's input holds {found}",
    "output": "{places} puts out {found}, the first in this step: it arises on the way forward",
    "loss": "the network's output is finite, and the loss's gradient for it holds {found}: "
    "it arises in the loss",
    "gradient": "{places} passes back {found}, the first in this step: it arises on the way back",
}
