"""The exact minimum that a penalized linear regression with dropout is trained towards."""

import numpy as np
import torch

from d2lstab import checks
from d2lstab.regularization.penalties import ridge


def exact_weights(
    features: np.ndarray,
    targets: np.ndarray,
    l1: float = 0.0,
    l2: float = 0.0,
    dropout: float = 0.0,
) -> np.ndarray | None:
    """Return the weights, (features,), that minimize the mean over all masks of

        1/(2n) ‖b + (X ∘ mask) w − y‖² + l1 ‖w‖₁ + l2/2 ‖w‖²,

    with the bias b free; None where rounding hides which weights are 0. Dropout with probability
    p, 0 ≤ p < 1, adds p / (1 − p) · mean(xⱼ²) to the l2 of weight j (Srivastava et al. 2014, on
    linear regression). Without L1 it is `penalties.ridge`, of X with a row for each such penalty.

    features : X, (n, features). targets : y, (n,). l1, l2 : ≥ 0.

    >>> x, y = np.array([[1.0], [-1.0]]), np.array([4.0, 0.0])
    >>> exact_weights(x, y), exact_weights(x, y, l1=0.5), exact_weights(x, y, dropout=0.5)
    (array([2.]), array([1.5]), array([1.]))
    """
    checks.real("l1", l1, 0), checks.real("l2", l2, 0), checks.real("dropout", dropout, 0, 1)
    n = len(targets)
    own = dropout / (1 - dropout) * (features**2).mean(0)
    centred, y = features - features.mean(0), targets - targets.mean()
    if l1:
        gram = centred.T @ centred / n + np.diag(l2 + own)
        return _lasso_by_signs(gram, centred.T @ y / n, l1)
    if dropout:
        centred = np.r_[centred, np.diag(np.sqrt(n * own))]
        y = np.r_[y, np.zeros(len(own))]
    return ridge(torch.from_numpy(centred), torch.from_numpy(y), l2 * n / len(y)).numpy()


def _lasso_by_signs(gram: np.ndarray, moment: np.ndarray, l1: float) -> np.ndarray | None:
    """Minimize ½ wᵀGw − mᵀw + l1 ‖w‖₁ by the signs of w (Lee et al. 2006, feature-sign search).

    For the few weights of a lab's curve; `penalties.lasso`, for any number, takes as long for them
    as a whole tick of the lab.

    Given its signs, w solves linear equations. A weight that would change its sign on the way
    there stops at 0; one whose slope exceeds l1 joins. Each step lowers the objective.
    """
    # with more weights than examples the equations would have no unique solution
    gram = gram + 1e-9 * gram.diagonal().max() * np.eye(len(gram))
    w, signs = np.zeros_like(moment), np.zeros_like(moment)
    for _ in range(3 * len(w)):
        slope = moment - gram @ w
        excess = np.where(signs == 0, abs(slope) - l1, 0)
        worst = excess.argmax()
        if excess[worst] <= 1e-7 * l1:
            return w
        signs[worst] = np.sign(slope[worst])
        while (on := signs.nonzero()[0]).size:
            try:
                goal = np.linalg.solve(gram[np.ix_(on, on)], moment[on] - l1 * signs[on])
            except np.linalg.LinAlgError:
                return None
            back = goal * signs[on] <= 0
            if not back.any():
                w[on] = goal
                break
            share = np.where(back, w[on] / np.where(back, w[on] - goal, 1), np.inf)
            w[on] += share.min() * (goal - w[on])
            w[on[share.argmin()]] = signs[on[share.argmin()]] = 0
    return None
