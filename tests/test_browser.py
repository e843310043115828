"""A reader's hands on a real JupyterLab in a real browser."""

import io
import os
import shutil
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest
from browser import browser, end_process, find_browser, jupyterlab, open_notebook
from PIL import Image

from benchmarks.browser import PAGE, Lane
from benchmarks.variants import Variant

NOTEBOOKS = Path(__file__).resolve().parent.parent / "notebooks"

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

LABS = """\
import gc
from matplotlib.figure import Figure
from d2lstab import NetworkSpec
from d2lstab.labs import GradientLab
class PickyLab(GradientLab):
    def show(self, values):
        if values["depth"] == 14:
            raise RuntimeError("fourteen is one too many")
        return super().show(values)
def figures():
    gc.collect()
    return sum(type(thing) is Figure for thing in gc.get_objects())
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
UPPER = "upper = PickyLab(NetworkSpec(depth=12, width=16))\nupper"
LOWER = 'lower = PickyLab(NetworkSpec(depth=12, width=16, activation="relu"))\nlower'


PHASE_LABS = """\
from d2lstab import NetworkSpec
from d2lstab.labs import PhaseLab
upper = PhaseLab(NetworkSpec(depth=12, width=16, init="normal", gain=1.2, bias_std=0.1))
lower = PhaseLab(NetworkSpec(depth=12, width=16, activation="relu", init="he"))
def variances(lab):
    return lab.spec.gain ** 2, lab.spec.bias_std ** 2
"""


SWEEP = """\
import time
from d2lstab.labs.progress import Sweep
sweep, done = Sweep(range(600), "naps"), []
for nap in sweep:
    time.sleep(0.1)
    done.append(nap)
"""


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
    """A JupyterLab that serves a copy of the notebooks and some tiny ones."""
    root = tmp_path_factory.mktemp("lab")
    ignore = shutil.ignore_patterns(".ipynb_checkpoints")
    shutil.copytree(NOTEBOOKS, root / "notebooks", ignore=ignore)
    own = {"tiny": [SLIDER_AND_PICTURE], "failing": ["1 / 0"], "slow": [SLOW]}
    own["labs"] = [LABS, UPPER, LOWER]
    own["sweep"] = [SWEEP]
    own["chain"] = ["from d2lstab.labs import ChainLab", "ChainLab()"]
    own["phase"] = [PHASE_LABS, "upper", "lower"]
    own["shift"] = ["from d2lstab.labs.shift import ShiftLab", "lab = ShiftLab()\nlab"]
    for name, sources in own.items():
        cells = [nbformat.v4.new_code_cell(source) for source in sources]
        cells.append(nbformat.v4.new_markdown_cell("below"))
        notebook = nbformat.v4.new_notebook(cells=cells)
        notebook.metadata.kernelspec = {"name": "python3", "display_name": "Python 3 (ipykernel)"}
        nbformat.write(notebook, root / f"{name}.ipynb")
    with jupyterlab(root) as server:
        yield server


def assert_log_is_clean(server):
    """Assert that neither the server nor a kernel has logged an error."""
    log = server.log.read_text()
    errors = [line for line in log.splitlines() if "[E " in line or "ERROR" in line]
    assert not errors and "Traceback" not in log, log


def test_a_server_that_does_not_stop_by_itself_is_killed():
    deaf = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print(flush=True)"
    command = [sys.executable, "-c", f"{deaf}; time.sleep(60)"]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        process.stdout.readline()
        end_process(process, seconds=0.2)
        assert process.returncode == -9


def test_sliders_a_menu_and_a_button_change_the_picture(chromium, server):
    page = open_notebook(chromium, server, "tiny.ipynb")
    page.run_all()
    pictures = [page.picture()]
    for move in (
        lambda: page.slide("depth", 2),
        lambda: page.slide("gain", -3),
        lambda: page.choose("colour", "blue"),
    ):
        move()
        page.wait_until_idle()
        pictures.append(page.wait_for_new_picture(pictures[-1]))
    assert len(set(pictures)) == 4
    page.click("Reset")
    page.wait_for_new_picture(pictures[-1])
    page.wait_until_idle()
    assert page.picture() == pictures[0]
    assert page.errors() == []
    assert_log_is_clean(server)


@pytest.mark.once
def test_an_error_in_a_callback_is_seen(chromium, server):
    page = open_notebook(chromium, server, "tiny.ipynb")
    page.run_all()
    page.slide("depth", 6)
    page.wait_until_idle()
    assert any("nine is too deep" in error for error in page.errors())


@pytest.mark.once
def test_an_error_in_a_cell_is_seen(chromium, server):
    page = open_notebook(chromium, server, "failing.ipynb")
    page.run_all()
    assert any("ZeroDivisionError" in error for error in page.errors())


LAB = "notebooks/01-gradient-problems/4-turn-the-knobs.ipynb"
PICTURE = ".d2lstab-picture"


def verdict(page):
    return page.tab.locator(".d2lstab-verdict").first.inner_text()


def moved(page, move):
    """Make a move and wait for the picture that it leads to; return picture and verdict."""
    before = page.picture(PICTURE)
    move()
    page.wait_for_new_picture(before, PICTURE)
    page.wait_until_idle()
    return page.picture(PICTURE), verdict(page)


@pytest.fixture(scope="module")
def lab(chromium, server):
    """The gradient lab in its lesson, all cells run."""
    page = open_notebook(chromium, server, LAB)
    page.run_all()
    return page


def test_every_slider_and_menu_of_the_gradient_lab_changes_its_picture(lab, server):
    seen = [lab.picture(PICTURE)]
    for move in (
        lambda: lab.slide("depth", -20),
        lambda: lab.slide("width", 5),
        lambda: lab.slide("gain", 10),
        lambda: lab.slide("bias std", 3),
        lambda: lab.choose("activation", "sigmoid"),
        lambda: lab.choose("init", "he"),
        lambda: lab.choose("norm", "layer"),
        lambda: lab.tab.get_by_label("residual").first.click(),
        lambda: lab.slide("dropout", 2),
        lambda: lab.click("new seed"),
    ):
        picture, words = moved(lab, move)
        assert picture not in seen
        assert words.split()[0] in {"stable", "vanishing", "exploding", "dead", "saturated"}
        seen.append(picture)
    picture, words = moved(lab, lambda: lab.click("reset"))
    assert picture == seen[0] and words.startswith("stable")
    assert lab.errors() == []
    assert_log_is_clean(server)


@pytest.mark.once
def test_the_ends_of_the_gradient_labs_sliders_are_shown_and_named(lab):
    _, words = moved(lab, lambda: lab.slide("gain", 80))
    assert words.startswith(("exploding", "dead"))
    _, words = moved(lab, lambda: lab.choose("activation", "relu"))
    assert words.startswith("exploding") and "Inf or NaN from layer" in words
    _, words = moved(lab, lambda: (lab.choose("init", "book"), lab.slide("gain", -150)))
    assert words.startswith("vanishing") and "exactly 0 from layer" in words
    moved(lab, lambda: lab.click("reset"))
    assert lab.errors() == []


@pytest.mark.once
def test_training_moves_the_picture_and_stops_when_told(lab):
    progress = lab.tab.locator(".d2lstab progress, .d2lstab .progress-bar").first
    before = lab.picture(PICTURE)
    lab.slide("width", 100)  # slow enough to be stopped
    lab.wait_for_new_picture(before, PICTURE)
    lab.wait_until_idle()
    lab.click("train 100 steps")
    lab.tab.wait_for_function(
        "document.querySelector('.d2lstab-verdict').innerText.includes('loss')"
    )
    lab.click("stop")
    lab.tab.wait_for_selector('button:text-is("stop")[disabled]', timeout=20_000)
    steps = int(verdict(lab).split("After ")[1].split()[0])
    assert 1 <= steps < 100 and progress.is_visible()
    moved(lab, lambda: lab.click("reset"))
    assert "loss" not in verdict(lab) and lab.errors() == []


@pytest.mark.once
def test_the_stop_button_ends_a_sweep_while_its_cell_runs(chromium, server):
    page = open_notebook(chromium, server, "sweep.ipynb")
    page.tab.evaluate("void window.jupyterapp.commands.execute('notebook:run-all-cells')")
    page.tab.wait_for_selector('.widget-label:has-text("of 600 naps, ")', timeout=60_000)
    page.click("Stop")
    page.tab.wait_for_selector('button:text-is("Stop")[disabled]', timeout=20_000)
    page.wait_until_idle()
    naps, stopped = page.execute("", "(len(done), sweep.stopped)")
    assert 1 <= naps < 600 and stopped
    assert f"{naps} of 600 naps" in page.tab.locator(".jp-OutputArea").first.inner_text()
    assert page.errors() == []
    assert_log_is_clean(server)


@pytest.mark.once
def test_copy_as_pytorch_copies_the_code(lab):
    lab.tab.context.grant_permissions(["clipboard-read", "clipboard-write"])
    lab.click("copy as PyTorch")
    lab.tab.locator(".d2lstab-code button").first.click()
    code = lab.tab.evaluate("navigator.clipboard.readText()")
    assert code == lab.tab.locator(".d2lstab-code pre").first.text_content()
    assert code.startswith("import torch") and compile(code, "copied", "exec")
    lab.click("copy as PyTorch")
    lab.tab.wait_for_selector(".d2lstab-code", state="detached")


@pytest.mark.once
def test_the_chain_lab_follows_its_sliders_in_the_browser(chromium, server):
    page = open_notebook(chromium, server, "chain.ipynb")
    page.run_all()
    assert "within range" in verdict(page)
    moved(page, lambda: page.slide("depth", 50))
    assert "zero from layer 65" in verdict(page)
    _, words = moved(page, lambda: page.choose("dtype", "float16"))
    assert "zero from layer 11" in words
    # 6^6 = 46656 < 65504 < 6^7; 0.05^6 = 1.6e-8 is less than half of the smallest float16
    for end, shown, words in (
        ("End", "6", "Inf from layer 7"),
        ("Home", "0.05", "zero from layer 6"),
    ):
        assert words in moved(page, lambda end=end: page.slide_to_end("weight", end))[1]
        assert page.control("weight").locator(".widget-readout").inner_text() == shown
    assert page.errors() == []


def ends_of(page, label):
    """What the slider shows at its two ends, and whether the lab has named an error there."""
    shown = []
    for end in ("Home", "End"):
        page.slide_to_end(label, end)
        page.wait_until_idle()
        shown.append(page.control(label).locator(".widget-readout").inner_text())
        assert not verdict(page).startswith("error")
    return shown


@pytest.mark.once
def test_the_other_sliders_of_the_gradient_lab_go_to_both_their_ends(lab):
    moved(lab, lambda: lab.slide("depth", -40))  # a wide network of depth 50 takes its time
    seen = [lab.picture(PICTURE)]
    for label, ends in {
        "width": ["8", "512"], "bias std": ["0", "2"], "dropout": ["0", "0.95"],
    }.items():  # fmt: skip
        assert ends_of(lab, label) == ends
        assert lab.picture(PICTURE) not in seen
        seen.append(lab.picture(PICTURE))
    assert ends_of(lab, "max norm") == ["0.1", "none"]
    moved(lab, lambda: lab.click("reset"))
    seed = lab.control("seed").locator("input")
    moved(lab, lambda: (seed.fill("99999999999"), seed.press("Enter")))
    assert seed.input_value() == str(2**32 - 1)
    moved(lab, lambda: (seed.fill("0"), seed.press("Enter")))
    still = lab.picture(PICTURE)
    assert ends_of(lab, "learning rate") == ["0.0001", "10"]
    assert lab.picture(PICTURE) == still  # it changes the training, not the network
    assert lab.errors() == []


@pytest.fixture(scope="module")
def labs(chromium, server):
    """Two gradient labs in one notebook, watched by the benchmark's page script."""
    page = open_notebook(chromium, server, "labs.ipynb", COUNT_URLS + PAGE)
    page.run_all()
    page.tab.wait_for_function(f"document.querySelectorAll('{PICTURE}').length === 2")
    page.wait_until_idle()
    return page


COUNT_GHOSTS = """
window.ghosts = 0;  // pictures that the browser began to drag as pictures
window.addEventListener('dragstart', (event) => { window.ghosts += !event.defaultPrevented; });
"""
# Take the first lab out of the page and put it back, then count what its hidden box is told.
REATTACH = """() => {
    const lab = document.querySelector('.d2lstab-pointed').closest('.d2lstab');
    const parent = lab.parentNode, next = lab.nextSibling;
    parent.removeChild(lab);
    parent.insertBefore(lab, next);
    window.told = 0;
    lab.addEventListener('change', ({ target }) => {
        window.told += Boolean(target.closest('.d2lstab-pointer'));
    });
}"""
DIAGRAM = ".d2lstab-pointed"


def on_screen(page, place, number=0):
    """Where shares of a diagram's picture are in the window, in pixels."""
    box = page.tab.locator(DIAGRAM).nth(number).bounding_box()
    return box["x"] + place[0] * box["width"], box["y"] + place[1] * box["height"]


def drag(page, *places, number=0):
    """Drag the mouse over a diagram through places given in shares of its picture."""
    page.tab.locator(DIAGRAM).nth(number).scroll_into_view_if_needed()
    page.tab.mouse.move(*on_screen(page, places[0], number))
    page.tab.mouse.down()
    for place in places[1:]:
        page.tab.mouse.move(*on_screen(page, place, number), steps=8)
    page.tab.mouse.up()
    page.wait_until_idle()


def touch(page, *places):
    """The same with a finger."""
    session = page.tab.context.new_cdp_session(page.tab)
    session.send("Emulation.setTouchEmulationEnabled", {"enabled": True})
    for kind, place in zip(["touchStart"] + ["touchMove"] * len(places), places, strict=False):
        x, y = on_screen(page, place)
        session.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": [{"x": x, "y": y}]})
    session.send("Input.dispatchTouchEvent", {"type": "touchEnd", "touchPoints": []})
    session.send("Emulation.setTouchEmulationEnabled", {"enabled": False})
    page.wait_until_idle()


def is_at(page, place, lab="upper"):
    """Whether the lab's network is where the diagram has this place, within 1 % or a pixel."""
    found = page.execute("", f"variances({lab}), {lab}._phase_figure.variances_at{place}")
    return found[0] == pytest.approx(found[1], rel=0.015, abs=0.01)


@pytest.mark.once
def test_the_dragged_point_of_the_phase_lab_moves_the_sliders_and_the_pictures(chromium, server):
    page = open_notebook(chromium, server, "phase.ipynb", COUNT_GHOSTS)
    page.run_all()
    page.tab.wait_for_function(f"document.querySelectorAll('{DIAGRAM}').length === 2")
    page.tab.wait_for_timeout(500)
    before, others = all_pictures(page), page.execute("", "variances(lower)")
    drag(page, (0.15, 0.8), (0.4, 0.2), (0.3, 0.4))
    assert is_at(page, (0.3, 0.4))
    shown = [page.control(label).locator(".widget-readout") for label in ("gain", "bias std")]
    said = page.execute("", "(upper.spec.gain, upper.spec.bias_std)")
    assert [float(readout.inner_text()) for readout in shown] == list(said)
    now = all_pictures(page)
    assert now[0] != before[0] and now[1] != before[1] and now[2:] == before[2:]
    assert "Theory" in verdict(page)

    drag(page, (0.8, 0.5), (0.2, 0.5))  # begins outside the diagram
    assert is_at(page, (0.3, 0.4))
    drag(page, (0.3, 0.4), (0.98, 1.3))  # leaves it
    assert is_at(page, (0.98, 1.3))
    assert page.execute("", "variances(lower)") == others

    page.tab.evaluate(REATTACH)
    page.tab.locator(DIAGRAM).first.click(position={"x": 200, "y": 150})
    page.wait_until_idle()
    assert page.tab.evaluate("window.told") == 1

    page.tab.set_viewport_size({"width": 800, "height": 700})  # the pictures shrink
    drag(page, (0.15, 0.8), (0.15, 0.5))
    assert page.tab.locator(DIAGRAM).first.bounding_box()["width"] < 800
    assert is_at(page, (0.15, 0.5))
    touch(page, (0.2, 0.6), (0.25, 0.5), (0.35, 0.3))
    assert is_at(page, (0.35, 0.3))
    drag(page, (0.1, 0.3), (0.2, 0.3), number=1)
    # He's weights have twice the variance
    relu = page.execute("", "2 * lower.spec.gain ** 2, lower._phase_figure.variances_at(0.2, 0.3)")
    assert relu[0] == pytest.approx(relu[1][0], rel=0.015) and is_at(page, (0.35, 0.3))
    assert page.tab.evaluate("window.ghosts") == 0 and page.errors() == []
    assert_log_is_clean(server)


@pytest.mark.once
def test_the_shift_lab_shows_the_fall_and_the_recovery_and_its_layout_stays(chromium, server):
    page = open_notebook(chromium, server, "shift.ipynb")
    page.run_all()
    tops = set()

    def said(move):
        _, words = moved(page, move)
        tops.add(page.tab.locator(PICTURE).first.bounding_box()["y"])
        return words

    assert verdict(page).startswith("no shift")
    words = said(lambda: page.slide("covariate", 6))
    assert words.startswith("covariate shift") and "76% on the source" in words
    assert "56% on the target" in words and "an alarm" in words
    assert "56% → 89%" in said(lambda: page.choose("correction", "density ratio"))
    assert "Too little overlap" in said(lambda: page.slide_to_end("covariate", "End"))
    assert said(lambda: page.slide_to_end("concept", "End")).startswith("mixed shift")
    assert said(lambda: page.slide_to_end("size", "Home")).startswith("mixed shift")
    words = said(lambda: page.click("nobody can see it"))
    assert words.startswith("concept shift") and "only a false one could come" in words
    assert said(lambda: page.click("reset")).startswith("no shift")
    for detector in ("KS + Bonferroni", "classifier", "black box"):
        assert f"{detector}: p = " in said(
            lambda detector=detector: page.choose("detector", detector)
        )
    assert len(tops) == 1
    assert page.errors() == []
    assert_log_is_clean(server)


# Every picture is a blob behind a URL, kept until the URL is revoked.
COUNT_URLS = """
window.liveUrls = 0;
const { createObjectURL, revokeObjectURL } = URL;
URL.createObjectURL = (blob) => { window.liveUrls++; return createObjectURL.call(URL, blob); };
URL.revokeObjectURL = (url) => { window.liveUrls--; revokeObjectURL.call(URL, url); };
"""


def all_verdicts(page):
    return page.tab.locator(".d2lstab-verdict").all_inner_texts()


def all_pictures(page):
    """Fingerprints of the pictures as the kernel sent them, in the order of the page."""
    return page.tab.evaluate(
        """async (selector) => {
            const bytes = async ({ src }) => new Uint8Array(await (await fetch(src)).arrayBuffer());
            const all = [...document.querySelectorAll(selector)].map(bytes);
            return (await Promise.all(all)).map((data) => data.join());
        }""",
        PICTURE,
    )


@pytest.mark.once
def test_two_labs_in_one_notebook_do_not_disturb_each_other(labs):
    before = all_pictures(labs), all_verdicts(labs)
    labs.slide("gain", 8, number=1)
    labs.wait_until_idle()
    (upper, lower), (upper_says, lower_says) = all_pictures(labs), all_verdicts(labs)
    assert (upper, upper_says) == (before[0][0], before[1][0])
    assert lower != before[0][1] and lower_says != before[1][1]
    labs.slide("gain", -8, number=0)
    labs.wait_until_idle()
    assert all_pictures(labs)[1] == lower and all_verdicts(labs)[1] == lower_says
    assert all_pictures(labs)[0] != upper
    labs.slide("gain", 8, number=0)
    labs.slide("gain", -8, number=1)
    labs.wait_until_idle()
    assert (all_pictures(labs), all_verdicts(labs)) == before
    assert labs.errors() == []


@pytest.mark.once
def test_an_error_in_a_callback_is_shown_in_the_lab_and_the_next_move_works(labs):
    before = all_pictures(labs)
    labs.slide("depth", 2)
    labs.wait_until_idle()
    assert all_verdicts(labs)[0] == "error RuntimeError: fourteen is one too many"
    labs.slide("depth", 1)
    labs.wait_until_idle()
    assert not all_verdicts(labs)[0].startswith("error")
    assert all_pictures(labs)[0] != before[0]
    labs.slide("depth", -3)
    labs.wait_until_idle()
    assert all_pictures(labs) == before
    assert labs.errors() == []


@pytest.mark.once
def test_a_storm_of_slider_events_ends_at_the_last_value_and_nothing_jumps(labs, server):
    labs.execute("upper.set(depth=40)")  # deep enough that the verdict changes on the way
    lane = Lane(labs, Variant("labs", "", "", "image", PICTURE))
    assert verdict(labs).startswith("stable")
    lane.storm()
    (storm,) = lane.run.storms
    assert verdict(labs).startswith("exploding")
    labs.execute("upper.reset()")
    assert len(storm.paints) >= 4
    assert storm.last_shown
    assert storm.updates_after <= 2  # the one that was on its way, and the last
    assert storm.jumps == []
    assert labs.errors() == []
    assert_log_is_clean(server)


@pytest.mark.once
def test_memory_does_not_grow_with_the_updates(labs):
    tab, session = labs.tab, labs.tab.context.new_cdp_session(labs.tab)
    session.send("Performance.enable")

    def sizes():
        labs.wait_until_idle()
        tab.wait_for_timeout(500)
        session.send("HeapProfiler.collectGarbage")
        metrics = session.send("Performance.getMetrics")["metrics"]
        page = {metric["name"]: metric["value"] for metric in metrics}
        python = labs.execute("gc.collect()", "tracemalloc.get_traced_memory()[0]")
        return python, page["JSHeapUsedSize"], page["Nodes"], tab.evaluate("window.liveUrls")

    updates = "for k in range({}): upper.set(gain=1 + 0.05 * (k % 4))\nupper.reset()"
    labs.execute("import tracemalloc\ntracemalloc.start()\n" + updates.format(50))
    before = sizes()
    labs.execute(updates.format(80))
    python, heap, nodes, urls = (b - a for a, b in zip(before, sizes(), strict=True))
    labs.execute("tracemalloc.stop()")
    assert python < 200e3  # bytes; one picture has 10 000, and 80 were sent
    assert heap < 4e6
    assert nodes < 200
    assert urls <= 2


@pytest.mark.once
def test_closing_a_lab_takes_it_off_the_page_and_frees_its_figure(labs):
    before = labs.execute("", "figures()")
    kept = labs.tab.evaluate("window.liveUrls")
    labs.execute("upper.close()")  # IPython's Out still holds the lab itself
    labs.wait_until_idle()
    assert labs.execute("", "figures()") == before - 1
    assert labs.tab.locator(PICTURE).count() == 1
    assert labs.tab.evaluate("window.liveUrls") < kept
    labs.slide("gain", 2)
    labs.wait_until_idle()
    assert labs.errors() == []


@pytest.mark.once
def test_restarting_the_kernel_leaves_the_picture_and_says_how_to_revive_it(labs):
    labs.run_all()
    labs.tab.wait_for_function(f"document.querySelectorAll('{PICTURE}').length === 2")
    labs.wait_until_idle()
    before = all_pictures(labs)
    hint = "Run its cell again to revive it"
    said = """() => [...document.querySelectorAll('.d2lstab')]
        .map((lab) => getComputedStyle(lab, '::before').content)"""
    assert hint not in str(labs.tab.evaluate(said))
    labs.tab.evaluate(
        "() => window.jupyterapp.shell.currentWidget.sessionContext.session.kernel.restart()"
    )
    labs.wait_until_idle()
    labs.tab.wait_for_function("document.querySelector('.d2lstab.jupyter-widgets-disconnected')")
    assert all(hint in text for text in labs.tab.evaluate(said))
    assert all_pictures(labs) == before
    labs.run_all()
    labs.tab.wait_for_function(f"document.querySelectorAll('{PICTURE}').length === 2")
    labs.wait_until_idle()
    assert hint not in str(labs.tab.evaluate(said))
    assert all_pictures(labs) == before
    labs.slide("gain", 2)
    labs.wait_until_idle()
    assert all_pictures(labs)[0] != before[0]


@pytest.mark.once
def test_the_benchmark_counts_the_time_until_the_picture_is_painted(chromium, server):
    page = open_notebook(chromium, server, "slow.ipynb", PAGE)
    page.run_all()
    lane = Lane(page, Variant("slow", "", "", "image", "img.widget-image"))
    lane.handle.focus()
    for step in range(1, 4):
        assert 150 <= lane.press("ArrowRight") < 30_000  # milliseconds, 150 of them asleep
        shot = page.tab.locator("img.widget-image").screenshot()
        assert Image.open(io.BytesIO(shot)).convert("RGB").getpixel((20, 20)) == (10 * step, 0, 0)
    assert page.errors() == []
