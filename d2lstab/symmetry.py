"""Hidden units that start alike: do they stay alike, and how fast do they part?"""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from d2lstab import checks
from d2lstab.training import batches


@dataclass(frozen=True, eq=False)
class TwinTraining:
    """Several networks with one hidden layer of tanh units, trained side by side.

    All arrays are float64; a point is a step at which the parameters were kept, before its update.

    steps : the kept steps, int64, shape (points,).
    hidden : hidden weights, (points, runs, units, features), a row per unit.
    output : output weights, (points, runs, units, classes), a row per unit.
    bias : output biases, (points, runs, classes). Hidden units have no bias.
    """

    steps: Tensor
    hidden: Tensor
    output: Tensor
    bias: Tensor

    def singular_values(self) -> Tensor:
        """Of the hidden weights, largest first: (points, runs, min(units, features))."""
        return torch.linalg.svdvals(self.hidden)

    def logits(self, inputs: Tensor) -> Tensor:
        """What the trained networks answer to ``inputs``, (examples, features), after the last
        kept step: (runs, examples, classes)."""
        return _logits(inputs.double(), self.hidden[-1], self.output[-1], self.bias[-1])


def train_twins(
    hidden: Tensor,
    output: Tensor,
    steps: int = 240,
    learning_rate: float = 0.5,
    batch_size: int = 128,
    every: int = 5,
    seed: int = 0,
) -> TwinTraining:
    """Train one network per start on the digits, all on the same batches, by plain SGD in float64.

    hidden : hidden weights at the start, (runs, units, 64).
    output : output weights at the start, (runs, units, 10).
    every : the parameters are kept at step 0, ``every``, 2 ``every`` … up to ``steps``.

    Raises ValueError where the shapes do not fit each other and for numbers out of range.

    >>> start = torch.full((1, 4, 64), 0.1), torch.full((1, 4, 10), 0.1)
    >>> training = train_twins(*start, steps=20)
    >>> bool(training.singular_values()[-1, 0, 1] < 1e-9)  # units that start alike stay alike
    True
    """
    if hidden.ndim != 3 or hidden.shape[2] != 64 or output.shape != (*hidden.shape[:2], 10):
        raise ValueError(
            "hidden must be (runs, units, 64) and output (runs, units, 10); "
            f"got {tuple(hidden.shape)} and {tuple(output.shape)}."
        )
    steps, every = checks.integer("steps", steps, 0), checks.integer("every", every, 1)
    batch_size = checks.integer("batch_size", batch_size, 1)
    learning_rate = checks.real("learning_rate", learning_rate, 0)
    bias = torch.zeros(len(hidden), 10)
    parameters = [p.detach().double().clone().requires_grad_() for p in (hidden, output, bias)]
    kept = []
    for step, batch in enumerate(batches(steps + 1, batch_size, seed)):
        if step % every == 0:
            kept.append([p.detach().clone() for p in parameters])
        logits = _logits(batch.inputs.double(), *parameters)
        each = F.cross_entropy(
            logits.transpose(1, 2), batch.labels.expand(len(hidden), -1), reduction="none"
        )
        gradients = torch.autograd.grad(each.mean(dim=1).sum(), parameters)
        with torch.no_grad():
            for parameter, gradient in zip(parameters, gradients, strict=True):
                parameter -= learning_rate * gradient
    return TwinTraining(
        torch.arange(0, steps + 1, every), *(torch.stack(p) for p in zip(*kept, strict=True))
    )


def _logits(inputs: Tensor, hidden: Tensor, output: Tensor, bias: Tensor) -> Tensor:
    """(examples, features), (runs, units, …) … → (runs, examples, classes)."""
    return torch.tanh(inputs @ hidden.transpose(1, 2)) @ output + bias.unsqueeze(1)


def escape_rate(
    hidden: Tensor, output: Tensor, bias: Tensor, inputs: Tensor, labels: Tensor
) -> float:
    """Return how fast tanh units that are all alike part: the exponent per step, over the rate.

    hidden, output : the weights that all units share, (features,) and (classes,).
    bias : of the outputs, (classes,), where the other units' part of the logits is included:
        logits = tanh(inputs · hidden) output + bias, shape (examples, classes) or broadcast to it.
    inputs, labels : (examples, features) and (examples,).

    A perturbation that sums to zero over the units leaves the logits alone to first order, so the
    loss changes by each unit's own quadratic form ½ δᵀ M δ, δ = (δw, δv), with

        M = [[A, B], [Bᵀ, 0]],  A = Xᵀ diag(φ″ · G v) X,  B = Xᵀ diag(φ′) G,

    φ = tanh and G = (softmax − one-hot) / examples. Gradient descent with a small learning rate η
    multiplies δ by 1 + η |λ| along the eigenvector of the most negative eigenvalue λ of M; the
    return value is −λ ≥ 0. It is positive unless B = 0: alike is a saddle, never a minimum.

    >>> x, y = torch.tensor([[1.0], [-1.0]]), torch.tensor([0, 1])
    >>> round(escape_rate(torch.zeros(1), torch.zeros(2), torch.zeros(2), x, y), 3)
    0.707
    """
    inputs, hidden, output = inputs.double(), hidden.double(), output.double()
    act = torch.tanh(inputs @ hidden)  # (examples,)
    slope, curvature = 1 - act**2, -2 * act * (1 - act**2)
    logits = torch.outer(act, output) + bias
    error = logits.softmax(dim=1) - F.one_hot(labels, logits.shape[1])  # (examples, classes)
    error = error / len(inputs)
    a = inputs.T @ (inputs * (curvature * (error @ output)).unsqueeze(1))
    b = inputs.T @ (error * slope.unsqueeze(1))
    zero = torch.zeros(len(output), len(output), dtype=torch.float64)
    form = torch.cat([torch.cat([a, b], dim=1), torch.cat([b.T, zero], dim=1)])
    return max(0.0, -torch.linalg.eigvalsh(form)[0].item())
