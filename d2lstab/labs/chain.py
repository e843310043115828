"""The chain lab: one weight, many layers, and the number that floating point makes of them."""

import ipywidgets as widgets
from matplotlib.figure import Figure

from d2lstab.figures.products import ChainFigure
from d2lstab.labs.controls import NumberSlider, grid, steps
from d2lstab.labs.live import Lab
from d2lstab.labs.picture import LivePicture
from d2lstab.products import DTYPES, Chain, chain, describe

_DTYPES = {str(dtype).removeprefix("torch."): dtype for dtype in DTYPES}


class ChainLab(Lab):
    """Sliders for the weight, the depth and the floating-point type of a chain of scalars.

    >>> lab = ChainLab()
    >>> lab.set(weight=5, dtype="float16")
    >>> lab.chain.reached.overflow
    7
    """

    def __init__(self, weight: float = 0.2, depth: int = 30, dtype: str = "float32"):
        figure = ChainFigure(Figure(figsize=(8, 3.6), dpi=100))
        self._figure = figure
        controls = {
            "weight": NumberSlider(steps(0.05, 6, 0.05), weight),
            "depth": widgets.IntSlider(depth, min=1, max=100),
            "dtype": widgets.Dropdown(options=list(_DTYPES), value=dtype),
        }
        for name, control in controls.items():
            control.description = name
        picture = LivePicture(figure.axes.figure, figure.moving)
        super().__init__(controls, picture, [grid(list(controls.values()))], [])

    def checked(self, values: dict[str, object]) -> dict[str, object]:
        _chain(values)
        return values

    def show(self, values: dict[str, object]) -> str:
        self.chain = _chain(values)
        self._figure.update(self.chain)
        self.picture.paint()
        return describe(self.chain)


def _chain(values: dict[str, object]) -> Chain:
    if values["dtype"] not in _DTYPES:
        raise ValueError(f"dtype must be one of {', '.join(_DTYPES)}; got {values['dtype']!r}.")
    return chain(values["weight"], values["depth"], _DTYPES[values["dtype"]])
