"""What every lab is made of: controls, a verdict, a live picture, and one update at a time."""

import contextlib
import html
import os
import threading
from collections.abc import Iterator

import ipywidgets as widgets
import torch

from d2lstab.labs.controls import place
from d2lstab.labs.picture import LivePicture, Pictured

# The browser alone knows how many pixels its screen has: when the style sheet is there, it writes
# that number into the lab's hidden box, as a reader would.
_TELL_DENSITY = (
    "const style = this; (function tell(tries) {"
    " const box = style.closest('.d2lstab')?.querySelector('.d2lstab-density input');"
    " if (!box) { if (tries) setTimeout(tell, 50, tries - 1); return; }"
    " box.value = window.devicePixelRatio;"
    " box.dispatchEvent(new Event('change', {bubbles: true})); })(100)"
)
STYLE = (
    f'<style onload="{_TELL_DENSITY}">'
    + """
.d2lstab { max-width: 1104px; overflow: hidden; }
.d2lstab.jupyter-widgets-disconnected::before { padding: 4px 0; color: #c62828; font-weight: bold;
  content: "This lab's kernel is gone. Run its cell again to revive it."; }
.d2lstab .jupyter-widgets-disconnected::before { content: none; }
.d2lstab .jupyter-widgets-disconnected:not(.d2lstab-picture) { opacity: 0.8; pointer-events: none; }
.d2lstab-picture { align-self: flex-start; max-width: 100%; height: auto; margin: 0; }
[data-jp-theme-light="false"] .d2lstab-picture { filter: invert(0.93) hue-rotate(180deg); }
.d2lstab-pointed { user-select: none; -webkit-user-drag: none; }
.d2lstab-verdict { color: var(--jp-ui-font-color1, #222); line-height: 1.45; min-height: 3.2em; }
.d2lstab-three-lines .d2lstab-verdict { min-height: 4.7em; }
.d2lstab-verdict .widget-html-content { line-height: 1.45; }
.d2lstab-verdict b { padding: 1px 8px; border-radius: 9px; color: #fff; margin-right: 4px; }
.d2lstab-verdict code { font-size: 92%; }
.d2lstab-stable { background: #2a7d3a; } .d2lstab-vanishing { background: #1f5fa8; }
.d2lstab-exploding { background: #c62828; } .d2lstab-dead { background: #5a5a5a; }
.d2lstab-saturated { background: #a85a00; } .d2lstab-error { background: #7a1fa2; }
.d2lstab-code { position: relative; border: 1px solid var(--jp-border-color2, #ccc); }
.d2lstab-code pre { margin: 0; padding: 8px; max-height: 320px; overflow: auto; font-size: 12px;
  line-height: 1.35; color: var(--jp-ui-font-color1, #222); }
.d2lstab-code button { position: absolute; right: 12px; top: 6px; cursor: pointer; }
</style>"""
)


class _CoreLeftOver:
    """Compute on all cores but one, which the browser needs; one object for all threads.

    PyTorch's threads wait for each other by spinning: where another process holds a core, each
    of a network's many small operations waits, and 10 ms can become 2 s.
    """

    def __init__(self):
        self._lock, self._inside, self._before = threading.Lock(), 0, 1

    def __enter__(self):
        with self._lock:
            if self._inside == 0:
                self._before = torch.get_num_threads()
                torch.set_num_threads(max(1, min(self._before, (os.cpu_count() or 2) - 1)))
            self._inside += 1

    def __exit__(self, *exception):
        with self._lock:
            self._inside -= 1
            if self._inside == 0:
                torch.set_num_threads(self._before)


a_core_left_over = _CoreLeftOver()


class Lab(Pictured):
    """Sliders, a live picture and a verdict in words; the base of every lab.

    A subclass passes `controls` (name → widget, by the name of the quantity that it sets) and
    the rows of widgets above and below the picture, and says in `show` what to compute and draw
    for the controls' values. `pictures` are all that it paints, those below included.

    An exception in a callback would vanish into the kernel's log; here it is shown in place of
    the verdict, and the next move starts afresh. JupyterLab may run the callbacks of two widgets
    in two threads of the kernel (its subshells), beside the cells: `lock` lets one in at a time.
    """

    def __init__(
        self,
        controls: dict[str, widgets.Widget],
        picture: LivePicture,
        above: list[widgets.Widget],
        below: list[widgets.Widget],
    ):
        self.controls, self.picture, self.lock = controls, picture, threading.RLock()
        self.pictures = [picture, *(part for part in below if isinstance(part, LivePicture))]
        self.verdict_line = widgets.HTML()
        self.verdict_line.add_class("d2lstab-verdict")
        self._held = self._closed = False
        self.density = widgets.FloatText(1, layout={"display": "none"})
        self.density.add_class("d2lstab-density")
        head = [widgets.HTML(STYLE), self.density]
        super().__init__([*head, *above, self.verdict_line, picture, *below])
        self.add_class("d2lstab")
        self.density.observe(self._screen_told, "value")
        for control in controls.values():
            control.observe(self._moved, "value")
        self.refresh()

    def show(self, values: dict[str, object]) -> str:
        """Compute and draw for these values of the controls; return the verdict as HTML."""
        raise NotImplementedError

    @property
    def values(self) -> dict[str, object]:
        """The controls' values by name."""
        return {name: control.value for name, control in self.controls.items()}

    def set(self, **values: object) -> None:
        """Move several controls at once, with one update.

        A slider may be set to any number, also between its stops or beyond its ends. A wrong name
        or value raises TypeError or ValueError and moves nothing.
        """
        self._check_names(values)
        checked = self.checked({**self.values, **values})
        with self.one_update():
            for name in values:
                place(self.controls[name], checked[name])

    def checked(self, values: dict[str, object]) -> dict[str, object]:
        """Return the values as the controls hold them; raise if they cannot be shown."""
        return values

    def _check_names(self, values: dict[str, object]) -> None:
        if unknown := set(values) - set(self.controls):
            names = ", ".join(self.controls)
            raise ValueError(f"no control named {', '.join(sorted(unknown))}; there are {names}.")

    @contextlib.contextmanager
    def one_update(self) -> Iterator[None]:
        """Hold updates back while several controls move, then do one."""
        with self.lock:
            self._held = True
            try:
                yield
            finally:
                self._held = False
            self.refresh()

    def _screen_told(self, change) -> None:
        with self.lock, self.errors_shown():
            for picture in self.pictures:
                picture.set_density(change.new)
                picture.paint()

    def _moved(self, _change) -> None:
        if not self._held:
            self.refresh()

    def refresh(self) -> None:
        """Show the current values; on failure say so in the verdict line."""
        if self._closed:
            return
        with self.lock, self.errors_shown(), a_core_left_over:
            self.verdict_line.value = self.show(self.values)

    @contextlib.contextmanager
    def errors_shown(self) -> Iterator[None]:
        """Show an exception in the verdict line instead of letting a callback swallow it."""
        try:
            yield
        except Exception as error:  # whatever it is, the reader must see it
            message = html.escape(f"{type(error).__name__}: {error}")
            self.verdict_line.value = f'<b class="d2lstab-error">error</b> {message}'

    def close(self) -> None:
        """Take the lab off the page, and free its figure and all its widgets."""
        self._closed = True
        self._figure = None  # as every lab calls it; IPython's Out holds on to the lab itself
        for picture in self.pictures:
            picture.free()
        for widget in _tree(self):
            for part in (widget.layout, getattr(widget, "style", None)):
                if part is not None:
                    part.close()
            if widget is not self:
                widget.close()
        super().close()


def _tree(widget: widgets.DOMWidget) -> Iterator[widgets.DOMWidget]:
    yield widget
    for child in getattr(widget, "children", ()):
        yield from _tree(child)
