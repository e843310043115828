"""Exercises 2.10, 2.11: LSUV and a step of LARS, after the papers' algorithms."""

from collections.abc import Callable, Iterator

import torch
from torch import Generator, Tensor

from d2lstab.exercises.exercise import Exercise, Mistake, fraction, integer, normal

# 2.10 Layer-sequential unit variance


def _unscaled_networks(generator: Generator) -> Iterator[tuple]:
    for layers, n in ((3, 10), (6, 12)):
        sizes = torch.logspace(-1, 1, layers, dtype=torch.float64)
        sizes = sizes[torch.randperm(layers, generator=generator)]
        X = 0.7 + normal(generator, 400, n)
        Ws = 0.3 + normal(generator, layers, n, n)  # means that matter, of X and of the outputs
        yield sizes[:, None, None] * Ws, X


def _std(values: Tensor) -> Tensor:
    return values.std(correction=0)


def _lsuv(
    Ws: Tensor,
    X: Tensor,
    size: Callable[[Tensor], Tensor] = _std,
    phi: Callable[[Tensor], Tensor] = torch.tanh,
    sequential: bool = True,
    behind: bool = False,
) -> Tensor:
    """Mishkin & Matas 2015, Algorithm 1, without its orthonormal start.

    A mistake is another size of a layer's output, another φ, all layers measured before any is
    scaled, or the size of the activations behind the layer.
    """
    scaled, h = [], X
    for W in Ws:
        Z = h @ W.T
        new = W / (size(phi(Z)) if behind else size(Z))
        scaled.append(new)
        h = phi(h @ (new if sequential else W).T)
    return torch.stack(scaled)


def _by_unit(Z: Tensor) -> Tensor:
    return Z.std(0, correction=0)[:, None]


def _lsuv_with(**changes) -> Callable[..., Tensor]:
    return lambda Ws, X: _lsuv(Ws, X, **changes)


LSUV = Exercise(
    asks="a function of Ws and X that returns a tensor of the shape of Ws",
    cases=_unscaled_networks,
    truth=_lsuv,
    parts=("the weights",),
    mistakes=(
        Mistake(
            "all layers were measured before any was scaled. What does a layer hear once the one "
            "before it has changed?",
            _lsuv_with(sequential=False),
        ),
        Mistake(
            "the weights are divided by the variance. Which power of a factor on the weights does "
            "a variance have?",
            _lsuv_with(size=lambda Z: _std(Z) ** 2),
        ),
        Mistake(
            "each unit is scaled by itself; LSUV has one factor for a layer.",
            _lsuv_with(size=_by_unit),
        ),
        Mistake(
            "it is measured behind the activation function, where tanh has bounded it already.",
            _lsuv_with(behind=True),
        ),
        Mistake("there is no activation function between the layers.", _lsuv_with(phi=lambda z: z)),
        Mistake(
            "this is the mean square: the mean of the outputs has not been subtracted.",
            _lsuv_with(size=lambda Z: Z.square().mean().sqrt()),
        ),
        Mistake(
            "the weights themselves have the variance 1; the layer's outputs should have it.",
            lambda Ws, X: Ws / Ws.std((1, 2), keepdim=True),
        ),
        Mistake("these are the weights that your function was given.", lambda Ws, X: Ws),
        Mistake(
            "only the first layer is scaled.",
            lambda Ws, X: torch.cat([_lsuv(Ws[:1], X), Ws[1:]]),
        ),
    ),
    tolerance=0.01,
    matching=0.004,
)


# 2.11 A step of LARS


def _layers(generator: Generator) -> Iterator[tuple]:
    for shape in ((3, 4), (5,), (2, 3, 2)):
        w, g, v = (normal(generator, *shape) for _ in range(3))
        scale = 10 ** float(integer(generator, -4, 3))
        lr, trust = fraction(generator, 0.2, 0.9), fraction(generator, 0.02, 0.2)
        decay, momentum = fraction(generator, 0.1, 0.5), fraction(generator, 0.3, 0.9)
        yield w, scale * g, 0.1 * v, lr, trust, decay * scale, momentum


def _lars(
    w: Tensor,
    g: Tensor,
    v: Tensor,
    lr: float,
    trust: float,
    decay: float,
    momentum: float,
    rate: Callable[[Tensor, Tensor, float], Tensor] | None = None,
    step_decay: bool = True,
) -> tuple[Tensor, Tensor]:
    """You, Gitman & Ginsburg 2017, Algorithm 1, for one layer: the new w and v.

    A mistake is another local rate of w, g, decay (without trust), or a step without decay.
    """
    local = rate(w, g, decay) if rate else w.norm() / (g.norm() + decay * w.norm())
    v = momentum * v + lr * trust * local * (g + decay * w * step_decay)
    return w - v, v


def _lars_mistakes(part: int) -> tuple[Mistake, ...]:
    def variant(**changes) -> Callable[..., Tensor]:
        return lambda *case: _lars(*case, **changes)[part]

    def with_arguments(change: Callable) -> Callable[..., Tensor]:
        return lambda *case: _lars(*change(*case))[part]

    def after(w, g, v, lr, trust, decay, momentum) -> Tensor:
        step = lr * (momentum * v + _lars(w, g, 0 * v, 1.0, trust, decay, momentum)[1])
        return (w - step, step)[part]

    def size(rate: Callable) -> Callable:
        return variant(rate=rate)

    return (
        Mistake(
            "the weight decay is missing in the local rate.",
            size(lambda w, g, decay: w.norm() / g.norm()),
            part,
        ),
        Mistake("the weight decay is missing in the step itself.", variant(step_decay=False), part),
        Mistake(
            "the weight decay is missing.",
            with_arguments(lambda w, g, v, lr, trust, decay, m: (w, g, v, lr, trust, 0.0, m)),
            part,
        ),
        Mistake(
            "in the local rate, gradient and decayed weights are added as vectors; the algorithm "
            "adds their norms.",
            size(lambda w, g, decay: w.norm() / (g + decay * w).norm()),
            part,
        ),
        Mistake(
            "the local rate is upside down: which layer may take the longer step?",
            size(lambda w, g, decay: (g.norm() + decay * w.norm()) / w.norm()),
            part,
        ),
        Mistake(
            "there is a rate for each weight; LARS has one for a layer.",
            size(lambda w, g, decay: w.abs() / (g.abs() + decay * w.abs())),
            part,
        ),
        Mistake(
            "squared norms are in the local rate: then a gradient ten times as large makes another "
            "step.",
            size(
                lambda w, g, decay: w.square().sum() / (g.square().sum() + decay * w.square().sum())
            ),
            part,
        ),
        Mistake(
            "there is no local rate: this is SGD with momentum.",
            lambda w, g, v, lr, trust, decay, m: _sgd(w, g, v, lr, decay, m)[part],
            part,
        ),
        Mistake(
            "the trust coefficient is missing.",
            with_arguments(lambda w, g, v, lr, trust, decay, m: (w, g, v, lr, 1.0, decay, m)),
            part,
        ),
        Mistake(
            "the learning rate is missing.",
            with_arguments(lambda w, g, v, lr, trust, decay, m: (w, g, v, 1.0, trust, decay, m)),
            part,
        ),
        Mistake(
            "the momentum is missing: v came in with a value.",
            with_arguments(lambda w, g, v, lr, trust, decay, m: (w, g, 0 * v, lr, trust, decay, m)),
            part,
        ),
        Mistake(
            "the learning rate multiplies the old v as well; in the paper it does not.",
            after,
            part,
        ),
        Mistake(
            "the step goes uphill.",
            (lambda *case: 2 * case[0] - _lars(*case)[0])
            if part == 0
            else (lambda *case: -_lars(*case)[1]),
            part,
        ),
    )


def _sgd(w, g, v, lr: float, decay: float, momentum: float) -> tuple[Tensor, Tensor]:
    v = momentum * v + lr * (g + decay * w)
    return w - v, v


LARS_STEP = Exercise(
    asks="a function of w, g, v, lr, trust, weight_decay, momentum that returns two tensors",
    cases=_layers,
    truth=_lars,
    parts=("the new w", "the new v"),
    mistakes=(
        *_lars_mistakes(0),
        *_lars_mistakes(1),
        Mistake(
            "this is the old w; the new one comes first, then the new v.",
            lambda w, *rest: w,
        ),
        Mistake("the new w and the new v are exchanged.", lambda *case: _lars(*case)[1]),
    ),
)
