"""Take samples as tensors of any device or as anything numpy understands."""

import numpy as np
import torch


def matrix(name: str, values, rows: int = 1) -> np.ndarray:
    """Return ``values`` as float64 of shape (examples, features), with at least ``rows`` examples.

    Raises TypeError where they are no numbers; ValueError for another number of dimensions, too few
    rows, or a value that is not finite.
    """
    array = _array(name, values)
    if array.ndim != 2:
        raise ValueError(f"{name} must be (examples, features); got shape {array.shape}.")
    if len(array) < rows or array.shape[1] < 1:
        raise ValueError(
            f"{name} must have at least {rows} examples and one feature; got shape {array.shape}."
        )
    return _finite(name, array)


def vector(name: str, values, size: int | None = None) -> np.ndarray:
    """Return ``values`` as float64 of shape (size,); raises like `matrix`."""
    array = _array(name, values)
    if array.ndim != 1 or (size is not None and len(array) != size):
        need = "one dimension" if size is None else f"shape ({size},)"
        raise ValueError(f"{name} must have {need}; got shape {array.shape}.")
    return _finite(name, array)


def probabilities(name: str, values, dimensions: int) -> np.ndarray:
    """Return ``values`` as float64, no value negative, sum 1 to within 1e-6 and then exactly."""
    array = _finite(name, _array(name, values))
    if array.ndim != dimensions or not array.size:
        raise ValueError(f"{name} must have {dimensions} dimensions; got shape {array.shape}.")
    if array.min() < 0 or abs(array.sum() - 1) > 1e-6:
        raise ValueError(
            f"{name} must be ≥ 0 and have the sum 1; got minimum {array.min():g}, "
            f"sum {array.sum():g}."
        )
    return array / array.sum()


def _array(name: str, values) -> np.ndarray:
    if isinstance(values, torch.Tensor):
        values = values.numpy(force=True)
    try:
        return np.asarray(values, dtype=np.float64)
    except (TypeError, ValueError):
        raise TypeError(f"{name} must be numbers; got {type(values).__name__}.") from None


def _finite(name: str, array: np.ndarray) -> np.ndarray:
    if not np.isfinite(array).all():
        raise ValueError(f"{name} must be finite; got {np.sum(~np.isfinite(array))} that are not.")
    return array
