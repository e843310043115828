"""Sums, samples and histograms against float64 formulas, counting one by one and math.frexp."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from d2lstab.activations import ACTIVATIONS
from d2lstab.statistics import (
    BINADES,
    SAMPLED,
    SMALLEST_BINADE,
    binades,
    flat_shares,
    interval,
    samples,
    square_sums,
    sums,
)

DTYPES = [torch.float16, torch.bfloat16, torch.float32, torch.float64]
every_dtype = pytest.mark.parametrize("dtype", DTYPES, ids=lambda dtype: str(dtype)[6:])
small_arrays = st.lists(st.floats(width=32), max_size=40)


def exact(tensor):
    """Σx and Σx² by Python's exactly rounded fsum."""
    values = tensor.double().flatten().tolist()
    return math.fsum(values), math.fsum(value * value for value in values)


def square_sum(tensor):
    (squares,) = square_sums([tensor])
    return squares


def noise(*shape, scale=1.0, mean=0.0, dtype=torch.float32, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return (mean + scale * torch.randn(*shape, dtype=torch.float64, generator=generator)).to(dtype)


@every_dtype
@pytest.mark.parametrize("scale", [1e-30, 1e-4, 1.0, 1e4, 1e30])
def test_square_sum_is_exact_over_the_range_of_the_type(dtype, scale):
    values = noise(37, 41, scale=scale, dtype=dtype)
    if values.isfinite().all():
        assert square_sum(values) == pytest.approx(exact(values)[1], rel=1e-5, abs=0)
    else:
        assert (dtype, scale) == (torch.float16, 1e30)
        assert square_sum(values) == math.inf


def test_square_sums_are_those_of_each_tensor_alone():
    tensors = [noise(7, 5, scale=scale, seed=k) for k, scale in enumerate([1e-30, 1.0, 1e30])]
    tensors += [torch.empty(0), torch.tensor([math.inf]), noise(9, dtype=torch.float64)]
    tensors += [noise(64, 33, dtype=torch.bfloat16), torch.tensor([1e200]).double()]
    result = square_sums(tensors)
    assert (result.dtype, result.shape) == (np.float64, (len(tensors),))
    for tensor, squares in zip(tensors, result, strict=True):
        with np.errstate(over="ignore"):
            expected = (tensor.double().numpy() ** 2).sum()
        assert squares == pytest.approx(expected, rel=1e-5, abs=0)
    assert square_sums([]).shape == (0,)


def test_square_sum_keeps_the_smallest_denormal_and_the_largest_number():
    smallest, largest = 2.0**-149, float(torch.finfo(torch.float32).max)
    assert square_sum(torch.tensor([smallest])) == 2.0**-298
    assert square_sum(torch.tensor([largest, largest])) == pytest.approx(2 * largest**2)
    assert square_sum(torch.tensor([1e-30, 1.0])) == 1


def test_square_sum_of_nothing_zero_inf_and_nan():
    assert square_sum(torch.empty(0)) == 0
    assert square_sum(torch.empty(3, 0)) == 0
    assert square_sum(torch.zeros(5)) == 0
    assert square_sum(torch.tensor([1.0, -math.inf])) == math.inf
    assert math.isnan(square_sum(torch.tensor([1.0, math.nan, math.inf])))


def test_square_sum_reads_any_layout_and_leaves_the_graph_alone():
    values = noise(6, 8).requires_grad_()
    assert square_sum(values.T) == pytest.approx(exact(values.detach())[1], rel=1e-6)
    assert square_sum(values[::2, 1::3]) == pytest.approx(exact(values.detach()[::2, 1::3])[1])
    assert square_sum(torch.tensor(3.0)) == 9
    assert values.grad is None


@every_dtype
@pytest.mark.parametrize("scale", [1e-30, 1e-4, 1.0, 1e30])
@pytest.mark.parametrize("mean", [0.0, 3.0, 1e4])
def test_sums_give_the_mean_and_the_variance(dtype, scale, mean):
    tensors = [noise(64, 33, scale=scale, mean=mean * scale, dtype=dtype, seed=s) for s in range(3)]
    tensors.append(noise(5, scale=scale, mean=mean * scale, dtype=dtype))
    if dtype is torch.float16 and scale == 1e30:  # a float16 ends at 65504
        assert not np.isfinite(sums(tensors)[1]).any()
        return
    total, squares = sums(tensors)
    assert total.dtype == squares.dtype == np.float64
    for tensor, s, q in zip(tensors, total, squares, strict=True):
        n, values = tensor.numel(), tensor.double()
        spread = values.std(correction=0).item()
        assert s / n == pytest.approx(values.mean().item(), rel=1e-4, abs=1e-4 * spread)
        assert q == pytest.approx(exact(tensor)[1], rel=1e-4, abs=0)
        if spread > 1e-6 * abs(mean * scale):
            assert math.sqrt(q / n - (s / n) ** 2) == pytest.approx(spread, rel=1e-3)


def test_sums_of_nothing_zeros_overflow_and_nan_stand_beside_the_rest():
    some = [torch.empty(0), torch.zeros(4), torch.tensor([math.inf, 1.0]), torch.ones(4)]
    some += [torch.tensor([math.nan, 1.0]), torch.tensor([math.inf, -math.inf])]
    total, squares = sums(some)
    assert total[:4].tolist() == [0, 0, math.inf, 4]
    assert squares[:4].tolist() == [0, 0, math.inf, 4]
    assert np.isnan(total[4:]).all()
    assert math.isnan(squares[4]) and squares[5] == math.inf
    assert [len(part) for part in sums([])] == [0, 0]


@pytest.mark.parametrize("size", [2**16, 2**16 + 1, 2**20])
def test_large_tensors_are_summed_as_exactly_as_small_ones(size):
    values = torch.rand(size, generator=torch.Generator().manual_seed(0)) + 0.5
    (total,), (squares,) = sums([values])
    assert total == pytest.approx(values.double().sum().item(), rel=2e-6)
    assert squares == pytest.approx(values.double().square().sum().item(), rel=2e-6)
    assert square_sum(values) == squares


@settings(max_examples=60, deadline=None, derandomize=True)
@given(st.lists(small_arrays, max_size=5))
def test_sums_are_pythons_for_any_floats(lists):
    total, squares = sums([torch.tensor(values, dtype=torch.float32) for values in lists])
    for values, s, q in zip(lists, total, squares, strict=True):
        with np.errstate(invalid="ignore"):
            array = np.array(values, dtype=np.float64)
            reach = 1e-5 * np.abs(array).sum()
            np.testing.assert_allclose(s, array.sum(), rtol=1e-5, atol=reach)
            np.testing.assert_allclose(q, (array**2).sum(), rtol=1e-5)


@pytest.mark.parametrize("unit_dim", [-1, 1])
@pytest.mark.parametrize("name", ["relu", "tanh", "linear", "hard_step"])
@every_dtype
def test_flat_entries_and_dead_units_are_counted_one_by_one(dtype, name, unit_dim):
    activation = ACTIVATIONS[name]
    shapes = [(7, 5), (7, 5), (4, 3, 2, 2) if unit_dim == 1 else (4, 2, 3), (6, 1), (999, 3)]
    tensors = [noise(*shape, scale=4, dtype=dtype, seed=k) for k, shape in enumerate(shapes)]
    tensors[0][:, 2] = -9.0  # a unit that is flat for every example
    tensors[4][:, 1] = -9.0
    tensors[4][7, 1] = 0.5  # a unit that is flat for every example but one
    before = [tensor.clone() for tensor in tensors]
    shares, dead = flat_shares(activation, tensors, unit_dim)
    assert all(torch.equal(a, b) for a, b in zip(tensors, before, strict=True))
    for tensor, share, mask in zip(tensors, shares, dead, strict=True):
        units = tensor.movedim(unit_dim if tensor.ndim > 2 else -1, -1)
        rows = units.reshape(-1, units.shape[-1]).double()
        borders = torch.tensor([activation.flat_below, activation.flat_above])
        below, above = borders.to(dtype).tolist()  # the border is a number of the type, too
        one_sided = above == math.inf  # a border itself is flat where there is just one
        flat = [[v <= below if one_sided else abs(v) > above for v in r] for r in rows.tolist()]
        assert share == pytest.approx(sum(map(sum, flat)) / tensor.numel())
        assert mask.tolist() == [all(column) for column in zip(*flat, strict=True)]


@every_dtype
def test_a_small_tensor_is_its_own_sample_and_a_large_one_is_thinned(dtype):
    small, large = noise(20, 30, dtype=dtype), noise(300, 200, dtype=dtype)
    same, thin = samples([small, large])
    assert torch.equal(same, small.double().flatten())
    assert thin.dtype is torch.float64
    assert SAMPLED <= len(thin) < 1.2 * SAMPLED
    assert torch.equal(thin, large.double().flatten()[::53])  # 60 000 = 2⁵ · 3 · 5⁴


@pytest.mark.parametrize("shape", [(500, 64), (64, 64), (96, 784), (8, 4, 3, 3), (3, 5)])
def test_a_sample_has_evenly_spaced_entries_of_every_column(shape):
    (kept,) = samples([torch.arange(math.prod(shape)).reshape(shape).double()], least=128)
    kept = kept.long()
    spacing = set(kept.diff().tolist())
    assert len(spacing) == 1 and kept[0] == 0 and kept[-1] + spacing.pop() >= math.prod(shape)
    assert min(128, math.prod(shape)) <= len(kept) < 300
    columns = {int(index) % shape[-1] for index in kept}
    assert len(columns) == min(shape[-1], len(kept))


def test_a_sample_of_nothing_is_empty():
    assert samples([]) == []
    (empty,) = samples([torch.empty(0, 3)])
    assert (empty.shape, empty.dtype) == ((0,), torch.float64)


def test_a_sample_does_not_change_with_its_tensor():
    values = noise(10, dtype=torch.float64)
    (kept,) = samples([values])
    before = kept.clone()
    values.zero_()
    assert torch.equal(kept, before)


def test_every_power_of_two_of_float32_falls_into_the_column_of_its_exponent():
    exponents = range(-149, 128)
    share, zeros = binades([torch.tensor([2.0**k], dtype=torch.float64) for k in exponents])
    assert (share.shape, zeros.shape) == ((277, BINADES), (277,))
    assert share.dtype == zeros.dtype == torch.float64
    assert share.argmax(dim=1).tolist() == [k - SMALLEST_BINADE for k in exponents]
    assert (share.sum(dim=1) == 1).all()
    assert (zeros == 0).all()


@pytest.mark.parametrize("exponent", [-149, -126, -24, -1, 0, 1, 20, 127])
def test_columns_are_closed_below_and_open_above(exponent):
    inside = [2.0**exponent, -(2.0**exponent), math.nextafter(2.0 ** (exponent + 1), 0)]
    share, _ = binades([torch.tensor(inside, dtype=torch.float64)])
    assert share[0, exponent - SMALLEST_BINADE] == 1


def test_zeros_inf_nan_and_what_float32_cannot_hold_fall_outside():
    values = [0.0, -0.0, math.inf, math.nan, 1.0, 2.0**-151, 2.0**128, 5e-324]
    share, zeros = binades([torch.tensor(values, dtype=torch.float64)])
    assert share.sum() == share[0, -SMALLEST_BINADE] == 1 / 8
    assert zeros.item() == 4 / 8  # ±0, and two that are smaller than float32 can be


def test_an_empty_sample_has_no_shares():
    empty = torch.empty(0, dtype=torch.float64)
    share, zeros = binades([empty, torch.ones(2, dtype=torch.float64), empty])
    assert share[[0, 2]].isnan().all() and zeros[[0, 2]].isnan().all()
    assert share[1].sum() == 1


@settings(max_examples=60, deadline=None, derandomize=True)
@given(st.lists(small_arrays, min_size=1, max_size=4))
def test_the_histogram_counts_what_frexp_says(lists):
    share, zeros = binades([torch.tensor(values, dtype=torch.float64) for values in lists])
    for values, row, zero in zip(lists, share, zeros, strict=True):
        if not values:
            continue
        count = np.zeros(BINADES)
        for value in values:
            if value != 0 and math.isfinite(value):
                count[math.frexp(value)[1] - 1 - SMALLEST_BINADE] += 1  # frexp's mantissa is ½ to 1
        np.testing.assert_allclose(row.numpy() * len(values), count, atol=1e-12)
        assert zero.item() * len(values) == pytest.approx(values.count(0))


def test_the_interval_covers_the_mean_as_often_as_it_says():
    draws = np.random.default_rng(0).normal(3.0, 2.0, size=(6, 1000))
    held = abs(draws.mean(axis=0) - 3) <= interval(draws)
    assert held.shape == (1000,) and abs(np.mean(held) - 0.95) < 0.02
