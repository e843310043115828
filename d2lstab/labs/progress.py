"""A progress bar over a live picture of the loss, for a loop that takes its time."""

import time

import ipywidgets as widgets
from IPython.display import display
from matplotlib.figure import Figure

from d2lstab.figures.progress import LossFigure
from d2lstab.labs.live import STYLE
from d2lstab.labs.picture import LivePicture, Pictured


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
