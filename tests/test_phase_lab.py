"""The phase lab in the kernel: its point is moved as a pointer would, and read in the picture."""

import base64
import dataclasses
import gc
import io
import random
import weakref

import hands
import ipywidgets as widgets
import numpy as np
import pytest
import torch
from ipywidgets.widgets.widget import _instances
from PIL import Image

from d2lstab import NetworkSpec, build
from d2lstab.activations import ACTIVATIONS
from d2lstab.correlation import correlations
from d2lstab.datasets import digits
from d2lstab.initialization import INITIALIZATIONS
from d2lstab.labs import GradientLab, PhaseLab
from d2lstab.labs.controls import NumberSlider, steps
from d2lstab.phase_diagram import phase_diagram
from d2lstab.prediction import predict

pytestmark = pytest.mark.once  # test_every_lab is run in both sets

START = NetworkSpec(depth=6, width=16, init="normal", gain=1.3, bias_std=0.2, seed=1)


@pytest.fixture(scope="module")
def one_for_all():
    lab = PhaseLab(START)
    yield lab
    lab.close()


@pytest.fixture
def lab(one_for_all):
    """A lab as good as new; to make one for every test would take a minute."""
    one_for_all.theory_box.value, one_for_all.density.value = True, 1
    one_for_all.reset()
    yield one_for_all
    assert "d2lstab-error" not in one_for_all.verdict_line.value


def picture(lab):
    return hands.picture(lab, "phase_picture")


def point(lab):
    return tuple(float(x[0]) for x in lab._phase_figure.point.get_data())


def sigma_w(spec):
    """σ_w as measured: standard deviation of all hidden weights, times √fan_in."""
    network = build(dataclasses.replace(spec, depth=80))
    hidden = [layer.weight.ravel() for layer in network if hasattr(layer, "weight")][1:-1]
    return torch.cat(hidden).std().item() * spec.width**0.5


def point_at(lab, weight_variance, bias_variance, serial=[0]):  # noqa: B006, a counter
    """Do what the page does when the pointer is pressed over this place of the diagram."""
    figure = lab._phase_figure
    x, y = figure.over.transData.transform((weight_variance, bias_variance))
    width, height = figure.figure.bbox.size
    serial[0] += 1
    lab.pointer.value = f"{x / width:.5f} {1 - y / height:.5f} {serial[0]}"


def test_the_lab_shows_what_the_gradient_lab_shows(lab):
    plain = GradientLab(START)
    assert lab.picture.value == plain.picture.value
    assert lab.verdict_line.value == plain.verdict_line.value
    assert set(lab.controls) == set(plain.controls)


@pytest.mark.parametrize("init", [name for name in INITIALIZATIONS if name != "constant"])
def test_the_point_stands_at_the_networks_variances(init):
    spec = dataclasses.replace(START, init=init, gain=1.2, bias_std=0.3)
    lab = PhaseLab(spec)
    weight_variance, bias_variance = point(lab)
    assert weight_variance == pytest.approx(sigma_w(spec) ** 2, rel=0.02)
    assert bias_variance == pytest.approx(0.09)
    assert lab.diagram is phase_diagram("tanh")


def test_the_point_follows_the_sliders(lab):
    before, seen = point(lab), picture(lab)
    lab.controls["gain"].value = 1.6
    assert point(lab) == (pytest.approx(2.56), before[1])
    lab.controls["bias_std"].value = 0.5
    assert point(lab) == pytest.approx((2.56, 0.25))
    assert picture(lab) != seen
    lab.reset()
    assert picture(lab) == seen


@pytest.mark.parametrize("init", ["normal", "he", "pytorch", "book", "orthogonal"])
def test_a_pointer_sets_gain_and_bias_to_what_the_pixel_says(init):
    lab = PhaseLab(dataclasses.replace(START, init=init))
    before, spec = picture(lab), lab.spec
    for aim in ((0.9, 0.04), (2.5, 0.3), (3.97, 0.01)):
        point_at(lab, *aim)
        # half a pixel and the rounding to three digits
        assert point(lab) == pytest.approx(aim, abs=0.01, rel=0.01)
        assert sigma_w(lab.spec) ** 2 == pytest.approx(aim[0], rel=0.03)
        assert lab.spec.bias_std**2 == pytest.approx(aim[1], rel=0.02, abs=2e-3)
        changed = dataclasses.replace(spec, gain=lab.spec.gain, bias_std=lab.spec.bias_std)
        assert lab.spec == changed  # and nothing else
        assert picture(lab) != before
        assert lab.theory.phase == predict(lab.spec).phase
    assert "d2lstab-error" not in lab.verdict_line.value


def test_the_corners_of_the_diagram_can_be_reached(lab):
    for corner in ((0, 0), (4, 0), (0, 0.5), (4, 0.5)):
        point_at(lab, *corner)
        assert point(lab) == pytest.approx(corner, abs=0.005)
        assert lab._phase_figure.point.get_marker() == "o"
    point_at(lab, 7, -3)  # the pointer has left the picture with its button down
    assert point(lab) == pytest.approx((4, 0), abs=0.005)


@pytest.mark.parametrize(
    "text",
    ["", "nan nan 1", "0.2 nan 2", "inf 0.1 3", "-inf -inf 4", "one two 3", "0.2 0.3", "0.2",
     "0.2 0.3 4 5", "0.2,0.3,1", "<b>0.2</b> 0.3 1", "1e999 0.1 1", "0.2 0.3 x", "\x00", "0x1 1 1"],
)  # fmt: skip
def test_what_is_no_place_moves_nothing(lab, text):
    before, verdict = picture(lab), lab.verdict_line.value
    lab.pointer.value = "here"
    lab.pointer.value = text
    assert (lab.spec, picture(lab), lab.verdict_line.value) == (START, before, verdict)


@pytest.mark.parametrize("text", ["-7 3 1", "1e300 -1e300 2", "99999 1 3"])
def test_a_place_far_outside_is_taken_as_the_end_of_the_diagram(lab, text):
    lab.pointer.value = text
    weight_variance, bias_variance = point(lab)
    assert weight_variance in (0, 4) and bias_variance in (0, pytest.approx(0.5, abs=0.001))


def test_the_same_place_can_be_pointed_at_twice(lab):
    point_at(lab, 2.0, 0.1)
    there = lab.spec
    lab.controls["gain"].value = 0.5
    point_at(lab, 2.0, 0.1)
    assert lab.spec == there


def test_one_move_of_the_point_is_one_update(lab, monkeypatch):
    updates = []
    monkeypatch.setattr(lab, "show", lambda values: updates.append(values) or "")
    point_at(lab, 2.0, 0.1)
    ((gain, bias_std),) = [(u["gain"], u["bias_std"]) for u in updates]
    assert (gain, bias_std) == pytest.approx((2**0.5, 0.1**0.5), rel=0.01)


def test_a_shaken_point_and_shaken_sliders_end_where_they_were_left(lab):
    rng = random.Random(3)
    stops = {name: len(lab.controls[name].options) for name in ("gain", "bias_std")}
    for _ in range(40):
        if rng.random() < 0.6:
            point_at(lab, rng.uniform(-1, 5), rng.uniform(-0.1, 0.7))
        else:
            control = lab.controls[rng.choice(["gain", "bias_std"])]
            control.index = rng.randrange(len(control.options))
    assert all(len(lab.controls[name].options) <= n + 1 for name, n in stops.items())
    point_at(lab, 2.0, 0.1)
    shaken, alone = lab.spec, PhaseLab(lab.spec)
    assert shaken.gain == pytest.approx(2**0.5, rel=0.005)
    assert lab.phase_picture.value == alone.phase_picture.value
    assert lab.picture.value == alone.picture.value
    lab.reset()
    assert lab.spec == START


def test_a_slider_forgets_the_stops_that_were_visited():
    slider = NumberSlider(steps(0, 1, 0.25), 0.5)
    stops = [value for _, value in slider.options]
    for value in (0.3, 0.31, 7.0, 0.75, 0.1):
        slider.visit(value)
        assert slider.value == value
        assert [v for _, v in slider.options] == sorted({*stops, value})
    slider.place(0.2)  # what code sets stays
    slider.visit(0.9)
    assert [v for _, v in slider.options] == sorted({*stops, 0.2, 0.9})


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_every_activation_is_shown_or_says_why_not(lab, activation):
    lab.controls["activation"].value = activation
    texts = [text.get_text() for text in lab._phase_figure.plane.texts]
    if activation == "hard_step":
        assert lab.diagram is None and "hard_step has no phase diagram" in texts[0]
    else:
        assert lab.diagram is phase_diagram(activation) and "edge of chaos" in texts
    point_at(lab, 1.0, 0.2)
    assert (lab.spec.gain, lab.spec.bias_std) == pytest.approx((1, 0.447), rel=0.01)


def test_constant_weights_have_no_place_and_pointing_moves_nothing(lab):
    lab.controls["init"].value = "constant"
    assert not lab._phase_figure.point.get_visible()
    before = lab.spec
    lab.pointer.value = "0.2 0.5 99"
    assert lab.spec == before


@pytest.mark.parametrize("change", [{"norm": "layer"}, {"residual": True}, {"dropout": 0.3}])
def test_the_point_of_a_network_that_is_not_plain_is_empty(lab, change):
    assert lab._phase_figure.point.get_markerfacecolor() != "white"
    lab.set(**change)
    assert lab._phase_figure.point.get_markerfacecolor() == "white"


def test_the_point_of_a_network_with_a_limit_stands_at_the_limit(lab):
    lab.set(init="normal", gain=2.0, max_norm=1.5)
    assert lab.theory.phase.weight_std == 1.5
    (x,) = lab._phase_figure.point.get_xdata()
    assert x == pytest.approx(2.25)


def test_the_correlations_are_measured_and_predicted(lab):
    def expected():
        return correlations(build(lab.spec), digits(128).inputs)

    figure = lab._phase_figure
    np.testing.assert_array_equal(lab.correlation, expected())
    lab.controls["gain"].value = 2.0
    np.testing.assert_array_equal(figure.measured.get_ydata(), expected())
    np.testing.assert_array_equal(figure.theory.get_ydata(), predict(lab.spec).correlation)
    lab.theory_box.value = False
    assert not figure.theory.get_visible()
    lab.theory_box.value = True
    assert figure.theory.get_visible()


def test_training_moves_the_measured_correlations_and_hides_theory(lab):
    before = lab.correlation
    lab.learning_rate.place(0.1)
    lab.train(20)
    trained = correlations(lab.network, digits(128).inputs)
    np.testing.assert_array_equal(lab.correlation, trained)
    assert np.abs(trained - before).max() > 0.01
    assert not lab._phase_figure.theory.get_visible()
    assert point(lab) == pytest.approx((1.69, 0.04))  # where it started
    lab.reset()
    np.testing.assert_array_equal(lab.correlation, before)


def test_two_labs_do_not_disturb_each_other(lab):
    other = PhaseLab(dataclasses.replace(START, activation="relu"))
    before = other.spec, picture(other)
    point_at(lab, 3.0, 0.3)
    assert (other.spec, picture(other)) == before
    mine = lab.spec
    point_at(other, 1.0, 0.1)
    assert lab.spec == mine


def test_a_sharper_screen_gets_both_pictures_sharper(lab):
    def size(widget):
        return Image.open(io.BytesIO(bytes(widget.value))).size

    lab.density.value = 2.0
    assert size(lab.picture) == (2208, 680) and size(lab.phase_picture) == (2208, 600)
    point_at(lab, 2.0, 0.1)  # shares of the picture, whatever its pixels
    assert point(lab) == pytest.approx((2.0, 0.1), rel=0.01)


def test_viewers_without_a_kernel_get_both_pictures(lab):
    data, _ = lab._repr_mimebundle_()
    shown = Image.open(io.BytesIO(base64.b64decode(data["image/png"]))).convert("RGB")
    assert shown.size == (1104, 640)
    for widget, top in ((lab.picture, 0), (lab.phase_picture, 340)):
        part = Image.open(io.BytesIO(bytes(widget.value))).convert("RGB")
        crop = shown.crop((0, top, 1104, top + part.size[1]))
        assert crop.tobytes() == part.tobytes()


def test_closing_a_lab_frees_its_figures_and_all_its_widgets():
    gc.collect()
    before = len(_instances)
    lab = PhaseLab(START)
    figures = [weakref.ref(p._figure) for p in (lab.picture, lab.phase_picture)]
    pointer = lab.pointer
    assert len(_instances) > before + 20
    lab.close()
    pointer.value = "0.2 0.5 3"  # too late
    assert lab.spec == START
    gc.collect()
    assert [figure() for figure in figures] == [None, None]  # IPython's Out still holds the lab
    del lab, pointer
    gc.collect()
    assert len(_instances) == before


def test_an_error_in_the_diagram_is_shown_and_the_next_move_works(lab, monkeypatch):
    monkeypatch.setattr("d2lstab.labs.phase.correlations", lambda *a: 1 / 0)
    point_at(lab, 2.0, 0.2)
    assert "ZeroDivisionError" in lab.verdict_line.value
    monkeypatch.undo()
    point_at(lab, 1.0, 0.2)
    assert "d2lstab-error" not in lab.verdict_line.value
    assert point(lab) == pytest.approx((1.0, 0.2), rel=0.01)


def test_the_script_of_the_pointer_knows_where_the_diagram_is(lab):
    texts = [child.value for child in lab.children if isinstance(child, widgets.HTML)]
    (script,) = [text for text in texts if "pointerdown" in text]
    assert script.count('"') == 2 and "//" not in script  # one attribute, on one line
    numbers = script.split("box = [")[1].split("]")[0].split(",")
    assert tuple(map(float, numbers)) == lab._phase_figure.box
