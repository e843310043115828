"""The digits against scikit-learn's own."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn.datasets import load_digits, load_wine
from sklearn.preprocessing import StandardScaler

from d2lstab.datasets import _all_digits, _load, digits, wine

IMAGES, LABELS = load_digits(return_X_y=True)
STANDARDIZED = StandardScaler().fit_transform(IMAGES)


def sorted_rows(inputs, labels):
    rows = np.column_stack([labels, np.round(inputs, 4)])
    return rows[np.lexsort(rows.T[::-1])]


def test_all_digits_are_scikit_learns_standardized_and_shuffled():
    batch = digits()
    assert (batch.inputs.dtype, batch.labels.dtype) == (torch.float32, torch.int64)
    assert (batch.inputs.shape, batch.labels.shape) == ((1797, 64), (1797,))
    ours, theirs = (
        sorted_rows(*pair)
        for pair in [(batch.inputs.numpy(), batch.labels.numpy()), (STANDARDIZED, LABELS)]
    )
    np.testing.assert_allclose(ours, theirs, atol=2e-4)
    assert not torch.equal(batch.labels, torch.as_tensor(LABELS))


def test_features_have_mean_zero_and_deviation_one_or_are_constant():
    inputs = digits().inputs.double()
    varies = torch.as_tensor(IMAGES.std(axis=0) > 0)
    assert 0 < (~varies).sum() < 10
    assert inputs.mean(dim=0).abs().max() < 1e-6
    assert (inputs.std(dim=0, correction=0)[varies] - 1).abs().max() < 1e-6
    assert (inputs[:, ~varies] == 0).all()


@pytest.mark.parametrize("size", [1, 2, 128, 1797])
def test_a_smaller_batch_has_different_examples_each_a_digit(size):
    batch = digits(size, seed=3)
    assert (len(batch.inputs), len(batch.labels)) == (size, size)
    distance = np.abs(STANDARDIZED[None] - batch.inputs[:40].numpy()[:, None]).max(axis=2)
    found = distance.argmin(axis=1)
    assert distance.min(axis=1).max() < 1e-5
    assert len(set(found)) == min(size, 40)
    assert (LABELS[found] == batch.labels[:40].numpy()).all()


def test_the_seed_chooses_the_examples():
    assert torch.equal(digits(50, seed=1).inputs, digits(50, seed=1).inputs)
    assert not torch.equal(digits(50, seed=1).inputs, digits(50, seed=2).inputs)


def test_the_global_random_state_stays():
    _all_digits.cache_clear()
    before = torch.get_rng_state()
    digits(32, seed=5)
    assert torch.equal(torch.get_rng_state(), before)


def test_who_changes_a_batch_in_place_changes_only_his_own():
    before = digits(16, seed=4).inputs.clone()
    digits(16, seed=4).inputs.mul_(3)
    digits(16, seed=4).labels.zero_()
    assert torch.equal(digits(16, seed=4).inputs, before)
    assert digits(16, seed=4).labels.any()


@pytest.mark.parametrize("size", [0, -1, 1798, 10**9])
def test_a_size_that_does_not_exist_is_refused_by_name(size):
    with pytest.raises(ValueError, match=rf"size must be between 1 and 1797.*got {size}\."):
        digits(size)


@pytest.mark.parametrize("device", ["cpu", "meta"])
def test_the_users_default_dtype_and_device_change_nothing(device):
    expected = digits(8, seed=6).inputs
    _all_digits.cache_clear()
    torch.set_default_dtype(torch.float64)
    torch.set_default_device(device)
    try:
        batch = digits(8, seed=6)
    finally:
        torch.set_default_dtype(torch.float32)
        torch.set_default_device(None)
        _all_digits.cache_clear()
    assert (batch.inputs.dtype, batch.inputs.device.type) == (torch.float32, "cpu")
    assert torch.equal(batch.inputs, expected)


def test_the_digits_are_the_same_where_their_file_is_not_found(monkeypatch):
    direct = _load()
    monkeypatch.setattr(Path, "exists", lambda self: False)
    for ours, theirs in zip(direct, _load(), strict=True):
        np.testing.assert_array_equal(ours, theirs)


def test_the_wines_are_scikit_learns_shuffled_and_in_their_own_units():
    theirs, table = load_wine(), wine()
    rows = np.column_stack([theirs.target, theirs.data.astype(np.float32)])
    ours = np.column_stack([table.labels, table.inputs])
    np.testing.assert_array_equal(rows[np.lexsort(rows.T)], ours[np.lexsort(ours.T)])
    assert (table.inputs.dtype, table.labels.dtype) == (torch.float32, torch.int64)
    assert not torch.equal(table.labels, torch.as_tensor(theirs.target))
    assert torch.equal(wine(3).inputs, wine(3).inputs)
    assert not torch.equal(wine(3).inputs, wine(4).inputs)


def test_the_names_of_the_wines_columns_are_scikit_learns():
    theirs = [name.replace("_", " ").split("/od315")[0] for name in load_wine().feature_names]
    assert [name.lower().split("/od315")[0] for name in wine().columns] == theirs


def test_the_wines_are_the_same_where_their_file_is_not_found(monkeypatch):
    direct = wine(1)
    monkeypatch.setattr(Path, "exists", lambda self: False)
    again = wine(1)
    assert torch.equal(direct.inputs, again.inputs) and torch.equal(direct.labels, again.labels)


def test_reading_the_data_imports_no_scikit_learn():
    code = (
        "import sys; from d2lstab.datasets import digits, wine; digits(); wine(); "
        "print('sklearn' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"
