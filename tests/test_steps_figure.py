"""The pictures of the optimizers' lesson show what they were given."""

import numpy as np
import torch
from matplotlib.colors import same_color
from matplotlib.figure import Figure

from d2lstab.figures.steps import LOOKS, draw_panels, draw_scores


def test_panels_hold_their_curves_in_the_same_look_and_one_legend():
    x = {"Adam": torch.arange(3), "SGD": torch.arange(3) * 2, "predicted": torch.arange(3)}
    stable = {"SGD": torch.tensor([1.0, 2, 3]), "Adam": torch.tensor([4.0, 5, 6])}
    faint = {"Adam": torch.tensor([7.0, 8, 9]), "predicted": torch.tensor([7.0, 8, 9])}
    figure = Figure(layout="constrained")
    axes = draw_panels(figure, {"stable": stable, "faint": faint}, x, "layer", "step", yscale="log")
    assert [a.get_title() for a in axes] == ["stable", "faint"]
    assert axes[0].get_ylabel() == "step" and axes[1].get_xlabel() == "layer"
    assert [a.get_yscale() for a in axes] == ["log"] * 2 and axes[1].get_xscale() == "linear"
    for place, curves in zip(axes, (stable, faint), strict=True):
        for line, (name, y) in zip(place.lines, curves.items(), strict=True):
            np.testing.assert_array_equal(line.get_xdata(), x[name])
            np.testing.assert_array_equal(line.get_ydata(), y)
    assert same_color(axes[0].lines[1].get_color(), axes[1].lines[0].get_color())
    words = [text.get_text() for text in figure.legends[0].get_texts()]
    assert sorted(words) == ["Adam", "SGD", "predicted"]


def test_scores_show_every_seed_the_mean_and_its_interval():
    values = {"SGD": torch.tensor([0.1, 0.2, 0.6]), "LARS": torch.tensor([0.8, 0.9, 0.7])}
    axes = Figure().add_subplot()
    draw_scores(axes, {"stable": values, "faint": {"LARS": values["LARS"]}}, "accuracy")
    dots = [line for line in axes.lines if line.get_marker() == "."]
    assert [list(d.get_ydata()) for d in dots] == [
        v.tolist() for v in (*values.values(), values["LARS"])
    ]
    bar, *_ = [container for container in axes.containers if container.get_label() == "SGD"]
    low, high = bar.lines[2][0].get_segments()[0][:, 1]
    half = 4.302653 * np.std([0.1, 0.2, 0.6], ddof=1) / np.sqrt(3)  # a table's t, 2 degrees
    np.testing.assert_allclose([low, high], [0.3 - half, 0.3 + half], rtol=1e-5)
    assert same_color(bar.lines[0].get_color(), LOOKS["SGD"][0])
