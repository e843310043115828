"""Hand over any network; get its profile as a picture, and the verdict in words."""

import textwrap
from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor, nn

from d2lstab.diagnosis import Verdict, diagnose
from d2lstab.figures.health import Picture
from d2lstab.figures.signal import SignalFigure
from d2lstab.figures.style import INK
from d2lstab.networks import NetworkSpec
from d2lstab.signal import SignalProfile, measure

_LINE = 165  # characters of a line of the verdict


@dataclass(frozen=True, eq=False)
class Examination:
    """A network's `SignalProfile` and what it means; a notebook shows both in one picture."""

    profile: SignalProfile
    verdict: Verdict

    def __str__(self) -> str:
        return str(self.verdict)

    def picture(self) -> Picture:
        """The verdict above the profile's `SignalFigure`."""
        lines = textwrap.wrap(str(self.verdict), _LINE)
        above = 0.05 + 0.19 * len(lines)  # inches
        picture = Picture(figsize=(11.04, 3.4 + above), dpi=100)
        words, below = picture.subfigures(2, 1, height_ratios=(above, 3.4))
        words.text(0.012, 0.9, "\n".join(lines), va="top", fontsize=9.5, color=INK)
        figure = SignalFigure(below)
        figure.update(self.profile)
        figure.gradients.set_xlim(0.5, len(self.profile) + 0.5)
        for artist in figure.moving:
            artist.set_animated(False)  # nothing moves here: draw them with the rest
        return picture

    def _repr_mimebundle_(self, include=None, exclude=None) -> tuple[dict, dict]:
        png, size = self.picture()._repr_png_()
        return {"image/png": png, "text/plain": str(self)}, {"image/png": size}


def examine(
    network: nn.Module | NetworkSpec,
    inputs: Tensor | tuple | None = None,
    loss: Callable[..., Tensor] | None = None,
    *,
    seed: int = 0,
) -> Examination:
    """Measure one forward and backward pass of ``network`` and say what it means.

    The arguments are those of `measure`, and so are the errors; the network is left as it was.

    network : any module, for example your own, or a `NetworkSpec`.
    inputs : what the module is called with, a tensor or a tuple of arguments.
    loss : outputs → scalar tensor. Inputs and loss left out: 128 digits and cross-entropy.
    seed : of the random numbers that the pass itself draws (dropout).

    >>> from torch import nn
    >>> layers = [m for _ in range(20) for m in (nn.Linear(64, 64), nn.Sigmoid())]
    >>> examine(nn.Sequential(*layers, nn.Linear(64, 10))).verdict.kind
    'vanishing'
    """
    profile = measure(network, inputs, loss, seed=seed)
    return Examination(profile, diagnose(profile))
