"""Exercises 5.1, 5.2, 5.3: steps with an L2 and an L1 penalty, and the penalty of a matrix."""

from collections.abc import Callable, Iterator

import torch
from torch import Generator, Tensor

from d2lstab.exercises.exercise import Exercise, Mistake, fraction, integer, normal, number
from d2lstab.regularization.penalties import soft_threshold

# 5.1 Decay in a step


def _regressions(generator: Generator) -> Iterator[tuple]:
    for examples in (4, integer(generator, 5, 8)):
        X = normal(generator, examples, integer(generator, 2, 4)) + 0.5
        w, b = 2 * normal(generator, X.shape[1]), 1 + fraction(generator, 0.2, 2.0)
        y = normal(generator, examples)
        yield X, y, w, b, fraction(generator, 0.05, 0.3), fraction(generator, 0.3, 0.9)


def _slopes(X: Tensor, y: Tensor, w: Tensor, b: float) -> tuple[Tensor, Tensor]:
    """The gradients of half the mean square for w and for b."""
    residual = X @ w + b - y
    return X.T @ residual / len(y), residual.mean()


def _moved(change: Callable[..., Tensor]) -> Callable[..., Tensor]:
    """What w becomes, from its gradient, w, rate, l2 and the number of examples."""
    return lambda X, y, w, b, rate, l2: change(_slopes(X, y, w, b)[0], w, rate, l2, len(y))


def _moved_bias(change: Callable[..., Tensor]) -> Callable[..., Tensor]:
    return lambda X, y, w, b, rate, l2: change(_slopes(X, y, w, b)[1], b, rate, l2, len(y))


_right_weights = _moved(lambda g, w, rate, l2, n: w - rate * (g + l2 * w))
_right_bias = _moved_bias(lambda g, b, rate, l2, n: b - rate * g)

L2_STEP = Exercise(
    asks="a function of X, y, w, b, rate and l2 that returns w and b after the step",
    cases=_regressions,
    truth=lambda *case: (_right_weights(*case), _right_bias(*case)),
    parts=("the weights", "the bias"),
    mistakes=(
        Mistake("there is no penalty in them.", _moved(lambda g, w, rate, l2, n: w - rate * g)),
        Mistake(
            "the penalty pulls twice as hard as it should: what becomes of the ½ before it?",
            _moved(lambda g, w, rate, l2, n: w - rate * (g + 2 * l2 * w)),
        ),
        Mistake(
            "the penalty is divided by the number of examples; it stands outside the mean.",
            _moved(lambda g, w, rate, l2, n: w - rate * (g + l2 * w / n)),
        ),
        Mistake(
            "the penalty makes them longer.",
            _moved(lambda g, w, rate, l2, n: w - rate * (g - l2 * w)),
        ),
        Mistake(
            "the penalty is a part of the loss; the learning rate is missing before its slope.",
            _moved(lambda g, w, rate, l2, n: w - rate * g - l2 * w),
        ),
        Mistake(
            "they took their step and shrank after it; both slopes are taken at the same w.",
            _moved(lambda g, w, rate, l2, n: (1 - rate * l2) * (w - rate * g)),
        ),
        Mistake(
            "the examples' gradients are added up; the loss is a mean.",
            _moved(lambda g, w, rate, l2, n: w - rate * (n * g + l2 * w)),
        ),
        Mistake(
            "the slope of the squares is twice as steep as it should be: there is a ½ before them.",
            _moved(lambda g, w, rate, l2, n: w - rate * (2 * g + l2 * w)),
        ),
        Mistake("the step goes uphill.", _moved(lambda g, w, rate, l2, n: w + rate * (g + l2 * w))),
        Mistake(
            "b is missing in the prediction.",
            lambda X, y, w, b, rate, l2: _right_weights(X, y, w, 0.0, rate, l2),
        ),
        Mistake(
            "it decays, too. That targets are far from 0 is no sign of complexity.",
            _moved_bias(lambda g, b, rate, l2, n: b - rate * (g + l2 * b)),
            part=1,
        ),
        Mistake("it has not moved.", lambda X, y, w, b, rate, l2: number(b), part=1),
        Mistake(
            "its gradient was taken with the new weights; all move at once.",
            lambda *case: _right_bias(*case[:2], _right_weights(*case), *case[3:]),
            part=1,
        ),
        Mistake(
            "the examples' gradients are added up; the loss is a mean.",
            _moved_bias(lambda g, b, rate, l2, n: b - rate * n * g),
            part=1,
        ),
        Mistake("the step goes uphill.", _moved_bias(lambda g, b, rate, *_: b + rate * g), part=1),
    ),
)


# 5.2 Weights of exactly zero


def _weights_near_zero(generator: Generator) -> Iterator[tuple]:
    for weights in (6, integer(generator, 7, 9)):
        rate, l1 = fraction(generator, 0.2, 0.6), fraction(generator, 0.3, 0.8)
        w, gradient = 2 * normal(generator, weights), normal(generator, weights)
        # one that leaves 0, one that stays there, one that gets there, one that goes beyond,
        # and one that does none of it, on the other side
        w[:5] = torch.tensor([0.0, 0.0, 0.5 * rate * l1, 0.2, -1.7])
        gradient[:5] = torch.tensor([-3 * l1, 0.3 * l1, 0.1 * l1, 1.5 / rate, 0.4])
        sign = 1 - 2 * integer(generator, 0, 1)
        yield sign * w, sign * gradient, rate, l1


def _pulled(w: Tensor, gradient: Tensor, rate: float, l1: float) -> Tensor:
    return w - rate * (gradient + l1 * w.sign())


def _proximal(w: Tensor, gradient: Tensor, rate: float, l1: float) -> Tensor:
    return soft_threshold(w - rate * gradient, rate * l1)


def _after(change: Callable[[Tensor, float], Tensor]) -> Callable[..., Tensor]:
    """Something else than the soft threshold, from the moved weights and the threshold."""
    return lambda w, gradient, rate, l1: change(w - rate * gradient, rate * l1)


L1_STEPS = Exercise(
    asks="a function of w, gradient, rate and l1 that returns two tensors",
    cases=_weights_near_zero,
    truth=lambda *case: (_pulled(*case), _proximal(*case)),
    parts=("the subgradient step", "the proximal step"),
    mistakes=(
        Mistake(
            "each weight is pulled in proportion to its size: that is L2.",
            lambda w, gradient, rate, l1: w - rate * (gradient + l1 * w),
        ),
        Mistake(
            "this is the penalty itself, |w|; asked is its slope.",
            lambda w, gradient, rate, l1: w - rate * (gradient + l1 * w.abs()),
        ),
        Mistake(
            "the penalty pushes weights away from 0.",
            lambda w, gradient, rate, l1: w - rate * (gradient - l1 * w.sign()),
        ),
        Mistake(
            "the learning rate is missing before the penalty's slope.",
            lambda w, gradient, rate, l1: w - rate * gradient - l1 * w.sign(),
        ),
        Mistake(
            "there is no ½ in an L1 penalty.",
            lambda w, gradient, rate, l1: w - rate * (gradient + l1 * w.sign() / 2),
        ),
        Mistake(
            "a weight that is 0 is pulled, too. Of all slopes there, which would frameworks take?",
            lambda w, gradient, rate, l1: (
                w - rate * (gradient + l1 * torch.where(w >= 0, 1.0, -1.0).double())
            ),
        ),
        Mistake(
            "the sign is that of the weights after the gradient's step.",
            _after(lambda moved, threshold: moved - threshold * moved.sign()),
        ),
        Mistake("this is the proximal step.", _proximal),
        Mistake("this is the subgradient step once more.", _pulled, part=1),
        Mistake(
            "the threshold is the same for every learning rate; shorter steps must pull less.",
            lambda w, gradient, rate, l1: soft_threshold(w - rate * gradient, l1),
            part=1,
        ),
        Mistake(
            "small weights became 0, but large ones were not moved.",
            _after(lambda moved, threshold: torch.where(moved.abs() > threshold, moved, 0 * moved)),
            part=1,
        ),
        Mistake(
            "small weights went through 0 to the other side; they must stop there.",
            _after(lambda moved, threshold: moved - threshold * moved.sign()),
            part=1,
        ),
        Mistake(
            "the threshold came first and the gradient's step after it: nothing stays at 0.",
            lambda w, gradient, rate, l1: soft_threshold(w, rate * l1) - rate * gradient,
            part=1,
        ),
        Mistake(
            "the sign is that of the old weights: what of one that has changed sides?",
            lambda w, gradient, rate, l1: w.sign() * _proximal(w, gradient, rate, l1).abs(),
            part=1,
        ),
        Mistake(
            "this is what the threshold takes away, not what it leaves.",
            _after(lambda moved, threshold: moved.clamp(-threshold, threshold)),
            part=1,
        ),
    ),
)


# 5.3 The penalty of a matrix


def _matrices(generator: Generator) -> Iterator[tuple]:
    for units in (3, integer(generator, 4, 5)):  # the first is square: any mix-up has a shape
        yield 2 * normal(generator, units, 3), fraction(generator, 0.2, 0.9)


def _squares(W: Tensor, l2: float) -> Tensor:
    return l2 / 2 * W.square().sum()


MATRIX_PENALTY = Exercise(
    asks="a function of W and l2 that returns a number and a tensor",
    cases=_matrices,
    truth=lambda W, l2: (_squares(W, l2), l2 * W),
    parts=("the penalty", "its gradient"),
    mistakes=(
        Mistake("the norm is not squared.", lambda W, l2: l2 / 2 * W.norm()),
        Mistake("the ½ is missing.", lambda W, l2: 2 * _squares(W, l2)),
        Mistake(
            "this is the square of the largest singular value; the others count as well.",
            lambda W, l2: l2 / 2 * torch.linalg.matrix_norm(W, 2) ** 2,
        ),
        Mistake(
            "singular values are added here, and not their squares.",
            lambda W, l2: l2 / 2 * torch.linalg.svdvals(W).sum(),
        ),
        Mistake("absolute values are added: that is L1.", lambda W, l2: l2 / 2 * W.abs().sum()),
        Mistake("this is a mean over the entries.", lambda W, l2: _squares(W, l2) / W.numel()),
        Mistake(
            "of the two factors in the trace one must be transposed: a rotation would have a "
            "negative penalty.",
            lambda W, l2: l2 / 2 * (W @ W).trace() if len(W) == 3 else _squares(W, l2),
        ),
        Mistake("it is twice too long: what becomes of the ½?", lambda W, l2: 2 * l2 * W, part=1),
        Mistake(
            "this is that of the norm; its square has another one.",
            lambda W, l2: l2 / 2 * W / W.norm(),
            part=1,
        ),
        Mistake("l2 is missing.", lambda W, l2: W, part=1),
        Mistake("it is transposed.", lambda W, l2: l2 * W.T, part=1),
        Mistake("these are the signs: that is L1.", lambda W, l2: l2 * W.sign(), part=1),
    ),
)
