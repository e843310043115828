"""Populations against a loop, the estimator and the strategy against closed forms."""

import copy
import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from scipy import stats
from torch import nn

from d2lstab import NetworkSpec, build, measure
from d2lstab.activations import hard_step
from d2lstab.datasets import digits
from d2lstab.gradientfree import (
    PopulationLoss,
    evolution_strategy,
    parameter_vector,
    set_parameters,
    smoothed_gradient,
)
from d2lstab.training import accuracy

STEPS = NetworkSpec(depth=2, width=6, activation="hard_step", init="normal", bias_std=0.3)
DATA = digits(100)


def random_population(candidates, d, seed=0):
    return torch.randn(candidates, d, generator=torch.Generator().manual_seed(seed))


def linear_loss(slope):
    return lambda population: population @ slope


# Parameters as vectors.


def test_the_vector_holds_the_parameters_in_order():
    network = nn.Sequential(nn.Linear(2, 3), nn.Linear(3, 1, bias=False))
    with torch.no_grad():
        for i, p in enumerate(network.parameters()):
            p.copy_(torch.arange(p.numel()).view(p.shape) + 10.0 * i)
    expected = [0, 1, 2, 3, 4, 5, 10, 11, 12, 20, 21, 22]
    assert parameter_vector(network).tolist() == expected


def test_setting_parameters_copies_them_and_undoes_the_vector():
    network, vector = build(STEPS), random_population(1, 502)[0]
    set_parameters(network, vector)
    assert torch.equal(parameter_vector(network), vector)
    kept = vector.clone()
    vector.zero_()
    parameter_vector(network).zero_()
    assert torch.equal(parameter_vector(network), kept)
    assert all(p.requires_grad and p.grad is None for p in network.parameters())


@pytest.mark.parametrize("shape", [(501,), (503,), (1, 502), ()])
def test_a_vector_of_another_shape_is_refused(shape):
    with pytest.raises(ValueError, match=r"shape \(502,\)"):
        set_parameters(build(STEPS), torch.zeros(shape))


# Populations.


@pytest.mark.parametrize("activation", ["hard_step", "tanh"])
@pytest.mark.parametrize("chunk", [1, 3, 64])
def test_the_losses_are_those_of_the_networks_one_by_one(activation, chunk):
    network = build(NetworkSpec(depth=2, width=6, activation=activation, residual=True))
    population = random_population(7, 502)
    losses = PopulationLoss(network, DATA.inputs, DATA.labels, chunk=chunk)(population)
    for vector, loss in zip(population, losses, strict=True):
        alone = copy.deepcopy(network)
        with torch.no_grad():
            position = 0
            for p in alone.parameters():
                p.copy_(vector[position : position + p.numel()].reshape(p.shape))
                position += p.numel()
        assert loss.item() == pytest.approx(F.cross_entropy(alone(DATA.inputs), DATA.labels).item())


def test_the_loss_may_have_no_derivative():
    def wrong(outputs, labels):
        return (outputs.argmax(dim=1) != labels).float().mean()

    network = build(STEPS)
    here = parameter_vector(network)
    value = PopulationLoss(network, DATA.inputs, DATA.labels, wrong)(here[None]).item()
    with torch.no_grad():
        predicted = network(DATA.inputs).argmax(dim=1)
    assert value == pytest.approx(np.mean(predicted.numpy() != DATA.labels.numpy()))


def test_the_network_is_left_alone():
    network = build(STEPS)
    before = parameter_vector(network)
    loss = PopulationLoss(network, DATA.inputs, DATA.labels)
    loss(random_population(5, loss.size))
    assert torch.equal(parameter_vector(network), before)
    assert all(p.grad is None for p in network.parameters())


def test_the_record_counts_evaluations_and_keeps_the_best():
    population = random_population(12, 502)
    loss = PopulationLoss(build(STEPS), DATA.inputs, DATA.labels)
    parts = [loss(part).numpy() for part in population.split([5, 3, 4])]
    found = loss.search()
    assert found.evaluations.tolist() == [5, 8, 12]
    expected = np.minimum.accumulate([part.min() for part in parts])
    np.testing.assert_allclose(found.best_loss.numpy(), expected)
    assert torch.equal(found.parameters, population[np.concatenate(parts).argmin()])


def test_a_search_knows_what_a_target_cost():
    weights = torch.tensor([[3.0], [2.0], [0.5], [4.0]])
    network = nn.Linear(1, 1, bias=False)
    loss = PopulationLoss(network, torch.ones(1, 1), torch.zeros(1, 1), F.mse_loss)
    for part in weights.split(1):
        loss(part)
    found = loss.search()
    assert found.best_loss.tolist() == [9, 4, 0.25, 0.25]


def test_libraries_may_send_and_get_numpy():
    loss = PopulationLoss(build(STEPS), DATA.inputs, DATA.labels)
    population = random_population(4, loss.size)
    losses = loss(population.double().numpy())
    assert isinstance(losses, np.ndarray) and losses.dtype == np.float64
    np.testing.assert_allclose(losses, loss(population).numpy())


def test_a_candidate_whose_loss_is_nan_is_never_the_best():
    network = nn.Linear(1, 1, bias=False)
    loss = PopulationLoss(network, torch.ones(1, 1), torch.zeros(1, 1), F.mse_loss)
    loss(torch.tensor([[math.nan], [2.0]]))
    assert loss.search().best_loss.tolist() == [4.0]
    assert loss.search().parameters.tolist() == [2.0]


@pytest.mark.parametrize("shape", [(502,), (3, 501), (0, 502), (1, 3, 502)])
def test_a_population_of_another_shape_is_refused(shape):
    loss = PopulationLoss(build(STEPS), DATA.inputs, DATA.labels)
    with pytest.raises(ValueError, match=r"\(candidates, 502\)"):
        loss(torch.zeros(shape))
    with pytest.raises(ValueError, match="call the loss"):
        loss.search()


# The estimator.


def test_the_estimate_has_the_mean_and_the_mean_square_of_theory():
    d, pairs, draws = 20, 5, 4000
    slope = torch.linspace(-1, 1, d, dtype=torch.float64)
    generator = torch.Generator().manual_seed(0)
    zero = torch.zeros(d, dtype=torch.float64)
    estimates = torch.stack(
        [smoothed_gradient(linear_loss(slope), zero, 0.3, pairs, generator) for _ in range(draws)]
    )
    error = estimates.std(dim=0) / draws**0.5
    assert ((estimates.mean(dim=0) - slope).abs() < 4 * error).all()
    squares = (estimates**2).sum(dim=1) / slope.dot(slope)
    expected = 1 + (d + 1) / pairs
    assert abs(squares.mean() - expected) < 4 * squares.std() / draws**0.5


def test_mirrored_noise_is_exact_on_a_quadratic_for_any_std():
    curvature = torch.diag(torch.arange(1.0, 7, dtype=torch.float64))
    here = torch.ones(6, dtype=torch.float64)

    def quadratic(population):
        return ((population @ curvature) * population).sum(dim=1) / 2

    noise = torch.randn(4, 6, generator=torch.Generator().manual_seed(3), dtype=torch.float64)
    expected = noise.T @ noise @ curvature @ here / 4
    for std in (1e-3, 0.1, 10.0):
        generator = torch.Generator().manual_seed(3)
        estimate = smoothed_gradient(quadratic, here, std, 4, generator)
        torch.testing.assert_close(estimate, expected, rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize("std", [0.1, 0.5])
def test_a_hard_step_under_noise_is_a_normal_distribution_function(std):
    x, w = torch.tensor([1.0, -2.0, 0.5]).double(), torch.tensor([0.3, 0.1, -0.2]).double()
    generator, width = torch.Generator().manual_seed(0), std * x.norm()
    pairs = 100_000
    estimate = smoothed_gradient(lambda p: hard_step(p @ x), w, std, pairs, generator)
    exact = stats.norm.pdf(float(w @ x / width)) * x / width
    # each entry's variance is at most E[ε²] / (2 std)² / pairs
    assert ((estimate - exact).abs() < 4 / (2 * std * pairs**0.5)).all()


# The strategy.


def test_the_strategy_contracts_a_bowl_as_fast_as_theory_says():
    d, pairs, rate, generations, runs = 10, 4, 0.15, 8, 400
    start = torch.ones(d, dtype=torch.float64)

    def bowl(population):
        return (population**2).sum(dim=1) / 2

    ends = [
        evolution_strategy(
            bowl, start, generations, std=0.2, learning_rate=rate, momentum=0, pairs=pairs, seed=s
        )
        for s in range(runs)
    ]
    shrunk = torch.tensor([end.dot(end) / d for end in ends])
    factor = 1 - 2 * rate + rate**2 * (1 + (d + 1) / pairs)  # of E‖θ‖² per generation
    assert abs(shrunk.mean() - factor**generations) < 4 * shrunk.std() / runs**0.5


def test_momentum_adds_up_the_estimates():
    slope = torch.tensor([1.0, -2.0]).double()
    end = evolution_strategy(
        linear_loss(slope), torch.zeros(2).double(), 3, learning_rate=0.1, momentum=0.5, pairs=2
    )
    generator = torch.Generator().manual_seed(0)
    g = [torch.randn(2, 2, generator=generator, dtype=torch.float64) for _ in range(3)]
    g = [noise.T @ (noise @ slope) / 2 for noise in g]
    expected = -0.1 * (g[0] + (g[1] + 0.5 * g[0]) + (g[2] + 0.5 * g[1] + 0.25 * g[0]))
    torch.testing.assert_close(end, expected)


def test_a_generation_costs_its_pairs_and_one():
    loss = PopulationLoss(build(STEPS), DATA.inputs, DATA.labels)
    evolution_strategy(loss, parameter_vector(build(STEPS)), 3, pairs=4)
    assert loss.search().evaluations.tolist() == [8, 9, 17, 18, 26, 27]


def test_the_strategy_trains_what_backpropagation_cannot():
    spec = NetworkSpec(depth=1, width=8, activation="hard_step", init="normal")
    network, data = build(spec), digits()
    assert measure(network).weight_gradient_norm[0] == 0
    before = accuracy(network)
    loss = PopulationLoss(network, data.inputs[:300], data.labels[:300])
    end = evolution_strategy(loss, parameter_vector(network), 80)
    set_parameters(network, end)
    assert before < 0.25 and accuracy(network) > 0.6
    assert loss.search().best_loss[-1] < loss.search().best_loss[0] / 2


def test_the_seed_decides_and_the_global_state_has_no_say():
    def run(seed):
        return evolution_strategy(linear_loss(torch.ones(3)), torch.zeros(3), 4, seed=seed)

    torch.manual_seed(1)
    state = torch.get_rng_state()
    first = run(5)
    assert torch.equal(torch.get_rng_state(), state)
    torch.manual_seed(2)
    assert torch.equal(run(5), first) and not torch.equal(run(6), first)


def test_the_start_is_not_changed_and_not_returned():
    start = torch.zeros(3)
    for generations in (0, 2):
        evolution_strategy(linear_loss(torch.ones(3)), start, generations).add_(1)
        assert torch.equal(start, torch.zeros(3))


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (dict(std=0.0), "std must be a finite number > 0; got 0.0"),
        (dict(std=math.inf), "std must be"),
        (dict(std=math.nan), "std must be"),
        (dict(std="1"), "std must be"),
        (dict(pairs=0), "pairs must be an integer ≥ 1; got 0"),
        (dict(pairs=2.0), "pairs must be"),
        (dict(pairs=True), "pairs must be"),
    ],
)
def test_impossible_settings_are_refused(wrong, message):
    with pytest.raises((TypeError, ValueError), match=message):
        evolution_strategy(linear_loss(torch.ones(3)), torch.zeros(3), 2, **wrong)
    settings = dict(std=0.1, pairs=2) | wrong
    with pytest.raises((TypeError, ValueError), match=message):
        smoothed_gradient(
            linear_loss(torch.ones(3)), torch.zeros(3), generator=torch.Generator(), **settings
        )
