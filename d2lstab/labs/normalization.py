"""The normalization lab: a norm, a batch, a scale of the weights, and what comes of them."""

from collections.abc import Callable, Iterator
from dataclasses import asdict
from functools import partial

import ipywidgets as widgets
from matplotlib.figure import Figure
from torch import Tensor, nn

from d2lstab.figures.normalization import BenchFigure
from d2lstab.labs.bench_words import bench_html
from d2lstab.labs.controls import FACTORS, NumberSlider, grid, steps
from d2lstab.labs.picture import LivePicture
from d2lstab.labs.pins import Pins
from d2lstab.labs.training import TrainingLab
from d2lstab.networks import NORM_PLACES
from d2lstab.normalization.bench import (
    SCHEMES,
    Bench,
    BenchSpec,
    BenchStep,
    gradients_at_one,
    train_bench,
    try_bench,
)
from d2lstab.normalization.named import NORMS

SIZES = (1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64, 96, 128, 192, 256, 384, 512)


class NormalizationLab(Pins, TrainingLab):
    """Sliders for a `BenchSpec`; every tick runs its batch forward and backward for real.

    spec : where the lab starts, and where "reset" goes back to.

    All that the buttons do can be called: `train`, `stop`, `pin`, `unpin`, `reset`, `new_seed`.
    `spec`, `bench` and `steps` (of the training) hold what is shown; set `spec` to move the
    sliders. A trained network stays while only the batch is changed, its size or its composition;
    any other control starts from fresh weights.

    >>> lab = NormalizationLab(BenchSpec(norm="layer", depth=2))
    >>> lab.train(30)
    >>> lab.steps[-1].held_out > 0.5
    True
    >>> lab.set(norm="batch", batch_size=1)
    >>> lab.bench.refusal
    'Expected more than 1 value per channel when training, got input size torch.Size([1, 64])'
    """

    spec_type = BenchSpec
    STEPS = 60

    def __init__(self, spec: BenchSpec | None = None):
        self.bench: Bench
        self.network: nn.Module | None = None  # where it has been trained,
        self._before: tuple | None = None  # and of what it was built
        self.steps: list[BenchStep] = []
        self._figure = BenchFigure(Figure(figsize=(11.04, 3.6), dpi=100))
        picture = LivePicture(self._figure.figure, self._figure.moving)
        controls = _controls()
        tooltip = "SGD with momentum 0.9 on batches like this one"
        self.make_training_widgets(0.01, tooltip)
        above = [grid([*controls.values(), self.learning_rate]), self._buttons()]
        super().__init__(spec, controls, picture, above)
        self.add_class("d2lstab-three-lines")

    def _buttons(self) -> widgets.HBox:
        self.buttons = {
            "pin": self.make_pin_button("these gradient norms"),
            "reset": self.button("reset", "back to where the lab started", self.reset),
            "seed": self.button("new seed", "draw other weights and batches", self.new_seed),
            "train": self.train_button,
            "stop": self.stop_button,
        }
        *left, stop = self.buttons.values()
        return widgets.HBox([*left, self.progress, stop], layout={"flex_flow": "row wrap"})

    def to_spec(self, values: dict[str, object]) -> BenchSpec:
        size = values["batch_size"]  # a slider over numbers holds floats
        whole = int(size) if size == int(size) else size
        return BenchSpec(**{**values, "norm": values["norm"] or None, "batch_size": whole})

    def to_values(self, spec: BenchSpec) -> dict[str, object]:
        return {**asdict(spec), "norm": spec.norm or ""}  # a menu cannot hold None

    def show(self, values: dict[str, object]) -> str:
        self.stop()
        spec = self.to_spec(values)
        if (spec.network, spec.weight_scale) != self._before:
            self._before, self.network, self.steps = (spec.network, spec.weight_scale), None, []
            self.progress.value = 0
        return self._paint(try_bench(spec, self.network), self.steps)

    def reset(self) -> None:
        self._before = None
        super().reset()

    def _paint(self, bench: Bench, done: list[BenchStep]) -> str:
        with self.lock:  # `pin` and `unpin` come here from a cell, too
            self.bench, at_one = bench, None
            if not (bench.refusal or done or bench.spec.weight_scale == 1):
                at_one = gradients_at_one(bench.spec)
            self.picture.paint(background=self._figure.update(bench, at_one, self.pinned, done))
            return bench_html(bench, at_one, done)

    def to_pin(self) -> Tensor | None:
        return None if self.bench.refusal else self.bench.profile.weight_gradient_norm

    def repaint(self) -> None:
        self._paint(self.bench, self.steps)

    def training(self, steps: int) -> Iterator[Callable[[], object]]:
        if self.bench.refusal:
            return
        spec, done = self.spec, self.steps
        if self.network is None:
            self.network = spec.build()
        paint = partial(self._paint_trained, self.network, spec, done)
        for step in train_bench(self.network, spec, steps, self.learning_rate.value, len(done)):
            done.append(step)
            yield paint

    def _paint_trained(self, network: nn.Module, spec: BenchSpec, done: list[BenchStep]) -> None:
        self.verdict_line.value = self._paint(try_bench(spec, network), done)


def _controls() -> dict[str, widgets.Widget]:
    """One control per field of the specification, in reading order."""
    return {
        "norm": widgets.Dropdown(options=[("none", ""), *((name, name) for name in NORMS)]),
        "batch_size": NumberSlider(SIZES, 64),
        "composition": NumberSlider(steps(0, 1, 0.05), 0, description="one class"),
        "weight_scale": NumberSlider(FACTORS, 1, description="λ (weights)"),
        "norm_place": widgets.Dropdown(options=NORM_PLACES),
        "residual": widgets.Checkbox(),
        "activation": widgets.Dropdown(options=list(SCHEMES)),
        "depth": widgets.IntSlider(min=1, max=50),
        "seed": widgets.BoundedIntText(min=0, max=2**32 - 1),
    }
