"""The norms written out against torch's own layers, and the numbers that share a mean."""

import itertools
import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from d2lstab.normalization import (
    BatchNorm,
    GroupNorm,
    InstanceNorm,
    LayerNorm,
    Normalization,
    RMSNorm,
    standardize,
)
from d2lstab.normalization.sharing import sharing_set

# Ours, torch's, and the shape of the inputs: (examples, channels, *positions).
PAIRS = {
    "batch, vectors": (lambda: BatchNorm(6), lambda: nn.BatchNorm1d(6), (16, 6)),
    "batch, sequences": (lambda: BatchNorm(6), lambda: nn.BatchNorm1d(6), (4, 6, 5)),
    "batch, images": (lambda: BatchNorm(6), lambda: nn.BatchNorm2d(6), (4, 6, 3, 2)),
    "layer, vectors": (lambda: LayerNorm(6), lambda: nn.LayerNorm(6), (4, 6)),
    "layer, images": (lambda: LayerNorm(6), lambda: nn.GroupNorm(1, 6), (4, 6, 3, 2)),
    "instance, images": (
        lambda: InstanceNorm(6), lambda: nn.InstanceNorm2d(6, affine=True), (4, 6, 3, 2)
    ),
    "group, vectors": (lambda: GroupNorm(2, 6), lambda: nn.GroupNorm(2, 6), (4, 6)),
    "group, images": (lambda: GroupNorm(2, 6), lambda: nn.GroupNorm(2, 6), (4, 6, 3, 2)),
    "rms, vectors": (lambda: RMSNorm(6), lambda: nn.RMSNorm(6, eps=1e-5), (4, 6)),
}  # fmt: skip
PRECISION = {torch.float64: 1e-12, torch.float32: 1e-6}
every_pair = pytest.mark.parametrize("pair", PAIRS.values(), ids=PAIRS)


def draw(*shape, seed=0, dtype=torch.float64, mean=2.0, std=3.0):
    generator = torch.Generator().manual_seed(seed)
    return (mean + std * torch.randn(*shape, generator=generator, dtype=torch.float64)).to(dtype)


def randomize(layer):
    """Give γ, β and the running statistics random values."""
    for seed, (name, value) in enumerate(layer.state_dict().items()):
        if value.ndim:
            value.copy_(draw(*value.shape, seed=seed, mean=0.5, std=1).abs_())
        assert name != "num_batches_tracked" or not value.ndim
    return layer


def passed(layer, x):
    """The output, and the gradients of the input, γ and β, for a random gradient of the output."""
    x = x.clone().requires_grad_()
    output = layer(x)
    output.backward(draw(*x.shape, seed=9, dtype=x.dtype, mean=0, std=1))
    return [output.detach(), x.grad, *(parameter.grad for parameter in layer.parameters())]


@every_pair
@pytest.mark.parametrize("dtype", PRECISION, ids=lambda dtype: str(dtype)[6:])
def test_a_layer_equals_torch_s_forward_and_backward_and_exchanges_states_with_it(pair, dtype):
    ours, theirs, shape = pair
    for to_torch, training in itertools.product((True, False), repeat=2):
        mine, other = ours().to(dtype), theirs().to(dtype)
        source, target = (mine, other) if to_torch else (other, mine)
        target.load_state_dict(randomize(source).state_dict())
        mine.train(training)
        other.train(training)
        x = draw(*shape, dtype=dtype)
        for found, expected in zip(passed(mine, x), passed(other, x), strict=True):
            scale = max(1, expected.abs().max())
            assert (found - expected).abs().max() <= PRECISION[dtype] * scale


def test_rms_norm_of_images_is_torch_s_over_channels_and_positions():
    x, norm = draw(4, 6, 3, 2), randomize(RMSNorm(6).double())
    expected = nn.functional.rms_norm(x, (6, 3, 2), eps=1e-5) * norm.weight.reshape(6, 1, 1)
    torch.testing.assert_close(norm(x), expected)
    assert [*norm.state_dict()] == ["weight"]


def test_instance_norm_of_vectors_is_beta_exactly_and_passes_no_gradient():
    x, mine = draw(4, 6, dtype=torch.float32), randomize(InstanceNorm(6))
    output, *gradients, of_beta = passed(mine, x)
    assert torch.equal(output, mine.bias.detach().expand(4, 6))
    assert not any(gradient.any() for gradient in gradients) and of_beta.all()
    theirs = nn.GroupNorm(6, 6)  # in float32 it leaves rounding errors times 1/√eps
    theirs.load_state_dict(mine.state_dict())
    torch.testing.assert_close(theirs.double()(x.double()), output.double())


@pytest.mark.parametrize("momentum", [0.1, 0.5, 1.0])
def test_running_statistics_follow_torch_s_over_several_batches(momentum):
    mine, other = BatchNorm(6, momentum=momentum), nn.BatchNorm2d(6, momentum=momentum)
    for seed in range(4):
        x = draw(2 + seed, 6, 3, 2, seed=seed, dtype=torch.float32, mean=seed)
        assert (mine(x) - other(x)).abs().max() < 2e-6
    for name, expected in other.state_dict().items():
        torch.testing.assert_close(mine.state_dict()[name], expected, rtol=1e-6, atol=1e-6)
    assert mine.num_batches_tracked == 4
    x = x[:1]  # in eval mode an example is alone
    torch.testing.assert_close(mine.eval()(x), other.eval()(x), rtol=1e-6, atol=1e-6)
    assert mine.num_batches_tracked == 4


def test_running_statistics_are_no_part_of_the_graph():
    norm, x = BatchNorm(3), draw(4, 3, dtype=torch.float32).requires_grad_()
    norm(x).sum().backward()
    assert not norm.running_mean.requires_grad and not norm.running_var.requires_grad


def kinds(channels, groups):
    return (BatchNorm(channels), LayerNorm(channels), InstanceNorm(channels),
            GroupNorm(groups, channels), RMSNorm(channels))  # fmt: skip


def sets_by_hand(norm, x, groups):
    """The sharing sets of ``x``, cut out one by one."""
    if isinstance(norm, BatchNorm):
        return [x[:, c] for c in range(x.shape[1])]
    if isinstance(norm, InstanceNorm):
        return [x[i, c] for i in range(len(x)) for c in range(x.shape[1])]
    if isinstance(norm, GroupNorm):
        return [part for example in x for part in example.tensor_split(groups)]
    return [*x]


@given(
    groups=st.integers(1, 3),
    channels=st.integers(1, 3),
    examples=st.integers(2, 5),
    positions=st.lists(st.integers(1, 4), max_size=2),
    mean=st.floats(-100, 100),
    std=st.floats(0.01, 100),
    seed=st.integers(0, 99),
)
@settings(max_examples=30, deadline=None)
def test_standardized_numbers_have_mean_0_and_mean_square_1_in_each_sharing_set(
    groups, channels, examples, positions, mean, std, seed
):
    x = draw(examples, groups * channels, *positions, seed=seed, mean=mean, std=std)
    for norm in kinds(groups * channels, groups):
        pairs = zip(
            sets_by_hand(norm, norm.double()(x), groups), sets_by_hand(norm, x, groups), strict=True
        )
        for after, before in pairs:
            square = before.var(correction=0) if norm.center else before.square().mean()
            assert not norm.center or after.mean().abs() < 1e-9
            assert after.square().mean().item() == pytest.approx(
                float(square / (square + 1e-5)), abs=1e-9
            )


@pytest.mark.parametrize("shape", [(4, 6), (4, 6, 5)])
def test_the_numbers_that_share_a_mean_with_one_are_those_of_its_set(shape):
    x, at = draw(*shape), (1, 4, 2)[: len(shape)]
    for norm in kinds(6, 2):
        is_at = torch.zeros(shape).index_put(tuple(map(torch.tensor, at)), torch.tensor(1.0))
        marked = [part.any() for part in sets_by_hand(norm, is_at, 2)]
        expected = torch.zeros(shape)  # 1 in the set that holds the place `at`
        sets_by_hand(norm, expected, 2)[marked.index(True)].fill_(1)
        if isinstance(norm, InstanceNorm) and len(shape) == 2:
            expected.zero_()  # a number that is its own mean has no influence at all
        assert torch.equal(sharing_set(norm.double(), x, at), expected.bool())


def test_in_eval_mode_batch_norm_s_numbers_share_nothing_and_asking_changes_no_layer():
    norm, x = BatchNorm(6).double(), draw(4, 6, 5)
    assert sharing_set(norm, x, (0, 0, 0)).sum() == 20 and norm.num_batches_tracked == 0
    assert sharing_set(norm.eval(), x, (1, 2, 3)).nonzero().tolist() == [[1, 2, 3]]
    with pytest.raises(ValueError, match=r"index for each dimension of \(4, 6, 5\); got \(0, 1\)"):
        sharing_set(norm, x, (0, 1))


def test_standardizing_without_a_mean_divides_by_the_root_mean_square():
    x = torch.tensor([[3.0, 4.0], [0.0, 0.0]], dtype=torch.float64)
    expected = x / torch.tensor([[math.sqrt(12.5 + 1e-5)], [1.0]])
    torch.testing.assert_close(standardize(x, (1,), center=False), expected)


BAD_LAYERS = {
    "no channels": (lambda: LayerNorm(0), ValueError, "channels must be an integer ≥ 1; got 0"),
    "fewer than none": (lambda: BatchNorm(-1), ValueError, "channels .* got -1"),
    "channels as text": (lambda: RMSNorm("6"), TypeError, "channels .* got '6'"),
    "half a channel": (lambda: InstanceNorm(2.5), TypeError, "channels .* got 2.5"),
    "no groups": (lambda: GroupNorm(0, 6), ValueError, "groups .* from 1 to 6; got 0"),
    "many groups": (lambda: GroupNorm(7, 6), ValueError, "groups .* from 1 to 6; got 7"),
    "groups that leave a rest": (lambda: GroupNorm(4, 6), ValueError, "divide the 6 channels"),
    "groups as a list": (lambda: Normalization(6, [2]), TypeError, "groups .* got \\[2\\]"),
    "a negative eps": (lambda: LayerNorm(6, eps=-1.0), ValueError, "eps .* ≥ 0; got -1.0"),
    "no momentum": (lambda: BatchNorm(6, momentum=None), TypeError, "momentum .* got None"),
}
BAD_INPUTS = {
    "a list": ([[1.0] * 6], TypeError, "floating-point numbers; got list"),
    "integers": (torch.ones(4, 6, dtype=torch.long), TypeError, "got torch.int64"),
    "one dimension": (torch.ones(6), ValueError, r"\(examples, 6\).*got \(6,\)"),
    "other channels": (torch.ones(4, 5), ValueError, r"\(examples, 6\).*got \(4, 5\)"),
}


@pytest.mark.parametrize(("make", "kind", "message"), BAD_LAYERS.values(), ids=BAD_LAYERS)
def test_a_layer_that_cannot_be_is_refused(make, kind, message):
    with pytest.raises(kind, match=message):
        make()


@pytest.mark.parametrize(("x", "kind", "message"), BAD_INPUTS.values(), ids=BAD_INPUTS)
def test_inputs_that_do_not_fit_are_refused_by_every_layer(x, kind, message):
    for norm in kinds(6, 2):
        with pytest.raises(kind, match=message):
            norm(x)


@pytest.mark.parametrize("shape", [(1, 6), (1, 6, 1, 1), (0, 6)])
def test_batch_norm_refuses_to_train_on_one_number_per_channel_and_keeps_its_statistics(shape):
    norm = BatchNorm(6)
    with pytest.raises(
        ValueError, match=rf"more than one number.*got inputs of shape \({shape[0]}"
    ):
        norm(torch.ones(shape))
    assert norm.num_batches_tracked == 0 and torch.equal(norm.running_mean, torch.zeros(6))
    assert norm.eval()(torch.ones(shape)).shape == shape


def test_no_examples_give_no_outputs():
    for norm in kinds(6, 2):
        assert norm.eval()(torch.ones(0, 6, 3)).shape == (0, 6, 3)
