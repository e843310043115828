"""Gradient descent from one point of the loss cliff, with its gradients clipped and not."""

from dataclasses import dataclass, field

import torch
from torch import Tensor

from d2lstab import checks
from d2lstab.regularization.cliff import LENGTH, Path, Step, clipped, gradient, loss, wall
from d2lstab.regularization.clipping import CLIPS

STEPS = 10
"""Of each path."""

WEIGHTS, REACH = (4.0, 5.6), 0.3
"""Where a descent may start, and how far above or below the wall."""


@dataclass(frozen=True)
class CliffSpec:
    """Where a descent starts, and how it steps.

    weight : w of the net with one unit, 4 to 5.6. height : what its bias b is above `cliff.wall`,
    −0.3 to 0.3; at 0 the descent starts on the wall. learning_rate : > 0. limit : on the
    gradient's norm, or on each of its two entries, > 0. length : steps through the net, 1 to 1000.

    >>> CliffSpec(weight=6.0)
    Traceback (most recent call last):
    ...
    ValueError: weight must be a number from 4 to 5.6; got 6.0.
    """

    weight: float = 5.0
    height: float = 0.0
    learning_rate: float = 0.1
    limit: float = 1.0
    length: int = LENGTH

    def __post_init__(self):
        as_python = {
            "weight": checks.between("weight", self.weight, *WEIGHTS),
            "height": checks.between("height", self.height, -REACH, REACH),
            "learning_rate": checks.real("learning_rate", self.learning_rate, above=0),
            "limit": checks.real("limit", self.limit, above=0),
            "length": checks.integer("length", self.length, 1, 1000),
        }
        for name, value in as_python.items():
            object.__setattr__(self, name, value)

    @property
    def start(self) -> Tensor:
        """The point (w, b), (2,), float64."""
        weight = torch.tensor(self.weight, dtype=torch.float64)
        return torch.stack([weight, wall(weight) + self.height])


@dataclass(frozen=True, eq=False)
class CliffTrial:
    """Three descents from one start, by how they clip: None, "norm" and "value".

    steps : the first `Step` of each, points (2,). paths : all of each, `STEPS` steps.
    """

    spec: CliffSpec
    steps: dict[str | None, Step] = field(default_factory=dict)
    paths: dict[str | None, Path] = field(default_factory=dict)


def try_cliff(spec: CliffSpec) -> CliffTrial:
    """Take `STEPS` steps from the start, unclipped, clipped by norm and clipped by value.

    >>> first = try_cliff(CliffSpec()).steps
    >>> [round((step.end - step.start).norm().item(), 2) for step in first.values()]
    [77.94, 0.1, 0.14]
    """
    start = spec.start
    clips, points, slopes, used = (None, *CLIPS), [start.expand(3, 2)], [], []
    for _ in range(STEPS):
        slopes.append(gradient(points[-1], spec.length))
        each = zip(slopes[-1], clips, strict=True)
        used.append(torch.stack([clipped(slope, clip, spec.limit) for slope, clip in each]))
        points.append(points[-1] - spec.learning_rate * used[-1])
    slopes.append(gradient(points[-1], spec.length))
    points, slopes = torch.stack(points), torch.stack(slopes)
    losses, norms = loss(points, spec.length), slopes.norm(dim=-1)
    trial = CliffTrial(spec)
    for number, clip in enumerate(clips):
        trial.steps[clip] = Step(start, points[1, number], slopes[0, number], used[0][number])
        trial.paths[clip] = Path(points[:, number], losses[:, number], norms[:, number])
    return trial
