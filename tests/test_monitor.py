"""`Monitor` against training loops written out by hand, deep copies, and the book's Trainer."""

import copy
import gc
import math
from itertools import pairwise

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torch.nn.modules import module as nn_module
from torch.optim import optimizer as torch_optimizer

from d2lstab import Monitor, measure
from d2lstab.alarms import Watch
from d2lstab.book import d2l
from d2lstab.datasets import digits
from d2lstab.health import StepHealth, Thresholds
from d2lstab.passes import Pass

BATCH = digits(64)
NEVER = Thresholds(1e-300, 1e300, 1e-300, 1e300, 2.0, 2.0)


def small(*activations, seed=0):
    """A perceptron with 64 inputs, 10 outputs and 16 units in each hidden layer."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        sizes = [64, *[16] * len(activations)]
        hidden = [m for (a, b), f in zip(pairwise(sizes), activations, strict=True)
                  for m in (nn.Linear(a, b), f)]  # fmt: skip
        return nn.Sequential(*hidden, nn.Linear(16, 10))


def loss_of(model, batch=BATCH):
    return F.cross_entropy(model(batch.inputs), batch.labels)


def norm(tensors):
    return math.sqrt(sum(t.detach().double().square().sum().item() for t in tensors))


def train(model, optimizer, steps=3, loss=loss_of):
    for _ in range(steps):
        optimizer.zero_grad()
        loss(model).backward()
        optimizer.step()


def sgd(model, lr=0.1, **options):
    return torch.optim.SGD(model.parameters(), lr=lr, **options)


# --- numbers of a step -----------------------------------------------------------------------


def test_gradient_norms_are_those_of_the_gradients_that_backward_left():
    model = small(nn.Tanh(), nn.ReLU())
    optimizer, total, layers = sgd(model), [], []
    with Monitor(model) as monitor:
        for _ in range(3):
            optimizer.zero_grad()
            loss_of(model).backward()
            layers.append([norm([model[i].weight.grad]) for i in (0, 2, 4)])
            total.append(nn.utils.clip_grad_norm_(model.parameters(), 1e-3).item())
            optimizer.step()
    record = monitor.record
    assert record.names == ("0", "2", "4")
    assert record.steps.tolist() == [1, 2, 3]
    np.testing.assert_allclose(record.weight_gradient_norm, layers, rtol=1e-5)
    np.testing.assert_allclose(record.total_gradient_norm, total, rtol=1e-5)


OPTIMIZERS = {
    "sgd": lambda p: torch.optim.SGD(p, lr=0.1, momentum=0.9, weight_decay=0.01, nesterov=True),
    "adam": lambda p: torch.optim.Adam(p, lr=0.01),
    "adamw": lambda p: torch.optim.AdamW(p, lr=0.01),
    "rmsprop": lambda p: torch.optim.RMSprop(p, lr=0.01),
    "adagrad": lambda p: torch.optim.Adagrad(p, lr=0.1),
    "rprop": lambda p: torch.optim.Rprop(p, lr=0.01),
    "foreach": lambda p: torch.optim.Adam(p, lr=0.01, foreach=True),
    "fused": lambda p: torch.optim.Adam(p, lr=0.01, fused=True),
}


@pytest.mark.parametrize("make", OPTIMIZERS.values(), ids=OPTIMIZERS)
def test_update_ratio_compares_the_weights_after_the_step_with_those_before(make):
    model = small(nn.Tanh())
    optimizer, expected = make(model.parameters()), []
    with Monitor(model) as monitor:
        for _ in range(4):
            before = copy.deepcopy(model.state_dict())
            train(model, optimizer, 1)
            weights = [(before[f"{i}.weight"], model[i].weight) for i in (0, 2)]
            expected.append([norm([after - old]) / norm([old]) for old, after in weights])
    np.testing.assert_allclose(monitor.record.update_ratio, expected, rtol=1e-4)


def test_an_update_lost_to_rounding_counts_as_none():
    model = small(nn.Tanh())
    with Monitor(model) as monitor:
        train(model, sgd(model, lr=1e-12), 1)
    assert monitor.record.weight_gradient_norm.min() > 1e-3
    assert monitor.record.update_ratio.tolist() == [[0.0, 0.0]]


def test_the_ratio_of_weights_that_were_all_zero_is_infinite():
    model = nn.Linear(64, 10)
    nn.init.zeros_(model.weight)
    with Monitor(model) as monitor:
        train(model, sgd(model), 1)
    assert monitor.record.update_ratio.tolist() == [[math.inf]]


def test_gradients_far_below_the_square_root_of_the_smallest_number_keep_their_norm():
    model = small(nn.Tanh())
    with Monitor(model) as monitor:
        train(model, sgd(model), 1, lambda model: 1e-30 * loss_of(model))
    expected = norm([model[2].weight.grad])
    assert 1e-33 < expected < 1e-27
    assert monitor.record.weight_gradient_norm[0, 1] == pytest.approx(expected, rel=1e-5)


def test_shares_are_those_of_the_training_batch():
    model = small(nn.ReLU(), nn.Tanh())
    with torch.no_grad():
        model[0].bias[:5] = -100.0
        model[2].weight *= 20
        first = model[0](BATCH.inputs)
        second = model[2](first.relu())
    with Monitor(model) as monitor:
        train(model, sgd(model), 1)
    flat = [first <= 0, 1 - second.tanh() ** 2 < 0.01]
    expected = [*(mask.double().mean().item() for mask in flat), math.nan]
    np.testing.assert_allclose(monitor.record.saturated_share[0], expected, rtol=1e-6)
    expected = [*(mask.all(dim=0).double().mean().item() for mask in flat), math.nan]
    assert expected[0] >= 5 / 16
    np.testing.assert_allclose(monitor.record.dead_share[0], expected, rtol=1e-6)


def test_the_histogram_counts_the_entries_of_the_gradient_by_size():
    model = nn.Sequential(nn.Linear(64, 2), nn.Tanh(), nn.Linear(2, 10))
    with Monitor(model) as monitor:
        train(model, sgd(model), 2)
    histogram = monitor.record.gradient_histogram
    assert histogram.shape == (2, 2, 278)
    for row, layer in enumerate((model[0], model[2])):
        exponents = layer.weight.grad.abs().log2().floor().flatten().numpy()
        expected = np.histogram(exponents, np.arange(-150.5, 128))[0] / len(exponents)
        np.testing.assert_allclose(histogram[1, row], expected, atol=1e-12)


def test_the_entries_kept_are_the_gradients():
    model = nn.Sequential(nn.Linear(64, 500), nn.Tanh(), nn.Linear(500, 10))
    with Monitor(model) as monitor:
        train(model, sgd(model), 1)
    gradient = model[0].weight.grad.flatten()
    kept = monitor.record.gradient_samples[0][0]
    torch.testing.assert_close(kept, gradient[::249], rtol=0, atol=0)  # 32000/128 is 250


def test_a_model_in_float64_is_measured_in_float64():
    model = small(nn.Tanh()).double()
    batch = BATCH.inputs.double()
    before = copy.deepcopy(model.state_dict())
    with Monitor(model) as monitor:
        train(model, sgd(model, lr=1e-12), 1, lambda m: F.cross_entropy(m(batch), BATCH.labels))
    expected = norm([model[0].weight - before["0.weight"]]) / norm([before["0.weight"]])
    assert monitor.record.update_ratio[0, 0] == pytest.approx(expected, rel=1e-9)
    assert 0 < expected < 1e-11


# --- nothing is changed ----------------------------------------------------------------------


class Noisy(nn.Module):
    """Everything that a listener could disturb: dropout, batch norm, in-place, recurrence."""

    def __init__(self):
        super().__init__()
        self.conv = nn.Sequential(nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.ReLU(inplace=True))
        self.recurrent = nn.LSTM(24, 12, batch_first=True)
        self.attention = nn.TransformerEncoderLayer(12, 3, 16, dropout=0.2, batch_first=True)
        self.out = nn.Linear(12, 10)

    def forward(self, x):
        x = self.conv(x.reshape(-1, 1, 8, 8)).flatten(2).reshape(len(x), 6, 24)
        x, _ = self.recurrent(F.dropout(x, 0.3))
        return self.out(self.attention(x).mean(dim=1).tanh_())


def trained(watch, every=1):
    torch.manual_seed(0)
    model = Noisy()
    optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
    monitor = Monitor(model, every) if watch else None
    if watch:
        with monitor:
            train(model, optimizer, 5)
    else:
        train(model, optimizer, 5)
    return model.state_dict(), torch.get_rng_state(), monitor


@pytest.mark.parametrize("every", [1, 2])
def test_training_gives_the_same_bits_and_draws_the_same_random_numbers(every):
    plain, random_state, _ = trained(False)
    watched, random_state_watched, monitor = trained(True, every)
    assert all(torch.equal(plain[name], watched[name]) for name in plain)
    assert torch.equal(random_state, random_state_watched)
    assert len(monitor.record) == len(range(0, 5, every))


def listeners(model):
    """Everything that a hook could hang on, and the open modes of PyTorch."""
    hooks = ("_forward_pre_hooks", "_forward_hooks", "_backward_hooks", "_backward_pre_hooks")
    return (
        sum(len(getattr(m, hook)) for m in model.modules() for hook in hooks),
        sum(len(m._forward_hooks_always_called) for m in model.modules()),
        sum(len(m._forward_pre_hooks_with_kwargs) for m in model.modules()),
        sum(len(p._post_accumulate_grad_hooks or ()) for p in model.parameters()),
        len(torch_optimizer._global_optimizer_pre_hooks),
        len(torch_optimizer._global_optimizer_post_hooks),
        len(nn_module._global_forward_hooks),
        len(nn_module._global_forward_pre_hooks),
        len(torch.overrides._get_current_function_mode_stack()),
    )


class Interrupted(nn.Module):
    """Raises in the middle of the forward pass that comes third."""

    def __init__(self, error):
        super().__init__()
        self.first, self.last, self.error, self.passes = (
            nn.Linear(64, 8),
            nn.Linear(8, 10),
            error,
            0,
        )

    def forward(self, x):
        x = self.first(x).tanh()
        self.passes += 1
        if self.passes == 3:
            raise self.error
        return self.last(x)


@pytest.mark.parametrize("error", [ValueError("odd"), KeyboardInterrupt()], ids=repr)
def test_all_hooks_are_gone_after_an_error_in_the_forward_pass(error):
    model = Interrupted(error)
    before = listeners(model)
    monitor = Monitor(model)
    with pytest.raises(type(error)), monitor:
        train(model, sgd(model), 5)
    assert listeners(model) == before == (0,) * len(before)
    assert monitor.record.steps.tolist() == [1, 2]


def test_all_hooks_are_gone_after_the_block_and_after_an_error_between_steps():
    model = small(nn.Tanh())
    before = listeners(model)
    with Monitor(model) as monitor:
        assert listeners(model) > before
        train(model, sgd(model), 2)
    assert listeners(model) == before
    with pytest.raises(ZeroDivisionError), monitor:
        1 / 0  # noqa: B018, raised on purpose
    assert listeners(model) == before
    train(model, sgd(model), 2)
    assert len(monitor.record) == 2  # deaf now


def test_training_goes_on_after_an_interrupt_that_the_reader_has_caught():
    model = Interrupted(KeyboardInterrupt())
    with Monitor(model) as monitor:
        with pytest.raises(KeyboardInterrupt):
            train(model, sgd(model), 5)
        train(model, sgd(model), 2)
    assert monitor.record.steps.tolist() == [1, 2, 3, 4]
    assert not monitor.record.dead_share[:, 0].isnan().any()
    assert listeners(model) == (0,) * len(listeners(model))


def test_a_backward_pass_that_failed_does_not_deafen_the_monitor():
    class Fails(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            return x.clone()

        @staticmethod
        def backward(ctx, gradient):
            raise RuntimeError("broken")

    model = small(nn.Tanh())
    with Monitor(model) as monitor:
        with pytest.raises(RuntimeError, match="broken"):
            F.cross_entropy(model[2](Fails.apply(model[:2](BATCH.inputs))), BATCH.labels).backward()
        train(model, sgd(model), 2)
    assert monitor.record.steps.tolist() == [1, 2]
    assert not monitor.record.weight_gradient_norm.isnan().any()


def test_a_copy_of_the_model_taken_inside_the_block_is_not_listened_to():
    model = small(nn.Tanh())
    with Monitor(model) as monitor:
        train(model, sgd(model), 1)
        other = copy.deepcopy(model)
        other[0].bias.data += 100  # all saturated
        optimizer = sgd(model)
        optimizer.zero_grad()
        loss = loss_of(model)
        train(other, sgd(other), 3)
        loss.backward()
        optimizer.step()
    assert monitor.record.steps.tolist() == [1, 2]
    assert (monitor.record.saturated_share[:, 0] < 0.5).all()


# --- what a step is --------------------------------------------------------------------------


def test_validation_does_not_count_with_or_without_no_grad():
    model = small(nn.ReLU())
    plain = Monitor(copy.deepcopy(model), thresholds=NEVER)
    with plain:
        train(plain.model, sgd(plain.model), 2)
    other = digits(32, seed=1)
    with Monitor(model, thresholds=NEVER) as monitor:
        optimizer = sgd(model)
        for _ in range(2):
            optimizer.zero_grad()
            loss = loss_of(model)
            loss_of(model, other)  # forgotten: eval() and no_grad()
            loss.backward()
            model.eval()
            with torch.no_grad():
                loss_of(model, other)
            loss_of(model, other)
            model.train()
            optimizer.step()
    for field in ("dead_share", "saturated_share", "weight_gradient_norm", "update_ratio"):
        ours, expected = getattr(monitor.record, field), getattr(plain.record, field)
        torch.testing.assert_close(ours, expected, equal_nan=True, rtol=1e-12, atol=0)


def test_a_pass_without_a_backward_pass_is_forgotten():
    model = small(nn.ReLU())
    with Monitor(model):
        for _ in range(20):
            loss_of(model)
        gc.collect()
        assert sum(type(thing) is Pass for thing in gc.get_objects()) == 0


def test_accumulated_gradients_make_one_step_of_all_their_passes():
    model = small(nn.ReLU())
    model[0].bias.data -= 1  # so that some units are dead in one part and not in the other
    whole = Monitor(copy.deepcopy(model))
    with whole:
        train(whole.model, sgd(whole.model), 1)
    with Monitor(model) as monitor:
        for part in (slice(0, 54), slice(54, 64)):
            outputs = model(BATCH.inputs[part])
            F.cross_entropy(outputs, BATCH.labels[part], reduction="sum").div(64).backward()
        sgd(model).step()
    for field in ("dead_share", "saturated_share", "weight_gradient_norm", "update_ratio"):
        ours, expected = getattr(monitor.record, field), getattr(whole.record, field)
        torch.testing.assert_close(ours, expected, equal_nan=True, rtol=1e-4, atol=1e-12)


def test_several_passes_before_one_backward_pass_all_count():
    model = small(nn.ReLU())
    model[0].bias.data -= 1
    whole = measure(model, BATCH.inputs, lambda out: F.cross_entropy(out, BATCH.labels))
    with Monitor(model) as monitor:
        outputs = torch.cat([model(part) for part in BATCH.inputs.split([54, 10])])
        F.cross_entropy(outputs, BATCH.labels).backward()
        sgd(model).step()
    np.testing.assert_allclose(monitor.record.dead_share[0], whole.dead_share)
    np.testing.assert_allclose(monitor.record.saturated_share[0], whole.saturated_share)
    norms = whole.weight_gradient_norm
    np.testing.assert_allclose(monitor.record.weight_gradient_norm[0], norms, rtol=1e-4)


def test_two_optimizers_that_share_the_parameters_make_one_step():
    model = small(nn.Tanh())
    optimizers = [torch.optim.SGD(model[i].parameters(), lr=0.1) for i in (0, 2)]
    before = copy.deepcopy(model.state_dict())
    with Monitor(model) as monitor:
        for _ in range(2):
            model.zero_grad()
            loss_of(model).backward()
            for optimizer in optimizers:
                optimizer.step()
            if monitor.steps_done == 0:
                after = copy.deepcopy(model.state_dict())
    names = ("0.weight", "2.weight")
    expected = [norm([after[n] - before[n]]) / norm([before[n]]) for n in names]
    assert monitor.record.steps.tolist() == [1, 2]
    np.testing.assert_allclose(monitor.record.update_ratio[0], expected, rtol=1e-4)


def test_a_layer_that_no_optimizer_moves_has_ratio_zero():
    model = small(nn.Tanh())
    with Monitor(model) as monitor:
        train(model, torch.optim.SGD(model[2].parameters(), lr=0.1), 1)
    assert monitor.record.update_ratio[0, 0] == 0 < monitor.record.update_ratio[0, 1]


def test_an_optimizer_of_another_model_is_no_step():
    model, other = small(nn.Tanh()), small(nn.Tanh(), seed=1)
    with Monitor(model) as monitor:
        loss_of(model).backward()
        train(other, sgd(other), 3)
    assert len(monitor.record) == 0


def test_updates_by_hand_are_steps_the_last_one_too():
    model, twin = small(nn.Tanh()), small(nn.Tanh())
    reference = Monitor(twin)
    with reference:
        train(twin, sgd(twin), 3)
    with Monitor(model) as monitor:
        for _ in range(3):
            loss_of(model).backward()
            with torch.no_grad():
                for parameter in model.parameters():
                    parameter -= 0.1 * parameter.grad
                    parameter.grad = None
    assert monitor.record.steps.tolist() == [1, 2, 3]
    for field in ("weight_gradient_norm", "update_ratio"):
        ours, expected = getattr(monitor.record, field), getattr(reference.record, field)
        torch.testing.assert_close(ours, expected, rtol=1e-4, atol=0)


def test_the_books_own_optimizer_from_scratch_is_noticed():
    model = small(nn.Tanh())
    optimizer = d2l.SGD(list(model.parameters()), 0.1)
    with Monitor(model) as monitor:
        for _ in range(3):
            loss = loss_of(model)
            optimizer.zero_grad()
            with torch.no_grad():
                loss.backward()
                optimizer.step()
    assert monitor.record.steps.tolist() == [1, 2, 3]


def test_a_call_of_lbfgs_is_one_step_whatever_it_evaluates():
    model = small(nn.Tanh())
    optimizer, calls = torch.optim.LBFGS(model.parameters(), max_iter=4), []

    def closure():
        calls.append(1)
        optimizer.zero_grad()
        loss = loss_of(model)
        loss.backward()
        return loss

    before = copy.deepcopy(model.state_dict())
    with Monitor(model) as monitor:
        optimizer.step(closure)
        after = copy.deepcopy(model.state_dict())
        optimizer.step(closure)
    assert len(calls) > 4
    expected = norm([after["0.weight"] - before["0.weight"]]) / norm([before["0.weight"]])
    assert monitor.record.steps.tolist() == [1, 2]
    assert monitor.record.update_ratio[0, 0] == pytest.approx(expected, rel=1e-5)


def test_weights_that_are_changed_between_steps_do_not_count_as_update():
    model = small(nn.Tanh())
    optimizer = sgd(model)
    with Monitor(model) as monitor:
        train(model, optimizer, 1)
        with torch.no_grad():
            model[0].weight *= 100
        before = model[0].weight.clone()
        train(model, optimizer, 1)
        loss_of(model)  # a pass that is never backpropagated
        expected = [norm([model[0].weight - before]) / norm([before])]
        with torch.no_grad():
            model[0].weight /= 100
        before = model[0].weight.clone()
        train(model, optimizer, 1)
        expected.append(norm([model[0].weight - before]) / norm([before]))
    np.testing.assert_allclose(monitor.record.update_ratio[1:, 0], expected, rtol=1e-4)
    assert len(monitor.record) == 3


def test_every_looks_at_the_first_step_and_each_kth_after_it():
    model, twin = small(nn.ReLU()), small(nn.ReLU())
    with Monitor(twin) as all_steps:
        train(twin, sgd(twin), 8)
    with Monitor(model, every=3) as monitor:
        train(model, sgd(model), 8)
    assert monitor.record.steps.tolist() == [1, 4, 7] and monitor.steps_done == 8
    for field in ("dead_share", "weight_gradient_norm", "update_ratio", "total_gradient_norm"):
        expected = getattr(all_steps.record, field)[::3]
        torch.testing.assert_close(getattr(monitor.record, field), expected, equal_nan=True)


def test_the_record_can_be_read_after_each_step_and_the_monitor_be_entered_again():
    model = small(nn.Tanh())
    optimizer = sgd(model)
    monitor = Monitor(model)
    with monitor:
        for step in range(1, 4):
            train(model, optimizer, 1)
            assert monitor.record.steps.tolist() == list(range(1, step + 1))
    with monitor:
        train(model, optimizer, 1)
    assert monitor.record.steps.tolist() == [1, 2, 3, 4]


def test_measuring_a_profile_inside_the_block_is_no_training():
    model, other = small(nn.ReLU()), digits(32, seed=1)
    model[0].bias.data -= 1
    expected = measure(model, BATCH.inputs, lambda out: F.cross_entropy(out, BATCH.labels))
    with Monitor(model) as monitor:
        optimizer = sgd(model)
        measure(model, other.inputs, lambda out: F.cross_entropy(out, other.labels))
        optimizer.zero_grad()
        loss_of(model).backward()
        optimizer.step()
    assert len(monitor.record) == 1
    np.testing.assert_allclose(monitor.record.dead_share[0], expected.dead_share)
    np.testing.assert_allclose(monitor.record.saturated_share[0], expected.saturated_share)


def test_a_call_of_the_optimizer_without_a_gradient_is_no_step():
    model = small(nn.Tanh())
    optimizer = sgd(model)
    with Monitor(model) as monitor:
        optimizer.step()
        train(model, optimizer, 1)
        optimizer.zero_grad()
        optimizer.step()
    assert monitor.record.steps.tolist() == [1] and monitor.steps_done == 1


def test_training_in_evaluation_mode_is_training():
    model = small(nn.ReLU()).eval()
    with Monitor(model) as monitor:
        train(model, sgd(model), 1)
    assert len(monitor.record) == 1 and not monitor.record.dead_share[0, 0].isnan()


# --- any model -------------------------------------------------------------------------------


def test_a_frozen_layer_has_no_gradient_and_an_unfrozen_one_is_seen_again():
    model = small(nn.Tanh())
    model[0].requires_grad_(False)
    with Monitor(model) as monitor:
        train(model, sgd(model), 1)
        model[0].requires_grad_(True)
        train(model, sgd(model), 1)
    record = monitor.record
    assert record.weight_gradient_norm[:, 0].isnan().tolist() == [True, False]
    assert record.update_ratio[:, 0].isnan().tolist() == [True, False]
    assert not record.dead_share[:, 0].isnan().any()
    assert not record.gradient_overflow.any() and record.alarms == ()


def test_layers_stand_in_the_order_in_which_they_run():
    class Backwards(nn.Module):
        def __init__(self):
            super().__init__()
            self.last, self.unused, self.first = (
                nn.Linear(8, 10), nn.Linear(3, 3), nn.Linear(64, 8))  # fmt: skip

        def forward(self, x):
            return self.last(torch.relu(self.first(x)))

    model = Backwards()
    with Monitor(model) as monitor:
        train(model, sgd(model), 1)
    assert monitor.record.names == ("first", "last", "unused")
    assert monitor.record.weight_gradient_norm[0].isnan().tolist() == [False, False, True]
    expected = norm([model.first.weight.grad])
    assert monitor.record.weight_gradient_norm[0, 0] == pytest.approx(expected, rel=1e-5)


def test_a_layer_that_is_used_twice_has_one_gradient_and_the_units_of_both_uses():
    class Shared(nn.Module):
        def __init__(self):
            super().__init__()
            self.inner, self.out = nn.Linear(64, 64), nn.Linear(64, 10)

        def forward(self, x):
            return self.out(torch.relu(self.inner(torch.relu(self.inner(x)))))

    model = Shared()
    with torch.no_grad():
        first = model.inner(BATCH.inputs)
        both = torch.cat([first, model.inner(first.relu())]) <= 0
    with Monitor(model) as monitor:
        train(model, sgd(model), 1)
    record = monitor.record
    assert record.saturated_share[0, 0] == pytest.approx(both.double().mean().item(), rel=1e-6)
    assert record.dead_share[0, 0] == both.all(dim=0).double().mean().item()
    expected = norm([model.inner.weight.grad])
    assert record.weight_gradient_norm[0, 0] == pytest.approx(expected, rel=1e-5)


def test_a_model_of_which_only_parts_are_called_has_gradients_and_updates_but_no_units():
    class Parts(nn.Module):
        def __init__(self):
            super().__init__()
            self.net = small(nn.ReLU())

    model = Parts()
    with Monitor(model) as monitor:
        train(model, sgd(model), 2, lambda model: loss_of(model.net))
    assert len(monitor.record) == 2
    assert (monitor.record.weight_gradient_norm > 0).all()
    assert (monitor.record.update_ratio > 0).all()
    assert monitor.record.dead_share.isnan().all()


def test_sparse_gradients_of_an_embedding_are_measured():
    model = nn.Sequential(nn.Embedding(20, 4, sparse=True), nn.Flatten(), nn.Linear(8, 10))
    tokens, labels = torch.arange(8).reshape(4, 2), torch.arange(4)
    with Monitor(model) as monitor:
        train(model, sgd(model), 1, lambda model: F.cross_entropy(model(tokens), labels))
    expected = norm([model[0].weight.grad.to_dense()])
    assert monitor.record.weight_gradient_norm[0, 0] == pytest.approx(expected, rel=1e-5)


class Digits(d2l.DataModule):
    """The digits as the book's classes want their data."""

    def __init__(self, pixels=8, channels=(), batch_size=32):
        super().__init__()
        self.save_hyperparameters()

    def get_dataloader(self, train):
        batch = digits(96)
        images = F.interpolate(batch.inputs.reshape(-1, 1, 8, 8), size=self.pixels)
        inputs = images.reshape(len(images), *self.channels, self.pixels, self.pixels)
        part = slice(0, 64) if train else slice(64, None)
        return self.get_tensorloader((inputs, batch.labels), train, part)


class Recurrent(d2l.Classifier):
    """PyTorch's LSTM over the rows of the image, in the book's style, its last layer lazy."""

    def __init__(self, lr=0.1):
        super().__init__()
        self.save_hyperparameters()
        self.rnn, self.out = nn.LSTM(8, 12, batch_first=True), nn.LazyLinear(10)

    def forward(self, x):
        return self.out(self.rnn(x)[0][:, -1])


class Encoder(Recurrent):
    """The book's transformer block over the rows of the image."""

    def __init__(self):
        super().__init__()
        self.rnn, self.block = None, d2l.TransformerEncoderBlock(8, 16, 2, 0.1)

    def forward(self, x):
        return self.out(self.block(x, None).mean(dim=1))


BOOK = {
    "LeNet": (lambda: d2l.LeNet(lr=0.1), dict(pixels=28, channels=(1,))),
    "recurrent": (Recurrent, {}),
    "transformer": (Encoder, {}),
}


@pytest.mark.parametrize("make,data", BOOK.values(), ids=BOOK)
def test_the_books_classes_are_heard_under_its_trainer(make, data):
    torch.manual_seed(0)
    model = make()
    model.board.display = False
    with Monitor(model) as monitor:
        d2l.Trainer(max_epochs=2).fit(model, Digits(**data))
    record = monitor.record
    assert record.steps.tolist() == [1, 2, 3, 4]
    assert (record.weight_gradient_norm > 0).all() and (record.update_ratio > 0).all()
    assert record.first_nan is None
    assert listeners(model) == (0,) * len(listeners(model))


def test_a_lazy_model_is_known_after_its_first_pass_and_heard_from_the_second_on():
    model = nn.Sequential(nn.LazyLinear(16), nn.ReLU(), nn.LazyLinear(10))
    inputs = model[0], torch.optim.SGD(model.parameters(), lr=0.1)
    with Monitor(model) as monitor:
        assert len(monitor.record) == 0
        train(model, inputs[1], 2)
    record = monitor.record
    assert record.names == ("0", "2") and record.steps.tolist() == [1, 2]
    assert (record.weight_gradient_norm > 0).all() and (record.update_ratio > 0).all()
    assert record.dead_share[:, 0].isnan().tolist() == [True, False]


# --- where Inf and NaN arise -----------------------------------------------------------------


class Apply(nn.Module):
    """A function as a module."""

    def __init__(self, function):
        super().__init__()
        self.function = function

    def forward(self, x):
        return self.function(x)


def around(function, *, before=nn.Tanh(), after=nn.ReLU()):  # noqa: B008, never changed
    """Layers around one odd function, which stands at place 2."""
    return nn.Sequential(nn.Linear(64, 16), before, Apply(function), nn.Linear(16, 16), after,
                         nn.Linear(16, 10))  # fmt: skip


def first_nan(model, loss=loss_of, steps=2, lr=0.1, batch=None):
    with Monitor(model) as monitor:
        train(model, sgd(model, lr), steps, loss)
    return monitor.record.first_nan


def at(step, function):
    """A function that turns bad at its call number ``step``."""
    calls = iter(range(1, 100))
    return lambda x: function(x) if next(calls) >= step else x


@pytest.mark.parametrize(
    ("function", "found"),
    [
        (lambda x: x * 0 / 0, "NaN"),
        (lambda x: (x * 0 - 1).log(), "NaN"),
        (lambda x: (x * 0).log(), "Inf"),
        (lambda x: x * 1e38 * 1e38, "Inf"),
        (lambda x: (x * 1e5).half().float(), "Inf"),
    ],
)
def test_a_number_that_gets_lost_on_the_way_forward_is_found_where_and_when_it_is(function, found):
    alarm = first_nan(around(at(3, function)), steps=5)
    assert (alarm.step, alarm.kind, alarm.layer) == (3, "nan output", "2")
    assert found in alarm.words and "2 (Apply)" in alarm.words and math.isnan(alarm.value)


def test_a_function_between_modules_is_found_by_the_module_that_calls_it():
    class Block(nn.Module):
        def __init__(self):
            super().__init__()
            self.a, self.b = nn.Linear(16, 16), nn.Linear(16, 16)

        def forward(self, x):
            x = self.a(x)
            return self.b(x / (x * 0))

    model = nn.Sequential(nn.Linear(64, 16), nn.Tanh(), Block(), nn.Linear(16, 10))
    alarm = first_nan(model)
    assert (alarm.kind, alarm.layer) == ("nan output", "2.b")  # the first module that shows it


def test_a_bad_batch_is_not_blamed_on_the_network():
    inputs = BATCH.inputs.clone()
    inputs[3, 5] = math.nan
    alarm = first_nan(small(nn.Tanh()), lambda m: F.cross_entropy(m(inputs), BATCH.labels))
    assert (alarm.kind, alarm.layer) == ("nan input", "")


@pytest.mark.parametrize("bad", [lambda out: (out * 0).log().sum(), lambda out: out.sum() / 0.0])
def test_a_loss_that_gets_lost_is_found_in_the_loss(bad):
    alarm = first_nan(small(nn.Tanh()), lambda model: bad(model(BATCH.inputs)))
    assert (alarm.kind, alarm.layer, alarm.step) == ("nan loss", "", 1)


def test_a_number_that_gets_lost_on_the_way_back_is_found_in_the_module_that_loses_it():
    # √0 is 0; its derivative is not
    alarm = first_nan(around(lambda x: (x * 0).square().sum(1, keepdim=True).sqrt() + x))
    assert (alarm.kind, alarm.layer) == ("nan gradient", "2")
    assert "Apply" in alarm.words and "way back" in alarm.words


def test_a_weight_whose_own_gradient_is_lost_is_found():
    model = small(nn.Tanh(), nn.Tanh())
    model[2].weight.register_hook(lambda gradient: gradient * math.nan)
    alarm = first_nan(model)
    assert (alarm.kind, alarm.layer) == ("nan gradient", "2")


def test_of_a_block_and_its_parts_the_part_is_named():
    class Block(nn.Module):
        def __init__(self):
            super().__init__()
            self.body = Apply(lambda x: (x * 0).square().sum(1, keepdim=True).sqrt() + x)

        def forward(self, x):
            return x + self.body(x)

    model = nn.Sequential(nn.Linear(64, 16), nn.Tanh(), Block(), nn.Linear(16, 10))
    assert first_nan(model).layer == "2.body"


def test_an_update_that_loses_the_weights_is_found_before_the_next_pass():
    model = small(nn.Tanh())
    optimizer = torch.optim.SGD([{"params": model[0].parameters(), "lr": 0.1},
                                 {"params": model[2].parameters(), "lr": math.inf}])  # fmt: skip
    with Monitor(model) as monitor:
        train(model, optimizer, 1)
        alarm = monitor.record.first_nan
        assert (alarm.kind, alarm.layer, alarm.step) == ("nan weight", "2", 1)
        train(model, optimizer, 2)
    assert monitor.record.first_nan == alarm and monitor.alarms == (alarm,)


def test_a_bias_that_the_update_loses_is_found_too():
    model = small(nn.Tanh())
    biases = [model[0].bias]
    optimizer = torch.optim.SGD(biases, lr=math.inf)
    with Monitor(model) as monitor:
        train(model, optimizer, 1)
    assert (monitor.record.first_nan.kind, monitor.record.first_nan.layer) == ("nan weight", "0")


def test_weights_lost_in_a_step_that_was_not_looked_at_are_said_to_be():
    model = small(nn.Tanh())
    with Monitor(model, every=5) as monitor:
        train(model, sgd(model), 5)
        with torch.no_grad():
            model[2].weight[0, 0] = math.nan
        train(model, sgd(model), 5)
    alarm = monitor.record.first_nan
    assert (alarm.kind, alarm.layer, alarm.step) == ("nan weight", "2", 6)
    assert "before this step" in alarm.words


def test_an_activation_in_place_hides_nothing_of_the_layer_before_it():
    model = small(nn.ReLU(inplace=True), nn.Tanh())
    with torch.no_grad():
        model[0].weight[:] = 3e38
    assert first_nan(model).layer == "0"


def test_a_function_that_spoils_its_input_in_place_is_blamed_and_not_the_layer_before():
    model = nn.Sequential(nn.Linear(64, 16), Apply(lambda x: x.mul_(0).log_()), nn.Linear(16, 10))
    alarm = first_nan(model)
    assert (alarm.kind, alarm.layer) == ("nan output", "1")


def test_a_gradient_is_traced_through_functions_in_place():
    odd = Apply(lambda x: (x * 0).square().sum(1, keepdim=True).sqrt() + x)
    model = nn.Sequential(nn.Linear(64, 16), odd, nn.ReLU(inplace=True), nn.Linear(16, 10))
    alarm = first_nan(model)
    assert (alarm.kind, alarm.layer) == ("nan gradient", "1")


def test_minus_infinity_in_a_mask_that_does_no_harm_rings_no_alarm():
    class Masked(nn.Module):
        def __init__(self):
            super().__init__()
            self.scores, self.out = nn.Linear(64, 16), nn.Linear(16, 10)
            self.mask = Apply(lambda x: x.masked_fill(torch.arange(16) > 8, -math.inf))

        def forward(self, x):
            return self.out(self.mask(self.scores(x)).softmax(dim=1))

    assert first_nan(Masked()) is None


def test_only_the_first_nan_rings_and_nothing_after_it():
    model = around(at(2, lambda x: x * 0 / 0))
    with Monitor(model, thresholds=Thresholds(patience=1)) as monitor:
        train(model, sgd(model), 6)
    assert [alarm.kind for alarm in monitor.alarms] == ["nan output"]
    assert len(monitor.record) == 6
    overflow = monitor.record.gradient_overflow
    assert overflow[1:].all() and not overflow[0].any()
    assert monitor.record.dead_share[1:].isnan().all()


# --- alarms ----------------------------------------------------------------------------------


def step(number, total=1.0, share=(0.5, 0.5), ratio=(1e-3, 1e-3), saturated=(0.5, 0.5),
         dead=(0.1, 0.1), trouble=None):  # fmt: skip
    arrays = [np.array(values, float) for values in (share, ratio, saturated, dead)]
    arrays[0] = arrays[0] * total
    return StepHealth(number, total, *arrays, [], trouble)


CASES = {
    "vanishing": (dict(share=(1e-5, 0.9)), "a", 1e-5, 1e-4),
    "small update": (dict(ratio=(1e-3, 1e-6)), "b", 1e-6, 1e-4),
    "large update": (dict(ratio=(0.1, 0.5)), "b", 0.5, 0.1),
    "dead": (dict(dead=(0.9, 0.2)), "a", 0.9, 0.9),
    "saturated": (dict(saturated=(0.3, 0.95)), "", 0.625, 0.6),
}


@pytest.mark.parametrize("kind", CASES)
def test_an_alarm_rings_once_when_its_patience_is_over(kind):
    changes, layer, value, threshold = CASES[kind]
    watch = Watch(Thresholds(patience=3))
    rung = [alarm for n in range(1, 8) for alarm in watch.look(("a", "b"), step(n, **changes))]
    assert [(a.step, a.kind, a.layer, a.threshold) for a in rung] == [(3, kind, layer, threshold)]
    assert rung[0].value == pytest.approx(value) and str(rung[0]).startswith("step 3: ")


@pytest.mark.parametrize("kind", CASES)
def test_a_quantity_that_comes_back_into_its_range_starts_afresh(kind):
    changes, *_ = CASES[kind]
    watch = Watch(Thresholds(patience=3))
    rung = []
    for n in range(1, 9):
        rung += watch.look(("a", "b"), step(n) if n % 3 == 0 else step(n, **changes))
    assert rung == []


def test_a_healthy_step_rings_nothing_and_neither_does_nan_for_nothing_measured():
    watch = Watch(Thresholds(patience=1))
    nothing = (math.nan, math.nan)
    odd = step(2, share=nothing, ratio=nothing, saturated=nothing, dead=nothing)
    assert watch.look(("a", "b"), step(1)) == watch.look(("a", "b"), odd) == []


def test_an_exploding_gradient_rings_at_once_and_once():
    watch = Watch(Thresholds(patience=5))
    rung = [
        a for n in (1, 2, 3) for a in watch.look(("a", "b"), step(n, total=[1, 2e3, 9e9][n - 1]))
    ]
    assert [(a.step, a.kind, a.layer, a.value) for a in rung] == [(2, "exploding", "", 2e3)]


def test_layers_that_get_there_together_share_an_alarm_in_the_name_of_the_worst():
    watch = Watch(Thresholds(patience=1))
    (alarm,) = watch.look(("a", "b"), step(1, ratio=(1e-7, 1e-9)))
    assert alarm.layer == "b" and alarm.value == 1e-9 and "b and 1 more" in alarm.words
    (later,) = watch.look(("a", "b"), step(2, dead=(0.95, 1.0), ratio=(1e-7, 1e-9)))
    assert later.kind == "dead" and later.layer == "b"


def test_a_gradient_of_exactly_zero_vanishes():
    watch = Watch(Thresholds(patience=1))
    (alarm,) = watch.look(("a", "b"), step(1, total=0.0, share=(math.nan, 0.5)))
    assert alarm.kind == "vanishing" and alarm.layer == "b" and "more" not in alarm.words


# --- what is refused -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        (dict(model="net"), TypeError, "model must be a torch.nn.Module"),
        (dict(model=nn.ReLU()), ValueError, "no parameter of two dimensions"),
        (dict(model=nn.Linear(2, 2), every=0), ValueError, "every must be an integer ≥ 1; got 0"),
        (dict(model=nn.Linear(2, 2), every=1.5), ValueError, "every must be"),
        (dict(model=nn.Linear(2, 2), every=True), ValueError, "every must be"),
        (dict(model=nn.Linear(2, 2), thresholds=0.1), TypeError, "thresholds must be Thresholds"),
    ],
)
def test_wrong_arguments_are_refused_with_what_is_needed(arguments, error, message):
    with pytest.raises(error, match=message):
        Monitor(**arguments)


@pytest.mark.parametrize("field", ["vanishing", "exploding", "dead", "patience"])
@pytest.mark.parametrize("value", [0, -1.0, math.nan, "1", None, True])
def test_wrong_thresholds_are_refused_by_name(field, value):
    with pytest.raises(ValueError, match=f"^{field} must be"):
        Thresholds(**{field: value})


def test_a_patience_that_is_no_integer_is_refused():
    with pytest.raises(ValueError, match="patience must be an integer ≥ 1; got 1.5"):
        Thresholds(patience=1.5)


def test_a_monitor_that_is_listening_cannot_be_entered_again():
    monitor = Monitor(small(nn.Tanh()))
    with monitor, pytest.raises(RuntimeError, match="listening already"):
        monitor.__enter__()


def test_a_model_that_was_not_trained_leaves_an_empty_record():
    with Monitor(small(nn.Tanh())) as monitor:
        pass
    record = monitor.record
    assert len(record) == 0 and record.weight_gradient_norm.shape == (0, 2)
    assert record.gradient_histogram.shape == (0, 2, 278) and record.gradient_overflow.shape == (
        0,
        2,
    )
    assert record.alarms == () and record.first_nan is None
