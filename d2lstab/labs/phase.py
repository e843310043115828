"""The phase lab: the gradient lab, and its network as a point that can be moved in the diagram."""

import math

import ipywidgets as widgets
import numpy as np
from matplotlib.figure import Figure
from torch import nn

from d2lstab.correlation import correlations
from d2lstab.datasets import digits
from d2lstab.figures.phase import PhaseFigure
from d2lstab.initialization import INITIALIZATIONS
from d2lstab.labs.gradient import GradientLab
from d2lstab.labs.picture import LivePicture
from d2lstab.networks import NetworkSpec
from d2lstab.phase_diagram import PhaseDiagram, phase_diagram
from d2lstab.prediction import hidden_weight_std

# The page alone knows where the pointer is: a drag in the diagram writes the place, in shares of
# the picture's width and height, into the lab's hidden box, at most once for each painted frame.
# The third number makes each message a new one, also from the same place. A page that takes a lab
# out and puts it back, as JupyterLab does while one scrolls, runs the script again.
_POINTER = """
const lab = this.closest('.d2lstab'), box = %s;
if (lab.listens) return;
lab.listens = true;
let dragged = null, waiting = null, count = 0;
const place = (event, img) => {
  const r = img.getBoundingClientRect();
  return [(event.clientX - r.left) / r.width, (event.clientY - r.top) / r.height];
};
const inside = ([x, y]) => x >= box[0] && x <= box[2] && y >= box[1] && y <= box[3];
const picture = (event) => event.target.closest('.d2lstab-pointed');
const tell = (at) => {
  if (waiting === null) requestAnimationFrame(() => {
    const input = lab.querySelector('.d2lstab-pointer input');
    input.value = [...waiting.map((v) => v.toFixed(5)), ++count].join(' ');
    waiting = null;
    input.dispatchEvent(new Event('change', {bubbles: true}));
  });
  waiting = at;
};
lab.addEventListener('pointerdown', (event) => {
  const img = picture(event);
  if (!img || event.button !== 0 || !inside(place(event, img))) return;
  event.preventDefault();
  dragged = [img, event.pointerId];
  img.setPointerCapture(event.pointerId);
  tell(place(event, img));
});
lab.addEventListener('pointermove', (event) => {
  const img = picture(event);
  if (img) img.style.cursor = inside(place(event, img)) ? 'crosshair' : '';
  if (dragged && event.pointerId === dragged[1]) tell(place(event, dragged[0]));
});
for (const end of ['pointerup', 'pointercancel'])
  lab.addEventListener(end, () => { dragged = null; });
lab.addEventListener('dragstart', (event) => { if (picture(event)) event.preventDefault(); });
lab.addEventListener('touchstart', (event) => {
  const img = picture(event);
  if (img && inside(place(event.touches[0], img))) event.preventDefault();
}, {passive: false});
"""


class PhaseLab(GradientLab):
    """The `GradientLab`, and below it the phase diagram with the network shown as a point.

    The point follows the sliders; drag it, or click where it shall go, and the sliders follow.
    Beside the diagram stands how alike two inputs become from layer to layer.

    spec : where the lab starts, and where "reset" goes back to.

    `diagram` holds the diagram shown, `correlation` the measured correlations.

    >>> lab = PhaseLab(NetworkSpec(depth=20, init="normal"))
    >>> lab.move_to(1.761, 0.05)
    >>> lab.spec.gain, lab.spec.bias_std
    (1.33, 0.224)
    >>> lab.theory.phase.kind
    'chaotic'
    """

    def __init__(self, spec: NetworkSpec | None = None):
        self.diagram: PhaseDiagram | None
        self.correlation: np.ndarray
        self._phase_figure = PhaseFigure(Figure(figsize=(11.04, 3.0), dpi=100))
        super().__init__(spec)

    def _more(self) -> tuple[widgets.Widget, ...]:
        figure = self._phase_figure
        self.phase_picture = LivePicture(figure.figure, figure.moving)
        self.phase_picture.add_class("d2lstab-pointed")
        self.pointer = widgets.Text(continuous_update=False, layout={"display": "none"})
        self.pointer.add_class("d2lstab-pointer")
        self.pointer.observe(self._pointed, "value")
        script = " ".join((_POINTER % list(figure.box)).split()).replace('"', "&quot;")
        listen = widgets.HTML(f'<style onload="{script}"></style>', layout={"display": "none"})
        return self.phase_picture, self.pointer, listen

    def _measure(self, network: nn.Module, spec: NetworkSpec) -> None:
        super()._measure(network, spec)
        self.correlation = correlations(network, digits(128).inputs)

    def _paint(self) -> str:
        with self.lock:
            words = super()._paint()
            self._paint_phase()
            return words

    def _paint_phase(self) -> None:
        spec = self.spec
        plain = not (spec.norm or spec.residual or spec.dropout)
        try:
            self.diagram = shown = phase_diagram(spec.activation)
        except ValueError as error:  # hard_step
            self.diagram, shown = None, str(error).replace(": ", ":\n", 1)
        weight_std = hidden_weight_std(spec) if self._unit_weight_std() else None
        background = self._phase_figure.update(
            shown, weight_std, spec.bias_std, self.correlation, self.theory, plain
        )
        self.phase_picture.paint(background=background)

    def move_to(self, weight_variance: float, bias_variance: float) -> None:
        """Set the sliders for gain and bias to the point of the diagram with these σ_w² and σ_b².

        Three digits of each are kept. Nothing moves where weights are constant: they have no σ_w.
        """
        unit = self._unit_weight_std()
        if unit == 0:
            return
        with self.one_update():
            for name, value in {
                "gain": math.sqrt(weight_variance) / unit,
                "bias_std": math.sqrt(bias_variance),
            }.items():
                self.controls[name].visit(float(f"{value:.3g}"))

    def _unit_weight_std(self) -> float:
        """σ_w at gain 1; 0 for constant weights."""
        return INITIALIZATIONS[self.spec.init].weight_std(self.spec.width)

    def _pointed(self, change) -> None:
        with self.lock, self.errors_shown():
            try:
                x, y, _ = map(float, change.new.split())
            except ValueError:  # not from our script
                return
            if math.isfinite(x + y) and not self._closed:
                self.move_to(*self._phase_figure.variances_at(x, y))

    def close(self) -> None:
        super().close()
        self._phase_figure = None
