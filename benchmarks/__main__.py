"""Benchmarks of the package: `make bench`, or `python -m benchmarks`."""

import io
import subprocess
import sys
from dataclasses import replace

import matplotlib.pyplot as plt
import torch
import torch.nn.functional as F

from benchmarks.timing import compare, table
from d2lstab import NetworkSpec, build, measure
from d2lstab.datasets import digits
from d2lstab.labs import CliffLab, GradientLab, NormalizationLab, RegularizationLab
from d2lstab.labs.shift import ShiftLab
from d2lstab.regularization.fit import FitSpec
from d2lstab.shift.trial import ShiftSpec, try_shift

SPEC = NetworkSpec(depth=50, width=128, activation="tanh", init="xavier")
NETWORK = FitSpec("network", dropout=0.2, clip=1.0)


def pass_through_the_network() -> str:
    """`measure`, and the whole callback of the lab, against the bare forward and backward."""
    network, batch = build(SPEC), digits(128)
    lab, no_theory, ticks = GradientLab(SPEC), GradientLab(SPEC), iter(range(10**9))
    no_theory.theory_box.value = False

    def loss(outputs):
        return F.cross_entropy(outputs, batch.labels)

    def bare():
        network.zero_grad()
        loss(network(batch.inputs)).backward()

    def gain() -> float:
        return 1 + 0.05 * (next(ticks) % 4)

    timings = compare(
        {
            "bare forward and backward": bare,
            "measure(network, inputs, loss)": lambda: measure(network, batch.inputs, loss),
            "measure(spec), with building it": lambda: measure(SPEC),
            "GradientLab, from slider value to bytes": lambda: no_theory.set(gain=gain()),
            "the same, with theory over it": lambda: lab.set(gain=gain()),
        }
    )
    title = f"depth 50, width 128, batch 128, tanh, {torch.get_num_threads()} thread(s)"
    limits = {
        "measure(network, inputs, loss)": 1.3,
        "GradientLab, from slider value to bytes": 2.5,
    }
    return table(title, timings, limits)


def plot_anew(spec: ShiftSpec) -> bytes:
    """What `interact` does at each tick: a new figure of the numbers, as the PNG of a cell."""
    trial, png = try_shift(spec), io.BytesIO()
    figure, (clouds, bars, weights, test) = plt.subplots(1, 4, figsize=(11.04, 3.6))
    for sample, marker in ((trial.training, "."), (trial.unlabelled, "+")):
        clouds.scatter(*sample.inputs.T, c=sample.labels, marker=marker)
    bars.bar(
        ["source", "target", "corrected"],
        [trial.accuracy_on_source, trial.accuracy_before, trial.accuracy_after],
    )
    weights.hist(trial.correction.weights.values, 20)
    test.hist(trial.detection.null, 20)
    test.axvline(trial.detection.statistic)
    figure.savefig(png, format="png", bbox_inches="tight")  # as the inline backend does
    plt.close(figure)
    return png.getvalue()


def shift_lab() -> str:
    """The whole callback of the shift lab, against the same numbers drawn anew."""
    spec, sizes = ShiftSpec(correction="density ratio"), iter(range(10**9))
    lab = ShiftLab(spec)

    def tick() -> float:
        return 1 + 0.25 * (next(sizes) % 4)

    timings = compare(
        {
            "the numbers, and a new pyplot figure": lambda: plot_anew(
                replace(spec, covariate=tick())
            ),
            "the numbers alone": lambda: try_shift(replace(spec, covariate=tick())),
            "ShiftLab, from slider value to bytes": lambda: lab.set(covariate=tick()),
        }
    )
    title = "200 examples, MMD with 199 permutations, density ratio by classifier"
    return table(title, timings, {"ShiftLab, from slider value to bytes": 0.25})


def other_labs() -> str:
    """The whole callbacks of other labs, against that of the gradient lab."""
    gradients, bench, count = GradientLab(SPEC), NormalizationLab(), iter(range(10**9))
    fit, network, cliff = RegularizationLab(), RegularizationLab(NETWORK), CliffLab()

    def tick() -> float:
        return 1.05 + 0.05 * (next(count) % 4)

    callbacks = {
        "GradientLab, depth 50": lambda: gradients.set(gain=tick()),
        "NormalizationLab, depth 8, λ against 1": lambda: bench.set(weight_scale=tick()),
        "RegularizationLab, polynomial, 300 steps": lambda: fit.set(l2=0.01 * tick()),
        "RegularizationLab, network, dropout, clip": lambda: network.set(l2=0.01 * tick()),
        "CliffLab": lambda: cliff.set(learning_rate=0.1 * tick()),
    }
    limits = {name: 0.6 if name.startswith("Norm") else 1.0 for name in callbacks}
    return table("from slider value to bytes", compare(callbacks), limits)


def imports() -> str:
    """What `import d2lstab` adds to importing torch and matplotlib, each in a fresh Python."""

    def fresh(statement):
        return lambda: subprocess.run([sys.executable, "-c", statement], check=True)

    timings = compare(
        {
            "import torch, matplotlib": fresh("import torch, matplotlib.figure"),
            "the same, and d2lstab": fresh("import torch, matplotlib.figure, d2lstab"),
        },
        rounds=7,
    )
    added = (timings[1].median - timings[0].median) / 1000
    aim = "" if added <= 0.3 else "  MISSED"
    return table("importing", timings, {}) + f"\nd2lstab adds {added:.2f} s, aim ≤ 0.3 s{aim}"


if __name__ == "__main__":
    for threads in dict.fromkeys((1, torch.get_num_threads())):
        torch.set_num_threads(threads)
        print(pass_through_the_network(), end="\n\n", flush=True)
    print(shift_lab(), end="\n\n", flush=True)
    print(other_labs(), end="\n\n", flush=True)
    print(imports())
