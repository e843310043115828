"""Ask of two samples without labels whether one distribution can have made both."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy import stats
from scipy.spatial.distance import pdist, squareform
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from d2lstab import checks
from d2lstab.shift.arrays import rows_of_probabilities, two_samples

BANDWIDTH_POINTS = 300
"""The median distance is taken among at most so many points: of 1000 points it costs 6 ms."""

LARGEST = 8000
"""Examples that `mmd_test` takes in all: its kernel has a value for each pair of them."""


@dataclass(frozen=True, eq=False)
class Detection:
    """What a two-sample test says of a source and a target sample.

    method : the name of the test. statistic : what it measures; each test says which.
    p_value : how often, at most, a statistic at least so large comes without a shift.
    null : float64, (permutations,), the statistics of samples that were mixed; None where the
        test knows its distribution without mixing.
    """

    method: str
    statistic: float
    p_value: float
    null: np.ndarray | None = None


def ks_test(source, target) -> Detection:
    """Compare each feature alone by Kolmogorov and Smirnov, and take the worst by Bonferroni.

    source : (n, features). target : (m, features). Both n, m ≥ 4.

    The statistic is the largest distance, 0 to 1, between the two empirical distribution functions
    of a feature. Its p-value is multiplied by the number of features that vary at all. Ties make it
    conservative: with them, a large distance is rarer than the p-value says.

    Raises ValueError for another shape, too few examples or a value that is not finite.
    Rabanser et al., 2019 (1810.11953).

    >>> ks_test([[0], [1], [2], [3]], [[4], [5], [6], [7]])
    Detection(method='KS + Bonferroni', statistic=1.0, p_value=0.0285..., null=None)
    """
    source, target = two_samples(source, target, rows=4)
    worst = _largest_gaps(source, target).argmax()
    found = stats.ks_2samp(source[:, worst], target[:, worst])
    varying = np.ptp(np.concatenate([source, target]), axis=0) > 0
    p_value = min(1.0, max(varying.sum(), 1) * found.pvalue)
    return Detection("KS + Bonferroni", float(found.statistic), float(p_value))


def _largest_gaps(source: np.ndarray, target: np.ndarray) -> np.ndarray:
    """Return max |F_source − F_target| of each feature, (features,): all in one sort."""
    pooled = np.concatenate([source, target])
    order = pooled.argsort(axis=0)
    ordered = np.take_along_axis(pooled, order, axis=0)
    gaps = np.where(order < len(source), 1 / len(source), -1 / len(target)).cumsum(axis=0)
    within_tie = ordered[:-1] == ordered[1:]  # there the functions have not finished their step
    return abs(np.where(within_tie, 0, gaps[:-1])).max(axis=0)


def mmd_test(source, target, permutations: int = 199, seed: int = 0) -> Detection:
    """Compare mean similarities within and across the samples; mix the samples for the p-value.

    source : (n, features). target : (m, features). Both n, m ≥ 4, and n + m ≤ 8000.
    permutations : how often to mix, ≥ 19; the smallest p-value is 1 / (permutations + 1).

    The statistic is the unbiased estimate of the squared maximum mean discrepancy, mean k(x, x') +
    mean k(y, y') − 2 mean k(x, y), with k(x, y) = exp(−‖x − y‖² / (2 σ²)), σ the median distance of
    two pooled points. It may be negative. Features count by their scale.

    Raises ValueError for another shape, too few or too many examples, a value that is not finite.
    Gretton et al., 2012 (JMLR 13); for the p-value Phipson & Smyth, 2010 (1603.05766).

    >>> mmd_test([[0], [1], [2], [3]], [[10], [11], [12], [13]]).p_value <= 0.05
    True
    """
    source, target = two_samples(source, target, rows=4)
    checks.integer("permutations", permutations, 19)
    n, m = len(source), len(target)
    if n + m > LARGEST:
        raise ValueError(
            f"source and target must have at most {LARGEST} examples in all; got {n + m}: take "
            "some of them at random."
        )
    rng = np.random.default_rng(seed)
    kernel = _kernel(np.concatenate([source, target]), rng)
    in_source = np.tile(np.arange(n + m) < n, (permutations + 1, 1))  # row 0: as it was drawn
    rng.permuted(in_source[1:], axis=1, out=in_source[1:])
    splits = in_source.T.astype(np.float32)
    to_source = kernel @ splits
    # Of each split: the sums of k over pairs in the source, across, and in the target.
    within = np.einsum("ij,ij->j", splits, to_source, dtype=np.float64)
    across = to_source.sum(0, dtype=np.float64) - within
    rest = kernel.sum(dtype=np.float64) - within - 2 * across
    found = within / (n * (n - 1)) + rest / (m * (m - 1)) - 2 * across / (n * m)
    statistic, null = found[0], found[1:]
    as_large = np.sum(null > statistic - 1e-6)  # equal ones count, and float32 rounds
    return Detection("MMD", float(statistic), float((as_large + 1) / (permutations + 1)), null)


def _kernel(pooled: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Return k(x, x') of all pairs, float32, (points, points), the diagonal 0.

    The points that set the width are drawn without a look at which sample they are from: so the
    kernel is the same for every split, and the permutation test stays exact.
    """
    some = rng.permutation(len(pooled))[:BANDWIDTH_POINTS]
    distances = pdist(pooled[some], "sqeuclidean")
    apart = distances[distances > 0]
    squared_width = np.median(apart) if len(apart) else 1.0
    return squareform(np.exp((pdist(pooled, "sqeuclidean") / (-2 * squared_width)).astype("f4")))


def classifier_test(source, target, seed: int = 0) -> Detection:
    """Train a classifier to tell source from target, and see whether it can on held-out examples.

    source : (n, features). target : (m, features). Both n, m ≥ 8.

    As many examples of both are held out, half of the smaller sample; the others train a logistic
    regression, in which both samples weigh the same. The statistic is its accuracy on those held
    out. Without a shift it is a fair coin's, or a little steadier: the p-value is binomial.

    Raises ValueError for another shape, too few examples or a value that is not finite.
    Lopez-Paz & Oquab, 2017 (1610.06545).

    >>> classifier_test([[i] for i in range(20)], [[i + 20] for i in range(20)]).p_value <= 0.001
    True
    """
    source, target = two_samples(source, target, rows=8)
    rng = np.random.default_rng(seed)
    source, target = rng.permutation(source), rng.permutation(target)
    held = min(len(source), len(target)) // 2
    train, test = (source[held:], target[held:]), (source[:held], target[:held])
    # C: with 200 digits and a small shift, much shrinkage finds it twice as often as C = 1 does.
    balanced = LogisticRegression(C=0.01, class_weight="balanced", max_iter=1000)
    model = make_pipeline(StandardScaler(), balanced)
    model.fit(np.concatenate(train), np.repeat([0, 1], [len(train[0]), len(train[1])]))
    right = int((model.predict(np.concatenate(test)) == np.repeat([0, 1], held)).sum())
    p_value = stats.binom.sf(right - 1, 2 * held, 0.5)
    return Detection("classifier", right / (2 * held), float(p_value))


def prediction_test(source, target) -> Detection:
    """Look at a model's predictions only, the black box: `ks_test` on the class probabilities.

    source : (n, classes), the probabilities that the model gives to the source's examples, each row
        with the sum 1. target : (m, classes), to the target's. Both n, m ≥ 4.

    Raises ValueError as `ks_test` does, and where a row holds no probabilities.
    Lipton et al., 2018 (1802.03916); Rabanser et al., 2019 (1810.11953): "BBSDs".

    >>> sure, unsure = [[0.9, 0.1], [0.8, 0.2]] * 4, [[0.6, 0.4], [0.3, 0.7]] * 4
    >>> prediction_test(sure, unsure).p_value <= 0.001
    True
    """
    source = rows_of_probabilities("source", source, rows=4)
    target = rows_of_probabilities("target", target, source.shape[1], rows=4)
    first = 1 if source.shape[1] == 2 else 0  # of two classes one says all
    found = ks_test(source[:, first:], target[:, first:])
    return Detection("black box", found.statistic, found.p_value)


DETECTORS: dict[str, Callable] = {
    "KS + Bonferroni": lambda source, target, seed: ks_test(source, target),
    "MMD": lambda source, target, seed: mmd_test(source, target, seed=seed),
    "classifier": classifier_test,
}
"""The tests that look at the inputs: (source, target, seed) → `Detection`."""
