"""Exercises 5.6, 5.7: what should not decay, and two ways to decay under Adam."""

from collections.abc import Callable, Iterator

from torch import Generator, Tensor, nn

from d2lstab.exercises.answers import AnswerError, call
from d2lstab.exercises.exercise import Exercise, Mistake, fraction, integer, normal

# 5.6 What should not decay

ASKED = "a function of module and weight_decay that returns a list of two groups"
DECAY = (nn.Linear, nn.Conv1d, nn.Conv2d)
"""The layers whose weights should decay; nothing else of any layer should."""


def check_groups(answer: object, seed: int) -> None:
    """`AnswerError` unless the groups have every parameter once, with the decay that it needs."""
    generator = Generator().manual_seed(seed)
    for _ in range(2):
        module, weight_decay = _network(generator), fraction(generator, 0.01, 0.5)
        _check_groups(call(answer, (module, weight_decay), ASKED, {}), module, weight_decay)


def _network(generator: Generator) -> nn.Module:
    """Layers of many kinds, nested; two norms have gains of more than one dimension."""
    channels, units = integer(generator, 2, 4), integer(generator, 3, 6)
    convolution = nn.Sequential(
        nn.Conv2d(1, channels, 3), nn.BatchNorm2d(channels), nn.LayerNorm([channels, 4, 4])
    )
    dense = [nn.Linear(16 * channels, units), nn.LayerNorm(units), nn.PReLU(units)]
    dense += [nn.LayerNorm([1, units])] * integer(generator, 0, 1)
    return nn.Sequential(convolution, nn.Flatten(), *dense, nn.Linear(units, 2, bias=False))


def _check_groups(groups: object, module: nn.Module, weight_decay: float) -> None:
    names = {id(p): name for name, p in module.named_parameters()}
    found: dict[str, float] = {}
    for parameters, decay in _read(groups):
        for parameter in parameters:
            if id(parameter) not in names:
                raise AnswerError("The groups hold something that is no parameter of the module.")
            name = names[id(parameter)]
            if name in found:
                raise AnswerError(f"{name} is in the groups twice: an optimizer would refuse it.")
            found[name] = decay
    for name in names.values():
        if name not in found:
            raise AnswerError(f"{name} is in no group: it would never be trained.")
    _check_decays(found, module, weight_decay)


def _read(groups: object) -> list[tuple[list, float]]:
    """Each group's parameters and decay."""
    try:
        groups = [dict(group) for group in groups]
        return [(list(group["params"]), float(group["weight_decay"])) for group in groups]
    except KeyError as missing:
        raise AnswerError(
            f"A group has no {missing}. Each needs both, or gets the optimizer's own decay."
        ) from None
    except Exception:  # whatever a learner returns
        raise AnswerError(
            'Return a list of groups as optimizers take them: dicts with "params", a list of '
            'parameters, and "weight_decay", a number.'
        ) from None


def _check_decays(found: dict[str, float], module: nn.Module, weight_decay: float) -> None:
    for place, layer in module.named_modules():
        for kind, _ in layer.named_parameters(recurse=False):
            name, layer_name = f"{place}.{kind}", type(layer).__name__
            if isinstance(layer, DECAY) and kind == "weight":
                if found[name] == 0:
                    raise AnswerError(f"{name} does not decay: it has the weights of {layer_name}.")
                if found[name] != weight_decay:
                    raise AnswerError(f"{name} decays, but not as strongly as `weight_decay` says.")
            elif found[name] != 0:
                shape = "" if kind == "bias" or layer.weight.ndim < 2 else _MANY
                what = {"bias": "a bias"}.get(kind, f"a gain or slope, one of {layer_name}")
                raise AnswerError(f"{name} decays: it is {what}.{shape}")


_MANY = " Its shape has several dimensions, and that does not make it a matrix between units."


# 5.7 Two Adams


def _states(generator: Generator) -> Iterator[tuple]:
    for step in (integer(generator, 3, 9), 1):  # of the first step the states are 0
        w, gradient = 2 * normal(generator, 5), normal(generator, 5)
        m, v = 0.3 * normal(generator, 5), 0.004 * (0.3 + normal(generator, 5).square())
        old = step > 1
        yield (
            w, gradient, m * old, v * old, step,
            fraction(generator, 0.05, 0.3), fraction(generator, 0.2, 0.8),
        )  # fmt: skip


def _step(
    w: Tensor, in_mean: Tensor, m: Tensor, v: Tensor, t: int, *, in_square=None,
    correct: Callable[[float, int], float] = lambda beta, t: 1 - beta**t,
    root: float = 0.5, betas: tuple[float, float] = (0.9, 0.999), above: Tensor | float = 0.0,
) -> Tensor:  # fmt: skip
    """Adam's step at rate 1; a mistake is another of its parts."""
    in_square = in_mean if in_square is None else in_square
    first, second = betas
    m = first * m + (1 - first) * in_mean
    v = second * v + (1 - second) * in_square**2
    return (m / correct(first, t) + above) / ((v / correct(second, t)) ** root + 1e-8)


def _coupled(w, gradient, m, v, t, rate, decay, **changes) -> Tensor:
    return w - rate * _step(w, gradient + decay * w, m, v, t, **changes)


def _decoupled(w, gradient, m, v, t, rate, decay, *, keep=None, **changes) -> Tensor:
    kept = 1 - rate * decay if keep is None else keep(rate, decay)
    return kept * w - rate * _step(w, gradient, m, v, t, **changes)


def _both(hint: str, **changes) -> tuple[Mistake, Mistake]:
    """The same mistake in both optimizers."""
    return (
        Mistake(hint, lambda *case: _coupled(*case, **changes)),
        Mistake(hint, lambda *case: _decoupled(*case, **changes), part=1),
    )


TWO_ADAMS = Exercise(
    asks="a function of w, gradient, m, v, t, rate and decay that returns two tensors",
    cases=_states,
    truth=lambda *case: (_coupled(*case), _decoupled(*case)),
    parts=("Adam with L2", "AdamW"),
    mistakes=(
        *_both("the bias correction is missing.", correct=lambda beta, t: 1.0),
        *_both(
            "the bias correction is one step behind: `t` is the number of this step, from 1 on.",
            correct=lambda beta, t: 1 - beta ** (t - 1) if t > 1 else 1.0,
        ),
        *_both("the root is missing under the fraction.", root=1.0),
        *_both("the two betas are exchanged.", betas=(0.999, 0.9)),
        Mistake(
            "this is AdamW; an L2 penalty is a part of the loss, and so of the gradient.",
            _decoupled,
        ),
        Mistake(
            "the penalty's slope goes into the mean here, but not into the mean of the squares.",
            lambda w, gradient, m, v, t, rate, decay: (
                w - rate * _step(w, gradient + decay * w, m, v, t, in_square=gradient)
            ),
        ),
        Mistake(
            "there is no penalty in it.",
            lambda *case: _decoupled(*case, keep=lambda rate, decay: 1),
        ),
        Mistake("this is Adam with L2.", _coupled, part=1),
        Mistake(
            "the weights do not decay.",
            lambda *case: _decoupled(*case, keep=lambda rate, decay: 1),
            part=1,
        ),
        Mistake(
            "the decay is not multiplied by the learning rate.",
            lambda *case: _decoupled(*case, keep=lambda rate, decay: 1 - decay),
            part=1,
        ),
        Mistake(
            "the weights grow.",
            lambda *case: _decoupled(*case, keep=lambda rate, decay: 1 + rate * decay),
            part=1,
        ),
        Mistake(
            "the weights shrink after the step, the step along with them.",
            lambda *case: (1 - case[5] * case[6]) * _decoupled(*case, keep=lambda rate, decay: 1),
            part=1,
        ),
        Mistake(
            "the decay is divided by the root of v like a gradient: then it is not decoupled.",
            lambda *case: _decoupled(*case, keep=lambda rate, decay: 1, above=case[6] * case[0]),
            part=1,
        ),
    ),
)
