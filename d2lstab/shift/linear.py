"""A linear model as plain arrays: it predicts fast, and a figure can draw its borders."""

from dataclasses import dataclass

import numpy as np
from scipy.special import softmax
from sklearn.linear_model import LogisticRegression

from d2lstab.shift import arrays
from d2lstab.shift.arrays import matrix, vector
from d2lstab.shift.make import Population


@dataclass(frozen=True, eq=False)
class LinearModel:
    """Softmax regression: the scores of the classes are linear in the inputs.

    coefficients : (classes, features). intercepts : (classes,); −inf for a class that was not among
        the training examples.
    """

    coefficients: np.ndarray
    intercepts: np.ndarray

    def probabilities(self, inputs) -> np.ndarray:
        """P(y | x) by the model, (examples, classes)."""
        return softmax(self._scores(inputs), axis=1)

    def predict(self, inputs) -> np.ndarray:
        """The class with the highest score, int, (examples,)."""
        return self._scores(inputs).argmax(1)

    def log_loss(self, population: Population) -> float:
        """The mean of −log P(y | x) over the population, nats; inf for a label never seen."""
        occurs = population.joint > 0
        with np.errstate(divide="ignore"):
            surprise = -np.log(self.probabilities(population.inputs))
        return float((population.joint[occurs] * surprise[occurs]).sum())

    def _scores(self, inputs) -> np.ndarray:
        return matrix("inputs", inputs) @ self.coefficients.T + self.intercepts


def fit_linear(inputs, labels, classes: int, weights=None) -> LinearModel:
    """Fit scikit-learn's `LogisticRegression` to the examples that have a weight.

    inputs : (examples, features). labels : int, (examples,), from 0 to classes − 1.
    weights : (examples,), ≥ 0, mean 1, say; None for 1 each.

    >>> model = fit_linear([[0.0], [1.0], [4.0], [5.0]], [0, 0, 2, 2], classes=3)
    >>> model.predict([[0.5], [4.5]]), float(model.intercepts[1])
    (array([0, 2]), -inf)
    """
    inputs = matrix("inputs", inputs)
    labels = arrays.labels("labels", labels, len(inputs), classes)
    weights = np.ones(len(inputs)) if weights is None else vector("weights", weights, len(inputs))
    counts = weights > 0  # a class of which no example does is one that the model never saw
    seen = np.unique(labels[counts])
    coefficients, intercepts = np.zeros((classes, inputs.shape[1])), np.full(classes, -np.inf)
    if len(seen) == 1:
        intercepts[seen] = 0
        return LinearModel(coefficients, intercepts)
    model = LogisticRegression(max_iter=1000)
    model.fit(inputs[counts], labels[counts], sample_weight=weights[counts])
    # of two classes scikit-learn keeps only the difference of their scores
    own = np.array([[-0.5], [0.5]]) if len(seen) == 2 else np.eye(len(seen))
    coefficients[seen], intercepts[seen] = own @ model.coef_, own @ model.intercept_
    return LinearModel(coefficients, intercepts)
