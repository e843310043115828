"""Shifts of known size: a population in which every probability is known, and what moves in it."""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from d2lstab import checks
from d2lstab.datasets import Batch
from d2lstab.shift.arrays import labels, matrix, probabilities, vector


@dataclass(frozen=True)
class Sample(Batch):
    """A batch from a population. atoms : int64, (examples,), which atom each example is."""

    atoms: Tensor


@dataclass(frozen=True, eq=False)
class Population:
    """A finite population: inputs, each with the probability of each label.

    inputs : (atoms, features). An atom is one possible input: one image of a data set, or one cell
        of a table.
    joint : float64, (atoms, classes), P(x, y), which sums to 1.

    Raises TypeError and ValueError for inputs that are not finite numbers, and for another joint.

    The examples of a data set *are* the population here, not a sample of another one. So every
    shift has a size that is known, and every accuracy is a sum and not an estimate.

    >>> coin = Population(torch.tensor([[0.0], [1.0]]), np.array([[0.4, 0.1], [0.1, 0.4]]))
    >>> coin.prior, coin.accuracy([0, 1])
    (array([0.5, 0.5]), 0.8)
    """

    inputs: Tensor
    joint: np.ndarray

    def __post_init__(self):
        joint = probabilities("joint", self.joint, dimensions=2)
        atoms = len(matrix("inputs", self.inputs))
        if atoms != len(joint):
            raise ValueError(
                "joint must have one row for each of the inputs; got "
                f"{len(joint)} rows for {atoms} inputs."
            )
        object.__setattr__(self, "inputs", torch.as_tensor(self.inputs))
        object.__setattr__(self, "joint", joint)

    @classmethod
    def of(cls, batch: Batch, classes: int | None = None) -> "Population":
        """The population in which each example of ``batch`` is equally likely and keeps its label.

        classes : how many there are; None for the largest label and one.
        """
        size = len(matrix("inputs", batch.inputs))
        count = None if classes is None else checks.integer("classes", classes, 1)
        given = labels("labels", batch.labels, size, count)
        joint = np.zeros((size, count or given.max() + 1))
        joint[np.arange(size), given] = 1 / size
        return cls(batch.inputs, joint)

    @property
    def input_probability(self) -> np.ndarray:
        """P(x), (atoms,)."""
        return self.joint.sum(1)

    @property
    def prior(self) -> np.ndarray:
        """P(y), (classes,)."""
        return self.joint.sum(0)

    @property
    def labels_given_input(self) -> np.ndarray:
        """P(y | x), (atoms, classes); NaN for an input that never occurs."""
        return _given(self.joint, 1)

    @property
    def inputs_given_label(self) -> np.ndarray:
        """P(x | y), (atoms, classes), each column sums to 1; NaN for a label that never occurs."""
        return _given(self.joint, 0)

    def accuracy(self, predictions) -> float:
        """The share of the population for which ``predictions`` is right, exactly.

        predictions : int, (atoms,), the label that a model gives to each atom.
        """
        said = labels("predictions", predictions, *self.joint.shape)
        return min(float(self.joint[np.arange(len(said)), said].sum()), 1.0)  # rounding

    def draw(self, size: int, seed: int | torch.Generator = 0) -> Sample:
        """Draw ``size`` examples independently, with replacement."""
        checks.integer("size", size, 1)
        generator = seed
        if not isinstance(seed, torch.Generator):
            generator = torch.Generator().manual_seed(checks.integer("seed", seed, 0))
        cells = torch.from_numpy(self.joint.reshape(-1))
        drawn = torch.multinomial(cells, size, replacement=True, generator=generator)
        atoms = drawn // self.joint.shape[1]
        return Sample(self.inputs[atoms], drawn % self.joint.shape[1], atoms)


def shift_covariates(population: Population, score, size: float) -> Population:
    """Make inputs with a high score more frequent: Q(x) ∝ P(x) exp(size · score(x)).

    score : (atoms,), finite; in standard deviations, say, that sizes can be compared.
    size : 0 for no shift; negative prefers a low score. P(y | x) stays as it is.

    Raises ValueError for scores of another shape or not finite.
    Exponential tilting; covariate shift is named so by Shimodaira (2000).

    >>> coin = Population(torch.tensor([[0.0], [1.0]]), np.array([[0.4, 0.1], [0.1, 0.4]]))
    >>> shift_covariates(coin, [0, 1], np.log(3)).joint
    array([[0.2 , 0.05],
           [0.15, 0.6 ]])
    """
    values = vector("score", score, len(population.joint))
    exponents = checks.real("size", size) * values
    # An input that never occurs may have the highest score: it must not push the others to 0.
    highest = exponents[population.input_probability > 0].max()
    return _weighted(population, np.exp(np.minimum(exponents - highest, 0))[:, None])


def shift_labels(population: Population, prior) -> Population:
    """Make labels as frequent as ``prior`` says: Q(y) = prior; P(x | y) stays as it is.

    prior : (classes,), sums to 1.
    Raises ValueError where ``prior`` wants a label that the population does not have.

    >>> coin = Population(torch.tensor([[0.0], [1.0]]), np.array([[0.4, 0.1], [0.1, 0.4]]))
    >>> shift_labels(coin, [0.1, 0.9]).joint
    array([[0.08, 0.18],
           [0.02, 0.72]])
    """
    wanted = probabilities("prior", prior, dimensions=1)
    old = population.prior
    if wanted.shape != old.shape:
        raise ValueError(f"prior must have {len(old)} values, one a class; got {len(wanted)}.")
    absent = np.flatnonzero((wanted > 0) & (old == 0))
    if len(absent):
        raise ValueError(
            f"prior must be 0 for class {absent[0]}, of which the population has no example; got "
            f"{wanted[absent[0]]:g}."
        )
    return _weighted(population, np.divide(wanted, old, where=old > 0, out=np.zeros_like(old)))


def shift_concept(population: Population, transition, where=None) -> Population:
    """Call things by other names: Q(y' | x) = Σ_y P(y | x) transition[y, y']; P(x) stays.

    transition : (classes, classes), row y says what label y is called now; each row sums to 1.
    where : (atoms,), 0 to 1, the share of each input that is renamed; None for all of every input.

    Raises ValueError for another shape, a value out of range, or a row with another sum.

    >>> coin = Population(torch.tensor([[0.0], [1.0]]), np.array([[0.4, 0.1], [0.1, 0.4]]))
    >>> shift_concept(coin, [[0, 1], [1, 0]], where=[0, 1]).joint
    array([[0.4, 0.1],
           [0.4, 0.1]])
    """
    classes = population.joint.shape[1]
    table = matrix("transition", transition)
    sums = table.sum(1, keepdims=True)
    if table.shape != (classes, classes) or table.min() < 0 or abs(sums - 1).max() > 1e-6:
        raise ValueError(
            f"transition must be ({classes}, {classes}), no value negative, each row with sum 1; "
            f"got shape {table.shape}, minimum {table.min():g}, sums {sums.min():g} to "
            f"{sums.max():g}."
        )
    table = table / sums  # float32 rows have the sum 1 to 1e-7 only
    share = np.ones(len(population.joint)) if where is None else where
    share = vector("where", share, len(population.joint))[:, None]
    if share.min() < 0 or share.max() > 1:
        raise ValueError(f"where must be 0 to 1; got {share.min():g} to {share.max():g}.")
    joint = population.joint
    return Population(population.inputs, (1 - share) * joint + share * (joint @ table))


def density_ratio(source: Population, target: Population) -> np.ndarray:
    """Q(x) / P(x), (atoms,): the weight that makes the source's inputs look like the target's.

    inf where the target has inputs that the source never shows, NaN where neither has any.
    """
    _same_atoms(source, target)
    with np.errstate(divide="ignore", invalid="ignore"):
        return target.input_probability / source.input_probability


@dataclass(frozen=True)
class Moved:
    """How far each part of the joint distribution moved: total variation distances, 0 to 1.

    inputs : of P(x).  labels : of P(y).
    labels_given_input : of P(y | x), mean over the target's inputs that the source also has.
    inputs_given_label : of P(x | y), mean over the target's labels that the source also has.
    uncovered : the target's share of inputs that the source never shows.
    """

    inputs: float
    labels: float
    labels_given_input: float
    inputs_given_label: float
    uncovered: float

    @property
    def kinds(self) -> tuple[str, ...]:
        """Which of "covariate", "label" and "concept" shift this is; several may hold at once.

        Covariate: P(x) moves, P(y | x) stays. Label: P(y) moves, P(x | y) stays. Concept: P(y | x)
        moves, P(x) stays. None of them: a shift with no assumption that could help.
        """
        holds = {
            "covariate": _moves(self.inputs) and not _moves(self.labels_given_input),
            "label": _moves(self.labels) and not _moves(self.inputs_given_label),
            "concept": _moves(self.labels_given_input) and not _moves(self.inputs),
        }
        return tuple(kind for kind, true in holds.items() if true)


def compare(source: Population, target: Population) -> Moved:
    """Say which parts of the joint distribution moved from ``source`` to ``target``, and how far.

    >>> coin = Population(torch.tensor([[0.0], [1.0]]), np.array([[0.4, 0.1], [0.1, 0.4]]))
    >>> compare(coin, shift_covariates(coin, [0, 1], np.log(3))).kinds
    ('covariate',)
    """
    _same_atoms(source, target)
    p, q = source.input_probability, target.input_probability
    return Moved(
        inputs=float(abs(p - q).sum() / 2),
        labels=float(abs(source.prior - target.prior).sum() / 2),
        labels_given_input=_mean_distance(
            source.labels_given_input, target.labels_given_input, q * (p > 0)
        ),
        inputs_given_label=_mean_distance(
            source.inputs_given_label.T,
            target.inputs_given_label.T,
            target.prior * (source.prior > 0),
        ),
        uncovered=float(q[p == 0].sum()),
    )


def _given(joint: np.ndarray, axis: int) -> np.ndarray:
    with np.errstate(invalid="ignore"):
        return joint / joint.sum(axis, keepdims=True)


def _weighted(population: Population, factor: np.ndarray) -> Population:
    joint = population.joint * factor
    return Population(population.inputs, joint / joint.sum())


def _mean_distance(p: np.ndarray, q: np.ndarray, weight: np.ndarray) -> float:
    """The mean, by ``weight``, of the total variation between the rows of p and q."""
    seen = weight > 0
    if not seen.any():
        return 0.0
    return float(np.average(abs(p - q)[seen].sum(1) / 2, weights=weight[seen]))


def _moves(distance: float) -> bool:
    return distance > 1e-9  # rounding


def _same_atoms(source: Population, target: Population) -> None:
    if source.joint.shape != target.joint.shape or not torch.equal(source.inputs, target.inputs):
        raise ValueError(
            "source and target must have the same atoms and classes: make both from one population."
        )
