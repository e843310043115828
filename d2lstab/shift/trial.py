"""One trial: shift a population, train on the source, detect, correct, and see what it is worth."""

from dataclasses import dataclass

import numpy as np
import torch

from d2lstab import checks
from d2lstab.shift.detect import DETECTORS, Detection, prediction_test
from d2lstab.shift.linear import LinearModel, fit_linear
from d2lstab.shift.make import (
    Moved,
    Population,
    Sample,
    compare,
    density_ratio,
    shift_concept,
    shift_covariates,
    shift_labels,
)
from d2lstab.shift.plane import covariate_score, digits_in_a_plane
from d2lstab.shift.prior import PriorEstimate, black_box_prior, em_prior
from d2lstab.shift.weights import Weights, classifier_weights, ratio_weights

TESTS = (*DETECTORS, "black box")
"""Names of the tests: those of the inputs, and that of the model's predictions."""

CORRECTIONS = {
    "none": "",
    "density ratio": "covariate",
    "exact weights": "covariate",
    "black box": "label",
    "EM": "label",
}
"""What each correction assumes: that the shift is of this kind."""

FAVOURED = 1
"""The class, the 8s, that a label shift makes more frequent."""

SWAP = np.eye(3)[[0, 2, 1]]
"""What a concept shift renames: 8s are called 9 and 9s are called 8."""


@dataclass(frozen=True)
class ShiftSpec:
    """A shift of the digits in a plane, and what is done about it; all of it optional.

    covariate : −10 to 10, the ``size`` of `shift_covariates` by `covariate_score`; 0 for none.
    label : 0 to 1, the share of the target's labels that have become "8"; 0 for none.
    concept : 0 to 1, the share of the 8s and 9s that are called by each other's name; 0 for none.
    size : 20 to 2000, examples in each of the three samples: training, held-out, target.
    detector : a name in `TESTS`. correction : a name in `CORRECTIONS`. seed : of all randomness.

    Raises TypeError or ValueError, with the name, for a value of another kind or out of range.
    """

    covariate: float = 0.0
    label: float = 0.0
    concept: float = 0.0
    size: int = 200
    detector: str = "MMD"
    correction: str = "none"
    seed: int = 7  # samples that do, in all of `EXAMPLES`, about what most do

    def __post_init__(self):
        for name, low, high in (("covariate", -10, 10), ("label", 0, 1), ("concept", 0, 1)):
            checks.between(name, getattr(self, name), low, high)
        checks.integer("size", self.size, 20, 2000)
        checks.choice("detector", self.detector, TESTS)
        checks.choice("correction", self.correction, CORRECTIONS)
        checks.integer("seed", self.seed, 0, 2**32 - 1)


EXAMPLES = {
    "weights help": ShiftSpec(covariate=1.5, correction="density ratio"),
    "labels move": ShiftSpec(label=0.6, correction="black box"),
    "nobody can see it": ShiftSpec(concept=0.5),
    "wrong assumption": ShiftSpec(covariate=1.5, correction="EM"),
    "weights harm": ShiftSpec(covariate=-1.0, size=1000, correction="exact weights"),
    "no overlap": ShiftSpec(covariate=-10.0, size=100, correction="density ratio"),
}
"""Settings at which one thing shows, almost whatever the seed:

weights help: accuracy on the target 55 % → 87 %, 200 examples count as about 50.
labels move: 68 % → 83 %.
nobody can see it: 75 % → 55 %, and the p-value is that of two samples of one distribution.
wrong assumption: EM supposes a label shift; 55 % → 41 %.
weights harm: even the exact weights; 66 % → 63 %, while the log loss that they minimize falls.
no overlap: the weights carry a warning with its measure, and do no good on average.
"""


@dataclass(frozen=True, eq=False)
class Correction:
    """Weights of the training examples; all None where there are none.

    estimate : of the target's prior, where the weights come from one.
    warning : why it could not be done, or why not to trust it; else "".
    """

    weights: Weights | None = None
    estimate: PriorEstimate | None = None
    warning: str = ""


@dataclass(frozen=True, eq=False)
class ShiftTrial:
    """What `try_shift` found.

    source, target : the populations. moved : how far one is from the other.
    training, held_out : samples of the source. unlabelled : a sample of the target; nothing here
        has looked at its labels but the reader.
    before : the model trained on the training sample. after : the same with weights, or None.
    correction : what was done about the shift.
    detection : what the test says of the held-out sample against the unlabelled one.
    accuracy_on_source, accuracy_before, accuracy_after : of ``before`` on the source and on the
        target, of ``after`` on the target (NaN where there is none): exact, over the population.
    loss_before, loss_after : the log loss of the two models on the target, nats; what training
        minimizes. inf where the target has a label that a model has never seen.
    best_on_source, best_on_target : the accuracy of the best possible model, which knows P(y | x).
    """

    spec: ShiftSpec
    source: Population
    target: Population
    moved: Moved
    training: Sample
    held_out: Sample
    unlabelled: Sample
    before: LinearModel
    after: LinearModel | None
    correction: Correction
    detection: Detection
    accuracy_on_source: float
    accuracy_before: float
    accuracy_after: float
    loss_before: float
    loss_after: float
    best_on_source: float
    best_on_target: float


def try_shift(spec: ShiftSpec) -> ShiftTrial:
    """Do what one tick of the shift lab does.

    A seed gives the same samples of the source whatever the shift, and samples of the target that
    move with it. A correction that fails is no error: see `Correction.warning`.

    >>> trial = try_shift(ShiftSpec(covariate=1.5, correction="density ratio"))
    >>> trial.moved.kinds, trial.detection.p_value
    (('covariate',), 0.005)
    >>> trial.accuracy_before < 0.6 < 0.8 < trial.accuracy_after
    True
    """
    source = digits_in_a_plane()
    target = _shifted(source, spec.covariate, spec.label, spec.concept)
    generator = torch.Generator().manual_seed(spec.seed)
    samples = [population.draw(spec.size, generator) for population in (source, source, target)]
    training, held_out, unlabelled = samples
    classes = len(source.prior)
    before = fit_linear(training.inputs, training.labels, classes)
    done = _correct(spec, source, target, samples, before)
    after = None
    if done.weights is not None:
        after = fit_linear(training.inputs, training.labels, classes, done.weights.values)
    atoms, nothing = source.inputs, float("nan")
    return ShiftTrial(
        spec=spec,
        source=source,
        target=target,
        moved=compare(source, target),
        training=training,
        held_out=held_out,
        unlabelled=unlabelled,
        before=before,
        after=after,
        correction=done,
        detection=_detect(spec, before, held_out, unlabelled),
        accuracy_on_source=source.accuracy(before.predict(atoms)),
        accuracy_before=target.accuracy(before.predict(atoms)),
        accuracy_after=nothing if after is None else target.accuracy(after.predict(atoms)),
        loss_before=before.log_loss(target),
        loss_after=nothing if after is None else after.log_loss(target),
        best_on_source=float(source.joint.max(1).sum()),
        best_on_target=float(target.joint.max(1).sum()),
    )


def _shifted(source: Population, covariate: float, label: float, concept: float) -> Population:
    """First the inputs move, then the labels, then the names."""
    moved = shift_covariates(source, covariate_score(source.inputs), covariate)
    prior = (1 - label) * moved.prior + label * np.eye(len(moved.prior))[FAVOURED]
    moved = shift_labels(moved, prior)
    return shift_concept(moved, (1 - concept) * np.eye(len(SWAP)) + concept * SWAP)


def _detect(spec: ShiftSpec, model: LinearModel, held_out: Sample, unlabelled: Sample) -> Detection:
    source, target = held_out.inputs.numpy(), unlabelled.inputs.numpy()
    if spec.detector in DETECTORS:
        return DETECTORS[spec.detector](source, target, spec.seed)
    return prediction_test(model.probabilities(source), model.probabilities(target))


def _correct(
    spec: ShiftSpec,
    source: Population,
    target: Population,
    samples: list[Sample],
    model: LinearModel,
) -> Correction:
    training, _, unlabelled = samples
    try:
        if spec.correction == "none":
            return Correction()
        if CORRECTIONS[spec.correction] == "label":
            estimate = _estimate(spec.correction, samples, model)
            weights = _weights(estimate.ratio[training.labels.numpy()])
            return Correction(weights, estimate, estimate.warning)
        if spec.correction == "density ratio":
            weights = classifier_weights(training.inputs, unlabelled.inputs)
        else:
            weights = _weights(density_ratio(source, target)[training.atoms.numpy()])
        return Correction(weights, warning=weights.warning)
    except ValueError as error:
        return Correction(warning=str(error))


def _estimate(method: str, samples: list[Sample], model: LinearModel) -> PriorEstimate:
    training, held_out, unlabelled = samples
    classes = len(model.intercepts)
    if method == "EM":
        frequency = np.bincount(training.labels.numpy(), minlength=classes) / len(training.labels)
        return em_prior(frequency, model.probabilities(unlabelled.inputs))
    predictions = [model.predict(sample.inputs) for sample in (held_out, unlabelled)]
    return black_box_prior(held_out.labels, *predictions, classes)


def _weights(ratio: np.ndarray) -> Weights:
    """From the ratio Q / P at each of the examples, which may be 0."""
    with np.errstate(divide="ignore"):
        return ratio_weights(np.log(ratio))
