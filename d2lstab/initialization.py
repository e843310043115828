"""Initialization schemes in closed form: how a weight matrix is drawn before training.

Every scheme draws at gain 1; `NetworkSpec.gain` then multiplies the weights, so that one slider
scales every scheme by the same factor.
"""

from collections.abc import Callable
from dataclasses import dataclass

from torch import Generator, Tensor, nn

BIAS_SEED = 1_000_003  # added to the seed: biases have a stream of their own


@dataclass(frozen=True)
class Initialization:
    """One way to draw a weight matrix.

    name : the name that `NetworkSpec` and the labs use.
    standard_deviation : (fan_in, fan_out) → standard deviation of one weight, dimensionless.
    code : the expression in plain PyTorch, over the names ``weight`` and ``generator``. It is
        what `draw` runs and what `NetworkSpec.to_pytorch` prints: they cannot disagree.
    source : where the scheme comes from.
    """

    name: str
    standard_deviation: Callable[[int, int], float]
    code: str
    source: str

    def weight_std(self, width: int) -> float:
        """σ_w of mean-field theory in a layer from ``width`` to ``width`` units: √width · std."""
        return self.standard_deviation(width, width) * width**0.5

    def draw(self, weight: Tensor, generator: Generator) -> Tensor:
        """Fill ``weight``, shape (fan_out, fan_in), in place from ``generator``; return it."""
        return eval(self.code, {"nn": nn, "weight": weight, "generator": generator})


_ALL = (
    Initialization(
        "normal",
        lambda fan_in, fan_out: fan_in**-0.5,
        "nn.init.normal_(weight, std=weight.shape[1] ** -0.5, generator=generator)",
        "N(0, 1/fan_in); gain is then σ_w of the mean-field papers (Poole et al. 2016)",
    ),
    Initialization(
        "pytorch",
        lambda fan_in, fan_out: (3 * fan_in) ** -0.5,
        "nn.init.kaiming_uniform_(weight, a=5**0.5, generator=generator)",
        "U(±1/√fan_in), the weights of nn.Linear by default (its code spells it with a = √5)",
    ),
    Initialization(
        "book",
        lambda fan_in, fan_out: 0.01,
        "nn.init.normal_(weight, std=0.01, generator=generator)",
        "N(0, 0.01²), as in the early chapters of Dive into Deep Learning",
    ),
    Initialization(
        "xavier",
        lambda fan_in, fan_out: (2 / (fan_in + fan_out)) ** 0.5,
        "nn.init.xavier_uniform_(weight, generator=generator)",
        "U(±√(6/(fan_in + fan_out))), Glorot & Bengio 2010, eq. 16",
    ),
    Initialization(
        "xavier_normal",
        lambda fan_in, fan_out: (2 / (fan_in + fan_out)) ** 0.5,
        "nn.init.xavier_normal_(weight, generator=generator)",
        "N(0, 2/(fan_in + fan_out)), the variance of Glorot & Bengio 2010",
    ),
    Initialization(
        "he",
        lambda fan_in, fan_out: (2 / fan_in) ** 0.5,
        'nn.init.kaiming_normal_(weight, nonlinearity="relu", generator=generator)',
        "N(0, 2/fan_in), He et al. 2015",
    ),
    Initialization(
        "he_uniform",
        lambda fan_in, fan_out: (2 / fan_in) ** 0.5,
        'nn.init.kaiming_uniform_(weight, nonlinearity="relu", generator=generator)',
        "U(±√(6/fan_in)), the variance of He et al. 2015",
    ),
    Initialization(
        "orthogonal",
        lambda fan_in, fan_out: max(fan_in, fan_out) ** -0.5,
        "nn.init.orthogonal_(weight, generator=generator)",
        "orthonormal rows or columns, Saxe et al. 2013",
    ),
    Initialization(
        "constant",
        lambda fan_in, fan_out: 0.0,
        "nn.init.constant_(weight, weight.shape[1] ** -0.5)",
        "every weight 1/√fan_in: no symmetry is broken",
    ),
)

INITIALIZATIONS: dict[str, Initialization] = {scheme.name: scheme for scheme in _ALL}
"""Every scheme by name, in the order of the labs' menus."""
