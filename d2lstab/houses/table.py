"""From a table of houses to tensors and back: preparation without leakage, folds, score, answer."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
import torch
from pandas.api.types import is_numeric_dtype
from torch import Tensor

from d2lstab import checks

NOT_INPUTS = ("Id", "SalePrice")


@dataclass(frozen=True)
class Preparation:
    """What `transform` needs to know, learned by `fit` from the training part and nothing else.

    mean, std : by name of a column of numbers, over its known values. categories : by name of a
    column of words, the words seen, sorted, and at last None if a value was missing.

    >>> train = pd.DataFrame({"Id": [1, 2, 3], "Area": [1.0, None, 3.0], "Alley": ["a", None, "b"]})
    >>> preparation = Preparation.fit(train)
    >>> preparation.columns
    ('Area', 'Alley=a', 'Alley=b', 'Alley=missing')
    >>> preparation.transform(train)
    tensor([[-1.,  1.,  0.,  0.],
            [ 0.,  0.,  0.,  1.],
            [ 1.,  0.,  1.,  0.]])
    """

    mean: dict[str, float]
    std: dict[str, float]
    categories: dict[str, tuple[str | None, ...]]

    @classmethod
    def fit(cls, train: pd.DataFrame) -> "Preparation":
        """Learn means, standard deviations (of the population, as the norm layers take them) and
        categories. Id and SalePrice are passed over. Raises ValueError where there is no row.
        """
        if len(train) == 0:
            raise ValueError("train must have at least one row; got none.")
        inputs = train.drop(columns=list(NOT_INPUTS), errors="ignore")
        mean, std, categories = {}, {}, {}
        for name in inputs:
            column = inputs[name]
            if is_numeric_dtype(column.dtype):  # pandas 3 calls words str, pandas 2 object
                known = column.dropna().to_numpy(dtype=float)
                mean[name], std[name] = _mean_and_std(known)
            else:
                words = sorted(column.dropna().unique())
                categories[name] = (*words, *([None] if column.isna().any() else []))
        return cls(mean, std, categories)

    @property
    def columns(self) -> tuple[str, ...]:
        """The names of the inputs, in the order of `transform`."""
        words = [(name, word) for name, seen in self.categories.items() for word in seen]
        return (*self.mean, *(f"{name}={'missing' if w is None else w}" for name, w in words))

    def transform(self, frame: pd.DataFrame) -> Tensor:
        """Return the inputs of the rows, float32, (rows, len(columns)), each row by itself.

        A number becomes (number − mean) / std, or 0 where it is missing. A word becomes a 1 in the
        column of its category; one never seen in training becomes zeros. Raises ValueError where
        ``frame`` lacks a column.
        """
        missing = [name for name in (*self.mean, *self.categories) if name not in frame]
        if missing:
            raise ValueError(f"frame lacks the columns {', '.join(missing)}.")
        parts = [np.empty((len(frame), 0))]
        for name, mean in self.mean.items():
            column = frame[name].to_numpy(dtype=float, na_value=np.nan)
            parts.append(np.nan_to_num((column - mean) / self.std[name])[:, None])
        for name, seen in self.categories.items():
            words = frame[name].to_numpy(dtype=object)
            words = np.where(frame[name].isna(), None, words)  # NaN or NA, as pandas has it
            parts += [np.array([word == known for word in words])[:, None] for known in seen]
        return torch.tensor(np.hstack(parts), dtype=torch.float32, device="cpu")


def _mean_and_std(known: np.ndarray) -> tuple[float, float]:
    """Both, but 1 for the standard deviation of a constant, which so becomes 0 and not 0/0."""
    if len(known) == 0:
        return 0.0, 1.0
    if known.min() == known.max():  # std() may round to 1e-17, and a new value would explode
        return float(known[0]), 1.0
    return float(known.mean()), float(known.std())


def log_prices(frame: pd.DataFrame) -> Tensor:
    """Return log(SalePrice), float32, (rows,): what a model is trained to predict.

    Raises ValueError where a price is missing or not positive.

    >>> log_prices(pd.DataFrame({"SalePrice": [1, 100000]}))
    tensor([ 0.0000, 11.5129])
    """
    prices = torch.tensor(frame["SalePrice"].to_numpy(dtype=float), device="cpu")
    _check_prices("SalePrice", prices)
    return prices.log().float()


def log_rmse(predicted: Tensor, prices: Tensor) -> float:
    """Return sqrt(mean((log predicted − log price)²)), the competition's score; 0.1 is about 10 %.

    predicted, prices : in dollars, > 0, the same shape. Raises ValueError otherwise.

    >>> round(log_rmse(torch.tensor([110.0, 90.0]), torch.tensor([100.0, 100.0])), 4)
    0.1005
    """
    if predicted.shape != prices.shape or predicted.numel() == 0:
        raise ValueError(
            "predicted and prices must have the same shape and not be empty; got "
            f"{tuple(predicted.shape)} and {tuple(prices.shape)}."
        )
    _check_prices("predicted", predicted)
    _check_prices("prices", prices)
    return float((predicted.double().log() - prices.double().log()).square().mean().sqrt())


@dataclass(frozen=True)
class Fold:
    """train, held_out : row numbers, int64; together all rows, each once."""

    train: Tensor
    held_out: Tensor


def folds(n: int, k: int = 5, seed: int = 0) -> tuple[Fold, ...]:
    """Return ``k`` folds of ``n`` rows, shuffled by ``seed``; each row is held out exactly once.

    n : ≥ 2. k : 2 to n. The first n mod k folds hold out one row more than the others.

    >>> [fold.held_out.tolist() for fold in folds(5, 2)]
    [[0, 1, 4], [2, 3]]
    """
    checks.integer("n", n, 2)
    checks.integer("k", k, 2, n)
    order = torch.randperm(n, generator=torch.Generator().manual_seed(seed), device="cpu")
    parts = [part.sort().values for part in order.tensor_split(k)]
    return tuple(
        Fold(torch.cat(parts[:i] + parts[i + 1 :]).sort().values, part)
        for i, part in enumerate(parts)
    )


def submission(ids: Sequence[int], prices: Tensor) -> pd.DataFrame:
    """Return the table that the competition takes: ``submission(…).to_csv(path, index=False)``.

    ids : the column Id of the test part. prices : predicted, in dollars, (rows,).
    Raises ValueError where their numbers differ, an Id comes twice, or a price is not a number, not
    finite or not positive: the site would refuse the file.

    >>> print(submission([1461], torch.tensor([169000.0])).to_csv(index=False).strip())
    Id,SalePrice
    1461,169000.0
    """
    ids = [int(number) for number in ids]
    if prices.shape != (len(ids),):
        raise ValueError(f"prices must have the shape ({len(ids)},); got {tuple(prices.shape)}.")
    if len(set(ids)) < len(ids):
        raise ValueError("ids must differ; some come twice.")
    _check_prices("prices", prices)
    return pd.DataFrame({"Id": ids, "SalePrice": prices.detach().cpu().double().numpy()})


def _check_prices(name: str, prices: Tensor) -> None:
    good = prices.isfinite() & (prices > 0)
    if not good.all():
        first = prices[~good].flatten()[0].item()
        raise ValueError(
            f"{name} must be finite and > 0; {int((~good).sum())} of {prices.numel()} are not, the "
            f"first is {first}. A model of log prices needs exp() first."
        )
