"""The recurrent lab in the kernel: its widgets are moved, its lines and its words are read."""

import dataclasses
import html

import numpy as np
import pytest
import torch
from hands import ends, picture
from matplotlib.figure import Figure

from d2lstab.figures.recurrence import RecurrenceFigure
from d2lstab.labs import RecurrentLab
from d2lstab.recurrence import CELLS, RECURRENT, RecurrentSpec, predict_through_time
from d2lstab.through_time import diagnose_through_time, measure_through_time

pytestmark = pytest.mark.once  # test_every_lab is run in both sets

START = RecurrentSpec("lstm", length=20, hidden_size=6, seed=1)


@pytest.fixture
def lab():
    lab = RecurrentLab(START)
    yield lab
    assert "d2lstab-error" not in lab.verdict_line.value
    lab.close()


def shows(lab, spec):
    """Whether specification, lines and words are those of ``spec``, for all three cells."""
    assert lab.spec == spec
    for cell in CELLS:
        profile = measure_through_time(dataclasses.replace(spec, cell=cell))
        verdict = diagnose_through_time(profile)
        assert lab.verdicts[cell] == verdict
        assert html.escape(verdict.reason) in lab.verdict_line.value
        x, y = lab._figure.lines[cell].get_data()
        drawn = (profile.norm > 0) & profile.norm.isfinite()
        np.testing.assert_array_equal(x, np.flatnonzero(drawn))
        np.testing.assert_array_equal(y, profile.norm[drawn])
        if cell == spec.cell:
            assert lab.verdict == verdict
            assert torch.equal(lab.profile.norm, profile.norm)
            np.testing.assert_array_equal(lab._figure.path.get_ydata(), profile.path)
            theory = predict_through_time(profile.spec)
            np.testing.assert_array_equal(lab._figure.theory.get_ydata(), theory)
            median = np.median(profile.local.numpy()[::-1], axis=1)
            np.testing.assert_allclose(lab._figure.shares[1].get_ydata(), median, rtol=1e-6)
    kinds = [verdict.kind for verdict in lab.verdicts.values()]
    assert [k.split('"')[0] for k in lab.verdict_line.value.split("d2lstab-")[1:]] == kinds
    return True


def test_a_lab_shows_its_specification_at_once(lab):
    assert shows(lab, START)
    assert RecurrentLab().spec == RecurrentSpec()


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("cell", "tanh"), ("cell", "gru"), ("spectral_radius", 1.5), ("forget_bias", 3.0),
        ("input_gain", 0.5), ("length", 33), ("hidden_size", 9), ("recurrent", "orthogonal"),
        ("seed", 7),
    ],
)  # fmt: skip
def test_every_control_changes_the_specification_and_the_picture(lab, field, value):
    before = picture(lab)
    lab.controls[field].value = value
    assert shows(lab, dataclasses.replace(START, **{field: value}))
    assert picture(lab) != before


def test_there_is_a_control_for_every_field_of_a_specification(lab):
    assert list(lab.controls) and set(lab.controls) == {
        field.name for field in dataclasses.fields(RecurrentSpec)
    }
    assert [value for _, value in lab.controls["cell"].options] == list(CELLS)
    assert list(lab.controls["recurrent"].options) == list(RECURRENT)
    assert all(0 < len(c.description) <= 12 for c in lab.controls.values())  # else it is cut off


def test_every_control_goes_to_both_its_ends(lab):
    reach = {
        "spectral_radius": (0, 3), "forget_bias": (-2, 8), "input_gain": (0, 3),
        "length": (10, 200), "hidden_size": (4, 64), "seed": (0, 2**32 - 1),
    }  # fmt: skip
    for field, control in lab.controls.items():
        if field in reach:
            assert ends(control) == pytest.approx(reach[field])
        for value in ends(control):
            control.value = value
            assert shows(lab, dataclasses.replace(START, **{field: value}))
        lab.reset()


@pytest.mark.parametrize("radius", [0.0, 3.0])
@pytest.mark.parametrize("bias", [-2.0, 8.0])
@pytest.mark.parametrize("gain", [0.0, 3.0])
def test_the_corners_where_numbers_end_are_shown_and_named(lab, radius, bias, gain):
    spec = RecurrentSpec("tanh", 200, 6, radius, forget_bias=bias, input_gain=gain)
    lab.spec = spec
    assert shows(lab, spec)
    for cell, verdict in lab.verdicts.items():
        end = lab._figure.ends[cell]
        lost = verdict.zero if verdict.zero is not None else verdict.overflow
        assert end.get_visible() == (lost is not None)
        if lost is not None:
            assert list(end.get_xdata()) == [lost]
            assert end.get_marker() == ("v" if verdict.zero is not None else "^")
            bottom, top = lab._figure.norms.get_ylim()
            assert bottom < end.get_ydata()[0] < top
    if radius == 0:
        assert lab.verdicts["tanh"].zero == 1 and lab.verdicts["tanh"].factor == 0


def test_the_words_name_zero_and_infinity(lab):
    lab.spec = RecurrentSpec("tanh", 200, 6, 3.0, input_gain=0)
    assert "Inf after" in lab.verdict_line.value
    lab.spec = RecurrentSpec("tanh", 200, 6, 0.3, input_gain=0)
    assert "exactly 0 after" in lab.verdict_line.value


# --- the figure ----------------------------------------------------------------------------------


def profiles(**knobs):
    return {cell: measure_through_time(RecurrentSpec(cell, **knobs)) for cell in CELLS}


def test_the_axes_hold_every_line_and_move_in_steps():
    figure = RecurrenceFigure(Figure(figsize=(11, 3.6)))
    said = [figure.update(profiles(length=60), "tanh")]
    assert figure.norms.get_xlim() == figure.factors.get_xlim() == (0, 100)
    for radius in (0.1, 0.7, 1.0, 2.0, 3.0):
        shown = profiles(length=60, spectral_radius=radius, input_gain=0)
        said.append(figure.update(shown, "gru"))
        low, high = figure.norms.get_ylim()
        norms = torch.cat([p.norm for p in shown.values()])
        norms = norms[(norms > 0) & norms.isfinite()]
        assert low <= norms.min() and norms.max() <= high
        assert (low, high) == (10.0 ** round(np.log10(low)), 10.0 ** round(np.log10(high)))
    assert len(set(said)) > 2
    again = figure.update(profiles(length=60, spectral_radius=3.0, input_gain=0), "lstm")
    assert again == said[-1]


@pytest.mark.parametrize(
    ("cell", "theory", "gates"),
    [
        ("tanh", "theory ρᵏ = 1.25ᵏ", "slopes 1 − h² of the tanh RNN"),
        ("gru", "theory σ(b)ᵏ = 0.881ᵏ", "update gates z of the GRU"),
        ("lstm", "theory σ(b)ᵏ = 0.881ᵏ", "forget gates f of the LSTM"),
    ],
)
def test_the_chosen_cell_is_explained(cell, theory, gates):
    figure = RecurrenceFigure(Figure(figsize=(11, 3.6)))
    shown = profiles(length=20, spectral_radius=1.25, forget_bias=2.0)
    figure.update(shown, cell)
    assert theory in figure.formula.get_text() and figure.title.get_text() == gates
    widths = {name: line.get_linewidth() for name, line in figure.lines.items()}
    assert max(widths, key=widths.get) == cell and len(set(widths.values())) == 2
    quantiles = np.quantile(shown[cell].local.numpy()[::-1], [0.1, 0.5, 0.9], axis=1)
    for line, expected in zip(figure.shares, quantiles, strict=True):
        np.testing.assert_allclose(line.get_ydata(), expected)
        assert line.get_color() == figure.lines[cell].get_color()
    level = 1.0 if cell == "tanh" else 1 / (1 + np.exp(-2.0))
    np.testing.assert_allclose(figure.level.get_ydata(), level)


def test_the_figures_texts_do_not_overlap():
    for spec in (dict(spectral_radius=0.333), dict(forget_bias=-1.23, spectral_radius=2.95)):
        made = Figure(figsize=(11.04, 3.6), dpi=100)
        figure = RecurrenceFigure(made)
        figure.update(profiles(length=20, **spec), "lstm")
        for artist in figure.moving:
            artist.set_animated(False)
        made.canvas.draw()
        legend = figure.norms.get_legend().get_window_extent()
        formula, title = figure.formula.get_window_extent(), figure.title.get_window_extent()
        assert formula.x1 < legend.x0 and legend.x1 < title.x0 and title.x1 < made.bbox.x1
