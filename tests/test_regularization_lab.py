"""The regularization lab in the kernel: its widgets are moved, its picture and words are read."""

import dataclasses

import numpy as np
import pytest
from hands import ends, picture, words

from d2lstab.labs import RegularizationLab
from d2lstab.regularization.fit import GRID, MODELS, FitSpec, fit

pytestmark = pytest.mark.once  # test_every_lab is run in both sets

START = FitSpec(degree=9, width=8, steps=60, seed=1)


@pytest.fixture(scope="module")
def one_for_all():
    lab = RegularizationLab(START)
    yield lab
    lab.close()


@pytest.fixture
def lab(one_for_all):
    """A lab as good as new."""
    if one_for_all.pinned:
        one_for_all.unpin()
    if one_for_all.spec != START:
        one_for_all.reset()
    yield one_for_all
    assert "d2lstab-error" not in one_for_all.verdict_line.value


def shows(lab, spec):
    """Whether specification, curves, weights and words are those of ``spec``."""
    expected, figure = fit(spec), lab._figure
    assert lab.spec == lab.fit.spec == spec and words(lab)[0].startswith(expected.kind)
    np.testing.assert_array_equal(figure.curve.get_ydata(), expected.curve)
    np.testing.assert_array_equal(figure.train.get_ydata(), expected.train_errors)
    np.testing.assert_array_equal(figure.test.get_ydata(), expected.test_errors)
    heads = np.r_[figure.heads.get_ydata(), figure.zeros.get_ydata()]
    sizes = np.sort(abs(expected.weights))
    np.testing.assert_allclose(np.sort(abs(heads)), sizes)
    return True


def test_a_lab_shows_its_specification_at_once(lab):
    assert shows(lab, START)
    np.testing.assert_array_equal(lab._figure.curve.get_xdata(), GRID)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("model", "network"), ("degree", 4), ("examples", 33), ("noise", 0.7), ("l1", 0.05),
        ("l2", 0.2), ("dropout", 0.35), ("clip", 0.02), ("learning_rate", 0.3), ("steps", 100),
        ("seed", 9),
    ],
)  # fmt: skip
def test_every_control_changes_the_specification_and_the_picture(lab, field, value):
    before = picture(lab)
    lab.controls[field].value = value
    assert shows(lab, dataclasses.replace(START, **{field: value}))
    assert picture(lab) != before


def test_the_size_of_the_other_model_is_disabled(lab):
    degree, width = lab.controls["degree"], lab.controls["width"]
    assert width.disabled and not degree.disabled
    lab.set(model="network")
    assert degree.disabled and not width.disabled
    before = picture(lab)
    width.value = 20
    assert shows(lab, dataclasses.replace(START, model="network", width=20))
    assert picture(lab) != before


def test_there_is_a_control_for_every_field_of_a_specification(lab):
    assert set(lab.controls) == {field.name for field in dataclasses.fields(FitSpec)}
    assert list(lab.controls["model"].options) == list(MODELS)
    assert all(0 < len(c.description) <= 13 for c in lab.controls.values())  # else it is cut off


@pytest.mark.parametrize("model", MODELS)
def test_every_slider_goes_to_both_its_ends(lab, model, monkeypatch):
    reach = {
        "degree": (1, 30), "width": (1, 64), "examples": (5, 100), "noise": (0, 1), "l1": (0, 10),
        "l2": (0, 10), "dropout": (0, 0.9), "clip": (0.001, np.inf), "learning_rate": (0.01, 3),
        "steps": (1, 1000), "seed": (0, 2**32 - 1),
    }  # fmt: skip
    lab.set(model=model)
    with monkeypatch.context() as patch:  # drawing every end takes seconds
        patch.setattr(lab.picture, "paint", lambda background: None)
        for field, (low, high) in reach.items():
            control, start = lab.controls[field], lab.controls[field].value
            assert ends(control) == pytest.approx((low, high))
            for value in ends(control):
                control.value = value
                shown = getattr(lab.fit.spec, field)
                assert words(lab) and (shown == value or (shown is None and value == np.inf))
            control.value = start
    lab.set(degree=30, width=64, l1=10.0, noise=1.0, dropout=0.9, learning_rate=3.0)
    assert words(lab)


def test_a_pinned_fit_stays_until_it_is_unpinned(lab):
    plain, figure = picture(lab), lab._figure
    lab.buttons["pin"].click()
    pinned = lab.fit
    lab.set(l2=1.0, degree=5, steps=200)
    assert lab.buttons["pin"].description == "unpin"
    np.testing.assert_array_equal(figure.pinned.get_ydata(), pinned.curve)
    np.testing.assert_array_equal(figure.pinned_weights.get_ydata(), pinned.weights)
    np.testing.assert_array_equal(figure.pinned_test.get_ydata(), pinned.test_errors)
    assert figure.weights.get_xlim()[1] > 9 and figure.errors.get_xlim() == (1, 200)
    lab.set(model="network")
    assert figure.pinned.get_visible() and not figure.pinned_weights.get_visible()
    lab.buttons["pin"].click()
    for line in (figure.pinned, figure.pinned_weights, figure.pinned_test):
        assert not line.get_visible()
    lab.reset()
    assert picture(lab) == plain and lab.buttons["pin"].description == "pin"


def test_theory_is_drawn_over_the_polynomial_and_not_over_the_network(lab):
    figure = lab._figure
    lab.set(l1=0.05)
    np.testing.assert_array_equal(figure.exact.get_ydata(), lab.fit.exact_curve)
    np.testing.assert_array_equal(figure.exact_weights.get_ydata(), lab.fit.exact_weights)
    lab.set(model="network")
    assert not figure.exact.get_visible() and not figure.exact_weights.get_visible()


def test_zeros_are_red_and_the_others_are_not(lab):
    for changes in (dict(l1=0.05), dict(model="network", l1=0.3)):
        lab.set(**changes)
        figure = lab._figure
        assert len(figure.zeros.get_ydata()) == lab.fit.zeros > 1
        assert not figure.zeros.get_ydata().any() and figure.heads.get_ydata().all()
    assert (np.diff(figure.heads.get_ydata()) <= 0).all()  # the network's by size


@pytest.mark.parametrize(
    ("changes", "number", "says"),
    [
        (dict(degree=15, seed=0), 0, "even sin πx has 0.232: noise is fitted"),
        (dict(degree=1), 0, "more of them would not help"),
        (dict(degree=4, examples=90), 0, "no fit can have a test error below the noise"),
        (dict(noise=0.0, examples=5), 0, "far better than what lies between"),
        (dict(learning_rate=3.0), 0, "A smaller learning rate mends it, or a clip"),
        (dict(l1=10.0), 1, "9 of 9 are exactly 0"),
        (dict(degree=15), 1, "Condition number of T₁ … T₁₅ at the examples"),
        (dict(model="network"), 1, "0 of 16 are exactly 0; nobody knows"),
        (dict(l1=0.001, dropout=0.5), 1, "the noise of dropout moves them away"),
        (dict(clip=0.001), 2, "60 done; the clip shortened the gradient in 100% of them"),
        (dict(degree=15, steps=300), 2, "the test error was least"),
        (dict(degree=3, steps=300), 2, "the curve is the exact minimum, within"),
        (dict(degree=15), 2, "from the exact minimum"),
        (dict(dropout=0.5), 2, "from the exact minimum of the mean over masks"),
    ],
)
def test_the_words_say_what_is_seen(lab, changes, number, says):
    lab.set(**changes)
    assert says in words(lab)[number]


def test_divergence_is_shown_and_not_hidden(lab):
    for changes in (dict(learning_rate=3.0, steps=1000), dict(model="network", learning_rate=1e6)):
        lab.set(**changes)
        assert words(lab)[0].startswith("diverged")
        assert lab._figure.note.get_text() == "diverged"
    lab.reset()
    assert lab._figure.note.get_text() == ""
