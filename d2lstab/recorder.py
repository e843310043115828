"""Listen to one pass through any module: which layers run, what they put out, what comes back."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import partial
from itertools import chain, islice

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from d2lstab import checks
from d2lstab.activations import ACTIVATIONS, Activation

# The names under which PyTorch knows the activation functions, each with whether it works in place.
_BY_CALL = {name: (act, False) for name, act in ACTIVATIONS.items() if name != "linear"}
_BY_CALL |= dict.fromkeys(("sign", "heaviside"), (ACTIVATIONS["hard_step"], False))
_BY_CALL |= {name + "_": (activation, True) for name, (activation, _) in _BY_CALL.items()}


@dataclass(eq=False)
class LayerRecord:
    """What one layer left behind; a list holds an entry per call.

    weights : its trainable parameters of two or more dimensions.
    unit_dim : the dimension of its output that counts units.
    outputs : what it put out, as it stands when the forward pass ends.
    pre_activations : what its activation functions were given, with the function.
    """

    name: str
    weights: list[nn.Parameter]
    unit_dim: int
    outputs: list[Tensor] = field(default_factory=list)
    pre_activations: list[tuple[Activation, Tensor]] = field(default_factory=list)


class Recorder(TorchFunctionMode):
    """Listens, while it is entered, to the calls that PyTorch makes.

    A call that combines a weight with anything but parameters is its layer at work, and a call of
    an activation function right after it belongs to that layer. So nn.Linear, F.linear and
    ``x @ w`` are found alike, and so are nn.Tanh(), torch.tanh(x), x.tanh() and F.relu(x). Where
    a block of modules holds just one weight, the block is the layer and its output the layer's.

    modules, parameters : those of the network, by name and by id; kept w.T and the like count as
    parameters, too.
    layer_by_weight : the layer that a weight, by its id, belongs to.
    heard : the layers that ran, in the order of their first call.

    Raises ValueError when ``network`` has no weight, that is no parameter of two dimensions, or
    lazy layers without a shape.
    """

    def __init__(self, network: nn.Module):
        super().__init__()
        self.layer_by_weight: dict[int, LayerRecord] = {}
        self._blocks: dict[nn.Module, LayerRecord] = {}
        self.heard: dict[LayerRecord, None] = {}
        self._running: list[LayerRecord] = []  # blocks that have begun and not ended
        self._pending: tuple[LayerRecord, Tensor] | None = None  # output not yet activated
        self.modules = dict(network.named_modules())
        self.parameters: dict[int, nn.Parameter] = {}
        self._find_layers(network)
        if not self.layer_by_weight:
            raise ValueError("network has no layer to measure: no parameter of two dimensions.")

    def _find_layers(self, network: nn.Module) -> None:
        weights: dict[str, list[nn.Parameter]] = {}
        held: dict[str, int] = {}  # how many owners of weights a module holds
        for name, module in self.modules.items():
            if module._parameters:
                own = self._own_weights(name, module)
                if own:
                    weights[name] = own
                    for place in _upwards(name):
                        held[place] = held.get(place, 0) + 1
        for name, own in weights.items():
            alone = [place for place in _upwards(name) if place and held[place] == 1]
            block = alone[-1] if alone else name
            unit_dim = 1 if own[0].ndim > 2 else -1  # convolutions: (batch, channel, …)
            trainable = [weight for weight in own if weight.requires_grad]
            layer = LayerRecord(block or type(network).__name__, trainable, unit_dim)
            for weight in own:
                self.layer_by_weight[id(weight)] = layer
            if self.modules[block]._modules and held[block] == 1:
                self._blocks[self.modules[block]] = layer

    def _own_weights(self, name: str, module: nn.Module) -> list[nn.Parameter]:
        weights = []
        for parameter in module._parameters.values():
            checks.has_shape(name or type(module).__name__, parameter)
            if parameter is not None:
                self.parameters[id(parameter)] = parameter
                if parameter.ndim > 1:
                    weights.append(parameter)
        return weights

    def __enter__(self):
        self._handles = []
        for block, layer in self._blocks.items():
            self._handles.append(block.register_forward_pre_hook(partial(self._begin, layer)))
            self._handles.append(block.register_forward_hook(partial(self._end, layer)))
        return super().__enter__()

    def __exit__(self, *exception):
        for handle in self._handles:
            handle.remove()
        super().__exit__(*exception)  # before anything that can fail: it must not stay on
        self._settle()

    def _begin(self, layer: LayerRecord, _module, _inputs) -> None:
        self._settle()
        self._running.append(layer)

    def _end(self, layer: LayerRecord, _module, _inputs, output) -> None:
        self._running.pop()
        self._put_out(layer, output)

    def _put_out(self, layer: LayerRecord, output: object) -> None:
        if self._pending is not None:
            self._settle()
        self.heard.setdefault(layer)
        if not self._running:
            found = isinstance(output, Tensor) and output.is_floating_point()
            tensor = output if found else next(tensors_in(output), None)
            self._pending = None if tensor is None else (layer, tensor)

    def _settle(self) -> None:
        """No activation function followed: the layer's output is the one that waits."""
        if self._pending is not None:
            (layer, output), self._pending = self._pending, None
            layer.outputs.append(output)

    # Called for every operation of a network: what it does not need is left out, and looks are
    # ordered so that the frequent case is the first.
    def __torch_function__(self, function, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        called = _BY_CALL.get(getattr(function, "__name__", None))
        if called is not None and (self._running or self._pending):
            return self._activate(*called, function, args, kwargs)
        output = function(*args, **kwargs)
        values, by_weight = (*args, *kwargs.values()) if kwargs else args, self.layer_by_weight
        layers = []
        for value in values:
            if id(value) in by_weight:
                layers.append(by_weight[id(value)])
            elif isinstance(value, (list, tuple)):
                layers += [by_weight[id(x)] for x in value if id(x) in by_weight]
        if layers:
            self._weight_used(layers, values, output)
        return output

    def _activate(self, activation: Activation, in_place: bool, function, args, kwargs) -> object:
        layer = self._running[-1] if self._running else self._pending[0]
        before = (args[0] if args else kwargs["input"]).detach()
        if in_place or kwargs and kwargs.get("inplace"):
            before = before.clone()
        layer.pre_activations.append((activation, before))
        output = function(*args, **kwargs)
        if not self._running:
            self._pending = layer, output
            self._settle()
        return output

    def _weight_used(self, layers: list[LayerRecord], values: tuple, output: object) -> None:
        first = values[0] if values else None
        mixed = isinstance(first, Tensor) and id(first) not in self.parameters
        if not mixed and all(id(x) in self.parameters for x in tensors_in(values, any_kind=True)):
            for tensor in tensors_in(output):  # still a weight: transposed, normalized, …
                self.layer_by_weight[id(tensor)] = layers[0]
                self.parameters[id(tensor)] = tensor
            return
        self._put_out(layers[0], output)
        for layer in layers[1:]:  # several weights in one call (nn.MultiheadAttention)
            self.heard.setdefault(layer)

    def backward(self, loss: Tensor) -> list[tuple[LayerRecord, list[Tensor], list[Tensor]]]:
        """Backpropagate; return the layers in the order they ran, each with its gradients.

        The gradients are those of `LayerRecord.weights` and of `LayerRecord.outputs`, less those
        that the loss does not depend on. The parameters' own ``.grad`` stay as they are.
        """
        weights = [weight for layer in self.heard for weight in layer.weights]
        if not weights:
            raise ValueError("no layer that ran has a weight that requires a gradient.")
        outputs = [[x for x in layer.outputs if x.requires_grad] for layer in self.heard]
        inputs = [*weights, *chain(*outputs)]
        gradients = iter(torch.autograd.grad(loss, inputs, allow_unused=True))
        of_weights = [_next(gradients, len(layer.weights)) for layer in self.heard]
        of_outputs = [_next(gradients, len(some)) for some in outputs]
        return list(zip(self.heard, of_weights, of_outputs, strict=True))


def _next(gradients: Iterator[Tensor | None], n: int) -> list[Tensor]:
    """Those of the next ``n`` gradients that there are."""
    return [dense_real(gradient) for gradient in islice(gradients, n) if gradient is not None]


def _upwards(name: str) -> Iterator[str]:
    """The module's dotted name and those of the modules around it, the root "" last."""
    while name:
        yield name
        name = name.rpartition(".")[0]
    yield ""


def dense_real(gradient: Tensor) -> Tensor:
    """Dense and real: those of sparse embeddings are sparse, those of complex weights complex."""
    gradient = gradient.to_dense() if gradient.is_sparse else gradient
    return torch.view_as_real(gradient.resolve_conj()) if gradient.is_complex() else gradient


def tensors_in(value: object, any_kind: bool = False) -> Iterator[Tensor]:
    """The floating-point tensors (or those of any kind) in nested tuples, lists and dicts."""
    if isinstance(value, Tensor):
        if any_kind or value.is_floating_point():
            yield value
    elif isinstance(value, tuple | list | dict):
        for part in value.values() if isinstance(value, dict) else value:
            yield from tensors_in(part, any_kind)
