"""Exercises 1.7, 1.8, 1.9, 1.11: critical weights, twins, equal starts, a network to repair."""

import dataclasses
from collections.abc import Callable, Iterator

import torch
from torch import Generator, Tensor
from torch.nn import functional as F

from d2lstab.activations import ACTIVATIONS
from d2lstab.diagnosis import diagnose
from d2lstab.exercises.answers import AnswerError, call, close, read
from d2lstab.exercises.exercise import Exercise, Mistake, normal
from d2lstab.networks import NetworkSpec
from d2lstab.signal import measure

# 1.7 The weights at which gradients neither vanish nor explode


def _derivatives(generator: Generator) -> Iterator[tuple]:
    for name in ("tanh", "sigmoid", "gelu", "relu", "softplus"):
        spread = 0.5 + 1.5 * torch.rand((), generator=generator).item()
        yield ACTIVATIONS[name].derivative, round(spread, 2)


def _mean(g: Callable, derivative: Callable, spread: float) -> Tensor:
    """E[g(φ'(z))], z ~ N(0, spread²), by the trapezoid rule."""
    z = torch.linspace(-9, 9, 100_001, dtype=torch.float64)
    return (
        torch.trapezoid(g(derivative(spread * z)) * torch.exp(-z * z / 2), z)
        / (2 * torch.pi) ** 0.5
    )


def _critical(derivative: Callable, spread: float) -> Tensor:
    return _mean(torch.square, derivative, spread) ** -0.5


CRITICAL_SIGMA = Exercise(
    asks="a function of derivative and s that returns a number",
    cases=_derivatives,
    truth=_critical,
    parts=("the value of σ_w",),
    mistakes=(
        Mistake("this is σ_w².", lambda d, s: _critical(d, s) ** 2),
        Mistake(
            "this is √E[φ'(z)²], what σ_w has to make up for.", lambda d, s: 1 / _critical(d, s)
        ),
        Mistake("this is E[φ'(z)²], without the weights.", lambda d, s: _critical(d, s) ** -2),
        Mistake(
            "the mean of φ' is in it; norms ask for the mean of another quantity.",
            lambda d, s: 1 / _mean(torch.abs, d, s),
        ),
        Mistake(
            "the largest φ' is in it, as if every unit had it.",
            lambda d, s: 1 / d(torch.linspace(-9, 9, 100_001, dtype=torch.float64)).max(),
        ),
        Mistake("this is the value for z ~ N(0, 1), whatever s.", lambda d, s: _critical(d, 1.0)),
        Mistake("s was taken for the variance of z.", lambda d, s: _critical(d, s**0.5)),
        Mistake("s was divided out once more.", lambda d, s: _critical(d, s) / s),
    ),
    tolerance=0.01,
    matching=0.002,
    near="it is less than 5 % off, but more than 1 %: take more samples, or an integral.",
)


# 1.8 A twin that is no permutation


def _is_among(rows: Tensor, others: Tensor) -> Tensor:
    """For each of the ``rows``, whether it is one of ``others``, bool, (rows,)."""
    return (torch.cdist(rows, others).amin(1) < 1e-9).cpu()


def check_twin(answer: object, seed: int) -> None:
    """`AnswerError` unless ``answer`` maps (W1, W2) to other weights of the same function of x."""
    generator = Generator().manual_seed(seed)
    asks = "a function of W1 and W2 that returns two matrices"
    for d, h, q in ((3, 4, 2), (5, 3, 4)):
        W1, W2 = normal(generator, h, d), normal(generator, q, h)
        value = call(answer, (W1, W2), asks, {})
        if not isinstance(value, (tuple, list)) or len(value) != 2:
            raise AnswerError("Your function must return two matrices, the new W1 and the new W2.")
        V1, V2 = (read(matrix, name) for matrix, name in zip(value, ("W1", "W2"), strict=True))
        if V1.shape != W1.shape or V2.shape != W2.shape:
            shapes = f"{tuple(W1.shape)} and {tuple(W2.shape)}"
            got = f"{tuple(V1.shape)} and {tuple(V2.shape)}"
            raise AnswerError(
                f"The new matrices must have the shapes of the old, {shapes}; got {got}."
            )
        if not (V1.isfinite().all() and V2.isfinite().all()):
            raise AnswerError("The new matrices hold NaN or Inf.")
        X = normal(generator, d, 50)
        _compare_outputs(V2 @ torch.tanh(V1 @ X), W2 @ torch.tanh(W1 @ X))
        if close(V1, W1, 1e-9) and close(V2, W2, 1e-9):
            raise AnswerError("These are the weights that your function was given: no twin at all.")
        if _is_among(V1, W1).all():
            raise AnswerError(
                "This is a permutation: the hidden units are the same, in another order. "
                "Find a symmetry that changes a unit itself."
            )


def _compare_outputs(outputs: Tensor, truth: Tensor) -> None:
    if close(outputs, truth, 1e-6):
        return
    if close(outputs, -truth, 1e-6):
        raise AnswerError(
            "The outputs have changed their sign: what W1 lost, W2 has to bring back."
        )
    size = ((outputs - truth).norm() / truth.norm()).item()
    raise AnswerError(
        f"The outputs have changed, by {size:.2g} of their size. Which property has tanh that "
        "makes up for a change of W1 by a change of W2, exactly and for every x?"
    )


# 1.9 The first gradient of a softmax regression whose weights are all equal


def _classifications(generator: Generator) -> Iterator[tuple]:
    for n, d, q in ((6, 4, 3), (10, 3, 5)):
        y = torch.cat([torch.arange(q), torch.randint(q, (n - q,), generator=generator)])
        yield normal(generator, n, d), y, q, round(normal(generator).item(), 2)


def _first_gradient(X: Tensor, y: Tensor, n_classes: int, c: float) -> Tensor:
    W = torch.full((n_classes, X.shape[1]), c, dtype=X.dtype, requires_grad=True)
    return torch.autograd.grad(F.cross_entropy(X @ W.T, y), W)[0]


def _without_labels(X: Tensor, y: Tensor, n_classes: int, c: float) -> Tensor:
    return X.mean(0).expand(n_classes, -1) / n_classes


FIRST_GRADIENT = Exercise(
    asks="a function of X, y, n_classes and c that returns a matrix",
    cases=_classifications,
    truth=_first_gradient,
    parts=("the gradient",),
    mistakes=(
        Mistake(
            "the loss is a mean over the examples; this is the gradient of their sum.",
            lambda X, *rest: _first_gradient(X, *rest) * len(X),
        ),
        Mistake("its sign is wrong.", lambda *case: -_first_gradient(*case)),
        Mistake("it is transposed.", lambda *case: _first_gradient(*case).T),
        Mistake(
            "all rows are the same, as if no example had a label.",
            _without_labels,
        ),
        Mistake(
            "the labels are in it, but not the probabilities that the model gives to begin with.",
            lambda *case: _first_gradient(*case) - _without_labels(*case),
        ),
        Mistake(
            "it is zero. All logits are equal; does the loss not care about them any more?",
            lambda *case: 0 * _first_gradient(*case),
        ),
        Mistake(
            "it is proportional to c. What does c do to the softmax when all logits are equal?",
            lambda X, y, n_classes, c: c * _first_gradient(X, y, n_classes, c),
        ),
    ),
)


# 1.11 Repair this network

FIXED = ("depth", "width", "activation", "seed")
MOST_CHANGES = 2
OTHER_DRAWS = range(21, 26)  # seeds of other weights, on which a repair must hold as well


def broken_network(seed: int = 0) -> NetworkSpec:
    """Return the network to repair, one for each class seed: it explodes, or its signal vanishes.

    What `diagnose` advises for it changes more fields than the exercise allows.

    >>> broken_network(1).width
    64
    """
    generator = Generator().manual_seed(seed)
    depth = int(torch.randint(30, 51, (), generator=generator))
    kind = int(torch.randint(3, (), generator=generator))
    share = round(torch.rand((), generator=generator).item(), 1)
    broken = (
        NetworkSpec(activation="tanh", init="normal", gain=2.5 + share, bias_std=0.5),
        NetworkSpec(activation="relu", init="pytorch", gain=1.1 + share / 2, bias_std=0.2),
        NetworkSpec(activation="sigmoid", init="xavier", gain=1.1 + share),
    )[kind]
    return dataclasses.replace(broken, depth=depth, width=64)


def check_repair(answer: object, seed: int) -> None:
    """`AnswerError` unless ``answer`` is the broken network, few fields changed, and stable."""
    broken = broken_network(seed)
    if answer is None or answer is ...:
        raise AnswerError("There is no answer here yet. It must be a NetworkSpec.")
    if not isinstance(answer, NetworkSpec):
        kind = answer if isinstance(answer, type) else type(answer)
        raise AnswerError(f"The answer must be a NetworkSpec; got {kind.__name__}.")
    before, after = dataclasses.asdict(broken), dataclasses.asdict(answer)
    changed = [name for name in before if before[name] != after[name]]
    if not changed:
        raise AnswerError("This is the broken network: nothing has been changed.")
    if forbidden := [name for name in changed if name in FIXED]:
        raise AnswerError(f"{' and '.join(forbidden)} must stay; that would be another network.")
    if len(changed) > MOST_CHANGES:
        names = ", ".join(changed)
        most = f"at most {MOST_CHANGES} may be"
        raise AnswerError(f"{len(changed)} fields are changed ({names}); {most}.")
    verdict = diagnose(measure(answer))
    if verdict.kind != "stable":
        raise AnswerError(f"It is still {verdict.kind}: {verdict.reason}")
    for draw in OTHER_DRAWS:
        other = diagnose(measure(dataclasses.replace(answer, seed=draw)))
        if other.kind != "stable":
            raise AnswerError(
                "It is stable for these random weights, but not for others of the same kind: "
                f"then it is {other.kind}: {other.reason} Look for the middle of the band."
            )
