"""Listen to one forward pass in training and to the backward pass that follows it."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor, nn
from torch.nn.modules.module import (
    register_module_forward_hook,
    register_module_forward_pre_hook,
)

from d2lstab.activations import ACTIVATIONS
from d2lstab.recorder import Recorder, tensors_in
from d2lstab.units import Units, units_of

# They turn finite gradients into finite gradients, so that no NaN can arise on the way back.
_HARMLESS = {activation.module for activation in ACTIVATIONS.values()}
_HARMLESS |= {nn.Dropout, nn.Flatten, nn.Unflatten, nn.Sequential}


@dataclass(eq=False, slots=True)
class Sighting:
    """A tensor that came by in a step.

    time : in the order in which tensors were computed.
    kind : "input", "output", "loss", "gradient" or "weight".
    places : names of the modules that it belongs to; for a gradient, those that computed it.
    extremes : its smallest and its largest entry, both NaN where it holds NaN.
    """

    time: int
    kind: str
    places: list[str]
    extremes: tuple[Tensor, Tensor]

    @property
    def found(self) -> str | None:
        """What the tensor holds: "NaN", "Inf", or None where it is finite."""
        low, high = (extreme.item() for extreme in self.extremes)
        if low != low:
            return "NaN"
        return "Inf" if high == torch.inf or low == -torch.inf else None


def see(time: int, kind: str, places: list[str], tensor: Tensor) -> list[Sighting]:
    """Return the sighting of a tensor; none if it has no entries or no strides."""
    if tensor.layout is not torch.strided or tensor.is_nested or tensor.numel() == 0:
        return []
    plain = tensor.detach() if tensor.requires_grad else tensor
    return [Sighting(time, kind, places, torch.aminmax(plain))]


class Pass(Recorder):
    """One forward pass through ``network``, listened to from its creation to `end`.

    clock : returns the next number, for the order in which things are computed.

    While it lasts it keeps the modules' outputs and what the activation functions were given;
    after it, a few numbers per module, and which units are dead. Nothing holds on to it but the
    hooks on the outputs' gradients: a pass without a backward pass is gone with its graph.
    """

    def __init__(self, network: nn.Module, clock: Callable[[], int], inputs: object):
        super().__init__(network)
        self.units: dict[str, Units] = {}
        self.order: tuple[str, ...] = ()  # of the layers, as they ran
        self.sightings: list[Sighting] = []
        self._clock = clock
        self._names = {id(module): name for name, module in self.modules.items()}
        self._users: dict[int, tuple[Tensor, list[str]]] = {}  # the tensor, lest its id be reused
        self._outputs: list[tuple[int, str, Tensor, int]] = []  # time, module, tensor, version
        self._inputs = list(tensors_in(inputs))
        self.__enter__()

    def __enter__(self):
        hooks = (
            register_module_forward_pre_hook(self._module_begins),
            register_module_forward_hook(self._module_ends),
        )
        super().__enter__()
        self._handles.extend(hooks)
        return self

    def end(self, output: object, reached: Callable[["Pass"], None]) -> None:
        """Stop listening; ``reached`` is called when backpropagation comes to ``output``."""
        ends = list(tensors_in(output))
        lost = any(sighting.found for end in ends for sighting in see(0, "", [], end))
        if lost:
            self._look_back()
        self.close()
        self.order = tuple(record.name for record in self.heard)
        if not lost:  # NaN is neither flat nor steep
            self._reduce()
        for tensor in ends:
            if tensor.grad_fn is not None:
                tensor.register_hook(partial(self._loss_gradient_came, reached))

    def close(self) -> None:
        """Stop listening, whatever has happened."""
        self.__exit__(None, None, None)
        self._users.clear()
        self._outputs.clear()
        self._inputs.clear()

    def _settle(self) -> None:
        self._pending = None  # no statistics of outputs, so none is kept

    def _module_begins(self, module: nn.Module, args: tuple) -> None:
        name, in_place = self._names.get(id(module)), module.__dict__.get("inplace", False)
        harmless = type(module) in _HARMLESS
        if not name or harmless and not in_place:
            return
        with torch._C.DisableTorchFunction():  # what happens here is not to be listened to
            for tensor in tensors_in(args):
                if in_place:
                    self._look_back(tensor)  # the last chance to see it
                if not harmless and tensor.grad_fn is not None:
                    self._used(tensor, name)

    def _used(self, tensor: Tensor, name: str) -> None:
        if id(tensor) not in self._users:
            users = [name]
            self._users[id(tensor)] = tensor, users
            note = partial(self._gradient_came, users, tensor.output_nr)
            tensor.grad_fn.register_prehook(note)
            return
        users = self._users[id(tensor)][1]
        if name.startswith(users[-1] + "."):
            users.pop()  # of modules one inside the other, the innermost is the one that uses it
        users.append(name)

    def _module_ends(self, module: nn.Module, _args, output: object) -> None:
        name = self._names.get(id(module))
        if name is not None:
            with torch._C.DisableTorchFunction():
                for tensor in tensors_in(output):
                    self._outputs.append((self._clock(), name, tensor, tensor._version))

    def _look_back(self, only: Tensor | None = None) -> None:
        """See what modules have put out (or just one tensor of that), and the inputs first."""
        for tensor in self._inputs if only is None else ():
            self.sightings.extend(see(-1, "input", [""], tensor))
        for time, name, tensor, version in self._outputs:
            if tensor._version == version and (only is None or tensor is only):
                self.sightings.extend(see(time, "output", [name], tensor))

    def _gradient_came(self, users: list[str], index: int, gradients: tuple) -> None:
        if gradients[index] is not None:
            self.sightings.extend(see(self._clock(), "gradient", users, gradients[index]))

    def _loss_gradient_came(self, reached: Callable[["Pass"], None], gradient: Tensor) -> None:
        self.sightings.extend(see(self._clock(), "loss", [""], gradient))
        reached(self)

    @torch.no_grad()
    def _reduce(self) -> None:
        for record, units in units_of(self.heard).items():
            so_far = self.units.get(record.name)
            self.units[record.name] = so_far.joined(units) if so_far else units
        for record in self.heard:
            record.pre_activations.clear()
