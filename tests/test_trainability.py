"""The map of trainability: what its script keeps, and what its picture shows."""

import csv

import numpy as np
import pytest
import torch
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import same_color
from matplotlib.figure import Figure

from benchmarks import trainability
from benchmarks.trainability import OUT, Budget, Cell, done, header, run, train_cell
from d2lstab.figures.style import GREY
from d2lstab.figures.trainability import draw_trainability
from d2lstab.networks import NetworkSpec, build

SMALL = Budget(width=16, steps=3, batch_size=8)
CELLS = [Cell(2, 1.5, 0), Cell(3, 1.5, 0), Cell(2, 2.0, 1)]


def rows(path):
    return list(csv.reader(path.read_text().splitlines()[3:]))


def test_a_run_writes_a_row_for_each_cell_under_command_and_settings(tmp_path):
    out = tmp_path / "map.csv"
    assert run(CELLS, SMALL, out) == 3
    first, second, names = out.read_text().splitlines()[:3]
    assert first == "# python -m benchmarks.trainability"
    assert "width 16" in second and "3 steps" in second and "batches of 8" in second
    assert names == "depth,weight_variance,seed,train_accuracy,held_out_accuracy"
    assert sorted(row[:3] for row in rows(out)) == [
        ["2", "1.5", "0"],
        ["2", "2", "1"],
        ["3", "1.5", "0"],
    ]


def test_a_second_run_trains_only_what_is_missing_and_says_the_same(tmp_path):
    out, once = tmp_path / "map.csv", tmp_path / "once.csv"
    run(CELLS[:1], SMALL, out)
    assert run(CELLS[:2], SMALL, out) == 1 and run(CELLS[:2], SMALL, out) == 0
    run(CELLS[:2], SMALL, once)
    assert sorted(rows(out)) == sorted(rows(once))


@pytest.mark.once
@pytest.mark.once
def test_processes_side_by_side_say_the_same(tmp_path):
    alone, together = tmp_path / "alone.csv", tmp_path / "together.csv"
    assert run(CELLS, SMALL, alone) == run(CELLS, SMALL, together, processes=2) == 3
    assert sorted(rows(alone)) == sorted(rows(together))


def test_a_row_cut_off_in_writing_is_trained_again(tmp_path):
    out = tmp_path / "map.csv"
    out.write_text(header(SMALL) + "2,1.5,0,0.5,0.5\n3,1.5,0,0.")
    assert done(out, SMALL) == {CELLS[0]}
    assert out.read_text() == header(SMALL) + "2,1.5,0,0.5,0.5\n"


def test_a_file_of_another_budget_is_refused_and_left_as_it_is(tmp_path):
    out = tmp_path / "map.csv"
    out.write_text(before := header(Budget(width=17)) + "2,1.5,0,0.5,0.5\n")
    with pytest.raises(ValueError, match="other settings"):
        run(CELLS, SMALL, out)
    assert out.read_text() == before


def test_a_cell_is_the_network_of_the_mean_field_papers(monkeypatch):
    seen = {}

    def take(network, steps, rate, momentum, batch_size, seed):
        seen.update(network=network, given=(steps, rate, momentum, batch_size, seed))
        return iter(())

    monkeypatch.setattr(trainability, "train", take)
    train_cell(Cell(40, 2.25, 7), Budget(width=64))
    assert seen["given"] == (400, pytest.approx(0.03 / 40), 0.9, 32, 7)
    linear = [module for module in seen["network"] if isinstance(module, torch.nn.Linear)]
    assert len(linear) == 41
    weights = torch.stack([module.weight for module in linear[1:-1]])
    biases = torch.stack([module.bias for module in linear[1:-1]])
    assert weights.var().item() == pytest.approx(2.25 / 64, rel=0.02)
    assert biases.var().item() == pytest.approx(0.05, rel=0.1)


def test_accuracies_are_shares_of_the_digits_trained_on_and_of_the_others(monkeypatch):
    network = build(NetworkSpec(depth=1, width=8))
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.zero_()
        network[-1].bias[3] = 1  # always says 3
    monkeypatch.setattr(trainability, "build", lambda spec: network)
    monkeypatch.setattr(trainability, "train", lambda *arguments: iter(()))
    trained, held_out = train_cell(CELLS[0], SMALL)
    assert trained * 1437 == pytest.approx(round(trained * 1437)) and 0.05 < trained < 0.15
    assert held_out * 360 == pytest.approx(round(held_out * 360)) and 0.05 < held_out < 0.15
    assert trained * 1437 + held_out * 360 == pytest.approx(183)  # threes among the 1797


def test_the_accuracies_are_those_of_the_network_example_by_example(monkeypatch):
    network = build(NetworkSpec(depth=1, width=8))
    monkeypatch.setattr(trainability, "build", lambda spec: network)
    monkeypatch.setattr(trainability, "train", lambda *arguments: iter(()))
    data = trainability.digits()
    with torch.no_grad():
        right = [int(network(x).argmax() == y) for x, y in zip(*vars(data).values(), strict=True)]
    assert train_cell(CELLS[0], SMALL) == (sum(right[:1437]) / 1437, sum(right[1437:]) / 360)


def test_the_shipped_map_is_whole_and_from_this_script():
    cells = done(OUT, Budget())
    wanted = {Cell(d, v, 0) for d in trainability.DEPTHS for v in trainability.VARIANCES}
    assert cells >= wanted
    shares = np.array([[float(x) for x in row[3:]] for row in rows(OUT)])
    assert ((shares >= 0) & (shares <= 1)).all()


def drawn(accuracies, **options):
    figure = Figure(figsize=(6, 4), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots()
    mesh = draw_trainability(axes, np.array([1, 2, 3]), np.array([10, 20]), accuracies, **options)
    figure.canvas.draw()
    return axes, mesh


def test_every_cell_has_the_colour_of_its_accuracy_at_its_place():
    accuracies = np.array([[1.0, 0.5, 0.1], [0.1, 0.1, np.nan]])
    axes, mesh = drawn(accuracies)
    corners = mesh.get_coordinates()  # (3, 4, 2)
    np.testing.assert_allclose(corners[0, :, 0], [0.5, 1.5, 2.5, 3.5])
    np.testing.assert_allclose(corners[:, 0, 1], [10 / 2**0.5, 10 * 2**0.5, 20 * 2**0.5])
    colours = mesh.to_rgba(mesh.get_array()).reshape(2, 3, 4)
    lightness = colours[..., :3].sum(axis=-1)
    assert lightness[0, 0] < lightness[0, 1] < lightness[0, 2] == lightness[1, 0]
    assert colours[1, 2, 3] == 0 and same_color(axes.get_facecolor(), GREY)  # not trained: grey


def test_the_line_stands_where_it_was_given_and_is_named():
    x, y = np.array([1.0, 2.0]), np.array([12.0, np.inf])
    axes, _ = drawn(np.ones((2, 3)), line=(x, y), label="6 ξ")
    (line,) = axes.lines
    np.testing.assert_array_equal(line.get_xydata(), np.stack([x, y], axis=1))
    assert axes.get_legend().get_texts()[0].get_text() == "6 ξ"
    assert axes.get_ylim()[1] == pytest.approx(20 * 2**0.5)


def test_axes_and_colours_say_what_they_show():
    axes, _ = drawn(np.ones((2, 3)))
    assert "σ_w²" in axes.get_xlabel() and "depth" in axes.get_ylabel()
    assert [label.get_text() for label in axes.get_yticklabels()] == ["10", "20"]
    assert "accuracy" in axes.figure.axes[1].get_ylabel()


def test_accuracies_of_another_shape_are_refused():
    with pytest.raises(ValueError, match=r"\(2, 3\); got \(3, 2\)"):
        drawn(np.ones((3, 2)))
