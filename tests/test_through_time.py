"""Jacobians through time against finite differences of torch's layers, and closed forms."""

import math

import numpy as np
import pytest
import torch
from torch import nn

from d2lstab.book import d2l
from d2lstab.recurrence import RecurrentSpec, build_cell
from d2lstab.sequences import digit_rows
from d2lstab.through_time import (
    TimeProfile,
    diagnose_through_time,
    jacobians_through_time,
    measure_through_time,
)

every_cell = pytest.mark.parametrize("cell", ["tanh", "gru", "lstm"])
LAYERS = {"tanh": nn.RNN, "gru": nn.GRU, "lstm": nn.LSTM}


def power(matrix, k):
    return np.linalg.matrix_power(matrix, k)


def block(spec, index):
    n = spec.hidden_size
    return build_cell(spec).weight_hh.detach().numpy()[index * n : (index + 1) * n].astype(float)


def layer(cell, kind):
    """The whole-sequence layer of the same weights, in float64."""
    made = LAYERS[kind](cell.input_size, cell.hidden_size).double()
    made.load_state_dict({f"{name}_l0": weight for name, weight in cell.state_dict().items()})
    return made


@every_cell
def test_the_jacobians_are_those_of_finite_differences_of_torchs_whole_sequence_layer(cell):
    spec = RecurrentSpec(cell, 9, 6, 1.3, forget_bias=0.5, seed=2)
    network, x = layer(build_cell(spec), cell), digit_rows(9).double()
    profile, step = measure_through_time(spec), 1e-6

    def last(k, change):
        """The last state after the state k steps before it has been changed."""
        with torch.no_grad():
            zero = torch.zeros(1, 1, 6, dtype=torch.float64)
            state = (zero, zero) if cell == "lstm" else zero
            if k < 9:
                state = network(x[: 9 - k, None], state)[1]
            if cell == "lstm":
                # h follows c, as it does in the network: h = o tanh(c)
                h, c = state
                o = h / c.tanh() if k < 9 else torch.full_like(c, 0.5)
                state = (o * (c + change).tanh(), c + change)
            else:
                state = state + change
            end = network(x[9 - k :, None], state)[1] if k else state
            return (end[1] if cell == "lstm" else end).flatten()

    for k in (0, 1, 4, 8, 9):
        units = step * torch.eye(6, dtype=torch.float64)
        columns = [(last(k, unit) - last(k, -unit)) / (2 * step) for unit in units]
        expected = torch.stack(columns, dim=1).float()
        torch.testing.assert_close(profile.jacobians[k], expected, rtol=1e-3, atol=1e-5)


def test_the_jacobians_of_a_tanh_network_are_the_product_of_slopes_and_weights():
    spec = RecurrentSpec("tanh", 30, 20, 1.5)
    network = build_cell(spec).double()
    with torch.no_grad():
        h, product = torch.zeros(1, 20).double(), np.eye(20)
        factors = []
        for row in digit_rows(30).double():
            h = torch.tanh(row @ network.weight_ih.T + h @ network.weight_hh.T)
            factors.append(np.diag(1 - h[0].numpy() ** 2) @ network.weight_hh.numpy())
    profile = measure_through_time(spec)
    for k in range(31):
        scale = np.abs(product).max()
        assert np.abs(profile.jacobians[k].numpy() - product).max() < 1e-4 * scale
        expected = np.sqrt((np.linalg.svd(product, compute_uv=False) ** 2).mean())
        assert float(profile.norm[k]) == pytest.approx(expected, rel=1e-3)
        if k < 30:
            product = product @ factors[-1 - k]


@pytest.mark.parametrize("recurrent", ["normal", "orthogonal"])
def test_without_input_the_jacobians_are_powers_of_one_matrix(recurrent):
    gate = 1 / (1 + math.exp(-0.7))
    # tanh: W. GRU: z h + (1 − z) r W h. LSTM: f c + i W o c. Here i, o and r are ½
    parts = {"tanh": (0, 1, 0), "gru": (gate, (1 - gate) / 2, 2), "lstm": (gate, 1 / 4, 2)}
    for cell, (kept, share, index) in parts.items():
        spec = RecurrentSpec(cell, 25, 16, 1.1, recurrent, forget_bias=0.7, input_gain=0)
        step = kept * np.eye(16) + share * block(spec, index)
        jacobians = measure_through_time(spec).jacobians.numpy()
        for k in (0, 1, 2, 10, 25):
            np.testing.assert_allclose(jacobians[k], power(step, k), rtol=2e-4, atol=1e-6)


def test_an_orthogonal_linear_network_follows_theory_exactly():
    for rho in (0.5, 1.0, 2.0):
        spec = RecurrentSpec("tanh", 100, 16, rho, "orthogonal", input_gain=0)
        norm = measure_through_time(spec).norm.numpy()
        np.testing.assert_allclose(norm, rho ** np.arange(101.0), rtol=1e-3)


@every_cell
def test_local_factors_are_slopes_and_gates_of_the_equations(cell):
    spec = RecurrentSpec(cell, 12, 10, 1.2, forget_bias=1.5, seed=4)
    network, profile = build_cell(spec).double(), measure_through_time(spec)
    assert profile.local.shape == (12, 10)
    h = c = torch.zeros(1, 10).double()
    with torch.no_grad():
        for t, row in enumerate(digit_rows(12).double()[:, None]):
            gates_x = (row @ network.weight_ih.T + network.bias_ih)[0].reshape(-1, 10)
            gates_h = (h @ network.weight_hh.T + network.bias_hh)[0].reshape(-1, 10)
            if cell == "tanh":
                h = network(row, h)
                expected = 1 - h[0] ** 2
            elif cell == "gru":
                expected = torch.sigmoid(gates_x[1] + gates_h[1])
                h = network(row, h)
            else:
                expected = torch.sigmoid(gates_x[1] + gates_h[1])
                h, c = network(row, (h, c))
            torch.testing.assert_close(profile.local[t].double(), expected, rtol=1e-4, atol=1e-5)


def test_the_direct_path_multiplies_the_gates_of_each_unit_from_the_end():
    for cell in ("gru", "lstm"):
        profile = measure_through_time(RecurrentSpec(cell, 15, 8))
        gates = profile.local.numpy().astype(float)
        for k in range(16):
            product = np.ones(8)
            for t in range(15 - k, 15):
                product *= gates[t]
            assert float(profile.path[k]) == pytest.approx(np.sqrt((product**2).mean()), rel=1e-6)


def test_the_path_of_a_tanh_network_is_rho_times_the_slopes_root_mean_square():
    profile = measure_through_time(RecurrentSpec("tanh", 15, 8, 1.4))
    slopes = profile.local.numpy().astype(float)
    for k in range(16):
        expected = 1.4**k
        for t in range(15 - k, 15):
            expected *= np.sqrt((slopes[t] ** 2).mean())
        assert float(profile.path[k]) == pytest.approx(expected, rel=1e-6)


def test_a_closed_recurrent_path_leaves_the_gates_alone():
    spec = RecurrentSpec("lstm", 40, 16, spectral_radius=0.0)
    profile = measure_through_time(spec)
    torch.testing.assert_close(profile.norm, profile.path, rtol=1e-4, atol=0)


@every_cell
def test_singular_values_are_those_of_the_jacobian_and_their_root_mean_square_is_the_norm(cell):
    profile = measure_through_time(RecurrentSpec(cell, 10, 12))
    for lag in (0, 3, 10):
        values = profile.singular_values(lag)
        expected = np.linalg.svd(profile.jacobians[lag].numpy().astype(float), compute_uv=False)
        np.testing.assert_allclose(values.numpy(), expected, rtol=1e-9, atol=1e-15)
        assert float(values.square().mean().sqrt()) == pytest.approx(float(profile.norm[lag]))
    for wrong in (-1, 11):
        with pytest.raises(ValueError, match="lag must be from 0 to 10; got"):
            profile.singular_values(wrong)


def test_gradients_underflow_to_zero_and_overflow_to_inf_where_float32_ends():
    spec = RecurrentSpec("tanh", 200, 16, 0.5, "orthogonal", input_gain=0)
    small = measure_through_time(spec)
    verdict = diagnose_through_time(small)
    assert (small.norm[verdict.zero :] == 0).all() and small.norm[verdict.zero - 1] > 0
    assert 146 <= verdict.zero <= 150  # 2^-150 rounds to 0, and entries are below the norm
    assert verdict.factor == pytest.approx(0.5, rel=1e-3) and verdict.overflow is None
    spec = RecurrentSpec("tanh", 200, 16, 2.0, "orthogonal", input_gain=0)
    large = measure_through_time(spec)
    verdict = diagnose_through_time(large)
    assert large.norm[verdict.overflow :].isinf().all()
    assert large.norm[verdict.overflow - 1].isfinite()
    assert 128 <= verdict.overflow <= 132
    assert verdict.factor == pytest.approx(2, rel=1e-3) and verdict.zero is None
    assert large.singular_values(200).isnan().all()
    assert "Inf after" in verdict.reason and verdict.kind == "exploding"


def profile_of(norm):
    spec = RecurrentSpec(length=len(norm) - 1)
    norm = torch.tensor(norm, dtype=torch.float64)
    return TimeProfile(spec, torch.zeros(len(norm), 1, 1), norm, torch.zeros(len(norm) - 1, 1))


@pytest.mark.parametrize(
    ("norm", "kind", "factor", "horizon", "reason"),
    [
        ([1, 0.1, 0.01, 0.0011, 1e-4], "vanishing", 0.1, 4, "a thousandth is left after 4 steps"),
        ([1, 2000, 4e6], "exploding", 2000, 1, "a thousandfold after 1 step"),
        ([1, 2, 4], "stable", 2, None, "× 4 after 2 steps"),
        ([1, 1000, 0.001], "stable", 0.001**0.5, None, "× 0.001 after 2 steps"),
        ([1, 1e-4, 0, 0], "vanishing", 1e-4, 1, "after 1 step, exactly 0 after 2"),
        ([1, math.inf], "exploding", 0, 1, "a thousandfold after 1 step, Inf after 1"),
        ([1, 0], "vanishing", 0, 1, "exactly 0 after 1"),
        ([1, 1e5, 1e-20], "exploding", 1e-10, 1, "a thousandfold after 1 step"),
    ],
)
def test_the_verdict_is_the_first_change_by_a_thousand(norm, kind, factor, horizon, reason):
    verdict = diagnose_through_time(profile_of(norm))
    assert (verdict.kind, verdict.horizon) == (kind, horizon)
    assert verdict.factor == pytest.approx(factor)
    assert verdict.reason.startswith("× ") and verdict.reason.endswith(reason)


def test_the_factor_counts_only_numbers_that_have_all_their_digits():
    norm = [1.0, 1e-15, 1e-30, 1e-44, 0.0]  # the fourth is denormal in float32
    assert diagnose_through_time(profile_of(norm)).factor == pytest.approx(1e-15)


def test_any_cell_can_be_differentiated_the_books_included():
    torch.manual_seed(0)
    book = d2l.RNNScratch(num_inputs=8, num_hiddens=7, sigma=0.3)
    x = digit_rows(6)
    found = jacobians_through_time(lambda x, h: book(x[None], (h,))[1], x, torch.zeros(7))

    def last(h, start):
        return book(x[start:, None], (h,))[1][0]

    for k in (1, 6):
        h = book(x[: 6 - k, None], None)[1] if k < 6 else torch.zeros(1, 7)
        expected = torch.autograd.functional.jacobian(lambda h, k=k: last(h, 6 - k), h)[:, 0]
        torch.testing.assert_close(found[k], expected)
    assert torch.equal(found[0], torch.eye(7))


def test_of_a_pair_of_states_the_second_is_differentiated():
    cell, x, zero = nn.LSTMCell(8, 5), digit_rows(4), torch.zeros(5)
    found = jacobians_through_time(cell, x, (zero, zero))

    def last(c):
        state = (zero[None], c[None])
        for row in x:
            state = cell(row[None], state)
        return state[1][0]

    expected = torch.autograd.functional.jacobian(last, zero)
    torch.testing.assert_close(found[4], expected)
    assert found.shape == (5, 5, 5)


def test_a_sequence_of_ones_own_is_measured():
    x = torch.randn(12, 3, generator=torch.Generator().manual_seed(0))
    profile = measure_through_time(RecurrentSpec(length=12, hidden_size=4), x)
    assert profile.norm.shape == (13,) and profile.norm[0] == 1
    other = measure_through_time(RecurrentSpec(length=12, hidden_size=4), 3 * x)
    assert other.norm[12] < profile.norm[12]  # more input, more saturation
    for wrong in (x[:11], x[:, 0]):
        with pytest.raises(ValueError, match=r"inputs must be \(12, features\), as spec says; got"):
            measure_through_time(RecurrentSpec(length=12), wrong)


def test_wrong_shapes_are_refused_with_what_came():
    cell, x = nn.RNNCell(8, 5), digit_rows(3)
    with pytest.raises(ValueError, match=r"state must be a vector.*\[\(1, 5\)\]"):
        jacobians_through_time(cell, x, torch.zeros(1, 5))
    for wrong in (x[0], x[:0]):
        with pytest.raises(ValueError, match=r"inputs must be \(T, features\), T ≥ 1; got"):
            jacobians_through_time(cell, wrong, torch.zeros(5))


@every_cell
def test_measuring_works_without_gradients_and_changes_nothing_outside(cell):
    spec, state = RecurrentSpec(cell, 6, 4, seed=9), torch.get_rng_state()
    expected = measure_through_time(spec).norm
    with torch.no_grad():
        assert torch.equal(measure_through_time(spec).norm, expected)
        zero = torch.zeros(4)
        first = (zero, zero) if cell == "lstm" else zero
        assert jacobians_through_time(build_cell(spec), digit_rows(6), first).shape == (7, 4, 4)
    with torch.inference_mode():
        fresh = RecurrentSpec(cell, 6, 4, seed=10)
        assert measure_through_time(fresh).norm.shape == (7,)
    assert torch.equal(torch.get_rng_state(), state)
    assert not measure_through_time(spec).jacobians.requires_grad
