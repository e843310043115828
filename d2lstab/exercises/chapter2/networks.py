"""Exercise 2.13: initialize a network of many widths and activation functions."""

import torch
from torch import Generator, Tensor, nn

from d2lstab.datasets import digits
from d2lstab.diagnosis import diagnose
from d2lstab.exercises.answers import AnswerError, call
from d2lstab.exercises.exercise import integer
from d2lstab.networks import N_CLASSES, N_FEATURES
from d2lstab.signal import measure

ASKS = "a function of network and X that initializes the network and returns it"
ACTIVATIONS = (nn.Tanh, nn.ReLU, nn.GELU)
DRAWS = 3  # a lucky draw is no initialization


def neglected_network(seed: int = 0) -> nn.Sequential:
    """Return the network to initialize, one for each class seed; its parameters are of no use.

    >>> neglected_network(1)[0].in_features
    64
    """
    generator = Generator().manual_seed(seed)
    depth = integer(generator, 24, 30)
    widths = [N_FEATURES, *(integer(generator, 64, 160) for _ in range(depth))]
    layers: list[nn.Module] = []
    for fan_in, fan_out in zip(widths[:-1], widths[1:], strict=True):
        activation = ACTIVATIONS[integer(generator, 0, len(ACTIVATIONS) - 1)]
        layers += [_linear(fan_in, fan_out, generator), activation()]
    return nn.Sequential(*layers, _linear(widths[-1], N_CLASSES, generator))


def _linear(fan_in: int, fan_out: int, generator: Generator) -> nn.Linear:
    linear = nn.utils.skip_init(nn.Linear, fan_in, fan_out, dtype=torch.float32, device="cpu")
    nn.init.normal_(linear.weight, std=0.01, generator=generator)
    nn.init.normal_(linear.bias, std=4.0, generator=generator)
    return linear


def check_initialize(answer: object, seed: int) -> None:
    """`AnswerError` unless ``answer`` initializes networks so that `diagnose` calls them stable."""
    X = digits(128).inputs
    for number in range(DRAWS):
        network = neglected_network((seed + 7919 * number) % 2**32)
        before = _shapes(network)
        with torch.random.fork_rng(devices=[]):
            torch.default_generator.manual_seed((seed + number) % 2**32)
            value = call(answer, (network, X), ASKS, RAISED)
        if value is not network:
            raise AnswerError("Your function must return the network that it was given.")
        if _shapes(network) != before:
            raise AnswerError("The layers must stay; only the numbers in them may change.")
        _check_start(network)


RAISED = {
    "leaf Variable": "Parameters record what is done to them, unless they are told not to.",
    "Fewer than 2 dimensions": "The biases have no fans.",
    "fewer than 2 dimensions": "The biases have no fans.",
    "'weight'": "Not every module of the network has a weight.",
}


def _shapes(network: nn.Module) -> list[tuple]:
    return [
        (name, type(module), [(key, tuple(p.shape)) for key, p in module.named_parameters()])
        for name, module in network.named_modules()
    ]


def _check_start(network: nn.Sequential) -> None:
    """`AnswerError` unless the weights are finite, the units differ and gradients are steady."""
    for name, module in network.named_modules():
        if isinstance(module, nn.Linear):
            _check_layer(name, module.weight.detach())
    try:
        verdict = diagnose(measure(network))
    except Exception as error:  # whatever has been done to the network
        raise AnswerError(
            f"The network cannot be measured any more: {type(error).__name__}: {error}"
        ) from None
    if verdict.kind != "stable":
        raise AnswerError(f"The network is {verdict.kind}: {verdict.reason}")


def _check_layer(name: str, weight: Tensor) -> None:
    if not weight.isfinite().all():
        raise AnswerError(f"The weights of layer {name} hold NaN or Inf.")
    if len(weight.unique(dim=0)) < len(weight):
        raise AnswerError(
            f"Units of layer {name} have equal weights: they will learn the same, if anything."
        )
