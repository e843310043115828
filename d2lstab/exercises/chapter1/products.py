"""Exercises 1.2, 1.6, 1.10: long products, in logarithms, between bounds, and as a power."""

import math
from collections.abc import Callable, Iterator

import torch
from torch import Generator, Tensor

from d2lstab.exercises.exercise import Exercise, Mistake, normal

# 1.2 The size of a product that no floating-point number can hold


def _long_products(generator: Generator) -> Iterator[tuple]:
    for n, length, std in ((2, 3, 1.0), (4, 1500, 1.0), (3, 1200, 0.1)):
        yield (std * normal(generator, length, n, n),)


def _log_norm(matrices: Tensor, norm: Callable = torch.linalg.matrix_norm) -> Tensor:
    product, logarithm = torch.eye(matrices.shape[-1], dtype=torch.float64), 0.0
    for W in matrices:
        product = W @ product
        size = product.norm()
        product, logarithm = product / size, logarithm + size.log10()
    return logarithm + norm(product).log10()


LOG_NORM = Exercise(
    asks="a function of the matrices that returns a number",
    cases=_long_products,
    truth=_log_norm,
    parts=("the logarithm",),
    mistakes=(
        Mistake(
            "this is the product in the opposite order; the first matrix acts first.",
            lambda Ws: _log_norm(Ws.flip(0)),
        ),
        Mistake(
            "these are natural logarithms; decades are asked for.",
            lambda Ws: _log_norm(Ws) * math.log(10),
        ),
        Mistake(
            "this adds the logarithms of the factors' norms, which only bounds the product's.",
            lambda Ws: Ws.norm(dim=(1, 2)).log10().sum(),
        ),
        Mistake(
            "this is the largest singular value; the Frobenius norm is asked for.",
            lambda Ws: _log_norm(Ws, lambda W: torch.linalg.matrix_norm(W, 2)),
        ),
        Mistake(
            "the sizes that were divided out on the way are missing.",
            lambda Ws: torch.zeros((), dtype=torch.float64),
        ),
    ),
    near="it is nearly right. Which norm, and is the size of every factor in it, the last as well?",
    not_finite="the product left the range of float64 before its logarithm was taken.",
)


# 1.6 Bounds on what a product does to a length


def _layers(generator: Generator) -> Iterator[tuple]:
    for length, n in ((2, 2), (4, 3), (3, 6)):
        yield (normal(generator, length, n, n),)


def _singular(matrices: Tensor, index: int) -> Tensor:
    """Each matrix's largest (0) or smallest (−1) singular value, shape (layers,)."""
    return torch.linalg.svdvals(matrices)[:, index]


def _eigenvalue_sizes(matrices: Tensor) -> Tensor:
    return torch.linalg.eigvals(matrices).abs()


def _whole(matrices: Tensor) -> Tensor:
    product = matrices[0]
    for W in matrices[1:]:
        product = W @ product
    return product[None]


STRETCH_BOUNDS = Exercise(
    asks="a function of the matrices that returns two numbers, lower and upper",
    cases=_layers,
    truth=lambda Ws: (_singular(Ws, -1).prod(), _singular(Ws, 0).prod()),
    parts=("the lower bound", "the upper bound"),
    mistakes=tuple(
        mistake
        for part, index, extreme in ((0, -1, Tensor.amin), (1, 0, Tensor.amax))
        for mistake in (
            Mistake(
                "it comes from eigenvalues, and some vector breaks it: what eigenvalues bound is "
                "the stretch of symmetric matrices only.",
                lambda Ws, extreme=extreme: extreme(_eigenvalue_sizes(Ws), 1).prod(),
                part,
            ),
            Mistake(
                "lower and upper are exchanged.",
                lambda Ws, index=-1 - index: _singular(Ws, index).prod(),
                part,
            ),
            Mistake(
                "it is what this very product does. A bound for the product must follow from each "
                "matrix alone.",
                lambda Ws, index=index: _singular(_whole(Ws), index)[0],
                part,
            ),
            Mistake(
                "it adds up what each matrix does. How does the second act on the first's output?",
                lambda Ws, index=index: _singular(Ws, index).sum(),
                part,
            ),
            Mistake(
                "it is true, but far from tight: the Frobenius norm adds up all directions.",
                lambda Ws: Ws.norm(dim=(1, 2)).prod(),
                part,
            ),
            Mistake(
                "it looks at determinants: that is volume, not length.",
                lambda Ws: torch.linalg.det(Ws).abs().prod(),
                part,
            ),
            Mistake(
                "it is the bound for one matrix, not for the product.",
                lambda Ws, index=index, extreme=extreme: extreme(_singular(Ws, index), 0),
                part,
            ),
        )
    ),
)


# 1.10 The power of a matrix


def _powers(generator: Generator) -> Iterator[tuple]:
    spectrum = torch.tensor([-3.0, 2.6, 1.0, 0.4, -0.2], dtype=torch.float64)
    for scale, k in ((1.0, 3), (1.0, 8), (1.0, 5000), (0.01, 5000)):
        Q = torch.linalg.qr(normal(generator, 5, 5))[0]
        M = (Q * (scale * spectrum)) @ Q.T
        yield (M + M.T) / 2, normal(generator, 5), k


def _alignment(M: Tensor, x: Tensor, k: int) -> Tensor:
    """The cosine from the eigenvalues, without a sign: |c₁| / √Σ cᵢ² (λᵢ/λ₁)²ᵏ, cᵢ = vᵢᵀx."""
    values, vectors = torch.linalg.eigh(M)
    c, first = vectors.T @ x, values.abs().argmax()
    return c[first].abs() / (c * (values / values[first]) ** k).norm()


def _cosine_with(M: Tensor, x: Tensor, k: int, index: int) -> Tensor:
    """|cos| of the angle between Mᵏx and the eigenvector at ``index``, ascending by eigenvalue."""
    values, vectors = torch.linalg.eigh(M)
    parts = (vectors.T @ x) * (values / values.abs().max()) ** k
    return parts[index].abs() / parts.norm()


ALIGNMENT = Exercise(
    asks="a function of M, x and k that returns a number",
    cases=_powers,
    truth=_alignment,
    parts=("the cosine",),
    mistakes=(
        Mistake(
            "it is the cosine with the eigenvector of the most positive eigenvalue; which one is "
            "the largest in size?",
            lambda M, x, k: _cosine_with(M, x, k, -1),
        ),
        Mistake(
            "its sign is by chance: if v is an eigenvector, so is −v.",
            lambda M, x, k: -_alignment(M, x, k),
        ),
        Mistake(
            "this is the angle of x itself; no power of M is in it.",
            lambda M, x, k: _alignment(M, x, 0),
        ),
        Mistake("one factor M is missing.", lambda M, x, k: _alignment(M, x, k - 1)),
        Mistake("there is one factor M too many.", lambda M, x, k: _alignment(M, x, k + 1)),
        Mistake("this is its square.", lambda M, x, k: _alignment(M, x, k) ** 2),
        Mistake(
            "this is zero: did the vector underflow, with a small number in the denominator?",
            lambda M, x, k: torch.zeros((), dtype=torch.float64),
        ),
    ),
    not_finite="the power left the range of float64; all that is asked for is a direction.",
)
