"""Measure the signal in a network: per layer, how large activations and gradients really are."""

import contextlib
import math
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import chain

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from d2lstab import statistics
from d2lstab.datasets import digits
from d2lstab.networks import NetworkSpec, build
from d2lstab.recorder import LayerRecord, Recorder
from d2lstab.units import units_of


@dataclass(frozen=True, eq=False)
class SignalProfile:
    """One forward and backward pass, layer by layer, in the order in which the layers ran.

    A layer is a module that owns a weight (two or more dimensions), together with the activation
    function that follows it; where a block holds a single such module, the block is the layer.
    All arrays are float64 with one value per layer, shape (layers,); NaN stands where there is
    nothing to measure (a frozen weight, a layer without activation function).

    names : the layers' names in ``network.named_modules()``.
    weight_gradient_norm : Frobenius norm of ∂loss/∂W.
    activation_gradient_norm : Frobenius norm of ∂loss/∂a over the batch, a the layer's output.
    activation_mean, activation_std : of the layer's output, over examples and units.
    saturated_share : share of (example, unit) pairs in a flat part of the activation function.
    dead_share : share of units that are in a flat part for every example of the batch.
    gradient_samples : per layer, up to about a thousand entries of ∂loss/∂W, float64.
    loss : the loss, a number.
    spec : the specification, where the profile was measured from one.
    """

    names: tuple[str, ...]
    weight_gradient_norm: Tensor
    activation_gradient_norm: Tensor
    activation_mean: Tensor
    activation_std: Tensor
    saturated_share: Tensor
    dead_share: Tensor
    gradient_samples: tuple[Tensor, ...]
    loss: float
    spec: NetworkSpec | None = None

    def __len__(self) -> int:
        return len(self.names)

    @cached_property
    def gradient_histogram(self) -> Tensor:
        """Share of the entries of ∂loss/∂W by size, shape (layers, `statistics.BINADES`).

        Column k counts 2^(k-150) ≤ |g| < 2^(k-149). A row sums to 1, less zeros, Inf and NaN.
        """
        return self._histogram[0]

    @cached_property
    def zero_share(self) -> Tensor:
        """Share of the entries of ∂loss/∂W that are 0, shape (layers,)."""
        return self._histogram[1]

    @property
    def activation_overflow(self) -> Tensor:
        """Whether a layer's output holds Inf or NaN, bool, shape (layers,)."""
        if math.isfinite(self.loss):
            return self.activation_std.isinf()
        return ~self.activation_std.isfinite()

    @property
    def gradient_overflow(self) -> Tensor:
        """Whether ∂loss/∂W holds Inf or NaN, bool, shape (layers,)."""
        present = [len(sample) > 0 for sample in self.gradient_samples]
        present = torch.tensor(present, dtype=torch.bool, device="cpu")
        return present & ~self.weight_gradient_norm.isfinite()

    @cached_property
    def _histogram(self) -> tuple[Tensor, Tensor]:
        return statistics.binades(self.gradient_samples)


def measure(
    network: nn.Module | NetworkSpec,
    inputs: Tensor | tuple | None = None,
    loss: Callable[..., Tensor] | None = None,
    *,
    seed: int = 0,
) -> SignalProfile:
    """Run one forward and backward pass and return what happened in each layer.

    network : any module, or a `NetworkSpec`, which is built.
    inputs : what the module is called with, a tensor or a tuple of arguments.
    loss : outputs → scalar tensor. Inputs and loss left out: 128 of scikit-learn's digits,
        standardized, 64 features, and the cross-entropy of their labels.
    seed : of the random numbers that the pass itself draws (dropout).

    The module is left as it was: parameters, gradients, buffers, train or eval mode, hooks and
    the global random state of PyTorch. Every layer's output and the gradient with respect to it
    are kept until it returns.

    Raises TypeError or ValueError when network, inputs or loss are not of that kind, when no
    layer has a weight to train, and when lazy layers have no shape yet. What the module itself
    raises passes through.

    >>> profile = measure(NetworkSpec(depth=30, activation="sigmoid"))
    >>> len(profile), bool(profile.weight_gradient_norm[0] < 1e-12)
    (31, True)
    """
    spec = network if isinstance(network, NetworkSpec) else None
    with torch.inference_mode(False):  # what is made in inference mode cannot be differentiated
        network = build(spec) if spec is not None else network
        inputs, loss = _check(network, inputs, loss)
    recorder = Recorder(network)
    with torch.inference_mode(False), torch.enable_grad(), _untouched(recorder, seed):
        with recorder:
            outputs = network(*inputs)
        value = loss(outputs)
        if not isinstance(value, Tensor) or value.numel() != 1:
            got = tuple(value.shape) if isinstance(value, Tensor) else type(value).__name__
            raise ValueError(f"loss must return a scalar tensor; got {got}.")
        if not value.requires_grad:
            raise ValueError("loss does not depend on any parameter that requires a gradient.")
        layers = recorder.backward(value)
    with torch.inference_mode(False):
        return _profile(layers, value.item(), spec)


@torch.no_grad()
def _profile(
    layers: list[tuple[LayerRecord, list[Tensor], list[Tensor]]],
    loss: float,
    spec: NetworkSpec | None,
) -> SignalProfile:
    """Reduce what was recorded, and each layer's gradients, to one number a layer."""
    records, of_weights, of_outputs = zip(*layers, strict=True)
    squares, samples = statistics.square_sums_and_samples([*chain(*of_weights)])
    mean, std = _moments(records)
    units = units_of(records)
    heard = [units.get(record) for record in records]
    profile = SignalProfile(
        names=tuple(record.name for record in records),
        weight_gradient_norm=_norms(of_weights, squares),
        activation_gradient_norm=_norms(of_outputs, statistics.square_sums([*chain(*of_outputs)])),
        activation_mean=mean,
        activation_std=std,
        saturated_share=_array([x.saturated_share if x else math.nan for x in heard]),
        dead_share=_array([x.dead_share if x else math.nan for x in heard]),
        gradient_samples=_by_layer(of_weights, samples),
        loss=loss,
        spec=spec,
    )
    for share in (profile.saturated_share, profile.dead_share):
        share[profile.activation_overflow] = math.nan  # NaN is neither flat nor steep
    return profile


def _array(values: Sequence[float] | np.ndarray) -> Tensor:
    return torch.from_numpy(np.array(values, np.float64))


def _norms(layers: Sequence[list[Tensor]], squares: np.ndarray) -> Tensor:
    """Frobenius norm of each layer's gradients, of which ``squares`` are the Σx²; NaN for none."""
    rows = [row for row, gradients in enumerate(layers) for _ in gradients]
    total = _by_row(rows, squares, len(layers))
    total[[not gradients for gradients in layers]] = math.nan
    return _array(np.sqrt(total))


def _by_layer(layers: Sequence[list[Tensor]], samples: list[Tensor]) -> tuple[Tensor, ...]:
    """The samples of each layer's gradients; empty for none."""
    some = iter(samples)
    joined = ([next(some) for _ in gradients] for gradients in layers)
    return tuple(x[0] if len(x) == 1 else _joined(x) for x in joined)


def _by_row(rows: list[int], values: Sequence[float] | np.ndarray, n: int) -> np.ndarray:
    """Sum of the values of each row, float64 of shape (n,), also where there are none at all."""
    return np.bincount(rows, values, n).astype(float)


def _joined(samples: list[Tensor]) -> Tensor:
    return torch.cat([torch.empty(0, dtype=torch.float64, device="cpu"), *samples])


def _moments(records: list[LayerRecord]) -> tuple[Tensor, Tensor]:
    """Mean and standard deviation of each layer's outputs; NaN for none, inf after overflow."""
    rows = [row for row, record in enumerate(records) for _ in record.outputs]
    outputs = [output for record in records for output in record.outputs]
    parts = ([output.numel() for output in outputs], *statistics.sums(outputs))
    size, total, squares = (_by_row(rows, part, len(records)) for part in parts)
    # 0/0 is the NaN we promise, Inf − Inf that of overflow; float64 can overflow here, too
    with np.errstate(invalid="ignore", over="ignore"):
        mean, mean_square = total / size, squares / size
        std = np.sqrt(np.maximum(mean_square - mean**2, 0))
    return _array(mean), _array(np.where(np.isinf(mean_square), mean_square, std))


def _check(network, inputs, loss) -> tuple[tuple, Callable]:
    if not isinstance(network, nn.Module):
        raise TypeError(f"network must be a torch.nn.Module or a NetworkSpec; got {network!r}.")
    if inputs is None and loss is None:
        batch, first = digits(128), next(network.parameters(), torch.zeros(()))
        labels = batch.labels.to(first.device)
        return (batch.inputs.to(first),), lambda outputs: F.cross_entropy(outputs, labels)
    if inputs is None or not callable(loss):
        raise TypeError(
            "inputs and loss come together: inputs a tensor or a tuple of arguments, loss a "
            f"function from outputs to a scalar; got inputs {type(inputs).__name__}, loss {loss!r}."
        )
    inputs = inputs if isinstance(inputs, tuple) else (inputs,)
    return tuple(map(_differentiable, inputs)), loss


def _differentiable(value: object) -> object:
    """A copy of a tensor that was made in inference mode; anything else as it is."""
    return value.clone() if isinstance(value, Tensor) and value.is_inference() else value


def _is_expanded(tensor: Tensor) -> bool:
    """Whether several entries share memory: such a tensor cannot be written to, nor restored."""
    if tensor.layout is not torch.strided:
        return False
    return any(step == 0 and n > 1 for step, n in zip(tensor.stride(), tensor.shape, strict=True))


_RANDOM_STATE = threading.RLock()  # threads that put it back out of turn would change it


@contextlib.contextmanager
def _untouched(recorder: Recorder, seed: int) -> Iterator[None]:
    """Put back the buffers (batch norm's running statistics) and the global random state."""
    buffers = [
        (owner._buffers, name, buffer, None if buffer is None else buffer.clone())
        for owner in recorder.modules.values()
        for name, buffer in owner._buffers.items()
    ]
    devices = {p.device for p in recorder.parameters.values() if p.is_cuda}
    indices = [device.index or 0 for device in devices]
    with _RANDOM_STATE, torch.random.fork_rng(devices=indices):
        torch.default_generator.manual_seed(seed)  # torch.manual_seed would reach every device
        for device in devices:
            torch.cuda.default_generators[device.index or 0].manual_seed(seed)
        try:
            yield
        finally:
            with torch.no_grad():
                for owner, name, buffer, copy in buffers:
                    owner[name] = buffer
                    if buffer is not None and not _is_expanded(buffer):
                        buffer.copy_(copy)
