"""The live picture: one matplotlib figure that moves with the sliders, as fast as they do.

A figure is drawn once; after that only its moving artists are drawn over the kept background and
sent as one small PNG to one widget. Nothing is ever cleared, so nothing can flicker, and a viewer
without a kernel shows the same picture.
"""

import base64
from collections.abc import Hashable
from dataclasses import dataclass

import ipywidgets as widgets
import numpy as np
from matplotlib.artist import Artist
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from d2lstab.figures.png import encode_png, palette_indices, stack_pngs

KEPT = 16  # backgrounds of a picture: drawing one takes 50 ms, keeping it 2 MB


@dataclass(frozen=True, eq=False)
class _Background:
    """All that does not move. pixels : uint32 (height, width), RGBA. indices : uint8, palette."""

    pixels: np.ndarray
    indices: np.ndarray


class LivePicture(widgets.Image):
    """A widget that shows ``figure`` and repaints it fast.

    figure : owned by the picture from now on; never give it to pyplot.
    moving : the artists that change from one picture to the next.
    """

    def __init__(self, figure: Figure, moving: list[Artist]):
        super().__init__(format="png")
        self.add_class("d2lstab-picture")
        self._figure, self._moving = figure, moving
        self._shown: Hashable = None
        for artist in moving:
            artist.set_animated(True)
        self._width, self._dpi = figure.bbox.width, figure.dpi
        self.layout.width = f"{self._width:.0f}px"
        self.set_density(1)

    def set_density(self, density: float) -> None:
        """Draw so many pixels for each of the browser's: 1 to 2, that lines look sharp."""
        self._figure.set_dpi(self._dpi * min(max(density, 1), 2))
        self._canvas = FigureCanvasAgg(self._figure)
        self._backgrounds: dict[Hashable, _Background] = {}

    def free(self) -> None:
        """Let go of the figure and of all that was drawn; nothing can be painted any more."""
        self._figure = self._canvas = None
        self._moving, self._backgrounds = [], {}

    def paint(self, background: Hashable = None) -> None:
        """Draw the moving artists anew and send the picture.

        background : what distinguishes the state of all that does not move, such as the limits of
            the axes; it is drawn where it was not yet. None: it is as it was last.
        """
        self._shown = self._shown if background is None else background
        behind = self._behind(self._shown)
        pixels = _pixels(self._canvas)
        np.copyto(pixels, behind.pixels)
        for artist in self._moving:
            artist.axes.draw_artist(artist)
        changed = pixels != behind.pixels  # a tenth: only these need to be looked up
        indices = behind.indices.copy()
        indices[changed] = palette_indices(pixels[changed].view(np.uint8).reshape(-1, 4))
        self.value = encode_png(indices)

    def _behind(self, state: Hashable) -> _Background:
        if state not in self._backgrounds:
            # hidden, not only animated: matplotlib draws animated images with the background
            shown = [artist for artist in self._moving if artist.get_visible()]
            for artist in shown:
                artist.set_visible(False)
            self._canvas.draw()
            for artist in shown:
                artist.set_visible(True)
            pixels = _pixels(self._canvas).copy()
            colours = pixels.view(np.uint8).reshape(*pixels.shape, 4)
            self._backgrounds[state] = _Background(pixels, palette_indices(colours))
            if len(self._backgrounds) > KEPT:
                del self._backgrounds[next(iter(self._backgrounds))]
        return self._backgrounds[state]


class Pictured(widgets.VBox):
    """A box of widgets; `pictures`, in a subclass, are those of its live pictures."""

    pictures: list[LivePicture]

    def _repr_mimebundle_(self, include=None, exclude=None, **kwargs):
        """The widget, and for viewers without a kernel its pictures, one below the other."""
        bundle = super()._repr_mimebundle_(include=include, exclude=exclude, **kwargs)
        data, metadata = bundle if isinstance(bundle, tuple) else (bundle, {})
        png = stack_pngs([bytes(picture.value) for picture in self.pictures])
        return {**data, "image/png": base64.b64encode(png).decode()}, metadata


def _pixels(canvas: FigureCanvasAgg) -> np.ndarray:
    """The canvas itself, uint32 of shape (height, width), RGBA; writing to it draws."""
    return np.asarray(canvas.buffer_rgba()).view(np.uint32)[..., 0]
