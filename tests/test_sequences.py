"""The sequences: digits row by row against scikit-learn's, the adding problem against a loop."""

import numpy as np
import pytest
import torch
from sklearn.datasets import load_digits

from d2lstab.datasets import digits
from d2lstab.sequences import AddingProblem, adding_problem, digit_rows


def draw(length=50, examples=200, seed=0):
    return adding_problem(length, examples, torch.Generator().manual_seed(seed))


def test_digit_rows_are_the_rows_of_whole_digits_one_after_the_other():
    pixels = load_digits().data
    std = np.where(pixels.std(axis=0) > 0, pixels.std(axis=0), 1)
    rows = digit_rows(24).numpy()
    images = rows.reshape(3, 64) * std + pixels.mean(axis=0)  # standardizing undone
    for image in images:
        assert np.abs(pixels - image).max(axis=1).min() < 1e-4  # it is one of the data set
    assert torch.equal(digit_rows(24)[8:16].flatten(), digits(2).inputs[1])


@pytest.mark.parametrize("length", [1, 7, 8, 9, 100, 14376])
def test_digit_rows_are_as_many_as_asked_for_and_begin_alike(length):
    rows = digit_rows(length)
    assert rows.shape == (length, 8)
    assert rows.dtype == torch.float32
    assert torch.equal(rows, digit_rows(14376)[:length])


@pytest.mark.parametrize("length", [2, 3, 7, 50])
def test_two_numbers_are_marked_one_in_each_half_and_the_target_is_their_sum(length):
    batch = draw(length)
    assert isinstance(batch, AddingProblem)
    assert batch.inputs.shape == (length, 200, 2)
    for example in range(200):
        marked = [t for t in range(length) if batch.inputs[t, example, 1] == 1]
        assert len(marked) == 2 and marked[0] < length // 2 <= marked[1]
        total = sum(float(batch.inputs[t, example, 0]) for t in marked)
        assert float(batch.targets[example]) == pytest.approx(total, abs=1e-6)
    assert set(batch.inputs[:, :, 1].flatten().tolist()) <= {0.0, 1.0}


def test_every_place_of_a_half_is_marked_sometimes():
    marks = draw(10, 2000).inputs[:, :, 1].sum(dim=1)
    assert (marks - 2000 / 5).abs().max() < 6 * (2000 * 0.2 * 0.8) ** 0.5


def test_the_numbers_are_uniform_and_always_answering_1_is_wrong_by_a_sixth():
    batch = draw(20, 20_000)
    numbers = batch.inputs[:, :, 0]
    assert numbers.min() >= 0 and numbers.max() < 1
    assert float(numbers.mean()) == pytest.approx(1 / 2, abs=0.005)
    assert float(numbers.var()) == pytest.approx(1 / 12, abs=0.001)
    assert float(((batch.targets - 1) ** 2).mean()) == pytest.approx(1 / 6, abs=0.006)


def test_the_generator_alone_decides_and_the_global_random_state_stays():
    state = torch.get_rng_state()
    first, again, other = draw(seed=3), draw(seed=3), draw(seed=4)
    assert torch.equal(first.inputs, again.inputs) and torch.equal(first.targets, again.targets)
    assert not torch.equal(first.inputs, other.inputs)
    assert torch.equal(torch.get_rng_state(), state)


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: digit_rows(0), ValueError, "length must be an integer from 1 to 14376; got 0"),
        (lambda: digit_rows(14377), ValueError, "length must be .* got 14377"),
        (lambda: digit_rows(2.0), TypeError, "length must be .* got 2.0"),
        (lambda: draw(length=1), ValueError, "length must be an integer from 2"),
        (lambda: draw(length=True), TypeError, "length must be .* got True"),
        (lambda: draw(examples=0), ValueError, "examples must be an integer from 1"),
        (lambda: draw(examples="3"), TypeError, "examples must be .* got '3'"),
    ],
)
def test_a_wrong_size_is_refused_with_what_is_needed(make, error, message):
    with pytest.raises(error, match=message):
        make()
