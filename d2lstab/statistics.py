"""Reduce tensors to numbers without losing the very small and the very large."""

import math
import threading
from collections.abc import Iterator, Sequence
from functools import lru_cache

import numpy as np
import torch
from numpy.typing import ArrayLike
from torch import Tensor

from d2lstab.activations import Activation

SMALLEST_BINADE, BINADES = -150, 278
"""Histogram bins are binades, [2^k, 2^(k+1)): the exponents of floating point. Float32 reaches
from 2^-149 (its smallest denormal) to just under 2^128."""

SAMPLED = 1024
"""Gradient entries that enter a layer's histogram: all, or about this many evenly spaced ones."""


Entries = Tensor | np.ndarray  # of a tensor, one after the other


def square_sums(tensors: Sequence[Tensor]) -> np.ndarray:
    """Return Σx² over the entries of each tensor, exact to about 1e-6: float64, (tensors,).

    Float32 does where its range suffices; its squares underflow for x under 1e-23 and overflow
    for x over 1e19, and then, as for every other dtype, the sum is taken in float64.
    """
    return _square_sums(tensors, list(map(_entries, tensors)))


def _square_sums(tensors: Sequence[Tensor], entries: Sequence[Entries]) -> np.ndarray:
    with np.errstate(over="ignore", invalid="ignore"):  # what overflows is not in range
        squares = np.array([float(values.dot(values)) for values in entries])
    for index in np.flatnonzero(~_in_range(squares)):
        squares[index] = _exact_sums(tensors[index])[1]
    return squares


def sums(tensors: Sequence[Tensor]) -> tuple[np.ndarray, np.ndarray]:
    """Return Σx and Σx² of each tensor, float64 of shape (tensors,), good enough for a variance.

    Float64 takes over where float32 would run out of range, or out of digits because the spread
    is small beside the mean.
    """
    entries = list(map(_entries, tensors))
    with np.errstate(invalid="ignore", over="ignore"):  # Inf − Inf is not sure
        both = [(_sum(values), float(values.dot(values))) for values in entries]
        total, squares = np.array(both).reshape(-1, 2).T
        size = np.array([len(values) for values in entries])
        sure = _in_range(squares) & (size * squares - total**2 > 1e-2 * squares)
    for index in np.flatnonzero(~sure):
        total[index], squares[index] = _exact_sums(tensors[index])
    return total, squares


def _entries(tensor: Tensor) -> Entries:
    """The entries one after the other, in float32 or, of every other dtype, in float64.

    On the CPU as an array of the same memory: numpy's calls cost a fraction of PyTorch's.
    """
    if tensor.dtype is not torch.float32:
        tensor = tensor.double()
    return (tensor.numpy(force=True) if tensor.is_cpu else tensor.detach()).reshape(-1)


def _sum(values: Entries) -> float:
    if len(values) <= 2**16 and values.dtype == np.float32:
        return float(values.dot(_ones(len(values))))  # four times as fast as .sum()
    return float(values.sum())


@lru_cache(maxsize=8)
def _ones(size: int) -> np.ndarray:
    return np.ones(size, np.float32)


def _in_range(squares: np.ndarray) -> np.ndarray:
    """Whether sums of squares taken in float32 can be trusted."""
    return (squares > 1e-20) & (squares < 1e30)


def _exact_sums(tensor: Tensor) -> tuple[float, float]:
    values = tensor.detach().reshape(-1).double()
    return values.sum().item(), values.dot(values).item()


def flat_shares(
    activation: Activation, tensors: Sequence[Tensor], unit_dim: int
) -> tuple[np.ndarray, list[np.ndarray]]:
    """Return the share of each tensor's entries in a flat part of ``activation``, and dead units.

    The shares are float64 of shape (tensors,). The dead units, per tensor, are those in a flat
    part everywhere: bool of shape (units,). ``unit_dim`` is the dimension that counts units.
    """
    shares, dead = np.zeros(len(tensors)), [np.zeros(0, bool)] * len(tensors)
    for indices, stack in stacks(tensors):
        flat = activation.flat_(stack)
        units = 1 + unit_dim if 0 <= unit_dim < flat.ndim - 1 else flat.ndim - 1
        others = [dim for dim in range(1, flat.ndim) if dim != units]
        kind = torch.promote_types(flat.dtype, torch.float32)  # bfloat16 rounds 299/300 to 1
        by_unit = (flat.mean(dim=others, dtype=kind) if others else flat).double().cpu()
        by_unit = by_unit.reshape(len(indices), -1).numpy()
        shares[indices] = by_unit.mean(axis=1)
        for index, row in zip(indices, by_unit == 1, strict=True):
            dead[index] = row
    return shares, dead


def stacks(tensors: Sequence[Tensor]) -> Iterator[tuple[list[int], Tensor]]:
    """Copy tensors of one kind into a stack, some at a time; yield their indices and the stack.

    One operation on a stack costs a tenth of one on each tensor. Float32 on the CPU is stacked in
    memory that is used again and again, valid until the next step: fresh memory would cost more
    than the arithmetic. All other tensors come alone.
    """
    groups: dict[tuple, list[int]] = {}
    for index, tensor in enumerate(tensors):
        groups.setdefault((tensor.shape, tensor.dtype, tensor.device), []).append(index)
    for (shape, dtype, device), indices in groups.items():
        fit = _SCRATCH_SIZE // max(shape.numel(), 1)
        if dtype is not torch.float32 or device.type != "cpu" or fit < 2:
            yield from (([index], tensors[index].unsqueeze(0).clone()) for index in indices)
            continue
        for start in range(0, len(indices), fit):
            some = indices[start : start + fit]
            memory = _scratch()[: len(some) * shape.numel()].view(len(some), *shape)
            yield some, torch.stack([tensors[index] for index in some], out=memory)


_SCRATCH_SIZE = 2**20  # 4 MB
_LOCAL = threading.local()  # two threads may measure at once


def _scratch() -> Tensor:
    if not hasattr(_LOCAL, "memory"):
        # glibc gives freed memory back to the system beyond a threshold, 128 kB at first, and every
        # pass would ask for it anew; once it has seen 16 MB come and go, it keeps up to 32 MB.
        torch.empty(2**22, dtype=torch.float32, device="cpu")
        _LOCAL.memory = torch.empty(_SCRATCH_SIZE, dtype=torch.float32, device="cpu")
    return _LOCAL.memory


def samples(tensors: Sequence[Tensor], least: int = SAMPLED) -> list[Tensor]:
    """Return entries of each tensor, evenly spaced: ``least`` or somewhat more, or all of fewer.

    The spacing has no divisor in common with the size, so that all rows and columns have a turn:
    of 64 columns every 16th would be four pixels that are black in all images. Float64, 1-D, on
    the CPU.
    """
    return _samples(list(map(_entries, tensors)), least)


def _samples(entries: Sequence[Entries], least: int) -> list[Tensor]:
    if not entries:
        return []
    thin = [values[:: _spacing(len(values), least)] for values in entries]
    on_cpu = [values if isinstance(values, np.ndarray) else values.cpu() for values in thin]
    joined = torch.from_numpy(np.concatenate(on_cpu, dtype=np.float64))
    return list(joined.split([len(values) for values in thin]))


def square_sums_and_samples(tensors: Sequence[Tensor]) -> tuple[np.ndarray, list[Tensor]]:
    """`square_sums` and `samples` of the same tensors, faster than one after the other."""
    entries = list(map(_entries, tensors))
    return _square_sums(tensors, entries), _samples(entries, SAMPLED)


@lru_cache
def _spacing(size: int, least: int) -> int:
    spacing = max(1, size // least)
    while math.gcd(spacing, size) > 1:
        spacing -= 1
    return spacing


def binades(samples: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
    """Share of each sample's entries by binade, and the share that is smaller still: zeros.

    samples : float64, 1-D each. Returns (samples, BINADES) and (samples,), float64; NaN for an
    empty sample.
    """
    rows = np.repeat(np.arange(len(samples)), [len(values) for values in samples])
    values = torch.cat(list(samples)).numpy()
    # The exponent bits of float64 hold every float32, denormals too, as a normal number; one bin
    # more at either end takes what is smaller (zero) and what is larger (Inf and NaN).
    binade = (values.view(np.int64) >> 52 & 0x7FF) - (1023 + SMALLEST_BINADE)
    index = rows * (BINADES + 2) + np.clip(binade, -1, BINADES) + 1
    counts = np.bincount(index, minlength=len(samples) * (BINADES + 2)).reshape(len(samples), -1)
    with np.errstate(invalid="ignore"):  # a layer without gradient: 0/0 is the NaN we promise
        share = torch.from_numpy(counts / counts.sum(axis=1, keepdims=True))
    return share[:, 1:-1], share[:, 0]


def interval(values: ArrayLike) -> np.ndarray:
    """Return half the width of Student's 95 % confidence interval for the mean of ``values``.

    values : (n, …), two or more independent draws along the first axis. Returns (…), float64, in
    the unit of the values. With few draws ± 1.96 standard errors are too narrow: of four normal
    draws they cover the mean in 86 % of cases only.

    >>> interval([[1.0], [2.0], [3.0]]).round(3)
    array([2.484])
    """
    from scipy.special import stdtrit  # here: `import d2lstab` does not wait for it

    values = np.asarray(values, float)
    error = values.std(axis=0, ddof=1) / len(values) ** 0.5
    return stdtrit(len(values) - 1, 0.975) * error
