"""Make ``from d2lstab.book import d2l`` work wherever it can.

``d2l`` is the package of the book *Dive into Deep Learning* (d2l.ai), its PyTorch half. Importing
this module imports it, with pandas and matplotlib's pyplot, so nothing else in d2lstab does.

>>> from d2lstab.book import d2l
>>> d2l.plot.__module__
'd2l.torch'
"""

import importlib
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType

import torch

from d2lstab.doctor import install_command

__all__ = ["d2l"]

_SCHEMAS = (
    "nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
    "qnms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
)
_fragment = None  # keeps the schemas defined for as long as the process lives


def import_torchvision():
    """Import torchvision, also where its wheel was built for CUDA and torch's for the CPU.

    Such a torchvision cannot load its compiled part and then fails on the missing declaration of
    an operator that d2l never calls. Only upon that error are the two operators declared: a
    torchvision that fits would fail to declare them a second time.
    """
    global _fragment
    try:
        return importlib.import_module("torchvision")
    except RuntimeError as error:
        if "torchvision::nms does not exist" not in str(error):
            raise
    _fragment = torch.library.Library("torchvision", "FRAGMENT")
    for schema in _SCHEMAS:
        _fragment.define(schema)
    for name in [name for name in sys.modules if name.split(".")[0] == "torchvision"]:
        del sys.modules[name]
    return importlib.import_module("torchvision")


class _Later(ModuleType):
    """Stands for a module of torchvision, and imports it when something of it is asked for.

    It takes as long to import as all the rest of d2l, and a plot needs nothing of it.
    """

    def __getattr__(self, name: str):
        if sys.modules.get(self.__name__) is self:  # d2l is being imported
            raise AttributeError(name)
        with _explained():
            import_torchvision()
            module = importlib.import_module(self.__name__)
        return getattr(module, name)


def import_book():
    """Return the module ``d2l.torch``; it imports torchvision where something of it is used.

    Raises ImportError with the command that mends it where d2l, or something that it needs, is
    missing or does not fit the rest.
    """
    stand_ins = {}
    if "torchvision" not in sys.modules:
        stand_ins = {name: _Later(name) for name in ("torchvision", "torchvision.transforms")}
        stand_ins["torchvision"].transforms = stand_ins["torchvision.transforms"]
        sys.modules.update(stand_ins)
    try:
        with _explained():
            book = importlib.import_module("d2l.torch")
    finally:
        for name in stand_ins:
            sys.modules.pop(name, None)
    book.use_svg_display = use_png_display
    return book


@contextmanager
def _explained() -> Iterator[None]:
    """Say the command that mends what an import misses."""
    try:
        yield
    except ModuleNotFoundError as error:
        missing = (error.name or "d2l").split(".")[0]
        package = {"PIL": "pillow"}.get(missing, missing)
        raise ImportError(
            f"the book's package d2l needs {package}, not found; run: {install_command(package)}"
        ) from error
    except (ImportError, ValueError, RuntimeError, AttributeError) as error:
        # Compiled packages made for another numpy ("numpy.dtype size changed"), or a torchvision
        # made for another torch.
        together = "numpy scipy pandas matplotlib torch torchvision"
        raise ImportError(
            f"the book's package d2l cannot be imported ({type(error).__name__}: {error}); "
            "its packages do not fit each other; run: "
            f"python -m pip install --upgrade {together}"
        ) from error


def use_png_display():
    """Let notebooks show figures as sharp PNG; stands in for ``d2l.use_svg_display``.

    An SVG carries its date and random names, so a stored notebook would differ at every run.
    Outside a notebook there is nothing to set; the book's function would start an IPython shell.
    """
    from IPython import get_ipython
    from matplotlib_inline.backend_inline import set_matplotlib_formats

    if get_ipython() is not None:
        set_matplotlib_formats("retina")


d2l = import_book()
