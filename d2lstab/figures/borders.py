"""Where a linear model of points in a plane changes its mind."""

import numpy as np

from d2lstab.shift.linear import LinearModel


def borders(model: LinearModel, reach: float) -> np.ndarray:
    """Return where the two likeliest classes are equally likely: line segments, (points, 2).

    model : of two features. reach : no input drawn is farther than this from 0, in each feature.

    NaN follows each segment; all of it is NaN where the model predicts one class only. The border
    of two classes is the part of a straight line on which no third class has a higher score.

    >>> model = LinearModel(np.array([[1.0, 0.0], [-1.0, 0.0]]), np.array([1.0, 0.0]))
    >>> borders(model, reach=1)[:2].tolist()
    [[-0.5, 2.0], [-0.5, -2.0]]
    """
    gap = np.full((1, 2), np.nan)
    known = np.flatnonzero(np.isfinite(model.intercepts))
    segments = [gap[:0]]
    for first in known:
        for second in known[known > first]:
            third = known[(known != first) & (known != second)]
            segments += [_segment(model, first, second, third, reach), gap]
    return np.concatenate([*segments, gap])


def _segment(
    model: LinearModel, first: int, second: int, third: np.ndarray, reach: float
) -> np.ndarray:
    """The ends of the border of two classes, (2, 2), or none, (0, 2)."""
    slopes = model.coefficients[first] - model.coefficients[[second, *third]]
    offsets = model.intercepts[first] - model.intercepts[[second, *third]]
    if not slopes[0].any():
        return np.empty((0, 2))
    foot = -offsets[0] * slopes[0] / (slopes[0] @ slopes[0])  # the line's point nearest to 0
    along = np.array([slopes[0][1], -slopes[0][0]]) / np.linalg.norm(slopes[0])
    # The first class's lead over a third one, at foot + t · along, is start + rise · t.
    start, rise = slopes[1:] @ foot + offsets[1:], slopes[1:] @ along
    low, high = -2 * reach, 2 * reach  # more than the diagonal of what is drawn
    for lead, growth in zip(start, rise, strict=True):
        if growth > 0:
            low = max(low, -lead / growth)
        elif growth < 0:
            high = min(high, -lead / growth)
        elif lead < 0:
            high = low
    return foot + np.outer([low, high], along) if low < high else np.empty((0, 2))
