"""Networks from a specification: the plain multilayer perceptrons that the labs turn knobs on."""

import threading
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

import torch
from torch import Generator, Tensor, nn

from d2lstab import checks
from d2lstab.activations import ACTIVATIONS
from d2lstab.initialization import BIAS_SEED, INITIALIZATIONS
from d2lstab.normalization.named import NORMS
from d2lstab.normalization.weights import WeightNorm
from d2lstab.pytorch_code import pytorch_code
from d2lstab.regularization.constraints import limit_rows

NORM_PLACES = ("before", "after", "pre", "post")
"""All names of `NetworkSpec.norm_place`."""

N_FEATURES, N_CLASSES = 64, 10  # of scikit-learn's digits, the default data


class Residual(nn.Module):
    """``x + body(x)``: the layers given, with a connection around them (He et al. 2016)."""

    def __init__(self, *layers: nn.Module):
        super().__init__()
        self.body = nn.Sequential(*layers)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.body(x)


@dataclass(frozen=True)
class NetworkSpec:
    """Everything that fixes a multilayer perceptron before training, weight for weight.

    depth : hidden layers, the output layer not counted; 1 to 100 000.
    width : units in a hidden layer; 1 to 65 536.
    activation : a name in `ACTIVATIONS`.
    init : a name in `INITIALIZATIONS`.
    gain : multiplies the scheme's own standard deviation, dimensionless, ≥ 0. With
        ``init="normal"`` it is σ_w.
    bias_std : σ_b, standard deviation of the normal biases, ≥ 0.
    norm : None or a name in `NORMS`. Group norm has 8 groups where they divide the width;
        instance norm leaves nothing of a vector. "weight", "standardization" and "cosine" change
        the hidden layers' linear maps; with them the scheme's gain has no effect.
    norm_place : "before" or "after" the activation; with ``residual`` also "pre" (of what enters
        a block's branch, and once more before the output layer) or "post" (of the sum). Without
        residual connections these two are "after".
    residual : whether each hidden layer after the first is ``x + layer(x)``.
    dropout : probability of dropping an activation, 0 ≤ p < 1.
    seed : fixes weights and biases, 0 ≤ seed < 2³².
    max_norm : None, or c > 0: the weights into a hidden unit that are longer than c are scaled to
        it. The training of the labs holds them there.

    Raises TypeError for a value of the wrong type and ValueError for one out of range or a name
    that does not exist; the message names the field, what it needs, what came, and for a name
    the nearest valid one.

    >>> NetworkSpec(depth=3, activation="relu", init="he").to_pytorch().splitlines()[0]
    'import torch'
    >>> NetworkSpec(norm="btach")
    Traceback (most recent call last):
    ...
    ValueError: norm must be None or one of 'batch', 'layer', 'rms', 'group', 'instance', \
'weight', 'standardization', 'cosine'; got 'btach'. Did you mean 'batch'?
    """

    depth: int = 50
    width: int = 128
    activation: str = "tanh"
    init: str = "xavier"
    gain: float = 1.0
    bias_std: float = 0.0
    norm: str | None = None
    residual: bool = False
    dropout: float = 0.0
    seed: int = 0
    norm_place: str = "before"
    max_norm: float | None = None

    def __post_init__(self):
        if type(self.residual) is not bool:
            raise TypeError(f"residual must be True or False; got {self.residual!r}.")
        checks.choice("activation", self.activation, ACTIVATIONS)
        checks.choice("init", self.init, INITIALIZATIONS)
        if self.norm is not None:
            checks.choice("norm", self.norm, NORMS, also="None or ")
        checks.choice("norm_place", self.norm_place, NORM_PLACES)
        as_python = {  # numpy's numbers become Python's
            "depth": checks.integer("depth", self.depth, 1, 100_000),
            "width": checks.integer("width", self.width, 1, 65_536),
            "gain": checks.real("gain", self.gain, 0),
            "bias_std": checks.real("bias_std", self.bias_std, 0),
            "dropout": checks.real("dropout", self.dropout, 0, 1),
            "seed": checks.integer("seed", self.seed, 0, 2**32 - 1),
        }
        if self.max_norm is not None:
            as_python["max_norm"] = checks.real("max_norm", self.max_norm, above=0)
        for field, value in as_python.items():
            object.__setattr__(self, field, value)

    def to_pytorch(self, n_features: int = N_FEATURES, n_classes: int = N_CLASSES) -> str:
        """Return plain PyTorch code that builds ``network``, the same weight for weight."""
        return pytorch_code(self, _place(self), n_features, n_classes)


def build(
    spec: NetworkSpec, n_features: int = N_FEATURES, n_classes: int = N_CLASSES
) -> nn.Sequential:
    """Build the network that ``spec`` describes: an ordinary module in train mode.

    Maps inputs (batch, n_features) to logits (batch, n_classes). The global random state is
    neither read nor changed.

    >>> network = build(NetworkSpec(depth=2, width=16, activation="relu", init="he"))
    >>> network(torch.zeros(5, 64)).shape
    torch.Size([5, 10])
    """
    weights, biases = _draw(spec, n_features, n_classes)
    place = _place(spec)
    layers: list[nn.Module] = []
    for index in range(spec.depth):
        body = list(_hidden_layer(spec, place, weights[index], biases[index]))
        if spec.residual and index > 0:
            body = [Residual(*([_norm(spec)] if place == "pre" else []), *body)]
        layers += [*body, _norm(spec)] if place == "post" else body
    layers += [_norm(spec)] if place == "pre" else []
    return nn.Sequential(*layers, _linear(nn.Linear, weights[-1], biases[-1]))


def _place(spec: NetworkSpec) -> str:
    """Where layers of their own normalize signals: a name in `NORM_PLACES`, "" for nowhere."""
    if spec.norm is None or NORMS[spec.norm].layer is None:
        return ""
    return spec.norm_place if spec.residual or spec.norm_place == "before" else "after"


def _norm(spec: NetworkSpec) -> nn.Module:
    return NORMS[spec.norm].layer(spec.width)


def _hidden_layer(
    spec: NetworkSpec, place: str, weight: Tensor, bias: Tensor
) -> Iterator[nn.Module]:
    yield _linear(NORMS[spec.norm].linear if spec.norm else nn.Linear, weight, bias)
    if place == "before":
        yield _norm(spec)
    yield ACTIVATIONS[spec.activation].module()
    if place == "after":
        yield _norm(spec)
    if spec.dropout:
        yield nn.Dropout(spec.dropout)


def _linear(kind: type[nn.Linear], weight: Tensor, bias: Tensor) -> nn.Linear:
    """A linear layer that holds these tensors; its own random initialization is not run."""
    linear = kind.__new__(kind)
    nn.Module.__init__(linear)
    linear.out_features, linear.in_features = weight.shape
    linear.weight, linear.bias = nn.Parameter(weight), nn.Parameter(bias)
    if kind is WeightNorm:
        linear.gain = nn.Parameter(torch.ones_like(bias))
    return linear


def _draw(spec: NetworkSpec, n_features: int, n_classes: int) -> tuple[list[Tensor], list[Tensor]]:
    """Weights and biases of the hidden layers in order and of the output layer at the end."""
    unit = _unit_draws(spec.init, spec.width, spec.seed, n_features, n_classes)
    weights, biases = unit.take(spec.depth)
    weights = list(torch._foreach_mul(weights, spec.gain))
    if spec.max_norm is not None:
        weights[:-1] = [limit_rows(weight, spec.max_norm) for weight in weights[:-1]]
    return weights, list(torch._foreach_mul(biases, spec.bias_std))


_DRAWING = threading.Lock()  # two labs of one seed may want more layers at the same time


class _UnitDraws:
    """The draws at gain 1 and σ_b 1, kept so that a moved slider only scales them.

    The output layer is drawn first: the hidden layers keep their weights when depth changes.
    """

    def __init__(self, init: str, width: int, seed: int, n_features: int, n_classes: int):
        self.scheme, self.width = INITIALIZATIONS[init], width
        self.generator = Generator().manual_seed(seed)
        self.bias_generator = Generator().manual_seed(seed + BIAS_SEED)
        self.hidden: list[tuple[Tensor, Tensor]] = []
        self.output = self._next(width, n_classes)
        self.hidden.append(self._next(n_features, width))

    def _next(self, fan_in: int, fan_out: int) -> tuple[Tensor, Tensor]:
        # explicit, so that a reader's torch.set_default_dtype or _device changes nothing here
        weight = torch.empty(fan_out, fan_in, dtype=torch.float32, device="cpu")
        bias = torch.empty(fan_out, dtype=torch.float32, device="cpu")
        self.scheme.draw(weight, self.generator)
        return weight, nn.init.normal_(bias, generator=self.bias_generator)

    def take(self, depth: int) -> tuple[tuple[Tensor, ...], tuple[Tensor, ...]]:
        try:
            with _DRAWING:
                while len(self.hidden) < depth:
                    self.hidden.append(self._next(self.width, self.width))
        except BaseException:  # interrupted by the reader: the generators have moved on
            _unit_draws.cache_clear()
            raise
        return tuple(zip(*self.hidden[:depth], self.output, strict=True))


@lru_cache(maxsize=1)  # one: at depth 200 and width 512 it holds 210 MB
def _unit_draws(*key) -> _UnitDraws:
    return _UnitDraws(*key)
