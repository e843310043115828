"""Run a command under a limit of time and memory, with all the processes that it starts."""

import subprocess
import time
from dataclasses import dataclass

import psutil

POLL = 0.1  # seconds


@dataclass(frozen=True)
class Run:
    """What became of a command.

    stopped : why it was ended from here, "" if it ended by itself. seconds : wall time.
    peak_mb : the most memory that it and its children held at one time, in MB; pages that they
        share count once for each.
    """

    stopped: str
    seconds: float
    peak_mb: float


def supervise(command, seconds, memory_mb, **options):
    """Run a command; end it and its children when it takes too long or too much memory."""
    start, peak, stopped = time.monotonic(), 0.0, ""
    with subprocess.Popen(command, **options) as process:
        while process.poll() is None:
            family = _family(process.pid)
            peak = max(peak, sum(map(_memory, family)) / 1e6)
            if time.monotonic() - start > seconds:
                stopped = f"stopped after {seconds:g} s"
            elif peak > memory_mb:
                stopped = f"stopped at {peak:.0f} MB of memory"
            if stopped:
                _end(family)
                break
            time.sleep(POLL)
    return Run(stopped, time.monotonic() - start, peak)


def _family(pid):
    """The process and all its descendants: a kernel has a session of its own, so no group does."""
    try:
        process = psutil.Process(pid)
        return [process, *process.children(recursive=True)]
    except psutil.NoSuchProcess:
        return []


def _memory(process):
    try:
        return process.memory_info().rss
    except psutil.Error:  # it has just ended
        return 0


def _end(processes):
    for process in processes:
        try:
            process.kill()
        except psutil.Error:
            continue
