"""The gradient lab: turn the knobs of a network, see its real gradients."""

import html
import math
from collections.abc import Callable, Iterator
from dataclasses import asdict, replace
from functools import partial

import ipywidgets as widgets
from matplotlib.figure import Figure
from torch import nn

from d2lstab.activations import ACTIVATIONS
from d2lstab.diagnosis import Verdict, diagnose
from d2lstab.figures.signal import SignalFigure
from d2lstab.initialization import INITIALIZATIONS
from d2lstab.labs.controls import FACTORS, NumberSlider, grid, steps
from d2lstab.labs.picture import LivePicture
from d2lstab.labs.pins import Pins
from d2lstab.labs.training import TrainingLab
from d2lstab.labs.words import theory_html, verdict_html
from d2lstab.networks import NORM_PLACES, NetworkSpec, build
from d2lstab.normalization.named import NORMS
from d2lstab.prediction import MeanField, predict
from d2lstab.regularization.constraints import limit_hidden_norms
from d2lstab.signal import SignalProfile, measure
from d2lstab.training import accuracy, train


class GradientLab(Pins, TrainingLab):
    """Sliders for a `NetworkSpec`; every tick builds the network and backpropagates for real.

    spec : where the lab starts, and where "reset" goes back to.

    All that the buttons do can be called: `pin`, `unpin`, `reset`, `new_seed`, `train`, `stop`,
    `code`. `spec`, `profile`, `theory` and `verdict` hold what is shown; set `spec` to move the
    sliders. The box "theory" shows what mean-field theory predicts of the network before training.

    >>> lab = GradientLab(NetworkSpec(depth=30, activation="sigmoid"))
    >>> lab.verdict.kind
    'vanishing'
    >>> lab.set(activation="relu", init="he")
    >>> lab.verdict.kind
    'stable'
    """

    spec_type = NetworkSpec
    STEPS = 100

    def __init__(self, spec: NetworkSpec | None = None):
        self.profile: SignalProfile
        self.verdict: Verdict
        self.theory: MeanField | None = None
        self._figure = SignalFigure(Figure(figsize=(11.04, 3.4), dpi=100))
        picture = LivePicture(self._figure.figure, self._figure.moving)
        controls = _controls()
        self.make_training_widgets(0.01, "SGD with momentum 0.9 on the digits")
        self.theory_box = widgets.Checkbox(True, description="theory", indent=False)
        self.theory_box.layout.width = "auto"
        self._code = widgets.HTML()
        above = [grid([*controls.values(), self.learning_rate]), self._buttons()]
        super().__init__(spec, controls, picture, above, below=(*self._more(), self._code))
        self.add_class("d2lstab-three-lines")
        self.theory_box.observe(lambda _: self._press(self._toggle_theory), "value")

    def _more(self) -> tuple[widgets.Widget, ...]:
        """What a lab that grows out of this one has below the picture."""
        return ()

    def _buttons(self) -> widgets.HBox:
        self.buttons = {
            "pin": self.make_pin_button("these curves"),
            "reset": self.button("reset", "back to where the lab started", self.reset),
            "seed": self.button("new seed", "draw other weights", self.new_seed),
            "train": self.train_button,
            "stop": self.stop_button,
            "code": self.button(
                "copy as PyTorch", "this network in plain PyTorch", self._toggle_code
            ),
        }
        *left, stop, code = self.buttons.values()
        row = [*left, self.progress, stop, code, self.theory_box]
        return widgets.HBox(row, layout={"flex_flow": "row wrap"})

    def reset(self) -> None:
        self.theory_box.value = True
        super().reset()

    def to_spec(self, values: dict[str, object]) -> NetworkSpec:
        limit = values["max_norm"]
        limit = None if limit == math.inf else limit
        return NetworkSpec(**{**values, "norm": values["norm"] or None, "max_norm": limit})

    def to_values(self, spec: NetworkSpec) -> dict[str, object]:
        # a menu or a slider cannot hold None
        limit = math.inf if spec.max_norm is None else spec.max_norm
        return {**asdict(spec), "norm": spec.norm or "", "max_norm": limit}

    def show(self, values: dict[str, object]) -> str:
        self.stop()
        self.progress.value = 0
        self.network: nn.Module | None = None  # a moved slider leaves the trained network behind
        if self._code.value:
            self._show_code()
        self.theory = predict(self.spec) if self.theory_box.value else None
        self._measure(build(self.spec), self.spec)
        return self._paint()

    def _measure(self, network: nn.Module, spec: NetworkSpec) -> None:
        """Keep what is shown of a network, which is fresh or in training."""
        self.profile = replace(measure(network), spec=spec)
        self.verdict = diagnose(self.profile)

    def _paint(self) -> str:
        with self.lock:  # `pin` and `unpin` come here from a cell, too
            background = self._figure.update(self.profile, self.pinned, self.theory)
            self.picture.paint(background=background)
            return verdict_html(self.verdict) + theory_html(self.theory)

    def _toggle_theory(self) -> None:
        if self.network is not None:
            return  # trained: theory speaks of networks before training, and comes with the next
        self.theory = predict(self.spec) if self.theory_box.value else None
        self.verdict_line.value = self._paint()

    def to_pin(self) -> SignalProfile:
        return self.profile

    def repaint(self) -> None:
        self._paint()

    @property
    def code(self) -> str:
        """Plain PyTorch that builds the network shown, weight for weight."""
        return self.spec.to_pytorch()

    def _toggle_code(self) -> None:
        if self._code.value:
            self._code.value = ""
        else:
            self._show_code()

    def _show_code(self) -> None:
        copy = "navigator.clipboard.writeText(this.nextElementSibling.textContent)"
        self._code.value = (
            f'<div class="d2lstab-code"><button onclick="{copy}">copy</button>'
            f"<pre>{html.escape(self.code)}</pre></div>"
        )

    def training(self, steps: int) -> Iterator[Callable[[], object]]:
        if self.network is None:
            self.network, self.theory = build(self.spec), None  # theory ends where training begins
        network, limit, losses = self.network, self.spec.max_norm, []
        paint = partial(self._paint_trained, network, self.spec, losses)
        for step in train(network, steps, self.learning_rate.value):
            if limit is not None:
                limit_hidden_norms(network, limit)
            losses.append(step.loss)
            yield paint

    def _paint_trained(self, network: nn.Module, spec: NetworkSpec, losses: list[float]) -> None:
        self._measure(network, spec)
        self.verdict_line.value = self._paint() + (
            f"<br>After {len(losses)} steps: loss {losses[0]:.3g} → {losses[-1]:.3g}, "
            f"{accuracy(network):.0%} of the held-out digits right (10% is guessing)."
        )


def _controls() -> dict[str, widgets.Widget]:
    """One control per field of the specification, in reading order."""
    norms = [("none", ""), *((name, name) for name in NORMS)]
    return {
        "depth": widgets.IntSlider(min=1, max=200),
        "activation": widgets.Dropdown(options=list(ACTIVATIONS)),
        "init": widgets.Dropdown(options=list(INITIALIZATIONS)),
        "norm": widgets.Dropdown(options=norms),
        "width": widgets.IntSlider(min=8, max=512),
        "gain": NumberSlider(FACTORS, 1),
        "bias_std": NumberSlider(steps(0, 2, 0.05), 0),
        "norm_place": widgets.Dropdown(options=NORM_PLACES),
        "residual": widgets.Checkbox(),
        "seed": widgets.BoundedIntText(min=0, max=2**32 - 1),
        "dropout": NumberSlider(steps(0, 0.95, 0.05), 0),
        "max_norm": NumberSlider([*FACTORS, math.inf], math.inf),
    }
