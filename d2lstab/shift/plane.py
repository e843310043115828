"""Real digits in a plane: a population whose clouds one can see move."""

from functools import lru_cache

import numpy as np
import torch

from d2lstab.datasets import digits
from d2lstab.shift.make import Population

DIGITS = (1, 8, 9)
"""The digits that are the classes 0, 1, 2: the 8s stand between the others, and the 1s come in two
clouds, so that a straight line must choose which of them to get right."""

NEIGHBOURS = 15
"""The images nearest to an image, itself among them, whose labels say what P(y | x) is there."""

ANGLE = 120
"""Degrees from the first component: the direction in which `covariate_score` grows."""


@lru_cache(maxsize=1)
@torch.inference_mode(False)  # what is kept must also serve a caller who trains
def digits_in_a_plane() -> Population:
    """Return the 536 images of the digits 1, 8 and 9, seen through two numbers only.

    inputs : float64, (536, 2), the first two principal components of the images, each in its
        standard deviations. They are in order of `covariate_score`: `Population.draw` goes through
        the atoms in their order, so that a seed's points move a little when Q moves a little.
    joint : (536, 3). Two numbers do not determine a digit: P(y | x) is the share of each among the
        15 nearest images. Every image is equally likely.

    >>> population = digits_in_a_plane()
    >>> population.inputs.shape, population.prior.round(2)
    (torch.Size([536, 2]), array([0.34, 0.32, 0.34]))
    """
    batch = digits()
    chosen = np.isin(batch.labels.numpy(), DIGITS)
    labels = np.searchsorted(DIGITS, batch.labels.numpy()[chosen])
    images = batch.inputs.numpy()[chosen].astype(np.float64)
    plane = principal_components(images)
    order = covariate_score(plane).argsort()
    plane, labels = plane[order], labels[order]
    distances = ((plane[:, None] - plane) ** 2).sum(-1)
    nearest = distances.argsort(axis=1, kind="stable")[:, :NEIGHBOURS]
    shares = np.eye(len(DIGITS))[labels[nearest]].mean(1)
    return Population(torch.from_numpy(plane), shares / len(plane))


def covariate_score(inputs) -> np.ndarray:
    """Return how far inputs lie in the direction of the covariate shift, (examples,), in about
    standard deviations.

    inputs : (examples, 2).

    >>> covariate_score([[2.0, 0.0]]).round(6)
    array([-1.])
    """
    angle = np.radians(ANGLE)
    return np.asarray(inputs) @ np.array([np.cos(angle), np.sin(angle)])


def principal_components(images: np.ndarray) -> np.ndarray:
    """Return the first two, float64, (images, 2), each with mean 0 and standard deviation 1.

    images : (images, pixels). The sign is the same on every machine: the largest loading of each
        component is positive.

    >>> principal_components(np.array([[0.0, 0.0], [4.0, 0.0], [2.0, 1.0], [2.0, -1.0]])).round(2)
    array([[-1.41,  0.  ],
           [ 1.41,  0.  ],
           [ 0.  ,  1.41],
           [ 0.  , -1.41]])
    """
    centred = images - images.mean(0)
    _, _, directions = np.linalg.svd(centred, full_matrices=False)
    largest = directions[np.arange(2), abs(directions[:2]).argmax(1)]
    components = centred @ (directions[:2] * np.sign(largest)[:, None]).T
    return components / components.std(0)
