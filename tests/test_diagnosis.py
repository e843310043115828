"""Verdicts on configurations whose outcome is known, most of them from mean-field theory."""

import dataclasses
import itertools
import math
import random

import numpy as np
import pytest
import torch
from scipy import special
from torch import nn

from d2lstab import NetworkSpec, Remedy, SignalProfile, Verdict, build, diagnose, measure
from d2lstab.activations import ACTIVATIONS
from d2lstab.book import d2l
from d2lstab.diagnosis import MOSTLY_DEAD, MOSTLY_SATURATED, TWO_DECADES
from d2lstab.initialization import INITIALIZATIONS

pytestmark = pytest.mark.once  # torch alone, and it is the same in both sets

WIDTH, DEPTH = 256, 40
NODES, WEIGHTS = np.polynomial.hermite_e.hermegauss(201)
WEIGHTS = WEIGHTS / WEIGHTS.sum()
# φ and φ' with numpy and scipy; σ_w at gain 1 of a square matrix, from each scheme's source
PHI = {
    "tanh": (np.tanh, lambda z: 1 / np.cosh(z) ** 2),
    "sigmoid": (special.expit, lambda z: special.expit(z) * special.expit(-z)),
    "softplus": (lambda z: np.logaddexp(0, z), special.expit),
}
SIGMA_W = {
    "normal": 1, "xavier": 1, "xavier_normal": 1, "orthogonal": 1, "he": 2**0.5,
    "he_uniform": 2**0.5, "pytorch": 3**-0.5, "book": 0.01 * WIDTH**0.5,
}  # fmt: skip


def mean_field(activation, sigma_w, sigma_b=0.0):
    """√χ at the fixed point of the variance map (Schoenholz et al. 2017, eqs. 3 and 6)."""
    phi, slope = PHI[activation]
    q = 1.0
    for _ in range(2000):
        q = sigma_w**2 * np.dot(WEIGHTS, phi(math.sqrt(q) * NODES) ** 2) + sigma_b**2
    return sigma_w * math.sqrt(np.dot(WEIGHTS, slope(math.sqrt(q) * NODES) ** 2))


def factor(activation, init="normal", gain=1.0, bias_std=0.0, residual=False, dropout=0.0):
    """By which the gradient grows per layer on its way back, in a wide network."""
    sigma_w = gain * SIGMA_W[init]
    if activation in PHI:
        return mean_field(activation, sigma_w, bias_std)
    # E[φ'²] of a Gaussian: half of it is on the side where relu passes (He et al. 2015)
    passed = {"linear": 1.0, "relu": 0.5, "leaky_relu": (1 + 0.01**2) / 2}[activation]
    chi = sigma_w**2 * passed / (1 - dropout)
    return math.sqrt(1 + chi if residual else chi)


KNOWN = [
    *(("relu", dict(init="he", gain=g), k) for g, k in [
        (0.2, "vanishing"), (0.5, "vanishing"), (0.85, "vanishing"), (1.0, "stable"),
        (1.05, "stable"), (1.2, "exploding"), (2.0, "exploding"), (8.0, "exploding"),
    ]),
    *(("relu", dict(init=init), k) for init, k in [
        ("he_uniform", "stable"), ("xavier", "vanishing"), ("xavier_normal", "vanishing"),
        ("normal", "vanishing"), ("pytorch", "vanishing"), ("book", "vanishing"),
    ]),
    *(("linear", dict(init=init), k) for init, k in [
        ("normal", "stable"), ("xavier", "stable"), ("orthogonal", "stable"),
        ("he", "exploding"), ("pytorch", "vanishing"), ("book", "vanishing"),
    ]),
    ("linear", dict(init="orthogonal", gain=0.8), "vanishing"),
    ("linear", dict(init="orthogonal", gain=1.25), "exploding"),
    ("linear", dict(init="orthogonal", gain=1.1), "stable"),
    ("leaky_relu", dict(init="he"), "stable"),
    ("leaky_relu", dict(init="xavier"), "vanishing"),
    ("leaky_relu", dict(init="he", gain=1.5), "exploding"),
    ("sigmoid", dict(init="xavier"), "vanishing"),
    ("sigmoid", dict(init="he"), "vanishing"),
    ("sigmoid", dict(init="normal", gain=2.0, bias_std=1.0), "vanishing"),
    ("sigmoid", dict(init="pytorch"), "vanishing"),
    ("tanh", dict(init="pytorch"), "vanishing"),
    ("tanh", dict(init="normal", gain=0.5), "vanishing"),
    ("tanh", dict(init="normal", gain=1.05), "stable"),
    ("tanh", dict(init="normal", gain=2.0), "exploding"),
    ("tanh", dict(init="he", gain=2.0), "exploding"),
    ("tanh", dict(init="normal", gain=1.2, bias_std=2.0), "vanishing"),
    ("tanh", dict(init="normal", gain=3.0, bias_std=0.5), "exploding"),
    ("softplus", dict(init="pytorch"), "vanishing"),
    ("leaky_relu", dict(init="normal", gain=3.0), "exploding"),
    ("linear", dict(init="he", residual=True), "exploding"),
    ("linear", dict(init="pytorch", gain=0.5, residual=True), "stable"),
    ("linear", dict(init="normal", residual=True), "exploding"),
    ("linear", dict(init="orthogonal", gain=0.2, residual=True), "stable"),
    ("relu", dict(init="he", dropout=0.1), "stable"),
    ("relu", dict(init="he", dropout=0.5), "exploding"),
    ("relu", dict(init="he", gain=0.5**0.5, dropout=0.5), "stable"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("activation", "fields", "kind"), KNOWN, ids=lambda v: str(v).strip("{}").replace("'", "")
)
def test_the_verdict_and_its_factor_are_those_of_theory(activation, fields, kind):
    theory = factor(activation, **fields)
    ratio = theory ** (DEPTH - 1)
    expected = "stable" if 1 / 60 < ratio < 60 else "vanishing" if ratio < 1 / 160 else "exploding"
    assert expected == kind  # the table says what theory says, clear of the threshold
    verdict = diagnose(measure(NetworkSpec(DEPTH, WIDTH, activation, **fields)))
    assert verdict.kind == kind
    assert verdict.factor == pytest.approx(theory, rel=0.04)
    assert math.log(verdict.ratio) == pytest.approx(math.log(ratio), rel=0.1, abs=1)
    assert (verdict.remedies == ()) == (kind == "stable")


def test_there_are_more_than_forty_known_configurations():
    assert len(KNOWN) > 40
    assert {kind for _, _, kind in KNOWN} == {"stable", "vanishing", "exploding"}


@pytest.mark.parametrize("init", ["he", "xavier", "pytorch"])
def test_residual_relu_without_a_norm_grows_within_its_bounds(init):
    """dL/dx = g + WᵀDg: |g|² + χ|g|², and a cross term from 0 to 2 σ_w/√(2π) |g|², as g points
    along x or not: E[w 1(w·x > 0)] = σ_w/√(2πn) x/|x|."""
    verdict = diagnose(measure(NetworkSpec(DEPTH, WIDTH, "relu", init, residual=True)))
    chi, cross = SIGMA_W[init] ** 2 / 2, 2 * SIGMA_W[init] / math.sqrt(2 * math.pi)
    assert 0.99 * math.sqrt(1 + chi) < verdict.factor < math.sqrt(1 + chi + cross)
    assert verdict.kind == "exploding"


def test_deep_batch_norm_explodes_by_the_factor_of_yang_et_al():
    spec = NetworkSpec(DEPTH, WIDTH, "relu", init="he", norm="batch")
    verdict = diagnose(measure(spec))
    assert verdict.kind == "exploding"
    assert verdict.factor == pytest.approx(math.sqrt(math.pi / (math.pi - 1)), rel=0.02)
    with_gain = diagnose(measure(dataclasses.replace(spec, gain=7.0)))
    assert with_gain.factor == pytest.approx(verdict.factor, rel=1e-3)  # the norm undoes any gain


@pytest.mark.parametrize("activation", ["relu", "tanh", "gelu", "silu", "elu", "leaky_relu"])
@pytest.mark.parametrize("norm", ["batch", "layer"])
def test_residual_connections_and_a_norm_are_stable_at_any_gain(activation, norm):
    for gain in (0.5, 1.0, 2.0):
        spec = NetworkSpec(60, 64, activation, "normal", gain, norm=norm, residual=True)
        assert diagnose(measure(spec)).kind == "stable"


def test_self_normalizing_networks_are_stable():
    """Klambauer et al. 2017: selu with variance 1/n keeps mean 0 and variance 1."""
    profile = measure(NetworkSpec(60, WIDTH, "selu", "normal"))
    assert diagnose(profile).kind == "stable"
    assert profile.activation_std[10:-1].min() > 0.8 and profile.activation_std[10:-1].max() < 1.2


@pytest.mark.parametrize(
    ("spec", "kind", "begins", "words"),
    [
        # he with gain 10 multiplies by 10 a layer: from about 1 past 10^38 near layer 39
        (NetworkSpec(60, WIDTH, "relu", "he", gain=10), "exploding", range(34, 42), "overflow"),
        # √(1 + 10²) ≈ 10.05 a layer, the same place
        (NetworkSpec(60, WIDTH, "relu", "he", gain=10, residual=True), "exploding", range(34, 42),
         "activations overflow to Inf or NaN from layer"),
        # tanh stays under 1, its gradients multiply by √χ ≈ 4.0: past 10^38 63 layers from the end
        (NetworkSpec(150, WIDTH, "tanh", "normal", gain=20), "exploding", range(60, 110),
         "gradients overflow to Inf or NaN from layer"),
        # ¼ a layer and less, from about 10^−2: past 10^−45 68 layers from the end
        (NetworkSpec(200, WIDTH, "sigmoid"), "vanishing", range(120, 150),
         "gradients underflow to exactly 0 from layer"),
        # 0.1/√2 a layer: activations are gone past 10^−45, near layer 39
        (NetworkSpec(80, WIDTH, "relu", gain=0.1), "vanishing", range(34, 42), "underflow"),
        (NetworkSpec(30, 64, "hard_step"), "dead", range(30), "flat part"),
        (NetworkSpec(4, WIDTH, "tanh", "normal", gain=8), "saturated", range(4), "flat"),
        (NetworkSpec(3, WIDTH, "sigmoid", "normal", gain=10, bias_std=9), "saturated", range(3),
         "flat"),
        (NetworkSpec(50, 64, "relu", "constant"), "exploding", range(51), ""),
        (NetworkSpec(30, 64, gain=0), "vanishing", range(31), "0"),
    ],
)  # fmt: skip
def test_overflow_underflow_dead_and_saturated_units_are_named_where_they_begin(
    spec, kind, begins, words
):
    verdict = diagnose(measure(spec))
    assert verdict.kind == kind
    assert verdict.layer in begins
    assert words in verdict.reason
    assert verdict.remedies


def test_overflow_is_told_at_the_layer_that_powers_of_two_say():
    network = nn.Sequential(*(nn.Linear(1, 1, bias=False) for _ in range(16)))
    for layer in network:
        nn.init.constant_(layer.weight, 2.0**10)
    verdict = diagnose(measure(network, torch.ones(3, 1), torch.sum))
    assert (verdict.kind, verdict.layer) == ("exploding", 12)  # 2^130, with float32 to 2^128
    assert "from layer 13 (12) on" in verdict.reason
    verdict = diagnose(measure(network, torch.full((1, 1), 2.0**-120), torch.sum))
    assert (verdict.kind, verdict.layer) == ("exploding", 2)
    assert "from layer 3 (2) backwards" in verdict.reason


def test_a_dead_layer_is_found_by_name():
    network = nn.Sequential()
    for index in range(4):
        network.add_module(f"hidden{index}", nn.Sequential(nn.Linear(8, 8), nn.ReLU()))
    network.add_module("out", nn.Linear(8, 2))
    nn.init.constant_(network.hidden2[0].bias, -100.0)
    verdict = diagnose(measure(network, torch.randn(9, 8), lambda out: out.square().sum()))
    assert (verdict.kind, verdict.layer) == ("dead", 2)
    assert "100% of the units of layer 3 (hidden2)" in verdict.reason


@pytest.mark.parametrize("number", [0, 1, 2])
def test_a_dead_layer_is_no_underflow_where_all_biases_are_zero(number):
    network = build(NetworkSpec(3, 64, "relu", "he"))
    network[2 * number].bias.data.fill_(-30.0)  # the layers behind it put out exactly 0
    verdict = diagnose(measure(network))
    assert (verdict.kind, verdict.layer) == ("dead", number)


def test_the_books_networks_are_named_and_their_advice_is_general():
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        lenet, x = d2l.LeNet(), torch.randn(16, 1, 28, 28)
        lenet.apply_init([x])
    verdict = diagnose(measure(lenet, x, lambda out: out.square().mean()))
    assert verdict.kind in ("stable", "vanishing")
    assert 0.01 < verdict.factor < 1  # three sigmoids shrink it
    assert all(remedy.changes == () for remedy in verdict.remedies)


GRID = list(
    itertools.product(
        [20, 50, 100, 200], ACTIVATIONS, INITIALIZATIONS, [0.1, 0.5, 1.0, 2.0, 10.0],
        [0.0, 0.0, 0.5, 2.0], [None, None, "batch", "layer"], [False, False, True],
        [0.0, 0.0, 0.3, 0.5, 0.9], [32, 64, 128],
    )
)  # fmt: skip


@pytest.mark.parametrize("sample", range(5))
def test_every_remedy_taken_alone_ends_stable(sample):
    failing = 0
    for number, (d, a, i, g, b, n, r, p, w) in enumerate(random.Random(sample).sample(GRID, 14)):
        spec = NetworkSpec(d, w, a, i, g, b, n, r, p, seed=number)
        verdict = diagnose(measure(spec))
        if verdict.kind == "stable":
            continue
        failing += 1
        assert verdict.remedies, spec
        for remedy in verdict.remedies:
            after = diagnose(measure(remedy.apply(spec)))
            assert after.kind == "stable", (verdict.kind, spec, remedy, str(after))
    assert failing > 1


def test_a_scheme_alone_is_no_remedy_for_a_narrow_deep_network():
    """Hanin & Nica 2020: the log of the gradient scatters by depth / width at the right gain."""
    for width, alone in [(32, False), (256, True)]:
        spec = NetworkSpec(200, width, "relu", "normal", seed=2)
        texts = [remedy.text for remedy in diagnose(measure(spec)).remedies]
        assert ("init he with gain 1 and bias 0" in texts) == alone
        matched = diagnose(measure(dataclasses.replace(spec, init="he")))
        assert (matched.kind == "stable") == alone


def test_the_lab_s_presets_are_mended_at_full_depth():
    for activation, seed in itertools.product(["tanh", "relu", "sigmoid", "linear"], range(3)):
        spec = NetworkSpec(190, 128, activation, "normal", 0.5, seed=seed)
        verdict = diagnose(measure(spec))
        assert len(verdict.remedies) == (1 if activation == "sigmoid" else 2)
        for remedy in verdict.remedies:
            assert diagnose(measure(remedy.apply(spec))).kind == "stable", (spec, remedy)


# --- profiles made by hand, for the thresholds ---------------------------------------------------


def profile(gradients, dead=(), saturated=(), spread=(), loss=1.0, spec=None):
    n = len(gradients)

    def array(values, fill):
        return torch.tensor(list(values) or [fill] * n, dtype=torch.float64)

    return SignalProfile(
        names=tuple(f"block{i}" for i in range(n)),
        weight_gradient_norm=array([], 1.0),
        activation_gradient_norm=array(gradients, 1.0),
        activation_mean=array([], 0.1),
        activation_std=array(spread, 1.0),
        saturated_share=array(saturated, 0.1),
        dead_share=array(dead, 0.0),
        gradient_samples=tuple(torch.ones(3, dtype=torch.float64) for _ in range(n)),
        loss=loss,
        spec=spec,
    )


@pytest.mark.parametrize(
    ("first", "kind"),
    [
        (100.0, "stable"), (100.1, "exploding"), (0.01, "stable"), (0.00999, "vanishing"),
        (1.0, "stable"), (1e30, "exploding"), (1e-30, "vanishing"),
    ],
)  # fmt: skip
def test_the_threshold_between_first_and_last_hidden_layer_is_two_decades(first, kind):
    assert TWO_DECADES == 100
    verdict = diagnose(profile([first, 5.0, 1.0, 1e9]))  # the last is the output layer
    assert verdict.kind == kind
    assert verdict.ratio == pytest.approx(first)
    assert verdict.factor == pytest.approx(math.sqrt(first))
    assert verdict.layer == (None if kind == "stable" else 0)


@pytest.mark.parametrize(("share", "kind"), [(0.89, "stable"), (0.9, "dead"), (1.0, "dead")])
def test_a_layer_is_dead_from_nine_tenths_on(share, kind):
    assert MOSTLY_DEAD == 0.9
    verdict = diagnose(profile([1.0] * 5, dead=[0, 0.2, share, math.nan, 0]))
    assert (verdict.kind, verdict.layer) == (kind, 2 if kind == "dead" else None)


@pytest.mark.parametrize(("share", "kind"), [(0.59, "stable"), (0.61, "saturated")])
def test_a_network_is_saturated_from_six_tenths_on_average(share, kind):
    assert MOSTLY_SATURATED == 0.6
    shares = [share - 0.1, share + 0.1, share, math.nan]
    verdict = diagnose(profile([1.0] * 4, saturated=shares))
    assert (verdict.kind, verdict.layer) == (kind, 1 if kind == "saturated" else None)


def test_what_overflows_is_told_before_what_is_dead_or_saturated():
    ill = dict(dead=[1.0] * 4, saturated=[1.0] * 4)
    spread = [1, math.inf, math.inf, 1]
    verdict = diagnose(profile([1e5, 1, 1, 1], spread=spread, loss=math.nan, **ill))
    assert (verdict.kind, verdict.layer) == ("exploding", 1)
    assert diagnose(profile([1e5, 1, 1, 1], **ill)).kind == "dead"
    assert diagnose(profile([1e5, 1, 1, 1], saturated=[1.0] * 4)).kind == "exploding"


def test_zero_gradients_are_an_underflow_and_do_not_spoil_the_factor():
    verdict = diagnose(profile([0.0, 0.0, 1e-4, 1e-2, 1.0, 1.0]))
    assert (verdict.kind, verdict.layer) == ("vanishing", 1)
    assert verdict.factor == pytest.approx(0.01)
    assert verdict.ratio == 0
    assert "exactly 0 from layer 2 (block1) backwards" in verdict.reason


def test_one_layer_gives_no_factor_and_is_stable():
    verdict = diagnose(profile([3.0]))
    assert verdict.kind == "stable"
    assert math.isnan(verdict.factor) and math.isnan(verdict.ratio)
    assert "too few layers" in verdict.reason


def test_layers_without_a_gradient_are_left_out():
    verdict = diagnose(profile([math.nan, 8.0, math.nan, 4.0, 2.0, 7.0]))
    assert verdict.ratio == pytest.approx(4)
    assert verdict.kind == "stable"


def test_a_verdict_reads_as_one_sentence_and_what_to_try():
    verdict = diagnose(measure(NetworkSpec(DEPTH, 64, "relu", "xavier")))
    assert isinstance(verdict, Verdict) and all(isinstance(r, Remedy) for r in verdict.remedies)
    first, second = (remedy.text for remedy in verdict.remedies)
    assert str(verdict) == f"vanishing: {verdict.reason} Try: {first}; or {second}."
    assert f"{verdict.factor:.3g} per layer" in verdict.reason
    assert f"over {DEPTH - 1} layers" in verdict.reason
    healthy = diagnose(measure(NetworkSpec(DEPTH, 64, "relu", "he")))
    assert str(healthy) == f"stable: {healthy.reason}"
    with pytest.raises(dataclasses.FrozenInstanceError):
        verdict.kind = "stable"


def test_a_remedy_changes_only_its_own_fields():
    spec = NetworkSpec(40, 64, "tanh", gain=3.0, seed=9)
    remedy = Remedy("gain 1", (("gain", 1.0),))
    assert remedy.apply(spec) == NetworkSpec(40, 64, "tanh", gain=1.0, seed=9)
    assert spec.gain == 3.0


@pytest.mark.parametrize("wrong", [None, NetworkSpec(), "stable", {"loss": 1}])
def test_what_is_no_profile_is_refused(wrong):
    with pytest.raises(TypeError, match=r"profile must be a SignalProfile \(see measure\); got "):
        diagnose(wrong)


def test_a_trained_networks_profile_is_diagnosed_like_any_other():
    network = build(NetworkSpec(6, 32, "relu", "he"))
    for parameter in network.parameters():
        parameter.data.mul_(1.01)
    assert diagnose(measure(network)).kind == "stable"


def test_what_a_remedy_drops_is_said_and_a_stable_network_with_dropout_is_in_train_mode():
    step = NetworkSpec(2, 8, "hard_step", norm="batch", residual=True, dropout=0.3, max_norm=1.0)
    (remedy,) = diagnose(measure(step)).remedies
    for dropped in ("no batch norm", "no residual connections", "no dropout", "no max-norm"):
        assert dropped in remedy.text
    spec = NetworkSpec(20, 64, "relu", "he", gain=0.5**0.5, dropout=0.5)
    verdict = diagnose(measure(dataclasses.replace(spec, gain=1e-3)))
    assert verdict.kind == "vanishing" and "no " not in "".join(r.text for r in verdict.remedies)
    train, evaluated = diagnose(measure(spec)), diagnose(measure(build(spec).eval()))
    assert (train.kind, evaluated.kind) == ("stable", "vanishing") and "eval mode" in train.reason
    assert "mode" not in diagnose(measure(dataclasses.replace(spec, gain=1.0, dropout=0))).reason
