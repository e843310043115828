"""The shift lab in the kernel: its widgets are moved, its picture and its words are read."""

import dataclasses
import html

import numpy as np
import pytest
from hands import ends, picture

from d2lstab.labs.shift import ShiftLab, trial_html
from d2lstab.shift.trial import CORRECTIONS, EXAMPLES, TESTS, ShiftSpec, try_shift

pytestmark = pytest.mark.once  # test_every_lab is run in both sets

START = ShiftSpec(covariate=1.0, size=50, detector="KS + Bonferroni", correction="density ratio")


@pytest.fixture(scope="module")
def one_for_all():
    lab = ShiftLab(START)
    yield lab
    lab.close()


@pytest.fixture
def lab(one_for_all):
    """A lab as good as new."""
    one_for_all.density.value = 1
    one_for_all.reset()
    yield one_for_all
    assert "d2lstab-error" not in one_for_all.verdict_line.value


def words(lab):
    """The verdict as it is read: its three lines."""
    text = lab.verdict_line.value
    for tag in ("<i>", "</i>", "</b>"):
        text = text.replace(tag, "")
    lines = html.unescape(text.split(">", 1)[1]).split("<br>")
    assert len(lines) == 3 and not any("<" in line for line in lines)
    return lines


def shows(lab, spec):
    """Whether specification, words and lines are those of ``spec``."""
    expected = try_shift(spec)
    assert lab.spec == lab.trial.spec == spec
    assert lab.verdict_line.value == trial_html(expected)
    found = lab._figure
    np.testing.assert_array_equal(lab.trial.before.coefficients, expected.before.coefficients)
    assert found.bars[1].get_height() == expected.accuracy_before
    assert found.said.get_text().startswith(expected.detection.method)
    return True


def test_a_lab_shows_its_specification_at_once(lab):
    assert shows(lab, START)
    assert ShiftLab().spec == ShiftSpec()


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("covariate", -2.5), ("label", 0.35), ("concept", 1.0), ("size", 300), ("seed", 99),
        ("detector", "MMD"), ("detector", "classifier"), ("detector", "black box"),
        ("correction", "none"), ("correction", "exact weights"), ("correction", "black box"),
        ("correction", "EM"),
    ],
)  # fmt: skip
def test_every_control_changes_the_specification_and_the_picture(lab, field, value):
    before = picture(lab)
    lab.controls[field].value = value
    assert shows(lab, dataclasses.replace(START, **{field: value}))
    assert picture(lab) != before


def test_there_is_a_control_for_every_field_of_a_specification(lab):
    assert set(lab.controls) == {field.name for field in dataclasses.fields(ShiftSpec)}
    assert list(lab.controls["detector"].options) == list(TESTS)
    assert list(lab.controls["correction"].options) == list(CORRECTIONS)
    assert all(0 < len(c.description) <= 12 for c in lab.controls.values())  # else it is cut off


def test_every_control_goes_to_both_its_ends(lab):
    reach = {
        "covariate": (-10, 10), "label": (0, 1), "concept": (0, 1), "size": (20, 500),
        "seed": (0, 2**32 - 1),
    }  # fmt: skip
    for field, control in lab.controls.items():
        if field in reach:
            assert ends(control) == pytest.approx(reach[field])
        for value in ends(control):
            control.value = value
            kind = type(getattr(START, field))  # a slider over numbers holds floats
            assert shows(lab, dataclasses.replace(START, **{field: kind(value)}))
        lab.reset()


@pytest.mark.parametrize("covariate", [-10.0, 10.0])
@pytest.mark.parametrize("correction", CORRECTIONS)
def test_all_shifts_at_their_ends_together_are_shown_and_named(lab, covariate, correction):
    for size in (20, 1000):
        lab.set(covariate=covariate, label=1, concept=1, correction=correction, size=size)
        first, second, _ = words(lab)
        assert first.startswith("mixed shift") and "an alarm" in second


@pytest.mark.parametrize("kind", ["covariate", "label", "concept"])
def test_the_words_name_the_kind_of_shift_and_whether_the_correction_fits_it(lab, kind):
    for correction, assumed in CORRECTIONS.items():
        lab.spec = ShiftSpec(**{kind: 0.5}, correction=correction, detector="classifier")
        first, _, third = words(lab)
        assert (
            first.startswith(f"{kind} shift") and f"d2lstab-{COLOR[kind]}" in lab.verdict_line.value
        )
        if correction != "none":
            holds = "holds" if assumed == kind else "does not hold"
            assert f"{correction}: it assumes {assumed} shift, which {holds}" in third
            after = f"{lab.trial.accuracy_before:.0%} → {lab.trial.accuracy_after:.0%}"
            assert after in third
        else:
            assert f"{lab.trial.accuracy_before:.0%} on the target" in third


COLOR = {"covariate": "vanishing", "label": "saturated", "concept": "exploding"}


def test_the_words_give_each_distance_that_is_not_0(lab):
    lab.spec = dataclasses.replace(START, covariate=0.0, label=0.5)
    moved, first = lab.trial.moved, words(lab)[0]
    for part, distance in (
        ("P(x)", moved.inputs), ("P(y)", moved.labels), ("P(y | x)", moved.labels_given_input)
    ):  # fmt: skip
        assert f"{part} by {distance:.2f}" in first
    assert moved.inputs_given_label < 1e-12 and "P(x | y) by" not in first
    lab.set(label=0.0)
    assert words(lab)[0] == "no shift source and target are the same distribution."


def test_the_words_on_the_detector_say_what_it_means(lab):
    lab.spec = ShiftSpec(concept=0.5)
    assert "only a false one could come" in words(lab)[1]
    lab.spec = ShiftSpec()
    assert words(lab)[1].endswith("no alarm.")
    lab.spec = ShiftSpec(covariate=0.25, size=20)
    assert words(lab)[1].endswith("20 examples are too few for this test.")
    false_alarm = next(
        seed
        for seed in range(200)
        if try_shift(ShiftSpec(detector="classifier", seed=seed)).detection.p_value <= 0.05
    )
    lab.spec = ShiftSpec(detector="classifier", seed=false_alarm)
    assert "a false alarm" in words(lab)[1]


def test_harm_is_named_with_what_it_comes_from(lab):
    lab.spec = EXAMPLES["wrong assumption"]
    assert "which does not hold" in words(lab)[2] and "so it harms." in words(lab)[2]
    assert "estimates 89% of 8s (truth 28%)" in words(lab)[2]
    lab.spec = EXAMPLES["weights harm"]
    losses = f"falls: {lab.trial.loss_before:.2f} → {lab.trial.loss_after:.2f}."
    assert "which holds" in words(lab)[2] and losses in words(lab)[2]
    lab.spec = EXAMPLES["weights help"]
    assert "harm" not in words(lab)[2]


def test_a_lack_of_overlap_is_named_with_its_measure(lab):
    lab.spec = EXAMPLES["no overlap"]
    assert lab.trial.correction.weights.overlap < 0.5
    assert f"{lab.trial.correction.weights.overlap:.0%} of the target" in words(lab)[2]


def test_a_correction_that_is_impossible_says_why(lab):
    for seed in range(200):
        lab.spec = ShiftSpec(size=20, correction="black box", seed=seed, detector="classifier")
        if lab.trial.correction.weights is None:
            break
    assert "black box is impossible: " in words(lab)[2] and words(lab)[2].endswith(".")
    assert not lab._figure.borders[1].get_visible()


def test_the_examples_have_a_button_each_and_keep_the_seed(lab):
    assert list(lab.buttons) == ["seed", "reset", *EXAMPLES]
    lab.set(seed=12)
    for name, spec in EXAMPLES.items():
        lab.buttons[name].click()
        assert shows(lab, dataclasses.replace(spec, seed=12))
    with pytest.raises(KeyError):
        lab.example("no such")
