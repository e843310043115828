"""`normalization.depth` against closed forms, scipy, Monte Carlo through autograd, and networks."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from scipy import integrate
from scipy.special import gammaln

from d2lstab import NetworkSpec, measure
from d2lstab.activations import ACTIVATIONS
from d2lstab.normalization.depth import (
    batch_norm_growth,
    layer_norm_growth,
    measured_growth,
    normed_layer,
    post_norm_growth,
    pre_norm_stream,
)

BENT = [name for name in ACTIVATIONS if name not in ("linear", "hard_step")]


def by_scipy(values):
    """E of values(φ, φ', z) for a function of tensors, z ~ N(0, 1), by adaptive quadrature."""

    def integrand(z):
        return values(torch.tensor(z, dtype=torch.float64)).item() * math.exp(-z * z / 2)

    halves = [integrate.quad(integrand, *ends)[0] for ends in ((-12, 0), (0, 12))]
    return sum(halves) / math.sqrt(2 * math.pi)


@pytest.mark.parametrize("name", ["sigmoid", "elu", "gelu"])
@pytest.mark.parametrize("weight_std", [0.5, 1.0, 2.0])
def test_the_moments_of_a_layer_agree_with_adaptive_quadrature(name, weight_std):
    phi, slope = ACTIVATIONS[name].function, ACTIVATIONS[name].derivative
    mean = by_scipy(lambda z: phi(weight_std * z))
    square = by_scipy(lambda z: phi(weight_std * z) ** 2)
    backward = weight_std**2 * by_scipy(lambda z: slope(weight_std * z) ** 2)
    layer = normed_layer(name, weight_std)
    assert layer.square == pytest.approx(square, rel=1e-7)
    assert layer.variance == pytest.approx(square - mean**2, rel=1e-7)
    assert layer.backward == pytest.approx(backward, rel=1e-7)


def test_the_growth_of_relu_and_of_linear_layers_is_known():
    assert batch_norm_growth("relu") == pytest.approx(math.sqrt(math.pi / (math.pi - 1)), rel=1e-9)
    assert post_norm_growth("relu", 2**0.5) == pytest.approx(
        math.sqrt(2 * math.pi / (2 * math.pi - 1)), rel=1e-9
    )
    assert layer_norm_growth("relu") == pytest.approx(1, rel=1e-9)
    for growth in (batch_norm_growth("linear"), layer_norm_growth("linear")):
        assert growth == pytest.approx(1, rel=1e-9)


@pytest.mark.parametrize("name", BENT)
def test_whatever_bends_explodes_behind_batch_norm(name):
    assert batch_norm_growth(name) > 1.01
    assert batch_norm_growth(name, 8) > batch_norm_growth(name, 64) > batch_norm_growth(name)


def test_the_weights_scale_does_not_enter_where_the_activation_is_homogeneous():
    for std in (0.3, 3.0):
        layer = normed_layer("relu", std)
        assert layer.backward / layer.variance == pytest.approx(math.pi / (math.pi - 1))


@pytest.mark.parametrize("size", [4, 5, 8, 100, 5000])
def test_a_finite_batch_has_closed_forms_for_linear_layers_and_relu(size):
    linear = math.sqrt((size - 2) / (size - 3))
    assert batch_norm_growth("linear", size) == pytest.approx(linear, rel=1e-9)
    c = -1 / (size - 1)  # ReLU is homogeneous: the sphere has the arc-cosine kernels of a Gaussian
    product = (math.sqrt(1 - c * c) + (math.pi - math.acos(c)) * c) / (2 * math.pi)
    both = 1 / 4 + math.asin(c) / (2 * math.pi)  # positive at the same time
    passed = 0.5 - (0.5 - both) / size - (0.5 - product) / size
    relu = math.sqrt(size / (size - 3) * passed / (0.5 - product))
    assert batch_norm_growth("relu", size) == pytest.approx(relu, rel=1e-9)


@pytest.mark.parametrize("name", ["tanh", "gelu"])
def test_a_finite_batch_grows_as_torch_s_own_batch_norm_does(name):
    size, units = 8, 200_000
    generator = torch.Generator().manual_seed(0)
    y = torch.randn(size, units, generator=generator).requires_grad_()
    phi = ACTIVATIONS[name].function(F.batch_norm(y, None, None, training=True))
    gradient = torch.randn(size, units, generator=generator)
    gradient -= gradient.mean(0)  # as it comes from a batch norm behind
    (back,) = torch.autograd.grad(phi, y, gradient)
    ratio = (back.square().sum() / gradient.square().sum()).item()
    spread = (phi - phi.mean(0)).square().sum().item() / units / (size - 1)  # of the next y
    assert batch_norm_growth(name, size) == pytest.approx(math.sqrt(ratio / spread), rel=0.01)


def test_a_large_batch_tends_to_the_limit():
    assert batch_norm_growth("tanh", 100_000) == pytest.approx(batch_norm_growth("tanh"), rel=1e-5)


@pytest.mark.parametrize("name", ["tanh", "elu", "silu"])
def test_the_length_exponent_is_the_slope_of_a_finite_difference(name):
    phi = ACTIVATIONS[name].function
    mean, h = by_scipy(phi), 1e-3

    def away(q):
        return math.log(by_scipy(lambda z: (phi(math.sqrt(q) * z) - mean) ** 2))

    slope = (away(1 + h) - away(1 - h)) / (2 * h)
    assert normed_layer(name).length_exponent == pytest.approx(slope, abs=1e-4)


def test_lengths_drift_apart_above_one_and_relu_stands_on_it():
    exponent = {name: normed_layer(name).length_exponent for name in ACTIVATIONS if name in BENT}
    assert exponent["relu"] == pytest.approx(1) and exponent["leaky_relu"] == pytest.approx(1)
    assert {name for name, x in exponent.items() if x > 1.01} == {"gelu", "silu", "softplus"}


@pytest.mark.parametrize("name", ["relu", "tanh"])
@pytest.mark.parametrize("norm", ["batch", "layer"])
def test_networks_grow_as_foretold(name, norm):
    said = {"batch": batch_norm_growth, "layer": layer_norm_growth}[norm](name)
    spec = NetworkSpec(depth=50, width=128, activation=name, init="he", norm=norm)
    assert measured_growth(measure(spec)) == pytest.approx(said, rel=0.04)


@pytest.mark.parametrize("name, init", [("relu", "he"), ("tanh", "xavier")])
def test_post_norm_networks_grow_as_foretold(name, init):
    spec = NetworkSpec(
        depth=100, width=64, activation=name, init=init, norm="layer", residual=True,
        norm_place="post",
    )  # fmt: skip
    said = post_norm_growth(name, {"he": 2**0.5, "xavier": 1.0}[init])
    assert measured_growth(measure(spec)) == pytest.approx(said, rel=0.02)


def test_a_pre_norm_stream_follows_the_gamma_function_and_a_power_of_depth():
    depth, rate = 400, math.pi / (math.pi - 1)
    stream, block = pre_norm_stream("relu", 2**0.5, depth), np.arange(1, depth + 1)
    log = gammaln(depth + rate) + gammaln(block) - gammaln(depth) - gammaln(block + rate)
    np.testing.assert_allclose(stream.gradient, np.exp(log / 2), rtol=1e-9)
    np.testing.assert_allclose(stream.variance, block * (1 - 1 / math.pi), rtol=1e-9)
    twice = pre_norm_stream("relu", 2**0.5, 2 * depth).gradient[0] / stream.gradient[0]
    assert twice == pytest.approx(2**stream.exponent, rel=1e-2)
    assert pre_norm_stream("tanh", 1.0, 1).gradient.tolist() == [1.0]


def test_a_pre_norm_network_follows_its_stream():
    spec = NetworkSpec(
        depth=100, width=128, activation="tanh", norm="layer", residual=True, norm_place="pre"
    )
    profile, stream = measure(spec), pre_norm_stream("tanh", 1.0, 100)
    gradient = profile.activation_gradient_norm[:-1].numpy()
    np.testing.assert_allclose((gradient / gradient[-1])[4:], stream.gradient[4:], rtol=0.25)
    variance = profile.activation_std[:-1].numpy() ** 2
    np.testing.assert_allclose(variance[4:], stream.variance[4:], rtol=0.15)


def test_the_measured_growth_leaves_out_both_ends():
    profile = measure(NetworkSpec(depth=8, width=8))
    norms = torch.tensor([9.0, 9.0, 8.0, 4.0, 2.0, 1.0, 0.5, 70.0, 70.0], dtype=torch.float64)
    profile = replace(profile, activation_gradient_norm=norms)
    assert measured_growth(profile, skip=2) == pytest.approx(2)
    assert measured_growth(profile, skip=5) == pytest.approx(2)
    with pytest.raises(ValueError, match="skip must leave two hidden layers.*got 6 of 8"):
        measured_growth(profile, skip=6)


@pytest.mark.parametrize(
    "call, message",
    [
        (lambda: batch_norm_growth("relu", 3), "batch_size must be an integer ≥ 4; got 3"),
        (lambda: batch_norm_growth("rleu"), "Did you mean 'relu'"),
        (lambda: post_norm_growth("relu", 0.0), "weight_std"),
        (lambda: pre_norm_stream("relu", 1.0, 0), "depth must be an integer ≥ 1; got 0"),
    ],
)
def test_wrong_arguments_are_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call()
