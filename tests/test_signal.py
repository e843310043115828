"""`measure` against forward passes written out by hand, retain_grad and .backward()."""

import contextlib
import copy
import dataclasses
import math
import random
import threading

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from specifications import specs
from torch import nn

from d2lstab import NetworkSpec, SignalProfile, build, measure
from d2lstab.activations import ACTIVATIONS
from d2lstab.book import d2l
from d2lstab.datasets import digits
from d2lstab.networks import Residual
from d2lstab.normalization.named import NORMS
from d2lstab.statistics import BINADES

pytestmark = pytest.mark.once  # torch alone, and it is the same in both sets

# Where a unit is flat: where the slope, written out here, is under a hundredth of the largest.
FLAT = {
    "relu": lambda z: z <= 0,
    "tanh": lambda z: 1 - z.tanh() ** 2 < 0.01,
    "sigmoid": lambda z: z.sigmoid() * (1 - z.sigmoid()) < 0.01 * 0.25,
    "elu": lambda z: (z < 0) & (z.exp() < 0.01),
    "softplus": lambda z: z.sigmoid() < 0.01,
    "leaky_relu": lambda z: torch.zeros_like(z, dtype=torch.bool),
    "hard_step": lambda z: torch.ones_like(z, dtype=torch.bool),
}
ARRAYS = [
    field.name
    for field in dataclasses.fields(SignalProfile)
    if field.name not in ("names", "gradient_samples", "loss", "spec")
]


class Taps:
    """What a forward pass written by hand says about its layers, in the order they ran."""

    def __init__(self):
        self.weights, self.outputs, self.flat = {}, {}, {}

    def note(self, name, weights, output, flat=None, unit_dim=-1):
        self.weights[name] = weights
        if output.requires_grad:
            output.retain_grad()
        self.outputs.setdefault(name, []).append(output)
        if flat is not None:
            self.flat.setdefault(name, []).append(flat.movedim(unit_dim, -1).flatten(0, -2))
        return output


def norm(tensors):
    squares = [t.detach().double().square().sum() for t in tensors if t is not None]
    return math.sqrt(sum(squares)) if squares else math.nan


def agree(network, inputs, loss, forward, rel=1e-4):
    """Compare the profile with ``forward``, run on a copy of ``network`` by .backward()."""
    taps, twin = Taps(), copy.deepcopy(network)
    inputs = inputs if isinstance(inputs, tuple) else (inputs,)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        value = loss(forward(twin, taps, *inputs))
    value.backward()
    profile = measure(network, inputs, loss)
    assert profile.names == tuple(taps.weights)
    assert profile.loss == pytest.approx(value.item(), rel=rel)
    for index, name in enumerate(profile.names):
        outputs = torch.cat([t.detach().double().flatten() for t in taps.outputs[name]])
        mean, std = outputs.mean().item(), outputs.std(correction=0).item()
        flat = torch.cat(taps.flat[name]) if name in taps.flat else None
        expected = {
            "weight_gradient_norm": norm(w.grad for w in taps.weights[name]),
            "activation_gradient_norm": norm(t.grad for t in taps.outputs[name] if t.is_leaf < 1),
            "activation_std": std,
            "saturated_share": math.nan if flat is None else flat.double().mean().item(),
            "dead_share": math.nan if flat is None else flat.all(dim=0).double().mean().item(),
        }
        for quantity, number in expected.items():
            measured = getattr(profile, quantity)[index].item()
            assert measured == pytest.approx(number, rel=rel, abs=1e-9, nan_ok=True), (
                name,
                quantity,
            )
        assert profile.activation_mean[index].item() == pytest.approx(mean, rel=rel, abs=rel * std)
    return profile


def noise(*shape, dtype=torch.float32, seed=0):
    return torch.randn(*shape, dtype=dtype, generator=torch.Generator().manual_seed(seed))


def squared(outputs):
    return outputs.square().sum()


# --- networks from a specification ---------------------------------------------------------------


def run_spec(network, taps, x):
    """A specification's network, layer by layer."""
    modules, index = list(network), 0
    while index < len(modules):
        first = modules[index]
        if isinstance(first, Residual):
            body, size, linear = list(first.body), 1, first.body[0]
        else:
            ends = (i for i in range(index + 1, len(modules)) if is_layer(modules[i]))
            size = next(ends, len(modules)) - index
            body, linear = modules[index : index + size], first
        out, flat, noted = linear(x), None, None
        for module in body[1:]:
            name = activation_name(module)
            if name in FLAT:
                flat = FLAT[name](out.detach())
            out = module(out)
            if name is not None:
                noted = out
        if isinstance(first, Residual):
            noted = out = x + out
        taps.note(str(index), [linear.weight], out if noted is None else noted, flat)
        x, index = out, index + size
    return x


def is_layer(module):
    return isinstance(module, nn.Linear | Residual)


def activation_name(module):
    found = [a.name for a in ACTIVATIONS.values() if a.module is type(module)]
    return found[0] if found and found[0] != "linear" else None


SPECS = [
    *(
        NetworkSpec(depth=4, width=20, activation=name, init="normal", gain=2.5, bias_std=0.4)
        for name in ["linear", *FLAT]
    ),
    NetworkSpec(depth=1, width=9, activation="relu"),
    *(
        NetworkSpec(
            depth=5, width=16, activation="relu", init="he", norm=norm, residual=r, dropout=p
        )
        for norm in (None, *NORMS)
        for r in (False, True)
        for p in (0.0, 0.4)
    ),
    NetworkSpec(depth=30, width=32, activation="tanh", gain=3.0),
    NetworkSpec(depth=40, width=16, activation="sigmoid"),
    NetworkSpec(depth=6, width=16, activation="relu", init="constant", bias_std=1),
]


@pytest.mark.parametrize("spec", SPECS, ids=lambda s: repr(s)[12:-1].replace(" ", ""))
def test_every_statistic_of_a_specification_is_that_of_a_pass_written_out(spec):
    batch = digits(32)
    agree(build(spec), batch.inputs, lambda out: F.cross_entropy(out, batch.labels), run_spec)


def test_a_specification_is_measured_on_128_digits_and_their_cross_entropy():
    spec, batch = NetworkSpec(depth=6, width=24, activation="relu", init="he"), digits(128)
    by_hand = measure(build(spec), batch.inputs, lambda out: F.cross_entropy(out, batch.labels))
    by_spec, by_network = measure(spec), measure(build(spec))
    for profile in (by_spec, by_network):
        assert profile.loss == by_hand.loss
        assert all(torch.equal(getattr(profile, a), getattr(by_hand, a)) for a in ARRAYS[:4])
    assert (by_spec.spec, by_network.spec) == (spec, None)


def test_samples_and_histogram_are_those_of_the_gradient():
    spec = NetworkSpec(depth=3, width=20, activation="relu", init="he")
    network, batch = build(spec), digits(128)
    F.cross_entropy(network(batch.inputs), batch.labels).backward()
    profile = measure(spec)
    weights = [network[i].weight.grad.double() for i in (0, 2, 4, 6)]
    assert len(profile) == 4
    for index, gradient in enumerate(weights):
        flat = gradient.flatten()[:: max(1, gradient.numel() // 1024)]
        assert torch.allclose(profile.gradient_samples[index], flat, rtol=1e-4, atol=1e-9)
        share = (flat == 0).double().mean().item()
        assert profile.zero_share[index].item() == pytest.approx(share)
        assert profile.gradient_histogram[index].sum().item() == pytest.approx(1 - share)
        for k in (-12, -9, -6):
            count = ((2.0**k <= flat.abs()) & (flat.abs() < 2.0 ** (k + 1))).double().mean()
            assert profile.gradient_histogram[index, k + 150].item() == pytest.approx(
                count.item(), abs=2e-3
            )


# --- any module ----------------------------------------------------------------------------------


class Functional(nn.Module):
    """Calls of every kind: a function, a method, in place, and one by keyword."""

    def __init__(self):
        super().__init__()
        self.a, self.b, self.c, self.d = (nn.Linear(6, 6) for _ in range(4))

    def forward(self, x):
        x = F.relu(self.a(x))
        x = self.b(x).tanh()
        x = self.c(x).relu_()
        return torch.sigmoid(input=self.d(x))


def run_functional(network, taps, x):
    for name, kind in [("a", "relu"), ("b", "tanh"), ("c", "relu"), ("d", "sigmoid")]:
        layer = getattr(network, name)
        z = x @ layer.weight.T + layer.bias
        x = taps.note(name, [layer.weight], ACTIVATIONS[kind].function(z), FLAT[kind](z.detach()))
    return x


class Raw(nn.Module):
    """Bare parameters: `x @ w`, `x @ w.T`, torch.matmul and F.linear."""

    def __init__(self):
        super().__init__()
        self.a = nn.Parameter(noise(6, 5, seed=1))
        self.inner = nn.Module()
        self.inner.b = nn.Parameter(noise(4, 5, seed=2))
        self.last = nn.ParameterList([noise(3, 4, seed=3)])

    def forward(self, x):
        x = torch.tanh(x @ self.a)
        x = torch.relu(torch.matmul(x, self.inner.b.T) + 0.1)
        return F.linear(x, self.last[0])


def run_raw(network, taps, x):
    z = torch.einsum("ni,io->no", x, network.a)
    x = taps.note("Raw", [network.a], z.tanh(), FLAT["tanh"](z.detach()))
    z = torch.einsum("ni,oi->no", x, network.inner.b) + 0.1
    x = taps.note("inner", [network.inner.b], z.clamp(min=0), FLAT["relu"](z.detach()))
    return taps.note("last", [network.last[0]], torch.einsum("ni,oi->no", x, network.last[0]))


class Shared(nn.Module):
    """One layer run three times, and a second module that holds the first one's weight."""

    def __init__(self):
        super().__init__()
        self.start, self.again, self.tied = nn.Linear(6, 6), nn.Linear(6, 6), nn.Linear(6, 6)

    def forward(self, x):
        x = self.start(x)
        for _ in range(3):
            x = torch.tanh(self.again(x))
        return x


def run_shared(network, taps, x):
    x = taps.note("start", [network.start.weight], network.start(x))
    for _ in range(3):
        z = F.linear(x, network.again.weight, network.again.bias)
        x = taps.note("again", [network.again.weight], z.tanh(), FLAT["tanh"](z.detach()))
    return x


class Convolutional(nn.Module):
    def __init__(self):
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(2, 5, 3), nn.BatchNorm2d(5), nn.ReLU(inplace=True))
        self.conv = nn.Conv2d(5, 4, 3, padding=1)
        self.pool, self.head = nn.AvgPool2d(2), nn.LazyLinear(3)

    def forward(self, x):
        x = self.pool(F.relu(self.conv(self.stem(x)), inplace=True))
        return self.head(x.flatten(1))


def run_convolutional(network, taps, x):
    conv, batch_norm, _ = network.stem
    z = batch_norm(conv(x))
    x = taps.note("stem", [conv.weight], z.clamp(min=0), z.detach() <= 0, unit_dim=1)
    z = network.conv(x)
    x = taps.note("conv", [network.conv.weight], z.clamp(min=0), z.detach() <= 0, unit_dim=1)
    return taps.note("head", [network.head.weight], network.head(F.avg_pool2d(x, 2).flatten(1)))


class Skip(nn.Module):
    """Two skips; the second is added in place, and is then part of what the layer has put out."""

    def __init__(self):
        super().__init__()
        self.a, self.b, self.c, self.d = (nn.Linear(6, 6) for _ in range(4))

    def forward(self, x):
        h = F.relu(self.a(x))
        h = h + self.b(h)
        y = self.c(h)
        y += h
        return self.d(y)


def run_skip(network, taps, x):
    z = network.a(x)
    h = taps.note("a", [network.a.weight], z.clamp(min=0), z.detach() <= 0)
    h = h + taps.note("b", [network.b.weight], network.b(h))
    y = taps.note("c", [network.c.weight], network.c(h) + h)
    return taps.note("d", [network.d.weight], network.d(y))


class TwoInputs(nn.Module):
    """Takes a tensor and a dictionary, returns a dictionary."""

    def __init__(self):
        super().__init__()
        self.left, self.right, self.unused = nn.Linear(6, 4), nn.Linear(3, 4), nn.Linear(9, 9)

    def forward(self, x, more):
        return {"sum": torch.tanh(self.left(x)) + self.right(more["y"]), "label": "text"}


def run_two_inputs(network, taps, x, more):
    z = network.left(x)
    left = taps.note("left", [network.left.weight], z.tanh(), FLAT["tanh"](z.detach()))
    right = taps.note("right", [network.right.weight], network.right(more["y"]))
    return {"sum": left + right}


def plain():
    return nn.Sequential(
        nn.Linear(6, 9), nn.ReLU(inplace=True), nn.Linear(9, 7), nn.Dropout(0.3), nn.Tanh(),
        nn.Linear(7, 3, bias=False), nn.Sigmoid(),
    )  # fmt: skip


def run_plain(network, taps, x):
    z = network[0](x)
    x = taps.note("0", [network[0].weight], z.clamp(min=0), FLAT["relu"](z.detach()))
    z = network[3](network[2](x))
    x = taps.note("2", [network[2].weight], z.tanh(), FLAT["tanh"](z.detach()))
    z = network[5](x)
    return taps.note("5", [network[5].weight], z.sigmoid(), FLAT["sigmoid"](z.detach()))


MODULES = [
    (plain, noise(12, 6), squared, run_plain),
    (Functional, noise(12, 6), squared, run_functional),
    (Raw, noise(12, 6), squared, run_raw),
    (Shared, noise(12, 6), squared, run_shared),
    (Convolutional, noise(4, 2, 10, 10), squared, run_convolutional),
    (Skip, noise(12, 6), squared, run_skip),
    (TwoInputs, (noise(5, 6), {"y": noise(5, 3)}), lambda o: squared(o["sum"]), run_two_inputs),
]


@pytest.mark.parametrize(
    ("make", "inputs", "loss", "forward"), MODULES, ids=[m[0].__name__ for m in MODULES]
)
@pytest.mark.parametrize("kind", ["train", "eval", "frozen first layer", "float64", "one example"])
def test_every_statistic_of_any_module_is_that_of_a_pass_written_out(
    make, inputs, loss, forward, kind
):
    torch.manual_seed(0)
    network = make()
    if make is Convolutional:
        network(inputs)  # gives the lazy layer its shape
    if kind == "eval":
        network.eval()
    if kind == "frozen first layer":
        for parameter in next(network.children(), network).parameters():
            parameter.requires_grad_(False)
    if kind == "float64" and make is not TwoInputs:
        network, inputs = network.double(), inputs.double()
    if kind == "one example" and make is not TwoInputs:
        inputs = inputs[:1]
    agree(network, inputs, loss, forward)


def test_half_precision_is_measured_in_its_own_numbers():
    torch.manual_seed(0)
    for dtype in (torch.bfloat16, torch.float16):
        agree(plain().to(dtype), noise(12, 6).to(dtype), squared, run_plain, rel=2e-2)


def test_a_weight_that_two_modules_share_is_measured_once():
    torch.manual_seed(0)
    network = Shared()
    network.tied.weight = network.again.weight
    taps = measure(network, noise(12, 6), squared)
    twin = copy.deepcopy(network)
    squared(twin(noise(12, 6))).backward()
    assert len(taps) == 2
    assert taps.weight_gradient_norm[1].item() == pytest.approx(norm([twin.again.weight.grad]))


@contextlib.contextmanager
def book_seed():
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        yield


def test_the_books_lenet():
    with book_seed():
        network, x = d2l.LeNet(), noise(6, 1, 28, 28)
        network.apply_init([x], d2l.init_cnn)
        labels = torch.arange(6)

        def forward(twin, taps, x):
            for index, module in enumerate(twin.net):
                if isinstance(module, nn.Conv2d | nn.Linear):
                    name, weight, x = f"net.{index}", module.weight, module(x)
                    if index == 11:
                        taps.note(name, [weight], x)
                elif isinstance(module, nn.Sigmoid):
                    flat = FLAT["sigmoid"](x.detach())
                    x = taps.note(name, [weight], x.sigmoid(), flat, 1 if x.ndim > 2 else -1)
                else:
                    x = module(x)
            return x

        profile = agree(network, x, lambda out: F.cross_entropy(out, labels), forward)
    assert len(profile) == 5


def test_the_books_resnext_block():
    with book_seed():
        block, x = d2l.ResNeXtBlock(8, 4, 1, use_1x1conv=True), noise(4, 8, 6, 6)
        block(x)

        def forward(twin, taps, x):
            z = twin.bn1(twin.conv1(x))
            y = taps.note("conv1", [twin.conv1.weight], z.clamp(min=0), z.detach() <= 0, 1)
            z = twin.bn2(twin.conv2(y))
            y = taps.note("conv2", [twin.conv2.weight], z.clamp(min=0), z.detach() <= 0, 1)
            y = taps.note("conv3", [twin.conv3.weight], twin.conv3(y))
            skip = twin.conv4(x)
            z = twin.bn3(y) + twin.bn4(skip)
            out = taps.note("conv4", [twin.conv4.weight], z.clamp(min=0), z.detach() <= 0, 1)
            return out

        agree(block, x, squared, forward)


def test_the_books_recurrent_network():
    with book_seed():
        rnn, x = d2l.RNN(5, 7), noise(4, 3, 5)
    twin = copy.deepcopy(rnn)
    cell, h, states = twin.rnn, torch.zeros(3, 7), []
    for step in x:
        z = step @ cell.weight_ih_l0.T + cell.bias_ih_l0 + h @ cell.weight_hh_l0.T
        h = torch.tanh(z + cell.bias_hh_l0)
        states.append(h)
    outputs = torch.stack(states)
    outputs.retain_grad()
    squared(outputs).backward()
    profile = measure(rnn, x, lambda out: squared(out[0]))
    weights = norm([cell.weight_ih_l0.grad, cell.weight_hh_l0.grad])
    assert profile.names == ("rnn",)
    assert profile.weight_gradient_norm.item() == pytest.approx(weights, rel=1e-4)
    assert profile.activation_gradient_norm.item() == pytest.approx(norm([outputs.grad]))
    assert profile.activation_mean.item() == pytest.approx(outputs.mean().item(), rel=1e-4)
    assert profile.activation_std.item() == pytest.approx(outputs.std(correction=0).item())


def test_the_books_recurrent_network_from_scratch():
    with book_seed():
        rnn, x = d2l.RNNScratch(5, 7, sigma=2.0), noise(4, 3, 5)
    loss = lambda out: squared(torch.stack(out[0]))  # noqa: E731, the shortest form
    twin, h, flat = copy.deepcopy(rnn), torch.zeros(3, 7), []
    with torch.no_grad():
        for step in x:
            z = step @ twin.W_xh + h @ twin.W_hh + twin.b_h
            h = torch.tanh(z)
            flat.append(FLAT["tanh"](z))
    loss(twin(x)).backward()
    profile = measure(rnn, x, loss)
    assert profile.names == ("RNNScratch",)
    weights = norm([twin.W_xh.grad, twin.W_hh.grad])
    assert profile.weight_gradient_norm.item() == pytest.approx(weights, rel=1e-4)
    flat = torch.cat(flat).double()
    assert 0.1 < profile.saturated_share.item() == pytest.approx(flat.mean().item())
    assert profile.dead_share.item() == pytest.approx(flat.all(dim=0).double().mean().item())


def test_the_books_transformer_encoder():
    tokens, lengths = torch.arange(15).reshape(3, 5), torch.tensor([5, 3, 4])

    def build_encoder():  # the book's attention keeps its last weights, which deepcopy refuses
        with book_seed():
            encoder = d2l.TransformerEncoder(30, 8, 12, 2, 2, 0.0)
            encoder(tokens, lengths)  # gives the lazy layers their shapes
        return encoder

    encoder, twin = build_encoder(), build_encoder()
    squared(twin(tokens, lengths)).backward()
    profile = measure(encoder, (tokens, lengths), squared)
    owners = {
        name: module.weight.grad
        for name, module in twin.named_modules()
        if getattr(module, "weight", None) is not None and module.weight.ndim > 1
    }
    assert len(owners) == len(profile) == 13  # an embedding, and 2 × (4 of attention, 2 of the FFN)
    for index, name in enumerate(profile.names):
        gradient = next(g for n, g in owners.items() if n == name or n.startswith(name + "."))
        assert profile.weight_gradient_norm[index].item() == pytest.approx(norm([gradient]), 1e-4)
    assert profile.activation_gradient_norm.isfinite().all()
    for name, share in zip(profile.names, profile.saturated_share, strict=True):
        assert share.isnan() == ("dense1" not in name)  # the book's FFN has the one ReLU


# --- closed forms --------------------------------------------------------------------------------


def chain(weights, dtype=torch.float32):
    """x → w_n … w_2 w_1 x."""
    network = nn.Sequential(*(nn.Linear(1, 1, bias=False, dtype=dtype) for _ in weights))
    with torch.no_grad():
        for layer, weight in zip(network, weights, strict=True):
            layer.weight.fill_(weight)
    return network


@settings(max_examples=30, deadline=None, derandomize=True)
@given(
    weights=st.lists(st.floats(0.1, 10), min_size=1, max_size=12),
    x=st.floats(0.1, 10),
    sign=st.sampled_from([-1, 1]),
)
def test_a_linear_chain_multiplies_its_weights(weights, x, sign):
    profile = measure(chain(weights, torch.float64), torch.tensor([[sign * x]]).double(), torch.sum)
    for i, weight in enumerate(weights):
        before, behind = math.prod(weights[:i]) * x, math.prod(weights[i + 1 :])
        assert profile.activation_mean[i].item() == pytest.approx(sign * before * weight)
        assert profile.activation_std[i].item() == pytest.approx(0, abs=1e-6 * before * weight)
        assert profile.activation_gradient_norm[i].item() == pytest.approx(behind)
        assert profile.weight_gradient_norm[i].item() == pytest.approx(before * behind)
    assert profile.loss == pytest.approx(sign * math.prod(weights) * x)


def test_a_sigmoid_at_zero_divides_the_gradient_by_four():
    layers = []
    for _ in range(30):
        layers += [nn.Linear(1, 1), nn.Sigmoid()]
        nn.init.ones_(layers[-2].weight)
        nn.init.constant_(layers[-2].bias, -0.5)  # ½ · 1 − ½ = 0
    profile = measure(nn.Sequential(*layers), torch.tensor([[0.5]]), torch.sum)
    powers = 0.25 ** torch.arange(29, -1, -1, dtype=torch.float64)
    assert torch.allclose(profile.activation_gradient_norm, powers, rtol=1e-5)
    assert torch.allclose(profile.weight_gradient_norm, powers * 0.25 * 0.5, rtol=1e-5)
    assert (profile.activation_mean == 0.5).all()


def test_activations_overflow_where_the_powers_pass_the_largest_float():
    profile = measure(chain([2.0**10] * 16), torch.ones(3, 1), torch.sum)
    # layer i puts out 2^(10 i); float32 ends at 2^128, so layer 13 is the first
    assert profile.activation_overflow.tolist() == [False] * 12 + [True] * 4
    assert profile.loss == math.inf
    assert profile.activation_mean[11].item() == 2.0**120


def test_gradients_overflow_where_the_powers_pass_the_largest_float():
    profile = measure(chain([2.0**10] * 16), torch.full((1, 1), 2.0**-120), torch.sum)
    # ∂loss/∂a of layer i is 2^(10 (16 − i)): Inf for i ≤ 3
    assert profile.gradient_overflow.tolist() == [True] * 3 + [False] * 13
    assert not profile.activation_overflow.any()
    assert profile.activation_gradient_norm.tolist()[:3] == [math.inf] * 3
    assert profile.activation_gradient_norm[3].item() == 2.0**120
    assert profile.weight_gradient_norm[3:].tolist() == [2.0**30] * 13


def test_gradients_underflow_where_the_powers_pass_the_smallest_float():
    profile = measure(chain([2.0**-10] * 20), torch.full((1, 1), 2.0**100), torch.sum)
    # ∂loss/∂a of layer i is 2^(−10 (20 − i)); float32 ends at 2^−149, so layer 5 is the last zero
    powers = [0.0] * 5 + [2.0 ** (-10 * (20 - i)) for i in range(6, 21)]
    assert profile.activation_gradient_norm.tolist() == powers
    assert profile.zero_share.tolist() == [1.0] * 5 + [0.0] * 15
    assert not profile.gradient_overflow.any()


def test_nan_weights_are_an_overflow_from_their_layer_on():
    network = chain([1.0] * 5)
    nn.init.constant_(network[2].weight, math.nan)
    profile = measure(network, torch.ones(2, 1), torch.sum)
    assert profile.activation_overflow.tolist() == [False, False, True, True, True]


def test_units_that_overflowed_are_neither_saturated_nor_dead():
    profile = measure(NetworkSpec(depth=20, width=8, activation="relu", init="he", gain=1e4))
    lost = profile.activation_overflow
    assert lost[-1] and not lost[0]
    assert profile.saturated_share[lost].isnan().all() and profile.dead_share[lost].isnan().all()
    assert not profile.saturated_share[~lost].isnan().any()


def test_a_dead_unit_of_a_convolution_is_a_channel_and_of_a_sequence_a_feature():
    conv, linear = nn.Conv2d(2, 4, 3), nn.Linear(3, 5)
    nn.init.constant_(conv.bias[1:2].data, -1e3)
    nn.init.constant_(linear.bias[:2].data, -1e3)
    network = nn.Sequential(conv, nn.ReLU(), linear, nn.ReLU())  # acts on the rows of the image
    dead = measure(network, 10 * noise(2, 2, 6, 5), squared).dead_share
    assert dead.tolist() == pytest.approx([1 / 4, 2 / 5])


def test_float64_reaches_where_float32_ends():
    profile = measure(chain([2.0**10] * 16, torch.float64), torch.ones(1, 1).double(), torch.sum)
    assert profile.activation_mean.tolist() == [2.0 ** (10 * i) for i in range(1, 17)]
    assert not profile.activation_overflow.any()


def test_constant_outputs_have_no_spread_and_a_large_mean_hides_none():
    network = nn.Linear(4, 50)
    nn.init.zeros_(network.weight)
    nn.init.constant_(network.bias, 3.0)
    assert measure(network, noise(9, 4), torch.sum).activation_std.item() == 0
    values = 1000 + 0.01 * noise(9, 4)
    nn.init.eye_(network.weight)
    nn.init.zeros_(network.bias)
    expected = (values @ network.weight.T).double().std(correction=0).item()
    network = nn.Linear(4, 4, bias=False)
    nn.init.eye_(network.weight)
    expected = values.double().std(correction=0).item()
    assert measure(network, values, torch.sum).activation_std.item() == pytest.approx(expected)


# --- what it refuses, and where it runs ----------------------------------------------------------


def frozen():
    return plain().requires_grad_(False)


@pytest.mark.parametrize(
    ("network", "inputs", "loss", "kind", "message"),
    [
        (nn.Linear, noise(2, 6), squared, TypeError, "network must be a torch.nn.Module or a Net"),
        ("relu", None, None, TypeError, "network must be a torch.nn.Module .*got 'relu'"),
        (None, None, None, TypeError, "network must be"),
        (
            nn.LazyLinear(3),
            noise(2, 6),
            squared,
            ValueError,
            "lazy layer without a shape.*apply_init",
        ),
        (nn.ReLU(), noise(2, 6), squared, ValueError, "no layer to measure"),
        (nn.LayerNorm(6), noise(2, 6), squared, ValueError, "no parameter of two dimensions"),
        (frozen(), noise(2, 6), squared, ValueError, "does not depend on any parameter that req"),
        (plain(), noise(2, 6), lambda out: out, ValueError, r"scalar tensor; got \(2, 3\)"),
        (plain(), noise(2, 6), lambda out: 3.0, ValueError, "scalar tensor; got float"),
        (plain(), noise(2, 6), lambda out: None, ValueError, "scalar tensor; got NoneType"),
        (plain(), noise(2, 6), lambda out: out.detach().sum(), ValueError, "does not depend on"),
        (plain(), noise(2, 6), None, TypeError, "inputs and loss come together.*loss None"),
        (plain(), None, squared, TypeError, "inputs and loss come together.*inputs NoneType"),
        (plain(), noise(2, 6), "mse", TypeError, "loss a function .*got inputs Tensor, loss 'mse'"),
        (NetworkSpec(depth=2), noise(2, 64), None, TypeError, "come together"),
    ],
)
def test_what_cannot_be_measured_is_refused_in_words(network, inputs, loss, kind, message):
    with pytest.raises(kind, match=message):
        measure(network, inputs, loss)


def test_what_the_module_raises_passes_through_and_leaves_nothing_behind():
    class Fails(nn.Module):
        def __init__(self):
            super().__init__()
            self.block = nn.Sequential(nn.Linear(6, 6), nn.ReLU())

        def forward(self, x):
            self.block(x)
            raise KeyError("mine")

    network = Fails()
    with unchanged(network), pytest.raises(KeyError, match="mine"):
        measure(network, noise(2, 6), squared)
    assert not torch.overrides._get_current_function_mode_stack()
    with unchanged(network.block), pytest.raises(ZeroDivisionError):
        measure(network.block, noise(2, 6), lambda out: 1 / 0)


@pytest.mark.parametrize("context", [torch.no_grad, torch.inference_mode])
def test_it_works_where_gradients_are_switched_off(context):
    torch.manual_seed(0)
    network, x, spec = plain(), noise(5, 6), NetworkSpec(depth=3, width=11, seed=5)
    expected, of_spec = measure(network, x, squared), measure(spec)
    with context():
        inside, created = measure(network, x.clone(), squared), measure(spec)
        assert not torch.is_grad_enabled()
    assert not inside.weight_gradient_norm.is_inference()
    assert torch.equal(inside.weight_gradient_norm, expected.weight_gradient_norm)
    assert torch.equal(created.weight_gradient_norm, of_spec.weight_gradient_norm)
    assert measure(spec).loss == of_spec.loss  # what was cached meanwhile can be differentiated


def test_dropout_draws_from_the_seed_given():
    spec = NetworkSpec(depth=3, width=30, dropout=0.5)
    assert measure(spec, seed=1).loss == measure(spec, seed=1).loss
    assert measure(spec, seed=1).loss != measure(spec, seed=2).loss


@pytest.mark.parametrize("device", ["cpu", "meta"])
def test_the_users_default_dtype_and_device_change_nothing(device):
    spec = NetworkSpec(depth=3, width=11)
    expected = measure(spec)
    torch.set_default_dtype(torch.float64)
    torch.set_default_device(device)
    try:
        profile = measure(spec)
        shown = profile.gradient_histogram, profile.activation_overflow, profile.gradient_overflow
    finally:
        torch.set_default_dtype(torch.float32)
        torch.set_default_device(None)
    assert torch.equal(profile.weight_gradient_norm, expected.weight_gradient_norm)
    assert torch.equal(shown[0], expected.gradient_histogram)
    assert not shown[1].any() and not shown[2].any()


def test_sparse_and_complex_gradients_are_measured():
    torch.manual_seed(0)
    network = nn.Sequential(nn.Embedding(9, 4, sparse=True), nn.Linear(4, 2))
    dense = copy.deepcopy(network)
    dense[0].sparse = False
    tokens = torch.tensor([1, 2, 2, 7])
    squared(dense(tokens)).backward()
    profile = measure(network, tokens, squared)
    expected = [norm([dense[0].weight.grad]), norm([dense[1].weight.grad])]
    assert profile.weight_gradient_norm.tolist() == pytest.approx(expected)
    network, x = nn.Linear(6, 3, dtype=torch.cfloat), noise(4, 6, dtype=torch.cfloat)
    loss = lambda out: out.abs().square().sum()  # noqa: E731, the shortest form
    profile = measure(network, x, loss)
    loss(network(x)).backward()
    expected = network.weight.grad.abs().square().sum().sqrt().item()
    assert profile.weight_gradient_norm.item() == pytest.approx(expected, rel=1e-5)


def test_a_loss_that_reaches_no_weight_leaves_nan():
    class Detached(nn.Module):
        def __init__(self):
            super().__init__()
            self.linear, self.gain = nn.Linear(6, 3), nn.Parameter(torch.ones(3))

        def forward(self, x):
            return self.linear(x).detach() * self.gain

    profile = measure(Detached(), noise(4, 6), squared)
    assert profile.names == ("linear",)
    assert profile.weight_gradient_norm.isnan().all() and profile.gradient_samples[0].shape == (0,)
    assert profile.activation_gradient_norm.isnan().all() and not profile.gradient_overflow.any()
    assert profile.gradient_histogram.isnan().all()
    assert profile.activation_std.item() > 0


def test_activations_near_the_end_of_float64_raise_no_warning():
    profile = measure(chain([1e80] * 3, torch.float64), torch.ones(2, 1).double(), torch.sum)
    assert profile.activation_mean.tolist() == pytest.approx([1e80, 1e160, 1e240])


def test_buffers_of_every_kind_are_put_back():
    class Buffers(nn.Module):
        def __init__(self):
            super().__init__()
            self.linear = nn.Linear(6, 6)
            self.register_buffer("expanded", torch.ones(1).expand(6))
            self.register_buffer("later", None)
            self.register_buffer("counter", torch.zeros((), dtype=torch.int64))
            self.register_buffer("sparse", torch.eye(6).to_sparse(), persistent=False)

        def forward(self, x):
            self.later = x.detach().mean(0)
            self.counter += 1
            self.expanded = self.expanded * 2
            return self.linear(x) * self.expanded

    network = Buffers()
    expanded, counter = network.expanded, network.counter
    measure(network, noise(3, 6), squared)
    assert network.later is None and network.counter is counter and network.expanded is expanded
    assert network.counter.item() == 0 and network.expanded.tolist() == [1.0] * 6


# --- for all specifications, for all modules -----------------------------------------------------


def state(network):
    """All that measuring must not change, values copied."""
    tensors = [*network.named_parameters(), *network.named_buffers()]
    hooks = [
        {key: list(value) for key, value in vars(module).items() if "hook" in key and value}
        for module in network.modules()
    ]
    return {
        "tensors": [(name, id(t), t.detach().clone()) for name, t in tensors],
        "gradients": [None if t.grad is None else t.grad.clone() for _, t in tensors],
        "ids": [id(t.grad) for _, t in tensors],
        "training": [module.training for module in network.modules()],
        "requires": [t.requires_grad for _, t in tensors],
        "hooks": hooks,
        "attributes": [sorted(vars(module)) for module in network.modules()],
        "torch": torch.get_rng_state(),
        "numpy": np.random.get_state(),
        "python": random.getstate(),
        "modes": (torch.is_grad_enabled(), torch.is_inference_mode_enabled()),
    }


def same(a, b):
    if isinstance(a, torch.Tensor | np.ndarray):
        a, b = np.asarray(a), np.asarray(b)
        return a.dtype == b.dtype and np.array_equal(a, b, equal_nan=a.dtype.kind == "f")
    if isinstance(a, dict):
        return a.keys() == b.keys() and all(same(a[key], b[key]) for key in a)
    if isinstance(a, list | tuple):
        return len(a) == len(b) and all(map(same, a, b))
    return a == b


@contextlib.contextmanager
def unchanged(network):
    before = state(network)
    yield
    after = state(network)
    assert [key for key in before if not same(before[key], after[key])] == []


def keeps_its_promises(profile, layers=None):
    n = len(profile)
    assert layers is None or n == layers
    for name in ARRAYS:
        array = getattr(profile, name)
        assert (array.dtype, array.shape, array.device.type) == (torch.float64, (n,), "cpu")
        assert not array.requires_grad
    assert len(profile.names) == len(set(profile.names)) == len(profile.gradient_samples) == n
    assert all(s.ndim == 1 and s.dtype == torch.float64 for s in profile.gradient_samples)
    assert all(len(s) < 2048 for s in profile.gradient_samples)
    histogram, zero = profile.gradient_histogram, profile.zero_share
    assert (histogram.shape, histogram.dtype) == ((n, BINADES), torch.float64)
    assert (zero.shape, zero.dtype) == ((n,), torch.float64)
    total = (histogram.sum(dim=1) + zero).nan_to_num(0)
    assert (total <= 1 + 1e-9).all() and (histogram.nan_to_num(0) >= 0).all()
    for overflow in (profile.activation_overflow, profile.gradient_overflow):
        assert (overflow.dtype, overflow.shape) == (torch.bool, (n,))
    for share in (profile.saturated_share, profile.dead_share):
        assert ((share >= 0) & (share <= 1) | share.isnan()).all()
    assert (profile.dead_share.nan_to_num(0) <= profile.saturated_share.nan_to_num(1) + 1e-12).all()
    for name in ARRAYS[:2]:
        assert not (getattr(profile, name) < 0).any()
    assert type(profile.loss) is float


@settings(max_examples=120, deadline=None, derandomize=True)
@given(spec=specs, training=st.booleans(), gradients=st.booleans())
def test_any_specification_is_measured_and_its_network_left_alone(spec, training, gradients):
    network = build(spec).train(training)
    if gradients:
        for parameter in network.parameters():
            parameter.grad = torch.ones_like(parameter)
    with unchanged(network):
        profile = measure(network)
    keeps_its_promises(profile, spec.depth + 1)
    of_spec = measure(spec)
    keeps_its_promises(of_spec, spec.depth + 1)
    assert of_spec.spec == spec


class Add(nn.Sequential):
    def forward(self, x):
        return x + super().forward(x)


WIDTH = 5
leaves = st.one_of(
    st.builds(nn.Linear, st.just(WIDTH), st.just(WIDTH), st.booleans()),
    st.sampled_from([nn.ReLU, nn.ELU, nn.SELU, nn.SiLU, nn.LeakyReLU]).flatmap(
        lambda kind: st.builds(kind, inplace=st.booleans())
    ),
    st.builds(nn.Tanh),
    st.builds(nn.Sigmoid),
    st.builds(nn.GELU),
    st.builds(nn.Softplus),
    st.builds(nn.PReLU),
    st.builds(nn.Softmax, dim=st.just(-1)),
    st.builds(nn.Identity),
    st.builds(nn.Dropout, st.sampled_from([0.0, 0.5]), st.booleans()),
    st.builds(nn.LayerNorm, st.just(WIDTH)),
    st.builds(nn.BatchNorm1d, st.just(WIDTH)),
    st.builds(lambda: nn.utils.parametrizations.weight_norm(nn.Linear(WIDTH, WIDTH))),
    st.builds(lambda: nn.utils.parametrizations.spectral_norm(nn.Linear(WIDTH, WIDTH))),
)


def containers(parts):
    lists = st.lists(parts, max_size=4)
    return st.one_of(
        lists.map(lambda p: nn.Sequential(*p)),
        # a leading Identity: an in-place first layer must not change the other branch's input
        lists.map(lambda p: Add(nn.Linear(WIDTH, WIDTH), *p)),
        st.tuples(parts, st.integers(1, 3)).map(lambda p: nn.Sequential(*[p[0]] * p[1])),
    )


@settings(max_examples=150, deadline=None, derandomize=True)
@given(
    body=st.recursive(leaves, containers, max_leaves=8),
    examples=st.integers(2, 6),
    training=st.booleans(),
    frozen=st.lists(st.booleans(), min_size=20, max_size=20),
)
def test_any_sequence_of_modules_is_measured_and_left_alone(body, examples, training, frozen):
    network = nn.Sequential(nn.Linear(3, WIDTH), body, nn.Linear(WIDTH, 2)).train(training)
    for parameter, freeze in zip(list(network.parameters())[:-1], frozen, strict=False):
        parameter.requires_grad_(not freeze)
        parameter.grad = torch.ones_like(parameter) if freeze else None
    network[2].weight.requires_grad_(True)
    x = noise(examples, 3)
    twin = copy.deepcopy(network)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        twin.zero_grad()
        loss = squared(twin(x))
        try:
            loss.backward()
        except RuntimeError:  # an in-place module behind one that needs its output
            with pytest.raises(RuntimeError, match="inplace"), unchanged(network):
                measure(network, x, squared)
            return
    with unchanged(network):
        profile = measure(network, x, squared)
    keeps_its_promises(profile)
    assert profile.loss == pytest.approx(loss.item(), rel=1e-5, nan_ok=True)
    assert profile.weight_gradient_norm[-1].item() == pytest.approx(
        norm([twin[2].weight.grad]), rel=1e-4, abs=1e-12, nan_ok=True
    )
    trainable = [
        p.grad for p in twin.parameters() if p.ndim > 1 and p.requires_grad and p.grad is not None
    ]
    together = profile.weight_gradient_norm.nan_to_num(0).square().sum().sqrt().item()
    assert together == pytest.approx(norm(trainable), rel=1e-4, abs=1e-12)


def test_measuring_in_several_threads_leaves_the_random_state_and_agrees():
    specs = [NetworkSpec(depth=20 + 7 * k, width=16, dropout=0.3, seed=5) for k in range(4)]
    expected = [measure(spec).weight_gradient_norm for spec in specs]
    state, found = torch.get_rng_state(), {}

    def work(index):
        for _ in range(10):
            found[index] = measure(specs[index]).weight_gradient_norm

    threads = [threading.Thread(target=work, args=(k,)) for k in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert torch.equal(torch.get_rng_state(), state)
    assert all(torch.equal(found[k], expected[k]) for k in range(4))
