"""Check a caller's values: one clear error, with the name, what it must be and what came."""

import difflib
import math
import numbers
from collections.abc import Iterable

from torch.nn.parameter import Parameter, UninitializedTensorMixin


def integer(name: str, value: object, low: int, high: int | None = None) -> int:
    """Return ``value`` as Python's int, numpy's integers too.

    Raises TypeError where it is no integer and ValueError unless low ≤ value ≤ high.

    >>> integer("depth", 0, 1, 200)
    Traceback (most recent call last):
    ...
    ValueError: depth must be an integer from 1 to 200; got 0.
    """
    bounds = f"≥ {low}" if high is None else f"from {low} to {high}"
    need = f"{name} must be an integer {bounds}; got {value!r}."
    if not isinstance(value, numbers.Integral) or isinstance(value, bool):
        raise TypeError(need)
    if value < low or (high is not None and value > high):
        raise ValueError(need)
    return int(value)


def real(
    name: str,
    value: object,
    low: float = -math.inf,
    below: float = math.inf,
    *,
    above: float | None = None,
) -> float:
    """Return ``value`` as Python's float.

    Raises TypeError where it is no real number and ValueError unless it is finite,
    low ≤ value < below, and over ``above`` where that is given.

    >>> real("dropout", 1.0, 0, 1)
    Traceback (most recent call last):
    ...
    ValueError: dropout must be a finite number ≥ 0 and < 1; got 1.0.
    """
    bounds = [f"≥ {low:g}"] if low > -math.inf else []
    bounds += [f"> {above:g}"] if above is not None else []
    bounds += [f"< {below:g}"] if below < math.inf else []
    need = f"{name} must be " + " ".join(["a finite number", " and ".join(bounds)]).strip()
    if not isinstance(value, numbers.Real) or isinstance(value, bool):
        raise TypeError(f"{need}; got {value!r}.")
    try:
        number = float(value)
    except OverflowError:  # an integer over 10^308
        number = math.inf
    inside = math.isfinite(number) and low <= number < below
    if not inside or (above is not None and number <= above):
        raise ValueError(f"{need}; got {value!r}.")
    return number


def between(name: str, value: object, low: float, high: float) -> float:
    """Return ``value``, a number from ``low`` to ``high``, both included, as Python's float.

    Raises TypeError where it is no real number and ValueError where it lies outside.

    >>> between("composition", 1.5, 0, 1)
    Traceback (most recent call last):
    ...
    ValueError: composition must be a number from 0 to 1; got 1.5.
    """
    number = real(name, value)
    if not low <= number <= high:
        raise ValueError(f"{name} must be a number from {low:g} to {high:g}; got {value!r}.")
    return number


def choice(name: str, value: object, valid: Iterable[str], also: str = "") -> str:
    """Return ``value``, a name in ``valid``; ``also`` says what else the caller takes.

    Raises TypeError where it is no text and ValueError where it is none of ``valid``; the message
    names the nearest valid one.

    >>> choice("init", "Xaver", ["he", "xavier"])
    Traceback (most recent call last):
    ...
    ValueError: init must be one of 'he', 'xavier'; got 'Xaver'. Did you mean 'xavier'?
    """
    valid = list(valid)
    need = f"{name} must be {also}one of " + ", ".join(map(repr, valid)) + f"; got {value!r}."
    if not isinstance(value, str):
        raise TypeError(need)
    if value not in valid:
        near = difflib.get_close_matches(value.lower(), valid, n=1, cutoff=0.4)
        meant = repr(near[0]) if near else ""
        if also.startswith("None") and value.lower() == "none":
            meant = "None"
        raise ValueError(need + (f" Did you mean {meant}?" if meant else ""))
    return value


def has_shape(name: str, parameter: Parameter | None) -> None:
    """Raise ValueError where a parameter of the layer ``name`` is lazy and has no shape yet."""
    if isinstance(parameter, UninitializedTensorMixin):
        raise ValueError(
            f"network has a lazy layer without a shape ({name}): call the network once on a batch "
            "first (in d2l: model.apply_init([X]))."
        )
