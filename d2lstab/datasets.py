"""Real data that needs no network: it comes inside scikit-learn."""

from dataclasses import dataclass
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import torch
from torch import Tensor


@dataclass(frozen=True)
class Batch:
    """inputs : float32, (examples, features), each feature standardized to mean 0 and standard
    deviation 1 over the whole data set (a constant feature becomes 0).
    labels : int64, (examples,).
    """

    inputs: Tensor
    labels: Tensor


@dataclass(frozen=True)
class Table:
    """inputs : float32, (examples, columns), each column in a unit of its own, as measured.
    labels : int64, (examples,). columns : their names.
    """

    inputs: Tensor
    labels: Tensor
    columns: tuple[str, ...]


@dataclass(frozen=True)
class Measurements:
    """inputs : float64, (examples, columns), each column in a unit of its own, as measured.
    targets : float64, (examples,), what is to be predicted. columns : names of the inputs.
    """

    inputs: Tensor
    targets: Tensor
    columns: tuple[str, ...]


WINE_COLUMNS = (
    "alcohol", "malic acid", "ash", "alcalinity of ash", "magnesium", "total phenols",
    "flavanoids", "nonflavanoid phenols", "proanthocyanins", "color intensity", "hue",
    "OD280/OD315", "proline",
)  # fmt: skip


def digits(size: int | None = None, seed: int = 0) -> Batch:
    """Return scikit-learn's handwritten digits: 1797 images of 8 × 8 = 64 pixels, 10 classes.

    size : how many examples, drawn without replacement by ``seed``; None for all, shuffled.
    Raises ValueError when ``size`` is not between 1 and 1797.

    >>> digits(128).inputs.shape
    torch.Size([128, 64])
    """
    data = _all_digits()
    total = len(data.labels)
    if size is not None and not 1 <= size <= total:
        raise ValueError(f"size must be between 1 and {total}, or None; got {size!r}.")
    order = torch.randperm(total, generator=_generator(seed), device="cpu")[:size]
    return Batch(data.inputs[order], data.labels[order])  # copies: the caller may change them


def wine(seed: int = 0) -> Table:
    """Return scikit-learn's wines in an order drawn by ``seed``: 178 rows, 13 columns, 3 growers.

    Nothing is standardized: hue is about 1, proline about 750.

    >>> table = wine()
    >>> table.inputs.shape, table.columns[-1], round(table.inputs[:, -1].mean().item())
    (torch.Size([178, 13]), 'proline', 747)
    """
    rows = _read("wine_data.csv", skip=1)
    if rows is None:
        from sklearn.datasets import load_wine

        rows = np.column_stack(load_wine(return_X_y=True))
    order = torch.randperm(len(rows), generator=_generator(seed), device="cpu")
    rows = torch.from_numpy(rows)[order]
    return Table(rows[:, :-1].float(), rows[:, -1].long(), WINE_COLUMNS)


DIABETES_COLUMNS = (
    "age", "sex", "body mass index", "blood pressure", "total cholesterol", "LDL", "HDL",
    "cholesterol / HDL", "log triglycerides", "glucose",
)  # fmt: skip


def diabetes(seed: int = 0) -> Measurements:
    """Return scikit-learn's diabetes patients in an order drawn by ``seed``: 442 rows, 10 columns.

    The target is how far the disease has progressed after a year, 25 to 346 (Efron, Hastie,
    Johnstone & Tibshirani 2004). Nothing is standardized.

    >>> patients = diabetes()
    >>> patients.inputs.shape, round(patients.targets.mean().item())
    (torch.Size([442, 10]), 152)
    """
    inputs, targets = _read("diabetes_data_raw.csv.gz", by=None), _read("diabetes_target.csv.gz")
    if inputs is None or targets is None:
        from sklearn.datasets import load_diabetes

        inputs, targets = load_diabetes(return_X_y=True, scaled=False)
    order = torch.randperm(len(targets), generator=_generator(seed), device="cpu")
    inputs, targets = (torch.from_numpy(array).double()[order] for array in (inputs, targets))
    return Measurements(inputs, targets, DIABETES_COLUMNS)


@lru_cache(maxsize=1)
@torch.inference_mode(False)  # what is kept must also serve a caller who trains
def _all_digits() -> Batch:
    images, labels = _load()
    inputs = torch.from_numpy(images).double()  # from_numpy: no default device has a say
    std, mean = torch.std_mean(inputs, dim=0, correction=0)
    return Batch(
        ((inputs - mean) / torch.where(std > 0, std, torch.ones_like(std))).float(),
        torch.from_numpy(labels).long(),
    )


def _load() -> tuple[np.ndarray, np.ndarray]:
    """Images (1797, 64) and labels (1797,)."""
    table = _read("digits.csv.gz")
    if table is None:
        from sklearn.datasets import load_digits

        return load_digits(return_X_y=True)
    return table[:, :-1], table[:, -1]


def _generator(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def _read(name: str, skip: int = 0, by: str | None = ",") -> np.ndarray | None:
    """The numbers of scikit-learn's file, less ``skip`` lines at its top; None where it is not.

    by : what separates them, None for blanks.

    ``import sklearn.datasets`` takes a second, a quarter of the time to a lab's first picture.
    """
    package = find_spec("sklearn").submodule_search_locations[0]
    file = Path(package, "datasets", "data", name)
    if not file.exists():  # the file's place is not promised
        return None
    return np.loadtxt(file, delimiter=by, skiprows=skip)
