"""Which units of a layer lie in a flat part of their activation function."""

import math
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from torch import Tensor

from d2lstab import statistics
from d2lstab.activations import ACTIVATIONS
from d2lstab.recorder import LayerRecord


@dataclass(frozen=True, eq=False, slots=True)
class Units:
    """What the activation functions of one layer did.

    flat, pairs : how many (example, unit) pairs lay in a flat part, of how many.
    dead : which units lay there for every example, bool, (units,).
    """

    flat: float
    pairs: int
    dead: np.ndarray

    @property
    def saturated_share(self) -> float:
        """Share of (example, unit) pairs in a flat part; NaN of none."""
        return self.flat / self.pairs if self.pairs else math.nan

    @property
    def dead_share(self) -> float:
        """Share of units in a flat part for every example; NaN of none."""
        return np.count_nonzero(self.dead) / self.dead.size if self.dead.size else math.nan

    def joined(self, other: "Units") -> "Units":
        """Both together: a unit is dead where it is in both."""
        same = self.dead.shape == other.dead.shape
        dead = self.dead & other.dead if same else other.dead
        return Units(self.flat + other.flat, self.pairs + other.pairs, dead)


def units_of(records: Iterable[LayerRecord]) -> dict[LayerRecord, Units]:
    """Return what each layer's units did, from what their activation functions were given.

    Layers without an activation function are left out. Calls of one function in all layers are
    reduced together, which is why this takes the records and not one of them.
    """
    calls: dict[tuple[str, int], list[tuple[LayerRecord, Tensor]]] = {}
    for record in records:
        for activation, before in record.pre_activations:
            calls.setdefault((activation.name, record.unit_dim), []).append((record, before))
    units: dict[LayerRecord, Units] = {}
    for (name, unit_dim), some in calls.items():
        tensors = [before for _, before in some]
        shares, masks = statistics.flat_shares(ACTIVATIONS[name], tensors, unit_dim)
        for (record, before), share, mask in zip(some, shares.tolist(), masks, strict=True):
            pairs = before.numel()
            heard = Units(share * pairs, pairs, mask)
            units[record] = units[record].joined(heard) if record in units else heard
    return units
