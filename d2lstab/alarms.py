"""Judge a training run step by step: which quantity left the range in which networks learn."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from d2lstab.health import Alarm, StepHealth, Thresholds


class Watch:
    """Rings each kind of alarm once per layer, one alarm for the layers that get there together.
    After the first Inf or NaN it is silent: what comes then is a consequence."""

    def __init__(self, thresholds: Thresholds):
        self.thresholds = thresholds
        self._streaks: dict[tuple[str, str], int] = {}  # steps out of range, by kind and layer
        self._rung: set[tuple[str, str]] = set()
        self._over = False

    def look(self, names: Sequence[str], step: StepHealth) -> list[Alarm]:
        """Return the alarms that ring at this step. names : of the layers, (layers,)."""
        if self._over:
            return []
        if step.trouble is not None:
            self._over = True
            kind, layer, words = step.trouble
            return [Alarm(step.number, layer, kind, math.nan, math.nan, words)]
        alarms, streaks = [], {}
        for rule in self._rules(names, step):
            ringing = []
            for place, value in rule.out_of_range():
                streak = streaks[rule.kind, place] = self._streaks.get((rule.kind, place), 0) + 1
                if streak >= rule.patience and (rule.kind, place) not in self._rung:
                    self._rung.add((rule.kind, place))
                    ringing.append((place, value))
            if ringing:
                alarms.append(rule.alarm(step.number, ringing))
        self._streaks = streaks
        return alarms

    def _rules(self, names: Sequence[str], step: StepHealth) -> "Iterator[_Rule]":
        """What is to be checked at one step."""
        limits, total = self.thresholds, step.total_gradient_norm
        patience = limits.patience
        with np.errstate(invalid="ignore", divide="ignore"):
            share = np.where(total > 0, step.weight_gradient_norm / total, 0.0)
        share[np.isnan(step.weight_gradient_norm)] = math.nan
        heard = step.saturated_share[~np.isnan(step.saturated_share)]
        saturated = [heard.mean()] if len(heard) else []
        whole = [""]
        yield _Rule("exploding", whole, [total], np.greater, limits.exploding, 1)
        yield _Rule("vanishing", names, share, np.less, limits.vanishing, patience)
        for kind, compare, limit in (
            ("small update", np.less, limits.smallest_update),
            ("large update", np.greater, limits.largest_update),
        ):
            yield _Rule(kind, names, step.update_ratio, compare, limit, patience)
        yield _Rule("dead", names, step.dead_share, np.greater_equal, limits.dead, patience)
        yield _Rule("saturated", whole, saturated, np.greater_equal, limits.saturated, patience)


@dataclass(frozen=True, eq=False)
class _Rule:
    """One quantity at one step: where it was measured, and when it is out of its range."""

    kind: str
    places: Sequence[str]
    values: Sequence[float]
    compare: np.ufunc
    threshold: float
    patience: int

    def out_of_range(self) -> list[tuple[str, float]]:
        """The places and values that are out of range; NaN never is."""
        out = self.compare(self.values, self.threshold)
        return [(self.places[i], float(self.values[i])) for i in np.flatnonzero(out)]

    def alarm(self, step: int, ringing: list[tuple[str, float]]) -> Alarm:
        """One alarm for all of ``ringing``, in the name of the worst."""
        worst = min if self.compare is np.less else max
        place, value = worst(ringing, key=lambda one: one[1])
        who = f"layer {place}" + (f" and {len(ringing) - 1} more" if len(ringing) > 1 else "")
        words = _WORDS[self.kind].format(who=who, value=value)
        return Alarm(step, place, self.kind, value, self.threshold, words)


_WORDS = {
    "exploding": "the gradient norm of the whole network is {value:.1e}: it explodes",
    "vanishing": "{who}: its gradient is {value:.0e} of the whole network's: it vanishes",
    "small update": "{who}: a step changes the weights by {value:.0e} of their size: too little",
    "large update": "{who}: a step changes the weights by {value:.2g} of their size: too much",
    "dead": "{who}: {value:.0%} of the units are in a flat part for every example: they are dead",
    "saturated": "{value:.0%} of the activations lie in a flat part: they are saturated",
}
