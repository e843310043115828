"""The gradient lab in the kernel: its widgets are moved, its picture and its words are read."""

import asyncio
import dataclasses
import html
import io
import math
import os
import subprocess
import sys
import threading
import time

import numpy as np
import pytest
import torch
from hands import drive, ends, picture
from matplotlib.backends.backend_agg import FigureCanvasAgg
from PIL import Image

from d2lstab import NetworkSpec, build, diagnose, measure
from d2lstab.activations import ACTIVATIONS
from d2lstab.figures.axes import DEPTHS
from d2lstab.initialization import INITIALIZATIONS
from d2lstab.labs import GradientLab
from d2lstab.labs.controls import NumberSlider, decades, place, steps
from d2lstab.labs.picture import KEPT
from d2lstab.networks import NORM_PLACES
from d2lstab.normalization.named import NORMS
from d2lstab.prediction import predict

pytestmark = pytest.mark.once  # test_every_lab is run in both sets

START = NetworkSpec(depth=6, width=16, activation="relu", init="he", seed=1)


@pytest.fixture(scope="module")
def one_for_all():
    lab = GradientLab(START)
    yield lab
    lab.close()


@pytest.fixture
def lab(one_for_all):
    """A lab as good as new; to make one for every test would take a minute."""
    lab = one_for_all
    lab.theory_box.value, lab.density.value = True, 1
    lab.learning_rate.place(0.01)
    if lab.pinned is not None:
        lab.unpin()
    if lab._code.value:
        lab.buttons["code"].click()
    lab.set(seed=START.seed + 1)  # leaves a trained network behind
    lab.reset()
    yield lab
    assert "d2lstab-error" not in lab.verdict_line.value


def shows(lab, spec):
    """Whether spec, profile, verdict and verdict line are all those of ``spec``."""
    expected = measure(spec)
    verdict = diagnose(expected)
    assert lab.spec == spec
    assert torch.equal(lab.profile.weight_gradient_norm, expected.weight_gradient_norm)
    assert str(lab.verdict) == str(verdict)
    assert f"d2lstab-{verdict.kind}" in lab.verdict_line.value
    assert html.escape(verdict.reason[1:]) in lab.verdict_line.value
    assert all(html.escape(remedy.text) in lab.verdict_line.value for remedy in verdict.remedies)
    line = lab._figure.lines["weight"]
    assert torch.equal(torch.as_tensor(line.get_ydata()), expected.weight_gradient_norm)
    return True


def test_a_lab_shows_its_specification_at_once(lab):
    assert shows(lab, START)
    assert GradientLab().spec == NetworkSpec()


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("depth", 9), ("width", 33), ("activation", "tanh"), ("init", "xavier"), ("gain", 2.0),
        ("bias_std", 0.5), ("residual", True), ("dropout", 0.5), ("seed", 7), ("max_norm", 0.3),
        *(("norm", norm) for norm in NORMS),
    ],
)  # fmt: skip
def test_every_control_changes_the_specification_and_the_picture(lab, field, value):
    before = picture(lab)
    lab.controls[field].value = value
    assert shows(lab, dataclasses.replace(START, **{field: value}))
    assert picture(lab) != before


@pytest.mark.parametrize("place", NORM_PLACES)
@pytest.mark.parametrize("norm", ["batch", "cosine"])
def test_the_place_of_a_norm_moves_the_picture_unless_it_is_in_the_weights(lab, norm, place):
    lab.set(norm=norm, residual=True)
    before = picture(lab)
    lab.controls["norm_place"].value = place
    assert shows(lab, dataclasses.replace(START, norm=norm, residual=True, norm_place=place))
    assert (picture(lab) == before) == (norm == "cosine" or place == "before")


def test_there_is_a_control_for_every_field_of_a_specification(lab):
    assert set(lab.controls) == {field.name for field in dataclasses.fields(NetworkSpec)}
    assert list(lab.controls["activation"].options) == list(ACTIVATIONS)
    assert list(lab.controls["init"].options) == list(INITIALIZATIONS)
    assert [norm for _, norm in lab.controls["norm"].options] == ["", *NORMS]
    assert list(lab.controls["norm_place"].options) == list(NORM_PLACES)
    assert all(control.description for control in lab.controls.values())


def test_every_control_goes_to_both_its_ends(lab):
    reach = {"depth": (1, 200), "width": (8, 512), "gain": (0.1, 10), "seed": (0, 2**32 - 1)}
    for field, control in lab.controls.items():
        if field in reach:
            assert ends(control) == pytest.approx(reach[field])
        for value in ends(control):
            control.value = value
            shown = getattr(lab.spec, field)
            assert shown == (None if value in ("", math.inf) else value)
            assert "d2lstab-error" not in lab.verdict_line.value
            assert len(lab.profile) == lab.spec.depth + 1
        lab.reset()


def test_several_controls_are_set_with_one_update(lab, monkeypatch):
    updates = []
    monkeypatch.setattr(lab, "show", lambda values: updates.append(values) or "")
    lab.set(depth=8, gain=2.0, norm="layer")
    assert [(u["depth"], u["gain"], u["norm"]) for u in updates] == [(8, 2.0, "layer")]
    lab.spec = NetworkSpec(depth=3, width=20)
    assert len(updates) == 2
    with pytest.raises(ValueError, match="no control named detph; there are depth, activation"):
        lab.set(detph=3)
    assert len(updates) == 2


def test_setting_a_specification_moves_every_control_and_reset_goes_back(lab):
    other = NetworkSpec(40, 24, "tanh", "orthogonal", 1.3, 0.35, "layer", True, 0.2, 99)
    lab.spec = other
    assert shows(lab, other)
    lab.reset()
    assert shows(lab, START)


@pytest.mark.parametrize(
    "spec",
    [
        NetworkSpec(depth=260, width=4),
        NetworkSpec(depth=2, width=700),
        NetworkSpec(depth=3, width=16, gain=50.0),
        NetworkSpec(depth=3, width=16, gain=math.sqrt(2)),
        NetworkSpec(depth=3, width=16, gain=1 / 3, bias_std=math.pi, dropout=0.123),
        NetworkSpec(depth=3, width=16, gain=0.0),
        NetworkSpec(depth=3, width=16, dropout=0.97, seed=2**32 - 1),
    ],
    ids=repr,
)
def test_a_specification_outside_the_sliders_ranges_is_shown_exactly(spec):
    assert shows(GradientLab(spec), spec)
    lab = GradientLab(START)
    lab.spec = spec
    assert shows(lab, spec)
    lab.reset()
    assert lab.spec == START


# --- buttons -------------------------------------------------------------------------------------


def test_pinned_curves_stay_until_they_are_unpinned(lab):
    plain = picture(lab)
    lab.buttons["pin"].click()
    assert lab.buttons["pin"].description == "unpin"
    pinned = lab.profile
    lab.controls["gain"].value = 0.5
    assert lab.pinned is pinned
    line = lab._figure.pinned["weight"]
    assert line.get_visible()
    assert torch.equal(torch.as_tensor(line.get_ydata()), pinned.weight_gradient_norm)
    both = picture(lab)
    lab.buttons["pin"].click()
    assert (lab.pinned, lab.buttons["pin"].description) == (None, "pin")
    assert not line.get_visible()
    assert picture(lab) != both
    lab.controls["gain"].value = 1.0
    assert picture(lab) == plain
    lab.pin()
    lab.unpin()
    assert picture(lab) == plain


def test_the_buttons_reset_and_draw_a_new_seed(lab):
    start = picture(lab)
    lab.controls["depth"].value = 20
    lab.buttons["seed"].click()
    assert lab.spec == dataclasses.replace(START, depth=20, seed=lab.spec.seed)
    assert lab.spec.seed != START.seed
    assert 0 <= lab.spec.seed < 10_000
    lab.buttons["reset"].click()
    assert lab.spec == START
    assert picture(lab) == start


def test_a_new_seed_leaves_pythons_and_torchs_random_state_alone(lab):
    import random

    before = random.getstate(), torch.get_rng_state()
    lab.new_seed()
    assert random.getstate() == before[0]
    assert torch.equal(torch.get_rng_state(), before[1])


def test_the_code_is_the_specifications_and_is_escaped(lab):
    assert lab.code == START.to_pytorch()
    lab.buttons["code"].click()
    shown = lab._code.value
    inside = shown[shown.index("<pre>") + 5 : shown.index("</pre>")]
    assert not set('<>"') & set(inside) and '"relu"' in lab.code
    assert html.unescape(inside) == lab.code
    lab.controls["residual"].value = True  # the code follows the sliders
    shown = lab._code.value
    assert html.unescape(shown[shown.index("<pre>") + 5 : shown.index("</pre>")]) == lab.code
    assert "class Residual" in lab.code
    lab.buttons["code"].click()
    assert lab._code.value == ""


def test_the_code_builds_the_network_that_is_shown(lab):
    lab.spec = NetworkSpec(5, 20, "tanh", "he", 1.7, 0.3, "layer", True, seed=5)
    names = {}
    with torch.random.fork_rng(devices=[]):
        exec(lab.code, names)
    profile = measure(names["network"])
    assert torch.equal(profile.weight_gradient_norm, lab.profile.weight_gradient_norm)


# --- training ------------------------------------------------------------------------------------


def test_training_lowers_the_loss_and_moves_the_picture(lab):
    before, loss = picture(lab), lab.profile.loss
    lab.learning_rate.place(0.03)
    lab.train(60)
    assert lab.progress.value == lab.progress.max == 60
    assert lab.profile.loss < loss / 2
    assert picture(lab) != before
    assert "After 60 steps: loss" in lab.verdict_line.value
    assert "held-out digits" in lab.verdict_line.value
    assert (lab.buttons["train"].disabled, lab.buttons["stop"].disabled) == (False, True)
    assert lab.profile.spec == START
    lab.train(1)  # goes on with the same network
    assert lab.profile.loss < loss / 2
    lab.controls["seed"].value = 4  # a moved control starts from fresh weights
    assert shows(lab, dataclasses.replace(START, seed=4))
    assert lab.progress.value == 0


def test_training_does_not_change_what_the_specification_builds(lab):
    before = build(START)[0].weight.clone()
    lab.train(3)
    assert torch.equal(build(START)[0].weight, before)


def test_the_train_button_trains_while_the_kernel_listens(lab):
    loss, seen = lab.profile.loss, []
    lab.progress.observe(lambda change: seen.append(change["new"]), "value")

    def look():
        seen.append((lab.buttons["train"].disabled, lab.buttons["stop"].disabled))

    drive(lab, look)
    assert (True, False) in seen
    assert [n for n in seen if isinstance(n, int)][-1] == 100
    assert lab.profile.loss < loss
    assert "After 100 steps" in lab.verdict_line.value
    assert (lab.buttons["train"].disabled, lab.buttons["stop"].disabled) == (False, True)


def test_the_stop_button_stops(lab):
    drive(lab, lab.buttons["stop"].click)
    assert 3 <= lab.progress.value < 100
    assert (lab.buttons["train"].disabled, lab.buttons["stop"].disabled) == (False, True)


def test_a_moved_slider_ends_the_training_and_shows_its_own_network(lab):
    def move():
        lab.controls["depth"].value = 9

    drive(lab, move)
    assert lab.progress.value == 0
    assert shows(lab, dataclasses.replace(START, depth=9))
    assert (lab.buttons["train"].disabled, lab.buttons["stop"].disabled) == (False, True)


def test_training_can_be_started_again_at_once_after_a_move(lab):
    def move_and_train():
        lab.controls["width"].value = 20
        lab.buttons["train"].click()

    drive(lab, move_and_train)
    assert lab.spec.width == 20
    assert lab.progress.value == 100
    assert "After 100 steps" in lab.verdict_line.value
    assert (lab.buttons["train"].disabled, lab.buttons["stop"].disabled) == (False, True)


def test_training_holds_the_rows_of_the_hidden_weights_at_the_limit(lab):
    lab.set(max_norm=0.5, init="he", gain=2.0)
    lab.learning_rate.place(0.1)
    lab.train(20)
    *hidden, output = (m for m in lab.network if isinstance(m, torch.nn.Linear))
    for linear in hidden:
        lengths = linear.weight.norm(dim=1)
        assert lengths.max().item() == pytest.approx(0.5, rel=1e-5)
    assert output.weight.norm(dim=1).max() > 0.6


def test_training_that_diverges_is_shown_and_not_hidden(lab):
    lab.learning_rate.place(10.0)
    lab.controls["gain"].value = 4.0
    lab.train(30)
    assert lab.verdict.kind == "exploding"
    assert "nan" in lab.verdict_line.value


def test_an_error_in_training_is_shown(lab, monkeypatch):
    monkeypatch.setattr("d2lstab.labs.gradient.train", lambda *a: 1 / 0)
    drive(lab)
    assert "ZeroDivisionError: division by zero" in lab.verdict_line.value
    assert (lab.buttons["train"].disabled, lab.buttons["stop"].disabled) == (False, True)
    monkeypatch.undo()
    lab.controls["depth"].value = 7
    assert shows(lab, dataclasses.replace(START, depth=7))


# --- theory --------------------------------------------------------------------------------------


def drawn_theory(lab):
    lines = lab._figure.theory
    return {name: line.get_ydata() for name, line in lines.items() if line.get_visible()}


@pytest.mark.parametrize("change", [{}, {"activation": "tanh", "bias_std": 0.3}, {"norm": "layer"},
                                    {"residual": True}, {"dropout": 0.2}])  # fmt: skip
def test_the_curves_of_theory_are_those_of_the_network_shown(lab, change):
    lab.set(**change)
    theory = predict(dataclasses.replace(START, **change))
    expected = {
        "weight": theory.weight_gradient_norm,
        "activation": theory.activation_gradient_norm,
        "spread": theory.activation_std,
    }
    drawn = drawn_theory(lab)
    assert set(drawn) == set(expected)
    for name, values in expected.items():
        np.testing.assert_array_equal(drawn[name], values)


@pytest.mark.parametrize(
    ("spec", "words"),
    [
        # χ₁ = σ_w² for tanh without biases, where the variance dies; ξ = −1/ln 0.81 = 4.7
        (NetworkSpec(10, 16, "tanh", gain=0.9),
         "χ₁ = 0.81 (ordered), depth scale ξ = 4.7 layers: trainable to depth about 28."),
        # χ₁ = gain² for ReLU with He's weights: 1.1² = 1.21, ξ = 1/ln 1.21 = 5.2
        (NetworkSpec(10, 16, "relu", "he", 1.1),
         "χ₁ = 1.21 (chaotic), depth scale ξ = 5.2 layers: trainable to depth about 31."),
        (NetworkSpec(10, 16, "relu", "he"),
         "χ₁ = 1 (critical), depth scale ξ = ∞ layers: no depth is too large."),
        (NetworkSpec(10, 16, "relu", "he", 0.999),
         "χ₁ = 0.998 (ordered), depth scale ξ = 500 layers: trainable to depth about 3,000."),
        (NetworkSpec(10, 16, "relu", "he", 1.0001),
         "χ₁ = 1.0002 (chaotic), depth scale ξ = 5,000 layers: trainable to depth about 30,000."),
        (NetworkSpec(10, 16, "hard_step"), "χ₁ = 0: no gradient comes through a layer."),
        (NetworkSpec(10, 16, "tanh", gain=0.0), "χ₁ = 0: no gradient comes through a layer."),
        (NetworkSpec(10, 16, norm="layer"), "χ₁ and the depth scale ξ are those of plain"),
        (NetworkSpec(10, 16, norm="batch"), "No theory for the band of a network with batch norm."),
        (NetworkSpec(10, 16, norm="cosine"), "No theory for cosine norm: only for batch, layer"),
        (NetworkSpec(10, 16, norm="rms", norm_place="after"), "No theory for a norm there: only"),
        (NetworkSpec(10, 16, init="constant"), "No theory for constant weights"),
    ],
)  # fmt: skip
def test_the_verdict_says_how_deep_such_networks_can_be_trained_or_why_not(lab, spec, words):
    lab.spec = spec
    assert f"<br><i>Theory</i> {words}" in lab.verdict_line.value
    phase = predict(spec).phase
    assert phase is None or lab.theory.phase == phase
    assert bool(drawn_theory(lab)) == ("No theory for c" not in words and "there" not in words)


def test_theory_can_be_switched_off_and_on(lab):
    there, words = picture(lab), lab.verdict_line.value
    lab.theory_box.value = False
    assert drawn_theory(lab) == {} and lab.theory is None
    assert "Theory" not in lab.verdict_line.value and picture(lab) != there
    lab.controls["gain"].value = 1.2
    assert drawn_theory(lab) == {}
    lab.controls["gain"].value = 1.0
    lab.theory_box.value = True
    assert (picture(lab), lab.verdict_line.value) == (there, words)


def test_theory_is_of_networks_before_training_and_goes_when_it_begins(lab):
    lab.train(2)
    assert drawn_theory(lab) == {} and "Theory" not in lab.verdict_line.value
    words = lab.verdict_line.value
    lab.theory_box.value = False
    lab.theory_box.value = True
    lab.pin()
    assert drawn_theory(lab) == {} and lab.verdict_line.value == words
    lab.train(1)
    assert drawn_theory(lab) == {}
    lab.unpin()
    lab.controls["seed"].value = 5
    assert drawn_theory(lab) and "Theory" in lab.verdict_line.value


def test_a_new_seed_moves_the_measured_curves_and_not_theory(lab):
    before, measured = drawn_theory(lab), lab.profile.activation_std
    lab.controls["seed"].value = 8
    assert all((before[name] == values).all() for name, values in drawn_theory(lab).items())
    assert not torch.equal(measured, lab.profile.activation_std)


# --- errors, other labs, other viewers -----------------------------------------------------------


def test_two_labs_do_not_disturb_each_other(lab):
    other = GradientLab(NetworkSpec(depth=4, width=12, activation="sigmoid"))
    other_spec, other_picture, other_verdict = other.spec, picture(other), other.verdict_line.value
    lab.set(depth=11, activation="tanh")
    lab.pin()
    lab.train(2)
    assert (other.spec, picture(other), other.verdict_line.value) == (
        other_spec, other_picture, other_verdict,
    )  # fmt: skip
    assert other.pinned is None
    other.controls["depth"].value = 3
    assert lab.spec == dataclasses.replace(START, depth=11, activation="tanh")


def test_a_lab_leaves_the_number_of_threads_as_it_was(lab):
    other = GradientLab(START)
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        lab.controls["depth"].value = 8
        assert torch.get_num_threads() == 2

        async def run():
            lab.buttons["train"].click()
            await asyncio.sleep(0.01)
            other.buttons["train"].click()
            await asyncio.sleep(0.01)
            lab.stop()
            await lab._training
            other.stop()
            await other._training

        asyncio.run(run())
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)


def test_a_sharper_screen_gets_more_pixels_of_the_same_size(lab):
    def size():
        return Image.open(io.BytesIO(picture(lab))).size

    assert size() == (1104, 340)
    for told, pixels in (
        (2.0, (2208, 680)),
        (1.25, (1380, 425)),
        (3, (2208, 680)),
        (0, (1104, 340)),
    ):
        lab.density.value = told
        assert size() == pixels and lab.picture.layout.width == "1104px"
    lab.density.value = 2.0
    lab.set(gain=3.0)
    sharp = picture(lab)
    lab.picture.set_density(2)  # forgets the backgrounds
    lab.picture.paint()
    assert picture(lab) == sharp and len(sharp) < 80_000


def test_backgrounds_are_drawn_once_and_only_the_last_ones_are_kept(lab, monkeypatch):
    drawn = []
    draw = FigureCanvasAgg.draw
    monkeypatch.setattr(FigureCanvasAgg, "draw", lambda self: (drawn.append(1), draw(self)))
    seen = {}
    for depth in (4, 40, 4, 40, 4):
        lab.set(depth=depth)
        assert seen.setdefault(depth, picture(lab)) == picture(lab)
    assert len(drawn) <= 2
    for depth in DEPTHS[:9]:
        for gain in (0.1, 1.0, 8.0):
            lab.set(depth=min(depth, 60), gain=gain, width=8)
    assert len(lab.picture._backgrounds) <= KEPT


def test_a_closed_lab_is_silent():
    lab = GradientLab(START)
    lab.close()
    lab.set(depth=4)
    assert lab.spec.depth == 4


def test_importing_the_labs_loads_no_pyplot_and_changes_no_settings():
    code = """
import matplotlib, sys
before = dict(dict.items(matplotlib.rcParams))  # plain reading would choose a backend
import d2lstab.labs, torch, random
assert not {"d2l", "pandas", "sklearn"} & set(sys.modules)
state = torch.get_rng_state(), random.getstate(), torch.get_num_threads()
lab = d2lstab.labs.GradientLab(d2lstab.NetworkSpec(depth=3, width=8))
lab.set(depth=4)
assert "matplotlib.pyplot" not in sys.modules, "pyplot"
changed = [k for k in before if dict.__getitem__(matplotlib.rcParams, k) != before[k]]
assert not changed, changed
assert torch.equal(torch.get_rng_state(), state[0]) and random.getstate() == state[1]
assert torch.get_num_threads() == state[2]
print("quiet")
"""
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert result.stdout == "quiet\n", result.stderr


# --- controls ------------------------------------------------------------------------------------


def test_stops_are_evenly_or_logarithmically_spaced():
    assert steps(0, 2, 0.5) == [0, 0.5, 1, 1.5, 2]
    assert steps(0, 0.3, 0.1) == [0, 0.1, 0.2, 0.3]  # and not 0.30000000000000004
    assert decades(-1, 1, [1, 2, 5]) == [0.1, 0.2, 0.5, 1, 2, 5, 10]


def test_a_number_slider_takes_any_number_exactly():
    slider = NumberSlider(steps(0, 1, 0.25), 0.5)
    for value in (0.25, 1 / 3, -7.0, 1e9, 1, 0.25 + 1e-12):
        place(slider, value)
        assert slider.value == value
    values = [value for _, value in slider.options]
    assert values == sorted(set(values))
    assert len({label for label, _ in slider.options}) == len(values)


def in_threads(*actions):
    """Run the actions at the same time, as JupyterLab's subshells do with callbacks."""
    threads = [threading.Thread(target=action) for action in actions]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def test_callbacks_in_several_threads_come_one_by_one_and_leave_a_clean_picture(monkeypatch):
    lab = GradientLab(NetworkSpec(depth=12, width=16))
    show, inside, most = lab.show, [], []

    def watched(values):
        inside.append(values)
        most.append(len(inside))
        time.sleep(0.002)
        shown = show(values)
        inside.pop()
        return shown

    monkeypatch.setattr(lab, "show", watched)
    gains, depths = [0.5, 3.0, 1.0, 6.0, 2.0] * 4, [5, 30, 9, 60, 14] * 4
    norms = ["", "batch", "layer", "", "batch"] * 4

    def move(name, values):
        return lambda: [setattr(lab.controls[name], "value", value) for value in values]

    in_threads(move("gain", gains), move("depth", depths), move("norm", norms))
    assert max(most) == 1 and len(most) > 30
    alone = GradientLab(NetworkSpec(depth=14, width=16, gain=2.0, norm="batch"))
    assert lab.spec == alone.spec and lab.verdict == alone.verdict
    assert lab.picture.value == alone.picture.value


def test_labs_in_two_threads_leave_the_number_of_threads(monkeypatch):
    monkeypatch.setattr(os, "cpu_count", lambda: 2)
    before = torch.get_num_threads()
    labs = [GradientLab(NetworkSpec(depth=8, width=16, dropout=0.2)) for _ in range(2)]
    torch.set_num_threads(2)
    try:
        in_threads(*(lambda lab=lab: lab.train(30) for lab in labs))
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)
