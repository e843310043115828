"""Draw images side by side, weights, and what a classifier makes of weighted points."""

from collections.abc import Callable, Mapping

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import Tensor

from d2lstab.figures.axes import dress
from d2lstab.figures.style import BLUE, INK, ORANGE


def draw_images(figure: Figure, rows: Mapping[str, Tensor]) -> None:
    """Draw each group of images as one row, its name to the left; 0 is white and 1 black.

    rows : name → (images, side²), the same number of images in each.

    Raises ValueError where the numbers differ or an image is not square.

    >>> draw_images(Figure(), {"paper": np.zeros((2, 16)), "ink": np.ones((2, 16))})
    """
    pictures = {name: _squares(name, np.asarray(images)) for name, images in rows.items()}
    counts = {len(images) for images in pictures.values()}
    if len(counts) != 1:
        raise ValueError(f"each row must have the same number of images; got {sorted(counts)}.")
    grid = figure.subplots(len(pictures), *counts, squeeze=False)
    for axes, (name, images) in zip(grid, pictures.items(), strict=True):
        axes[0].set_ylabel(name, rotation=0, ha="right", va="center", fontsize=9)
        for place, image in zip(axes, images, strict=True):
            place.imshow(image, cmap="gray_r", vmin=0, vmax=1)
            place.set(xticks=[], yticks=[])


def draw_decisions(
    axes: Axes, points: np.ndarray, labels: np.ndarray, predict: Callable, sizes: float | np.ndarray
) -> None:
    """Draw points in the plane by their true label, and shade the side that is predicted to be 1.

    points : (examples, 2). labels : (examples,), 0 blue or 1 orange.
    predict : (points, 2) → (points,), 0 or 1.
    sizes : the area of each point, or of all; 1 is a small dot.
    """
    low, high = points.min(0) - 0.3, points.max(0) + 0.3
    x, y = np.meshgrid(*np.linspace(low, high, 200).T)
    called = np.reshape(predict(np.stack([x.ravel(), y.ravel()], 1)), x.shape)
    axes.contourf(x, y, called, levels=[0.5, 1.5], colors=[ORANGE], alpha=0.18)
    area = 7 * np.broadcast_to(sizes, len(points))
    for label, color in ((0, BLUE), (1, ORANGE)):
        these = np.asarray(labels) == label
        axes.scatter(*points[these].T, s=area[these], color=color, alpha=0.5, linewidths=0)
    dress(axes, grid=False)


def draw_weights(axes: Axes, weights) -> None:
    """Draw the histogram of weights on a log scale, and the weight 1 that each would have alone.

    weights : (examples,), > 0, mean 1.
    """
    values = np.asarray(weights)
    low, high = np.floor(np.log10(values.min())), np.ceil(np.log10(values.max() * 1.001))
    axes.hist(values, np.logspace(low, high, 41), color=BLUE)
    axes.axvline(1, color=INK, ls="--", lw=1)
    axes.set(xscale="log", xlabel="weight (log)", ylabel="source examples (count)")
    axes.set_axisbelow(True)
    dress(axes)


def _squares(name: str, images: np.ndarray) -> np.ndarray:
    side = round(images.shape[-1] ** 0.5)
    if images.ndim != 2 or side**2 != images.shape[1]:
        raise ValueError(f"{name} must be (images, side²); got shape {images.shape}.")
    return images.reshape(-1, side, side)
