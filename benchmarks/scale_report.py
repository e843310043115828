"""The table and the plot of `benchmarks.scale`."""

from __future__ import annotations

import platform
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from matplotlib.figure import Figure

from d2lstab.figures.style import BLUE, GREY, ORANGE

if TYPE_CHECKING:
    from benchmarks.scale import Depth
    from d2lstab import NetworkSpec

# From here on the layers, not what is the same for every network, decide: its few milliseconds,
# for memory the hundred megabytes of a process with PyTorch, of which a pass uses some again.
LARGE, LARGE_FOR_MEMORY = 100, 1000
# The greatest power of the depth that is called linear: where a pass no longer fits into the
# processor's cache each layer costs half as much again; a quadratic step would come near 2.
LINEAR = 1.2
LEAK = 1.0  # kB an update that memory may grow


def exponent(depths: list[int], values: list[float], least: int = LARGE) -> float:
    """The power of the depth that the values follow from depth ``least`` on."""
    large = [(d, v) for d, v in zip(depths, values, strict=True) if d >= least and v > 0]
    if len(large) < 2:
        return float("nan")
    return float(np.polyfit(*np.log(np.array(large)).T, 1)[0])


def growth(held: list[tuple[int, float]]) -> float:
    """kB an update, fitted to the second half: the first fills caches and the allocator."""
    half = np.array(held[len(held) // 2 :])
    return float(np.polyfit(half[:, 0], half[:, 1], 1)[0] * 1000)


def processor() -> str:
    info = Path("/proc/cpuinfo")
    names = [s for s in info.read_text().splitlines() if "model name" in s] if info.exists() else []
    return names[0].split(":")[1].strip() if names else platform.processor()


def report(
    results: list[Depth],
    held: list[tuple[int, float]],
    labs: dict[int, float],
    slow: dict[str, float],
    spec: NetworkSpec,
    zeros: tuple[int, int],
) -> str:
    """The text of scale.md.

    held : megabytes after so many updates. labs : milliseconds of a callback by depth. slow : time
    against that of normal numbers. zeros : layers of ``spec`` without gradient, without and with
    flushing.
    """
    deep = [r.depth for r in results]
    powers = {
        "time of `measure`": (LARGE, [r.seconds for r in results]),
        "time of the bare pass": (LARGE, [r.bare for r in results]),
        "memory": (LARGE_FOR_MEMORY, [r.megabytes for r in results]),
    }
    rows = [
        f"| {r.depth} | {1000 * r.seconds:.1f} | {1e6 * r.seconds / (r.depth + 1):.0f} "
        f"| {r.seconds / r.bare:.2f} | {r.megabytes:.0f} |"
        for r in results
    ]
    lines = [
        "# Depth, updates and denormal numbers",
        "Written by `python -m benchmarks.scale`, on one thread, "
        f"{processor()}, Python {platform.python_version()}.",
        "## `measure` at width 64, batch 128, each depth in a process of its own",
        "\n".join(
            [
                "| depth | ms | µs a layer | × bare pass | MB of memory |",
                "| ---: | ---: | ---: | ---: | ---: |",
                *rows,
            ]
        ),
        "\n".join(
            f"- {name} grows as depth to the power {exponent(deep, values, least):.2f} "
            f"from depth {least} on"
            + (f", aim ≤ {LINEAR}" if "bare" not in name else "")
            + ("  MISSED" if exponent(deep, values, least) > LINEAR and "bare" not in name else "")
            for name, (least, values) in powers.items()
        ),
        "## The lab",
        "\n".join(
            f"- depth {depth}, width 128: {ms:.0f} ms from slider value to bytes"
            for depth, ms in labs.items()
        ),
        f"- memory over {held[-1][0]:,} updates: {held[0][1]:.0f} MB at the start, "
        f"{held[len(held) // 2][1]:.0f} MB halfway, {held[-1][1]:.0f} MB at the end; "
        f"{growth(held):+.2f} kB an update in the second half, aim ≤ {LEAK:g}"
        + ("  MISSED" if growth(held) > LEAK else ""),
        "## Denormal numbers (under 1.2e-38), against normal ones",
        "\n".join(f"- {name}: {ratio:.2f}" for name, ratio in slow.items()),
        f"- a {spec.activation} network of depth {spec.depth}: the gradient is exactly "
        f"0 in {zeros[0]} layers, with denormals flushed in {zeros[1]}",
        "![Time and memory against depth, memory against updates](scale.png)",
    ]
    return "\n\n".join(lines) + "\n"


def plot(results: list[Depth], held: list[tuple[int, float]]) -> Figure:
    figure = Figure(figsize=(12, 3.6), layout="constrained")
    axes = figure.subplots(1, 3)
    deep = np.array([r.depth for r in results])
    for name, color in (("seconds", BLUE), ("bare", GREY)):
        label = "measure" if name == "seconds" else "bare forward and backward"
        values = [1000 * getattr(r, name) for r in results]
        axes[0].loglog(deep, values, ".-", color=color, label=label)
    axes[1].loglog(deep, [r.megabytes for r in results], ".-", color=BLUE, label="measure")
    for ax, last in ((axes[0], 1000 * results[-1].seconds), (axes[1], results[-1].megabytes)):
        large = deep[deep >= 10]
        ax.loglog(large, 2 * last * large / deep[-1], "--", color=ORANGE, lw=1, label="∝ depth")
        ax.set_xlabel("depth (hidden layers, log scale)")
        ax.legend(frameon=False)
    axes[0].set(ylabel="milliseconds (log scale)")
    axes[1].set(ylabel="megabytes at the peak (log scale)")
    axes[2].plot(*np.array(held).T, color=BLUE)
    axes[2].set(xlabel="updates of a lab", ylabel="megabytes held")
    axes[2].set_ylim(0, 1.2 * max(megabytes for _, megabytes in held))
    titles = ("time at width 64", "memory at width 64", "memory over the updates")
    for ax, title in zip(axes, titles, strict=True):
        ax.set_title(title, loc="left", fontsize=10)
        ax.grid(color="#e4e4e4", linewidth=0.7)
        ax.spines[["top", "right"]].set_visible(False)
    return figure
