"""Batches have the composition asked for; a mismatch is between torch's own statistics."""

import copy

import pytest
import torch
from torch import nn

from d2lstab.datasets import digits
from d2lstab.normalization import BatchNorm, InstanceNorm
from d2lstab.normalization.batches import batch_of, mismatches
from d2lstab.training import HELD_OUT

TRAINING = digits().inputs[:-HELD_OUT]
HELD_OUT_IMAGES = digits().inputs[-HELD_OUT:]


@pytest.mark.parametrize("size", [1, 2, 512])
def test_a_composition_of_one_is_one_class_and_no_more(size):
    batch = batch_of(size, composition=1, label=3, seed=size)
    assert batch.inputs.shape == (size, 64) and (batch.labels == 3).all()


@pytest.mark.parametrize(("share", "expected"), [(0, 0.1), (0.25, 0.325), (0.9, 0.91)])
def test_the_share_comes_from_the_class_and_the_rest_from_all(share, expected):
    labels = batch_of(20_000, share, label=7).labels
    shares = torch.bincount(labels, minlength=10) / len(labels)
    others = torch.cat([shares[:7], shares[8:]])
    assert abs(shares[7] - expected) < 0.01  # a standard error is at most 0.0022
    assert (others - (1 - share) * 0.1).abs().max() < 0.012  # classes are 9.2 to 10.8 % of digits


def test_a_batch_holds_training_digits_with_their_labels():
    batch = batch_of(40, 0.5, label=1, seed=4)
    distance = torch.cdist(batch.inputs, TRAINING, compute_mode="donot_use_mm_for_euclid_dist")
    assert distance.min(1).values.max() == 0
    assert torch.equal(digits().labels[distance.argmin(1)], batch.labels)
    assert torch.cdist(batch.inputs, HELD_OUT_IMAGES).min() > 0.1


def test_the_seed_chooses_the_batch_and_the_global_state_stays():
    before = torch.get_rng_state()
    first, again, other = (batch_of(30, 0.5, seed=seed).inputs for seed in (1, 1, 2))
    assert torch.equal(first, again) and not torch.equal(first, other)
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"size": 0}, "size must be an integer ≥ 1; got 0"),
        ({"size": 4, "composition": 1.5}, "composition must be a number from 0 to 1; got 1.5"),
        ({"size": 4, "composition": -0.1}, "composition must be a number from 0 to 1; got -0.1"),
        ({"size": 4, "label": 10}, "label must be an integer from 0 to 9; got 10"),
    ],
)
def test_a_batch_that_cannot_be_is_refused_by_name(arguments, message):
    with pytest.raises(ValueError, match=message):
        batch_of(**arguments)


def noise(*shape):
    return torch.randn(shape, generator=torch.Generator().manual_seed(0))


def convolutional(norm):
    """Two norms, of images and of vectors, the first feeding the second; some dropout between."""
    generator = torch.Generator().manual_seed(0)
    network = nn.Sequential(
        nn.Conv2d(1, 4, 3), norm(4), nn.ReLU(), nn.Dropout(), nn.Flatten(), nn.Linear(144, 6),
        norm(6) if norm is BatchNorm else nn.BatchNorm1d(6),
    )  # fmt: skip
    for tensor in network.state_dict().values():
        if tensor.is_floating_point():
            tensor.copy_(torch.rand(tensor.shape, generator=generator) + 0.1)
    return network


@pytest.mark.parametrize("norm", [nn.BatchNorm2d, BatchNorm])
def test_the_mismatch_is_against_the_statistics_that_torch_takes_in_train_mode(norm):
    network, x = convolutional(norm), noise(20, 1, 8, 8)
    found = mismatches(network, x)
    trained = copy.deepcopy(network).train()
    trained[3].p = 0  # dropout is off
    for layer in (trained[1], trained[6]):
        layer.momentum = 1.0  # the running statistics become the batch's
    trained(x)
    assert [result.layer for result in found] == ["1", "6"]
    for result, name in zip(found, (1, 6), strict=True):
        before, after = network[name], trained[name]
        scale = before.running_var + 1e-5
        mean = (after.running_mean - before.running_mean) / scale.sqrt()
        torch.testing.assert_close(result.mean, mean, rtol=1e-4, atol=1e-5)
        variance = (after.running_var + 1e-5) / scale
        torch.testing.assert_close(result.variance, variance, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("training", [True, False])
def test_measuring_leaves_the_network_as_it_was(training):
    network, x = convolutional(nn.BatchNorm2d).train(training), noise(5, 1, 8, 8)
    network[1].eval()  # a frozen layer
    before, state = copy.deepcopy(network.state_dict()), torch.get_rng_state()
    modes = [module.training for module in network.modules()]
    mismatches(network, x)
    after = network.state_dict()
    assert all(torch.equal(before[name], after[name]) for name in before)
    assert [module.training for module in network.modules()] == modes
    assert not any(module._forward_hooks for module in network.modules())
    assert torch.equal(torch.get_rng_state(), state)


def test_a_layer_that_is_used_twice_is_listed_twice():
    shared = nn.BatchNorm1d(3)
    first, second = mismatches(nn.Sequential(shared, nn.ReLU(), shared), noise(50, 3) * 5)
    assert (first.layer, second.layer) == ("0", "0")
    assert first.variance.min() > 5 and second.variance.max() < 1


def test_hooks_go_when_the_network_fails():
    network = nn.Sequential(nn.BatchNorm1d(3), nn.Linear(4, 1))
    with pytest.raises(RuntimeError, match="shapes"):
        mismatches(network, noise(5, 3))
    assert not network[0]._forward_hooks


@pytest.mark.parametrize(
    "network",
    [nn.LayerNorm(3), InstanceNorm(3), nn.BatchNorm1d(3, track_running_stats=False)],
)
def test_without_running_statistics_there_is_nothing_to_compare(network):
    with pytest.raises(ValueError, match="batch-norm layer with running statistics; got none"):
        mismatches(network, noise(5, 3))


def test_a_batch_of_one_is_refused_as_in_train_mode():
    with pytest.raises(ValueError, match="more than 1 value per channel"):
        mismatches(nn.BatchNorm1d(3), noise(1, 3))


def test_a_dead_unit_agrees_with_its_own_statistics():
    layer = nn.BatchNorm1d(1)
    layer.running_var.zero_()
    (found,) = mismatches(layer, torch.zeros(4, 1))
    assert (found.mean, found.variance) == (0, 1)
