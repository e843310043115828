"""Label shift: how frequent is each class now, when nobody has labelled the new data?"""

from dataclasses import dataclass

import numpy as np

from d2lstab import checks
from d2lstab.shift.arrays import labels, probabilities, rows_of_probabilities, vector
from d2lstab.shift.intervals import black_box_variance, likelihood_interval, score_interval

SINGULAR = 1e-6
"""A confusion matrix with a smaller singular value than this is not inverted."""

FEW = 10
"""With fewer source examples of a class than this an estimate carries a warning."""

SURPRISING = 4
"""A share so many standard errors under 0 is no accident: the source does not explain it."""

GAP, ITERATIONS = 1e-7, 5_000
"""EM stops this close, in log likelihood per example, to the maximum; or after so many steps."""


@dataclass(frozen=True, eq=False)
class PriorEstimate:
    """How frequent each class is in the target, by estimate.

    prior : float64, (classes,), no value negative, sum 1.
    ratio : (classes,), prior / source prior: the weight of each label, and what `adjust` takes.
    low, high : (classes,), a 95 % interval for each class by itself; prior lies inside.
    method : "black box" or "EM".
    warning : a reason not to trust this, in one sentence; "" where none was found.
    """

    prior: np.ndarray
    ratio: np.ndarray
    low: np.ndarray
    high: np.ndarray
    method: str
    warning: str = ""


def black_box_prior(
    source_labels, source_predictions, target_predictions, classes: int
) -> PriorEstimate:
    """Estimate the target's prior from the labels that any classifier predicts there.

    source_labels, source_predictions : int, (n,), of source examples that the classifier was *not*
        trained on. target_predictions : int, (m,). All from 0 to classes − 1.

    With C[i, j] = P(prediction i, label j) on the source and μ the shares of the predictions on
    the target, C · ratio = μ. The solution sums to 1 but may have negative values; the estimate is
    the nearest distribution to it (`project_on_simplex`). The interval counts the sampling error of
    both C and μ (`intervals.score_interval`) and nothing else: it *supposes* label shift.

    Raises ValueError for a class absent in the source and for a singular confusion matrix. Warns,
    in ``.warning``, where the matrix may well be singular but for noise, where a class has few
    examples, and where the solution is more negative than any label shift explains.
    Lipton, Wang & Smola (2018).

    >>> estimate = black_box_prior([0] * 10 + [1] * 10, [0] * 9 + [1] * 11, [0] * 27 + [1] * 73, 2)
    >>> estimate.prior, estimate.ratio
    (array([0.3, 0.7]), array([0.6, 1.4]))
    """
    checks.integer("classes", classes, 2)
    source = labels("source_labels", source_labels, classes=classes)
    predictions = labels("source_predictions", source_predictions, classes=classes)
    target = labels("target_predictions", target_predictions, classes=classes)
    if len(source) != len(predictions):
        raise ValueError(
            "source_predictions must be as many as source_labels; got "
            f"{len(predictions)} for {len(source)}."
        )
    counts = np.bincount(source, minlength=classes)
    _require_every_class("source_labels", counts)
    table = np.bincount(predictions * classes + source, minlength=classes**2)
    conditional = table.reshape(classes, classes) / counts  # P(prediction | label)
    singular = _judge_singular_value(conditional, counts)
    mean = np.bincount(target, minlength=classes) / len(target)
    raw = np.linalg.solve(conditional, mean)  # = source prior × (C⁻¹ mean)
    prior = project_on_simplex(raw)
    low, high = score_interval(conditional, counts, len(target), raw, prior)
    variance = black_box_variance(conditional, counts, len(target), np.tile(prior, (classes, 1)))
    return PriorEstimate(
        prior=prior,
        ratio=prior * len(source) / counts,
        low=np.minimum(low, prior),  # projecting may leave the interval
        high=np.maximum(high, prior),
        method="black box",
        warning=singular or _judge_negative(raw, variance) or _judge_counts(counts),
    )


def em_prior(source_prior, target_probabilities) -> PriorEstimate:
    """Estimate the target's prior by maximum likelihood from a classifier's probabilities there.

    source_prior : (classes,), > 0, of the data that the classifier was trained on.
    target_probabilities : (m, classes), P(label | x) for each target example by the classifier.

    EM turns the prior into the mean of the probabilities that it corrects, and again, until the
    (concave) log likelihood of the target is within 1e-7 an example of its maximum. The interval
    (`intervals.likelihood_interval`) counts the sampling error of the target and nothing else: it
    supposes label shift and *calibrated* probabilities.

    Raises ValueError for a class absent in the source and for rows that do not sum to 1. Warns, in
    ``.warning``, where EM did not arrive: the probabilities hardly tell some classes apart.
    Saerens, Latinne & Decaestecker (2002).

    >>> sure = np.repeat(np.eye(2), [30, 70], axis=0)
    >>> em_prior([0.5, 0.5], sure).prior
    array([0.3, 0.7])
    """
    old = probabilities("source_prior", source_prior, dimensions=1)
    checks.integer("the number of classes", len(old), 2)
    _require_every_class("source_prior", old)
    densities = rows_of_probabilities("target_probabilities", target_probabilities, len(old)) / old
    prior = old
    for _ in range(ITERATIONS):
        gain = densities.T @ (1 / (densities @ prior)) / len(densities)
        if gain.max() <= 1 + GAP:  # concave: no prior has a log likelihood over log(gain.max())
            break
        prior = prior * gain
    prior = prior / prior.sum()  # rounding
    low, high = likelihood_interval(densities, prior)
    return PriorEstimate(
        prior=prior,
        ratio=prior / old,
        low=low,
        high=high,
        method="EM",
        warning=_judge_gap(gain.max() - 1),
    )


def adjust(probabilities, ratio) -> np.ndarray:
    """Correct P(label | x) for a new prior: multiply by prior / source prior, make the sum 1.

    probabilities : (n, classes), rows sum to 1. ratio : (classes,), ≥ 0.

    Exact where only the prior moved and the probabilities were right before.
    Raises ValueError where a row has nothing left: its classes all have ratio 0.
    Saerens, Latinne & Decaestecker (2002).

    >>> adjust([[0.8, 0.2]], [0.25, 4])
    array([[0.2, 0.8]])
    """
    weights = vector("ratio", ratio)
    if weights.min() < 0:
        raise ValueError(f"ratio must be ≥ 0; got {weights.min():g}.")
    weighted = rows_of_probabilities("probabilities", probabilities, len(weights)) * weights
    total = weighted.sum(1, keepdims=True)
    if not total.all():
        raise ValueError(
            f"ratio must leave each example a class; row {np.argmin(total)} of probabilities has "
            "only classes with ratio 0."
        )
    return weighted / total


def project_on_simplex(values: np.ndarray) -> np.ndarray:
    """The distribution nearest to ``values`` (Euclidean): one constant less, and no value under 0.

    >>> project_on_simplex(np.array([0.7, 0.5, -0.2]))
    array([0.6, 0.4, 0. ])
    """
    falling = np.sort(values)[::-1]
    constants = (np.cumsum(falling) - 1) / np.arange(1, len(falling) + 1)
    kept = np.flatnonzero(falling > constants)[-1]
    return np.maximum(values - constants[kept], 0)


def _require_every_class(name: str, amounts: np.ndarray) -> None:
    absent = np.flatnonzero(amounts == 0)
    if len(absent):
        raise ValueError(
            f"{name} must have examples of every class; class {absent[0]} is absent. Of what the "
            "source never shows, nothing can be estimated: collect some, or leave the class out."
        )


def _judge_singular_value(conditional: np.ndarray, counts: np.ndarray) -> str:
    left, values, right = np.linalg.svd(conditional)
    mend = "Take a better classifier, or merge the classes that it confuses."
    if values[-1] < SINGULAR:
        raise ValueError(
            f"the confusion matrix must be invertible; its smallest singular value is "
            f"{abs(values[-1]):.1g} (1 for a classifier without errors). {mend}"
        )
    u, v = left[:, -1], right[-1]
    noise = np.sqrt((v**2 * (u**2 @ conditional - (u @ conditional) ** 2) / counts).sum())
    if values[-1] > 3 * noise:
        return ""
    return (
        f"The confusion matrix may be singular: its smallest singular value is {values[-1]:.2g} "
        f"with a standard error of {noise:.2g}. {mend}"
    )


def _judge_negative(raw: np.ndarray, variance: np.ndarray) -> str:
    errors = raw / np.sqrt(np.maximum(variance, 1e-300))
    least = np.argmin(errors)
    if errors[least] >= -SURPRISING:
        return ""
    return (
        f"Class {least} would have the share {raw[least]:.2f}, {-errors[least]:.0f} standard "
        "errors under 0: more than the labels have shifted."
    )


def _judge_counts(counts: np.ndarray) -> str:
    least = np.argmin(counts)
    if counts[least] >= FEW:
        return ""
    return (
        f"Class {least} has only {counts[least]} source examples (fewer than {FEW}): the interval "
        "may be too narrow."
    )


def _judge_gap(gap: float) -> str:
    if gap <= GAP:
        return ""
    return (
        f"EM has not arrived after {ITERATIONS} steps: the probabilities hardly tell some classes "
        "apart."
    )
