"""Exercise 4.5: the way back through a norm."""

from collections.abc import Iterator

import torch
from torch import Generator, Tensor

from d2lstab.exercises.exercise import Exercise, Mistake, integer, normal


def _gradients(generator: Generator) -> Iterator[tuple]:
    for _ in range(2):
        shape = integer(generator, 3, 5), integer(generator, 6, 8)
        yield 2 * normal(generator, *shape) + 1, normal(generator, *shape)


def _backward(x: Tensor, gradient: Tensor) -> Tensor:
    with torch.enable_grad():
        x = x.clone().requires_grad_()
        mean = x.mean(1, keepdim=True)
        y = (x - mean) / (x - mean).square().mean(1, keepdim=True).sqrt()
        return torch.autograd.grad((y * gradient).sum(), x)[0]


def _terms(x: Tensor, gradient: Tensor, dim: int = 1) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """σ, the gradient, and what comes back through μ and through σ: (g − a − b)/σ is right."""
    var, mean = torch.var_mean(x, dim, keepdim=True, correction=0)
    y = (x - mean) / var.sqrt()
    return (
        var.sqrt(),
        gradient,
        gradient.mean(dim, keepdim=True),
        y * (gradient * y).mean(dim, keepdim=True),
    )


def _put_together(combine, **changes):
    return lambda x, gradient: combine(*_terms(x, gradient, **changes))


NORM_BACKWARD = Exercise(
    asks="a function of x and gradient that returns a tensor",
    cases=_gradients,
    truth=_backward,
    parts=("the gradient",),
    mistakes=(
        Mistake(
            "μ and σ were held constant: x reaches the output through them as well.",
            _put_together(lambda sigma, g, a, b: g / sigma),
        ),
        Mistake(
            "μ was held constant. Add a number to all of x: what must the gradient's sum be?",
            _put_together(lambda sigma, g, a, b: (g - b) / sigma),
        ),
        Mistake(
            "σ was held constant. Double x − μ: what must the gradient's product with y be?",
            _put_together(lambda sigma, g, a, b: (g - a) / sigma),
        ),
        Mistake(
            "1/σ is missing: a larger x gives the same y, so it must get a smaller gradient.",
            _put_together(lambda sigma, g, a, b: g - a - b),
        ),
        Mistake(
            "it is multiplied by σ, not divided.",
            _put_together(lambda sigma, g, a, b: (g - a - b) * sigma),
        ),
        Mistake(
            "what comes back through μ and σ has the wrong sign.",
            _put_together(lambda sigma, g, a, b: (g + a + b) / sigma),
        ),
        Mistake(
            "what comes back through μ and σ is a sum over the features; each x has one n-th of it "
            "to answer for.",
            lambda x, gradient: _put_together(
                lambda sigma, g, a, b: (g - x.shape[1] * (a + b)) / sigma
            )(x, gradient),
        ),
        Mistake(
            "it goes over the batch: that is batch norm's.",
            _put_together(lambda sigma, g, a, b: (g - a - b) / sigma, dim=0),
        ),
        Mistake(
            "x − μ stands where y should: σ is missing in the last term, twice.",
            _put_together(lambda sigma, g, a, b: (g - a - b * sigma**2) / sigma),
        ),
    ),
)
