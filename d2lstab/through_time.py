"""Backpropagation through time, measured: how far back the gradient of a recurrent network reaches.

What a gradient becomes on its way back over k steps is the Jacobian ∂s_T/∂s_(T−k), s the state.
Here autograd takes it, whole, at every lag k.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from d2lstab.recurrence import KEEPING_GATE, RecurrentSpec, build_cell
from d2lstab.sequences import digit_rows

THOUSAND = 1000.0
"""A gradient that has shrunk or grown by this no longer counts as carried: what happened so many
steps ago then moves the weights a thousandth as much as what happened last, or a thousand times."""


@dataclass(frozen=True, eq=False)
class TimeProfile:
    """What a gradient becomes on its way back through a recurrent network, at every lag k = T − t.

    The state s is h in a tanh RNN and a GRU, the cell state c in an LSTM.

    spec : what was measured.
    jacobians : ∂s_T/∂s_(T−k), float32, (length + 1, n, n); the first, at lag 0, is the identity.
    norm : ‖∂s_T/∂s_(T−k)‖_F / √n, float64, (length + 1,): the root mean square of its singular
        values, by which a gradient in a random direction grows. Inf where an entry is not finite.
    local : the factor that each unit multiplies by itself, step 1 to T, float32, (length, n): the
        slope 1 − h² of a tanh RNN, the gate z of a GRU, the gate f of an LSTM.
    """

    spec: RecurrentSpec
    jacobians: Tensor
    norm: Tensor
    local: Tensor

    @property
    def path(self) -> Tensor:
        """What the local factors alone would do to the gradient, float64, (length + 1,).

        For a GRU and an LSTM the direct path: the gates of each unit multiplied over the lag, root
        mean square over units. For a tanh RNN ρᵏ times the slopes' root mean squares, as if the
        recurrent matrix met the slopes in random directions.
        """
        back = self.local.double().flip(0) ** 2
        if self.spec.cell == "tanh":
            factors = self.spec.spectral_radius**2 * back.mean(dim=1)
            squared = factors.cumprod(0)
        else:
            squared = back.cumprod(0).mean(dim=1)
        return torch.cat([squared.new_ones(1), squared]).sqrt()

    def singular_values(self, lag: int) -> Tensor:
        """The n singular values of ∂s_T/∂s_(T−lag), float64, (n,), the largest first.

        ValueError unless 0 ≤ lag ≤ length; NaN where the Jacobian is not finite.
        """
        if not 0 <= lag <= self.spec.length:
            raise ValueError(f"lag must be from 0 to {self.spec.length}; got {lag!r}.")
        jacobian = self.jacobians[lag].double()
        if not jacobian.isfinite().all():
            return jacobian.new_full((len(jacobian),), math.nan)
        return torch.linalg.svdvals(jacobian)


State = Tensor | tuple[Tensor, Tensor]


def jacobians_through_time(
    step: Callable[[Tensor, State], State], inputs: Tensor, state: State
) -> Tensor:
    """Differentiate the last state with respect to every state before it, for any recurrent cell.

    step : maps a batch of inputs (n, features) and of states to the next states; an nn.RNNCell,
        nn.GRUCell or nn.LSTMCell does, and so does a function around the book's classes.
    inputs : one sequence, (T, features).
    state : the first state, (n,), or (h, c) of two such; of a pair, c is what is differentiated.
        As h and c are given there, the way from c over h is missing at the last lag, T.

    Returns ∂s_T/∂s_(T−k), k = 0 … T, of shape (T + 1, n, n). The sequence runs as a batch of n
    equal copies, and copy i is asked for the gradient of unit i: one backward pass gives all rows.
    Raises ValueError unless inputs are (T, features) and the states vectors.

    >>> cell = nn.RNNCell(2, 5)
    >>> jacobians_through_time(cell, torch.zeros(7, 2), torch.zeros(5)).shape
    torch.Size([8, 5, 5])
    """
    shapes = [tuple(s.shape) for s in (state if isinstance(state, tuple) else (state,))]
    if any(len(shape) != 1 for shape in shapes):
        raise ValueError(f"state must be a vector, or a tuple of two; got shapes {shapes}.")
    if inputs.ndim != 2 or len(inputs) == 0:
        raise ValueError(f"inputs must be (T, features), T ≥ 1; got {tuple(inputs.shape)}.")
    return _unroll(step, inputs, state)[0]


def _unroll(step, inputs: Tensor, state: State) -> tuple[Tensor, Tensor]:
    """The Jacobians, and the hidden states h, (T + 1, n)."""
    n = len(state[-1] if isinstance(state, tuple) else state)
    pair = isinstance(state, tuple)
    start = [s.detach().expand(n, n).clone().requires_grad_() for s in (state if pair else [state])]
    state = tuple(start) if pair else start[0]
    carried, hidden = [start[-1]], [start[0][0]]
    with torch.enable_grad():
        for x in inputs:
            state = step(x.expand(n, -1), state)
            carried.append(state[-1] if pair else state)
            hidden.append((state[0] if pair else state)[0])
    rows = torch.eye(n, dtype=carried[-1].dtype, device=carried[-1].device)
    gradients = torch.autograd.grad(carried[-1], carried, rows)
    return torch.stack(gradients[::-1]), torch.stack(hidden).detach()


@torch.inference_mode(False)
def measure_through_time(spec: RecurrentSpec, inputs: Tensor | None = None) -> TimeProfile:
    """Run the cell over a sequence and backpropagate from its last state to every state before.

    inputs : (length, features), standardized; by default `digit_rows`. Raises ValueError for
        another shape.

    >>> spec = RecurrentSpec(length=50, recurrent="orthogonal", input_gain=0)
    >>> measure_through_time(spec).norm[50]
    tensor(1.0000, dtype=torch.float64)
    """
    inputs = digit_rows(spec.length) if inputs is None else inputs
    if inputs.ndim != 2 or len(inputs) != spec.length:
        shape = tuple(inputs.shape)
        raise ValueError(f"inputs must be ({spec.length}, features), as spec says; got {shape}.")
    cell = build_cell(spec, inputs.shape[1])
    zero = torch.zeros(spec.hidden_size, dtype=torch.float32, device="cpu")
    state = (zero, zero) if spec.cell == "lstm" else zero
    # a step of input 0 first: the state stays 0, and h depends on c as it does everywhere else
    padded = torch.cat([inputs.new_zeros(1, inputs.shape[1]), inputs])
    jacobians, hidden = _unroll(cell, padded, state)
    jacobians, hidden = jacobians[:-1], hidden[1:]
    norm = jacobians.double().square().sum(dim=(1, 2)).div(spec.hidden_size).sqrt()
    lost = ~jacobians.isfinite().all(dim=(1, 2))
    norm = norm.masked_fill(lost, math.inf)
    return TimeProfile(spec, jacobians, norm, _local(cell, spec, inputs, hidden))


def _local(cell: nn.Module, spec: RecurrentSpec, inputs: Tensor, hidden: Tensor) -> Tensor:
    """Slopes 1 − h², or the gates that keep the state, of all steps at once."""
    if spec.cell == "tanh":
        return 1 - hidden[1:] ** 2
    n, gate = spec.hidden_size, KEEPING_GATE[spec.cell]
    rows = slice(gate * n, (gate + 1) * n)
    with torch.no_grad():
        z = inputs @ cell.weight_ih[rows].T + hidden[:-1] @ cell.weight_hh[rows].T
        return torch.sigmoid(z + cell.bias_ih[rows])


@dataclass(frozen=True)
class TimeVerdict:
    """How far back a gradient reaches.

    kind : "vanishing" or "exploding" where the norm first leaves 1/1000 … 1000, else "stable".
    factor : growth per step, geometric mean over the lags at which float32 holds the norm with
        all its digits; 0 where it holds none.
    horizon : the first lag at which the norm has left 1/1000 … 1000; None for none.
    zero, overflow : the first lag at which the norm is exactly 0, or not finite; None for none.
    reason : the same in words.
    """

    kind: str
    factor: float
    horizon: int | None
    zero: int | None
    overflow: int | None
    reason: str


def diagnose_through_time(profile: TimeProfile) -> TimeVerdict:
    """Return what became of the gradient on its way back.

    >>> spec = RecurrentSpec(length=50, spectral_radius=0.5, recurrent="orthogonal", input_gain=0)
    >>> diagnose_through_time(measure_through_time(spec)).reason
    '× 0.5 per step; a thousandth is left after 10 steps'
    """
    norm = profile.norm
    # below the smallest normal number digits are missing, and a mean over the lags goes wrong
    usable = torch.nonzero((norm >= torch.finfo(torch.float32).tiny) & norm.isfinite()).flatten()
    last = int(usable[-1])
    factor = float(norm[last] ** (1 / last)) if last else 0.0
    horizon = _first((norm < 1 / THOUSAND) | ~(norm <= THOUSAND))
    zero, overflow = _first(norm == 0), _first(~norm.isfinite())
    reason = f"× {factor:.3g} per step; "
    if horizon is None:
        kind = "stable"
        reason += f"× {norm[-1]:.3g} after {profile.spec.length} steps"
    else:
        kind = "vanishing" if norm[horizon] < 1 else "exploding"
        grown = "a thousandth is left" if kind == "vanishing" else "a thousandfold"
        reason += f"{grown} after {horizon} step{'s' if horizon > 1 else ''}"
    reason += f", exactly 0 after {zero}" if zero is not None else ""
    reason += f", Inf after {overflow}" if overflow is not None else ""
    return TimeVerdict(kind, factor, horizon, zero, overflow, reason)


def _first(where: Tensor) -> int | None:
    """Index of the first True; None if there is none."""
    found = where.nonzero()
    return int(found[0]) if len(found) else None
