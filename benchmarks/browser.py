"""From the key press to the painted pixels, in JupyterLab in headless Chromium.

python -m benchmarks.browser                                  (about six minutes on two cores)
python -m benchmarks.browser --presses 12 --only lab,interact --out build/benchmarks

Writes browser.md and browser.png to ``benchmarks/results``. Needs ipympl, for the comparison.
"""

import argparse
import shutil
import tempfile
from contextlib import ExitStack
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path

import nbformat

from benchmarks.browser_report import write
from benchmarks.variants import VARIANTS, Variant
from tools.browser import NotebookPage, browser, jupyterlab, open_notebook

ROOT = Path(__file__).resolve().parent.parent
PAGE = (Path(__file__).parent / "page.js").read_text()
FIRST = "notebooks/00-start-here/1-see-gradients-live.ipynb"
ROUNDS = 6  # the variants take turns, so that whatever else the machine does hits all alike
STORMS, EVENTS, RATE = 3, 100, 60
SETTLED = 700  # milliseconds without a new picture, after which none is expected


@dataclass(frozen=True)
class Storm:
    """What 100 slider events at 60 Hz led to.

    paints : milliseconds from the first event to each new picture, in order. last : to the last
    event. updates_after : how many updates the kernel began after the last event. last_shown :
    whether the picture that stayed is the one of the last value. jumps : every change of the
    picture's place and size or of what is below it.
    """

    paints: list[float]
    last: float
    updates_after: int
    last_shown: bool
    jumps: list[str]

    @property
    def longest_gap(self) -> float:
        times = [0, *self.paints]
        return max(after - before for before, after in zip(times, times[1:], strict=False))

    @property
    def until_last(self) -> float:
        """Milliseconds from the last event to the last picture."""
        return self.paints[-1] - self.last


@dataclass
class Run:
    """One variant: milliseconds of each press by round, bytes from the kernel per press, storms."""

    variant: Variant
    rounds: list[list[float]] = field(default_factory=list)
    bytes: list[float] = field(default_factory=list)
    storms: list[Storm] = field(default_factory=list)

    @property
    def presses(self) -> list[float]:
        return [time for times in self.rounds for time in times]


class Lane:
    """A variant in its own page and kernel, its cells run; the page has `PAGE` for a script."""

    def __init__(self, page: NotebookPage, variant: Variant):
        self.page, self.tab, self.run, self.up = page, page.tab, Run(variant), True
        self.tab.wait_for_selector(variant.selector, timeout=30_000)
        self.tab.wait_for_timeout(1000)  # the first picture is on its way
        self.tab.evaluate("v => clock.watch(...v)", [variant.kind, variant.selector])
        self.handle = page.control("gain").locator(".noUi-handle")

    def press(self, key: str) -> float:
        """Press a key once; return the milliseconds until new pixels were painted."""
        before = self.tab.evaluate("clock.paints.length")
        self.tab.keyboard.press(key)
        taken = self.tab.evaluate(
            "before => Promise.race([clock.next(before), new Promise(end => "
            "setTimeout(() => end(null), 20_000))])",
            before,
        )
        if taken is None:
            raise RuntimeError(f"no new picture after a press: {self.run.variant.name}")
        return taken

    def keys(self, count: int) -> list[str]:
        """Turn around every `count` presses: the slider comes back to where it was."""
        self.up = not self.up
        return ["ArrowLeft" if self.up else "ArrowRight"] * count

    def presses(self, count: int, keep: bool = True) -> None:
        """Press the slider's key one at a time, each after the last one's picture."""
        self.tab.bring_to_front()
        self.handle.focus()
        before, taken = self.tab.evaluate("clock.bytes"), []
        for key in self.keys(count):
            taken.append(self.press(key))
            self.tab.wait_for_timeout(60)  # a reader's finger is no faster, and the kernel idle
        if keep:
            self.run.rounds.append(taken)
            self.run.bytes.append((self.tab.evaluate("clock.bytes") - before) / count)

    def storm(self, shots: Path | None = None) -> None:
        """Move the slider up and down five times without waiting for anything."""
        self.tab.bring_to_front()
        self.handle.focus()
        legs = [self.keys(EVENTS // 5) for _ in range(5)]
        keys, handle = [key for leg in legs for key in leg], self.handle.element_handle()
        self.tab.evaluate(
            "([...storm]) => { window.storming = clock.storm(...storm); }", [handle, keys, RATE]
        )
        if not shots:  # asking again and again whether it is over would disturb it
            self.tab.evaluate("window.storming")
        for number in range(5 if shots else 0):
            self.tab.screenshot(path=shots / f"{self.run.variant.key}-storm-{number}.png")
        self.tab.wait_for_function(
            f"performance.now() - Math.max(clock.keys.at(-1), clock.paints.at(-1) ?? 0) > {SETTLED}"
        )
        self.page.wait_until_idle()
        keyed, paints, updates, jumps, content = self.tab.evaluate(
            "async () => { clock.watching = false; return [clock.keys, clock.paints, "
            "clock.updates, clock.jumps, await clock.content()]; }"
        )
        back, forth = ("ArrowLeft", "ArrowRight") if keys[-1] == "ArrowRight" else (
            "ArrowRight", "ArrowLeft")  # fmt: skip
        for key in (back, forth):
            self.press(key)
            self.page.wait_until_idle()
        storm = Storm(
            paints=[paint - keyed[0] for paint in paints],
            last=keyed[-1] - keyed[0],
            updates_after=sum(update > keyed[-1] for update in updates),
            last_shown=content == self.tab.evaluate("clock.content()"),
            jumps=jumps,
        )
        if shots is None:
            self.run.storms.append(storm)
        else:
            self.tab.screenshot(path=shots / f"{self.run.variant.key}-after.png")


def notebook(source: str) -> nbformat.NotebookNode:
    """The cell, and text below it that should stay where it is."""
    cells = [nbformat.v4.new_code_cell(source), nbformat.v4.new_markdown_cell("below the picture")]
    kernel = {"name": "python3", "display_name": "Python 3 (ipykernel)"}
    return nbformat.v4.new_notebook(cells=cells, metadata={"kernelspec": kernel})


def compare(chromium, server, variants, presses: int, shots: Path | None) -> list[Run]:
    """Let the variants take turns; every one has a page and a kernel of its own."""
    lanes = []
    for variant in variants:
        page = open_notebook(chromium, server, f"{variant.key}.ipynb", PAGE)
        page.run_all()
        lane = Lane(page, variant)
        lane.presses(4, keep=False)
        lane.presses(4, keep=False)
        lanes.append(lane)
    for number in range(ROUNDS):
        for lane in lanes[number % len(lanes) :] + lanes[: number % len(lanes)]:
            lane.presses(max(1, presses // ROUNDS))
    for _ in range(STORMS):
        for lane in lanes:
            lane.storm()
    for lane in lanes:
        if shots:
            lane.storm(shots)
        if errors := lane.page.errors():
            raise RuntimeError(f"{lane.run.variant.name}: {errors}")
        lane.tab.close()
    return [lane.run for lane in lanes]


def first_picture(chromium, server, times: int = 5) -> list[tuple[float, float]]:
    """Milliseconds from running the first cell in a fresh kernel to the end of the imports, and
    to the painted picture of the lab."""
    page = open_notebook(chromium, server, FIRST, PAGE)
    taken = []
    for _ in range(times):
        page.tab.evaluate(
            "async () => { const { commands, shell } = window.jupyterapp;"
            "await commands.execute('notebook:clear-all-cell-outputs');"
            "await shell.currentWidget.sessionContext.session.kernel.restart(); }"
        )
        page.wait_until_idle()
        page.tab.wait_for_timeout(1000)
        # the title, the imports, a line of text and the lab
        taken.append(page.tab.evaluate("clock.firstPicture(2, 4, 'img.d2lstab-picture')"))
        page.wait_until_idle()
    page.tab.close()
    return [tuple(pair) for pair in taken]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--presses", type=int, default=60, help="key presses a variant (60)")
    keys = ",".join(variant.key for variant in VARIANTS)
    parser.add_argument("--only", metavar="KEYS", default=keys, help=f"some of {keys}")
    parser.add_argument("--out", type=Path, default=ROOT / "benchmarks/results", metavar="DIR")
    parser.add_argument("--screenshots", type=Path, metavar="DIR", help="of one more storm each")
    arguments = parser.parse_args()
    chosen = [variant for variant in VARIANTS if variant.key in arguments.only.split(",")]
    if find_spec("ipympl") is None:
        print("Left out, because ipympl is not installed: its variant (pip install ipympl).")
        chosen = [variant for variant in chosen if variant.key != "ipympl"]
    for folder in filter(None, (arguments.out, arguments.screenshots)):
        folder.mkdir(parents=True, exist_ok=True)
    with ExitStack() as stack:
        served = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        shutil.copytree(ROOT / "notebooks", served / "notebooks")
        for variant in chosen:
            nbformat.write(notebook(variant.source), served / f"{variant.key}.ipynb")
        server = stack.enter_context(jupyterlab(served))
        chromium = stack.enter_context(browser())
        runs = compare(chromium, server, chosen, arguments.presses, arguments.screenshots)
        first = first_picture(chromium, server)
    print(write(runs, first, arguments.out))


if __name__ == "__main__":
    main()
