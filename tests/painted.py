"""What a figure looks like."""

import numpy as np


def drawn(figure):
    """The pixels of a live figure, animated artists included: uint8, (height, width, RGBA)."""
    canvas = figure.figure.canvas
    canvas.draw()
    for artist in figure.moving:
        artist.axes.draw_artist(artist)
    return np.asarray(canvas.buffer_rgba()).copy()
