"""A curve through a few noisy points: trained by gradient steps, step by step judged on test."""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from torch import Generator

from d2lstab import checks
from d2lstab.regularization.dropout import mask
from d2lstab.regularization.exact import exact_weights
from d2lstab.regularization.models import Network, Polynomial

MODELS = ("polynomial", "network")
GRID = np.linspace(-1, 1, 161)
"""Where the fitted curve is drawn and compared with the true one."""

TRUTH = np.sin(np.pi * GRID)
MOMENTUM = 0.9
RECORDED = 32  # steps whose errors are kept, at most
CLOSE = 0.05
"""Of a distance from the true curve, whose values go from −1 to 1: what counts as no error."""


class Examples(NamedTuple):
    """What is fitted: inputs and targets, (examples,) each, float64."""

    inputs: np.ndarray
    targets: np.ndarray


@dataclass(frozen=True)
class FitSpec:
    """Everything that fixes a fit of y = sin(πx) + noise on −1 ≤ x ≤ 1.

    model : "polynomial", in Chebyshev's polynomials, or "network", with one hidden layer of tanh.
    degree : of the polynomial, 1 to 100. width : units of the network, 1 to 1000.
    examples : to fit, 2 to 1000; one is drawn from each of as many equal parts of the interval.
    noise : standard deviation of the targets' normal noise, 0 ≤ noise < 10⁶.
    l1, l2 : penalties l1 · ‖w‖₁ + l2/2 · ‖w‖² on all weights but the biases, ≥ 0.
    dropout : probability of dropping a feature or a hidden unit, 0 ≤ p < 1.
    clip : None, or the limit on the norm of the gradient, > 0.
    learning_rate : > 0. steps : of training, 1 to 100 000.
    seed : fixes examples, first weights and dropout, 0 ≤ seed < 2³².

    Raises TypeError or ValueError for a wrong value, with its name.

    >>> FitSpec(degree=0)
    Traceback (most recent call last):
    ...
    ValueError: degree must be an integer from 1 to 100; got 0.
    """

    model: str = "polynomial"
    degree: int = 15
    width: int = 50
    examples: int = 20
    noise: float = 0.3
    l1: float = 0.0
    l2: float = 0.0
    dropout: float = 0.0
    clip: float | None = None
    learning_rate: float = 0.1
    steps: int = 300
    seed: int = 0

    def __post_init__(self):
        checks.choice("model", self.model, MODELS)
        as_python = {
            "degree": checks.integer("degree", self.degree, 1, 100),
            "width": checks.integer("width", self.width, 1, 1000),
            "examples": checks.integer("examples", self.examples, 2, 1000),
            "noise": checks.real("noise", self.noise, 0, 1e6),
            "l1": checks.real("l1", self.l1, 0),
            "l2": checks.real("l2", self.l2, 0),
            "dropout": checks.real("dropout", self.dropout, 0, 1),
            "learning_rate": checks.real("learning_rate", self.learning_rate, above=0),
            "steps": checks.integer("steps", self.steps, 1, 100_000),
            "seed": checks.integer("seed", self.seed, 0, 2**32 - 1),
        }
        if self.clip is not None:
            as_python["clip"] = checks.real("clip", self.clip, above=0)
        for field, value in as_python.items():
            object.__setattr__(self, field, value)

    def data(self) -> Examples:
        """Draw the examples to fit."""
        draw = {"generator": Generator().manual_seed(self.seed), "dtype": torch.float64}
        places = torch.rand(self.examples, device="cpu", **draw).numpy()
        noise = torch.randn(self.examples, device="cpu", **draw).numpy()
        inputs = 2 * (np.arange(self.examples) + places) / self.examples - 1
        return Examples(inputs, np.sin(np.pi * inputs) + self.noise * noise)


@dataclass(frozen=True, eq=False)
class Fit:
    """A trained fit and how it came about; all arrays float64, errors root mean squares.

    inputs, targets : the examples, (examples,). curve : the fit at `GRID`, (161,).
    weights : without the biases: of T₁ … T_degree, or the network's input and output weights.
    steps : the numbers of the recorded steps, spread evenly on a log scale, (recorded,).
    train_errors : of the recorded steps' fits on the examples, without dropout, (recorded,).
    test_errors : expected on new examples, noise included: √(mean (f − sin)² + noise²), with the
        mean over `GRID`. So no fit is better than ``noise``, and no test example is drawn.
    true_train_error : what the true curve itself has on the examples: the noise that was drawn.
    clipped : share of the steps at which the clip shortened the gradient.
    exact_weights, exact_curve : of the polynomial, what its objective is least for, with the mean
        over all dropout masks; None for the network, and where rounding hides it.
    condition, monomial_condition : condition numbers of the polynomial's features Tₖ at the inputs,
        less their means, and of xᵏ in their place; 0 for the network.
    """

    spec: FitSpec
    inputs: np.ndarray
    targets: np.ndarray
    curve: np.ndarray
    weights: np.ndarray
    steps: np.ndarray
    train_errors: np.ndarray
    test_errors: np.ndarray
    true_train_error: float
    clipped: float
    exact_weights: np.ndarray | None = None
    exact_curve: np.ndarray | None = None
    condition: float = 0.0
    monomial_condition: float = 0.0

    @property
    def zeros(self) -> int:
        """How many weights are exactly 0."""
        return int((self.weights == 0).sum())

    @property
    def best(self) -> int:
        """The place in ``steps`` of the least test error."""
        return int(np.nanargmin(np.r_[self.test_errors, np.inf])) % len(self.steps)

    @property
    def distance(self) -> float | None:
        """Root mean square between the curve and the exact one, over `GRID`."""
        if self.exact_curve is None:
            return None
        with np.errstate(all="ignore"):
            return _rms(self.curve - self.exact_curve)

    @property
    def kind(self) -> str:
        """What the errors say: "diverged", "fine", "overfitting" or "underfitting".

        In squares, a test error over the noise is fine up to a quarter and `CLOSE`. Where it is
        more, the train error shows at least half of it (underfitting), or it does not.
        """
        train, test, noise = self.train_errors[-1], self.test_errors[-1], self.spec.noise
        if not train < 10 * max(_rms(self.targets), CLOSE):
            return "diverged"
        excess = test**2 - noise**2
        if excess <= noise**2 / 4 + CLOSE**2:
            return "fine"
        shown = train**2 - self.true_train_error**2
        return "underfitting" if shown > excess / 2 else "overfitting"


def fit(spec: FitSpec) -> Fit:
    """Draw the examples, train on all of them at each step, and judge the recorded steps.

    A step goes down the gradient, Nesterov's momentum included, and then takes the proximal step
    of both penalties, which makes exact zeros and is stable however large they are. Clipping
    shortens the gradient of the squared error. In the second half of the training the learning
    rate falls to 0, for the noise of dropout to settle.

    >>> trained = fit(FitSpec(degree=5, l1=0.02))
    >>> trained.zeros, trained.kind
    (1, 'fine')
    """
    inputs, targets = spec.data()
    network = spec.model == "network"
    model = (Network if network else Polynomial)(inputs, spec.width if network else spec.degree)
    with np.errstate(all="ignore"):  # a training that diverges is a result
        steps, parameters, clipped = _train(model, targets, spec)
        curves = model.curves(parameters, GRID)
        errors = model.curves(parameters, inputs) - targets
        result = Fit(
            spec, inputs, targets, curves[-1], parameters[-1, : model.decayed], steps,
            train_errors=_rms(errors),
            test_errors=np.hypot(_rms(curves - TRUTH), spec.noise),
            true_train_error=_rms(np.sin(np.pi * inputs) - targets),
            clipped=clipped,
            **({} if network else _theory(model, inputs, targets, spec)),
        )  # fmt: skip
    return result


def _train(model, targets: np.ndarray, spec: FitSpec) -> tuple[np.ndarray, np.ndarray, float]:
    """Recorded steps, the parameters after them, (recorded, parameters), and the share clipped."""
    now = before = model.start(spec.seed)
    masks = _masks(model, spec)
    recorded = np.unique(np.geomspace(1, spec.steps, RECORDED).round().astype(int))
    place = {step: row for row, step in enumerate(recorded.tolist())}
    kept, clipped = np.empty((len(recorded), len(now))), 0
    for step in range(1, spec.steps + 1):
        rate = spec.learning_rate * min(1, 2 * (1 - (step - 1) / spec.steps))
        ahead = now + MOMENTUM * (now - before)
        gradient = model.gradient(ahead, targets, None if masks is None else masks[step - 1])
        if spec.clip is not None:
            length = np.sqrt(gradient @ gradient)
            if length > spec.clip:
                gradient, clipped = gradient * (spec.clip / length), clipped + 1
        before, now = now, ahead - rate * gradient
        weights = now[: model.decayed]
        if spec.l1:
            weights -= np.minimum(np.maximum(weights, -rate * spec.l1), rate * spec.l1)
        if spec.l2:
            weights /= 1 + rate * spec.l2
        if step in place:
            kept[place[step]] = now
    return recorded, kept, clipped / spec.steps


def _masks(model, spec: FitSpec) -> np.ndarray | None:
    """One mask for each step, example, and feature or unit; all drawn at once, which is faster."""
    if not spec.dropout:
        return None
    shape = spec.steps, spec.examples, model.dropped
    ones = torch.ones(shape, dtype=torch.float64, device="cpu")
    return mask(ones, spec.dropout, Generator().manual_seed(spec.seed + 1)).numpy()


def _theory(model: Polynomial, inputs: np.ndarray, targets: np.ndarray, spec: FitSpec) -> dict:
    """What is known of the polynomial without training it."""
    features = model.features(inputs)[:, :-1]
    weights = exact_weights(features, targets, spec.l1, spec.l2, spec.dropout)
    powers = inputs[:, None] ** np.arange(1, spec.degree + 1)
    known = {"condition": _condition(features), "monomial_condition": _condition(powers)}
    if weights is not None:
        exact = np.r_[weights, targets.mean()]
        known |= {"exact_weights": weights, "exact_curve": model.features(GRID) @ exact}
    return known


def _condition(columns: np.ndarray) -> float:
    """The largest over the least singular value of the columns less their means.

    n examples have n − 1 of them: the mean is lost.
    """
    values = np.linalg.svd(columns - columns.mean(0), compute_uv=False)[: len(columns) - 1]
    return float(values[0] / values[-1]) if values[-1] else np.inf


def _rms(values: np.ndarray) -> np.ndarray | float:
    """Root mean square over the last axis."""
    return np.sqrt((values**2).mean(-1))
