"""L2 and L1 penalties on the weights of a linear regression, solved exactly.

Everywhere the objective is

    1/(2n) · ‖Xw − y‖² + l1 · ‖w‖₁ + l2/2 · ‖w‖²

with n examples: that of the book, and of scikit-learn's `Lasso` and `ElasticNet` (its `Ridge` has
``alpha = n · l2``). There is no intercept: centre inputs and targets first.
"""

import torch
from torch import Tensor

from d2lstab import checks


def ridge(inputs: Tensor, targets: Tensor, l2: float) -> Tensor:
    """Return the weights, (features,), that minimize the objective with l1 = 0, in closed form.

    inputs : X, (n, features). targets : y, (n,), the same type. l2 : λ ≥ 0; with λ = 0 the
    shortest of all solutions. In the singular vectors of X, with singular values d, least squares
    is multiplied by `shrinkage` (Hastie, Tibshirani & Friedman 2009, section 3.4.1).

    >>> x = torch.tensor([[1.0], [1.0]], dtype=torch.float64)
    >>> round(ridge(x, torch.tensor([2.0, 4.0], dtype=torch.float64), 0.5).item(), 12)
    2.0
    """
    n = _check(inputs, targets)
    checks.real("l2", l2, 0)
    u, d, vt = torch.linalg.svd(inputs, full_matrices=False)
    # as `torch.linalg.matrix_rank` says what is zero
    zero = d <= d.amax() * max(inputs.shape) * torch.finfo(d.dtype).eps
    factor = torch.where(zero, torch.zeros_like(d), shrinkage(d, l2, n) / d)
    return vt.mT @ (factor * (u.mT @ targets))


def shrinkage(singular_values: Tensor, l2: float, n: int) -> Tensor:
    """Return d² / (d² + n · l2), what ridge multiplies each direction of least squares by.

    singular_values : d ≥ 0, any shape, of the n examples' inputs. l2 : ≥ 0. Where d is 0, so is
    the factor.

    >>> shrinkage(torch.tensor([3.0, 1.0]), 0.25, n=4)
    tensor([0.9000, 0.5000])
    """
    root = (n * checks.real("l2", l2, 0)) ** 0.5
    ratio = root / singular_values  # not of the squares, which underflow first
    return torch.nan_to_num(1 / (1 + ratio.square()))


def soft_threshold(weights: Tensor, threshold: float) -> Tensor:
    """Return sign(w) · max(|w| − threshold, 0): the proximal step of an L1 penalty.

    It minimizes ½ ‖v − w‖² + threshold · ‖v‖₁ over v (Beck & Teboulle 2009). Weights within the
    threshold become exactly 0.

    >>> soft_threshold(torch.tensor([3.0, -0.5, -2.0]), 1.0)
    tensor([ 2.,  0., -1.])
    """
    checks.real("threshold", threshold, 0)
    return weights - weights.clamp(-threshold, threshold)


def lasso(inputs: Tensor, targets: Tensor, l1: float, l2: float = 0.0, steps: int = 1000) -> Tensor:
    """Return the weights, (features,), that minimize the objective, by proximal gradient steps.

    Accelerated as by Beck & Teboulle 2009 (FISTA), restarted wherever the momentum points uphill
    (O'Donoghue & Candès 2015). Stops early where a step changes nothing. Arguments as of `ridge`.

    >>> x = torch.eye(2, dtype=torch.float64)
    >>> lasso(x, torch.tensor([3.0, 0.4], dtype=torch.float64), l1=0.5)
    tensor([2., 0.], dtype=torch.float64)
    """
    n = _check(inputs, targets)
    checks.real("l1", l1, 0), checks.real("l2", l2, 0), checks.integer("steps", steps, 1)
    gram, moment = inputs.mT @ inputs / n, inputs.mT @ targets / n
    curvature = float(torch.linalg.matrix_norm(gram, 2)) + l2
    weights = ahead = torch.zeros_like(moment)
    if curvature == 0:
        return weights
    momentum = 1.0
    for _ in range(steps):
        before = weights
        slope = gram @ ahead - moment + l2 * ahead
        weights = soft_threshold(ahead - slope / curvature, l1 / curvature)
        change = weights - before
        if not change.any() and torch.equal(ahead, before):
            break
        if (ahead - weights) @ change > 0:
            momentum = 1.0
        following = (1 + (1 + 4 * momentum**2) ** 0.5) / 2
        ahead = weights + (momentum - 1) / following * change
        momentum = following
    return weights


def _check(inputs: Tensor, targets: Tensor) -> int:
    """The number of examples; an error where shape or type do not fit or a value is no number."""
    if inputs.ndim != 2 or targets.shape != inputs.shape[:1] or 0 in inputs.shape:
        raise ValueError(
            "inputs must have the shape (examples, features) and targets (examples,); got "
            f"{tuple(inputs.shape)} and {tuple(targets.shape)}."
        )
    if not inputs.is_floating_point() or targets.dtype != inputs.dtype:
        raise TypeError(
            "inputs and targets must have the same floating-point type; got "
            f"{inputs.dtype} and {targets.dtype}."
        )
    if not (inputs.isfinite().all() and targets.isfinite().all()):
        raise ValueError("inputs and targets must be finite; some are infinite or no numbers.")
    return len(inputs)
