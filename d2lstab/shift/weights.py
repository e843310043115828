"""Weight the source's examples so that they stand for the target, and say what that costs."""

from dataclasses import dataclass

import numpy as np
from scipy.special import logsumexp
from sklearn.linear_model import LogisticRegression

from d2lstab import checks
from d2lstab.shift.arrays import two_samples, vector

FEWEST = 10
"""Examples that each of the two samples must have at least."""

COVERED = 0.5
"""Overlap below which `Weights.warning` speaks: the source stands for less than half the target."""

EFFECTIVE = 30
"""Effective size below which the warning speaks: an accuracy measured on 30 examples has a standard
error of up to 1 / (2√30) = 0.09. Fewer than 60 examples must lose half of their size."""


@dataclass(frozen=True, eq=False)
class Weights:
    """Weights of the source's examples, and what they are worth.

    values : float64, (examples,), ≥ 0, mean 1.
    effective_size : 1 to the number of examples, see `effective_sample_size`. It is computed from
        the source alone, so it cannot know of target inputs that the source never shows.
    overlap : the share of the target that the source accounts for, estimated; 1 where the source
        has all that the target has, however rarely; 0 where it has nothing of it. It is the mean
        of the *unnormalized* weights q(x)/p(x), cut off at 1: over the source they have the mean
        Σ p·(q/p) over the inputs with p > 0, which is Q(p > 0) = 1 − `compare(...).uncovered`.
    """

    values: np.ndarray
    effective_size: float
    overlap: float

    @property
    def warning(self) -> str:
        """One sentence where the weights must not be trusted, with its measure; else ""."""
        count = len(self.values)
        if self.overlap < COVERED:
            return (
                f"Too little overlap: the source accounts for {self.overlap:.0%} of the target, "
                "and no weight stands in for inputs never seen; collect or make source examples "
                "like the target's, or use fewer features."
            )
        if self.effective_size < min(EFFECTIVE, count / 2):
            return (
                f"Weights explode: {count} examples count as {self.effective_size:.1f}; collect "
                "more source examples like the target's, use fewer features, or a larger penalty."
            )
        return ""


def effective_sample_size(weights) -> float:
    """How many equally weighted examples would have the variance that these have: (Σw)² / Σw².

    weights : (examples,), ≥ 0, not all 0; their scale does not matter.
    Raises ValueError otherwise. Kish (1965), Survey Sampling.

    >>> effective_sample_size([1, 1, 1, 1]), effective_sample_size([1, 0, 0, 0])
    (4.0, 1.0)
    """
    values = vector("weights", weights)
    if not values.size or values.min() < 0 or values.max() == 0:
        raise ValueError(
            f"weights must be ≥ 0 and not all 0; got {values.size} values with the minimum "
            f"{values.min(initial=0):g} and the maximum {values.max(initial=0):g}."
        )
    values = values / values.max()  # so that no square can overflow
    return float(values.sum() ** 2 / (values**2).sum())


def classifier_weights(source, target, penalty: float = 1.0) -> Weights:
    """Estimate the density ratio q(x) / p(x) at each source example by telling the samples apart.

    A logistic regression learns P(target | x). Its odds are q(x)/p(x) · (target size / source
    size), so log q/p is taken to be linear in the features: add features (squares, say) where
    that is too coarse.

    source : (examples, features). target : (other examples, the same features). At least 10 each.
    penalty : > 0, on the slopes of standardized features: Σ log loss + penalty · |slope|² / 2.
        Without it, samples that a plane separates would have infinite slopes; with it, their
        overlap comes out as 0.01 or less and not as 0. The more features there are for the
        examples, the easier any two samples are to separate, and the more the overlap is too small.

    Raises ValueError for too few examples, other features, or values that are not finite. Bad
    weights are no error: read `Weights.warning`.
    Qin (1998); Bickel, Brückner and Scheffer (2009).

    >>> from scipy.stats import norm
    >>> grid = norm.ppf(np.arange(0.5, 400) / 400)[:, None]  # a sample without chance
    >>> weights = classifier_weights(grid, grid + 1)
    >>> exact = np.exp(grid[:, 0] - 0.5)
    >>> float(np.corrcoef(weights.values, exact)[0, 1].round(2)), round(weights.overlap, 1)
    (1.0, 1.0)
    """
    inputs = two_samples(source, target, FEWEST)
    sizes = [len(sample) for sample in inputs]
    features = _standardized(np.concatenate(inputs))
    origin = np.repeat([0, 1], sizes)
    strength = 1 / checks.real("penalty", penalty, above=0)
    classifier = LogisticRegression(C=strength, tol=1e-6, max_iter=10_000).fit(features, origin)
    log_odds = classifier.decision_function(features[: sizes[0]])
    return ratio_weights(log_odds + np.log(sizes[0] / sizes[1]))


def _standardized(features: np.ndarray) -> np.ndarray:
    """So that the penalty means the same for features of any unit; a constant feature is 0."""
    spread = features.std(0)
    return (features - features.mean(0)) / np.where(spread > 0, spread, 1)


def ratio_weights(log_ratio: np.ndarray) -> Weights:
    """From log Q/P at the source's examples, (examples,): logarithms, lest anything overflow.

    −inf is a weight of 0. Raises ValueError where all are.
    """
    log_mean = logsumexp(log_ratio) - np.log(len(log_ratio))
    if log_mean == -np.inf:
        raise ValueError(
            "every training example would have weight 0: the target seems to have only labels "
            "that the training examples lack. Draw more of them."
        )
    values = np.exp(log_ratio - log_mean)
    return Weights(values, effective_sample_size(values), float(np.exp(min(log_mean, 0.0))))
