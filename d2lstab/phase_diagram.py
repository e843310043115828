"""The phase diagram of an activation function: order and chaos over the plane of σ_w² and σ_b².

`meanfield.phase` takes some milliseconds for a point, and a picture has thousands. But what its
maps average is the same at every point: with V(q) = E[φ(√q z)²] and
r(q, c) = E[(φ(u) − φ(v))²] / (2q (1 − c)), u and v normal of variance q and correlation c, the
fixed points solve q = σ_w² V(q) + σ_b² and, below c = 1, σ_w² r(q, c) = 1. So V, r and the slopes
are tabulated once for an activation, and every point is looked up.
"""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from d2lstab import checks
from d2lstab.activations import ACTIVATIONS
from d2lstab.gaussian import PAIR_LOG_DISTANCE, PAIR_LOG_VARIANCE, moments, pair_moments

ROWS, COLUMNS = 101, 201
ENDS = (4.0, 16.0, 64.0, 256.0)
"""Where the axis of σ_w² may end: at the first that has some chaos to show."""

_Q = np.logspace(-6, 6, 121)  # variances of the tables
_UNLIKE = np.r_[0.0, np.logspace(-2, 0, 17)]  # 1 − c


@dataclass(frozen=True, eq=False)
class PhaseDiagram:
    """Order and chaos of plain, infinitely wide networks with one activation function.

    The numbers are those of `meanfield.phase` within a few percent, which is what a picture needs.

    activation : its name.
    weight_variance : σ_w², dimensionless, shape (columns,), rising from 0.
    bias_variance : σ_b², dimensionless, shape (rows,), rising from 0, closest there, where the
        edge bends.
    variance : q*, shape (rows, columns); 0 where the variance dies, inf where it diverges.
    chi : χ₁ = σ_w² E[φ'(√q* z)²], shape (rows, columns): order below 1, chaos above.
    correlation_depth : ξ_c in layers, shape (rows, columns).
    edge : σ_w² where χ₁ reaches 1, shape (rows,); NaN where it does not.
    """

    activation: str
    weight_variance: np.ndarray
    bias_variance: np.ndarray
    variance: np.ndarray
    chi: np.ndarray
    correlation_depth: np.ndarray
    edge: np.ndarray


@lru_cache(maxsize=32)
def phase_diagram(
    activation: str, weight_variance: float | None = None, bias_variance: float = 0.5
) -> PhaseDiagram:
    """Return the diagram for σ_w² and σ_b² from 0 to these values; it is computed once.

    weight_variance, bias_variance : where the axes end, > 0; None for the first of `ENDS` that
        shows chaos.

    Raises ValueError for a name that is no activation's, for an end ≤ 0, and for "hard_step": its
    derivative is 0, and so is χ₁.

    >>> diagram = phase_diagram("tanh")
    >>> edge = diagram.edge[diagram.bias_variance.searchsorted(0.05)]
    >>> round(float(edge), 2)  # Schoenholz et al. 2017
    1.76
    """
    checks.choice("activation", activation, ACTIVATIONS)
    if activation == "hard_step":
        raise ValueError("hard_step has no phase diagram: its derivative is 0, and so is χ₁.")
    rows = checks.real("bias_variance", bias_variance, above=0) * np.linspace(0, 1, ROWS) ** 2
    ends = ENDS if weight_variance is None else (weight_variance,)
    for end in ends:
        columns = np.linspace(0, checks.real("weight_variance", end, above=0), COLUMNS)
        variance, chi = zip(*(_of_one_input(activation, columns, row) for row in rows), strict=True)
        variance, chi = np.stack(variance), np.stack(chi)
        if (chi > 1).any():
            break
    with np.errstate(divide="ignore"):
        depth = 1 / np.abs(np.log(_slope(activation, columns, variance, chi)))
    edge = np.array([_edge(activation, columns, *row) for row in zip(rows, chi, strict=True)])
    return PhaseDiagram(activation, columns, rows, variance, chi, depth, edge)


def _edge(activation: str, columns: np.ndarray, bias_variance: float, chi: np.ndarray) -> float:
    """σ_w² where χ₁ of a row of points reaches 1, NaN if nowhere; it may jump there (GELU)."""
    if not (chi >= 1).any():
        return np.nan
    after = (chi >= 1).argmax()
    between = np.linspace(columns[after - 1], columns[after], 17)
    chi = _of_one_input(activation, between, bias_variance)[1]
    after = max((chi >= 1).argmax(), 1)
    return float(np.interp(1, chi[after - 1 : after + 1], between[after - 1 : after + 1]))


def _of_one_input(activation: str, columns: np.ndarray, bias_variance: float):
    """q* and χ₁ of a row of points, each (columns,)."""
    moment, square_slope = _moments(activation)
    variance = _fixed_variance(moment, columns, bias_variance)
    return variance, columns * _look_up(square_slope, _place(variance))


@lru_cache
def _moments(activation: str) -> tuple[np.ndarray, np.ndarray]:
    """E[φ(√q z)²] and E[φ'(√q z)²] at the variances of the tables."""
    tables = moments(activation)
    at = np.log(_Q)
    return (
        np.exp(np.interp(at, tables.x, tables.log_square)),
        np.exp(np.interp(at, tables.x, tables.log_square_slope)),
    )


def _fixed_variance(moment: np.ndarray, columns: np.ndarray, bias_variance: float) -> np.ndarray:
    """q* of a row of points: where the map leads from inputs of second moment 1.

    The map rises with q, so that iterating it goes up or down to the nearest fixed point.
    """
    start = columns + bias_variance
    with np.errstate(divide="ignore"):
        growth = np.log((columns[:, None] * moment + bias_variance) / _Q).clip(-99)
    first = _Q.searchsorted(start).clip(1, len(_Q) - 1)
    index = np.arange(len(_Q))
    up = np.take_along_axis(growth, first[:, None], 1)[:, 0] > 0
    rising = np.where((growth <= 0) & (index >= first[:, None]), index, len(_Q)).min(1)
    falling = np.where((growth >= 0) & (index < first[:, None]), index, -1).max(1) + 1
    high = np.where(up, rising, falling)  # the first entry past the fixed point
    last = high.clip(1, len(_Q) - 1)
    one, two = np.take_along_axis(growth, np.stack([last - 1, last], 1), 1).T
    share = (one / np.where(one == two, 1, one - two)).clip(0, 1)
    fixed = _Q[last - 1] * (_Q[1] / _Q[0]) ** share
    return np.where(high == 0, 0.0, np.where(high == len(_Q), np.inf, fixed))


def _slope(activation: str, columns: np.ndarray, variance: np.ndarray, chi: np.ndarray):
    """Slope of the correlation map at c*, (rows, columns): χ₁ where c* is 1."""
    lower = (chi > 1) & (variance > 0) & np.isfinite(variance)  # here c* is below 1
    slope = chi.copy()
    if not lower.any():
        return slope
    place = _place(variance[lower])
    first, last = int(place.min()), int(place.max()) + 3
    ratio, product = _of_two_inputs(activation, _Q[first:last:2])
    sigma = np.broadcast_to(columns, chi.shape)[lower][:, None]
    ratio = sigma * _look_up(ratio, (place - first) / 2)  # falls from χ₁ as c falls from 1
    right = (ratio > 1).sum(1).clip(1, len(_UNLIKE) - 1)[:, None]
    ends = np.hstack([right - 1, right])
    one, two = np.take_along_axis(ratio, ends, 1).T
    share = ((one - 1) / (one - two)).clip(0, 1)
    at_ends = np.take_along_axis(sigma * _look_up(product, (place - first) / 2), ends, 1).T
    slope[lower] = at_ends[0] * (1 - share) + at_ends[1] * share
    return slope


def _of_two_inputs(activation: str, variances: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """r(q, c) and E[φ'(u) φ'(v)], each (variances, correlations)."""
    tables = pair_moments(activation)
    columns = np.interp(np.log(_UNLIKE[1:]), PAIR_LOG_DISTANCE, np.arange(len(PAIR_LOG_DISTANCE)))
    rows = np.interp(np.log(variances), PAIR_LOG_VARIANCE, np.arange(len(PAIR_LOG_VARIANCE)))
    distance = _look_up(_look_up(tables.distance, rows).T, columns).T
    slope = _look_up(_look_up(tables.slope, rows).T, columns).T
    square, square_slope = (_look_up(x, _place(variances))[:, None] for x in _moments(activation))
    ratio = square / variances[:, None] * np.exp(distance)
    # at c = 1 both are the limit as c → 1
    return np.hstack([square_slope, ratio]), np.hstack([square_slope, square_slope * slope])


def _place(variance: np.ndarray) -> np.ndarray:
    """Where variances stand in the tables: row and fraction of a row."""
    return np.log(variance.clip(_Q[0], _Q[-1]) / _Q[0]) / np.log(_Q[1] / _Q[0])


def _look_up(table: np.ndarray, place: np.ndarray) -> np.ndarray:
    """Entries of a table, or its rows, linearly between two."""
    row = place.astype(int).clip(0, len(table) - 2)
    share = (place - row).reshape(place.shape + (1,) * (table.ndim - 1))
    return table[row] * (1 - share) + table[row + 1] * share
