"""Layers that normalize their weights, against PyTorch, the papers' formulas and differences."""

import math

import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torch.nn.utils.parametrizations import weight_norm

from d2lstab import NetworkSpec, measure
from d2lstab.datasets import digits
from d2lstab.normalization import (
    CosineNorm,
    LayerNorm,
    RMSNorm,
    WeightNorm,
    WeightStandardization,
)
from d2lstab.normalization.weights import unit

KINDS = (WeightNorm, WeightStandardization, CosineNorm)


def drawn(*shape, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(shape, generator=generator, dtype=torch.float64)


def layer_of(kind, weight, bias=None, gain=None):
    """A layer with these parameters, of their dtype."""
    layer = kind(weight.shape[1], weight.shape[0], bias=bias is not None).to(weight.dtype)
    with torch.no_grad():
        layer.weight.copy_(weight)
        if bias is not None:
            layer.bias.copy_(bias)
        if gain is not None:
            layer.gain.copy_(gain)
    return layer


def assert_same_gradients(outputs, expected, inputs, expected_inputs):
    """Compare d(sum of c · output) for some fixed c, with respect to each input."""
    c = drawn(*outputs.shape, seed=9).to(outputs.dtype)
    found = torch.autograd.grad((c * outputs).sum(), inputs)
    wanted = torch.autograd.grad((c * expected).sum(), expected_inputs)
    for one, other in zip(found, wanted, strict=True):
        torch.testing.assert_close(one, other.reshape(one.shape), rtol=1e-6, atol=1e-6)


def assert_equal(layer, reference, x, parameters=("weight", "bias")):
    """Compare a layer with a function of x and its parameters, forward and backward."""
    x = x.clone().requires_grad_()
    inputs = [x, *(getattr(layer, name) for name in parameters)]
    copies = [tensor.detach().clone().requires_grad_() for tensor in inputs]
    outputs, expected = layer(x), reference(*copies)
    torch.testing.assert_close(outputs, expected, rtol=1e-6, atol=1e-6)
    assert_same_gradients(outputs, expected, inputs, copies)


# Weight normalization.


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_weight_norm_is_pytorch_s_forward_and_backward(dtype):
    v, b, g = (tensor.to(dtype) for tensor in (drawn(5, 7), drawn(5), drawn(5, seed=1)))
    x = drawn(11, 7, seed=2).to(dtype).requires_grad_()
    layer, theirs = layer_of(WeightNorm, v, b, g), weight_norm(nn.Linear(7, 5).to(dtype))
    with torch.no_grad():
        theirs.bias.copy_(b)
        theirs.parametrizations.weight.original0.copy_(g[:, None])
        theirs.parametrizations.weight.original1.copy_(v)
    y = x.detach().clone().requires_grad_()
    torch.testing.assert_close(layer(x), theirs(y), rtol=1e-6, atol=1e-6)
    torch.testing.assert_close(layer.effective_weight(), theirs.weight, rtol=1e-6, atol=1e-6)
    parameters = theirs.parametrizations.weight
    assert_same_gradients(
        layer(x),
        theirs(y),
        [x, layer.gain, layer.weight, layer.bias],
        [y, parameters.original0, parameters.original1, theirs.bias],
    )


def test_rows_have_the_length_g_at_any_length_of_v():
    v = drawn(4, 9) * torch.tensor([[1e-6], [1.0], [1e6], [3.0]], dtype=torch.float64)
    gain = torch.tensor([1.0, -2.0, 0.5, 0.0], dtype=torch.float64)
    rows = layer_of(WeightNorm, v, gain=gain).effective_weight()
    torch.testing.assert_close(rows.norm(dim=1), gain.abs())


def test_weight_norm_starts_at_length_one():
    layer = WeightNorm(6, 3)
    torch.testing.assert_close(layer.effective_weight().norm(dim=1), torch.ones(3))


# The gradient with respect to v.


@pytest.mark.parametrize("kind", KINDS)
def test_the_gradient_is_perpendicular_to_v(kind):
    layer = layer_of(kind, drawn(5, 7))
    layer(drawn(11, 7, seed=1)).square().sum().backward()
    v, gradient = layer.weight.detach(), layer.weight.grad
    assert (gradient.norm(dim=1) > 0.01).all()
    assert F.cosine_similarity(v, gradient).abs().max() < 1e-12


def test_the_gradient_of_standardized_weights_has_mean_zero():
    layer = layer_of(WeightStandardization, drawn(5, 7))
    layer(drawn(11, 7, seed=1)).square().sum().backward()
    assert layer.weight.grad.mean(1).abs().max() < 1e-12


def test_the_gradient_is_the_projection_of_the_paper():
    v, gain, x = drawn(5, 7), drawn(5, seed=1), drawn(11, 7, seed=2)
    layer = layer_of(WeightNorm, v, gain=gain)
    layer(x).square().sum().backward()
    w = (gain / v.norm(dim=1))[:, None] * v
    by_w = 2 * (x @ w.T).T @ x  # of the sum of squares with respect to w, in closed form
    for unit_, (row, d) in enumerate(zip(w, by_w, strict=True)):
        projection = torch.eye(7, dtype=torch.float64) - torch.outer(row, row) / row.dot(row)
        expected = gain[unit_] / v[unit_].norm() * (projection @ d)
        torch.testing.assert_close(layer.weight.grad[unit_], expected)


@pytest.mark.parametrize("kind", KINDS)
def test_gradients_fall_as_the_weights_grow(kind):
    found = []
    for scale in (1, 100):
        layer = layer_of(kind, scale * drawn(5, 7))
        layer(drawn(11, 7, seed=1)).square().sum().backward()
        found.append(scale * layer.weight.grad)
    torch.testing.assert_close(*found)


@pytest.mark.parametrize("kind", KINDS)
def test_gradients_are_finite_differences(kind):
    layer = layer_of(kind, drawn(3, 4), drawn(3))

    def outputs(x, *parameters):
        return torch.func.functional_call(layer, dict(zip(names, parameters, strict=True)), (x,))

    names = [name for name, _ in layer.named_parameters()]
    parameters = [p.detach().clone().requires_grad_() for p in layer.parameters()]
    assert torch.autograd.gradcheck(outputs, (drawn(2, 4, seed=1).requires_grad_(), *parameters))


# Weight standardization.


def test_standardized_rows_have_mean_zero_and_length_one():
    rows = layer_of(WeightStandardization, 3 + 5 * drawn(6, 50)).effective_weight()
    assert rows.mean(1).abs().max() < 1e-15
    torch.testing.assert_close(rows.norm(dim=1), torch.ones(6, dtype=torch.float64))


def test_weight_standardization_is_batch_norm_of_the_weights():
    def reference(x, weight, bias):  # a row is a channel, its entries are the batch
        rows = F.batch_norm(weight.T, None, None, training=True, eps=1e-30).T
        return F.linear(x, rows / 7**0.5, bias)

    layer = layer_of(WeightStandardization, 1 + drawn(5, 7), drawn(5))
    assert_equal(layer, reference, drawn(11, 7, seed=1))


def test_standardized_weights_do_not_see_what_all_inputs_share():
    layer = layer_of(WeightStandardization, drawn(5, 7))
    x = drawn(11, 7, seed=1)
    torch.testing.assert_close(layer(x), layer(x + 100), rtol=0, atol=1e-12)


# Cosine normalization.


def paper(x, weight, bias):
    """Luo et al. 2017: (w·x)/(|w| |x|), one example and one unit at a time."""
    rows = [[w.dot(e) / (w.dot(w).sqrt() * e.dot(e).sqrt()) for w in weight] for e in x]
    return torch.stack([torch.stack(row) for row in rows]) + bias


def similarity(x, weight, bias):
    return F.cosine_similarity(x[:, None], weight[None], dim=2) + bias


@pytest.mark.parametrize("reference", [paper, similarity])
def test_cosine_norm_is_the_cosine_plus_a_bias(reference):
    layer = layer_of(CosineNorm, drawn(3, 6), drawn(3))
    assert_equal(layer, reference, drawn(4, 6, seed=1))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("scale", [0, 1e-300, 1e-30, 1e-13, 1e-6, 1, 1e9, 1e18, 1e30, 1e38])
def test_a_cosine_stays_between_minus_one_and_one(scale, dtype):
    x = (scale * drawn(50, 6)).to(dtype)
    layer = layer_of(CosineNorm, torch.cat([x[:20], -x[:20]]))
    assert layer(x).abs().max() <= 1 + 4 * torch.finfo(dtype).eps


@pytest.mark.parametrize("scale", [1e-6, 1e-3, 1e3, 1e9, 1e18])
def test_a_cosine_does_not_see_lengths(scale):
    v, x = drawn(3, 6).float(), drawn(4, 6, seed=1).float()
    expected = layer_of(CosineNorm, v)(x)
    for scaled in (layer_of(CosineNorm, v)(scale * x), layer_of(CosineNorm, scale * v)(x)):
        torch.testing.assert_close(scaled, expected, rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(layer_of(CosineNorm, -v)(scale * x), -expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("kind", KINDS)
def test_zero_vectors_give_zero_and_no_nan(kind, dtype):
    layer = layer_of(kind, torch.zeros(3, 6, dtype=dtype))
    x = torch.cat([torch.zeros(1, 6), torch.ones(1, 6)]).to(dtype).requires_grad_()
    outputs = layer(x)
    assert (outputs == 0).all()
    outputs.sum().backward()
    for tensor in (x, *layer.parameters()):
        assert tensor.grad.isfinite().all()


def test_a_zero_input_gives_the_bias_and_no_nan():
    layer, x = layer_of(CosineNorm, drawn(3, 6), drawn(3)), torch.zeros(2, 6, dtype=torch.float64)
    assert torch.equal(layer(x.requires_grad_()), layer.bias.expand(2, 3))
    layer(x).square().sum().backward()
    assert x.grad.isfinite().all() and layer.weight.grad.isfinite().all()


def test_a_unit_vector_keeps_its_direction():
    x = drawn(5, 6)
    torch.testing.assert_close(unit(x), F.normalize(x, dim=1))
    torch.testing.assert_close(unit(x) * x.norm(dim=1, keepdim=True), x)


# Two halves of a norm.


def test_a_cosine_is_weight_norm_after_rms_norm():
    v, x = drawn(5, 7), drawn(11, 7, seed=1)
    halves = layer_of(WeightNorm, v)(RMSNorm(7, eps=0).double()(x)) / math.sqrt(7)
    torch.testing.assert_close(halves, layer_of(CosineNorm, v)(x))


def test_pearson_s_correlation_is_weight_standardization_after_layer_norm():
    v, x = 1 + drawn(5, 7), 2 + drawn(11, 7, seed=1)
    halves = layer_of(WeightStandardization, v)(LayerNorm(7, eps=0).double()(x)) / math.sqrt(7)
    torch.testing.assert_close(halves, torch.corrcoef(torch.cat([x, v]))[:11, 11:])


# In deep networks.


@pytest.mark.parametrize("gain", [0.1, 1.0, 30.0])
def test_a_deep_cosine_net_keeps_the_signal_at_one_over_root_n(gain):
    profile = measure(NetworkSpec(100, 64, "tanh", gain=gain, norm="cosine"))
    signal, gradient = profile.activation_std[1:-1], profile.activation_gradient_norm
    assert abs(signal.mean() * math.sqrt(64) - 1) < 0.05
    assert 0.2 < gradient[0] / gradient[-2] < 5


def test_standardized_weights_keep_the_mean_out_of_a_relu_network():
    x = digits(128).inputs
    common = {}
    for kind in (WeightNorm, WeightStandardization):
        h = x
        for depth in range(10):
            v = drawn(64, 64, seed=depth).float()
            z = layer_of(kind, v)(h).detach()
            h = z.relu()
        common[kind] = (z.mean(0).square().mean() / z.square().mean()).item()
    assert common[WeightStandardization] < 0.1 < 0.4 < common[WeightNorm]
