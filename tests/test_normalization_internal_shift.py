"""Internal covariate shift: its two measures against formulas, and the noise against its law."""

import pytest
import torch
from torch import nn
from torch.testing import assert_close

from d2lstab import NetworkSpec, build
from d2lstab.datasets import digits
from d2lstab.normalization.internal_shift import (
    LayerInputs,
    ShiftingNoise,
    gradient_change,
    layer_inputs,
)

BATCH = digits(64)


def noisy_network(seed=0):
    layers = build(NetworkSpec(depth=2, width=16, norm="batch"))
    return nn.Sequential(*layers[:2], ShiftingNoise(seed), *layers[2:])


def test_the_noise_has_the_means_and_spreads_of_its_law():
    noise = ShiftingNoise(seed=0)
    shifts, scales = noise(torch.zeros(400, 300)), noise(torch.ones(400, 300))
    means = shifts.mean(0)  # of each unit, in one pass
    assert means.min() > -0.55 and means.max() < 0.55
    assert means.std() == pytest.approx(1 / 12**0.5, rel=0.1)  # U(−0.5, 0.5)
    within = shifts - means
    assert within.abs().max() < 0.13
    assert within.std() == pytest.approx(0.2 / 12**0.5, rel=0.02)  # U(−0.1, 0.1)
    again = ShiftingNoise(seed=0)
    again(torch.zeros(400, 300))
    scales = scales - again(torch.zeros(400, 300))  # the same pass, so the same m
    units = scales.mean(0)
    assert units.min() > 0.98 and units.max() < 1.27
    assert units.mean() == pytest.approx(1.125, rel=0.01)  # U(1, 1.25)
    assert (scales - units).std() == pytest.approx(0.1, rel=0.02)


def test_the_noise_is_another_in_each_pass_and_the_same_for_each_seed():
    x = torch.ones(5, 3)
    first, second, other = ShiftingNoise(1), ShiftingNoise(1), ShiftingNoise(2)
    one, two = first(x), first(x)
    assert_close(second(x), one)
    assert not torch.allclose(one, two) and not torch.allclose(other(x), one)


def test_the_noise_is_gone_in_eval_mode_and_from_the_state_and_spares_the_global_one():
    noise, x, random = ShiftingNoise(3), torch.ones(5, 3), torch.get_rng_state()
    noise(x)
    assert torch.equal(noise.eval()(x), x)
    assert noise.state_dict() == {}
    assert torch.equal(torch.get_rng_state(), random)
    assert noise(x.double()).dtype == torch.float64 == noise.train()(x.double()).dtype


def test_the_noise_lets_gradients_pass_by_its_factor():
    noise, x = ShiftingNoise(3), torch.ones(4, 2, requires_grad=True)
    noise(x).sum().backward()
    shift = ShiftingNoise(3)(torch.zeros(4, 2))
    assert_close(x.grad, ShiftingNoise(3)(torch.ones(4, 2)) - shift)


def test_layer_inputs_are_the_statistics_of_what_each_linear_layer_is_given():
    network = build(NetworkSpec(depth=2, width=16, activation="relu", init="he", norm="batch"))
    seen = layer_inputs(network, BATCH.inputs)
    assert list(seen.mean) == ["0", "3", "6"]
    x = BATCH.inputs
    for name, part in (("0", network[:0]), ("3", network[:3]), ("6", network[:6])):
        given = part(x).detach()
        assert_close(seen.mean[name], given.mean(0))
        assert_close(seen.std[name], given.std(0, correction=0))


def test_layer_inputs_join_examples_and_positions():
    x = torch.randn(4, 5, 3, generator=torch.Generator().manual_seed(0))
    seen = layer_inputs(nn.Linear(3, 2), x)
    assert_close(seen.mean[""], x.mean((0, 1)))


def test_the_shift_is_zero_to_itself_and_known_for_an_affine_change():
    mean, std = torch.tensor([1.0, -2.0]), torch.tensor([3.0, 4.0])
    before = LayerInputs({"a": mean}, {"a": std})
    assert before.shift_to(before).item() == 0
    # all inputs doubled: Δμ = μ, Δσ = σ
    after = LayerInputs({"a": 2 * mean}, {"a": 2 * std})
    assert before.shift_to(after).item() == pytest.approx((1 + 5 / 25) ** 0.5)


def test_the_shift_is_the_wasserstein_distance_between_normals():
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(200_000, generator=generator, dtype=torch.float64)
    y = 1 + 1.5 * torch.randn(200_000, generator=generator, dtype=torch.float64)
    distance = (
        (x.sort().values - y.sort().values).square().mean().sqrt()
    )  # optimal in one dimension
    one, two = (LayerInputs({"": v.mean()[None]}, {"": v.std()[None]}) for v in (x, y))
    assert one.shift_to(two).item() == pytest.approx((distance / x.std()).item(), rel=1e-3)


def test_the_shift_of_constant_inputs_is_no_number():
    dead = LayerInputs({"": torch.zeros(2)}, {"": torch.zeros(2)})
    assert dead.shift_to(dead).isnan().all()


def everything(network):
    modes = [module.training for module in network.modules()]
    buffers = [buffer.clone() for buffer in network.buffers()]  # with the number of the pass
    parameters = [parameter.detach().clone() for parameter in network.parameters()]
    return modes, [*buffers, *parameters, torch.get_rng_state()]


@pytest.mark.parametrize("measure", ["layer_inputs", "gradient_change"])
def test_measuring_leaves_the_network_as_it_was(measure):
    network = nn.Sequential(*noisy_network(), nn.Dropout())
    network[1].eval()
    modes, tensors = everything(network)
    for _ in range(2):
        if measure == "layer_inputs":
            layer_inputs(network, BATCH.inputs)
        else:
            gradient_change(network, BATCH.inputs, BATCH.labels, 0.1)
    after, others = everything(network)
    assert after == modes and all(torch.equal(a, b) for a, b in zip(tensors, others, strict=True))
    assert all(parameter.grad is None for parameter in network.parameters())
    assert not any(module._forward_pre_hooks for module in network.modules())


def test_the_hooks_are_gone_when_a_layer_fails():
    network = build(NetworkSpec(depth=1, width=16))
    with pytest.raises(RuntimeError):
        layer_inputs(network, torch.zeros(2, 3))
    assert not any(module._forward_pre_hooks for module in network.modules())


def test_the_noise_that_a_measure_sees_is_that_of_the_next_pass():
    network = noisy_network()
    assert_close(
        layer_inputs(network, BATCH.inputs).mean["4"], network[:4](BATCH.inputs).mean(0).detach()
    )


def test_the_change_of_the_gradient_in_a_product_of_two_numbers_is_known():
    network = nn.Sequential(nn.Linear(1, 1, bias=False), nn.Linear(1, 1, bias=False)).double()
    with torch.no_grad():
        network[0].weight[:], network[1].weight[:] = 2.0, 3.0
    x = torch.ones(1, 1, dtype=torch.float64)
    change = gradient_change(network, x, x, 0.1, lambda y, t: (y - t).square().sum() / 2)
    # L = (ab − 1)²/2 at a = 2, b = 3: dL/da = 15, dL/db = (ab − 1) a = 10; a moves to 2 − 1.5 = 0.5
    assert change.names == ("0.weight", "1.weight")
    assert_close(change.norms.tolist(), [15.0, 10.0])
    assert_close(change.distances.tolist(), [0.0, 9.75])  # (0.5 · 3 − 1) · 0.5 = 0.25
    assert_close(change.cosines.tolist(), [1.0, 1.0])
    turned = gradient_change(network, x, x, 0.12, lambda y, t: (y - t).square().sum() / 2)
    assert_close(turned.cosines.tolist(), [1.0, -1.0])  # a = 0.2: (0.6 − 1) · 0.2 < 0


def test_the_change_of_the_gradient_is_that_of_a_network_whose_lower_layers_have_moved():
    network = build(NetworkSpec(depth=3, width=16, norm="batch", seed=1))
    change = gradient_change(network, BATCH.inputs, BATCH.labels, 0.5)
    loss = nn.functional.cross_entropy(network(BATCH.inputs), BATCH.labels)
    loss.backward()
    g = network[6].weight.grad.clone()
    with torch.no_grad():
        for parameter in network[:6].parameters():  # two layers and their norms
            parameter -= 0.5 * parameter.grad
    network.zero_grad()
    nn.functional.cross_entropy(network(BATCH.inputs), BATCH.labels).backward()
    moved = network[6].weight.grad
    at = change.names.index("6.weight")
    assert change.names == ("0.weight", "3.weight", "6.weight", "9.weight")
    assert_close(change.norms[at], g.norm())
    assert_close(change.distances[at], (g - moved).norm(), rtol=1e-4, atol=1e-6)
    cosine = nn.functional.cosine_similarity(g.flatten(), moved.flatten(), dim=0)
    assert_close(change.cosines[at], cosine, rtol=1e-4, atol=1e-6)


def test_without_a_step_nothing_changes():
    network = build(NetworkSpec(depth=3, width=16))
    change = gradient_change(network, BATCH.inputs, BATCH.labels, 0)
    assert (change.distances == 0).all()
    assert_close(change.cosines, torch.ones(4))


def test_what_cannot_be_measured_is_refused():
    with pytest.raises(ValueError, match="no nn.Linear"):
        layer_inputs(nn.Tanh(), torch.ones(2, 2))
    with pytest.raises(ValueError, match="no weight matrix"):
        gradient_change(nn.BatchNorm1d(2), torch.ones(2, 2), torch.tensor([0, 1]), 0.1)
    with pytest.raises(ValueError, match="learning_rate must be"):
        gradient_change(nn.Linear(2, 2), torch.ones(2, 2), torch.tensor([0, 1]), -0.1)
    with pytest.raises(ValueError, match="seed must be"):
        ShiftingNoise(-1)
