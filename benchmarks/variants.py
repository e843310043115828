"""The ways to make a slider move a picture that `benchmarks.browser` holds side by side.

All turn the gain of the same network (depth 50, width 128, tanh, Xavier, 128 digits) from 1 to 2
in steps of 0.05, so that every tick costs the same and gives a new picture. Those without
d2lstab's lab run the pass as a PyTorch user would write it, on as many threads as the lab takes,
and scale weights drawn once: what is compared is the way from numbers to pixels.
"""

from dataclasses import dataclass

GAINS = "widgets.FloatSlider(1, min=1, max=2, step=0.05, description='gain')"

PASS = """\
import os
import ipywidgets as widgets
import torch
import torch.nn.functional as F
from torch import nn
from d2lstab import NetworkSpec, build
from d2lstab.datasets import digits

torch.set_num_threads(max(1, min(torch.get_num_threads(), os.cpu_count() - 1)))
network = build(NetworkSpec(depth=50, width=128, activation="tanh", init="xavier"))
batch = digits(128)
weights = [layer.weight for layer in network if isinstance(layer, nn.Linear)]
drawn = [weight.detach().clone() for weight in weights]


def one_pass(gain):
    with torch.no_grad():
        for weight, unit in zip(weights, drawn):
            torch.mul(unit, gain, out=weight)
    network.zero_grad()
    activations, x = [], batch.inputs
    for layer in network:
        x = layer(x)
        if isinstance(layer, nn.Tanh):
            activations.append(x)
    loss = F.cross_entropy(x, batch.labels)
    loss.backward()
    return loss, activations


def norms(gain):
    _, activations = one_pass(gain)
    return [w.grad.norm().item() for w in weights], [a.norm().item() for a in activations]
"""

PANEL = """\
def dress(axes):
    axes.set(xlabel="layer", ylabel="Frobenius norm", yscale="log")
    axes.grid(color="#e4e4e4", linewidth=0.7)
"""

LAB = """\
from d2lstab import NetworkSpec
from d2lstab.labs import GradientLab

GradientLab(NetworkSpec(depth=50, width=128, activation="tanh", init="xavier"))
"""

ONE_PANEL = f"""\
import ipywidgets as widgets
from matplotlib.figure import Figure
from d2lstab import NetworkSpec, diagnose, measure
from d2lstab.labs.gradient import verdict_html
from d2lstab.labs.live import Lab
from d2lstab.labs.picture import LivePicture

{PANEL}

class OnePanelLab(Lab):
    def __init__(self):
        figure = Figure(layout="tight")
        self.axes = figure.add_subplot()
        dress(self.axes)
        self.lines = [
            self.axes.plot([], [], ".-", label=name)[0] for name in ("gradient", "activation")
        ]
        self.axes.legend(loc="upper right")
        self.axes.set_xlim(0, 52)
        picture = LivePicture(figure, self.lines)
        slider = {GAINS}
        super().__init__({{"gain": slider}}, picture, [slider], [])

    def show(self, values):
        profile = measure(NetworkSpec(depth=50, width=128, gain=values["gain"]))
        gradient = profile.weight_gradient_norm.numpy()
        size = (128 * 128) ** 0.5
        activation = size * (profile.activation_mean**2 + profile.activation_std**2).sqrt()[:-1]
        for line, norm in zip(self.lines, (gradient, activation.numpy())):
            line.set_data(range(1, len(norm) + 1), norm)
        top = 1e4 if max(gradient) < 1e4 else 1e12
        self.axes.set_ylim(1e-4, top)
        self.picture.paint(background=top)
        return verdict_html(diagnose(profile))


OnePanelLab()
"""

INTERACT = f"""\
%matplotlib inline
import matplotlib.pyplot as plt
{PASS}

{PANEL}

@widgets.interact(gain={GAINS})
def draw(gain):
    gradient, activation = norms(gain)
    figure, axes = plt.subplots()
    dress(axes)
    axes.plot(range(1, 52), gradient, ".-", label="gradient")
    axes.plot(range(1, 51), activation, ".-", label="activation")
    axes.legend(loc="upper right")
    plt.show()
"""

IPYMPL = f"""\
%matplotlib widget
import matplotlib.pyplot as plt
{PASS}

{PANEL}

figure, axes = plt.subplots(layout="tight")
dress(axes)
lines = [axes.plot([], [], ".-", label=name)[0] for name in ("gradient", "activation")]
axes.legend(loc="upper right")
slider = {GAINS}


def draw(_=None):
    for line, norm in zip(lines, norms(slider.value)):
        line.set_data(range(1, len(norm) + 1), norm)
    axes.relim()
    axes.autoscale_view()
    figure.canvas.draw_idle()


slider.observe(draw, "value")
draw()
slider
"""


def _label(text: str) -> str:
    """Code that writes an f-string with the slider's value into a label, and no picture."""
    return f"""\
import ipywidgets as widgets

slider, label = {GAINS}, widgets.Label()
label.add_class("round-trip")


def write(_=None):
    label.value = f"{text}"


slider.observe(write, "value")
write()
widgets.VBox([slider, label])
"""


LABEL = _label("gain {slider.value:.2f}")
PASS_TO_LABEL = f"{PASS}\n" + _label(
    "gain {slider.value:.2f}, loss {one_pass(slider.value)[0].item():.6f}"
)


@dataclass(frozen=True)
class Variant:
    """A notebook of one cell with a slider "gain", and how the page can tell its picture.

    kind : "image" (an <img> whose source changes), "output" (an <img> put into an output area),
        "canvas" or "text". selector : of that element; for "output", of the area.
    """

    key: str
    name: str
    source: str
    kind: str
    selector: str


VARIANTS = (
    Variant("label", "bare round trip", LABEL, "text", ".round-trip"),
    Variant("pass", "bare round trip with the same pass", PASS_TO_LABEL, "text", ".round-trip"),
    Variant("panel", "d2lstab lab, one panel", ONE_PANEL, "image", "img.d2lstab-picture"),
    Variant("lab", "GradientLab, all panels", LAB, "image", "img.d2lstab-picture"),
    Variant(
        "ipympl", "ipympl, set_data and draw_idle", IPYMPL, "canvas", ".jupyter-widgets canvas"
    ),
    Variant(
        "interact",
        "interact and inline plt.show()",
        INTERACT,
        "output",
        ".widget-interact .widget-output",
    ),
)
