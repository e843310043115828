"""What every lab with a specification does; what only one of them does is tested beside it."""

import base64
import dataclasses
import gc
import io
import json
import random
import weakref
from dataclasses import dataclass, replace

import ipywidgets as widgets
import numpy as np
import pytest
import torch
from hands import ends, picture
from ipywidgets.widgets.widget import _instances
from PIL import Image

from d2lstab import NetworkSpec
from d2lstab.labs import (
    CliffLab,
    GradientLab,
    NormalizationLab,
    PhaseLab,
    RecurrentLab,
    RegularizationLab,
)
from d2lstab.labs.knobs import SpecLab
from d2lstab.labs.shift import ShiftLab
from d2lstab.normalization.bench import BenchSpec
from d2lstab.recurrence import RecurrentSpec
from d2lstab.regularization.cliff_trial import CliffSpec
from d2lstab.regularization.fit import FitSpec
from d2lstab.shift.trial import ShiftSpec


@dataclass(frozen=True)
class Case:
    """start : a specification; other : one whose picture has other backgrounds.

    between : values that are no stops of the sliders. wrong : one value out of range by name.
    """

    lab: type[SpecLab]
    start: object
    other: object
    between: dict
    wrong: dict


NETWORK = NetworkSpec(depth=6, width=16, init="normal", gain=1.3, seed=1)
CASES = [
    Case(
        GradientLab, NETWORK, NetworkSpec(9, 16, "hard_step", norm="batch", residual=True),
        {"gain": 1 / 3, "depth": 7, "max_norm": 0.123}, {"depth": 0},
    ),
    Case(
        PhaseLab, NETWORK, NetworkSpec(9, 16, "relu", "he", bias_std=0.5),
        {"gain": 1 / 3, "bias_std": 0.123}, {"gain": -1.0},
    ),
    Case(
        RecurrentLab, RecurrentSpec("lstm", length=20, hidden_size=6, seed=1),
        RecurrentSpec("tanh", 90, 6, 3.0, input_gain=0),
        {"spectral_radius": 1 / 3, "forget_bias": -7.77}, {"length": 0},
    ),
    Case(
        ShiftLab, ShiftSpec(covariate=1.0, size=50, correction="density ratio"),
        ShiftSpec(label=0.4, size=20, detector="classifier", correction="black box"),
        {"covariate": 1 / 3, "size": 123}, {"size": 50.5},
    ),
    Case(
        NormalizationLab, BenchSpec(depth=3, batch_size=16, seed=1),
        BenchSpec(norm="layer", depth=20, weight_scale=3.0),
        {"weight_scale": 1 / 3, "batch_size": 77}, {"batch_size": 5.5},
    ),
    Case(
        RegularizationLab, FitSpec(degree=9, steps=60, seed=1),
        FitSpec("network", width=8, noise=1.0, dropout=0.3, clip=0.5, steps=30),
        {"l1": 1 / 30, "examples": 23, "clip": 0.123}, {"steps": 5.5},
    ),
    Case(
        CliffLab, CliffSpec(height=1e-4, length=20), CliffSpec(weight=4.5, length=10),
        {"limit": 1 / 3, "height": 0.0123}, {"weight": 9.0},
    ),
]  # fmt: skip

every_case = pytest.mark.parametrize("case", CASES, ids=lambda case: case.lab.__name__)


@pytest.fixture(scope="module")
def made():
    labs = {case.lab: case.lab(case.start) for case in CASES}
    yield labs
    for lab in labs.values():
        lab.close()


@pytest.fixture
def lab(made, case):
    """A lab as good as new."""
    lab = made[case.lab]
    lab.density.value = 1
    lab.reset()
    yield lab
    assert "d2lstab-error" not in lab.verdict_line.value


def shown(lab):
    """All that is seen of a lab: its words, and its picture or pictures."""
    data, _ = lab._repr_mimebundle_()
    return lab.verdict_line.value, base64.b64decode(data["image/png"])


@every_case
def test_there_is_a_control_for_every_field_of_a_specification(case, lab):
    assert set(lab.controls) == {field.name for field in dataclasses.fields(case.start)}
    assert all(0 < len(c.description) <= 14 for c in lab.controls.values())  # else it is cut off


@every_case
def test_a_lab_wants_a_specification(case):
    for wrong in ("relu", 5, {"depth": 3}, type(case.start)):
        with pytest.raises(TypeError, match=f"must be a {type(case.start).__name__}; got"):
            case.lab(wrong)


@every_case
def test_setting_values_moves_the_sliders_once_and_a_wrong_one_moves_none(case, lab, monkeypatch):
    updates, show = [], lab.show
    monkeypatch.setattr(lab, "show", lambda values: updates.append(values) or show(values))
    lab.set(**case.between)
    assert len(updates) == 1 and lab.spec == replace(case.start, **case.between)
    before = shown(lab)
    for wrong, named in ((case.wrong, next(iter(case.wrong))), ({"x": 1}, "no control named x")):
        with pytest.raises((TypeError, ValueError), match=named):
            lab.set(**wrong)
    assert len(updates) == 1 and shown(lab) == before


@every_case
def test_reset_goes_back_and_a_new_seed_changes_nothing_else(case, lab):
    start = shown(lab)
    if "seed" in lab.controls:
        lab.buttons["seed"].click()
        assert lab.spec == replace(case.start, seed=lab.spec.seed)
    lab.spec = case.other
    assert lab.spec == case.other and shown(lab)[1] != start[1]
    lab.buttons["reset"].click()
    assert lab.spec == case.start and shown(lab) == start


def movable(widget):
    """All controls that a reader can move, those that are no field of the specification too."""
    kinds = widgets.SelectionSlider, widgets.Dropdown, widgets.Checkbox, widgets.IntSlider
    if isinstance(widget, (*kinds, widgets.BoundedIntText)):
        return [widget]
    return [one for child in getattr(widget, "children", ()) for one in movable(child)]


@every_case
def test_reset_puts_every_control_back_to_where_the_lab_opened(case, lab):
    every, start = movable(lab), shown(lab)
    opened = [control.value for control in every]
    assert {*lab.controls.values()} <= {*every}
    assert len(every) - len(lab.controls) == hasattr(lab, "train") + hasattr(lab, "theory_box")
    with lab.one_update():
        for control in every:
            control.value = next(value for value in ends(control) if value != control.value)
    assert all(control.value != value for control, value in zip(every, opened, strict=True))
    lab.buttons["reset"].click()
    assert [control.value for control in every] == opened and shown(lab) == start


@every_case
def test_an_exception_is_shown_and_the_next_move_works(case, lab, monkeypatch):
    def fail(values):
        raise RuntimeError("out of <memory> & luck")

    before, (name, value) = picture(lab), next(iter(case.between.items()))
    monkeypatch.setattr(lab, "show", fail)
    lab.set(**{name: value})
    assert "d2lstab-error" in lab.verdict_line.value
    assert "RuntimeError: out of &lt;memory&gt; &amp; luck" in lab.verdict_line.value
    assert picture(lab) == before
    monkeypatch.undo()
    lab.spec = case.other
    assert "d2lstab-error" not in lab.verdict_line.value and picture(lab) != before


@every_case
def test_a_moved_lab_shows_what_one_shows_that_started_there(case, lab):
    for spec in (case.other, replace(case.start, **case.between)):
        lab.spec = spec
        new = case.lab(spec)  # which draws everything anew
        assert shown(lab) == shown(new)
        new.close()


@every_case
def test_shaken_sliders_end_where_they_were_left_and_two_labs_do_not_disturb_each_other(case, lab):
    rng, other = random.Random(3), case.lab(case.other)
    still = shown(other)
    kinds = widgets.SelectionSlider, widgets.Checkbox
    sliders = [control for control in lab.controls.values() if isinstance(control, kinds)]
    for _ in range(12):
        control = rng.choice(sliders)
        if isinstance(control, widgets.Checkbox):
            control.value = not control.value
        else:
            control.index = rng.randrange(len(control.options))
    assert shown(other) == still and other.spec == case.other
    mine = shown(lab)
    other.spec = lab.spec  # it comes from other backgrounds
    assert shown(lab) == mine == shown(other)
    other.close()


@every_case
def test_random_states_and_the_number_of_threads_stay(case, lab):
    def state():
        arrays = np.random.get_state()[1].tolist()
        return torch.get_rng_state().tolist(), arrays, random.getstate(), torch.get_num_threads()

    before = state()
    lab.spec = case.other
    if hasattr(lab, "train"):
        lab.train(2)
    if "seed" in lab.controls:
        lab.new_seed()
    assert state() == before


@every_case
def test_a_sharper_screen_gets_a_sharper_picture(case, lab):
    def size():
        return np.array(Image.open(io.BytesIO(picture(lab))).size)

    before = size()
    lab.density.value = 2.0
    assert (size() == 2 * before).all()


@every_case
def test_the_mime_bundle_has_the_widget_and_a_picture(case, lab):
    data, metadata = lab._repr_mimebundle_()
    assert data["application/vnd.jupyter.widget-view+json"]["model_id"] == lab.model_id
    shot = Image.open(io.BytesIO(base64.b64decode(data["image/png"]))).convert("RGB")
    part = Image.open(io.BytesIO(picture(lab))).convert("RGB")
    assert shot.crop((0, 0, *part.size)).tobytes() == part.tobytes()
    json.dumps([data, metadata])


@every_case
def test_closing_a_lab_frees_its_figure_and_all_its_widgets(case):
    gc.freeze()  # what is there already need not be looked through, which takes seconds
    try:
        before = len(_instances)
        lab = case.lab(case.start)
        if hasattr(lab, "train"):
            lab.train(1)
        figure = weakref.ref(lab.picture._figure)
        assert len(_instances) > before + 10
        lab.close()
        gc.collect()
        assert figure() is None  # IPython's Out still holds the lab
        del lab
        gc.collect()
        assert len(_instances) == before
    finally:
        gc.unfreeze()
