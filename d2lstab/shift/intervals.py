"""How sure is an estimated prior: 95 % intervals, one a class, that hold near 0 and 1 too.

"Estimate ± 2 standard errors" covers a rare class too seldom. Both intervals here keep every share
t of a class that the data do not contradict, with the spread that they would have *if t were true*.
For a classifier without errors and a large source, the first is Wilson's interval of a proportion
(1927); the second is that of the likelihood ratio (Wilks 1938).
"""

import numpy as np

Z = 1.959963984540054
"""Quantile of the normal distribution: 95 % lie within ± Z."""

HALVINGS = 14
"""An end of a likelihood interval is found to within 2^-14 of its way to 0 or 1."""

ABSENT = 1e-5
"""A class whose most likely share is smaller than this counts as absent."""


def black_box_variance(
    conditional: np.ndarray, counts: np.ndarray, target_size: int, priors: np.ndarray
) -> np.ndarray:
    """Variance of each value of conditional⁻¹ μ, (classes,), where ``priors[j]`` is true for j.

    conditional : (classes, classes), P(prediction i | label j), from ``counts[j]`` examples.
    μ : shares of the predictions among ``target_size`` examples. priors : (classes, classes).

    To first order the solution moves by conditional⁻¹ (dμ − d(conditional) · prior), and μ and the
    columns of conditional are shares of independent draws. For their noise, each column gets one
    example more, spread over all predictions: an error that few examples did not show may exist.

    >>> many = np.array([10**6, 10**6])
    >>> black_box_variance(np.eye(2), many, 100, np.array([[0.1, 0.9], [0.5, 0.5]])).round(6)
    array([0.0009, 0.0025])
    """
    inverse = np.linalg.inv(conditional)
    own = np.diag(priors)
    from_target = (((inverse**2 @ conditional) * priors).sum(1) - own**2) / target_size
    seen = (conditional * counts + 1 / len(own)) / (counts + 1)
    noise = (inverse**2 @ seen - (inverse @ seen) ** 2) / (counts + 1)  # [j, k]: of column k
    return from_target + (noise * priors**2).sum(1)


def score_interval(
    conditional: np.ndarray,
    counts: np.ndarray,
    target_size: int,
    raw: np.ndarray,
    prior: np.ndarray,
) -> tuple[np.ndarray, np.ndarray]:
    """Return low and high, (classes,), for raw = conditional⁻¹ μ, which may leave [0, 1].

    prior : (classes,), raw made a distribution; its other classes keep their proportions while
    the share t of class j moves. The variance is then a quadratic in t, and the t in [0, 1] with
    (raw_j − t)² ≤ Z² variance_j(t) lie between the roots of another one.
    """
    classes = len(prior)
    others = np.where(np.eye(classes, dtype=bool), 0, prior + 1e-12)  # of 0, 0: anyone's guess
    others /= others.sum(1, keepdims=True)
    at_0, at_half, at_1 = (
        black_box_variance(conditional, counts, target_size, t * np.eye(classes) + (1 - t) * others)
        for t in (0, 0.5, 1)
    )
    square = 2 * (at_0 + at_1) - 4 * at_half
    slope = at_1 - at_0 - square
    return _between_roots(1 - Z**2 * square, raw + Z**2 * slope / 2, raw**2 - Z**2 * at_0)


def _between_roots(a: np.ndarray, b: np.ndarray, c: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The t in [0, 1] with a t² − 2 b t + c ≤ 0; all of [0, 1] where the parabola has no bottom."""
    bounded = a > 0
    a = np.where(bounded, a, 1)
    root = np.sqrt(np.maximum(b**2 - a * c, 0))
    low, high = np.clip((b - root) / a, 0, 1), np.clip((b + root) / a, 0, 1)
    return np.where(bounded, low, 0), np.where(bounded, high, 1)


def likelihood_interval(densities: np.ndarray, prior: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return low and high, (classes,), around the maximum likelihood ``prior`` of a mixture.

    densities : (examples, classes), ∝ P(x | label). prior : (classes,), the maximum.

    Class j keeps the shares t at which the log likelihood is at most Z²/2 under its maximum, while
    the other classes follow t along the line that costs least by the observed information. The
    log likelihood is concave, so that halving finds the two ends. The line is cheap and nearly the
    best path; where few kinds of examples must tell many classes apart, it ends a little early.

    >>> low, high = likelihood_interval(np.eye(2).repeat(50, 0), np.array([0.5, 0.5]))
    >>> low.round(3), high.round(3)
    (array([0.403, 0.403]), array([0.597, 0.597]))
    """
    mixture = densities @ prior
    slopes = _least_favourable(densities / mixture[:, None], prior)
    limit = np.log(mixture).sum() - Z**2 / 2
    ends = []
    for far in (0.0, 1.0):
        inside, outside = prior.copy(), np.full_like(prior, far)
        for _ in range(HALVINGS):
            middle = (inside + outside) / 2
            with np.errstate(divide="ignore"):  # log 0: an example that this share rules out
                logs = np.log(densities @ _along(prior, slopes, middle).T).sum(0)
            inside = np.where(logs >= limit, middle, inside)
            outside = np.where(logs >= limit, outside, middle)
        ends.append(outside)
    return ends[0], ends[1]


def _least_favourable(scores: np.ndarray, prior: np.ndarray) -> np.ndarray:
    """Row j: how fast each share follows when that of class j grows by 1, (classes, classes).

    Of all changes that sum to 0 it is the one with the least change · information · change, where
    absent classes stay absent: else the line would lead out of the simplex at its first step.
    """
    classes = np.arange(len(prior))
    information = scores.T @ scores
    stays = (prior < ABSENT) & (classes[:, None] != classes)  # [j, k]: k stays while j moves
    bordered = np.ones((len(prior), len(prior) + 1, len(prior) + 1))
    bordered[:, :-1, :-1] = information
    # 1e9: no way. 1e-9: an exchange between classes that look alike costs nothing, but not 0.
    bordered[:, classes, classes] += np.trace(information) * np.where(stays, 1e9, 1e-9)
    bordered[:, -1, -1] = 0
    covariance = np.linalg.inv(bordered)[classes, classes, :-1]  # row j of the j-th matrix
    return covariance / np.diag(covariance)[:, None]


def _along(prior: np.ndarray, slopes: np.ndarray, shares: np.ndarray) -> np.ndarray:
    """Row j: a prior in which class j has ``shares[j]``, (classes, classes)."""
    moved = np.maximum(prior + slopes * (shares - prior)[:, None], 0)
    np.fill_diagonal(moved, 0)
    rest = moved.sum(1, keepdims=True)
    moved *= (1 - shares)[:, None] / np.where(rest > 0, rest, 1)
    np.fill_diagonal(moved, shares)
    return moved
