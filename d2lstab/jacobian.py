"""The end-to-end Jacobian of a network: its singular values, and what theory says of their spread.

A singular value is the factor by which the network stretches one direction of its input on the way
forward, and one direction of the gradient on the way back.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn
from torch.func import functional_call

from d2lstab import checks
from d2lstab.activations import ACTIVATIONS
from d2lstab.gaussian import derivative, expectation

_MIXING = (nn.modules.batchnorm._BatchNorm, nn.modules.dropout._DropoutNd)


@dataclass(frozen=True, eq=False)
class Spectrum:
    """Singular values of the end-to-end Jacobian, one set for each example.

    values : float64, (examples, n), n the smaller of input and output size, largest first.
    """

    values: Tensor

    @property
    def condition(self) -> Tensor:
        """Largest over smallest singular value, (examples,); inf where the smallest is 0.

        Beyond about 10¹⁵ the smallest is rounding error, and the true condition is worse.
        """
        return self.values[:, 0] / self.values[:, -1]

    @property
    def mean_square(self) -> Tensor:
        """Mean of the squared singular values, (examples,)."""
        return self.values.square().mean(dim=1)

    @property
    def spread(self) -> Tensor:
        """Variance of the squared singular values over their mean's square, (examples,).

        Dimensionless; 0 where the network is an isometry up to a factor.
        """
        squares = self.values.square()
        return squares.var(dim=1, correction=0) / squares.mean(dim=1).square()


def jacobian(network: nn.Module, inputs: Tensor) -> Tensor:
    """Return ∂network(x)/∂x at each example x, float64, shape (examples, outputs, features).

    network : any module that treats the examples of a batch one by one.
    inputs : floating point, (examples, ...); what follows the first dimension counts as features.

    Computed in float64 on copies of the parameters: the small singular values of a deep network
    drown in float32's rounding errors. The network is not changed.

    Raises TypeError where network is no module or inputs no tensor of floating point, ValueError
    where there is no example, and where batch norm or dropout is in train mode, which mixes
    examples or draws at random: call ``network.eval()`` first.

    >>> jacobian(nn.Linear(3, 2), torch.zeros(5, 3)).shape
    torch.Size([5, 2, 3])
    """
    _check(network, inputs)
    tensors = {**dict(network.named_parameters()), **dict(network.named_buffers())}
    double = {
        name: value.detach().double() if value.is_floating_point() else value
        for name, value in tensors.items()
    }

    def outputs(example: Tensor) -> Tensor:
        return functional_call(network, double, (example[None],)).flatten()

    rows = [
        torch.autograd.functional.jacobian(outputs, example, vectorize=True)
        for example in inputs.detach().double()
    ]
    return torch.stack(rows).flatten(2)


def singular_values(network: nn.Module, inputs: Tensor) -> Spectrum:
    """Return the singular values of `jacobian` at each example; arguments and errors as there.

    >>> rotation = nn.Linear(8, 8)
    >>> _ = nn.init.orthogonal_(rotation.weight)
    >>> bool((singular_values(rotation, torch.zeros(1, 8)).values - 1).abs().max() < 1e-6)
    True
    """
    return Spectrum(torch.linalg.svdvals(jacobian(network, inputs)))


def predict_mean_square(activation: str, variances: Sequence[float], weight_std: float) -> float:
    """Return the mean squared singular value of ∏ D_l W_l in the limit of infinite width.

    activation : a name in `ACTIVATIONS`.
    variances : of the preactivations, one per layer, ≥ 0.
    weight_std : σ_w; the weights have variance σ_w²/width, Gaussian or orthogonal.

    The product of the layers' χ = σ_w² E[φ'(√q z)²], z ~ N(0, 1) (Pennington et al. 2017, arXiv
    1711.04735, eq. 5; χ = 1 is criticality).

    >>> round(predict_mean_square("relu", [1.0] * 10, 2**0.5), 6)
    1.0
    """
    mean, _ = _derivative_moments(activation, variances)
    checks.real("weight_std", weight_std, 0)
    return float(np.prod(weight_std**2 * mean))


def predict_spread(activation: str, variances: Sequence[float], *, orthogonal: bool) -> float:
    """Return the `Spectrum.spread` of ∏ D_l W_l, square layers in the limit of infinite width.

    activation, variances : as for `predict_mean_square`.
    orthogonal : whether the weights are orthogonal; Gaussian otherwise. Their scale cancels.

    Sum over the layers of μ₂/μ₁² − 1 − s₁, where μ_k = E[φ'(√q z)^{2k}], and s₁ is 0 for
    orthogonal and −1 for Gaussian weights: the S-transforms of the factors multiply (Pennington
    et al. 2017, arXiv 1711.04735, eq. 12), and this is their first order. At finite width it
    holds while there are many fewer layers than units.

    >>> round(predict_spread("linear", [1.0] * 50, orthogonal=False), 6)
    50.0
    >>> round(predict_spread("relu", [1.0] * 50, orthogonal=True), 6)
    50.0
    """
    mean, square = _derivative_moments(activation, variances)
    return float(np.sum(square / mean**2 - (1 if orthogonal else 0)))


def _derivative_moments(name: str, variances: Sequence[float]) -> tuple[np.ndarray, np.ndarray]:
    """E[φ'²] and E[φ'⁴] over normal preactivations of each variance."""
    slope = derivative(checks.choice("activation", name, ACTIVATIONS))
    q = np.array([checks.real("variances", variance, 0) for variance in variances])
    return expectation(lambda z: slope(z) ** 2, q), expectation(lambda z: slope(z) ** 4, q)


def _check(network: object, inputs: object) -> None:
    if not isinstance(network, nn.Module):
        raise TypeError(f"network must be a torch.nn.Module; got {network!r}.")
    if not isinstance(inputs, Tensor) or not inputs.is_floating_point():
        got = inputs.dtype if isinstance(inputs, Tensor) else type(inputs).__name__
        raise TypeError(f"inputs must be a tensor of floating point; got {got}.")
    if inputs.ndim < 2 or not len(inputs):
        raise ValueError(f"inputs must have shape (examples, ...); got {tuple(inputs.shape)}.")
    for name, module in network.named_modules():
        if isinstance(module, _MIXING) and module.training:
            raise ValueError(
                f"layer {name!r} ({type(module).__name__}) is in train mode, where the Jacobian "
                "of one example is not defined: call network.eval() first."
            )
