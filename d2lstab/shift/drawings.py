"""Photographs and drawings of the same things: the digits as filled strokes and as outlines.

An image is a row of 576 values, 24 × 24 pixels, each from 0 (paper) to 1 (ink).
"""

from functools import lru_cache

import numpy as np
import torch
from scipy import ndimage
from sklearn.datasets import load_digits
from torch import Tensor

from d2lstab import checks
from d2lstab.datasets import Batch
from d2lstab.shift.arrays import matrix

SIDE = 24
"""Pixels along one side: enough for an outline. Of the digits' own 8, a stroke takes two."""


def photographs() -> Batch:
    """The 1797 digits with all their grey: inputs (1797, 576), 24 × 24 pixels, 0 paper to 1 ink.

    Cubic interpolation of scikit-learn's 8 × 8 digits with one pixel of paper around, in the order
    of the data set.

    >>> photographs().inputs.shape
    torch.Size([1797, 576])
    """
    shown = _photographs()
    return Batch(shown.inputs.clone(), shown.labels.clone())  # copies: the caller may change them


def drawings(thickness: float = 1.5, noise: float = 0.05, seed: int = 0) -> Batch:
    """The same digits in the same order, drawn: their outlines, with the grain of a pencil.

    thickness : of the line, in pixels. noise : standard deviation of each pixel.
    """
    shown = photographs()
    return Batch(add_noise(outline(shown.inputs, thickness), noise, seed), shown.labels)


def outline(images, thickness: float = 1.5) -> Tensor:
    """Draw the line where the ink is half as dark as it can be.

    images : (examples, 576). thickness : of the line in pixels, > 0.

    The distance of a pixel to that line is (image − 1/2) / |∇image|, exact for a straight edge.
    """
    half = checks.real("thickness", thickness, above=0) / 2
    pictures = _pictures(images)
    slope = np.hypot(*np.gradient(pictures, axis=(1, 2)))
    distance = abs(pictures - 0.5) / np.maximum(slope, 1e-3)
    return _rows(np.clip(half + 0.5 - distance, 0, 1))


def thicken(images, pixels: int) -> Tensor:
    """Let each stroke grow by ``pixels`` on all sides, or shrink for a negative number."""
    checks.integer("pixels", pixels, -SIDE // 4, SIDE // 4)
    size = (1, 2 * abs(pixels) + 1, 2 * abs(pixels) + 1)
    grow = ndimage.grey_dilation if pixels >= 0 else ndimage.grey_erosion
    return _rows(grow(_pictures(images), size=size))


def invert(images) -> Tensor:
    """Make ink paper and paper ink: chalk on a blackboard."""
    return _rows(1 - _pictures(images))


def add_noise(images, std: float, seed: int = 0) -> Tensor:
    """Add independent normal noise to each pixel; what leaves 0 to 1 is cut off.

    std : its standard deviation, ≥ 0.
    """
    generator = torch.Generator().manual_seed(checks.integer("seed", seed, 0))
    rows = _rows(_pictures(images))
    noise = torch.randn(rows.shape, generator=generator, device="cpu")
    return (rows + checks.real("std", std, 0) * noise).clamp(0, 1)


@lru_cache(maxsize=1)
def _photographs() -> Batch:
    pixels, labels = load_digits(return_X_y=True)
    framed = np.pad(pixels.reshape(-1, 8, 8) / 16, ((0, 0), (1, 1), (1, 1)))
    scale = SIDE / framed.shape[1]
    large = ndimage.zoom(framed, (1, scale, scale), mode="grid-constant", grid_mode=True)
    return Batch(_rows(np.clip(large, 0, 1)), torch.from_numpy(labels).long())


def _pictures(images) -> np.ndarray:
    rows = matrix("images", images)
    if rows.shape[1] != SIDE**2 or rows.min() < 0 or rows.max() > 1:
        raise ValueError(
            f"images must be (examples, {SIDE**2}), each pixel from 0 to 1; got shape {rows.shape},"
            f" {rows.min():g} to {rows.max():g}. Take them from photographs()."
        )
    return rows.reshape(-1, SIDE, SIDE)


def _rows(pictures: np.ndarray) -> Tensor:
    return torch.from_numpy(pictures.reshape(len(pictures), -1)).float()
