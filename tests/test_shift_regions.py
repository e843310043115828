"""The soft-drink map as tables: what is said where, and how far each state's model gets."""

import itertools

import numpy as np
import pytest
import torch

from d2lstab.shift.make import Population, compare
from d2lstab.shift.regions import (
    DRINKS,
    LABELS,
    REGIONS,
    ROUND_TRIP,
    SHARES,
    SOFT_DRINKS,
    WORDS,
    best_labels,
    drinks_in,
    drinks_with_place,
    transfer,
)

# Answers as the survey's table counts them: soda, pop, coke, other.
COUNTS = {
    "GA": (1425, 140, 4933, 410),
    "OH": (3082, 19487, 450, 490),
    "CA": (20119, 925, 2892, 1941),
    "WY": (150, 463, 74, 318),
    "OK": (692, 1687, 1486, 151),
    "MA": (5874, 115, 240, 1883),
    "DC": (442, 35, 57, 40),
}
NEIGHBOURS = """
CA NV UT WY NE IA IL IN OH PA NJ
PA DE MD DC VA NC SC GA FL
FL AL MS LA TX NM AZ CA
"""
BORDERS = {
    frozenset(pair) for line in NEIGHBOURS.split("\n") for pair in itertools.pairwise(line.split())
}


def enumerated(words):
    """P(drink, label) of a place, cell by cell."""
    table = np.zeros((8, 8))
    for (i, drink), (j, label) in itertools.product(enumerate(DRINKS), enumerate(LABELS)):
        if drink in SOFT_DRINKS and label in WORDS:
            table[i, j] = words[WORDS.index(label)] / 8
        elif drink == label:
            table[i, j] = 1 / 8
    return table


def test_there_are_51_states_in_nine_divisions_and_their_shares_sum_to_one():
    assert [len(states) for states in REGIONS.values()] == [6, 3, 5, 7, 9, 4, 4, 8, 5]
    assert sorted(state for states in REGIONS.values() for state in states) == sorted(SHARES)
    for shares in SHARES.values():
        assert shares.shape == (4,) and shares.min() >= 0 and shares.sum() == pytest.approx(1)
        assert not shares.flags.writeable


@pytest.mark.parametrize("state", COUNTS)
def test_shares_are_those_of_the_survey_to_a_percent(state):
    counts = np.array(COUNTS[state])
    rounded = np.array([0.005, 0.005, 0.005, 0.015])  # the last takes what the others leave
    assert (abs(SHARES[state] - counts / counts.sum()) <= rounded + 1e-12).all()


@pytest.mark.parametrize("states", [["GA"], ["OH", "GA"], ["TX", "OK", "OK"], list(SHARES)])
def test_the_population_of_a_place_is_the_enumerated_table(states):
    words = sum(SHARES[state] for state in states) / len(states)
    place = drinks_in(states)
    np.testing.assert_allclose(place.joint, enumerated(words), atol=1e-15)
    assert torch.equal(place.inputs, torch.eye(8))


def test_between_any_two_places_only_the_words_move():
    for here, there in itertools.combinations(("GA", "OH", "CA", "OK"), 2):
        moved = compare(drinks_in([here]), drinks_in([there]))
        assert moved.inputs == 0 and "concept" in moved.kinds and "covariate" not in moved.kinds
        apart = abs(SHARES[here] - SHARES[there]).sum() / 2
        assert moved.labels_given_input == pytest.approx(apart / 2)  # half are soft drinks


def test_with_the_place_as_an_input_nothing_but_the_inputs_moves():
    north, south = drinks_with_place({"OH": 3, "GA": 1}), drinks_with_place({"GA": 3, "OH": 1})
    assert compare(north, south).kinds == ("covariate",)
    assert compare(north, south).inputs == pytest.approx(0.5)
    seen = north.input_probability > 0
    assert seen.sum() == 16
    for state in ("GA", "OH"):
        rows = north.inputs[:, list(SHARES).index(state)].bool().numpy()
        np.testing.assert_allclose(
            north.labels_given_input[rows], 8 * enumerated(SHARES[state]), atol=1e-12
        )


def test_each_atom_with_place_names_one_state_and_one_drink():
    inputs = drinks_with_place({"GA": 1}).inputs
    assert inputs.shape == (408, 59) and len(torch.unique(inputs, dim=0)) == 408
    assert (inputs[:, :51].sum(1) == 1).all() and (inputs[:, 51:].sum(1) == 1).all()


def test_leaving_the_place_out_again_gives_the_mixture():
    population = drinks_with_place({"GA": 1, "OH": 3})
    drink = population.inputs[:, 51:].argmax(1).numpy()
    joint = np.stack([population.joint[drink == k].sum(0) for k in range(8)])
    np.testing.assert_allclose(joint, drinks_in(["GA", "OH", "OH", "OH"]).joint, atol=1e-15)


def test_the_best_labels_are_at_least_as_good_as_any_labels():
    rng = np.random.default_rng(0)
    joint = rng.dirichlet(np.ones(9)).reshape(3, 3)
    population = Population(torch.eye(3), joint)
    every = [population.accuracy(labels) for labels in itertools.product(range(3), repeat=3)]
    assert population.accuracy(best_labels(population)) == max(every)


def test_a_model_of_one_region_is_right_where_its_word_is_said():
    table = transfer({name: drinks_in(states) for name, states in REGIONS.items()})
    shares = {name: np.mean([SHARES[s] for s in states], 0) for name, states in REGIONS.items()}
    assert table.names == tuple(REGIONS)
    for (i, home), (j, place) in itertools.product(enumerate(REGIONS), enumerate(REGIONS)):
        word = shares[home].argmax()
        assert table.accuracy[i, j] == pytest.approx(0.5 + shares[place][word] / 2)


def test_the_loss_is_zero_at_home_and_never_negative():
    table = transfer({state: drinks_in([state]) for state in SHARES})
    assert (np.diag(table.loss) == 0).all() and table.loss.min() >= 0
    home, away = table.names.index("OH"), table.names.index("GA")
    assert table.loss[home, away] == pytest.approx((0.71 - 0.02) / 2)


def test_the_round_trip_crosses_a_border_at_each_step():
    assert ROUND_TRIP[0] == ROUND_TRIP[-1] == "CA"
    assert {frozenset(step) for step in itertools.pairwise(ROUND_TRIP)} == BORDERS
    assert len(ROUND_TRIP) == 27


def test_a_wrong_place_is_named():
    with pytest.raises(ValueError, match="state must be one of.*got 'G'"):
        drinks_in("GA")
    with pytest.raises(ValueError, match="at least one state"):
        drinks_in([])
    with pytest.raises(ValueError, match="got 'XX'"):
        drinks_with_place({"XX": 1})
    with pytest.raises(ValueError, match="at least one state"):
        drinks_with_place({})


@pytest.mark.parametrize("frequency", [0, -1, float("nan")])
def test_a_wrong_frequency_is_refused(frequency):
    with pytest.raises(ValueError, match="frequencies must be"):
        drinks_with_place({"GA": frequency})


def test_frequencies_of_both_signs_are_refused():
    with pytest.raises(ValueError, match="frequencies must be"):
        drinks_with_place({"GA": 2, "OH": -1})
