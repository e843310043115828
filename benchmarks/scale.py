"""How `measure` and the lab grow: with depth, with updates, and among denormal numbers.

python -m benchmarks.scale                      (about eight minutes on one core)
python -m benchmarks.scale --deepest 1000 --updates 500 --out build/benchmarks

Writes scale.md and scale.png to ``benchmarks/results``.
"""

import argparse
import json
import resource
import statistics
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter

import torch
import torch.nn.functional as F

from benchmarks.scale_report import plot, report
from benchmarks.timing import compare
from d2lstab import NetworkSpec, build, measure
from d2lstab.datasets import digits
from d2lstab.labs import GradientLab

ROOT = Path(__file__).resolve().parent.parent
DEPTHS = (1, 3, 10, 30, 100, 300, 1000, 3000, 10_000)
FLUSH_SPEC = NetworkSpec(depth=200, activation="sigmoid")


@dataclass(frozen=True)
class Depth:
    """One process that measures one network of width 64.

    seconds : median time of `measure`. bare : of the forward and backward pass alone.
    megabytes : what the process grew by at its peak, network and gradients included.
    """

    depth: int
    seconds: float
    bare: float
    megabytes: float


def peak() -> float:
    """The greatest memory that this process ever held, in megabytes."""
    size = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return size / (1e6 if sys.platform == "darwin" else 1e3)


def now_held() -> float:
    """The memory that this process holds now, in megabytes; its peak where /proc is missing."""
    status = Path("/proc/self/status")
    if not status.exists():
        return peak()
    line = next(s for s in status.read_text().splitlines() if s.startswith("VmRSS"))
    return int(line.split()[1]) / 1000


def at_depth(depth: int) -> Depth:
    """Measure at one depth, in this process."""
    torch.set_num_threads(1)
    batch = digits(128)
    measure(NetworkSpec(depth=2, width=64))
    before = peak()
    # orthogonal weights and tanh: nothing vanishes, explodes or becomes denormal on the way
    network = build(NetworkSpec(depth=depth, width=64, init="orthogonal"))

    def loss(outputs):
        return F.cross_entropy(outputs, batch.labels)

    def bare():
        weights = [p for p in network.parameters() if p.ndim > 1]
        torch.autograd.grad(loss(network(batch.inputs)), weights)

    rounds = max(3, 300 // depth)
    seconds, grown = clocked(lambda: measure(network, batch.inputs, loss), rounds), peak() - before
    return Depth(depth, seconds, clocked(bare, rounds), grown)


def clocked(call, rounds: int) -> float:
    """Median seconds of a call."""
    taken = []
    for _ in range(rounds):
        start = perf_counter()
        call()
        taken.append(perf_counter() - start)
    return statistics.median(taken)


def depths(deepest: int) -> list[Depth]:
    """Every depth in a process of its own, so that each has its own peak."""
    code = (
        "import sys, json, dataclasses; from benchmarks.scale import at_depth;"
        "print(json.dumps(dataclasses.asdict(at_depth(int(sys.argv[1])))))"
    )
    results = []
    for depth in (depth for depth in DEPTHS if depth <= deepest):
        command = [sys.executable, "-c", code, str(depth)]
        done = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True)
        results.append(Depth(**json.loads(done.stdout)))
    return results


def lab_at(depth: int, moves: int = 10) -> float:
    """Median milliseconds of the lab's callback, from slider value to bytes."""
    lab, gains = GradientLab(NetworkSpec(depth=depth)), iter(range(10**9))
    taken = clocked(lambda: lab.set(gain=1 + 0.01 * (next(gains) % 2)), moves)
    lab.close()
    return 1000 * taken


def updates(count: int) -> list[tuple[int, float]]:
    """Memory held in megabytes after so many updates of a lab, its axes redrawn now and then."""
    lab = GradientLab(NetworkSpec(depth=5, width=16))
    held = []
    for number in range(count + 1):
        if number % max(1, count // 40) == 0 or number == count:
            held.append((number, now_held()))
        far = number % 50 == 0  # so far that the axes are drawn anew
        lab.set(gain=4.0 if far else 1 + 0.05 * (number % 4), depth=3 + number % 3)
    return held


def denormals() -> dict[str, float]:
    """Time of the same work on normal, denormal and flushed numbers, against normal ones."""
    network, batch = build(NetworkSpec()), digits(128)
    generator = torch.Generator().manual_seed(0)
    factor, other = (torch.randn(128, 128, generator=generator) for _ in range(2))

    def one_pass(scale):
        network.zero_grad()
        (scale * F.cross_entropy(network(batch.inputs * scale), batch.labels)).backward()

    def many(scale):
        small = other * scale
        return lambda: [small @ factor for _ in range(50)]

    def flushed(call):
        def run():
            torch.set_flush_denormal(True)
            try:
                call()
            finally:
                torch.set_flush_denormal(False)

        return run

    multiply, tiny = many(1.0), many(1e-40)
    groups = (
        {
            "forward and backward": lambda: one_pass(1.0),
            "forward and backward, denormal signals": lambda: one_pass(1e-40),
            "forward and backward, denormal flushed": flushed(lambda: one_pass(1e-40)),
        },
        {
            "matrix product": multiply,
            "matrix product, denormal factor": tiny,
            "matrix product, denormal flushed": flushed(tiny),
        },
    )
    return {t.name: t.ratio for group in groups for t in compare(group, rounds=30)}


def first_zeros(spec: NetworkSpec = FLUSH_SPEC) -> tuple[int, int]:
    """How many layers have a gradient of exactly 0, without and with flushing denormals."""
    kept = measure(spec)
    torch.set_flush_denormal(True)
    try:
        flushed = measure(spec)
    finally:
        torch.set_flush_denormal(False)
    return tuple(int((p.weight_gradient_norm == 0).sum()) for p in (kept, flushed))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--deepest", type=int, default=DEPTHS[-1])
    parser.add_argument("--updates", type=int, default=10_000)
    parser.add_argument("--out", type=Path, default=ROOT / "benchmarks/results", metavar="DIR")
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)
    torch.set_num_threads(1)
    held = updates(arguments.updates)  # first: memory freed by the rest could hide a leak
    results = depths(arguments.deepest)
    labs = {depth: lab_at(depth) for depth in (50, 200, 1000) if depth <= arguments.deepest}
    slow, zeros = denormals(), first_zeros()
    text = report(results, held, labs, slow, FLUSH_SPEC, zeros)
    (arguments.out / "scale.md").write_text(text)
    plot(results, held).savefig(arguments.out / "scale.png", dpi=110)
    print(text)


if __name__ == "__main__":
    main()
