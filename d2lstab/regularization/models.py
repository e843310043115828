"""Two models of a curve y = f(x) on −1 ≤ x ≤ 1, with their gradients by backpropagation.

Both keep all their parameters in one vector: first the ``decayed`` weights, then the biases, which
no penalty touches. The gradients are written out in numpy, where a step of so small a model takes
a tenth of the time that autograd needs to record it.
"""

import numpy as np
import torch

SLOPE = 20.0
"""Standard deviation of the network's first input weights: a unit turns within about 1/20 of x."""


class Polynomial:
    """f(x) = b + Σ wₖ (Tₖ(x) − mean of Tₖ), k from 1 to ``degree``, in Chebyshev's polynomials.

    The mean is over the examples' inputs, (n,). So b settles without the weights, and where many
    weights fit the examples, gradient steps from 0 end at the shortest of them.
    parameters : w₁ … w_degree, b.
    """

    def __init__(self, inputs: np.ndarray, degree: int):
        self.decayed, self.dropped = degree, degree
        self._mean = chebyshev(inputs, degree).mean(0)
        self._inputs = self.features(inputs)

    def features(self, inputs: np.ndarray) -> np.ndarray:
        """What the parameters multiply, (inputs, parameters); the last are ones."""
        centred = chebyshev(inputs, self.decayed) - self._mean
        return np.c_[centred, np.ones(len(inputs))]

    def start(self, seed: int) -> np.ndarray:
        """All parameters 0, whatever the seed."""
        return np.zeros(self.decayed + 1)

    def gradient(self, parameters, targets, mask=None) -> np.ndarray:
        """Of 1/(2n) Σ (f(x) − y)², (parameters,). mask : multiplies the features, (n, degree)."""
        features = self._inputs
        if mask is not None:
            features = features.copy()
            features[:, :-1] *= mask
        return (features @ parameters - targets) @ features / len(targets)

    def curves(self, parameters: np.ndarray, inputs: np.ndarray) -> np.ndarray:
        """f of several parameters, (several, parameters), at ``inputs``: (several, inputs)."""
        return parameters @ self.features(inputs).T


class Network:
    """f(x) = b + 1/√width · Σ vⱼ tanh(aⱼ x + cⱼ), one hidden layer of ``width`` units.

    With the factor 1/√width one learning rate suits every width. inputs : (n,).
    parameters : the output weights v, the input weights a, the biases c, and b.
    """

    def __init__(self, inputs: np.ndarray, width: int):
        self.decayed, self.dropped, self._scale = 2 * width, width, width**-0.5
        self._inputs = np.c_[inputs, np.ones(len(inputs))]

    def start(self, seed: int) -> np.ndarray:
        """Normal weights; each unit turns, aⱼ x + cⱼ = 0, at a place drawn from the interval."""
        generator = torch.Generator().manual_seed(seed)
        draw = {"generator": generator, "dtype": torch.float64, "device": "cpu"}
        width = self.dropped
        a, v = torch.randn(2, width, **draw).numpy()
        turns = 2 * torch.rand(width, **draw).numpy() - 1
        return np.r_[v, SLOPE * a, -SLOPE * a * turns, 0.0]

    def gradient(self, parameters, targets, mask=None) -> np.ndarray:
        """Of 1/(2n) Σ (f(x) − y)², (parameters,). mask : multiplies the units, (n, width)."""
        width = self.dropped
        v = parameters[:width] * self._scale
        units = np.tanh(self._inputs @ parameters[width:-1].reshape(2, width))
        kept = units if mask is None else units * mask
        error = (kept @ v + parameters[-1] - targets) / len(targets)  # ∂loss/∂f, (n,)
        back = error[:, None] * v  # ∂loss/∂kept, (n, width)
        if mask is not None:
            back *= mask
        back *= 1 - units * units  # ∂loss/∂(what tanh receives)
        first = self._inputs.T @ back  # (2, width)
        return np.concatenate([error @ kept * self._scale, first.ravel(), [error.sum()]])

    def curves(self, parameters: np.ndarray, inputs: np.ndarray) -> np.ndarray:
        """f of several parameters, (several, parameters), at ``inputs``: (several, inputs)."""
        width = self.dropped
        v, a, c = parameters[:, :-1].reshape(-1, 3, 1, width).swapaxes(0, 1)
        units = inputs[:, None] * a + c
        np.tanh(units, out=units)
        return (units @ v.swapaxes(1, 2))[..., 0] * self._scale + parameters[:, -1:]


def chebyshev(inputs: np.ndarray, degree: int) -> np.ndarray:
    """T₁ to T_degree at ``inputs`` in [−1, 1], (n, degree): Tₖ(x) = cos(k · arccos x).

    >>> chebyshev(np.array([-1.0, 0.5]), 2).round(decimals=12)
    array([[-1. ,  1. ],
           [ 0.5, -0.5]])
    """
    return np.cos(np.arange(1, degree + 1) * np.arccos(inputs)[:, None])
