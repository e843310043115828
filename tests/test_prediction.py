"""`predict` against networks that are really built and measured, and against closed forms."""

import dataclasses
import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from specifications import specs

from d2lstab import NetworkSpec, build, measure
from d2lstab.activations import ACTIVATIONS
from d2lstab.correlation import correlations
from d2lstab.datasets import digits
from d2lstab.initialization import INITIALIZATIONS
from d2lstab.prediction import MeanField, predict

pytestmark = pytest.mark.once

CURVES = ("activation_std", "activation_gradient_norm", "weight_gradient_norm")


def median(spec, name, seeds):
    profiles = [measure(dataclasses.replace(spec, seed=seed)) for seed in range(seeds)]
    return np.median([getattr(profile, name).numpy() for profile in profiles], axis=0)


def worst(spec, names=CURVES, seeds=3):
    """The largest factor between prediction and the median over seeds, any layer and curve.

    Less the spread of the logits: those are ten units, whose chance three seeds do not average.
    """
    theory = predict(spec)
    factors = []
    for name in names:
        factor = np.abs(np.log(getattr(theory, name) / median(spec, name, seeds)))
        factors.append(factor[: -1 if name == "activation_std" else None].max())
    return np.exp(max(factors))


@pytest.mark.parametrize("name", [n for n in ACTIVATIONS if n != "hard_step"])
def test_a_wide_plain_network_of_any_activation_is_as_predicted(name):
    spec = NetworkSpec(depth=8, width=512, activation=name, init="normal", gain=1.2, bias_std=0.3)
    assert worst(spec, CURVES[:2]) < 1.15
    assert worst(spec, CURVES[2:]) < 1.5


@pytest.mark.parametrize("init", [i for i in INITIALIZATIONS if i != "constant"])
def test_every_initialization_has_its_own_variance_in_every_layer(init):
    spec = NetworkSpec(depth=6, width=512, init=init, gain=1.3)
    assert worst(spec, CURVES[:2]) < 1.12


@pytest.mark.parametrize(
    ("changes", "factor"),
    [
        (dict(dropout=0.3), 1.15),
        (dict(dropout=0.3, residual=True), 1.15),
        (dict(gain=3.0, max_norm=1.2), 1.15),
        (dict(init="normal", max_norm=1.2), 1.15),
        (dict(residual=True), 1.15),
        (dict(residual=True, norm="layer", activation="relu"), 1.15),
        (dict(norm="layer"), 1.15),
        (dict(norm="layer", activation="relu"), 1.25),
        (dict(norm="rms", activation="relu"), 1.25),
        (dict(norm="rms", residual=True), 1.15),
        (dict(norm="batch"), 1.25),
        (dict(norm="batch", activation="relu"), 1.25),
        (dict(residual=True, activation="sigmoid"), 1.15),
    ],
)
def test_dropout_residual_connections_and_norms_are_as_predicted(changes, factor):
    spec = NetworkSpec(depth=10, width=512, bias_std=0.1, **changes)
    assert worst(spec, CURVES[:2]) < factor


@pytest.mark.parametrize("activation", ["relu", "tanh"])
def test_a_residual_stream_grows_as_predicted(activation):
    spec = NetworkSpec(depth=20, width=512, activation=activation, residual=True)
    assert worst(spec, CURVES[:1]) < 1.15


def test_the_gradient_through_relu_and_batch_norm_grows_by_pi_over_pi_minus_1():
    # Yang et al. 2019: the factor of the squared norm for large batches; here 128 examples
    norms = predict(
        NetworkSpec(depth=60, width=4096, activation="relu", norm="batch")
    ).activation_gradient_norm
    per_layer = (norms[20] / norms[40]) ** (2 / 20)
    assert per_layer == pytest.approx(math.pi / (math.pi - 1), rel=0.03)


def test_correlations_of_a_wide_network_are_as_predicted():
    for changes in (
        dict(activation="relu", init="he"),
        dict(init="normal", gain=2.0, bias_std=0.3),
        dict(init="normal", gain=1.2, bias_std=0.5),
        dict(activation="sigmoid"),
        dict(activation="relu", norm="layer", residual=True),
        dict(activation="relu", norm="batch"),
        dict(activation="relu", dropout=0.2),
    ):
        spec = NetworkSpec(depth=12, width=768, **changes)
        measured = correlations(build(spec), digits(128).inputs)
        hidden = slice(0, -1)  # the output layer has 10 units: its cosines are noise
        assert np.abs(predict(spec).correlation[hidden] - measured[hidden]).max() < 0.05, changes


def test_other_inputs_give_another_prediction():
    spec = NetworkSpec(depth=3, width=512, activation="relu", init="he")
    inputs = 3 * torch.randn(64, 20, generator=torch.Generator().manual_seed(0)) + 1
    labels = torch.randint(10, (64,), generator=torch.Generator().manual_seed(1))
    profile = measure(
        build(spec, n_features=20), inputs, lambda y: torch.nn.functional.cross_entropy(y, labels)
    )
    theory = predict(spec, inputs)
    for name in CURVES[:2]:
        ratio = getattr(theory, name) / getattr(profile, name).numpy()
        assert np.abs(np.log(ratio)).max() < math.log(1.25), name
    assert theory.correlation[0] == pytest.approx(0.1, abs=0.05)  # mean 1, standard deviation 3


# --- the band ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "floor"),
    [
        (dict(activation="relu", init="he"), 0.75),
        (dict(activation="linear", init="normal"), 0.75),
        (dict(init="normal", gain=1.3, bias_std=0.2), 0.75),
        (dict(init="normal", gain=2.0, bias_std=0.3), 0.75),
        (dict(activation="sigmoid"), 0.75),
        (dict(activation="relu", norm="layer"), 0.75),
    ],
)
def test_the_band_holds_most_measured_curves(changes, floor):
    spec = NetworkSpec(depth=20, width=32, **changes)
    profiles = [measure(dataclasses.replace(spec, seed=seed)) for seed in range(50)]
    for name in CURVES[:2]:
        low, high = predict(spec).band[name]
        curves = np.array([getattr(profile, name).numpy() for profile in profiles])
        inside = ((curves >= low) & (curves <= high))[:, :-1].mean()
        assert inside > floor, (name, inside)


def test_the_band_of_a_narrow_relu_network_has_the_spread_of_hanin_and_nica():
    # one input: ln |gradient|² has variance 5/n per layer
    spec = NetworkSpec(depth=101, width=100, activation="relu", init="he")
    low, high = predict(spec, torch.ones(1, 64)).band["activation_gradient_norm"]
    variance = (np.log(high / low) / 1.6448536) ** 2  # of ln of the square, at each layer
    assert variance[0] - variance[100] == pytest.approx(100 * 5 / 100, rel=0.05)


def test_the_typical_norm_of_a_narrow_linear_network_is_the_median_not_the_mean():
    spec = NetworkSpec(depth=100, width=4, activation="linear", init="normal")
    theory = predict(spec, torch.ones(1, 64))
    per_layer = -0.5772156649 + 1 + math.log(2 / 4)  # E ln(χ²₄/4) = ψ(2) + ln(2/4)
    measured = np.log((theory.activation_std[99] / theory.activation_std[9]) ** 2) / 90
    assert measured == pytest.approx(per_layer, rel=0.02)


def test_wider_networks_have_narrower_bands_and_orthogonal_ones_narrower_still():
    def spread(**changes):
        low, high = predict(NetworkSpec(depth=50, **changes)).band["activation_gradient_norm"]
        return np.log(high[0] / low[0])

    narrow, wide = spread(width=32), spread(width=512)
    assert wide < narrow / 2.5
    assert spread(width=32, init="orthogonal") < narrow / 3


# --- what there is no theory for -----------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "word", "without"),
    [
        (dict(init="constant"), "constant", CURVES),
        (dict(residual=True, activation="relu"), "residual", CURVES[1:]),
        (dict(residual=True, norm="batch"), "batch norm", CURVES[1:]),
        (dict(norm="batch", activation="linear"), "linear", CURVES[1:]),
    ],
)
def test_what_has_no_theory_is_nan_and_said(changes, word, without):
    theory = predict(NetworkSpec(depth=5, **changes))
    assert theory.missing.startswith("no theory for") and word in theory.missing
    for name in CURVES:
        curve, (low, high) = getattr(theory, name), theory.band[name]
        assert np.isnan(curve).all() == (name in without)
        assert np.isnan(low).all() and np.isnan(high).all() or name not in without


def test_a_plain_network_misses_nothing_and_has_a_phase():
    theory = predict(NetworkSpec(init="normal", gain=1.0, bias_std=0.3))
    assert theory.missing == "" and theory.phase.kind == "ordered"
    assert theory.phase.weight_std == pytest.approx(1.0)
    assert theory.trainable_depth == pytest.approx(6 * theory.phase.correlation_depth)
    assert predict(NetworkSpec(init="he", activation="relu")).trainable_depth == math.inf
    for changes in (dict(norm="layer"), dict(residual=True), dict(dropout=0.1)):
        theory = predict(NetworkSpec(**changes))
        assert theory.phase is None and theory.trainable_depth is None


# --- bad and extreme input -----------------------------------------------------------------------


@settings(max_examples=100, deadline=None, derandomize=True)
@given(specs, st.sampled_from([None, (1, 1), (2, 3), (5, 64)]), st.floats(0, 1e18))
def test_any_specification_is_predicted(spec, shape, scale):
    inputs = None if shape is None else scale * torch.ones(shape)
    theory = predict(spec, inputs)
    assert isinstance(theory, MeanField) and len(theory) == spec.depth + 1
    for name in (*CURVES, "correlation"):
        curve = getattr(theory, name)
        assert curve.shape == (spec.depth + 1,) and curve.dtype == np.float64
        assert name == "correlation" or not (curve < 0).any()
    for low, high in theory.band.values():
        assert low.shape == high.shape == (spec.depth + 1,)
        assert not (low > high * (1 + 1e-9)).any()
    assert theory.phase is None or theory.trainable_depth >= 0


def test_a_very_deep_and_a_very_loud_network_are_predicted_in_silence():
    loud = predict(NetworkSpec(depth=200, gain=1e100, activation="relu"))
    assert loud.activation_std[-1] == math.inf
    assert len(predict(NetworkSpec(depth=3000, width=8))) == 3001


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: predict("tanh"), TypeError, "spec must be a NetworkSpec"),
        (lambda: predict(NetworkSpec(), [1.0]), TypeError, "inputs must be a tensor"),
        (lambda: predict(NetworkSpec(), torch.ones(3)), ValueError, "examples, features"),
        (lambda: predict(NetworkSpec(), torch.ones(0, 3)), ValueError, "examples, features"),
        (lambda: predict(NetworkSpec(), torch.full((2, 2), math.nan)), ValueError, "finite"),
    ],
)
def test_wrong_values_are_refused_by_name(call, error, message):
    with pytest.raises(error, match=message):
        call()
