"""A reader's hands on a real JupyterLab in a real browser.

Starting JupyterLab, a page and a kernel takes longer than all that is done there, so all tests
share one notebook: a cell for each thing to take hold of, which is run when a test wants it.
"""

import io
import os
import subprocess
import sys
from dataclasses import dataclass

import nbformat
import pytest
from browser import (
    VIEWPORT,
    browser,
    end_process,
    find_browser,
    jupyterlab,
    open_notebook,
)
from PIL import Image

from benchmarks.browser import PAGE, Lane
from benchmarks.variants import Variant

SLIDER_AND_PICTURE = """\
import io
import ipywidgets as widgets
from PIL import Image
depth = widgets.IntSlider(3, 0, 9, description="depth")
gain = widgets.FloatLogSlider(1, min=-1, max=1, step=0.1, description="gain")
reset = widgets.Button(description="Reset")
colour = widgets.Dropdown(options=["red", "blue"], description="colour")
picture = widgets.Image(layout={"width": "200px", "object_fit": "contain"})
def draw(_=None):
    if depth.value == 9:
        raise ValueError("nine is too deep")
    png = io.BytesIO()
    size = (20 + 10 * depth.value, round(30 * gain.value))
    Image.new("RGB", size, colour.value).save(png, "PNG")
    picture.value = png.getvalue()
def start_again(_):
    depth.value, gain.value, colour.value = 3, 1, "red"
for control in (depth, gain, colour):
    control.observe(draw, "value")
reset.on_click(start_again), draw()
widgets.VBox([depth, gain, colour, reset, picture])
"""

SLOW = """\
import io, time
import ipywidgets as widgets
from PIL import Image
gain = widgets.IntSlider(0, 0, 20, description="gain")
picture = widgets.Image(layout={"width": "40px", "height": "40px"})
def draw(_=None):
    time.sleep(0.15)
    png = io.BytesIO()
    Image.new("RGB", (40, 40), (10 * gain.value, 0, 0)).save(png, "PNG")
    picture.value = png.getvalue()
gain.observe(draw, "value"), draw()
widgets.VBox([gain, picture])
"""
SWEEP = """\
import time
from d2lstab.labs.progress import Sweep
sweep, done = Sweep(range(600), "naps"), []
for nap in sweep:
    time.sleep(0.1)
    done.append(nap)
"""


@dataclass(frozen=True)
class Moves:
    """source : shows the lab. slider, menu : labels. option : of the menu, not its first."""

    source: str
    slider: str
    menu: str | None = None
    option: str = ""


SHALLOW = "NetworkSpec(depth=12, width=16, init='normal', gain=1.2)"
LABS = {
    "chain": Moves("labs.ChainLab()", "weight", "dtype", "float16"),
    "cliff": Moves("labs.CliffLab()", "weight w"),
    "gradient": Moves(f"labs.GradientLab({SHALLOW})", "gain", "activation", "sigmoid"),
    "normalization": Moves("labs.NormalizationLab()", "λ (weights)", "norm", "layer"),
    "phase": Moves(f"labs.PhaseLab({SHALLOW})", "gain", "activation", "relu"),
    "recurrent": Moves("labs.RecurrentLab()", "radius ρ", "cell", "GRU"),
    "regions": Moves("labs.regions.RegionsLab()", "stop", "model from", "GA"),
    "regularization": Moves("labs.RegularizationLab()", "noise", "model", "network"),
    "shift": Moves("labs.shift.ShiftLab()", "covariate", "correction", "density ratio"),
}
IMPORTS = """\
import d2lstab.labs.regions
import d2lstab.labs.shift
from d2lstab import NetworkSpec, labs
"""
RELU = "labs.{}(NetworkSpec(depth=12, width=16, activation='relu', init='he'))"
CELLS = {
    "imports": IMPORTS,
    "tiny": SLIDER_AND_PICTURE,
    **{name: f"{name} = {moves.source}\n{name}" for name, moves in LABS.items()},
    "other gradient": f"other_gradient = {RELU.format('GradientLab')}\nother_gradient",
    "other phase": f"other_phase = {RELU.format('PhaseLab')}\nother_phase",
    "sweep": SWEEP,
    "slow": SLOW,
    "failing": "1 / 0",
}


@pytest.fixture(scope="module")
def chromium():
    if find_browser() is None:
        reason = "no Chromium or Chrome found (D2LSTAB_BROWSER may name one)"
        if os.environ.get("D2LSTAB_REQUIRE_BROWSER") == "1":
            pytest.fail(reason)
        pytest.skip(reason)
    with browser() as chromium:
        yield chromium


@pytest.fixture(scope="module")
def server(chromium, tmp_path_factory):
    """A JupyterLab that serves the notebook; below each cell stands a line of text."""
    root = tmp_path_factory.mktemp("lab")
    cells = [nbformat.v4.new_code_cell(source) for source in CELLS.values()]
    notebook = nbformat.v4.new_notebook(cells=[*cells, nbformat.v4.new_markdown_cell("below")])
    notebook.metadata.kernelspec = {"name": "python3", "display_name": "Python 3 (ipykernel)"}
    nbformat.write(notebook, root / "all.ipynb")
    with jupyterlab(root) as server:
        yield server


@pytest.fixture(scope="module")
def page(chromium, server):
    page = open_notebook(chromium, server, "all.ipynb", COUNT_URLS + COUNT_GHOSTS + PAGE)
    page.ran = set()
    return page


def run(page, name):
    """Run the cell of that name, unless it was, and return the page narrowed to it."""
    number = list(CELLS).index(name)
    if name not in page.ran:
        if name != "imports":
            run(page, "imports")
        page.run_cell(number)
        page.ran.add(name)
    cell = page.cell(number)
    if "labs." in CELLS[name] and name != "imports":
        cell.root.locator(PICTURE).first.wait_for()
        cell.wait_until_idle()
    return cell


@pytest.fixture
def cell(page, server):
    """Runs the cell of a name; in the end nothing went wrong, in the page, kernel and server."""
    yield lambda name: run(page, name)
    assert page.errors() == []
    assert_log_is_clean(server)


def assert_log_is_clean(server):
    """Assert that neither the server nor a kernel has logged an error."""
    log = server.log.read_text()
    errors = [line for line in log.splitlines() if "[E " in line or "ERROR" in line]
    assert not errors and "Traceback" not in log, log


PICTURE = ".d2lstab-picture"


def verdict(cell):
    return cell.root.locator(".d2lstab-verdict").inner_text()


def pictures(cell, selector=PICTURE):
    """The pictures as the kernel sent them, once they can be painted, in the order of the page."""
    return cell.root.locator(selector).evaluate_all(
        """async (pictures) => {
            await Promise.all(pictures.map((picture) => picture.decode()));
            const bytes = async ({ src }) => new Uint8Array(await (await fetch(src)).arrayBuffer());
            const all = await Promise.all(pictures.map(bytes));
            return all.map((data) => data.join());
        }"""
    )


def places(cell):
    """Where the pictures are, seen from the lab's corner, and their sizes: layout pixels."""
    corner = cell.root.locator(".d2lstab").bounding_box()
    boxes = [picture.bounding_box() for picture in cell.root.locator(PICTURE).all()]
    return [(b["y"] - corner["y"], b["x"] - corner["x"], b["width"], b["height"]) for b in boxes]


def moved(cell, move):
    """Make a move and wait until the kernel has followed; return pictures and verdict."""
    move()
    cell.wait_until_idle()
    return pictures(cell), verdict(cell)


def test_a_server_that_does_not_stop_by_itself_is_killed():
    deaf = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print(flush=True)"
    command = [sys.executable, "-c", f"{deaf}; time.sleep(60)"]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        process.stdout.readline()
        end_process(process, seconds=0.2)
        assert process.returncode == -9


def test_sliders_a_menu_and_a_button_change_the_painted_picture(cell):
    tiny, image = cell("tiny"), "img.widget-image"
    painted, start = [tiny.picture()], pictures(tiny, image)
    for move in (
        lambda: tiny.slide("depth", 2),
        lambda: tiny.slide("gain", -3),
        lambda: tiny.choose("colour", "blue"),
    ):
        move()
        painted.append(tiny.wait_for_new_picture(painted[-1]))
    assert len(set(painted)) == 4
    tiny.click("Reset")
    tiny.wait_for_new_picture(painted[-1])
    tiny.wait_until_idle()
    assert pictures(tiny, image) == start


@pytest.mark.parametrize("name", LABS)
def test_every_lab_follows_its_sliders_and_menus_and_nothing_jumps(cell, name):
    lab, moves = cell(name), LABS[name]
    seen, at = [(pictures(lab), verdict(lab))], places(lab)
    steps = [lambda: lab.slide_to_end(moves.slider, "End")]
    if name == "regions":  # the trip ends where it began
        steps = [lambda: lab.slide(moves.slider, 3)]
    if moves.menu:
        steps.append(lambda: lab.choose(moves.menu, moves.option))
    for step in steps:
        now = moved(lab, step)
        assert not now[1].startswith("error")
        assert all(now[0][0] != before[0][0] for before in seen)
        assert places(lab) == at
        seen.append(now)
    assert seen[1][1] != seen[0][1]
    if lab.root.get_by_role("button", name="reset").is_visible():
        assert moved(lab, lambda: lab.click("reset")) == seen[0]


@pytest.mark.once
def test_the_other_controls_of_the_gradient_lab_work(cell):
    lab = cell("gradient")
    seen = [pictures(lab)]
    seed = lab.control("seed").locator("input")
    for move in (
        lambda: lab.slide("depth", -3),
        lambda: lab.root.get_by_label("residual").click(),
        lambda: lab.click("new seed"),
        lambda: (seed.fill("99999999999"), seed.press("Enter")),
    ):
        now, _ = moved(lab, move)
        assert now not in seen
        seen.append(now)
    assert seed.input_value() == str(2**32 - 1)
    moved(lab, lambda: lab.slide_to_end("learning rate", "End"))
    assert pictures(lab) == seen[-1]  # it changes the training, not the network
    moved(lab, lambda: lab.click("reset"))
    assert pictures(lab) == seen[0]
    shown = [lab.control(name).locator(".widget-readout").inner_text() for name in (
        "learning rate", "max norm")]  # fmt: skip
    assert shown == ["0.01", "none"]


@pytest.mark.once
def test_training_moves_the_picture_and_stops_when_told(cell):
    lab = cell("gradient")
    moved(lab, lambda: lab.slide_to_end("width", "End"))  # slow enough to be stopped
    before = pictures(lab)
    lab.click("train 100 steps")
    lab.root.locator(".d2lstab-verdict", has_text="loss").wait_for()
    assert pictures(lab) != before
    lab.click("stop")
    lab.root.locator('button:text-is("stop")[disabled]').wait_for()
    steps = int(verdict(lab).split("After ")[1].split()[0])
    assert 1 <= steps < 100 and lab.root.locator("progress, .progress-bar").first.is_visible()
    moved(lab, lambda: lab.click("reset"))
    assert "loss" not in verdict(lab)


@pytest.mark.once
def test_copy_as_pytorch_copies_the_code(cell):
    lab = cell("gradient")
    lab.tab.context.grant_permissions(["clipboard-read", "clipboard-write"])
    lab.click("copy as PyTorch")
    lab.root.locator(".d2lstab-code button").click()
    code = lab.tab.evaluate("navigator.clipboard.readText()")
    assert code == lab.root.locator(".d2lstab-code pre").text_content()
    assert code.startswith("import torch") and compile(code, "copied", "exec")
    lab.click("copy as PyTorch")
    lab.root.locator(".d2lstab-code").wait_for(state="detached")


@pytest.mark.once
def test_two_labs_in_one_notebook_do_not_disturb_each_other(cell):
    upper, lower = cell("gradient"), cell("other gradient")
    start, still = pictures(upper), pictures(lower)
    upper.slide("gain", 8)
    lower.slide("gain", -8)  # while the first one computes
    lower.wait_until_idle()
    assert pictures(upper) != start and pictures(lower) != still
    moved(lower, lambda: lower.click("reset"))
    now = pictures(upper)
    assert now != start and pictures(lower) == still
    moved(upper, lambda: upper.click("reset"))
    assert pictures(upper) == start and pictures(lower) == still


@pytest.mark.once
def test_a_closed_lab_is_off_the_page(cell):
    lab = cell("other gradient")
    kept = lab.tab.evaluate("window.liveUrls")
    lab.execute("other_gradient.close()")
    lab.root.locator(PICTURE).wait_for(state="detached")
    assert lab.tab.evaluate("window.liveUrls") < kept


@pytest.mark.once
def test_a_storm_of_slider_events_ends_at_the_last_value_and_leaves_nothing_behind(cell):
    lab = cell("gradient")
    start = pictures(lab)
    lab.execute("gradient.set(depth=40, gain=1.0)")  # the verdict changes on the way
    lab.wait_until_idle()
    assert verdict(lab).startswith("stable")
    lab.root.locator(PICTURE).evaluate("picture => { picture.id = 'stormy'; }")
    lane = Lane(lab, Variant("labs", "", "", "image", "#stormy"))
    count = "[window.liveUrls, document.querySelectorAll('*').length]"
    before = lab.tab.evaluate(count)
    lane.storm()
    (storm,) = lane.run.storms
    assert verdict(lab).startswith("exploding")
    assert len(storm.paints) >= 4
    assert storm.last_shown
    assert storm.updates_after <= 2  # the one that was on its way, and the last
    assert storm.jumps == []
    moved(lab, lambda: lab.click("reset"))
    assert lab.tab.evaluate(count) == before and pictures(lab) == start


@pytest.mark.once
def test_memory_does_not_grow_with_the_updates(cell):
    lab = cell("gradient")
    session = lab.tab.context.new_cdp_session(lab.tab)
    session.send("Performance.enable")

    def sizes():
        lab.wait_until_idle()
        session.send("HeapProfiler.collectGarbage")
        metrics = session.send("Performance.getMetrics")["metrics"]
        tab = {metric["name"]: metric["value"] for metric in metrics}
        python = lab.execute("gc.collect()", "tracemalloc.get_traced_memory()[0]")
        return python, tab["JSHeapUsedSize"], tab["Nodes"], lab.tab.evaluate("window.liveUrls")

    updates = "for k in range({}): gradient.set(gain=1 + 0.05 * (k % 4))\ngradient.reset()"
    lab.execute("import gc, tracemalloc\ntracemalloc.start()\n" + updates.format(50))
    before = sizes()
    lab.execute(updates.format(80))
    python, heap, nodes, urls = (b - a for a, b in zip(before, sizes(), strict=True))
    lab.execute("tracemalloc.stop()")
    assert python < 200e3  # bytes; one picture has 10 000, and 80 were sent
    assert heap < 4e6
    assert nodes < 200
    assert urls <= 2


DIAGRAM = ".d2lstab-pointed"
# Take the lab out of the page and put it back, then count what its hidden box is told.
REATTACH = """(lab) => {
    const parent = lab.parentNode, next = lab.nextSibling;
    parent.removeChild(lab);
    parent.insertBefore(lab, next);
    window.told = 0;
    lab.addEventListener('change', ({ target }) => {
        window.told += Boolean(target.closest('.d2lstab-pointer'));
    });
}"""


def on_screen(cell, place):
    """Where shares of a diagram's picture are in the window, in pixels."""
    box = cell.root.locator(DIAGRAM).bounding_box()
    return box["x"] + place[0] * box["width"], box["y"] + place[1] * box["height"]


def drag(cell, *places):
    """Drag the mouse over a diagram through places given in shares of its picture."""
    cell.root.locator(DIAGRAM).scroll_into_view_if_needed()
    cell.tab.mouse.move(*on_screen(cell, places[0]))
    cell.tab.mouse.down()
    for place in places[1:]:
        cell.tab.mouse.move(*on_screen(cell, place), steps=8)
    cell.tab.mouse.up()
    settle(cell)


def settle(cell):
    """Wait until the page has told, with its next frame, where the pointer is, and the kernel."""
    cell.tab.evaluate("() => new Promise((end) => requestAnimationFrame(end))")
    cell.wait_until_idle()


def touch(cell, *places):
    """The same with a finger."""
    session = cell.tab.context.new_cdp_session(cell.tab)
    session.send("Emulation.setTouchEmulationEnabled", {"enabled": True})
    for kind, place in zip(["touchStart"] + ["touchMove"] * len(places), places, strict=False):
        x, y = on_screen(cell, place)
        session.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": [{"x": x, "y": y}]})
    session.send("Input.dispatchTouchEvent", {"type": "touchEnd", "touchPoints": []})
    session.send("Emulation.setTouchEmulationEnabled", {"enabled": False})
    settle(cell)


def is_at(cell, place, lab="phase"):
    """Whether the lab's network is where the diagram has this place, within 1 % or a pixel."""
    spec = f"({lab}.spec.gain ** 2, {lab}.spec.bias_std ** 2)"
    found = cell.execute("", f"{spec}, {lab}._phase_figure.variances_at{place}")
    return found[0] == pytest.approx(found[1], rel=0.015, abs=0.01)


@pytest.mark.once
def test_the_dragged_point_of_the_phase_lab_moves_the_sliders_and_the_pictures(cell):
    lab, other = cell("phase"), cell("other phase")
    before, still = pictures(lab), pictures(other)
    drag(lab, (0.15, 0.8), (0.4, 0.2), (0.3, 0.4))
    assert is_at(lab, (0.3, 0.4))
    shown = [lab.control(label).locator(".widget-readout") for label in ("gain", "bias std")]
    said = lab.execute("", "(phase.spec.gain, phase.spec.bias_std)")
    assert [float(readout.inner_text()) for readout in shown] == list(said)
    now = pictures(lab)
    assert now[0] != before[0] and now[1] != before[1] and pictures(other) == still

    drag(lab, (0.8, 0.5), (0.2, 0.5))  # begins outside the diagram
    assert is_at(lab, (0.3, 0.4))
    drag(lab, (0.3, 0.4), (0.98, 1.3))  # leaves it
    assert is_at(lab, (0.98, 1.3))

    lab.root.locator(".d2lstab").evaluate(REATTACH)
    lab.root.locator(DIAGRAM).click(position={"x": 200, "y": 150})
    settle(lab)
    assert lab.tab.evaluate("window.told") == 1

    lab.tab.set_viewport_size({"width": 800, "height": 700})  # the pictures shrink
    drag(lab, (0.15, 0.8), (0.15, 0.5))
    assert lab.root.locator(DIAGRAM).bounding_box()["width"] < 800
    assert is_at(lab, (0.15, 0.5))
    touch(lab, (0.2, 0.6), (0.25, 0.5), (0.35, 0.3))
    assert is_at(lab, (0.35, 0.3)) and pictures(other) == still
    drag(other, (0.1, 0.3), (0.2, 0.3))
    # He's weights have twice the variance
    relu = "2 * other_phase.spec.gain ** 2, other_phase._phase_figure.variances_at(0.2, 0.3)"
    relu = lab.execute("", relu)
    assert relu[0] == pytest.approx(relu[1][0], rel=0.015) and is_at(lab, (0.35, 0.3))
    assert lab.tab.evaluate("window.ghosts") == 0
    lab.tab.set_viewport_size(VIEWPORT)


@pytest.mark.once
def test_the_stop_button_ends_a_sweep_while_its_cell_runs(cell, page):
    number = list(CELLS).index("sweep")
    run(page, "imports")
    page.start_cell(number)
    sweep = page.cell(number)
    sweep.root.locator('.widget-label:has-text("of 600 naps, ")').wait_for()
    sweep.click("Stop")
    sweep.root.locator('button:text-is("Stop")[disabled]').wait_for()
    sweep.wait_until_idle()
    naps, stopped = sweep.execute("", "(len(done), sweep.stopped)")
    assert 1 <= naps < 600 and stopped
    assert f"{naps} of 600 naps" in sweep.root.locator(".jp-OutputArea").first.inner_text()


@pytest.mark.once
def test_the_benchmark_counts_the_time_until_the_picture_is_painted(cell):
    slow = cell("slow")
    slow.root.locator("img.widget-image").evaluate("picture => { picture.id = 'slow'; }")
    lane = Lane(slow, Variant("slow", "", "", "image", "#slow"))
    lane.handle.focus()
    for step in range(1, 3):
        assert 150 <= lane.press("ArrowRight") < 30_000  # milliseconds, 150 of them asleep
        shot = slow.root.locator("img.widget-image").screenshot()
        assert Image.open(io.BytesIO(shot)).convert("RGB").getpixel((20, 20)) == (10 * step, 0, 0)


@pytest.mark.once
def test_restarting_the_kernel_leaves_the_picture_and_says_how_to_revive_it(cell, page):
    lab, other = cell("chain"), cell("regions")
    before, hint = (pictures(lab), pictures(other)), "Run its cell again to revive it"

    def said():
        return [
            one.root.locator(".d2lstab").evaluate(
                "lab => getComputedStyle(lab, '::before').content"
            )
            for one in (lab, other)
        ]

    assert hint not in str(said())
    page.tab.evaluate(
        "() => window.jupyterapp.shell.currentWidget.sessionContext.session.kernel.restart()"
    )
    page.ran.clear()
    page.wait_until_idle()
    lab.root.locator(".d2lstab.jupyter-widgets-disconnected").wait_for()
    other.root.locator(".d2lstab.jupyter-widgets-disconnected").wait_for()
    assert all(hint in text for text in said())
    assert (pictures(lab), pictures(other)) == before
    cell("chain")
    assert hint not in said()[0] and hint in said()[1]
    start = pictures(lab)
    assert moved(lab, lambda: lab.slide("depth", 5))[0] != start
    assert pictures(other) == before[1]


@pytest.mark.once
def test_errors_in_a_callback_and_in_a_cell_are_seen(page):
    """The last test on the page, for its errors stay there."""
    tiny = run(page, "tiny")
    tiny.slide_to_end("depth", "End")
    page.wait_until_idle()
    run(page, "failing")
    for words in ("nine is too deep", "ZeroDivisionError"):
        assert any(words in error for error in page.errors())


COUNT_GHOSTS = """
window.ghosts = 0;  // pictures that the browser began to drag as pictures
window.addEventListener('dragstart', (event) => { window.ghosts += !event.defaultPrevented; });
"""
# Every picture is a blob behind a URL, kept until the URL is revoked.
COUNT_URLS = """
window.liveUrls = 0;
const { createObjectURL, revokeObjectURL } = URL;
URL.createObjectURL = (blob) => { window.liveUrls++; return createObjectURL.call(URL, blob); };
URL.revokeObjectURL = (url) => { window.liveUrls--; revokeObjectURL.call(URL, url); };
"""
