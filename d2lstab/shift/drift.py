"""A concept that moves while a model is in use, and models that follow it."""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import torch
from sklearn.linear_model import SGDClassifier

from d2lstab import checks
from d2lstab.datasets import digits
from d2lstab.shift.arrays import vector
from d2lstab.shift.linear import fit_linear
from d2lstab.shift.make import Population
from d2lstab.shift.plane import principal_components

FLIP = 0.1
"""The share of labels that are wrong at any time: nothing can be right more than 0.9."""


@lru_cache(maxsize=1)
def digit_plane() -> np.ndarray:
    """The 1797 digits in the plane of their two main components, float64, (1797, 2).

    See `plane.principal_components`.
    """
    plane = principal_components(digits().inputs.double().numpy())
    plane.flags.writeable = False
    return plane


def concept(angle: float) -> Population:
    """The digits of `digit_plane` with two labels, parted by a line through the middle.

    angle : radians, where the side of label 1 lies: 0 to the right, π/2 at the top. The share
        `FLIP` of each input's labels is wrong. P(x) is the same for all angles.

    >>> round(concept(0.3).accuracy(concept(0.3).joint.argmax(1)), 12)
    0.9
    """
    inputs = digit_plane()
    right = _side(inputs, checks.real("angle", angle)).astype(int)
    joint = np.full((len(inputs), 2), FLIP / len(inputs))
    joint[np.arange(len(inputs)), right] = (1 - FLIP) / len(inputs)
    return Population(torch.tensor(inputs), joint)


@dataclass(frozen=True, eq=False)
class Stream:
    """Examples in the order of their coming, each from the concept of its moment.

    inputs : float64, (n, 2). labels : int64, (n,), 0 or 1. angles : float64, (n,), radians.
    """

    inputs: np.ndarray
    labels: np.ndarray
    angles: np.ndarray


def sample_stream(angles, seed: int = 0) -> Stream:
    """Draw one example of `concept` (angle) for each of ``angles``, (n,), in radians.

    >>> sample_stream(np.zeros(4)).inputs.shape
    (4, 2)
    """
    angles = vector("angles", angles)
    random = np.random.default_rng(checks.integer("seed", seed, 0))
    inputs = digit_plane()[random.integers(len(digit_plane()), size=len(angles))]
    wrong = random.random(len(angles)) < FLIP
    return Stream(inputs, (_side(inputs, angles) ^ wrong).astype(np.int64), angles)


@dataclass(frozen=True, eq=False)
class Track:
    """How good a model is while the stream passes.

    steps : int64, (k,), how many examples had passed. accuracy : float64, (k,), exact: of the
        model of that moment, on the concept that the *next* example comes from.
    """

    steps: np.ndarray
    accuracy: np.ndarray


def keep(stream: Stream, size: int, every: int = 50) -> Track:
    """Train on the first ``size`` examples, and never again.

    every : the accuracy is taken whenever so many examples have passed.
    """
    checks.integer("size", size, 2, len(stream.labels) - 1)
    model = fit_linear(stream.inputs[:size], stream.labels[:size], classes=2)
    return _track(stream, size, every, lambda step: model)


def retrain(stream: Stream, window: int, every: int = 50, delay: int = 0) -> Track:
    """Train a new model on the last ``window`` labelled examples, each time it is needed.

    delay : a label comes so many examples after its input. `every` as in `keep`.
    """
    checks.integer("window", window, 2)

    def model(step: int):
        last = slice(max(0, step - delay - window), step - delay)
        return fit_linear(stream.inputs[last], stream.labels[last], classes=2)

    return _track(stream, checks.integer("delay", delay, 0) + 2, every, model)


def update(stream: Stream, rate: float, every: int = 50, delay: int = 0) -> Track:
    """Make one step of stochastic gradient descent for each example, in order.

    rate : the learning rate, constant, > 0. delay, every : as in `retrain`.
    """
    rate = checks.real("rate", rate, above=0)
    # shuffle=False: the order of the examples is what a stream is
    model = SGDClassifier(
        loss="log_loss", alpha=0, learning_rate="constant", eta0=rate, shuffle=False, random_state=0
    )
    seen = 0

    def learn(step: int) -> SGDClassifier:
        nonlocal seen
        new = slice(seen, step - delay)
        model.partial_fit(stream.inputs[new], stream.labels[new], classes=[0, 1])
        seen = step - delay
        return model

    return _track(stream, checks.integer("delay", delay, 0) + 2, every, learn)


def _side(inputs: np.ndarray, angle) -> np.ndarray:
    """Whether the inputs, (n, 2), lie on the side that ``angle``, one or (n,), points to."""
    return inputs[:, 0] * np.cos(angle) + inputs[:, 1] * np.sin(angle) > 0


def _track(stream: Stream, first: int, every: int, model_at) -> Track:
    """Ask for the model at each multiple of ``every`` from ``first`` on, and judge it exactly."""
    every = checks.integer("every", every, 1)
    steps = np.arange(-(-first // every) * every, len(stream.labels), every)
    if not len(steps):
        raise ValueError(
            f"the stream must be longer than {max(first, every)} examples; got "
            f"{len(stream.labels)}."
        )
    found = []
    for step in steps:
        truth = _side(digit_plane(), stream.angles[step])
        agree = (model_at(int(step)).predict(digit_plane()) == truth).mean()
        found.append(FLIP + (1 - 2 * FLIP) * agree)
    return Track(steps, np.array(found))
