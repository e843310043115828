"""Print a network's specification as plain PyTorch that a reader can run anywhere."""

from __future__ import annotations

from typing import TYPE_CHECKING

from d2lstab.activations import ACTIVATIONS
from d2lstab.initialization import BIAS_SEED, INITIALIZATIONS
from d2lstab.normalization.named import NORMS

if TYPE_CHECKING:
    from d2lstab.networks import NetworkSpec


def pytorch_code(spec: NetworkSpec, place: str, n_features: int, n_classes: int) -> str:
    """Return code that builds ``network`` as `networks.build` does, weight for weight.

    place : where layers normalize signals, a name in `NORM_PLACES`, "" for nowhere.
    """
    parts = ["import torch", "from torch import nn", ""]
    if spec.activation == "hard_step":
        parts += [_HARD_STEP]
    if spec.norm in _LINEARS:
        parts += [_LINEARS[spec.norm]]
    if spec.residual:
        parts += [_RESIDUAL]
    parts += [
        "",
        "def hidden(fan_in, fan_out):",
        f"    return [{', '.join(_hidden(spec, place))}]",
        "",
        "",
        "network = nn.Sequential(",
        *(f"    {layers}," for layers in _layers(spec, place, n_features)),
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
        *(_limit(spec.max_norm) if spec.max_norm is not None else []),
        "",
    ]
    return "\n".join(parts)


def _limit(max_norm: float) -> list[str]:
    return [
        "    for linear in hidden_layers:",
        "        lengths = linear.weight.norm(dim=1, keepdim=True, dtype=torch.float64)",
        f"        linear.weight.mul_(({max_norm!r} / lengths).clamp(max=1).float())",
    ]


def _hidden(spec: NetworkSpec, place: str) -> list[str]:
    """The layers of one hidden layer."""
    linear = NORMS[spec.norm].linear.__name__ if spec.norm in _LINEARS else "nn.Linear"
    norm = [NORMS[spec.norm].code(spec.width)] if place else []
    return [
        f"{linear}(fan_in, fan_out)",
        *(norm if place == "before" else []),
        ACTIVATIONS[spec.activation].code,
        *(norm if place == "after" else []),
        *([f"nn.Dropout({spec.dropout!r})"] if spec.dropout else []),
    ]


def _layers(spec: NetworkSpec, place: str, n_features: int) -> list[str]:
    """All layers but the output layer, one text for each line."""
    w, repeats = spec.width, spec.depth - 1
    norm = NORMS[spec.norm].code(w) if place in ("pre", "post") else ""
    first = [f"*hidden({n_features}, {w})", *([norm] if place == "post" else [])]
    last = [norm] if place == "pre" else []
    before = f"{norm}, " if place == "pre" else ""
    block = f"Residual({before}*hidden({w}, {w}))" if spec.residual else ""
    if repeats and place == "post":
        return [*first, f"*[m for _ in range({repeats}) for m in [{block}, {norm}]]"]
    if repeats and spec.residual:
        return [*first, f"*[{block} for _ in range({repeats})]", *last]
    if repeats:
        return [*first, f"*[m for _ in range({repeats}) for m in hidden({w}, {w})]"]
    return [*first, *last]


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

_LINEARS = {
    "weight": """
class WeightNorm(nn.Linear):
    def __init__(self, fan_in, fan_out):
        super().__init__(fan_in, fan_out)
        self.gain = nn.Parameter(torch.ones(fan_out))

    def forward(self, x):
        weight = self.gain[:, None] * nn.functional.normalize(self.weight, dim=1)
        return nn.functional.linear(x, weight, self.bias)
""",
    "standardization": """
class WeightStandardization(nn.Linear):
    def forward(self, x):
        centred = self.weight - self.weight.mean(1, keepdim=True)
        deviation = centred.square().mean(1, keepdim=True).clamp_min(1e-24).sqrt()
        weight = centred / (deviation * self.in_features**0.5)
        return nn.functional.linear(x, weight, self.bias)
""",
    "cosine": """
class CosineNorm(nn.Linear):
    def forward(self, x):
        weight = nn.functional.normalize(self.weight, dim=1)
        return nn.functional.linear(nn.functional.normalize(x, dim=1), weight, self.bias)
""",
}
