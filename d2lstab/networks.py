"""Networks from a specification: the plain multilayer perceptrons that the labs turn knobs on."""

import threading
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

import torch
from torch import Generator, Tensor, nn

from d2lstab import checks
from d2lstab.activations import ACTIVATIONS
from d2lstab.initialization import INITIALIZATIONS

NORMS: dict[str, type[nn.Module]] = {"batch": nn.BatchNorm1d, "layer": nn.LayerNorm}
"""Normalization layers by name; each stands between the linear map and the activation."""

N_FEATURES, N_CLASSES = 64, 10  # of scikit-learn's digits, the default data
BIAS_SEED = 1_000_003  # added to the seed: biases have a stream of their own


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
    norm : None, "batch" or "layer"; stands between linear map and activation.
    residual : whether each hidden layer after the first is ``x + layer(x)``.
    dropout : probability of dropping an activation, 0 ≤ p < 1.
    seed : fixes weights and biases, 0 ≤ seed < 2³².

    Raises TypeError for a value of the wrong type and ValueError for one out of range or a name
    that does not exist; the message names the field, what it needs, what came, and for a name
    the nearest valid one.

    >>> NetworkSpec(depth=3, activation="relu", init="he").to_pytorch().splitlines()[0]
    'import torch'
    >>> NetworkSpec(norm="btach")
    Traceback (most recent call last):
    ...
    ValueError: norm must be None or one of 'batch', 'layer'; got 'btach'. Did you mean 'batch'?
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

    def __post_init__(self):
        if type(self.residual) is not bool:
            raise TypeError(f"residual must be True or False; got {self.residual!r}.")
        checks.choice("activation", self.activation, ACTIVATIONS)
        checks.choice("init", self.init, INITIALIZATIONS)
        if self.norm is not None:
            checks.choice("norm", self.norm, NORMS, also="None or ")
        as_python = {  # numpy's numbers become Python's
            "depth": checks.integer("depth", self.depth, 1, 100_000),
            "width": checks.integer("width", self.width, 1, 65_536),
            "gain": checks.real("gain", self.gain, 0),
            "bias_std": checks.real("bias_std", self.bias_std, 0),
            "dropout": checks.real("dropout", self.dropout, 0, 1),
            "seed": checks.integer("seed", self.seed, 0, 2**32 - 1),
        }
        for field, value in as_python.items():
            object.__setattr__(self, field, value)

    def to_pytorch(self, n_features: int = N_FEATURES, n_classes: int = N_CLASSES) -> str:
        """Return plain PyTorch code that builds ``network``, the same weight for weight."""
        return _to_pytorch(self, n_features, n_classes)


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
    layers: list[nn.Module] = []
    for index in range(spec.depth):
        body = list(_hidden_layer(spec, weights[index], biases[index]))
        layers += [Residual(*body)] if spec.residual and index > 0 else body
    return nn.Sequential(*layers, _linear(weights[-1], biases[-1]))


def _hidden_layer(spec: NetworkSpec, weight: Tensor, bias: Tensor) -> Iterator[nn.Module]:
    yield _linear(weight, bias)
    if spec.norm:
        yield NORMS[spec.norm](spec.width)
    yield ACTIVATIONS[spec.activation].module()
    if spec.dropout:
        yield nn.Dropout(spec.dropout)


def _linear(weight: Tensor, bias: Tensor) -> nn.Linear:
    """An nn.Linear that holds these tensors; its own random initialization is not run."""
    linear = nn.Linear.__new__(nn.Linear)
    nn.Module.__init__(linear)
    linear.out_features, linear.in_features = weight.shape
    linear.weight, linear.bias = nn.Parameter(weight), nn.Parameter(bias)
    return linear


def _draw(spec: NetworkSpec, n_features: int, n_classes: int) -> tuple[list[Tensor], list[Tensor]]:
    """Weights and biases of the hidden layers in order and of the output layer at the end."""
    unit = _unit_draws(spec.init, spec.width, spec.seed, n_features, n_classes)
    weights, biases = unit.take(spec.depth)
    return (
        list(torch._foreach_mul(weights, spec.gain)),
        list(torch._foreach_mul(biases, spec.bias_std)),
    )


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


def _to_pytorch(spec: NetworkSpec, n_features: int, n_classes: int) -> str:
    norm = {None: "", "batch": "nn.BatchNorm1d(fan_out), ", "layer": "nn.LayerNorm(fan_out), "}
    activation = ACTIVATIONS[spec.activation].code
    dropout = f", nn.Dropout({spec.dropout!r})" if spec.dropout else ""
    w = spec.width
    repeated = []
    if spec.depth > 1 and spec.residual:
        repeated = [f"    *[Residual(*hidden({w}, {w})) for _ in range({spec.depth - 1})],"]
    elif spec.depth > 1:
        repeated = [f"    *[m for _ in range({spec.depth - 1}) for m in hidden({w}, {w})],"]
    parts = ["import torch", "from torch import nn", ""]
    if spec.activation == "hard_step":
        parts += [_HARD_STEP]
    if spec.residual:
        parts += [_RESIDUAL]
    parts += [
        "",
        "def hidden(fan_in, fan_out):",
        f"    return [nn.Linear(fan_in, fan_out), {norm[spec.norm]}{activation}{dropout}]",
        "",
        "",
        "network = nn.Sequential(",
        f"    *hidden({n_features}, {spec.width}),",
        *repeated,
        f"    nn.Linear({spec.width}, {n_classes}),",
        ")",
        "",
        f"generator = torch.Generator().manual_seed({spec.seed})",
        f"bias_generator = torch.Generator().manual_seed({spec.seed + BIAS_SEED})",
        "*hidden_layers, output = [m for m in network.modules() if isinstance(m, nn.Linear)]",
        "with torch.no_grad():",
        "    for linear in [output, *hidden_layers]:",
        "        weight, bias = linear.weight, linear.bias",
        f"        {INITIALIZATIONS[spec.init].code}",
        f"        weight.mul_({spec.gain!r})",
        "        nn.init.normal_(bias, generator=bias_generator)",
        f"        bias.mul_({spec.bias_std!r})",
        "",
    ]
    return "\n".join(parts)


_RESIDUAL = """
class Residual(nn.Module):
    def __init__(self, *layers):
        super().__init__()
        self.body = nn.Sequential(*layers)

    def forward(self, x):
        return x + self.body(x)
"""

_HARD_STEP = """
class HardStep(nn.Module):
    def forward(self, x):
        return (torch.sign(x) + 1) / 2
"""
