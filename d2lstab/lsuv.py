"""LSUV: initialize layer by layer, so that on real data each layer's output has variance 1."""

from dataclasses import dataclass

import torch
from torch import Generator, Tensor, nn

from d2lstab import checks
from d2lstab.modes import evaluating

LAYERS = (nn.Linear, nn.modules.conv._ConvNd)
"""What LSUV initializes: linear and convolutional layers."""


@dataclass(frozen=True)
class Scaling:
    """What LSUV did to one layer.

    name : of the layer in ``network.named_modules()``.
    variances : of the layer's output over the batch and all units, dimensionless: before the
        first division, then after each. The last one is where it stopped.
    """

    name: str
    variances: tuple[float, ...]

    @property
    def trials(self) -> int:
        """How many times the weight was divided."""
        return len(self.variances) - 1


def lsuv_(
    network: nn.Module,
    inputs: Tensor | tuple,
    *,
    tolerance: float = 0.1,
    trials: int = 10,
    orthonormal: bool = True,
    seed: int = 0,
) -> tuple[Scaling, ...]:
    """Initialize ``network`` in place by layer-sequential unit variance; return what was done.

    Every linear and convolutional layer gets orthonormal weights; then, in the order in which
    they run, each weight is divided by the standard deviation of the layer's output until the
    variance is 1 up to the tolerance (Mishkin & Matas 2015, arXiv 1511.06422, algorithm 1).

    network : any module. Biases and all other parameters stay as they are, frozen weights too.
    inputs : a batch of real data, what the module is called with: a tensor, or a tuple of
        arguments. The forward passes run in eval mode, so that dropout is off and running
        statistics stay; the modes are put back.
    tolerance : largest |variance − 1|, > 0. trials : most divisions per layer, ≥ 1.
    orthonormal : whether to draw orthonormal weights first; False only rescales those there are.
    seed : of that draw; the global random state is not touched.

    A layer that is called more than once counts at its first call; one that is never called is
    left alone, and not in the result. With a bias as large as the output the trials can run out.

    Raises TypeError where network is no module, ValueError for a setting out of range, for a
    layer without a shape yet or with a reparametrized weight, for no layer at all, and where a
    variance is 0 or not finite: no factor mends that.

    >>> from d2lstab import NetworkSpec, build
    >>> from d2lstab.datasets import digits
    >>> done = lsuv_(build(NetworkSpec(depth=20, activation="sigmoid")), digits(128).inputs)
    >>> len(done), all(abs(layer.variances[-1] - 1) < 0.1 for layer in done)
    (21, True)
    """
    if not isinstance(network, nn.Module):
        raise TypeError(f"network must be a torch.nn.Module; got {network!r}.")
    checks.real("tolerance", tolerance, above=0)
    checks.integer("trials", trials, 1)
    generator = Generator().manual_seed(checks.integer("seed", seed, 0, 2**32 - 1))
    inputs = inputs if isinstance(inputs, tuple) else (inputs,)
    layers = {name: m for name, m in network.named_modules() if isinstance(m, LAYERS)}
    for name, layer in layers.items():
        _check(name, layer)
    with torch.no_grad(), evaluating(network):
        names = [name for name in _order(network, inputs, layers)
                 if layers[name].weight.requires_grad]  # fmt: skip
        if not names:
            raise ValueError("network has no linear or convolutional layer to initialize.")
        if orthonormal:
            for name in names:
                _draw_orthonormal(layers[name].weight, generator)
        return tuple(
            _scale(name, layers[name], network, inputs, tolerance, trials) for name in names
        )


def _draw_orthonormal(weight: Tensor, generator: Generator) -> None:
    """Fill the weight; drawn on the CPU and in no less than float32, where QR is at home."""
    dtype = torch.promote_types(weight.dtype, torch.float32)
    weight.copy_(nn.init.orthogonal_(torch.empty(weight.shape, dtype=dtype), generator=generator))


def _scale(
    name: str, layer: nn.Module, network: nn.Module, inputs: tuple, tolerance: float, trials: int
) -> Scaling:
    """Divide the layer's weight until its output has variance 1."""
    variances = [_variance(name, layer, network, inputs)]
    while abs(variances[-1] - 1) >= tolerance and len(variances) <= trials:
        layer.weight.div_(variances[-1] ** 0.5)
        variances.append(_variance(name, layer, network, inputs))
    return Scaling(name, tuple(variances))


def _variance(name: str, layer: nn.Module, network: nn.Module, inputs: tuple) -> float:
    """Variance of the layer's output at its first call in one forward pass."""
    variances: list[float] = []

    def note(_module, _args, output: Tensor) -> None:  # now: what follows may change it in place
        variances.append(output.to("cpu", torch.float64).var(correction=0).item())

    handle = layer.register_forward_hook(note)
    try:
        network(*inputs)
    finally:
        handle.remove()
    variance = variances[0]
    if not 0 < variance < float("inf"):
        raise ValueError(
            f"the output of layer {name!r} has variance {variance}, which no factor turns into 1: "
            "look for a dead layer before it, or for inputs that are all alike or not finite."
        )
    return variance


def _order(network: nn.Module, inputs: tuple, layers: dict[str, nn.Module]) -> list[str]:
    """Names of the layers in the order of their first call."""
    called: dict[str, None] = {}
    handles = [
        layer.register_forward_hook(lambda *_, name=name: called.setdefault(name))
        for name, layer in layers.items()
    ]
    try:
        network(*inputs)
    finally:
        for handle in handles:
            handle.remove()
    return list(called)


def _check(name: str, layer: nn.Module) -> None:
    checks.has_shape(name, layer.weight)
    if not isinstance(layer.weight, nn.Parameter):
        raise ValueError(f"the weight of layer {name!r} is reparametrized: apply LSUV before that.")
