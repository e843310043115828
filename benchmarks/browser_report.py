"""The table and the plot of `benchmarks.browser`."""

from __future__ import annotations

import os
import platform
import statistics
from pathlib import Path
from typing import TYPE_CHECKING

from matplotlib.figure import Figure

from d2lstab.figures.style import BLUE, GREY, ORANGE

if TYPE_CHECKING:
    from benchmarks.browser import Run

REFERENCE = "pass"  # the bare round trip with the same forward and backward in it
# (slower, faster, aim): the least ratio of their times; (lab, bare, aim): the greatest
FASTER = (("interact", "lab", 3.5), ("ipympl", "lab", 2.0))
WITHIN = (("lab", REFERENCE, 2.0), ("panel", REFERENCE, 1.4))
MOST_BYTES, MOST_BEHIND = 40_000, 1


def ratio(runs: dict[str, Run], one: str, other: str) -> float:
    """Median over the rounds of the medians' ratio in the same round."""
    pairs = zip(runs[one].rounds, runs[other].rounds, strict=True)
    return statistics.median(statistics.median(a) / statistics.median(b) for a, b in pairs)


def percentile_95(values: list[float]) -> float:
    return sorted(values)[min(int(0.95 * len(values)), len(values) - 1)]


def write(runs: list[Run], first: list[tuple[float, float]], folder: Path) -> str:
    """Write browser.md and browser.png to the folder; return the text."""
    by_key = {run.variant.key: run for run in runs}
    parts = [
        "# From the key press to the painted pixels",
        "Written by `python -m benchmarks.browser`.",
        _setting(runs),
        _presses(by_key),
        _storms(by_key),
        _aims(by_key),
        _first(first),
        "![Time from the key to new pixels, and the pictures of a storm](browser.png)",
    ]
    text = "\n\n".join(part for part in parts if part) + "\n"
    (folder / "browser.md").write_text(text)
    plot(runs).savefig(folder / "browser.png", dpi=110)
    return text


def _setting(runs: list[Run]) -> str:
    return (
        "A network of depth 50, width 128, batch 128, tanh; every key press moves the gain by "
        "0.05. JupyterLab in headless Chromium, "
        f"{os.cpu_count()} cores, {platform.system()}, Python {platform.python_version()}; "
        f"{len(runs[0].presses)} presses one at a time, the variants in turn; median and 95th "
        "percentile in milliseconds, ratios within each round, kB from the kernel for an update. "
        "The lab measures and draws all it shows; the others draw one panel of two lines."
    )


def _table(header: list[str], rows: list[list[str]]) -> str:
    widths = [max(map(len, column)) for column in zip(header, *rows, strict=True)]
    rule = ["-" * widths[0], *("-" * (width - 1) + ":" for width in widths[1:])]
    lines = [
        " | ".join(
            cell.ljust(width) if n == 0 else cell.rjust(width)
            for n, (cell, width) in enumerate(zip(row, widths, strict=True))
        )
        for row in (header, rule, *rows)
    ]
    return "\n".join(f"| {line} |" for line in lines)


def _presses(runs: dict[str, Run]) -> str:
    header = ["one press at a time", "median", "95th", "× bare trip", "kB"]
    rows = []
    for key, run in runs.items():
        against = f"{ratio(runs, key, REFERENCE):.2f}" if REFERENCE in runs else ""
        times = [statistics.median(run.presses), percentile_95(run.presses)]
        kilobytes = statistics.median(run.bytes) / 1000
        rows.append([run.variant.name, *(f"{t:.0f}" for t in times), against, f"{kilobytes:.1f}"])
    return _table(header, rows)


def _storms(runs: dict[str, Run]) -> str:
    header = ["100 events at 60 Hz", "pictures", "longest gap", "until the last value"]
    header += ["updates after the last event", "last value shown", "layout jumps"]
    rows = []
    for run in runs.values():
        storms = run.storms
        medians = [
            statistics.median(values)
            for values in (
                [len(storm.paints) for storm in storms],
                [storm.longest_gap for storm in storms],
                [storm.until_last for storm in storms],
            )
        ]
        shown = sum(storm.last_shown for storm in storms)
        rows.append(
            [
                run.variant.name,
                *(f"{value:.0f}" for value in medians),
                str(max(storm.updates_after for storm in storms)),
                f"{shown} of {len(storms)}",
                str(max(len(storm.jumps) for storm in storms)),
            ]
        )
    return _table(header, rows)


def _aims(runs: dict[str, Run]) -> str:
    lines = []

    def aim(text: str, reached: bool) -> None:
        lines.append(f"- {text}" + ("" if reached else "  MISSED"))

    for slow, fast, least in FASTER:
        if {slow, fast} <= set(runs):
            times = ratio(runs, slow, fast)
            names = f"{runs[fast].variant.name}: {times:.2f} times as fast as"
            aim(f"{names} {runs[slow].variant.name}, aim ≥ {least:g}", times >= least)
    for key, bare, most in WITHIN:
        if {key, bare} <= set(runs):
            times = ratio(runs, key, bare)
            names = f"{runs[key].variant.name}: {times:.2f} times the {runs[bare].variant.name}"
            aim(f"{names}, aim ≤ {most:g}", times <= most)
    for key in ("panel", "lab"):
        if key not in runs:
            continue
        name, storms = runs[key].variant.name, runs[key].storms
        kilobytes = statistics.median(runs[key].bytes)
        aim(f"{name}: {kilobytes / 1000:.1f} kB an update, aim ≤ 40", kilobytes <= MOST_BYTES)
        # the one that was running, and the one that holds the last value
        after = max(storm.updates_after for storm in storms)
        behind = max(0, after - 1)
        aim(f"{name}: {behind} updates behind in the storm, aim ≤ 1", behind <= MOST_BEHIND)
        aim(f"{name}: the last value is always shown", all(s.last_shown for s in storms))
        jumps = sum(len(storm.jumps) for storm in storms)
        aim(f"{name}: {jumps} layout jumps in {len(storms)} storms, aim 0", jumps == 0)
    return "\n".join(lines)


def _first(first: list[tuple[float, float]]) -> str:
    if not first:
        return ""
    imported, painted = (statistics.median(times) / 1000 for times in zip(*first, strict=True))
    return (
        f"First picture: {painted:.2f} s from running the first cell of notebook 00 in a fresh "
        f"kernel to the painted lab, {imported:.2f} s of it the imports (median of {len(first)})."
    )


def plot(runs: list[Run]) -> Figure:
    """Left, every press; right, the pictures of one storm against time."""
    figure = Figure(figsize=(12, 0.62 * len(runs) + 1.7), layout="constrained")
    left, right = figure.subplots(1, 2, sharey=True)
    for row, run in enumerate(runs):
        color = BLUE if run.variant.key in ("lab", "panel") else GREY
        left.plot(run.presses, [row] * len(run.presses), "|", color=color, ms=14, alpha=0.45)
        middle = statistics.median(run.presses)
        left.plot([middle], [row], "o", color=color, ms=7)
        left.annotate(f"{middle:.0f}", (middle, row), (0, 11), textcoords="offset points",
                      ha="center", color=color)  # fmt: skip
        storm = run.storms[len(run.storms) // 2]
        right.plot(storm.paints, [row] * len(storm.paints), "|", color=color, ms=14)
        right.annotate(f"{len(storm.paints)}", (1, row), (4, 0), textcoords="offset points",
                       xycoords=("axes fraction", "data"), va="center", color=color)  # fmt: skip
    last = max(run.storms[len(run.storms) // 2].last for run in runs)
    right.axvline(last, color=ORANGE, lw=1)
    right.text(last, -0.75, " last event", color=ORANGE, va="center")
    left.set(yticks=range(len(runs)), yticklabels=[run.variant.name for run in runs])
    left.set(ylim=(len(runs) - 0.4, -1.1), xlim=(0, None))
    left.set(xlabel="milliseconds from the key press to new pixels")
    left.set_title("one key press at a time (dot: median)", loc="left", fontsize=10)
    right.set(xlim=(0, None), xlabel="milliseconds from the first event")
    right.set_title("new pictures in a storm of 100 events at 60 Hz", loc="left", fontsize=10)
    for axes in (left, right):
        axes.grid(axis="x", color="#e4e4e4", linewidth=0.7)
        axes.spines[["top", "right"]].set_visible(False)
    return figure
