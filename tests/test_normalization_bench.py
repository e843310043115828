"""The normalization bench, against passes and trainings written out."""

import math
import random

import numpy as np
import pytest
import torch

from d2lstab.datasets import digits
from d2lstab.normalization.bench import (
    BIN,
    CENTRES,
    EVERY,
    SCHEMES,
    Bench,
    BenchSpec,
    gradients_at_one,
    histogram,
    train_bench,
    try_bench,
)
from d2lstab.normalization.named import NORMS
from d2lstab.training import HELD_OUT

SMALL = dict(depth=3, batch_size=16)
PHI = {"relu": lambda z: z.clamp(min=0), "tanh": torch.tanh}


def linear_layers(network):
    return [layer for layer in network.modules() if isinstance(layer, torch.nn.Linear)]


def standardized(z, norm):
    if norm is None:
        return z
    dims = {"batch": 0, "layer": 1}[norm]
    variance = z.var(dims, keepdim=True, correction=0)
    return (z - z.mean(dims, keepdim=True)) / (variance + 1e-5).sqrt()


def written_out(spec, network, batch):
    """What each activation receives, the loss, and the logits."""
    *hidden, last = linear_layers(network)
    signals, h = [], batch.inputs
    for layer in hidden:
        signals.append(standardized(h @ layer.weight.T + layer.bias, spec.norm))
        h = PHI[spec.activation](signals[-1])
    logits = h @ last.weight.T + last.bias
    chosen = logits[range(len(logits)), batch.labels]
    return signals, (logits.exp().sum(1).log() - chosen).mean(), logits


# --- specification --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("wrong", "error", "says"),
    [
        (dict(norm="btach"), ValueError, "Did you mean 'batch'"),
        (dict(batch_size=0), ValueError, "batch_size must be an integer from 1 to 512"),
        (dict(batch_size=513), ValueError, "batch_size"),
        (dict(batch_size=8.5), TypeError, "batch_size"),
        (dict(composition=1.01), ValueError, "composition must be a number from 0 to 1"),
        (dict(composition=math.nan), ValueError, "composition"),
        (dict(weight_scale=0), ValueError, "weight_scale must be a finite number > 0"),
        (dict(weight_scale=math.nan), ValueError, "weight_scale"),
        (dict(weight_scale=math.inf), ValueError, "weight_scale"),
        (dict(norm_place="under"), ValueError, "norm_place"),
        (dict(residual=1), TypeError, "residual must be True or False"),
        (dict(activation="gelu"), ValueError, "activation"),
        (dict(depth=51), ValueError, "depth"),
        (dict(seed=-1), ValueError, "seed"),
    ],
)
def test_a_wrong_value_is_refused_by_its_name(wrong, error, says):
    with pytest.raises(error, match=says):
        BenchSpec(**wrong)


def test_numpys_numbers_become_pythons():
    spec = BenchSpec(batch_size=np.int64(8), composition=np.float32(0.5), depth=np.int64(2))
    assert {type(x) for x in (spec.batch_size, spec.depth)} == {int}
    assert type(spec.composition) is float


@pytest.mark.parametrize("norm", ["batch", "weight", None])
def test_the_scale_multiplies_the_hidden_weights_and_nothing_else(norm):
    plain = BenchSpec(norm=norm, **SMALL).build().state_dict()
    hidden = [name for name, x in plain.items() if x.ndim == 2][:-1]
    assert len(hidden) == 3
    for _ in range(2):  # and not those of the next network, too
        for name, value in (
            BenchSpec(norm=norm, weight_scale=4, **SMALL).build().state_dict().items()
        ):
            assert torch.equal(value, (4 if name in hidden else 1) * plain[name])


def test_batches_have_their_size_and_favour_the_class_of_their_number():
    for number in (0, 3, 27):
        labels = BenchSpec(batch_size=40, composition=1).batch(number).labels
        assert labels.tolist() == [number % 10] * 40
    mixed = BenchSpec(batch_size=200, composition=0.5).batch(4)
    assert mixed.inputs.shape == (200, 64)
    assert 100 <= (mixed.labels == 4).sum() < 140 and len(mixed.labels.unique()) == 10


def test_each_batch_of_each_seed_is_another_one_and_always_the_same():
    batches = [BenchSpec(seed=seed).batch(number) for seed in (0, 1) for number in range(3)]
    assert len({batch.inputs.sum().item() for batch in batches}) == 6
    assert torch.equal(BenchSpec(seed=1).batch(2).inputs, batches[-1].inputs)


# --- one pass -------------------------------------------------------------------------------------


@pytest.mark.parametrize("norm", ["batch", "layer"])
@pytest.mark.parametrize("activation", PHI)
def test_a_pass_is_the_one_written_out(norm, activation):
    spec = BenchSpec(norm=norm, activation=activation, weight_scale=1.5, composition=0.5, **SMALL)
    bench, network, batch = try_bench(spec), spec.build(), spec.batch()
    signals, loss, logits = written_out(spec, network, batch)
    weights = [layer.weight for layer in linear_layers(network)]
    norms = [g.norm() for g in torch.autograd.grad(loss, weights)]
    assert bench.profile.loss == pytest.approx(loss.item(), rel=1e-5)
    np.testing.assert_allclose(bench.profile.weight_gradient_norm, norms, rtol=2e-4)
    assert bench.layers == (1, 2, 3)
    np.testing.assert_allclose(bench.stds, [s.std(correction=0).item() for s in signals], rtol=1e-4)
    for shares, signal in zip(bench.shares, signals, strict=True):
        edges = [-math.inf, *(CENTRES[1:] - BIN / 2), math.inf]
        counts, _ = np.histogram(signal.detach().numpy(), edges)
        assert abs(shares.numpy() - counts / counts.sum()).max() < 3 / signal.numel()  # rounding
    assert bench.right_in_train == (logits.argmax(1) == batch.labels).double().mean()


def test_a_histogram_piles_up_what_is_beyond_and_has_1_in_the_middle_of_a_bin():
    shares = histogram(torch.tensor([-math.pi * 10, -1.0, 1.0, 1.05, 6.1, 1e30]))
    assert shares[[0, 25, 35, 60]].tolist() == pytest.approx([1 / 6, 1 / 6, 2 / 6, 2 / 6])
    assert shares.sum() == pytest.approx(1)
    for lost in (math.nan, math.inf):
        assert histogram(torch.tensor([0.0, lost])).sum() == 0


def test_up_to_five_layers_are_shown_from_the_first_to_the_last():
    layers = [try_bench(BenchSpec(depth=d, batch_size=2)).layers for d in (1, 2, 5, 50)]
    assert layers == [(1,), (1, 2), (1, 2, 3, 4, 5), (1, 13, 25, 38, 50)]


def test_the_running_statistics_are_those_of_the_recursion():
    spec = BenchSpec(composition=1, **SMALL)
    network = spec.build()
    list(train_bench(network, spec, 4, learning_rate=0.0))
    first = linear_layers(network)[0]

    def of(number):
        z = (spec.batch(number).inputs @ first.weight.T + first.bias).detach()
        return z.mean(0), z.var(0, correction=1)

    mean, variance = torch.zeros(64), torch.ones(64)
    for number in (1, 2, 3, 4):
        batch_mean, batch_variance = of(number)
        mean, variance = 0.9 * mean + 0.1 * batch_mean, 0.9 * variance + 0.1 * batch_variance
    batch_mean, batch_variance = of(0)
    bench = try_bench(spec, network)
    gap = ((batch_mean - mean).square() / (variance + 1e-5)).mean().sqrt()
    ratio = ((batch_variance + 1e-5) / (variance + 1e-5)).mean().sqrt()
    assert bench.mean_gaps[0].item() == pytest.approx(gap.item(), rel=1e-4)
    assert bench.std_ratios[0].item() == pytest.approx(ratio.item(), rel=1e-4)
    assert len(bench.mean_gaps) == len(bench.std_ratios) == 3


@pytest.mark.parametrize("norm", [None, *NORMS])
def test_only_batch_norm_has_running_statistics_and_differs_between_the_modes(norm):
    bench = try_bench(BenchSpec(norm=norm, **SMALL))
    assert (len(bench.mean_gaps) > 0) == (norm == "batch")
    if norm != "batch":
        assert bench.right_in_train == bench.right_in_eval


@pytest.mark.parametrize("norm", [None, *NORMS])
@pytest.mark.parametrize("scale", [0.25, 8])
def test_gradients_fall_as_one_over_the_scale_with_every_norm_that_leaves_any(norm, scale):
    spec = BenchSpec(norm=norm, weight_scale=scale, **SMALL)
    ratios = (try_bench(spec).profile.weight_gradient_norm / gradients_at_one(spec))[:-1]
    if norm is None:
        assert (abs(ratios * scale - 1) > 0.5).all()
    elif norm != "instance":  # ε beside σ² makes the difference
        np.testing.assert_allclose(ratios, 1 / scale, rtol=5e-3)


def test_the_gradients_at_scale_1_are_kept():
    spec = BenchSpec(weight_scale=3, **SMALL)
    assert gradients_at_one(spec) is gradients_at_one(BenchSpec(weight_scale=5, **SMALL))


def test_instance_norm_leaves_nothing_of_a_vector():
    bench = try_bench(BenchSpec(norm="instance", **SMALL))
    assert bench.stds.max() < 1e-4
    assert bench.profile.loss == pytest.approx(math.log(10), abs=1e-4)


@pytest.mark.parametrize(("norm", "refused"), [("batch", True), ("instance", True), ("rms", False)])
def test_a_batch_of_one_is_refused_where_pytorch_refuses_it(norm, refused):
    bench = try_bench(BenchSpec(norm=norm, batch_size=1))
    assert bench.refusal.startswith("Expected more than 1 value per channel") == refused
    assert (bench.profile is None) == refused
    if refused:
        assert len(bench.layers) == len(bench.shares) == len(bench.mean_gaps) == 0


def test_another_error_of_the_network_passes_through():
    class Broken(torch.nn.Module):
        def forward(self, x):
            raise ValueError("out of order")

    with pytest.raises(ValueError, match="out of order"):
        try_bench(
            BenchSpec(depth=1),
            torch.nn.Sequential(Broken(), torch.nn.ReLU(), torch.nn.Linear(64, 10)),
        )


def test_overflow_is_shown_as_such():
    bench = try_bench(BenchSpec(norm=None, depth=50, weight_scale=10))
    assert bench.shares[0].sum() == pytest.approx(1) and bench.shares[-1].sum() == 0
    assert bench.stds[0].isfinite() and not bench.stds[-1].isfinite()


def test_a_pass_leaves_the_network_its_modes_and_the_random_state_alone():
    spec = BenchSpec(**SMALL)
    network, states = spec.build(), (torch.get_rng_state(), random.getstate())
    before = {name: value.clone() for name, value in network.state_dict().items()}
    try_bench(spec, network)
    after = network.state_dict()
    assert all(torch.equal(after[name], value) for name, value in before.items())
    assert network.training and not any(m._forward_pre_hooks for m in network.modules())
    assert torch.equal(torch.get_rng_state(), states[0]) and random.getstate() == states[1]


def test_an_empty_bench_has_no_layers():
    assert Bench(BenchSpec()).shares.shape == (0, len(CENTRES))


@pytest.mark.parametrize("activation", SCHEMES)
def test_every_activation_is_built_and_heard(activation):
    assert try_bench(BenchSpec(activation=activation, **SMALL)).layers == (1, 2, 3)


# --- training -------------------------------------------------------------------------------------


def test_training_is_descent_with_momentum_on_the_next_batches():
    spec = BenchSpec(norm=None, activation="tanh", composition=0.5, **SMALL)
    network, copy = spec.build(), spec.build()
    steps = list(train_bench(network, spec, 3, 0.05, done=2))
    weights = [x for layer in linear_layers(copy) for x in (layer.weight, layer.bias)]
    speeds = [0] * len(weights)
    for step, number in zip(steps, (3, 4, 5), strict=True):
        batch = spec.batch(number)
        _, loss, logits = written_out(spec, copy, batch)
        assert step.loss == pytest.approx(loss.item(), rel=1e-4)
        assert step.right == (logits.argmax(1) == batch.labels).double().mean()
        gradients = torch.autograd.grad(loss, weights)
        speeds = [0.9 * speed + gradient for speed, gradient in zip(speeds, gradients, strict=True)]
        for weight, speed in zip(weights, speeds, strict=True):
            weight.data = weight.data - 0.05 * speed
    for trained, weight in zip(network.parameters(), weights, strict=True):
        assert torch.allclose(trained, weight, rtol=1e-4, atol=1e-6)


def test_every_fifth_step_classifies_the_held_out_digits_in_eval_mode():
    spec, data = BenchSpec(**SMALL), digits()
    network = spec.build()
    *_, last = steps = list(train_bench(network, spec, 10, 0.02))
    assert [n for n, step in enumerate(steps, 1) if step.held_out is not None] == [EVERY, 2 * EVERY]
    network.eval()
    right = network(data.inputs[-HELD_OUT:]).argmax(1) == data.labels[-HELD_OUT:]
    assert last.held_out == right.double().mean()


def test_one_class_batches_ruin_the_train_mode_of_batch_norm_and_not_its_eval_mode():
    gaps = {}
    for norm in ("batch", "layer"):
        spec = BenchSpec(norm=norm, depth=3)
        network = spec.build()
        list(train_bench(network, spec, 40, 0.03))
        one_class = try_bench(BenchSpec(norm=norm, depth=3, composition=1), network)
        gaps[norm] = one_class.right_in_eval - one_class.right_in_train
    assert gaps["batch"] > 0.4 and gaps["layer"] == 0
