"""Measure how alike a network's layers find its inputs: the correlation of mean-field theory."""

import numpy as np
import torch
from torch import Tensor, nn
from torch.func import functional_call

from d2lstab import checks


def correlations(network: nn.Module, inputs: Tensor | tuple, *, seed: int = 0) -> np.ndarray:
    """Return the mean correlation over pairs of examples, layer by layer in the order they ran.

    The correlation of two examples is the cosine between their vectors of preactivations, which
    is what a layer (a module that owns a weight of two or more dimensions) puts out, bias
    included: c of Poole et al. 2016, arXiv:1606.05340. No mean is subtracted.

    network : any module. inputs : what it is called with, a tensor or a tuple of arguments; the
        first dimension of every layer's output counts examples. seed : of dropout's masks.
    Returns float64, (layers,); NaN where a vector is 0 or not finite. A layer that runs several
    times gets the mean over its runs.

    The module is left as it was: parameters, buffers, mode, hooks and the global random state.
    Raises TypeError when network is no module; ValueError when it has no layer, a lazy layer
    without a shape, or when there are fewer than two examples.

    >>> from d2lstab import NetworkSpec, build
    >>> from d2lstab.datasets import digits
    >>> network = build(NetworkSpec(depth=30, activation="relu", init="he"))
    >>> c = correlations(network, digits(128).inputs)
    >>> bool(c[0] < 0.1), bool(c[-1] > 0.9)
    (True, True)
    """
    if not isinstance(network, nn.Module):
        raise TypeError(f"network must be a torch.nn.Module; got {network!r}.")
    layers = [module for module in network.modules() if _owns_weight(module)]
    if not layers:
        raise ValueError("network has no layer to measure: no parameter of two dimensions.")
    found: dict[nn.Module, list[float]] = {}

    def note(module: nn.Module, _inputs, output: object) -> None:
        output = output[0] if isinstance(output, tuple) else output
        found.setdefault(module, []).append(_mean_cosine(output))

    handles = [layer.register_forward_hook(note) for layer in layers]
    buffers = {name: buffer.clone() for name, buffer in network.named_buffers()}
    arguments = inputs if isinstance(inputs, tuple) else (inputs,)
    try:
        with torch.no_grad(), torch.random.fork_rng(devices=[]):
            torch.default_generator.manual_seed(seed)
            functional_call(network, buffers, arguments)
    finally:
        for handle in handles:
            handle.remove()
    return np.array([sum(runs) / len(runs) for runs in found.values()])


def _owns_weight(module: nn.Module) -> bool:
    parameters = [p for p in module._parameters.values() if p is not None]
    for parameter in parameters:
        checks.has_shape(type(module).__name__, parameter)
    return any(p.ndim > 1 for p in parameters)


def _mean_cosine(output: Tensor) -> float:
    """Mean cosine over pairs of rows: (|Σ unit vectors|² − examples)/(examples (examples − 1))."""
    examples = len(output)
    if examples < 2:
        raise ValueError(f"a correlation needs two examples or more; got {examples}.")
    vectors = output.detach().reshape(examples, -1).double()
    # first by the largest entry: the squares of very small and very large ones leave the range
    vectors = vectors / vectors.abs().amax(dim=1, keepdim=True)
    units = vectors / vectors.norm(dim=1, keepdim=True)
    total = units.sum(dim=0).square().sum().item()
    return (total - examples) / (examples * (examples - 1))
