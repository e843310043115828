"""The Jacobian against finite differences and matrix products; its spread against wide nets."""

import math

import numpy as np
import pytest
import torch
from scipy import integrate, stats
from torch import nn

from d2lstab import NetworkSpec, build
from d2lstab.jacobian import (
    Spectrum,
    jacobian,
    predict_mean_square,
    predict_spread,
    singular_values,
)

pytestmark = pytest.mark.once


def draw(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def body(depth, width, **settings):
    """Hidden layers of a network whose layers are all square."""
    return build(NetworkSpec(depth=depth, width=width, **settings), n_features=width)[:-1]


def test_a_linear_network_s_jacobian_is_the_product_of_its_weights():
    network = body(5, 16, activation="linear", init="normal")
    product = torch.eye(16, dtype=torch.float64)
    for layer in network:
        if isinstance(layer, nn.Linear):
            product = layer.weight.detach().double() @ product
    found = jacobian(network, draw(3, 16))
    torch.testing.assert_close(found, product.expand(3, 16, 16), rtol=1e-12, atol=1e-12)
    expected = np.sqrt(np.linalg.eigvalsh((product.T @ product).numpy())[::-1].clip(0))
    values = singular_values(network, draw(1, 16)).values[0]
    assert values.numpy() == pytest.approx(expected, abs=1e-7)


@pytest.mark.parametrize("residual", [False, True])
@pytest.mark.parametrize("norm", [None, "layer"])
def test_the_jacobian_is_that_of_finite_differences(residual, norm):
    network = build(NetworkSpec(depth=3, width=12, residual=residual, norm=norm)).eval()
    inputs, step = draw(4, 64), 1e-6
    found = jacobian(network, inputs)
    assert found.shape == (4, 10, 64) and found.dtype == torch.float64
    network = network.double()
    with torch.no_grad():
        for j in (0, 17, 63):
            shift = torch.zeros(64, dtype=torch.float64)
            shift[j] = step
            slope = (network(inputs + shift) - network(inputs - shift)) / (2 * step)
            torch.testing.assert_close(found[:, :, j], slope, rtol=1e-6, atol=1e-8)


def test_a_convolutional_network_is_flattened():
    network = nn.Sequential(nn.Conv2d(1, 2, 3), nn.Tanh(), nn.Flatten(), nn.Linear(8, 5))
    images = draw(2, 1, 4, 4)
    found = jacobian(network, images)
    assert found.shape == (2, 5, 16)
    direction, step = draw(1, 1, 4, 4, seed=1), 1e-6
    network = network.double()
    with torch.no_grad():
        change = (network(images + step * direction) - network(images - step * direction)) / step
    torch.testing.assert_close(found @ direction.flatten(), change / 2, rtol=1e-6, atol=1e-8)


def test_the_network_is_left_as_it_was():
    network = build(NetworkSpec(depth=2, norm="batch")).eval()
    before = {name: value.clone() for name, value in network.state_dict().items()}
    singular_values(network, torch.ones(2, 64))
    assert all(torch.equal(before[name], value) for name, value in network.state_dict().items())
    assert all(p.grad is None and p.requires_grad for p in network.parameters())
    assert next(network.parameters()).dtype == torch.float32


def test_the_summaries_of_a_spectrum():
    spectrum = Spectrum(torch.tensor([[2.0, 1.0, 1.0], [3.0, 3.0, 0.0]], dtype=torch.float64))
    assert spectrum.condition.tolist() == [2, math.inf]
    assert spectrum.mean_square.tolist() == [2, 6]
    assert spectrum.spread.tolist() == pytest.approx(
        [np.var([4, 1, 1]) / 4, np.var([9, 9, 0]) / 36]
    )


@pytest.mark.parametrize("depth", [1, 30])
def test_an_orthogonal_linear_network_is_an_isometry(depth):
    values = singular_values(
        body(depth, 32, activation="linear", init="orthogonal"), draw(2, 32)
    ).values
    assert (values - 1).abs().max() < 1e-5  # the weights are drawn in float32


def test_orthogonal_weights_are_drawn_from_the_haar_measure():
    """√n Q₁₁ of a Haar matrix has a known law: Q₁₁² is Beta(½, (n − 1)/2), and its sign is fair."""
    entries = [
        nn.init.orthogonal_(torch.empty(5, 5), generator=torch.Generator().manual_seed(seed))[
            0, 0
        ].item()
        for seed in range(1500)
    ]
    law = stats.beta(1 / 2, 2)
    assert stats.kstest(np.square(entries), law.cdf).pvalue > 1e-3
    assert abs(np.mean(np.sign(entries))) < 4 / math.sqrt(1500)


# Theory


def moments_by_quad(derivative, variance):
    density = stats.norm(scale=math.sqrt(variance)).pdf
    return [
        integrate.quad(lambda z, k=k: derivative(z) ** k * density(z), -30, 30, points=[0])[0]
        for k in (2, 4)
    ]


@pytest.mark.parametrize("orthogonal", [True, False])
def test_the_predictions_are_sums_and_products_over_layers(orthogonal):
    variances = [0.1, 0.7, 2.0]
    moments = [moments_by_quad(lambda z: 1 - math.tanh(z) ** 2, q) for q in variances]
    square = math.prod(1.3**2 * first for first, _ in moments)
    spread = sum(second / first**2 - orthogonal for first, second in moments)
    assert predict_mean_square("tanh", variances, 1.3) == pytest.approx(square, rel=1e-6)
    found = predict_spread("tanh", variances, orthogonal=orthogonal)
    assert found == pytest.approx(spread, rel=1e-6)


@pytest.mark.parametrize(
    ("activation", "orthogonal", "per_layer"),
    [("linear", False, 1), ("linear", True, 0), ("relu", False, 2), ("relu", True, 1)],
)
def test_the_spread_in_closed_form(activation, orthogonal, per_layer):
    """For slopes 0 and 1 with share p the spread is L (1/p − 1 − s₁): Pennington et al. 2017."""
    found = predict_spread(activation, [0.3, 5.0] * 20, orthogonal=orthogonal)
    assert found == pytest.approx(40 * per_layer, abs=1e-9)


@pytest.mark.parametrize("init", ["normal", "orthogonal"])
@pytest.mark.parametrize(("activation", "gain"), [("linear", 1.0), ("relu", 2**0.5)])
def test_wide_networks_have_the_predicted_spread(activation, gain, init):
    depth, width = 4, 400
    network = body(depth, width, activation=activation, init=init, gain=gain, seed=3)
    measured = singular_values(network, draw(2, width))
    expected = predict_spread(activation, [1.0] * depth, orthogonal=init == "orthogonal")
    assert measured.spread.mean().item() == pytest.approx(expected, rel=0.06, abs=1e-6)
    assert measured.mean_square.mean().item() == pytest.approx(1, rel=0.06)


@pytest.mark.parametrize("init", ["normal", "orthogonal"])
def test_a_wide_tanh_network_has_the_predicted_spread(init):
    """The variances come from the network itself, so that no other theory takes part."""
    depth, width, gain = 5, 400, 1.2
    network = body(depth, width, activation="tanh", init=init, gain=gain, seed=1)
    inputs = draw(2, width).float()
    with torch.no_grad():
        variances = [network[: 2 * n + 1](inputs).square().mean().item() for n in range(depth)]
    measured = singular_values(network, inputs)
    expected = predict_spread("tanh", variances, orthogonal=init == "orthogonal")
    assert measured.spread.mean().item() == pytest.approx(expected, rel=0.06)
    square = predict_mean_square("tanh", variances, gain)
    assert measured.mean_square.mean().item() == pytest.approx(square, rel=0.1)


LINEAR = nn.Linear(3, 2)


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: jacobian(len, torch.zeros(1, 3)), TypeError, "network must be a torch.nn.Module"),
        (lambda: jacobian(LINEAR, [1.0]), TypeError, "floating point; got list"),
        (lambda: jacobian(LINEAR, torch.zeros(1, 3).int()), TypeError, "got torch.int32"),
        (lambda: jacobian(LINEAR, torch.zeros(0, 3)), ValueError, "got (0, 3)"),
        (lambda: jacobian(LINEAR, torch.zeros(3)), ValueError, "must have shape (examples, ...)"),
        (
            lambda: jacobian(nn.Sequential(LINEAR, nn.Dropout()), torch.zeros(1, 3)),
            ValueError,
            "layer '1' (Dropout) is in train mode",
        ),
        (
            lambda: singular_values(nn.Sequential(LINEAR, nn.BatchNorm1d(2)), torch.zeros(2, 3)),
            ValueError,
            "call network.eval() first",
        ),
        (lambda: predict_spread("rleu", [1.0], orthogonal=True), ValueError, "Did you mean 'relu'"),
        (lambda: predict_spread("relu", [-1.0], orthogonal=True), ValueError, "variances must be"),
        (lambda: predict_mean_square("relu", [1.0], -1), ValueError, "weight_std must be"),
    ],
)
def test_a_bad_argument_is_named(call, error, message):
    with pytest.raises(error) as raised:
        call()
    assert message in str(raised.value)
