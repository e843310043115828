"""Ask a learner's answer: call it within a time limit and read what it returns, whatever it is."""

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch
from torch import Tensor

TIME_LIMIT = 5.0
"""Seconds that one call of an answer may take; every call of the exercises takes milliseconds."""


class AnswerError(Exception):
    """The answer is wrong. The message is the hint: it names the mistake, not the solution."""


class _TooLong(BaseException):
    """Not an Exception, so that an answer's own ``except Exception`` does not swallow it."""


def call(answer: object, arguments: tuple, asks: str, raised: dict[str, str]) -> object:
    """Call ``answer`` with copies of the ``arguments`` and return what comes back.

    asks : what the answer must be, for the hint when it is not. raised : hints for exceptions, by
    a part of their text. Raises `AnswerError` when the answer cannot be called, raises, takes
    longer than `TIME_LIMIT`, returns nothing or changes an argument.
    """
    if answer is None or answer is ...:
        raise AnswerError(f"There is no answer here yet. It must be {asks}.")
    if not callable(answer):
        raise AnswerError(f"The answer must be {asks}; got {_short(answer)}.")
    copies = tuple(x.clone() if isinstance(x, Tensor) else x for x in arguments)
    try:
        with _time_limit(TIME_LIMIT):
            value = answer(*copies)
    except _TooLong:
        raise AnswerError(
            f"Your function was stopped after {TIME_LIMIT:g} s: it may loop for ever."
        ) from None
    except (Exception, SystemExit) as error:
        text = f"{type(error).__name__}: {error}"
        hints = [hint for part, hint in raised.items() if part in text]
        raise AnswerError(
            " ".join([f"Your function raised {_short(text, 200)}.", *hints])
        ) from None
    if value is None or value is ...:
        raise AnswerError(
            "Your function returns nothing yet: write its body, and end it with return."
        )
    for number, (copy, argument) in enumerate(zip(copies, arguments, strict=True), 1):
        if isinstance(argument, Tensor) and not _kept(copy.detach(), argument):
            raise AnswerError(f"Your function leaves its argument number {number} changed.")
    return value


def read(value: object, name: str) -> Tensor:
    """Return a learner's value as a float64 tensor of any shape; `AnswerError` if it is none.

    Numbers, arrays and nested lists of numbers are taken as well; NaN and Inf pass.
    """
    try:
        tensor = torch.as_tensor(value).detach().cpu()
        tensor = tensor if tensor.layout is torch.strided else tensor.to_dense()
        real = not (tensor.is_complex() and tensor.imag.any())
        tensor = (tensor.real if tensor.is_complex() else tensor).double()
    except Exception:  # whatever a learner's object does when it is read
        raise AnswerError(f"{name} must be a tensor or a number; got {_short(value)}.") from None
    if not real:
        raise AnswerError(f"{name} is complex; a real number is asked for.")
    return tensor


def close(value: Tensor, truth: Tensor, tolerance: float) -> bool:
    """Whether shapes agree and no entry is off by more than tolerance × the largest entry."""
    return value.shape == truth.shape and _close(value, truth, tolerance)


def _close(value: Tensor, truth: Tensor, tolerance: float) -> bool:
    if value.shape != truth.shape:
        return False
    scale = max(truth.abs().max().item(), 1e-300) if truth.numel() else 1.0
    return bool(((value - truth).abs() <= tolerance * scale).all())  # False for NaN


def _kept(copy: Tensor, argument: Tensor) -> bool:
    """Whether nothing was written into a copy, gaps (NaN) included."""
    return torch.equal(copy.isnan(), argument.isnan()) and _close(
        copy.nan_to_num(), argument.nan_to_num(), 1e-9
    )


def _short(value: object, length: int = 60) -> str:
    try:
        text = value if isinstance(value, str) else repr(value)
    except Exception:  # a learner's class may have a broken __repr__
        text = type(value).__name__
    text = " ".join(text.split())
    return text if len(text) <= length else text[: length - 1] + "…"


@contextmanager
def _time_limit(seconds: float) -> Iterator[None]:
    """Raise `_TooLong` in the block after some seconds, on Unix and in the main thread only.

    There a notebook's cells run. Elsewhere no signal can interrupt Python, and nothing is limited.
    """
    if (
        not hasattr(signal, "setitimer")
        or threading.current_thread() is not threading.main_thread()
    ):
        yield
        return

    def stop(*_):
        raise _TooLong

    handler = signal.signal(signal.SIGALRM, stop)
    # again every 0.1 s: the first may land in a bare `except` of the answer
    timer = signal.setitimer(signal.ITIMER_REAL, seconds, 0.1)
    try:
        yield
    finally:
        _until_done(lambda: signal.setitimer(signal.ITIMER_REAL, 0))
        signal.signal(signal.SIGALRM, handler or signal.SIG_DFL)
        signal.setitimer(signal.ITIMER_REAL, *timer)


def _until_done(stop: Callable[[], object]) -> None:
    """Call ``stop``, again if the alarm that it stops goes off just now."""
    while True:
        try:
            stop()
            return
        except _TooLong:
            continue
