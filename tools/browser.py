"""A real JupyterLab in a real browser, for the browser tests and for screenshots.

with jupyterlab(folder) as server, browser() as chromium:
    page = open_notebook(chromium, server, "00-start-here/1-see-gradients-live.ipynb")
    page.run_all()
    page.slide("depth", 3)
    page.errors()                 # what went wrong in cells, callbacks and the page
"""

import ast
import contextlib
import copy
import hashlib
import json
import os
import secrets
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from dataclasses import dataclass
from pathlib import Path

VIEWPORT = {"width": 1400, "height": 900}
CHROMIUM_FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
# windowingMode "none" renders every cell, not only those in view; without autosave a file that is
# looked at stays as it was.
SETTINGS = {
    "notebook-extension/tracker": {"windowingMode": "none", "scrollPastEnd": False},
    "docmanager-extension/plugin": {"autosave": False},
    "apputils-extension/notification": {"fetchNews": "false", "checkForUpdates": False},
}

# An exception in a widget's callback reaches no cell: it comes as a message of the kernel.
# "No such comm" is none: JupyterLab asks a fresh kernel about widgets that it cannot know.
# What was asked of the kernel is answered when it is idle again in reply to that message.
LISTEN = """() => {
    window.kernelErrors = [];
    window.asked = new Set();
    const { session } = window.jupyterapp.shell.currentWidget.sessionContext;
    session.iopubMessage.connect((_, message) => {
        const content = message.content;
        if (message.header.msg_type === 'error')
            window.kernelErrors.push(content.ename + ': ' + content.evalue);
        const written = message.header.msg_type === 'stream' && content.name === 'stderr';
        if (written && !content.text.startsWith('No such comm'))
            window.kernelErrors.push(content.text);
    });
    session.anyMessage.connect((_, { direction, msg }) => {
        if (direction === 'send' && msg.channel === 'shell') window.asked.add(msg.header.msg_id);
        if (direction === 'recv' && msg.content.execution_state === 'idle')
            window.asked.delete(msg.parent_header.msg_id);
    });
    session.statusChanged.connect((_, status) => {
        if (status.endsWith('restarting')) window.asked.clear();
    });
}"""
# Of a slider's quick moves the next is sent once the last is answered, and a busy page takes a few
# frames to read what has come: both are over after six frames without a question.
AT_REST = """() => {
    const { status } = window.jupyterapp.shell.currentWidget.sessionContext.session.kernel;
    window.restingFrames = window.asked.size || status !== 'idle' ? 0 : window.restingFrames + 1;
    return window.restingFrames > 6;
}"""


def find_browser():
    """Return the path of a Chromium or Chrome, or None; D2LSTAB_BROWSER names another one."""
    names = ("chromium", "chromium-browser", "google-chrome")
    found = (shutil.which(name) for name in names)
    return os.environ.get("D2LSTAB_BROWSER") or next(filter(None, found), None)


@dataclass(frozen=True)
class Server:
    """A running JupyterLab: its address, its token, the log file of it and its kernels."""

    url: str
    token: str
    log: Path


@contextlib.contextmanager
def jupyterlab(root, dark=False):
    """Serve the folder ``root`` with this Python's JupyterLab; the user's own stays as it is."""
    import matplotlib.font_manager  # its cache is made here, not in a notebook that would warn

    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as home, socket.socket() as probe:
        home = Path(home)
        theme = "JupyterLab Dark" if dark else "JupyterLab Light"
        for name, values in {**SETTINGS, "apputils-extension/themes": {"theme": theme}}.items():
            path = home / "settings/@jupyterlab" / f"{name}.jupyterlab-settings"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(json.dumps(values))
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
        probe.close()
        server = Server(f"http://127.0.0.1:{port}", secrets.token_hex(16), home / "server.log")
        command = [sys.executable, "-m", "jupyterlab", "--no-browser", "--allow-root"]
        command += [f"--ServerApp.port={port}", "--ServerApp.port_retries=0"]
        command += [f"--ServerApp.root_dir={Path(root).resolve()}", "--ServerApp.ip=127.0.0.1"]
        command += [
            f"--IdentityProvider.token={server.token}",
            "--LabApp.expose_app_in_browser=True",
        ]
        environment = {
            **os.environ,
            "HOME": str(home),
            "IPYTHONDIR": str(home / "ipython"),
            "JUPYTER_CONFIG_DIR": str(home / "config"),
            "JUPYTER_DATA_DIR": str(home / "data"),
            "JUPYTER_RUNTIME_DIR": str(home / "runtime"),
            "JUPYTERLAB_SETTINGS_DIR": str(home / "settings"),
            "JUPYTERLAB_WORKSPACES_DIR": str(home / "workspaces"),
            "MPLCONFIGDIR": matplotlib.get_cachedir(),
            "PYDEVD_DISABLE_FILE_VALIDATION": "1",  # or a slow kernel's debugger writes a warning
        }
        environment.pop("MPLBACKEND", None)
        with server.log.open("w") as log:
            process = subprocess.Popen(command, env=environment, stdout=log, stderr=log)
        try:
            _wait_until_up(process, server)
            yield server
        finally:
            end_process(process)


def end_process(process, seconds=30):
    """End a process, by force where it does not end by itself.

    A server waits for its kernels, and on a busy machine they take their time. They see that it is
    gone and end too.
    """
    process.terminate()
    try:
        process.wait(seconds)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _wait_until_up(process, server, seconds=60):
    request = urllib.request.Request(f"{server.url}/api/status?token={server.token}")
    direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline and process.poll() is None:
        with contextlib.suppress(urllib.error.URLError, ConnectionError):
            return direct.open(request, timeout=5).close()
        time.sleep(0.2)
    raise RuntimeError(f"JupyterLab did not start within {seconds} s:\n{server.log.read_text()}")


@contextlib.contextmanager
def browser():
    """Start a headless Chromium."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=find_browser(), args=CHROMIUM_FLAGS)
        yield chromium
        chromium.close()


def open_notebook(chromium, server, path, script=""):
    """Open the notebook at ``path`` (relative to the server's root) and wait for its kernel.

    script : JavaScript that runs in the page before anything else does.
    """
    tab = chromium.new_page(viewport=VIEWPORT)
    if script:
        tab.add_init_script(script)
    notebook = NotebookPage(tab)
    tab.goto(f"{server.url}/lab/tree/{path}?reset&token={server.token}")
    tab.wait_for_selector(".jp-Notebook .jp-Cell", timeout=60_000)
    tab.wait_for_function(
        "() => window.jupyterapp?.shell.currentWidget?.sessionContext?.session?.kernel"
        "?.status === 'idle'",
        timeout=60_000,
    )
    tab.evaluate("() => window.jupyterapp.shell.collapseLeft()")
    tab.evaluate(LISTEN)
    return notebook


class NotebookPage:
    """One open notebook; ``tab`` is playwright's page, for everything that has no method here.

    ``root`` is where the widgets are looked for: all of the page, or one cell of it.
    """

    def __init__(self, tab):
        self.tab = self.root = tab
        self._page_errors = []
        tab.on("pageerror", lambda error: self._page_errors.append(str(error)))

    def cell(self, number):
        """Return the page with its widgets looked for in one cell only; cells count from 0."""
        part = copy.copy(self)
        part.root = self.tab.locator(".jp-Notebook .jp-Cell").nth(number)
        return part

    def run_cell(self, number, seconds=120):
        """Run one cell and wait until it is done."""
        self.start_cell(number)
        self.tab.wait_for_function("() => window.allRun", timeout=seconds * 1000)
        self.wait_until_idle(seconds)

    def start_cell(self, number):
        """Run one cell without waiting for it."""
        self.tab.evaluate(
            "number => { window.jupyterapp.shell.currentWidget.content.activeCellIndex = number; }",
            number,
        )
        self._start("notebook:run-cell")

    def _start(self, command):
        self.tab.evaluate(
            """command => {
                window.allRun = false;
                const done = () => { window.allRun = true; };
                window.jupyterapp.commands.execute(command).then(done, done);
            }""",
            command,
        )

    def run_all(self, seconds=300):
        """Run all cells and wait until the kernel is idle again."""
        self._start("notebook:run-all-cells")
        self.tab.wait_for_function("() => window.allRun", timeout=seconds * 1000)
        self.wait_until_idle(seconds)

    def wait_until_idle(self, seconds=60):
        """Wait until the kernel has answered all that the page has sent it, and the page shows it.

        A training goes on after that: the message that began it is answered at once.
        """
        self.tab.evaluate("window.restingFrames = 0")
        self.tab.wait_for_function(AT_REST, timeout=seconds * 1000)

    def errors(self):
        """Return what went wrong so far: in outputs, in callbacks, in scripts of the page."""
        outputs = self.root.locator(
            '.jp-OutputArea [data-mime-type="application/vnd.jupyter.stderr"],'
            '.jp-OutputArea [data-mime-type="application/vnd.jupyter.error"]'
        )
        return [*outputs.all_inner_texts(), *self.tab.evaluate("kernelErrors"), *self._page_errors]

    def control(self, label, number=0):
        """Return the widget (slider, menu, box) whose description is ``label``.

        number : which of several, counted from the top.
        """
        text = self.tab.locator(f'.widget-label:text-is("{label}")')
        return self.root.locator(".widget-inline-hbox").filter(has=text).nth(number)

    def slide(self, label, steps, number=0):
        """Move a slider by pressing the right arrow key ``steps`` times (left if negative)."""
        self.control(label, number).locator(".noUi-handle").focus()
        for _ in range(abs(steps)):
            self.tab.keyboard.press("ArrowRight" if steps > 0 else "ArrowLeft")

    def slide_to_end(self, label, end):
        """Move a slider to its "Home" or its "End", by that key."""
        self.control(label).locator(".noUi-handle").press(end)

    def execute(self, code, value="None"):
        """Run code in the kernel, not in a cell; return the expression ``value`` after it."""
        return ast.literal_eval(
            self.tab.evaluate(
                """async ([code, value]) => {
                    const { kernel } = window.jupyterapp.shell.currentWidget.sessionContext.session;
                    const request = { code, store_history: false, user_expressions: { value } };
                    const { content } = await kernel.requestExecute(request).done;
                    return content.user_expressions.value.data["text/plain"];
                }""",
                [code, value],
            )
        )

    def choose(self, label, option):
        """Choose an option of a dropdown menu."""
        self.control(label).locator("select").select_option(option)

    def click(self, label):
        """Click the widget button with that label."""
        self.root.locator(f'button.widget-button:text-is("{label}")').first.click()

    def picture(self, selector="img.widget-image"):
        """Return a fingerprint of the painted pixels of the first image at ``selector``."""
        image = self.root.locator(selector).first
        image.evaluate("image => image.decode()")  # until then the browser paints the one before
        return hashlib.sha256(image.screenshot()).hexdigest()

    def wait_for_new_picture(self, before, selector="img.widget-image", seconds=30):
        """Wait until the picture differs from the fingerprint ``before``; return the new one."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            if (now := self.picture(selector)) != before:
                return now
            self.tab.wait_for_timeout(100)
        raise AssertionError(f"the picture at {selector} is still the same after {seconds} s")

    def screenshot_pages(self, folder, name):
        """Save the whole notebook as PNG files, one for each screenful; return their paths."""
        scroller = self.tab.locator(".jp-WindowedPanel-outer").first
        height, total = scroller.evaluate("e => [e.clientHeight, e.scrollHeight]")
        paths = []
        for number, top in enumerate(range(0, total, height - 40), 1):
            scroller.evaluate("(e, top) => e.scrollTo(0, top)", top)
            self.tab.wait_for_timeout(300)
            paths.append(Path(folder) / f"{name}-{number:02d}.png")
            self.tab.screenshot(path=paths[-1])
            if top + height >= total:
                break
        return paths
