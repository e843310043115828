"""How deep a plain network can be and still train: accuracy over depth and weight variance.

    python -m benchmarks.trainability --processes 2      (about 10 minutes of one core)

Each cell is a tanh network with Gaussian weights of variance σ_w²/fan_in, trained on the digits for
a fixed number of steps: the experiment of Schoenholz et al. 2017 (arXiv:1611.01232), smaller. A row
is appended as its cell is finished; started again, the script goes on where it stopped.
"""

import argparse
import csv
import multiprocessing
from collections.abc import Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from itertools import product
from pathlib import Path

import torch

from d2lstab import NetworkSpec, build
from d2lstab.datasets import digits
from d2lstab.training import HELD_OUT, accuracy, train

OUT = Path(__file__).parents[1] / "notebooks/02-initialization/trainability.csv"
DEPTHS = (10, 14, 20, 28, 40, 57, 80, 113, 160)  # hidden layers, a factor of √2 apart
VARIANCES = tuple(1 + k / 4 for k in range(13))  # σ_w² from 1 to 4
COLUMNS = ("depth", "weight_variance", "seed", "train_accuracy", "held_out_accuracy")


@dataclass(frozen=True)
class Budget:
    """What every cell gets. rate_times_depth : the learning rate is this over the depth."""

    width: int = 100
    bias_variance: float = 0.05
    steps: int = 400
    batch_size: int = 32
    momentum: float = 0.9
    rate_times_depth: float = 0.03

    def __str__(self) -> str:
        return (
            f"tanh, width {self.width}, bias variance {self.bias_variance}; digits, {self.steps} "
            f"steps of SGD on batches of {self.batch_size}, momentum {self.momentum}, learning "
            f"rate {self.rate_times_depth} / depth"
        )


@dataclass(frozen=True, order=True)
class Cell:
    """One network of the map. depth : hidden layers. weight_variance : σ_w²."""

    depth: int
    weight_variance: float
    seed: int


def train_cell(cell: Cell, budget: Budget) -> tuple[float, float]:
    """Return the accuracy on the digits trained on and on the held-out ones, shares."""
    spec = NetworkSpec(
        depth=cell.depth, width=budget.width, activation="tanh", init="normal", seed=cell.seed,
        gain=cell.weight_variance**0.5, bias_std=budget.bias_variance**0.5,
    )  # fmt: skip
    network, rate = build(spec), budget.rate_times_depth / cell.depth
    for _ in train(network, budget.steps, rate, budget.momentum, budget.batch_size, cell.seed):
        pass
    data = digits()
    with torch.no_grad():
        right = network(data.inputs[:-HELD_OUT]).argmax(dim=1) == data.labels[:-HELD_OUT]
    return right.double().mean().item(), accuracy(network)


def header(budget: Budget) -> str:
    """The first lines of the file: how it was made, and the names of its columns."""
    return f"# python -m benchmarks.trainability\n# {budget}\n{','.join(COLUMNS)}\n"


def done(out: Path, budget: Budget) -> set[Cell]:
    """Return the cells in the file, which is begun where there is none.

    Raises ValueError where the file was made with another budget. A row that was cut off while it
    was written is taken out.
    """
    if not out.exists():
        out.write_text(header(budget))
    text = out.read_text()
    if not text.startswith(header(budget)):
        raise ValueError(f"{out} was made with other settings; name another file with --out.")
    whole = text[: text.rfind("\n") + 1]
    if whole != text:
        out.write_text(whole)
    rows = csv.reader(whole.removeprefix(header(budget)).splitlines())
    return {Cell(int(depth), float(variance), int(seed)) for depth, variance, seed, *_ in rows}


def run(cells: Iterable[Cell], budget: Budget, out: Path, processes: int = 1) -> int:
    """Train the cells that the file lacks, append a row for each, and return how many they were."""
    missing = sorted(set(cells) - done(out, budget))
    with out.open("a") as file:
        for number, (cell, shares) in enumerate(_results(missing, budget, processes), 1):
            trained, held_out = shares
            row = f"{cell.depth},{cell.weight_variance:g},{cell.seed},{trained:.4f},{held_out:.4f}"
            file.write(row + "\n")
            file.flush()
            print(f"{number} of {len(missing)}: {row}", flush=True)
    return len(missing)


def _results(
    cells: list[Cell], budget: Budget, processes: int
) -> Iterator[tuple[Cell, tuple[float, float]]]:
    """Yield each cell with its accuracies, in the order in which they are finished."""
    if processes == 1:
        yield from ((cell, train_cell(cell, budget)) for cell in cells)
        return
    context = multiprocessing.get_context("spawn")  # torch does not survive a fork
    one_thread = {"initializer": torch.set_num_threads, "initargs": (1,)}
    with ProcessPoolExecutor(processes, mp_context=context, **one_thread) as pool:
        running = {pool.submit(train_cell, cell, budget): cell for cell in cells}
        for future in as_completed(running):
            yield running[future], future.result()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--depths", nargs="+", type=int, default=DEPTHS)
    parser.add_argument("--variances", nargs="+", type=float, default=VARIANCES, help="σ_w²")
    parser.add_argument("--seeds", nargs="+", type=int, default=(0,))
    parser.add_argument("--processes", type=int, default=1)
    parser.add_argument("--out", type=Path, default=OUT)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    grid = product(arguments.depths, arguments.variances, arguments.seeds)
    cells = [Cell(*place) for place in grid]
    run(cells, Budget(), arguments.out, arguments.processes)


if __name__ == "__main__":
    main()
