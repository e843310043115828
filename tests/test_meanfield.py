"""`meanfield` against closed forms, published values, scipy and Monte Carlo."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import integrate

from d2lstab import NetworkSpec, build, measure
from d2lstab.activations import ACTIVATIONS
from d2lstab.datasets import digits
from d2lstab.meanfield import Phase, correlation_map, edge_of_chaos, phase, variance_map

NAMES = list(ACTIVATIONS)
SMOOTH = ("sigmoid", "tanh", "gelu", "silu", "softplus")


def by_scipy(name, variance, of=lambda phi, slope: phi**2):
    """E of something of φ and φ' at N(0, variance), by scipy's adaptive quadrature."""
    activation, s = ACTIVATIONS[name], math.sqrt(variance)

    def integrand(z):
        x = torch.tensor([s * z], dtype=torch.float64)
        value = of(activation.function(x), activation.derivative(x)).item()
        return value * math.exp(-z * z / 2) / math.sqrt(2 * math.pi)

    bends = sorted({0.0, *(b / s for b in (-30, -10, -3, -1, 1, 3, 10, 30) if abs(b / s) < 12)})
    ends = [-12.0, *bends, 12.0]
    return sum(
        integrate.quad(integrand, low, high, epsabs=1e-14, epsrel=1e-12)[0]
        for low, high in zip(ends[:-1], ends[1:], strict=True)
    )


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("variance", [1e-4, 0.7, 30.0, 1e6])
def test_the_variance_map_agrees_with_adaptive_quadrature(name, variance):
    expected = 1.7**2 * by_scipy(name, variance) + 0.3**2
    assert variance_map(name, variance, 1.7, 0.3) == pytest.approx(expected, rel=1e-9)


def test_the_variance_map_takes_arrays_and_gives_their_shape():
    q = np.array([[0.0, 1.0], [2.0, 1e10]])
    got = variance_map("relu", q, 2**0.5)
    assert got.shape == q.shape and np.allclose(got, q, rtol=1e-12)
    assert type(variance_map("relu", 1, 1)) is float


@pytest.mark.parametrize("c", [-1.0, -0.6, 0.0, 0.3, 0.99, 0.999999, 1.0])
@pytest.mark.parametrize("variance", [1e-3, 1.0, 400.0])
def test_the_correlation_map_has_the_arc_cosine_kernels(c, variance):
    theta = math.acos(c)  # Cho & Saul 2009
    relu = (math.sin(theta) + (math.pi - theta) * c) / math.pi
    assert correlation_map("relu", c, variance, 2**0.5) == pytest.approx(relu, abs=1e-9)
    step = 1 - theta / math.pi
    assert correlation_map("hard_step", c, variance, 1.0) == pytest.approx(step, abs=1e-9)
    assert correlation_map("linear", c, variance, 1.0) == pytest.approx(c, abs=1e-12)


@pytest.mark.parametrize("name", SMOOTH)
@pytest.mark.parametrize("c", [-0.5, 0.0, 0.8])
def test_the_correlation_map_agrees_with_gauss_hermite_quadrature_in_two_dimensions(name, c):
    x, weight = np.polynomial.hermite_e.hermegauss(120)
    weight = weight / weight.sum()
    u, v = 0.9 * x[:, None], 0.9 * (c * x[:, None] + math.sqrt(1 - c * c) * x)
    f = ACTIVATIONS[name].function
    u, v = (f(torch.from_numpy(np.ascontiguousarray(a))).numpy() for a in (u, v))
    shared, own = weight @ (u * v) @ weight, weight @ (u**2)[:, 0]
    expected = (1.5 * shared + 0.2) / (1.5 * own + 0.2)
    got = correlation_map(name, c, 0.81, 1.5**0.5, 0.2**0.5)
    assert got == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize("name", NAMES)
def test_both_maps_agree_with_monte_carlo_within_its_error(name):
    generator, q, c = torch.Generator().manual_seed(1), 2.5, 0.6
    a, b = torch.randn(2, 400_000, generator=generator, dtype=torch.float64)
    f = ACTIVATIONS[name].function
    u, v = f(q**0.5 * a), f(q**0.5 * (c * a + (1 - c * c) ** 0.5 * b))
    for samples, expected in (
        (u * u, variance_map(name, q, 1.0)),
        (u * v, correlation_map(name, c, q, 1.0) * variance_map(name, q, 1.0)),
    ):
        error = (samples.std() / len(samples) ** 0.5).item()
        assert abs(samples.mean().item() - expected) < 4.5 * error + 1e-12


# --- published values ----------------------------------------------------------------------------


def test_the_edge_of_chaos_is_where_the_papers_have_it():
    assert edge_of_chaos("tanh", 0.05**0.5) ** 2 == pytest.approx(1.761, abs=5e-4)
    assert edge_of_chaos("tanh") == pytest.approx(1.0, abs=1e-6)
    assert edge_of_chaos("relu") ** 2 == pytest.approx(2.0, abs=1e-9)  # He et al. 2015
    assert edge_of_chaos("linear") == pytest.approx(1.0, abs=1e-9)
    assert edge_of_chaos("leaky_relu") ** 2 == pytest.approx(2 / (1 + 0.01**2), abs=1e-6)


def test_the_edge_of_tanh_matches_a_critical_point_used_for_ten_thousand_layers():
    # Xiao et al. 2018 train at σ_w² = 1.05, σ_b² = 2.01e-5
    assert edge_of_chaos("tanh", 2.01e-5**0.5) ** 2 == pytest.approx(1.05, abs=2e-3)


def test_selu_has_its_fixed_point_at_variance_one():  # Klambauer et al. 2017
    assert phase("selu", 1.0).variance == pytest.approx(1.0, abs=1e-6)


def test_hard_step_has_no_edge():
    assert math.isnan(edge_of_chaos("hard_step", 0.3))


# --- phases --------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", [n for n in NAMES if n != "hard_step"])
@pytest.mark.parametrize("bias_std", [0.0, 0.3])
def test_the_phase_turns_at_the_edge(name, bias_std):
    edge = edge_of_chaos(name, bias_std)
    below, above = phase(name, 0.97 * edge, bias_std), phase(name, 1.03 * edge, bias_std)
    assert (below.kind, above.kind) == ("ordered", "chaotic")
    assert below.chi < 1 < above.chi and below.correlation == 1.0


@pytest.mark.parametrize("name", ["sigmoid", "tanh", "hard_step"])
def test_the_fixed_points_stay_where_they_are(name):
    found = phase(name, 1.8, 0.4)
    again = variance_map(name, found.variance, 1.8, 0.4)
    assert again == pytest.approx(found.variance, rel=1e-10)
    c = correlation_map(name, found.correlation, found.variance, 1.8, 0.4)
    assert c == pytest.approx(found.correlation, abs=1e-10)


@pytest.mark.parametrize(("weight_std", "bias_std"), [(1.0, 0.3), (1.6, 0.1), (2.5, 0.5)])
def test_iterating_the_maps_arrives_at_the_rate_of_the_depth_scales(weight_std, bias_std):
    found = phase("tanh", weight_std, bias_std)
    q, c = found.variance * 1.01, found.correlation - 0.01
    for _ in range(3):
        q_next = variance_map("tanh", q, weight_std, bias_std)
        c_next = correlation_map("tanh", c, found.variance, weight_std, bias_std)
        q_rate = (q_next - found.variance) / (q - found.variance)
        c_rate = (c_next - found.correlation) / (c - found.correlation)
        q, c = q_next, c_next
    assert -1 / math.log(q_rate) == pytest.approx(found.variance_depth, rel=0.05)
    assert -1 / math.log(c_rate) == pytest.approx(found.correlation_depth, rel=0.1)


def test_chi_is_the_mean_square_slope_at_the_fixed_point():
    found = phase("tanh", 1.5, 0.2)
    slope = by_scipy("tanh", found.variance, lambda _, slope: slope**2)
    assert found.chi == pytest.approx(1.5**2 * slope, rel=1e-9)


def test_variance_dies_stays_or_diverges_for_relu():
    assert phase("relu", 1.3).variance == 0.0
    assert phase("relu", 2**0.5).kind == "critical"
    assert phase("relu", 2**0.5).correlation_depth == math.inf
    assert phase("relu", 1.5).variance == math.inf
    assert phase("relu", 1.0, 1.0).variance == pytest.approx(2.0)  # q = q/2 + 1


@pytest.mark.parametrize("name", NAMES)
def test_variance_of_a_wide_network_follows_the_map(name):
    spec = NetworkSpec(
        depth=4, width=2048, activation=name, init="normal", gain=1.4, bias_std=0.2, seed=3
    )
    batch = digits(64)
    q = variance_map("linear", batch.inputs.double().square().mean(1).numpy(), 1.4, 0.2)
    for _ in range(3):
        q = variance_map(name, q, 1.4, 0.2)
    with torch.no_grad():
        measured = build(spec)[:7](batch.inputs).double().square().mean(1).numpy()
    assert np.median(measured / q) == pytest.approx(1, abs=0.12)  # 3 layers of √(5/2048), and more


def test_chi_is_the_factor_of_the_squared_gradient_in_a_wide_network():
    spec = NetworkSpec(depth=30, width=1024, init="normal", gain=1.6, bias_std=0.3)
    norms = measure(spec).activation_gradient_norm
    per_layer = (norms[5] / norms[25]).item() ** (2 / 20)
    assert per_layer == pytest.approx(phase("tanh", 1.6, 0.3).chi, rel=0.02)


# --- bad and extreme input -----------------------------------------------------------------------

stds = st.one_of(st.floats(0, 20), st.floats(0, 1e300))


@settings(max_examples=150, deadline=None, derandomize=True)
@given(st.sampled_from(NAMES), stds, stds)
def test_any_phase_is_a_phase(name, weight_std, bias_std):
    found = phase(name, weight_std, bias_std)
    assert isinstance(found, Phase) and found.kind in ("ordered", "critical", "chaotic")
    assert found.variance >= 0 and -1 <= found.correlation <= 1 and found.chi >= 0
    assert found.variance_depth >= 0 and found.correlation_depth >= 0


@settings(max_examples=100, deadline=None, derandomize=True)
@given(st.sampled_from(NAMES), st.floats(0, 1e300), st.floats(-1, 1), stds, stds)
def test_any_variance_and_correlation_is_mapped(name, variance, c, weight_std, bias_std):
    q = variance_map(name, variance, weight_std, bias_std)
    assert q >= 0
    got = correlation_map(name, c, variance, weight_std, bias_std)
    assert -1.000001 <= got <= 1.000001 or math.isnan(got)


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: phase("thanh", 1.0), ValueError, "Did you mean 'tanh'"),
        (lambda: phase("tanh", -1.0), ValueError, "weight_std"),
        (lambda: phase("tanh", 1.0, math.nan), ValueError, "bias_std"),
        (lambda: edge_of_chaos("tanh", "0"), TypeError, "bias_std"),
        (lambda: variance_map("tanh", -1.0, 1.0), ValueError, "variance"),
        (lambda: variance_map("tanh", math.inf, 1.0), ValueError, "variance"),
        (lambda: correlation_map("tanh", 1.1, 1.0, 1.0), ValueError, "correlation"),
        (lambda: correlation_map("tanh", 0.0, [1.0], 1.0), TypeError, "variance"),
    ],
)
def test_wrong_values_are_refused_by_name(call, error, message):
    with pytest.raises(error, match=message):
        call()
