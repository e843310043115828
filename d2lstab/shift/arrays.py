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


def two_samples(source, target, rows: int) -> tuple[np.ndarray, np.ndarray]:
    """Return both as float64 matrices with the same features, each with at least ``rows`` examples.

    Raises like `matrix`, and ValueError for different features.
    """
    source, target = matrix("source", source, rows), matrix("target", target, rows)
    if source.shape[1] != target.shape[1]:
        raise ValueError(
            "source and target must have the same features; got "
            f"{source.shape[1]} and {target.shape[1]} of them."
        )
    return source, target


def vector(name: str, values, size: int | None = None) -> np.ndarray:
    """Return ``values`` as float64 of shape (size,); raises like `matrix`."""
    array = _array(name, values)
    if array.ndim != 1 or (size is not None and len(array) != size):
        need = "one dimension" if size is None else f"shape ({size},)"
        raise ValueError(f"{name} must have {need}; got shape {array.shape}.")
    return _finite(name, array)


def labels(name: str, values, size: int | None = None, classes: int | None = None) -> np.ndarray:
    """Return ``values`` as int, (size,), labels from 0 to ``classes`` − 1 where that is given.

    Raises like `vector`, and ValueError for none at all or another label.
    """
    array = vector(name, values, size)
    if not len(array):
        raise ValueError(f"{name} must have at least one example; got none.")
    highest = np.inf if classes is None else classes - 1
    if array.min() < 0 or array.max() > highest or (array % 1).any():
        need = "≥ 0" if classes is None else f"from 0 to {highest}"
        raise ValueError(
            f"{name} must be labels, integers {need}; got {array.min():g} to {array.max():g}."
        )
    return array.astype(int)


def rows_of_probabilities(
    name: str, values, classes: int | None = None, rows: int = 1
) -> np.ndarray:
    """Return ``values`` as float64, (examples, classes), each row a distribution, of sum exactly 1.

    Sums may be off by 1e-4, since float32 rounds. Raises like `matrix`, and ValueError for another
    number of classes or a row that is none.
    """
    array = matrix(name, values, rows)
    if classes is not None and array.shape[1] != classes:
        raise ValueError(f"{name} must have {classes} columns, one a class; got {array.shape[1]}.")
    wrong = (array < 0).any(1) | (abs(array.sum(1) - 1) > 1e-4)
    if wrong.any():
        row = np.argmax(wrong)
        raise ValueError(
            f"{name} must be class probabilities, ≥ 0 with the sum 1 in each row (not logits); got "
            f"row {row} with minimum {array[row].min():g}, sum {array[row].sum():g}."
        )
    return array / array.sum(1, keepdims=True)


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
        values = values.detach().cpu().double().numpy()  # numpy knows no bfloat16
    try:
        return np.asarray(values, dtype=np.float64)
    except (TypeError, ValueError):
        raise TypeError(f"{name} must be numbers; got {type(values).__name__}.") from None


def _finite(name: str, array: np.ndarray) -> np.ndarray:
    if not np.isfinite(array).all():
        raise ValueError(f"{name} must be finite; got {np.sum(~np.isfinite(array))} that are not.")
    return array
