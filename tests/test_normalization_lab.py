"""The normalization lab in the kernel: its widgets are moved, its picture and words are read."""

import dataclasses

import numpy as np
import pytest
import torch
from hands import drive, ends, picture, words

from d2lstab.labs import NormalizationLab
from d2lstab.networks import NORM_PLACES
from d2lstab.normalization.bench import SCHEMES, BenchSpec, gradients_at_one, try_bench
from d2lstab.normalization.named import NORMS

pytestmark = pytest.mark.once  # test_every_lab is run in both sets

START = BenchSpec(depth=3, batch_size=16, seed=1)


@pytest.fixture(scope="module")
def one_for_all():
    lab = NormalizationLab(START)
    yield lab
    lab.close()


@pytest.fixture
def lab(one_for_all):
    """A lab as good as new."""
    one_for_all.density.value = 1
    one_for_all.unpin()
    one_for_all.learning_rate.place(0.01)
    one_for_all.reset()
    yield one_for_all
    assert "d2lstab-error" not in one_for_all.verdict_line.value


def shows(lab, spec):
    """Whether specification, curves and words are those of ``spec``."""
    expected = try_bench(spec)
    assert lab.spec == lab.bench.spec == spec
    assert lab.bench.refusal == expected.refusal and words(lab)
    if not expected.refusal:
        line = lab._figure.measured
        np.testing.assert_array_equal(line.get_ydata(), expected.profile.weight_gradient_norm)
        assert torch.equal(lab.bench.shares, expected.shares)
    return True


def test_a_lab_shows_its_specification_at_once(lab):
    assert shows(lab, START)
    assert NormalizationLab().spec == BenchSpec()


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("batch_size", 96), ("composition", 0.5), ("weight_scale", 2.0), ("norm_place", "after"),
        ("residual", True), ("activation", "tanh"), ("depth", 9), ("seed", 7),
        *(("norm", norm) for norm in (None, *NORMS) if norm != "batch"),
    ],
)  # fmt: skip
def test_every_control_changes_the_specification_and_the_picture(lab, field, value):
    before = picture(lab)
    lab.controls[field].value = value or ""
    assert shows(lab, dataclasses.replace(START, **{field: value}))
    assert picture(lab) != before


def test_there_is_a_control_for_every_field_of_a_specification(lab):
    assert set(lab.controls) == {field.name for field in dataclasses.fields(BenchSpec)}
    assert list(lab.controls["activation"].options) == list(SCHEMES)
    assert [norm for _, norm in lab.controls["norm"].options] == ["", *NORMS]
    assert all(0 < len(c.description) <= 12 for c in lab.controls.values())  # else it is cut off


def test_every_slider_goes_to_both_its_ends(lab):
    reach = {
        "batch_size": (1, 512), "composition": (0, 1), "weight_scale": (0.1, 10), "depth": (1, 50),
        "seed": (0, 2**32 - 1),
    }  # fmt: skip
    for field, (low, high) in reach.items():
        control = lab.controls[field]
        assert ends(control) == pytest.approx((low, high))
        for value in ends(control):
            control.value = value
            assert getattr(lab.bench.spec, field) == value and words(lab)
        lab.reset()
    assert shows(lab, START)


def test_pinned_gradients_stay_until_they_are_unpinned(lab):
    plain = picture(lab)
    lab.buttons["pin"].click()
    pinned = lab.bench.profile.weight_gradient_norm
    lab.set(norm="layer", depth=5)
    line = lab._figure.pinned
    assert line.get_visible() and lab.buttons["pin"].description == "unpin"
    np.testing.assert_array_equal(line.get_ydata(), pinned)
    lab.buttons["pin"].click()
    assert not line.get_visible() and lab.buttons["pin"].description == "pin"
    lab.reset()
    assert picture(lab) == plain
    lab.set(batch_size=1)
    lab.pin()  # there is nothing
    assert lab.pinned is None


# --- the words ------------------------------------------------------------------------------------


@pytest.mark.parametrize("norm", [None, *NORMS])
def test_the_words_say_what_a_norm_shares_and_whether_its_place_counts(lab, norm):
    lab.set(norm=norm or "", norm_place="post", residual=True)
    first = words(lab)[0]
    assert NAMES[norm] in first
    assert ("of each block's sum" in first) == (norm is not None and NORMS[norm].layer is not None)
    if norm in ("weight", "standardization", "cosine"):
        assert "“norm place” has no effect" in first
        still = picture(lab)
        lab.set(norm_place="pre")
        assert picture(lab) == still


NAMES = {
    None: "No norm", "batch": "shared by the 16 examples", "layer": "by its 64 units",
    "rms": "no μ", "group": "each shared by 8 of its 64", "instance": "nothing is left",
    "weight": "a length of its own, 1 at first", "standardization": "mean 0 and length 1",
    "cosine": "a cosine, in [−1, 1]",
}  # fmt: skip


def test_the_words_say_that_pre_and_post_need_residual_connections(lab):
    for place in NORM_PLACES:
        lab.set(norm_place=place)
        assert ("needs residual" in words(lab)[0]) == (place in ("pre", "post"))


@pytest.mark.parametrize("norm", [None, *NORMS])
def test_the_words_on_the_scale_give_the_measured_factor(lab, norm):
    assert words(lab)[1].startswith("Scale λ = 1.")
    lab.set(norm=norm or "", weight_scale=2.0)
    second, one = words(lab)[1], gradients_at_one(lab.spec)
    if norm == "instance":
        assert "no gradients to compare" in second
    elif norm is None:
        least, most = (lab.bench.profile.weight_gradient_norm / one)[:-1].aminmax()
        assert f"{least:.3g} to {most:.3g} times" in second and "not 1/λ = 0.5" in second
    else:
        assert "the hidden gradients are 0.5 of those at λ = 1, which is 1/λ" in second
    np.testing.assert_array_equal(lab._figure.at_one.get_ydata(), one)


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        (dict(norm="layer", norm_place="post", residual=True), "only the branch is scaled"),
        (dict(norm="layer", norm_place="after", activation="tanh"), "tanh comes before the norm"),
    ],
)
def test_the_words_say_why_a_norm_does_not_undo_the_scale(lab, changes, says):
    lab.set(**changes, weight_scale=4.0)
    assert says in words(lab)[1] and "not 1/λ = 0.25" in words(lab)[1]


def test_overflow_and_underflow_leave_nothing_to_compare(lab):
    for scale, kind in ((10.0, "exploding"), (0.1, "vanishing")):
        lab.set(norm="", depth=50, weight_scale=scale)
        assert words(lab)[0].startswith(kind) and "no gradients to compare" in words(lab)[1]


def test_a_batch_of_one_is_refused_in_words_and_shows_no_stale_curve(lab):
    lab.train(5)
    lab.set(batch_size=1)
    assert not lab._figure.measured.get_visible() and not lab._figure.rows[0].get_visible()
    assert words(lab)[0].startswith("refused ") and "refuses it in train mode" in words(lab)[2]
    for norm in ("instance", "batch"):
        lab.set(norm=norm, batch_size=1)
        first, second, third = words(lab)
        assert first.startswith("refused ") and "no pass" in second
        assert "PyTorch: “Expected more than 1 value per channel" in third
        assert not lab._figure.measured.get_visible() and not lab._figure.rows[0].get_visible()
        before = lab.verdict_line.value, picture(lab)
        lab.train(3)
        assert (lab.verdict_line.value, picture(lab)) == before and lab.steps == []
    lab.set(norm="layer")
    assert shows(lab, dataclasses.replace(START, norm="layer", batch_size=1))


def test_instance_norm_erases(lab):
    lab.set(norm="instance")
    assert words(lab)[0].startswith("erased ")


def test_the_words_name_the_trap_of_the_batch(lab):
    lab.set(batch_size=64)
    assert f"up to {lab.bench.mean_gaps.max():.2g} running σ" in words(lab)[2]
    lab.set(batch_size=4)
    assert "σ/√4 = 0.5 σ" in words(lab)[2]
    lab.set(composition=1.0)
    assert "100% from one class" in words(lab)[2]
    lab.set(norm="rms")
    assert "train and eval mode are the same" in words(lab)[2]


# --- training -------------------------------------------------------------------------------------


def test_training_draws_its_curves_and_a_network_of_another_shape_starts_anew(lab):
    lab.learning_rate.place(0.03)
    lab.train(30)
    assert lab.progress.value == lab.progress.max == 30 and len(lab.steps) == 30
    assert lab.steps[-1].loss < lab.steps[0].loss / 2
    figure, last = lab._figure, lab.steps[-1]
    assert figure.losses.get_ydata()[-1] == last.loss
    assert figure.held_out.get_ydata()[-1] == last.held_out
    third, bench = words(lab)[2], lab.bench
    assert third.startswith("Training 30 steps") and f"digits {last.held_out:.0%} right" in third
    modes = f"{bench.right_in_train:.0%} right in train, {bench.right_in_eval:.0%} in eval mode"
    assert modes in third
    lab.train(2)  # goes on with the same network
    assert len(lab.steps) == 32 and lab.steps[-1].loss < lab.steps[0].loss / 2
    lab.set(depth=4)
    assert shows(lab, dataclasses.replace(START, depth=4))
    assert lab.steps == [] and lab.progress.value == 0


def test_a_trained_network_stays_for_another_batch_and_not_after_a_reset(lab):
    lab.train(10)
    weight, held_out = lab.network[0].weight.clone(), lab.steps[-1].held_out
    for changes in (dict(composition=1.0), dict(batch_size=1), dict(batch_size=48)):
        lab.set(**changes)
        assert torch.equal(lab.network[0].weight, weight) and lab.steps[-1].held_out == held_out
        assert words(lab)[2].startswith("Training 10 steps")
    expected = try_bench(lab.spec, lab.network)
    assert torch.equal(lab.bench.mean_gaps, expected.mean_gaps)
    assert lab.bench.right_in_train == expected.right_in_train
    lab.set(composition=0.0, batch_size=16)
    lab.reset()
    assert lab.steps == [] and shows(lab, START)


def test_the_train_button_trains_while_the_kernel_listens(lab):
    seen = []
    drive(lab, lambda: seen.append((lab.train_button.disabled, lab.stop_button.disabled)))
    assert (True, False) in seen and len(lab.steps) == lab.progress.value == 60
    assert (lab.train_button.disabled, lab.stop_button.disabled) == (False, True)


def test_the_stop_button_and_a_moved_slider_end_the_training(lab):
    drive(lab, lab.stop_button.click)
    assert 3 <= len(lab.steps) < 60 and words(lab)[2].startswith("Training ")
    drive(lab, lambda: lab.set(composition=1.0))  # it goes on with the same network
    assert lab.network is not None and 3 < len(lab.steps) < 120
    drive(lab, lambda: lab.set(depth=9))
    assert shows(lab, dataclasses.replace(START, composition=1.0, depth=9)) and lab.steps == []
    assert (lab.train_button.disabled, lab.stop_button.disabled) == (False, True)


def test_training_that_diverges_is_shown_and_not_hidden(lab):
    lab.set(norm="", weight_scale=4.0)
    lab.learning_rate.place(10.0)
    lab.train(6)
    assert words(lab)[0].startswith("exploding") and "→ nan" in words(lab)[2]


def test_an_error_in_training_is_shown(lab, monkeypatch):
    monkeypatch.setattr("d2lstab.labs.normalization.train_bench", lambda *a: 1 / 0)
    drive(lab)
    assert "ZeroDivisionError: division by zero" in lab.verdict_line.value
    lab.reset()


# --- as every lab ---------------------------------------------------------------------------------
