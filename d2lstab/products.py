"""Products of many factors: chains of scalars in floating point, products of Gaussian matrices.

A deep network multiplies as many factors as it has layers, forward and backward. Two models of
that show why depth is dangerous, and both have exact theory beside what is measured.
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from d2lstab import checks

DTYPES = (torch.float64, torch.float32, torch.bfloat16, torch.float16)
"""The floating-point types that a chain can be multiplied in, widest range first."""


@dataclass(frozen=True)
class FloatRange:
    """What a floating-point type can hold, as positive numbers.

    largest : the largest finite number; beyond it (and half a step more) comes Inf.
    smallest_normal : the smallest number that keeps all its digits.
    smallest_denormal : the smallest number above zero, with one binary digit left; half of it,
        and all that is smaller, rounds to zero.
    """

    largest: float
    smallest_normal: float
    smallest_denormal: float


def float_range(dtype: torch.dtype) -> FloatRange:
    """Return the range of ``dtype``, one of `DTYPES`; ValueError for any other.

    >>> float_range(torch.float16).largest
    65504.0
    """
    if dtype not in DTYPES:
        raise ValueError(f"dtype must be one of {', '.join(map(str, DTYPES))}; got {dtype!r}.")
    info = torch.finfo(dtype)
    return FloatRange(info.max, info.smallest_normal, info.smallest_normal * info.eps)


@dataclass(frozen=True)
class Depths:
    """The first depths (layers, 1 and more) at which a product leaves a range; None for never.

    denormal : it is under the smallest normal number, zero included.
    zero : it is zero.
    overflow : it is Inf.
    """

    denormal: int | None = None
    zero: int | None = None
    overflow: int | None = None


@dataclass(frozen=True, eq=False)
class Chain:
    """The products 1, w, w², …, wⁿ of one weight, exact and as a floating-point type gives them.

    weight : w, as asked for (``dtype`` may have to round it).
    depth : n, the number of factors.
    dtype : the type that every product was rounded to.
    exact_log10 : log₁₀ of the exact products, float64, (depth + 1,); the first is 0, at depth 0.
    products : the products in ``dtype``, kept as float64, (depth + 1,); zeros and Inf included.
    reached : the first depths at which ``products`` is denormal, zero or Inf, within ``depth``.
    stuck : the first depth from which a further layer changes nothing, although the product is
        neither zero nor Inf and w is not 1; None if there is none.
    """

    weight: float
    depth: int
    dtype: torch.dtype
    exact_log10: Tensor
    products: Tensor
    reached: Depths
    stuck: int | None

    @property
    def log10(self) -> Tensor:
        """log₁₀ of ``products``, float64, (depth + 1,): −inf where zero, +inf where Inf."""
        return self.products.log10()


def chain(weight: float, depth: int, dtype: torch.dtype = torch.float32) -> Chain:
    """Multiply ``depth`` equal weights one after the other in ``dtype``, as a deep network does.

    weight : a finite number > 0. depth : an integer from 1 to 100 000. dtype : one of `DTYPES`.
    Raises TypeError or ValueError for anything else.

    >>> chain(0.2, 100, torch.float32).reached
    Depths(denormal=55, zero=65, overflow=None)
    >>> chain(5, 100, torch.float16).reached
    Depths(denormal=None, zero=None, overflow=7)
    """
    checks.real("weight", weight, above=0)
    checks.integer("depth", depth, 1, 100_000)
    limits = float_range(dtype)
    factor, product = torch.tensor(float(weight), dtype=dtype), torch.ones((), dtype=dtype)
    products = [product]
    for _ in range(depth):  # never torch.cumprod: it may keep more digits between the layers
        product = product * factor
        products.append(product)
    values = torch.stack(products).double()
    same = (values[1:] == values[:-1]) & (values[1:] > 0) & values[1:].isfinite()
    return Chain(
        weight=float(weight),
        depth=int(depth),
        dtype=dtype,
        exact_log10=math.log10(weight) * torch.arange(depth + 1, dtype=torch.float64),
        products=values,
        reached=Depths(
            denormal=_first(values < limits.smallest_normal),
            zero=_first(values == 0),
            overflow=_first(values.isinf()),
        ),
        stuck=_first(same) if weight != 1 else None,
    )


def predict_depths(weight: float, dtype: torch.dtype = torch.float32) -> Depths:
    """Return where the exact power wⁿ leaves the range of ``dtype``: n* = log(limit) / log(w).

    The limits are powers of two: the smallest normal number, half the smallest denormal one (the
    largest number that rounds to zero) and the power above the largest number. The rounding on
    the way is left out, so `chain` may differ: by a layer where digits run out, by more where w
    is close to 1 and itself rounded, and for good where ½ < w < 1, for such a chain never rounds
    to zero.

    >>> predict_depths(0.2, torch.float32) == chain(0.2, 100, torch.float32).reached
    True
    """
    checks.real("weight", weight, above=0)
    limits = float_range(dtype)
    rate = math.log2(weight)  # binary digits per layer
    if rate == 0:
        return Depths()
    if rate > 0:
        return Depths(overflow=math.ceil(math.frexp(limits.largest)[1] / rate))
    return Depths(
        denormal=math.floor(math.log2(limits.smallest_normal) / rate) + 1,
        zero=math.ceil((math.log2(limits.smallest_denormal) - 1) / rate),
    )


def describe(result: Chain) -> str:
    """Return one sentence on what became of a chain.

    >>> describe(chain(0.2, 100, torch.float32))
    '0.2 multiplied 100 times in float32: digits lost from layer 55, zero from layer 65.'
    """
    reached, events = result.reached, []
    if reached.denormal is not None and reached.denormal != reached.zero:
        events.append(f"digits lost from layer {reached.denormal}")
    if reached.zero is not None:
        events.append(f"zero from layer {reached.zero}")
    if reached.overflow is not None:
        events.append(f"Inf from layer {reached.overflow}")
    if result.stuck is not None:
        events.append(f"stuck at {result.products[-1].item():.2g} from layer {result.stuck}")
    name = str(result.dtype).removeprefix("torch.")
    outcome = ", ".join(events) or f"{result.products[-1].item():.3g}, within range"
    return f"{result.weight:.4g} multiplied {result.depth} times in {name}: {outcome}."


def predict_lyapunov(n: int, std: float = 1.0) -> Tensor:
    """Return the n Lyapunov exponents of a product of n × n Gaussian matrices, largest first.

    The k-th largest singular value of W_L ⋯ W₁, the entries independent N(0, std²), grows like
    exp(λ_k L) as L → ∞, with λ_k = log std + ½ (log 2 + ψ((n − k) / 2)), k = 0 … n − 1, and ψ
    the digamma function (Newman 1986). The first one is also the mean log growth of the norm of
    a vector, per factor, for every L.

    Returns float64, (n,), in nats per factor. Raises TypeError or ValueError unless n is an
    integer from 1 to 10 000 and std a finite number > 0.

    >>> predict_lyapunov(4)
    tensor([ 0.5580,  0.3648,  0.0580, -0.6352], dtype=torch.float64)
    """
    checks.integer("n", n, 1, 10_000)
    checks.real("std", std, above=0)
    freedom = torch.arange(n, 0, -1, dtype=torch.float64)
    return math.log(std) + (math.log(2) + torch.special.digamma(freedom / 2)) / 2


def lyapunov_exponents(
    n: int, std: float = 1.0, factors: int = 100, draws: int = 200, seed: int = 0
) -> Tensor:
    """Measure the n Lyapunov exponents on products of n × n Gaussian matrices, entries N(0, std²).

    A frame of n orthonormal vectors is carried through the factors and made orthonormal again
    after each (QR); the mean log of R's diagonal is the growth of each direction, per factor
    (Benettin et al. 1980). No product is ever formed, so nothing overflows and no small singular
    value drowns in the rounding error of the largest.

    factors : how many matrices are multiplied. draws : how many independent products.
    Returns float64, (draws, n), in nats per factor, in the order of the frame: the largest first
    up to the noise of one draw. Raises TypeError or ValueError unless n, factors and draws are
    integers ≥ 1, std a finite number > 0 and seed an integer from 0 to 2³² − 1.

    >>> lyapunov_exponents(4, draws=5).shape
    torch.Size([5, 4])
    """
    checks.integer("n", n, 1, 10_000)
    checks.real("std", std, above=0)
    checks.integer("factors", factors, 1, 1_000_000)
    checks.integer("draws", draws, 1, 1_000_000)
    checks.integer("seed", seed, 0, 2**32 - 1)
    generator = torch.Generator().manual_seed(seed)
    frame = torch.eye(n, dtype=torch.float64).expand(draws, n, n)
    growth = torch.zeros(draws, n, dtype=torch.float64)
    for _ in range(factors):
        W = std * torch.randn(draws, n, n, generator=generator, dtype=torch.float64)
        frame, R = torch.linalg.qr(W @ frame)
        growth += R.diagonal(dim1=1, dim2=2).abs().log()
    return growth / factors


def _first(where: Tensor) -> int | None:
    """Index of the first True; None if there is none."""
    found = where.nonzero()
    return int(found[0]) if len(found) else None
