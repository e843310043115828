"""How long a memory should be where the quantity in it moves: short is noisy, long is stale."""

from dataclasses import dataclass

import numpy as np

from d2lstab.shift.arrays import vector


@dataclass(frozen=True, eq=False)
class MeanError:
    """The expected squared error of an estimate of a mean that moves, in its two parts.

    noise : float64, too few examples. staleness : float64, too old ones.
    """

    noise: np.ndarray
    staleness: np.ndarray

    @property
    def total(self) -> np.ndarray:
        """Their sum."""
        return self.noise + self.staleness


def window_error(window, noise: float, rate: float, delay: int = 0) -> MeanError:
    """The error of the mean of the last ``window`` observations of a mean that moves.

    An observation at step t is ``rate`` · t plus noise of the standard deviation ``noise``; wanted
    is the mean of the next step. window : (k,), ≥ 1. delay : the newest so many are not there yet.

    >>> error = window_error([5.0], noise=1.0, rate=0.1)
    >>> error.noise, error.staleness
    (array([0.2]), array([0.09]))
    """
    n = _at_least("window", window, 1)
    age = delay + (n + 1) / 2
    return MeanError(noise**2 / n, (rate * age) ** 2)


def online_error(learning_rate, noise: float, rate: float, delay: int = 0) -> MeanError:
    """The same for the estimate that goes the share ``learning_rate`` towards each observation.

    learning_rate : (k,), > 0 to 1. The estimate is as it becomes when the start is forgotten.

    >>> error = online_error([0.5], noise=1.0, rate=0.1)
    >>> error.noise, error.staleness
    (array([0.33333333]), array([0.04]))
    """
    share = _at_least("learning_rate", learning_rate, 0)
    if share.min() <= 0 or share.max() > 1:
        raise ValueError(f"learning_rate must be > 0 and ≤ 1; got {learning_rate!r}.")
    age = delay + 1 / share
    return MeanError(noise**2 * share / (2 - share), (rate * age) ** 2)


def _at_least(name: str, values, low: float) -> np.ndarray:
    array = vector(name, values)
    if array.min() < low:
        raise ValueError(f"{name} must be ≥ {low:g}; got {array.min():g}.")
    return array
