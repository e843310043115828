"""Exercises 1.1, 1.3, 1.5: a gradient by differences, by hand, and a second one."""

from collections.abc import Callable, Iterator

import torch
from torch import Generator, Tensor

from d2lstab.exercises.exercise import Exercise, Mistake, normal

# 1.1 A gradient by differences


def _scalar_functions(generator: Generator) -> Iterator[tuple]:
    for shape in ((3, 5), (1, 4), (6, 2)):
        A, B, X = (normal(generator, *shape) for _ in range(3))
        yield (lambda X, A=A, B=B: (torch.sin(A * X) + B * X**3).sum()), X


def _gradient(f: Callable, X: Tensor) -> Tensor:
    X = X.clone().requires_grad_()
    return torch.autograd.grad(f(X), X)[0]


NUMERIC_GRADIENT = Exercise(
    asks="a function of f and X that returns a tensor",
    cases=_scalar_functions,
    truth=_gradient,
    parts=("the gradient",),
    mistakes=(
        Mistake(
            "the entries are right, but they stand in one row. Which shape has a gradient?",
            lambda f, X: _gradient(f, X).flatten(),
        ),
        Mistake("it is transposed.", lambda f, X: _gradient(f, X).T),
        Mistake(
            "this single number is the change when all entries of X move at once.",
            lambda f, X: _gradient(f, X).sum(),
        ),
        Mistake(
            "every entry is twice too large. How far apart are the two points?",
            lambda f, X: 2 * _gradient(f, X),
        ),
        Mistake(
            "every entry is half of what it should be. How far apart are the two points?",
            lambda f, X: _gradient(f, X) / 2,
        ),
        Mistake("its sign is wrong.", lambda f, X: -_gradient(f, X)),
    ),
    tolerance=1e-4,
    matching=1e-4,
    near="it is nearly right. Is the step too large, or the difference taken on one side only?",
    not_finite="it holds NaN or Inf. Did the step get lost in rounding?",
)


# 1.3 The book's network with a bias


def _small_networks(generator: Generator) -> Iterator[tuple]:
    for d, h, q in ((4, 3, 2), (2, 5, 3)):
        x, y, W1 = normal(generator, d), normal(generator, q), normal(generator, h, d)
        b, W2 = normal(generator, h), normal(generator, q, h)
        yield x, y, W1, b, W2, 0.1 + torch.rand((), generator=generator).item()


def _penalty(W1: Tensor, b: Tensor, W2: Tensor) -> Tensor:
    return ((W1**2).sum() + (W2**2).sum()) / 2


def _backward(
    x, y, W1, b, W2, lam, phi: Callable = torch.tanh, penalty: Callable = _penalty
) -> tuple[Tensor, ...]:
    """Autograd's gradients of the objective; a mistake is another φ or another penalty."""
    W1, b, W2 = (p.clone().requires_grad_() for p in (W1, b, W2))
    o = W2 @ phi(W1 @ x + b)
    J = ((o - y) ** 2).sum() / 2 + lam * penalty(W1, b, W2)
    return torch.autograd.grad(J, (W1, b, W2))


def _slope(derivative: Callable) -> Callable:
    """tanh on the way forth, and on the way back the derivative that a learner took for its own."""
    return lambda z: torch.tanh(z).detach() + derivative(z).detach() * (z - z.detach())


def _backward_mistakes(part: int) -> tuple[Mistake, ...]:
    def variant(**changes) -> Callable:
        return lambda *case: _backward(*case, **changes)[part]

    unpenalized = Mistake(
        "the part of the penalty is missing.",
        variant(penalty=lambda W1, b, W2: 0 * _penalty(W1, b, W2)),
        part,
    )
    return (
        Mistake("its sign is wrong.", lambda *case: -_backward(*case)[part], part),
        *(() if part == 1 else (unpenalized,)),
        Mistake("the derivative of tanh is missing.", variant(phi=_slope(torch.ones_like)), part),
        Mistake(
            "1 − v² is the derivative of tanh if v is its output, not its input.",
            variant(phi=_slope(lambda z: 1 - z**2)),
            part,
        ),
        Mistake(
            "the bias is missing in the forward pass.",
            lambda x, y, W1, b, *rest: _backward(x, y, W1, 0 * b, *rest)[part],
            part,
        ),
    )


GRADIENTS_WITH_BIAS = Exercise(
    asks="a function of x, y, W1, b, W2, lam that returns three tensors",
    cases=_small_networks,
    truth=_backward,
    parts=("∂J/∂W1", "∂J/∂b", "∂J/∂W2"),
    mistakes=(
        Mistake(
            "the bias is penalized here; the penalty of J has only weights.",
            lambda *case: _backward(
                *case, penalty=lambda W1, b, W2: _penalty(W1, b, W2) + (b**2).sum() / 2
            )[1],
            1,
        ),
        Mistake(
            "it is one number. A gradient has the shape of its value, and b is a vector.",
            lambda *case: _backward(*case)[1].sum(),
            1,
        ),
        *(mistake for part in range(3) for mistake in _backward_mistakes(part)),
        Mistake("it is transposed.", lambda *case: _backward(*case)[0].T),
        Mistake("it is transposed.", lambda *case: _backward(*case)[2].T, 2),
    ),
)


# 1.5 A second derivative


def _curved_functions(generator: Generator) -> Iterator[tuple]:
    for n in (3, 30):
        A, c, x, v = (normal(generator, *s) for s in ((n, n), (n,), (n,), (n,)))
        yield (lambda x, A=A, c=c: torch.sin(A @ x).sum() + (c * x**3).sum()), x, v


def _hessian(f: Callable, x: Tensor) -> Tensor:
    return torch.autograd.functional.hessian(f, x)


HESSIAN_VECTOR = Exercise(
    asks="a function of f, x and v that returns a vector",
    cases=_curved_functions,
    truth=lambda f, x, v: _hessian(f, x) @ v,
    parts=("the product",),
    mistakes=(
        Mistake(
            "this is the first derivative, times v entry by entry.",
            lambda f, x, v: _gradient(f, x) * v,
        ),
        Mistake("this is the gradient; it was taken once only.", lambda f, x, v: _gradient(f, x)),
        Mistake(
            "this is H times a vector of ones: the sum of the gradient's entries was "
            "differentiated, and v is nowhere in it.",
            lambda f, x, v: _hessian(f, x).sum(1),
        ),
        Mistake(
            "these are the row sums of H times v: v came in after the second derivative.",
            lambda f, x, v: _hessian(f, x).sum(1) * v,
        ),
        Mistake(
            "only the diagonal of H is in it; entries of x act on one another's gradient.",
            lambda f, x, v: _hessian(f, x).diagonal() * v,
        ),
        Mistake(
            "this is vᵀHv, one number; the vector Hv is asked for.",
            lambda f, x, v: v @ _hessian(f, x) @ v,
        ),
        Mistake(
            "this is all of H, n² numbers; only n of them were asked for.",
            lambda f, x, v: _hessian(f, x),
        ),
        Mistake(
            "the first gradient is in it as well: `.grad` adds up what both passes brought.",
            lambda f, x, v: _gradient(f, x) + _hessian(f, x) @ v,
        ),
    ),
    tolerance=1e-5,
    raised={
        "does not require grad": "Nothing was recorded that could be differentiated (again).",
        "second time": "The first backward pass freed its graph.",
    },
)
