"""Watch any network while it trains: gradients, updates, dead units, and where NaN comes from."""

import itertools
from collections.abc import Callable

import torch
from torch import nn
from torch.autograd import Variable
from torch.nn.parameter import UninitializedParameter
from torch.optim.optimizer import (
    Optimizer,
    register_optimizer_step_post_hook,
    register_optimizer_step_pre_hook,
)

from d2lstab.alarms import Watch
from d2lstab.health import Alarm, StepHealth, Thresholds, TrainingRecord, record_of
from d2lstab.passes import Pass
from d2lstab.steps import Layers, TrainingStep


class Monitor:
    """Listens to a model in training, between ``with Monitor(model) as monitor:`` and its end.

    model : any module with at least one parameter of two dimensions.
    every : look at the first step and then at each ``every``-th.
    thresholds : where alarms ring.

    A step is over when weights have changed: through any `torch.optim.Optimizer`, or by hand,
    which is noticed when the next pass begins. Before that there may be several passes and
    several backward passes; passes that the loss does not reach, as in validation, do not count.
    Training gives the same numbers, bit for bit, and draws the same random ones, as without the
    monitor. All hooks are gone after the block, whatever ended it.

    An observed step takes a quarter to a half longer, the others hardly anything
    (`python -m benchmarks.monitor`). Memory: a copy of the weights, and while a pass runs the
    outputs of all modules; for each layer and observed step about 1 kB remains.

    Not heard: weights changed through ``.data`` by hand; activation functions where parts of the
    model are called (``model.net(x)``) instead of the model, or where it returns its tensors in
    anything but tuples, lists and dicts.

    Raises TypeError when ``model`` is no module, and ValueError when it has no parameter of two
    dimensions or ``every`` is no integer ≥ 1.

    >>> from d2lstab import NetworkSpec, build
    >>> from d2lstab.training import train
    >>> network = build(NetworkSpec(depth=12, width=32, activation="sigmoid"))
    >>> with Monitor(network) as monitor:
    ...     losses = [step.loss for step in train(network, 20, learning_rate=0.1)]
    >>> first = monitor.alarms[0]
    >>> first.step, first.kind
    (10, 'vanishing')
    """

    def __init__(self, model: nn.Module, every: int = 1, thresholds: Thresholds | None = None):
        if not isinstance(model, nn.Module):
            raise TypeError(f"model must be a torch.nn.Module; got {model!r}.")
        if not isinstance(every, int) or isinstance(every, bool) or every < 1:
            raise ValueError(f"every must be an integer ≥ 1; got {every!r}.")
        if thresholds is not None and not isinstance(thresholds, Thresholds):
            raise TypeError(f"thresholds must be Thresholds(...); got {thresholds!r}.")
        self.model, self.every, self.steps_done = model, every, 0
        self._watch = Watch(thresholds or Thresholds())
        self._alarms: list[Alarm] = []
        self._history: list[StepHealth] = []
        self._order: tuple[str, ...] = ()  # of the layers, as the first pass ran them
        self._clock: Callable[[], int] = itertools.count().__next__
        self._handles: list = []
        self._parameters: list[nn.Parameter] = list(model.parameters())
        self._hooked: set[int] = set()  # ids of the parameters whose gradients we hear
        self._touched: list[nn.Parameter] = []  # whose gradient the running backward pass changed
        self._pass: Pass | None = None
        self._reached: list[Pass] = []  # by a backward pass that has come to no parameter yet
        self._in_optimizer = False
        self._layers: Layers | None = None
        self._find_layers()
        self._step = self._next_step()

    def __deepcopy__(self, memo):
        return self  # a copy of the model takes our hooks along; they pass it over

    def __enter__(self):
        if self._handles:
            raise RuntimeError("this monitor is listening already.")
        self._handles = [
            self.model.register_forward_pre_hook(self._begin, with_kwargs=True),
            self.model.register_forward_hook(self._end, always_call=True),
            register_optimizer_step_pre_hook(self._optimizer_begins),
            register_optimizer_step_post_hook(self._optimizer_ends),
        ]
        self._hook_parameters()
        self._step = self._next_step()
        return self

    def __exit__(self, *exception):
        for handle in self._handles:
            handle.remove()
        self._handles, self._hooked, self._in_optimizer = [], set(), False
        self._close_pass()
        self._notice_update_by_hand()
        self._settle()

    @property
    def alarms(self) -> tuple[Alarm, ...]:
        """The alarms so far, in the order in which they rang."""
        self._settle()
        return tuple(self._alarms)

    @property
    def record(self) -> TrainingRecord:
        """All that has been seen so far; it may be asked for between any two steps."""
        self._settle()
        names = self._layers.names if self._layers else ()
        return record_of(self._history, names, self._order, self._alarms, self._watch.thresholds)

    def _find_layers(self) -> None:
        """Know the layers, unless some are lazy and have no shape before their first pass."""
        if not any(isinstance(p, UninitializedParameter) for p in self._parameters):
            self._layers = Layers(self.model)

    def _hook_parameters(self) -> None:
        """Hear the gradients of all trainable parameters, those unfrozen in the meantime too."""
        for parameter in self._parameters:
            new = parameter.requires_grad and id(parameter) not in self._hooked
            if new and not isinstance(parameter, UninitializedParameter):
                hook = parameter.register_post_accumulate_grad_hook(self._gradient_came)
                self._handles.append(hook)
                self._hooked.add(id(parameter))

    # Steps: from one change of the weights to the next.

    def _next_step(self) -> TrainingStep:
        number = self.steps_done + 1
        return TrainingStep(number, self.steps_done % self.every == 0, self._versions())

    def _versions(self) -> int:
        """Changes whenever a parameter is written to."""
        return sum(parameter._version for parameter in self._parameters)

    def _notice_update_by_hand(self) -> None:
        by_hand = self._step.fresh and not self._in_optimizer
        if by_hand and self._versions() != self._step.versions:
            self._update()

    def _update(self) -> None:
        """The weights have changed; measure at once, before anything else changes them."""
        step = self._step
        step.fresh, step.updated = False, True
        if step.before is not None:
            step.health = step.measure(self._layers)
            self._order = self._order or step.order

    def _settle(self) -> None:
        """Finish a step whose weights have been updated: a second optimizer may have, too."""
        if not self._step.updated:
            return
        if self._step.health is not None:
            self._history.append(self._step.health)
            self._alarms.extend(self._watch.look(self._layers.names, self._step.health))
        self.steps_done += 1
        self._step = self._next_step()

    def _keep_weights(self) -> None:
        if self._step.observed and self._step.before is None and self._layers:
            self._step.keep_weights(self._parameters, self._layers)

    # What the hooks call.

    def _begin(self, model: nn.Module, args: tuple, kwargs: dict) -> None:
        if model is not self.model or not torch.is_grad_enabled():
            return
        self._close_pass()  # one that an interrupt has left open
        self._notice_update_by_hand()
        self._settle()
        self._reached.clear()  # by torch.autograd.grad, which is no training
        self._touched.clear()  # by a backward pass that failed
        if not self._step.fresh:
            self._step.versions, self._step.before = self._versions(), None
        if self._step.observed and self._layers:
            self._hook_parameters()
            self._keep_weights()
            self._pass = Pass(model, self._clock, (args, kwargs))

    def _end(self, model: nn.Module, _args: tuple, output: object) -> None:
        if model is not self.model:
            return
        if self._layers is None:
            self._find_layers()
            self._hook_parameters()
            self._step.versions = self._versions()
            self._keep_weights()
        if self._pass is not None:
            ended, self._pass = self._pass, None
            ended.end(output, self._reached.append)

    def _close_pass(self) -> None:
        if self._pass is not None:
            self._pass.close()
            self._pass = None

    def _gradient_came(self, parameter: nn.Parameter) -> None:
        if not self._touched:  # once for all: one call per parameter would cost five times more
            Variable._execution_engine.queue_callback(self._backward_ends)
        self._touched.append(parameter)

    def _backward_ends(self) -> None:
        """Take down the gradients before anything clips them or sets them to zero."""
        touched = [parameter for parameter in self._touched if parameter.grad is not None]
        self._touched = []
        self._settle()
        step = self._step
        step.fresh = True
        if step.observed and self._layers:
            self._keep_weights()  # here where parts of the model are called, and not the model
            step.passes.update(dict.fromkeys(self._reached))
            self._reached.clear()
            step.note_gradients(touched, self._layers, self._clock)

    def _is_ours(self, optimizer: Optimizer) -> bool:
        parameters = (p for group in optimizer.param_groups for p in group["params"])
        return any(id(parameter) in self._hooked for parameter in parameters)

    def _optimizer_begins(self, optimizer: Optimizer, _args: tuple, _kwargs: dict) -> None:
        self._in_optimizer = self._is_ours(optimizer)

    def _optimizer_ends(self, optimizer: Optimizer, _args: tuple, _kwargs: dict) -> None:
        if self._is_ours(optimizer):
            self._in_optimizer = False
            if self._step.fresh or self._step.updated:
                self._update()
