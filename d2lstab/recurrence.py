"""Recurrent cells from a specification: tanh RNN, GRU and LSTM with knobs to turn."""

import math
from dataclasses import dataclass
from functools import lru_cache

import torch
from torch import Generator, Tensor, nn

from d2lstab import checks
from d2lstab.sequences import N_PIXELS

CELLS: dict[str, type[nn.Module]] = {"tanh": nn.RNNCell, "gru": nn.GRUCell, "lstm": nn.LSTMCell}
"""Recurrent cells by name, PyTorch's own."""

RECURRENT = ("normal", "orthogonal")
"""How a recurrent matrix is drawn, before it is scaled to its spectral radius."""

KEEPING_GATE = {"gru": 1, "lstm": 1}
"""Which stacked block is the gate that keeps the state: z of (r, z, n), f of (i, f, g, o)."""

BLOCKS = {"tanh": 1, "gru": 3, "lstm": 4}
"""How many recurrent matrices a cell has, stacked in its ``weight_hh``."""


@dataclass(frozen=True)
class RecurrentSpec:
    """Everything that fixes a recurrent cell before training, and how many steps it runs.

    cell : a name in `CELLS`.
    length : T, steps; 1 to 2000.
    hidden_size : n, units in the state; 1 to 512.
    spectral_radius : ρ, the largest |eigenvalue| of each recurrent matrix, ≥ 0. A GRU has three
        of them, an LSTM four.
    recurrent : "normal" (independent normal entries, then scaled) or "orthogonal" (ρ times an
        orthogonal matrix, so that all singular values are ρ).
    forget_bias : bias of the gate that keeps the state: the LSTM's forget gate f, the GRU's
        update gate z (in PyTorch and in the book z = 1 keeps). All other biases are 0; a tanh RNN
        has no gate and ignores it.
    input_gain : scales the input weights, ≥ 0. At 1 the standardized inputs give each
        preactivation a standard deviation of about 1; at 0 the state stays 0, where tanh is
        linear.
    seed : fixes the weights, 0 ≤ seed < 2³².

    Raises TypeError for a value of the wrong type and ValueError for one out of range or a name
    that does not exist.

    >>> RecurrentSpec(cell="lstn")
    Traceback (most recent call last):
    ...
    ValueError: cell must be one of 'tanh', 'gru', 'lstm'; got 'lstn'. Did you mean 'lstm'?
    """

    cell: str = "tanh"
    length: int = 100
    hidden_size: int = 32
    spectral_radius: float = 1.0
    recurrent: str = "normal"
    forget_bias: float = 1.0
    input_gain: float = 1.0
    seed: int = 0

    def __post_init__(self):
        checks.choice("cell", self.cell, CELLS)
        checks.choice("recurrent", self.recurrent, RECURRENT)
        as_python = {  # numpy's numbers become Python's
            "length": checks.integer("length", self.length, 1, 2000),
            "hidden_size": checks.integer("hidden_size", self.hidden_size, 1, 512),
            "spectral_radius": checks.real("spectral_radius", self.spectral_radius, 0),
            "forget_bias": checks.real("forget_bias", self.forget_bias),
            "input_gain": checks.real("input_gain", self.input_gain, 0),
            "seed": checks.integer("seed", self.seed, 0, 2**32 - 1),
        }
        for field, value in as_python.items():
            object.__setattr__(self, field, value)


def predict_through_time(spec: RecurrentSpec) -> Tensor:
    """Return what theory expects of the norm of ∂s_T/∂s_(T−k) while signals are small.

    ρᵏ for a tanh RNN, whose slope is 1 at 0; σ(forget_bias)ᵏ for the direct path of a GRU and an
    LSTM, whose gate is σ(forget_bias) where its inputs are 0. Float64, (length + 1,).

    >>> predict_through_time(RecurrentSpec(length=3, spectral_radius=0.5))
    tensor([1.0000, 0.5000, 0.2500, 0.1250], dtype=torch.float64)
    """
    lags = torch.arange(spec.length + 1, dtype=torch.float64)
    return local_rate(spec) ** lags


def local_rate(spec: RecurrentSpec) -> float:
    """Return the factor per step of `predict_through_time`: ρ, or σ(forget_bias)."""
    if spec.cell == "tanh":
        return spec.spectral_radius
    return torch.sigmoid(torch.tensor(spec.forget_bias, dtype=torch.float64)).item()


def build_cell(spec: RecurrentSpec, n_features: int = N_PIXELS) -> nn.Module:
    """Build the cell: an ordinary nn.RNNCell, nn.GRUCell or nn.LSTMCell.

    The global random state is neither read nor changed.

    >>> build_cell(RecurrentSpec("lstm", hidden_size=16))
    LSTMCell(8, 16)
    """
    n = spec.hidden_size
    blocks, inputs = _unit_draws(spec.cell, spec.recurrent, n, n_features, spec.seed)
    cell = nn.utils.skip_init(CELLS[spec.cell], n_features, n, dtype=torch.float32, device="cpu")
    with torch.no_grad():
        cell.weight_hh.copy_(spec.spectral_radius * blocks)
        cell.weight_ih.copy_(spec.input_gain / math.sqrt(n_features) * inputs)
        cell.bias_hh.zero_()
        cell.bias_ih.zero_()
        if spec.cell in KEEPING_GATE:
            cell.bias_ih.view(-1, n)[KEEPING_GATE[spec.cell]] = spec.forget_bias
    return cell


@lru_cache(maxsize=6)  # the three cells of a lab before and after a move
@torch.inference_mode(False)
def _unit_draws(cell: str, recurrent: str, n: int, n_features: int, seed: int):
    """Recurrent blocks of spectral radius 1, stacked, and standard normal input weights."""
    generator = Generator().manual_seed(seed)
    count = BLOCKS[cell]
    options = dict(generator=generator, dtype=torch.float32, device="cpu")
    blocks = torch.randn(count, n, n, **options)
    inputs = torch.randn(count * n, n_features, **options)
    if recurrent == "orthogonal":
        Q, R = torch.linalg.qr(blocks)
        blocks = Q * R.diagonal(dim1=1, dim2=2).sign().unsqueeze(1)
    else:
        radius = torch.linalg.eigvals(blocks.double()).abs().amax(dim=1)
        blocks = (blocks.double() / radius[:, None, None]).float()
    return blocks.reshape(count * n, n), inputs
