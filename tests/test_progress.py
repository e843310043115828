"""The bar and the loss picture of a slow training loop."""

import io
import math

import numpy as np
import pytest
from matplotlib.figure import Figure
from PIL import Image

from d2lstab.figures.progress import LossFigure
from d2lstab.labs import progress as module
from d2lstab.labs.progress import Sweep, TrainingProgress


def pixels(png):
    return np.asarray(Image.open(io.BytesIO(png)).convert("RGB")).astype(int)


def test_the_curve_is_the_losses_from_step_1():
    figure = LossFigure(Figure(), steps=4)
    figure.update([2.3, 1.5])
    np.testing.assert_array_equal(figure.curve.get_xydata(), [[1, 2.3], [2, 1.5]])
    assert figure.axes.get_xlim() == (0.5, 4.5)
    assert figure.axes.get_xlabel() == "step" and "nats" in figure.axes.get_ylabel()


def test_a_loss_that_diverges_or_is_nan_stays_in_sight():
    figure = LossFigure(Figure(), steps=4)
    figure.update([1e9, math.nan, math.inf, 1.0])
    top = figure.axes.get_ylim()[1]
    np.testing.assert_array_equal(figure.curve.get_ydata(), [top, top, top, 1.0])


def test_guessing_is_marked():
    guess = LossFigure(Figure(), steps=4).axes.lines[0]
    np.testing.assert_allclose(guess.get_ydata(), math.log(10))


def test_each_loss_moves_the_bar_the_text_and_the_picture():
    progress = TrainingProgress(steps=3)
    before = pixels(progress.picture.value)
    progress.add(2.0)
    middle = pixels(progress.picture.value)
    progress.add(0.5)
    assert (progress.losses, progress.bar.value, progress.bar.max) == ([2.0, 0.5], 2, 3)
    assert progress.text.value == "2 of 3 steps"
    after = pixels(progress.picture.value)
    assert before.shape == middle.shape == after.shape
    assert 0 < (before != middle).sum() < (before != after).sum()


class Handle:
    def __init__(self):
        self.updates = []

    def update(self, shown):
        self.updates.append(shown._repr_mimebundle_()[0]["image/png"])


def test_the_cell_keeps_the_last_picture(monkeypatch):
    handle = Handle()
    monkeypatch.setattr(module, "display", lambda shown, display_id: handle)
    with TrainingProgress(steps=2) as progress:
        start = progress._repr_mimebundle_()[0]["image/png"]
        progress.add(1.0)
        assert handle.updates == [] and progress.text.value == "1 of 2 steps, 0 s"
    assert handle.updates == [progress._repr_mimebundle_()[0]["image/png"]] != [start]
    assert progress.bar.bar_style == "success"


def test_an_interrupted_loop_is_marked_and_raises(monkeypatch):
    monkeypatch.setattr(module, "display", lambda shown, display_id: None)
    with pytest.raises(KeyboardInterrupt), TrainingProgress(steps=2) as progress:
        raise KeyboardInterrupt
    assert progress.bar.bar_style == "danger"


def test_a_sweep_gives_every_item_and_fills_its_bar():
    sweep = Sweep("abc", "letters")
    assert list(sweep) == ["a", "b", "c"]
    assert (sweep.bar.value, sweep.bar.max, sweep.stopped) == (3, 3, False)
    assert sweep.text.value == "3 of 3 letters, 0 s" and repr(sweep) == "3 of 3 letters"
    assert sweep.bar.bar_style == "success" and sweep.button.disabled


def test_the_button_ends_a_sweep_after_the_item_in_hand():
    sweep, done = Sweep(range(5)), []
    for item in sweep:
        if item == 1:
            sweep.button.click()
        done.append(item)
    assert done == [0, 1] and sweep.stopped and sweep.bar.bar_style == "warning"
    assert repr(sweep) == "2 of 5 steps; stopped"


def test_a_stop_at_the_last_item_stops_nothing():
    sweep = Sweep(range(2))
    for item in sweep:
        if item == 1:
            sweep.button.click()
    assert not sweep.stopped and sweep.bar.bar_style == "success"


def test_a_sweep_can_be_run_again():
    sweep = Sweep(range(3))
    for _ in sweep:
        sweep.button.click()
    assert sweep.stopped
    assert list(sweep) == [0, 1, 2] and not sweep.stopped


def test_a_sweep_over_nothing_is_over():
    assert list(Sweep([])) == []


def test_a_loop_that_fails_leaves_a_sweep_marked(monkeypatch):
    handle = Handle()
    monkeypatch.setattr(module, "display", lambda shown, display_id: handle)
    handle.update = handle.updates.append
    sweep = Sweep(range(3))
    with pytest.raises(ZeroDivisionError):
        for item in sweep:
            1 / item
    assert sweep.stopped and sweep.button.disabled and handle.updates == [sweep]
