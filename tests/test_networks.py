"""Specifications, the networks they build, and the PyTorch that they print."""

import ast
import dataclasses
import itertools
import math
import subprocess
import sys
from fractions import Fraction

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from d2lstab import NetworkSpec, build
from d2lstab.activations import ACTIVATIONS
from d2lstab.initialization import INITIALIZATIONS
from d2lstab.networks import NORM_PLACES, Residual, _unit_draws
from d2lstab.normalization.named import NORMS

pytestmark = pytest.mark.once  # torch alone, and it is the same in both sets

SMALL = NetworkSpec(depth=3, width=8, activation="tanh", init="normal", bias_std=0.3)


def linears(network):
    return [module for module in network.modules() if isinstance(module, nn.Linear)]


def run(code):
    """Execute a reader's code in a fresh namespace and return its network."""
    names = {"__name__": "reader"}
    with torch.random.fork_rng(devices=[]):
        exec(compile(code, "<the reader's cell>", "exec"), names)
    return names["network"]


def outputs(network, inputs):
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        torch.manual_seed(3)  # of dropout
        return network(inputs)


@pytest.mark.parametrize("depth", [1, 2, 7])
@pytest.mark.parametrize("residual", [False, True])
@pytest.mark.parametrize("norm", [None, "batch", "layer"])
def test_depth_counts_hidden_layers_and_the_output_comes_on_top(depth, residual, norm):
    spec = NetworkSpec(depth=depth, width=12, norm=norm, residual=residual)
    network = build(spec, n_features=5, n_classes=3)
    shapes = [(12, 5)] + [(12, 12)] * (depth - 1) + [(3, 12)]
    assert [tuple(linear.weight.shape) for linear in linears(network)] == shapes
    assert network(torch.zeros(4, 5)).shape == (4, 3)
    assert sum(isinstance(m, nn.Tanh) for m in network.modules()) == depth
    assert sum(isinstance(m, Residual) for m in network.modules()) == residual * (depth - 1)
    norms = [m for m in network.modules() if isinstance(m, nn.BatchNorm1d | nn.LayerNorm)]
    assert [type(m) for m in norms] == [NORMS[norm].layer] * depth if norm else not norms
    count = (5 + 1) * 12 + (depth - 1) * (12 + 1) * 12 + (12 + 1) * 3 + len(norms) * 2 * 12
    assert sum(p.numel() for p in network.parameters()) == count
    assert network.training and all(p.requires_grad for p in network.parameters())


def test_the_network_is_the_formula_written_out():
    network, x = build(SMALL), torch.randn(6, 64, generator=torch.Generator().manual_seed(1))
    h = x
    for linear in linears(network)[:-1]:
        h = torch.tanh(h @ linear.weight.T + linear.bias)
    last = linears(network)[-1]
    assert torch.allclose(network(x), h @ last.weight.T + last.bias, atol=1e-6)


def test_a_residual_layer_adds_its_input_except_at_the_first():
    network = build(dataclasses.replace(SMALL, residual=True, norm="layer"))
    x = torch.randn(6, 64, generator=torch.Generator().manual_seed(1))
    first, second, third, last = linears(network)

    def layer(linear, h):
        h = h @ linear.weight.T + linear.bias
        deviation = (h.var(dim=1, keepdim=True, correction=0) + 1e-5).sqrt()
        return torch.tanh((h - h.mean(dim=1, keepdim=True)) / deviation)

    h = layer(first, x)
    h = h + layer(second, h)
    h = h + layer(third, h)
    assert torch.allclose(network(x), h @ last.weight.T + last.bias, atol=1e-5)


def standardized(h):
    h = h - h.mean(dim=1, keepdim=True)
    return h / (h.square().mean(dim=1, keepdim=True) + 1e-5).sqrt()


# The network below, with layer norm N: what enters the output layer, by residual and place.
PLACES = {
    (False, "before"): lambda W, N, x: W[2](W[1](W[0](x, N), N), N),
    (False, "after"): lambda W, N, x: N(W[2](N(W[1](N(W[0](x)))))),
    (True, "before"): lambda W, N, x: (h := (g := W[0](x, N)) + W[1](g, N)) + W[2](h, N),
    (True, "after"): lambda W, N, x: (h := (g := N(W[0](x))) + N(W[1](g))) + N(W[2](h)),
    (True, "pre"): lambda W, N, x: N((h := (g := W[0](x)) + W[1](N(g))) + W[2](N(h))),
    (True, "post"): lambda W, N, x: N((h := N((g := N(W[0](x))) + W[1](g))) + W[2](h)),
}
PLACES |= {(False, place): PLACES[False, "after"] for place in ("pre", "post")}


@pytest.mark.parametrize(("residual", "place"), PLACES)
def test_a_norm_stands_where_its_place_says(residual, place):
    spec = dataclasses.replace(SMALL, norm="layer", residual=residual, norm_place=place)
    network, x = build(spec), torch.randn(6, 64, generator=torch.Generator().manual_seed(1))
    *hidden, last = linears(network)
    layers = [lambda h, norm=lambda z: z, w=w: torch.tanh(norm(w(h))) for w in hidden]
    expected = last(PLACES[residual, place](layers, standardized, x))
    assert torch.allclose(network(x), expected, atol=1e-5)


@pytest.mark.parametrize("width", [8, 12, 7])
def test_group_norm_has_eight_groups_or_as_many_as_divide_the_width(width):
    norms = [m for m in build(NetworkSpec(2, width, norm="group")) if isinstance(m, nn.GroupNorm)]
    assert [norm.num_groups for norm in norms] == [{8: 8, 12: 4, 7: 1}[width]] * 2


@pytest.mark.parametrize("norm", ["weight", "standardization", "cosine"])
def test_a_norm_of_the_weights_takes_their_scale_and_no_place(norm):
    specs = [
        dataclasses.replace(SMALL, norm=norm, gain=gain, norm_place=place)
        for gain, place in itertools.product([1.0, 30.0], NORM_PLACES)
    ]
    x = torch.randn(6, 64, generator=torch.Generator().manual_seed(1))
    hidden = [build(spec)[:-1](x) for spec in specs]  # the output layer has no norm
    assert all(torch.allclose(h, hidden[0], atol=1e-5) for h in hidden)
    assert not torch.allclose(hidden[0], build(SMALL)[:-1](x), atol=1e-2)


def test_dropout_drops_the_given_share_of_the_activations():
    network = build(NetworkSpec(depth=1, width=4000, dropout=0.3))[:-1]
    dropped = (outputs(network, torch.ones(1, 64)) == 0).double().mean().item()
    assert dropped == pytest.approx(0.3, abs=5 * math.sqrt(0.3 * 0.7 / 4000))


def test_max_norm_shortens_what_comes_into_each_hidden_unit_and_nothing_else():
    spec = NetworkSpec(depth=3, width=30, init="normal", bias_std=1.0)
    free, limited = (build(s) for s in (spec, dataclasses.replace(spec, max_norm=1.0)))
    lengths = [linear.weight.norm(dim=1) for linear in linears(free)]
    assert all((0 < (length > 1).sum() < 30) for length in lengths[:-1])  # some, not all
    for before, after in zip(linears(free)[:-1], linears(limited)[:-1], strict=True):
        expected = torch.renorm(before.weight, 2, 0, 1.0)
        torch.testing.assert_close(after.weight, expected, atol=1e-6, rtol=0)
        assert torch.equal(before.bias, after.bias)
    assert torch.equal(linears(free)[-1].weight, linears(limited)[-1].weight)


@pytest.mark.parametrize("init", INITIALIZATIONS)
def test_gain_multiplies_the_weights_and_bias_std_the_biases(init):
    one, other = (
        build(NetworkSpec(depth=4, width=9, init=init, gain=gain, bias_std=bias))
        for gain, bias in [(1.0, 1.0), (2.5, 0.25)]
    )
    for a, b in zip(linears(one), linears(other), strict=True):
        assert torch.allclose(2.5 * a.weight, b.weight)
        assert torch.allclose(0.25 * a.bias, b.bias)


def test_biases_are_normal_with_the_given_deviation_and_zero_by_default():
    biases = torch.cat([m.bias for m in linears(build(NetworkSpec(width=256, bias_std=0.7)))])
    assert biases.std().item() == pytest.approx(0.7, rel=0.03)
    assert abs(biases.mean().item()) < 0.03
    assert all((m.bias == 0).all() for m in linears(build(NetworkSpec(depth=3))))


@pytest.mark.parametrize("init", INITIALIZATIONS)
def test_the_weights_stay_when_depth_grows_or_shrinks(init):
    networks = []
    for depth in (5, 2, 9, 1):
        _unit_draws.cache_clear() if depth == 9 else None
        spec = NetworkSpec(depth=depth, width=10, init=init, bias_std=1, seed=4)
        networks.append(linears(build(spec)))
    longest = networks[2]
    for layers in networks:
        pairs = list(zip(layers[:-1], longest, strict=False)) + [(layers[-1], longest[-1])]
        assert all(torch.equal(a.weight, b.weight) for a, b in pairs)
        assert all(torch.equal(a.bias, b.bias) for a, b in pairs)


def test_a_seed_fixes_every_number_and_another_seed_changes_all():
    first = [p.detach().clone() for p in build(SMALL).parameters()]
    _unit_draws.cache_clear()
    again = list(build(SMALL).parameters())
    other = list(build(dataclasses.replace(SMALL, seed=1)).parameters())
    assert all(torch.equal(a, b) for a, b in zip(first, again, strict=True))
    assert all((a != b).all() for a, b in zip(first, other, strict=True))


def test_two_networks_of_one_specification_share_no_memory():
    first, second = build(SMALL), build(SMALL)
    before = [p.detach().clone() for p in second.parameters()]
    with torch.no_grad():
        for parameter in first.parameters():
            parameter.fill_(7.0)
    assert all(torch.equal(a, b) for a, b in zip(before, second.parameters(), strict=True))
    third = build(SMALL)
    assert all(torch.equal(a, b) for a, b in zip(before, third.parameters(), strict=True))


def test_building_neither_reads_nor_changes_the_global_random_state():
    torch.manual_seed(1)
    _unit_draws.cache_clear()
    before, first = torch.get_rng_state(), build(SMALL)[0].weight
    assert torch.equal(torch.get_rng_state(), before)
    torch.manual_seed(2)
    _unit_draws.cache_clear()
    assert torch.equal(build(SMALL)[0].weight, first)


@pytest.mark.parametrize("device", ["cpu", "meta"])
def test_the_users_default_dtype_and_device_change_nothing(device):
    expected = build(SMALL)
    _unit_draws.cache_clear()
    torch.set_default_dtype(torch.float64)
    torch.set_default_device(device)
    try:
        network = build(SMALL)
    finally:
        torch.set_default_dtype(torch.float32)
        torch.set_default_device(None)
        _unit_draws.cache_clear()
    for ours, theirs in zip(network.parameters(), expected.parameters(), strict=True):
        assert (ours.dtype, ours.device.type) == (torch.float32, "cpu")
        assert torch.equal(ours, theirs)


def test_an_interrupted_draw_does_not_shift_the_weights_that_follow(monkeypatch):
    expected = linears(build(SMALL))
    _unit_draws.cache_clear()
    draws, original = [], nn.init.normal_

    def interrupted(*args, **kwargs):
        draws.append(1)
        if len(draws) == 6:  # the reader presses stop
            raise KeyboardInterrupt
        return original(*args, **kwargs)

    monkeypatch.setattr(nn.init, "normal_", interrupted)
    with pytest.raises(KeyboardInterrupt):
        build(SMALL)
    monkeypatch.undo()
    again = linears(build(SMALL))
    assert all(torch.equal(a.weight, b.weight) for a, b in zip(expected, again, strict=True))
    assert all(torch.equal(a.bias, b.bias) for a, b in zip(expected, again, strict=True))


@pytest.mark.parametrize("init", INITIALIZATIONS)
@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_the_printed_code_builds_the_same_network_weight_for_weight(activation, init):
    x = torch.randn(5, 64, generator=torch.Generator().manual_seed(1))
    grid = list(itertools.product([None, *NORMS], [False, True], [0.0, 0.3], [1, 3]))
    # eight of the 72: every activation meets all 72 in its nine tests
    start = 8 * (list(ACTIVATIONS).index(activation) + list(INITIALIZATIONS).index(init))
    for number in range(start, start + 8):
        norm, residual, dropout, depth = grid[number % len(grid)]
        gain, bias_std = [(1.0, 0.0), (1.23456789, 0.7654321), (1e-12, 1e-3)][number % 3]
        spec = NetworkSpec(
            depth, 6, activation, init, gain, bias_std, norm, residual, dropout, number,
            NORM_PLACES[number // 9 % 4], [None, 0.3, 1.1][number // 2 % 3],
        )  # fmt: skip
        ours, theirs = build(spec), run(spec.to_pytorch())
        assert list(ours.state_dict()) == list(theirs.state_dict())
        for a, b in zip(ours.state_dict().values(), theirs.state_dict().values(), strict=True):
            assert torch.equal(a, b)
        assert torch.equal(outputs(ours, x), outputs(theirs, x))
        assert torch.equal(outputs(ours.eval(), x), outputs(theirs.eval(), x))
        shapes = [[type(m).__name__ for m in network.modules()] for network in (ours, theirs)]
        assert shapes[0] == shapes[1]


def test_the_printed_code_takes_other_numbers_of_features_and_classes():
    ours, theirs = build(SMALL, 7, 4), run(SMALL.to_pytorch(7, 4))
    assert all(
        torch.equal(a, b) for a, b in zip(ours.parameters(), theirs.parameters(), strict=True)
    )
    assert theirs(torch.zeros(2, 7)).shape == (2, 4)


CODES = [
    NetworkSpec(depth, 8, activation, "he", norm=norm, residual=residual, dropout=dropout)
    for depth in (1, 4)
    for activation in ("relu", "hard_step")
    for norm in (None, "batch", "layer")
    for residual in (False, True)
    for dropout in (0.0, 0.5)
]
CODES += [
    NetworkSpec(depth, 12, "selu", norm=norm, residual=residual, norm_place=place)
    for depth in (1, 4)
    for norm in NORMS
    for residual in (False, True)
    for place in NORM_PLACES
]


def test_the_printed_code_is_tidy_plain_pytorch(tmp_path):
    for number, spec in enumerate(CODES):
        code = spec.to_pytorch()
        assert code.endswith(")\n") and not code.endswith("\n\n")
        tree = ast.parse(code)
        imports = [node for node in ast.walk(tree) if isinstance(node, ast.Import | ast.ImportFrom)]
        assert [ast.unparse(node) for node in imports] == ["import torch", "from torch import nn"]
        (tmp_path / f"network_{number}.py").write_text(code, encoding="utf-8")
    for command in (["check", "--select=E,F,W"], ["format", "--check"]):
        ruff = [sys.executable, "-m", "ruff", *command, "--isolated", "--no-cache"]
        ruff += ["--line-length=100"]
        result = subprocess.run([*ruff, str(tmp_path)], capture_output=True, text=True)
        assert result.returncode == 0, result.stdout + result.stderr


INTEGERS = {"depth": (1, 100_000), "width": (1, 65_536), "seed": (0, 2**32 - 1)}
NAMES = {
    "activation": ACTIVATIONS,
    "init": INITIALIZATIONS,
    "norm": NORMS,
    "norm_place": NORM_PLACES,
}


def error_of(kind, **fields):
    with pytest.raises(kind) as caught:
        NetworkSpec(**fields)
    message = str(caught.value)
    ((field, value),) = fields.items()
    assert "\n" not in message
    assert message.startswith(f"{field} must be ")
    assert f"got {value!r}." in message
    return message


@pytest.mark.parametrize("field", INTEGERS)
@pytest.mark.parametrize("value", [2.0, "3", None, True, math.nan, [1], torch.tensor(3), 1j])
def test_a_field_that_is_no_integer_is_named_with_what_it_needs(field, value):
    low, high = INTEGERS[field]
    assert f"an integer from {low} to {high}" in error_of(TypeError, **{field: value})


@pytest.mark.parametrize("field", INTEGERS)
@pytest.mark.parametrize("beyond", [1, 10**12])
def test_an_integer_out_of_range_is_named_with_its_range(field, beyond):
    low, high = INTEGERS[field]
    for value in (low - beyond, high + beyond, np.int64(high + beyond)):
        assert f"an integer from {low} to {high}" in error_of(ValueError, **{field: value})
    for value in (low, high):
        assert getattr(NetworkSpec(**{field: value}), field) == value


@pytest.mark.parametrize("field", ["gain", "bias_std", "dropout"])
def test_a_field_that_is_no_number_or_no_finite_one_is_named(field):
    need = "a finite number ≥ 0"
    for value in ("1", None, True, 1j, [0.5], torch.tensor(0.5)):
        assert need in error_of(TypeError, **{field: value})
    for value in (math.nan, math.inf, -math.inf, -0.001, np.float64("nan"), 10**400):
        assert need in error_of(ValueError, **{field: value})


@pytest.mark.parametrize("value", [1, 1.0, 1.5, np.float32(1)])
def test_dropout_is_under_one(value):
    assert "< 1" in error_of(ValueError, dropout=value)
    assert NetworkSpec(dropout=math.nextafter(1, 0)).dropout < 1


def test_max_norm_is_none_or_over_zero():
    for value in (0, -1.0, math.nan, math.inf):
        assert "max_norm must be a finite number > 0" in error_of(ValueError, max_norm=value)
    for value in ("1", True, [1.0]):
        assert "max_norm must be a finite number > 0" in error_of(TypeError, max_norm=value)
    assert NetworkSpec(max_norm=np.float32(2)) == NetworkSpec(max_norm=2)


@pytest.mark.parametrize("field", NAMES)
def test_a_name_of_the_wrong_type_is_answered_with_the_list(field):
    for value in (1, ["relu"], nn.ReLU, True, b"tanh"):
        message = error_of(TypeError, **{field: value})
        assert all(repr(name) in message for name in NAMES[field])


@pytest.mark.parametrize(
    ("field", "value", "nearest"),
    [
        ("activation", "Relu", "relu"),
        ("activation", "tahn", "tanh"),
        ("activation", "LeakyReLU", "leaky_relu"),
        ("activation", "swish", "silu"),
        ("activation", "hardstep", "hard_step"),
        ("activation", "sigmod", "sigmoid"),
        ("activation", "", None),
        ("init", "xaiver", "xavier"),
        ("init", "HE", "he"),
        ("init", "he-uniform", "he_uniform"),
        ("init", "orthogonl", "orthogonal"),
        ("init", "zzz", None),
        ("norm", "btach", "batch"),
        ("norm", "LayerNorm", "layer"),
        ("norm", "zzz", None),
        ("norm_place", "befor", "before"),
    ],
)
def test_a_wrong_name_is_answered_with_the_nearest(field, value, nearest):
    message = error_of(ValueError, **{field: value})
    assert all(repr(name) in message for name in NAMES[field])
    assert message.endswith(f"Did you mean {nearest!r}?" if nearest else f"got {value!r}.")


def test_the_text_none_is_answered_with_pythons_none():
    assert error_of(ValueError, norm="None").endswith("Did you mean None?")


@pytest.mark.parametrize("value", [1, 0, None, "yes", 1.0])
def test_residual_is_true_or_false(value):
    assert "True or False" in error_of(TypeError, residual=value)


def test_numbers_of_numpy_and_of_other_libraries_become_pythons():
    spec = NetworkSpec(
        depth=np.int32(3), width=np.uint8(9), seed=np.int64(5), gain=np.float32(0.5),
        bias_std=2, dropout=Fraction(1, 4), activation=np.str_("relu"),
    )  # fmt: skip
    assert spec == NetworkSpec(3, 9, "relu", seed=5, gain=0.5, bias_std=2.0, dropout=0.25)
    types = [type(getattr(spec, field)) for field in ("depth", "width", "seed", "gain", "bias_std")]
    assert types == [int, int, int, float, float]
    assert run(spec.to_pytorch())[0].weight.shape == (9, 64)


def test_a_specification_is_frozen_comparable_hashable_and_its_repr_builds_it():
    with pytest.raises(dataclasses.FrozenInstanceError):
        SMALL.depth = 4
    changed = dataclasses.replace(SMALL, depth=4)
    assert (changed != SMALL, changed.depth, SMALL.depth) == (True, 4, 3)
    assert dataclasses.replace(changed, depth=3) == SMALL
    assert len({SMALL, dataclasses.replace(changed, depth=3), changed}) == 2
    assert eval(repr(SMALL)) == SMALL
    with pytest.raises(ValueError, match="depth must be"):
        dataclasses.replace(SMALL, depth=0)


@settings(max_examples=100, deadline=None, derandomize=True)
@given(
    field=st.sampled_from([field.name for field in dataclasses.fields(NetworkSpec)]),
    value=st.one_of(
        st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=8), st.binary()
    ),
)
def test_any_value_is_accepted_or_refused_by_name(field, value):
    try:
        spec = NetworkSpec(**{field: value})
    except (TypeError, ValueError) as error:
        assert str(error).startswith(f"{field} must be ")
        assert repr(value) in str(error)
    else:
        assert getattr(spec, field) == value
