"""The invariance table: against the paper, PyTorch's own layers and what follows by hand."""

import math

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from d2lstab.datasets import digits
from d2lstab.normalization.invariance import (
    change,
    invariances,
    normalized_maps,
    transformations,
)

WEIGHT = torch.randn(16, 64, generator=torch.Generator().manual_seed(1)).double() / 8
INPUTS = digits(32).inputs.double()
PATCHES = F.unfold(INPUTS.view(-1, 1, 8, 8), 3)  # (examples, 9 pixels of a patch, 36 positions)
KERNELS = WEIGHT[:, :9].contiguous()

# Which outputs stay: rows and columns as in Ba, Kiros & Hinton (2016), table 1.
COLUMNS = list(transformations())
PAPER = {
    "batch": (True, False, True, True, True, False),
    "weight": (True, False, True, False, False, False),
    "layer": (True, True, False, True, False, True),
}
# What follows likewise for the others, and one unit's weights + 1 at the end.
MORE = {
    "none": (False,) * 7,
    "batch": (*PAPER["batch"], False),
    "weight": (*PAPER["weight"], False),
    "layer": (*PAPER["layer"], False),
    "rms": (True, False, False, True, False, True, False),  # layer norm without the mean
    "group": (*PAPER["layer"], False),  # layer norm of each group
    "standardization": (*PAPER["weight"], True),  # weight norm, centred
    "cosine": (True, False, True, True, False, True, False),  # weight norm, of both vectors
}
NO = math.nan
# What the gradients are multiplied by, λ = 10; NaN where nothing says so.
WEIGHT_FACTORS = {
    "none": (1, 1, 1, 10, NO, NO, 1),
    "batch": (0.1, NO, 0.1, 1, 1, NO, NO),
    "layer": (0.1, 1, NO, 1, NO, 1, NO),
    "cosine": (0.1, NO, 0.1, 1, NO, 1, NO),
    "standardization": (0.1, NO, 0.1, 10, NO, NO, 1),
}
INPUT_FACTORS = {
    "none": (10, NO, NO, 1, 1, 1, NO),
    "batch": (1, NO, 1, 0.1, 1, NO, NO),
    "layer": (1, 1, NO, 0.1, NO, 0.1, NO),
    "cosine": (1, NO, 1, 0.1, NO, 0.1, NO),
    "standardization": (1, NO, 1, 1, 1, 1, 1),
}


@pytest.fixture(scope="module")
def table():
    maps = normalized_maps(16, 64)
    del maps["instance"]
    return invariances(maps, WEIGHT, INPUTS)


def test_the_outputs_that_stay_are_those_of_the_paper(table):
    for norm, stays in PAPER.items():
        assert tuple(table[norm][name].invariant for name in COLUMNS[:6]) == stays, norm


def test_a_cell_is_either_rounding_or_a_change_of_some_tenths(table):
    assert set(table) == set(MORE)
    for norm, stays in MORE.items():
        for name, stay in zip(COLUMNS, stays, strict=False):
            moved = table[norm][name].output
            assert moved < 1e-13 if stay else moved > 0.1, (norm, name, moved)


@pytest.mark.parametrize("norm", WEIGHT_FACTORS)
def test_gradients_are_multiplied_by_what_differentiating_the_invariance_says(table, norm):
    for name, of_weights, of_inputs in zip(
        COLUMNS, WEIGHT_FACTORS[norm], INPUT_FACTORS[norm], strict=False
    ):
        found = table[norm][name]
        assert found.weight_gradient == pytest.approx(of_weights, rel=1e-9, nan_ok=True), name
        assert found.input_gradient == pytest.approx(of_inputs, rel=1e-9, nan_ok=True), name


def test_a_negative_factor_turns_the_output_around(table):
    for norm, changes in table.items():
        found = changes["all weights × −λ"]
        assert found.output == pytest.approx(11 if norm == "none" else 2, rel=1e-12)
        assert found.input_gradient == pytest.approx(-10 if norm == "none" else -1, rel=1e-9)


@pytest.mark.parametrize("scale", [0.5, 3])
def test_the_gradient_falls_as_one_over_the_scale(scale):
    layer = normalized_maps(16, 64)["rms"]
    found = change(layer, transformations(scale)["all weights × λ"], WEIGHT, INPUTS)
    assert found.weight_gradient == pytest.approx(1 / scale, rel=1e-9)


def test_the_maps_are_linear_layers_before_pytorch_s_norms():
    maps, products = normalized_maps(16, 64, groups=4, eps=1e-5), INPUTS @ WEIGHT.T
    theirs = {
        "none": products,
        "batch": nn.BatchNorm1d(16).double()(products),
        "layer": F.layer_norm(products, (16,)),
        "rms": F.rms_norm(products, (16,), eps=1e-5),
        "group": F.group_norm(products, 4),
        "weight": products / WEIGHT.norm(dim=1),
        "cosine": F.cosine_similarity(INPUTS[:, None], WEIGHT[None], dim=2),
    }
    for norm, outputs in theirs.items():
        torch.testing.assert_close(maps[norm](WEIGHT, INPUTS), outputs)


def test_on_patches_of_images_the_maps_are_convolutions():
    maps = normalized_maps(16, 9, eps=1e-5)
    channels = F.conv2d(INPUTS.view(-1, 1, 8, 8), KERNELS.view(16, 1, 3, 3)).flatten(2)
    theirs = {"layer": F.group_norm(channels, 1), "instance": F.instance_norm(channels),
              "weight": channels / KERNELS.norm(dim=1)[:, None]}  # fmt: skip
    for norm, outputs in theirs.items():
        torch.testing.assert_close(maps[norm](KERNELS, PATCHES), outputs)


def test_on_images_layer_norm_sees_a_shift_that_it_does_not_see_on_vectors():
    maps = normalized_maps(16, 9)
    maps = {norm: maps[norm] for norm in ("layer", "instance")}
    table = invariances(maps, KERNELS, PATCHES)
    stays = {norm: tuple(c.invariant for c in changes.values()) for norm, changes in table.items()}
    assert stays["layer"] == (True, False, False, True, False, True, False, False)
    assert stays["instance"] == (True, False, True, True, True, True, False, False)


def test_eps_breaks_the_invariance_for_small_weights():
    layer = normalized_maps(16, 64, eps=1e-5)["layer"]
    for scale in (1e-1, 1e-3):
        products = INPUTS @ WEIGHT.T
        variance = products.var(1, correction=0, keepdim=True)
        shrink = scale * ((variance + 1e-5) / (scale**2 * variance + 1e-5)).sqrt()
        before = layer(WEIGHT, INPUTS)
        expected = ((shrink - 1) * before).norm() / before.norm()
        found = change(layer, transformations(scale)["all weights × λ"], WEIGHT, INPUTS)
        assert found.output == pytest.approx(expected.item(), rel=1e-6)
        assert not found.invariant


def test_random_states_and_arguments_stay_as_they_were():
    weight = WEIGHT.clone().requires_grad_()
    state = torch.get_rng_state()
    maps = normalized_maps(16, 64)
    first = change(maps["batch"], transformations()["all data + v"], weight, INPUTS)
    assert torch.equal(torch.get_rng_state(), state) and weight.grad is None
    assert first == change(maps["batch"], transformations()["all data + v"], weight, INPUTS)


@pytest.mark.parametrize("scale", [0, -2, math.inf])
def test_a_scale_that_is_not_positive_is_refused(scale):
    with pytest.raises(ValueError, match="scale must be a finite number > 0"):
        transformations(scale)
