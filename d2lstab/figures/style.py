"""The colours of the course: one meaning each, distinguishable without colour vision."""

INK = "#000000"
BLUE = "#1f77b4"
ORANGE = "#e6750c"
GREEN = "#2a9d3a"
RED = "#c62828"
GREY = "#6f6f6f"
NAVY = "#08306b"

SHADES = ("#ffffff", "#9ecae1", "#2171b5", NAVY)
"""From nothing to most, for colour maps."""

INKS = (INK, BLUE, ORANGE, GREEN, RED, GREY, NAVY, *SHADES[1:3])
"""Every colour a figure may draw with, undiluted; `png.encode_png` builds its palette on them."""
