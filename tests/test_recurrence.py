"""Recurrent cells from a specification, against numpy's eigenvalues and the cells' equations."""

import dataclasses
import math

import numpy as np
import pytest
import torch
from torch import nn

from d2lstab.recurrence import (
    CELLS,
    RECURRENT,
    RecurrentSpec,
    _unit_draws,
    build_cell,
    local_rate,
    predict_through_time,
)

BLOCKS = {"tanh": 1, "gru": 3, "lstm": 4}
every_cell = pytest.mark.parametrize("cell", BLOCKS)


def blocks(spec):
    weight = build_cell(spec).weight_hh.detach().numpy().astype(float)
    return weight.reshape(BLOCKS[spec.cell], spec.hidden_size, spec.hidden_size)


def test_there_are_three_cells_and_they_are_pytorchs():
    kinds = {"tanh": nn.RNNCell, "gru": nn.GRUCell, "lstm": nn.LSTMCell}
    assert set(CELLS) == set(kinds)
    for name, kind in kinds.items():
        assert type(build_cell(RecurrentSpec(name, hidden_size=5))) is kind


@every_cell
@pytest.mark.parametrize("recurrent", RECURRENT)
@pytest.mark.parametrize("n", [1, 2, 17, 64])
@pytest.mark.parametrize("radius", [0.0, 0.5, 1.7])
def test_every_recurrent_matrix_has_the_spectral_radius(cell, recurrent, n, radius):
    spec = RecurrentSpec(cell, hidden_size=n, spectral_radius=radius, recurrent=recurrent)
    for block in blocks(spec):
        assert np.abs(np.linalg.eigvals(block)).max() == pytest.approx(radius, abs=1e-4)


@every_cell
def test_an_orthogonal_recurrent_matrix_has_all_singular_values_equal(cell):
    for block in blocks(RecurrentSpec(cell, spectral_radius=1.5, recurrent="orthogonal")):
        np.testing.assert_allclose(block @ block.T, 1.5**2 * np.eye(32), atol=1e-5)


def test_a_normal_recurrent_matrix_is_not_normal_its_largest_singular_value_is_near_twice_rho():
    (block,) = blocks(RecurrentSpec(hidden_size=256, spectral_radius=1.0))
    assert np.linalg.norm(block, 2) == pytest.approx(2, abs=0.15)
    assert block.std() * 16 == pytest.approx(1, abs=0.05)  # Girko: radius σ √n


def test_the_matrices_of_one_cell_differ():
    first, second, third = blocks(RecurrentSpec("gru"))
    assert np.abs(first - second).max() > 0.1 and np.abs(second - third).max() > 0.1


@every_cell
def test_the_input_gain_is_the_spread_of_what_the_inputs_add(cell):
    spec = RecurrentSpec(cell, hidden_size=256, input_gain=0.7)
    weight = build_cell(spec, n_features=50).weight_ih.detach()
    added = torch.randn(1000, 50, generator=torch.Generator().manual_seed(1)) @ weight.T
    assert float(added.std()) == pytest.approx(0.7, rel=0.05)
    assert not build_cell(dataclasses.replace(spec, input_gain=0)).weight_ih.any()


def test_the_forget_bias_is_that_of_the_gate_which_keeps_the_state():
    state = torch.linspace(-2, 2, 6)[None]
    for bias, kept in ((50.0, 1.0), (-50.0, 0.0), (0.0, 0.5), (1.0, 0.7310586)):
        spec = RecurrentSpec("lstm", hidden_size=6, input_gain=0, forget_bias=bias)
        _, c = build_cell(spec)(torch.zeros(1, 8), (torch.zeros(1, 6), state))
        torch.testing.assert_close(c, kept * state)  # g = tanh(0): nothing is added
        spec = dataclasses.replace(spec, cell="gru", spectral_radius=0)
        h = build_cell(spec)(torch.zeros(1, 8), state)
        torch.testing.assert_close(h, kept * state)


@every_cell
def test_all_other_biases_are_zero(cell):
    built = build_cell(RecurrentSpec(cell, forget_bias=3.0))
    total = (built.bias_ih + built.bias_hh).detach().reshape(-1, 32)
    gate = {"tanh": None, "gru": 1, "lstm": 1}[cell]  # PyTorch's orders: r z n and i f g o
    for index, block in enumerate(total):
        assert (block == (3.0 if index == gate else 0.0)).all()


@every_cell
def test_the_seed_fixes_the_weights_and_a_slider_only_scales_them(cell):
    spec = RecurrentSpec(cell, seed=5)
    first, again = build_cell(spec), build_cell(spec)
    assert first.weight_hh is not again.weight_hh
    for one, two in zip(first.parameters(), again.parameters(), strict=True):
        assert torch.equal(one, two) and one.requires_grad and one.dtype == torch.float32
    other = build_cell(dataclasses.replace(spec, seed=6))
    assert not torch.equal(first.weight_hh, other.weight_hh)
    scaled = build_cell(dataclasses.replace(spec, spectral_radius=2.0, input_gain=3.0))
    torch.testing.assert_close(scaled.weight_hh, 2 * first.weight_hh)
    torch.testing.assert_close(scaled.weight_ih, 3 * first.weight_ih)
    with torch.no_grad():
        first.weight_hh.zero_()  # the caller's own
    assert build_cell(spec).weight_hh.any()


@every_cell
def test_the_global_random_state_and_the_default_dtype_do_not_matter(cell):
    spec = RecurrentSpec(cell, hidden_size=11, seed=77)
    state = torch.get_rng_state()
    torch.set_default_dtype(torch.float64)
    try:
        built = build_cell(spec)
    finally:
        torch.set_default_dtype(torch.float32)
    assert torch.equal(torch.get_rng_state(), state)
    assert built.weight_hh.dtype == torch.float32
    _unit_draws.cache_clear()  # so that they are drawn anew
    assert torch.equal(built.weight_hh, build_cell(spec).weight_hh)


def test_theory_is_a_power_of_rho_or_of_the_gate():
    lags = np.arange(51)
    rho = predict_through_time(RecurrentSpec("tanh", 50, spectral_radius=0.9)).numpy()
    np.testing.assert_allclose(rho, 0.9**lags, rtol=1e-12)
    for cell in ("gru", "lstm"):
        gate = 1 / (1 + math.exp(-2.5))
        spec = RecurrentSpec(cell, 50, forget_bias=2.5, spectral_radius=3)
        assert local_rate(spec) == pytest.approx(gate)
        np.testing.assert_allclose(predict_through_time(spec).numpy(), gate**lags, rtol=1e-12)


WRONG = [
    ("cell", "LSTN", ValueError, "cell must be one of 'tanh', 'gru', 'lstm'; got 'LSTN'. Did you"),
    ("cell", 3, TypeError, "cell must be one of .* got 3"),
    ("length", 0, ValueError, "length must be an integer from 1 to 2000; got 0"),
    ("length", 2001, ValueError, "length must be .* got 2001"),
    ("length", 5.0, TypeError, "length must be .* got 5.0"),
    ("hidden_size", 513, ValueError, "hidden_size must be an integer from 1 to 512; got 513"),
    ("hidden_size", True, TypeError, "hidden_size must be .* got True"),
    ("spectral_radius", -0.1, ValueError, "spectral_radius must be a finite number ≥ 0; got -0.1"),
    ("spectral_radius", math.inf, ValueError, "spectral_radius must be a finite number"),
    ("spectral_radius", "1", TypeError, "spectral_radius must be a finite number"),
    ("recurrent", "normal ", ValueError, "recurrent must be .* Did you mean 'normal'"),
    ("forget_bias", math.nan, ValueError, "forget_bias must be a finite number; got nan"),
    ("forget_bias", -math.inf, ValueError, "forget_bias must be a finite number; got -inf"),
    ("forget_bias", 10**400, ValueError, "forget_bias must be a finite number"),
    ("forget_bias", None, TypeError, "forget_bias must be .* got None"),
    ("input_gain", -1, ValueError, "input_gain must be a finite number ≥ 0; got -1"),
    ("seed", -1, ValueError, "seed must be an integer from 0 to 4294967295; got -1"),
    ("seed", 2**32, ValueError, "seed must be"),
]


@pytest.mark.parametrize(("field", "value", "error", "message"), WRONG)
def test_a_wrong_value_is_refused_with_field_need_and_what_came(field, value, error, message):
    with pytest.raises(error, match=message):
        RecurrentSpec(**{field: value})


def test_a_specification_is_frozen_and_takes_numpys_numbers():
    spec = RecurrentSpec(length=np.int64(7), spectral_radius=np.float32(0.5), forget_bias=2)
    assert (spec.length, spec.spectral_radius, spec.forget_bias) == (7, 0.5, 2.0)
    assert (type(spec.length), type(spec.forget_bias)) == (int, float)
    assert spec == RecurrentSpec(length=7, spectral_radius=0.5, forget_bias=2.0)
    with pytest.raises(dataclasses.FrozenInstanceError):
        spec.length = 8
