"""Loops that take their time: a bar that fills, and a button or a picture of the loss beside it."""

import time
from collections.abc import Collection, Iterator

import ipywidgets as widgets
from IPython.display import display
from matplotlib.figure import Figure

from d2lstab.figures.progress import LossFigure
from d2lstab.labs.live import STYLE
from d2lstab.labs.picture import LivePicture, Pictured


class Sweep(widgets.HBox):
    """The items one by one, a bar that fills, and a button that ends the loop early.

    items : what to go over. unit : what an item is, in the plural.

    The button works while the cell runs where page and kernel know subshells (JupyterLab 4.4,
    ipykernel 7); elsewhere interrupt the kernel. Each item that was given out is finished first, so
    what the loop has noted is whole; `stopped` says that items are missing.

    >>> [square for n in Sweep([1, 2, 3], "numbers") if (square := n * n)]
    0 of 3 numbers
    [1, 4, 9]
    """

    def __init__(self, items: Collection, unit: str = "steps"):
        self._items, self._unit, self.stopped = items, unit, False
        self.bar = widgets.IntProgress(0, 0, max(len(items), 1), layout={"width": "320px"})
        self.text = widgets.Label(f"0 of {len(items)} {unit}")
        self.button = widgets.Button(description="Stop", icon="stop", layout={"width": "80px"})
        self.button.on_click(lambda _: setattr(self, "stopped", True))
        # ipykernel 7.4 takes a click to the thread that last spoke to the button: the one that is
        # busy with the loop. Here it goes to the one that is free.
        if hasattr(self.button.comm, "_reply_subshell_for"):
            self.button.comm._reply_subshell_for = lambda data, free: free
        super().__init__([self.bar, self.button, self.text])

    def __iter__(self) -> Iterator:
        self.stopped, start, done = False, time.perf_counter(), 0
        self.bar.bar_style, self.button.disabled = "", False
        shown = display(self, display_id=True)
        try:
            for item in self._items:
                yield item
                done += 1
                took = time.perf_counter() - start
                self.bar.value = done
                self.text.value = f"{done} of {len(self._items)} {self._unit}, {took:.0f} s"
                if self.stopped:
                    break
        finally:
            self.stopped = done < len(self._items)
            self.button.disabled, self.bar.bar_style = (
                True,
                "warning" if self.stopped else "success",
            )
            if shown is not None:  # None: there is no notebook
                shown.update(self)

    def __repr__(self) -> str:  # what a viewer without a kernel shows
        return self.text.value.partition(",")[0] + ("; stopped" if self.stopped else "")


class TrainingProgress(Pictured):
    """A bar that fills and a loss that falls, while the cell trains.

    steps : how many there will be, ≥ 1.

    ``with`` shows it; `add` moves it; in the end the cell keeps the last picture, also for viewers
    without a kernel. Without a notebook only `losses` grows.

    >>> progress = TrainingProgress(steps=2)
    >>> progress.add(2.3)
    >>> progress.losses, progress.bar.value
    ([2.3], 1)
    """

    def __init__(self, steps: int):
        self._figure, self._start = LossFigure(Figure(figsize=(6, 2.6), dpi=100), steps), None
        self.losses: list[float] = []
        self.bar = widgets.IntProgress(0, 0, steps, layout={"width": "320px"})
        self.text = widgets.Label(f"0 of {steps} steps")
        self.picture = LivePicture(self._figure.axes.figure, self._figure.moving)
        self.picture.paint()
        self.pictures = [self.picture]
        super().__init__([widgets.HTML(STYLE), widgets.HBox([self.bar, self.text]), self.picture])
        self.add_class("d2lstab")

    def __enter__(self) -> "TrainingProgress":
        self._shown, self._start = display(self, display_id=True), time.perf_counter()
        return self

    def __exit__(self, *exception) -> None:
        self.bar.bar_style = "danger" if exception[0] else "success"
        if self._shown is not None:  # None: there is no notebook
            self._shown.update(self)

    def add(self, loss: float) -> None:
        """Note the loss of the step that has just been done."""
        self.losses.append(float(loss))
        self._figure.update(self.losses)
        self.picture.paint()
        self.bar.value = len(self.losses)
        took = "" if self._start is None else f", {time.perf_counter() - self._start:.0f} s"
        self.text.value = f"{self.bar.value} of {self.bar.max} steps{took}"
