"""Shifts of known size, against sums written out by hand and in exact fractions."""

import itertools
from fractions import Fraction

import numpy as np
import pytest
import torch
from scipy import stats

from d2lstab.datasets import Batch, digits
from d2lstab.shift.arrays import matrix, probabilities, vector
from d2lstab.shift.make import (
    Moved,
    Population,
    Sample,
    compare,
    density_ratio,
    shift_concept,
    shift_covariates,
    shift_labels,
)

# Rows: well, cough, fever; columns: no flu, flu.
FLU = np.array([[0.45, 0.05], [0.15, 0.05], [0.15, 0.15]])


def flu(joint=FLU):
    return Population(torch.eye(3), joint)


def random_table(seed, atoms=5, classes=3, zeros=0):
    generator = np.random.default_rng(seed)
    joint = generator.dirichlet(np.ones(atoms * classes))
    joint[generator.choice(len(joint), zeros, replace=False)] = 0
    return Population(torch.arange(atoms)[:, None], (joint / joint.sum()).reshape(atoms, classes))


def without(population, atom, label):
    """The same population where one input and one label never occur."""
    joint = population.joint.copy()
    joint[atom] = joint[:, label] = 0
    return Population(population.inputs, joint / joint.sum())


def distance(p, q):
    """The total variation distance, in a loop."""
    return sum(abs(a - b) for a, b in zip(p, q, strict=True)) / 2


def conditional(joint, y_given_x):
    """P(y | x) or P(x | y) by loops over fractions; None where the condition never occurs."""
    exact = [[Fraction(float(p)) for p in row] for row in joint]
    total = [sum(row) for row in exact] if y_given_x else [sum(c) for c in zip(*exact, strict=True)]
    return [
        [p / t if (t := total[x if y_given_x else y]) else None for y, p in enumerate(row)]
        for x, row in enumerate(exact)
    ]


# The population.


def test_the_marginals_and_conditionals_of_a_table_are_those_by_hand():
    population = flu()
    np.testing.assert_allclose(population.input_probability, [0.5, 0.2, 0.3])
    np.testing.assert_allclose(population.prior, [0.75, 0.25])
    np.testing.assert_allclose(
        population.labels_given_input, [[0.9, 0.1], [0.75, 0.25], [0.5, 0.5]]
    )
    np.testing.assert_allclose(population.inputs_given_label, [[0.6, 0.2], [0.2, 0.2], [0.2, 0.6]])
    assert population.joint.dtype == np.float64


@pytest.mark.parametrize("seed", range(5))
def test_conditionals_are_those_in_exact_fractions(seed):
    population = random_table(seed, zeros=4)
    for name, y_given_x in (("labels_given_input", True), ("inputs_given_label", False)):
        exact = conditional(population.joint, y_given_x)
        exact = [[np.nan if p is None else float(p) for p in row] for row in exact]
        np.testing.assert_allclose(getattr(population, name), exact, rtol=1e-12)


def test_conditions_that_never_occur_give_nan_and_no_warning():
    population = flu([[0.5, 0], [0.5, 0], [0, 0]])
    assert np.isnan(population.labels_given_input[2]).all()
    assert np.isnan(population.inputs_given_label[:, 1]).all()
    assert not np.isnan(population.labels_given_input[:2]).any()


def test_accuracy_is_the_sum_over_the_cells_that_the_model_gets_right():
    for predictions in itertools.product((0, 1), repeat=3):
        by_hand = sum(FLU[x, y] for x, y in enumerate(predictions))
        assert flu().accuracy(predictions) == pytest.approx(by_hand)
    assert flu().accuracy([0, 0, 1]) == flu().accuracy(torch.tensor([0, 0, 1]))


def test_accuracy_of_data_is_the_mean_over_examples():
    data = digits()
    guesses = torch.randint(0, 10, data.labels.shape, generator=torch.Generator().manual_seed(1))
    mean = (guesses == data.labels).double().mean().item()
    assert Population.of(data).accuracy(guesses) == pytest.approx(mean)


def test_the_population_of_data_has_every_example_once_with_its_label():
    batch = Batch(torch.tensor([[1.0], [2.0], [3.0], [4.0]]), torch.tensor([0, 2, 2, 0]))
    population = Population.of(batch)
    expected = [[0.25, 0, 0], [0, 0, 0.25], [0, 0, 0.25], [0.25, 0, 0]]
    np.testing.assert_array_equal(population.joint, expected)
    np.testing.assert_array_equal(Population.of(batch, classes=4).prior, [0.5, 0, 0.5, 0])
    assert population.inputs is batch.inputs


def test_draws_have_the_frequencies_of_the_table():
    sample = flu().draw(20_000, seed=3)
    assert isinstance(sample, Sample)
    counts = np.zeros((3, 2))
    np.add.at(counts, (sample.atoms.numpy(), sample.labels.numpy()), 1)
    assert stats.chisquare(counts.ravel(), 20_000 * FLU.ravel()).pvalue > 0.01
    assert torch.equal(sample.inputs, torch.eye(3)[sample.atoms])
    assert sample.labels.dtype == sample.atoms.dtype == torch.int64


def test_draws_are_independent_of_each_other():
    atoms = flu().draw(20_001, seed=3).atoms.numpy()
    pairs = np.zeros((3, 3))
    np.add.at(pairs, (atoms[:-1], atoms[1:]), 1)
    assert stats.chi2_contingency(pairs).pvalue > 0.01


def test_draws_repeat_with_their_seed_and_leave_the_global_generator_alone():
    before = torch.get_rng_state()
    first, again, other = (flu().draw(50, seed).atoms for seed in (1, 1, 2))
    assert torch.equal(first, again) and not torch.equal(first, other)
    generator = torch.Generator().manual_seed(1)
    assert torch.equal(flu().draw(50, generator).atoms, first)
    assert not torch.equal(flu().draw(50, generator).atoms, first)
    assert torch.equal(torch.get_rng_state(), before)


def test_cells_of_probability_0_are_never_drawn():
    joint = np.zeros((1000, 2))
    joint[::10, 1] = 0.01
    sample = Population(torch.arange(1000)[:, None], joint).draw(100_000)
    assert (sample.labels == 1).all() and (sample.atoms % 10 == 0).all()


def test_a_population_takes_lists_and_tensors_of_any_precision():
    expected = [[0.5, 0.0], [0.25, 0.25]]
    for dtype in (torch.float32, torch.float64, torch.bfloat16):
        joint = torch.tensor(expected, dtype=dtype, requires_grad=True)
        np.testing.assert_array_equal(Population([[0.0], [1.0]], joint).joint, expected)
    assert Population([[0.0], [1.0]], expected).draw(3).inputs.shape == (3, 1)
    assert Population(np.zeros((2, 1)), expected).draw(3).inputs.shape == (3, 1)


@pytest.mark.parametrize(
    ("inputs", "joint", "message"),
    [
        (torch.eye(2), FLU, "joint must have one row for each of the inputs; got 3 rows for 2"),
        (torch.zeros(3), FLU, r"inputs must be \(examples, features\); got shape \(3,\)"),
        (torch.full((3, 1), np.nan), FLU, "inputs must be finite; got 3"),
        (torch.eye(3), FLU[:, 0], "joint must have 2 dimensions"),
        (torch.eye(3), 2 * FLU, "sum 1; got minimum 0.1, sum 2"),
        (torch.eye(3), FLU - 0.1, "must be ≥ 0"),
        (torch.eye(3), FLU * np.nan, "joint must be finite; got 6"),
        (torch.zeros(0, 1), np.zeros((0, 2)), "joint must have 2 dimensions"),
    ],
)
def test_a_table_that_is_no_distribution_is_refused(inputs, joint, message):
    with pytest.raises(ValueError, match=message):
        Population(inputs, joint)


def test_predictions_that_are_no_labels_are_refused():
    for wrong in ([0, 1, 2], [0, 1, -1], [0, 1, 0.7], [0, 1]):
        with pytest.raises(ValueError, match="predictions must"):
            flu().accuracy(wrong)
    with pytest.raises(TypeError, match="predictions must be numbers; got list"):
        flu().accuracy(["flu", "flu", "no"])


def test_labels_that_do_not_fit_the_classes_are_refused():
    inputs = torch.zeros(3, 1)
    for labels, classes in (([0, 1, 2], 2), ([0, -1, 1], None), ([0.5, 0, 1], None), ([0, 1], 2)):
        with pytest.raises(ValueError, match="labels must"):
            Population.of(Batch(inputs, torch.tensor(labels)), classes)
    with pytest.raises(ValueError, match="classes must be an integer ≥ 1; got 0"):
        Population.of(Batch(inputs, torch.tensor([0, 0, 0])), 0)
    with pytest.raises(ValueError, match="at least 1 examples"):
        Population.of(Batch(torch.zeros(0, 1), torch.zeros(0)))


def test_sizes_of_samples_are_checked():
    with pytest.raises(ValueError, match="size must be an integer ≥ 1; got 0"):
        flu().draw(0)
    with pytest.raises(TypeError, match="seed must be an integer"):
        flu().draw(3, seed=0.5)


# The three shifts.


def test_a_covariate_shift_multiplies_inputs_and_keeps_their_labels():
    target = shift_covariates(flu(), np.log([0.4, 1, 2]), 1)
    np.testing.assert_allclose(target.input_probability, [0.2, 0.2, 0.6])
    np.testing.assert_allclose(target.joint, [[0.18, 0.02], [0.15, 0.05], [0.3, 0.3]])


@pytest.mark.parametrize("seed", range(4))
def test_a_covariate_shift_is_an_exponential_tilt(seed):
    population, size = random_table(seed), (-2, -0.3, 0, 1.5)[seed]
    score = np.random.default_rng(seed + 100).normal(size=5)
    tilt = population.input_probability * np.exp(size * score)
    target = shift_covariates(population, score, size)
    np.testing.assert_allclose(target.input_probability, tilt / tilt.sum())
    np.testing.assert_allclose(target.labels_given_input, population.labels_given_input)


def test_a_large_covariate_shift_ends_in_the_best_input_without_overflow():
    target = shift_covariates(flu(), [0, 1, 2], 1e4)
    np.testing.assert_allclose(target.joint, [[0, 0], [0, 0], [0.5, 0.5]])


def test_an_input_that_never_occurs_does_not_weigh_on_the_others():
    absent = flu([[0.5, 0.1], [0.3, 0.1], [0, 0]])
    target = shift_covariates(absent, [0, 1, 5000], 1)
    np.testing.assert_allclose(
        target.input_probability[1] / target.input_probability[0], np.e / 1.5
    )
    assert target.input_probability[2] == 0


def test_a_label_shift_gives_the_prior_that_was_asked_for():
    target = shift_labels(flu(), [0.25, 0.75])
    np.testing.assert_allclose(target.joint, [[0.15, 0.15], [0.05, 0.15], [0.05, 0.45]])
    for seed in range(4):
        population = random_table(seed)
        prior = np.random.default_rng(seed).dirichlet([1, 1, 1])
        target = shift_labels(population, prior)
        np.testing.assert_allclose(target.prior, prior)
        np.testing.assert_allclose(target.inputs_given_label, population.inputs_given_label)


def test_a_label_shift_may_drop_a_class_but_not_invent_one():
    gone = shift_labels(flu(), [1, 0])
    np.testing.assert_array_equal(gone.joint[:, 1], 0)
    with pytest.raises(ValueError, match="prior must be 0 for class 1, of which.*got 0.25"):
        shift_labels(gone, [0.75, 0.25])
    np.testing.assert_allclose(shift_labels(gone, [1, 0]).joint, gone.joint)


def test_a_concept_shift_renames_labels_and_keeps_the_inputs():
    target = shift_concept(flu(), [[0.4, 0.6], [0, 1]], where=[0, 0, 1])
    np.testing.assert_allclose(target.joint, [[0.45, 0.05], [0.15, 0.05], [0.06, 0.24]])
    for seed in range(4):
        population = random_table(seed)
        generator = np.random.default_rng(seed)
        table, where = generator.dirichlet([1, 1, 1], size=3), generator.random(5)
        target = shift_concept(population, table, where)
        by_hand = np.zeros((5, 3))
        for x, y, new in itertools.product(range(5), range(3), range(3)):
            renamed = where[x] * table[y, new] + (1 - where[x]) * (y == new)
            by_hand[x, new] += population.joint[x, y] * renamed
        np.testing.assert_allclose(target.joint, by_hand)
        np.testing.assert_allclose(target.input_probability, population.input_probability)


def test_a_transition_of_float32_rows_is_taken():
    rows = torch.tensor([[0.9, 0.1], [0.3, 0.7]])
    assert abs(rows.double().sum(1) - 1).max() > 1e-9
    almost = [[0.9, 0.1 + 5e-7], [0.3, 0.7]]
    assert compare(flu(), shift_concept(flu(), almost)).kinds == ("concept",)
    target = shift_concept(flu(), rows)
    np.testing.assert_allclose(target.joint[0], [0.45 * 0.9 + 0.05 * 0.3, 0.45 * 0.1 + 0.05 * 0.7])


@pytest.mark.parametrize(
    ("transition", "where", "message"),
    [
        ([[1, 0]], None, r"transition must be \(2, 2\).*got shape \(1, 2\)"),
        ([[1.1, -0.1], [0, 1]], None, "no value negative.*minimum -0.1"),
        ([[0.5, 0.4], [0, 1]], None, "each row with sum 1.*sums 0.9 to 1"),
        (np.eye(2), [0, 0, 1.5], "where must be 0 to 1; got 0 to 1.5"),
        (np.eye(2), [0, -1, 1], "where must be 0 to 1; got -1 to 1"),
        (np.eye(2), [0, 1], r"where must have shape \(3,\)"),
    ],
)
def test_a_transition_that_is_none_is_refused(transition, where, message):
    with pytest.raises(ValueError, match=message):
        shift_concept(flu(), transition, where)


def test_scores_and_priors_of_another_size_are_refused():
    with pytest.raises(ValueError, match=r"score must have shape \(3,\)"):
        shift_covariates(flu(), [0, 1], 1)
    with pytest.raises(ValueError, match="score must be finite; got 1"):
        shift_covariates(flu(), [0, 1, np.inf], 1)
    with pytest.raises(ValueError, match="prior must have 2 values, one a class; got 3"):
        shift_labels(flu(), [0.2, 0.3, 0.5])
    with pytest.raises(ValueError, match="sum 1"):
        shift_labels(flu(), [0.2, 0.3])


# What moved.


@pytest.mark.parametrize("seed", range(6))
def test_what_moved_is_the_total_variation_of_each_part_by_hand(seed):
    source, target = without(random_table(seed), 1, 2), without(random_table(seed + 50), 3, 0)
    p, q = source.joint, target.joint
    moved = compare(source, target)
    assert moved.inputs == pytest.approx(distance(p.sum(1), q.sum(1)))
    assert moved.labels == pytest.approx(distance(p.sum(0), q.sum(0)))
    both = [x for x in range(5) if p[x].sum() > 0 and q[x].sum() > 0]
    parts = [q[x].sum() * distance(p[x] / p[x].sum(), q[x] / q[x].sum()) for x in both]
    assert moved.labels_given_input == pytest.approx(sum(parts) / sum(q[x].sum() for x in both))
    both = [y for y in range(3) if p[:, y].sum() > 0 and q[:, y].sum() > 0]
    parts = [
        q[:, y].sum() * distance(p[:, y] / p[:, y].sum(), q[:, y] / q[:, y].sum()) for y in both
    ]
    expected = sum(parts) / sum(q[:, y].sum() for y in both)
    assert moved.inputs_given_label == pytest.approx(expected)
    assert moved.uncovered == pytest.approx(sum(q[x].sum() for x in range(5) if not p[x].sum()))


def test_each_shift_moves_what_its_name_says():
    score, prior, where = np.log([0.4, 1, 2]), [0.25, 0.75], [0, 0, 1]
    covariate = compare(flu(), shift_covariates(flu(), score, 1))
    label = compare(flu(), shift_labels(flu(), prior))
    concept = compare(flu(), shift_concept(flu(), [[0.4, 0.6], [0, 1]], where))
    assert covariate.kinds == ("covariate",) and covariate.inputs == pytest.approx(0.3)
    assert label.kinds == ("label",) and label.labels == pytest.approx(0.5)
    assert concept.kinds == ("concept",) and concept.labels_given_input == pytest.approx(0.09)
    assert compare(flu(), flu()) == Moved(0, 0, 0, 0, 0) and compare(flu(), flu()).kinds == ()


@pytest.mark.parametrize("seed", range(3))
def test_shifts_of_random_tables_are_told_apart(seed):
    source = random_table(seed)
    score = np.arange(5.0)
    assert compare(source, shift_covariates(source, score, 0.4)).kinds == ("covariate",)
    assert compare(source, shift_labels(source, [0.2, 0.3, 0.5])).kinds == ("label",)
    cycle = np.roll(np.eye(3), 1, axis=1)
    assert compare(source, shift_concept(source, cycle, np.full(5, 0.3))).kinds == ("concept",)
    both = shift_labels(shift_covariates(source, score, 0.4), [0.2, 0.3, 0.5])
    assert compare(source, both).kinds == ()


def test_with_certain_labels_a_label_shift_is_a_covariate_shift_too():
    population = Population.of(digits())
    target = shift_labels(population, np.arange(1, 11) / 55)
    assert compare(population, target).kinds == ("covariate", "label")
    score = np.random.default_rng(0).normal(size=len(population.joint))
    assert compare(population, shift_covariates(population, score, 1)).kinds == ("covariate",)


def test_the_size_of_a_pure_shift_is_the_total_variation_of_the_joint():
    for seed in range(5):
        source = random_table(seed)
        shifts = {
            "inputs": shift_covariates(source, np.arange(5.0), -0.7),
            "labels": shift_labels(source, [0.6, 0.3, 0.1]),
            "labels_given_input": shift_concept(source, np.roll(np.eye(3), 1, axis=1)),
        }
        for part, target in shifts.items():
            whole = abs(source.joint - target.joint).sum() / 2
            assert getattr(compare(source, target), part) == pytest.approx(whole)


def test_where_the_source_has_no_such_input_nothing_is_compared_but_counted():
    source, target = flu([[0.6, 0.4], [0, 0], [0, 0]]), flu([[0, 0], [0.3, 0.2], [0.1, 0.4]])
    moved = compare(source, target)
    assert moved.uncovered == pytest.approx(1) and moved.inputs == pytest.approx(1)
    assert moved.labels_given_input == 0 and moved.kinds == ("covariate",)


def test_density_ratios_weight_the_source_to_the_target():
    target = shift_covariates(flu(), np.log([0.4, 1, 2]), 1)
    ratio = density_ratio(flu(), target)
    np.testing.assert_allclose(ratio, [0.4, 1, 2])
    np.testing.assert_allclose(ratio @ flu().joint, target.prior)
    gone, absent = flu([[0.5, 0.5], [0, 0], [0, 0]]), flu([[0.5, 0.1], [0.2, 0.2], [0, 0]])
    np.testing.assert_allclose(density_ratio(gone, absent), [0.6, np.inf, np.nan])


def test_populations_of_other_atoms_are_not_compared():
    other = Population(torch.eye(3) + 1, FLU)
    wider = Population(torch.eye(3), np.full((3, 3), 1 / 9))
    for target in (other, wider):
        for function in (compare, density_ratio):
            with pytest.raises(ValueError, match="same atoms and classes"):
                function(flu(), target)


# Arrays of a caller.


def test_arrays_come_out_as_float64_from_anything_that_is_numbers():
    for values in ([[1, 2]], np.array([[1, 2]]), torch.tensor([[1, 2]], dtype=torch.float16)):
        array = matrix("inputs", values)
        assert array.dtype == np.float64 and array.tolist() == [[1.0, 2.0]]
    grown = torch.ones(2, requires_grad=True)
    assert vector("weights", grown).tolist() == [1, 1] and grown.requires_grad
    assert probabilities("prior", [0.5, 0.5 + 4e-7], 1).sum() == pytest.approx(1, abs=1e-15)


@pytest.mark.parametrize(
    ("function", "arguments", "error", "message"),
    [
        (matrix, ("inputs", [1, 2]), ValueError, r"inputs must be \(examples, features\)"),
        (matrix, ("inputs", [[1], [2]], 3), ValueError, "at least 3 examples and one feature"),
        (matrix, ("inputs", [[], []]), ValueError, "at least 1 examples and one feature"),
        (matrix, ("inputs", [[1, np.nan]]), ValueError, "finite; got 1"),
        (matrix, ("inputs", [["a"]]), TypeError, "inputs must be numbers; got list"),
        (vector, ("weights", [[1]]), ValueError, "weights must have one dimension"),
        (vector, ("weights", [1, 2], 3), ValueError, r"shape \(3,\); got shape \(2,\)"),
        (vector, ("weights", [1, np.inf]), ValueError, "finite; got 1"),
        (probabilities, ("prior", [], 1), ValueError, r"1 dimensions; got shape \(0,\)"),
        (probabilities, ("prior", [0.5, 0.4999], 1), ValueError, "sum 0.9999"),
        (probabilities, ("prior", [1.5, -0.5], 1), ValueError, "minimum -0.5"),
    ],
)
def test_arrays_that_do_not_fit_are_refused_by_name(function, arguments, error, message):
    with pytest.raises(error, match=message):
        function(*arguments)
