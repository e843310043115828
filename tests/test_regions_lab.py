"""The regions lab in the kernel: its widgets are moved, its words and numbers are read."""

import ipywidgets as widgets
import pytest

from d2lstab.labs.regions import RegionsLab
from d2lstab.shift.regions import ROUND_TRIP, SHARES, WORDS, best_labels, drinks_in


@pytest.fixture
def lab():
    lab = RegionsLab("CA")
    yield lab
    lab.close()


@pytest.mark.parametrize(("home", "stop"), [("CA", 1), ("GA", 9), ("OH", 27)])
def test_the_lab_says_how_often_the_model_is_right_where_it_is(lab, home, stop):
    lab.set(home=home, stop=stop)
    at, model = ROUND_TRIP[stop - 1], best_labels(drinks_in([home]))
    assert lab.accuracies == {state: drinks_in([state]).accuracy(model) for state in SHARES}
    words = lab.verdict_line.value
    word = SHARES[home].argmax()
    lost = 50 * (SHARES[at].max() - SHARES[at][word])
    assert f"In {at} {100 * SHARES[at][word]:.0f} % say <i>{WORDS[word]}</i>" in words
    assert f"right {100 * lab.accuracies[at]:.1f} % of the time, {lost:.1f} points less" in words
    assert ("the same word" in words) == (lost == 0)
    assert bytes(lab.picture.value).startswith(b"\x89PNG")


def test_each_control_moves_the_picture(lab):
    pictures = {bytes(lab.picture.value)}
    for name, value in {"stop": 5, "home": "TX"}.items():
        lab.controls[name].value = value
        pictures.add(bytes(lab.picture.value))
    assert len(pictures) == 3 and "d2lstab-error" not in lab.verdict_line.value


def test_a_lab_that_was_moved_shows_what_one_shows_that_started_there(lab):
    lab.set(home="TX")
    fresh = RegionsLab("TX")
    assert bytes(lab.picture.value) == bytes(fresh.picture.value)
    fresh.close()


def test_coming_back_gives_the_same_picture(lab):
    first = bytes(lab.picture.value)
    lab.set(home="OH", stop=7)
    lab.set(home="CA", stop=1)
    assert bytes(lab.picture.value) == first


@pytest.mark.parametrize(
    ("wrong", "message"),
    [({"home": "XX"}, "home must be one of"), ({"stop": 28}, "stop must be an integer from 1")],
)
def test_a_wrong_value_moves_nothing(lab, wrong, message):
    before = lab.values
    with pytest.raises(ValueError, match=message):
        lab.set(**wrong)
    assert lab.values == before


def test_a_closed_lab_leaves_no_widget():
    before = len(widgets.widget._instances)
    RegionsLab("GA").close()
    assert len(widgets.widget._instances) == before
