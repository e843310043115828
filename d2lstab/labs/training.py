"""A lab that trains what it shows, while its sliders and its stop button go on working."""

import asyncio
from collections.abc import Callable, Iterator
from time import perf_counter

import ipywidgets as widgets

from d2lstab.labs.controls import NumberSlider, decades
from d2lstab.labs.knobs import SpecLab
from d2lstab.labs.live import a_core_left_over

REPAINT = 0.1  # seconds between two pictures while a network trains


class TrainingLab(SpecLab):
    """A `SpecLab` with the buttons "train" and "stop", a bar and a slider for the learning rate.

    A subclass calls `make_training_widgets`, puts them on the page, says in `training` what a
    training is, and calls `stop` where a moved control leaves it behind.
    """

    STEPS: int

    def make_training_widgets(self, learning_rate: float, tooltip: str) -> None:
        """Make `progress`, `learning_rate` and the two buttons; ``tooltip`` says how it trains."""
        self._stop = False
        self._training: asyncio.Task | None = None
        # not among the controls: it changes the training, not the network
        rates = decades(-4, 1, (1, 1.25, 1.6, 2, 2.5, 3.2, 4, 5, 6.3, 8))
        self.learning_rate = NumberSlider(rates, learning_rate, description="learning rate")
        self._first_rate = learning_rate
        self.progress = widgets.IntProgress(0, max=self.STEPS, layout={"width": "130px"})
        self.train_button = self.button(f"train {self.STEPS} steps", tooltip, self._start)
        self.stop_button = self.button("stop", "stop training", self.stop)
        self.stop_button.disabled = True

    def reset(self) -> None:
        self.learning_rate.place(self._first_rate)
        super().reset()

    def training(self, steps: int) -> Iterator[Callable[[], object]]:
        """Train for so many steps; after each, yield what paints the network as it is now.

        It may end early, or not even begin.
        """
        raise NotImplementedError

    def train(self, steps: int | None = None) -> None:
        """Train the network shown on the digits for ``steps`` steps; the picture follows."""
        for _ in self._train(self.STEPS if steps is None else steps):
            pass

    def stop(self) -> None:
        """Stop the training that the button started."""
        self._stop = True

    def _start(self) -> None:
        """Train while the kernel goes on listening, so that "stop" and the sliders work."""
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:  # a script: nothing else is listening
            return self.train()
        if self._training is not None:
            self._training.cancel()
        self._training = loop.create_task(self._train_listening())

    async def _train_listening(self) -> None:
        with self.errors_shown():
            for _ in self._train(self.STEPS):
                await asyncio.sleep(0.001)  # let the kernel take a message

    def _train(self, steps: int) -> Iterator[None]:
        training, painted, done = self.training(steps), 0.0, 0
        self._stop = False
        self.progress.value, self.progress.max = 0, steps
        self.stop_button.disabled, self.train_button.disabled = False, True
        try:
            while done < steps:
                # not across the yield: other callbacks and other labs may run meanwhile
                with self.lock, a_core_left_over:
                    if self._stop or (paint := next(training, None)) is None:
                        return
                    done += 1
                    self.progress.value = done
                    if perf_counter() - painted > REPAINT or done == steps:
                        paint()
                        painted = perf_counter()
                yield
        finally:
            self.stop_button.disabled, self.train_button.disabled = True, False
