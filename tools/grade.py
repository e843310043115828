"""Collect and grade a class: a CSV, a feedback page each, and a reason for whatever went wrong.

    python tools/grade.py submissions --seed 7       # what `make grade SUBMISSIONS=…` runs

Every submission is graded by nbgrader in a process and a course folder of its own, so that one that
hangs or crashes harms no other; then all are merged into the class's gradebook. Where bubblewrap is
installed, that process has no network and sees neither the solutions nor the teacher's files.
"""

import argparse
import contextlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path

import matplotlib.font_manager  # it writes the list of fonts that the kernels then find
import nbformat
from course import BUILD, NOTEBOOK, ROOT, class_folder
from isolate import available, isolated
from report import Graded, merge, table, write_csv
from submission import UnreadableError, collect, read, restore
from supervise import supervise

NOT_ISOLATED = (
    "NOT ISOLATED: the students' code runs with your rights. Install bubblewrap (Linux), or see "
    "notebooks/00-start-here/for-teachers.md."
)

SIGNS = {
    "DeadKernelError": "the kernel died",
    "CellTimeoutError": "it could not be interrupted",
}
"""What stands in nbgrader's log, and in our words."""


@dataclass(frozen=True)
class Limits:
    """Seconds for one cell and for one submission, MB of memory for one, how many at a time."""

    cell_seconds: int = 30
    seconds: float = 300
    memory_mb: float = 2000
    jobs: int = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()


def grade_class(submissions, folder, chapter, limits, progress=lambda graded: None):
    """Grade every submission of the list; return a `Graded` for each, in their order.

    ``folder`` is the class folder, in which the chapter has been released. ``progress`` is called
    with each `Graded` as it comes. Isolated from the teacher's files and the network if possible.
    """
    released = nbformat.read(folder / "release" / chapter / f"{NOTEBOOK}.ipynb", as_version=4)
    # sockets of kernels live in this folder, and their paths may have 100 characters at most
    with tempfile.TemporaryDirectory(prefix="d2lstab-") as temporary:
        with ThreadPoolExecutor(limits.jobs) as pool:
            futures = {
                pool.submit(
                    _grade, one, folder, chapter, released, Path(temporary) / str(n), limits
                ): n
                for n, one in enumerate(submissions)
            }
            graded = {}
            for future in as_completed(futures):
                graded[futures[future]] = future.result()
                progress(future.result())
        graded = [graded[n] for n in range(len(submissions))]
        merge(folder, chapter, graded)
    return graded


def _grade(submission, folder, chapter, released, course, limits):
    """Grade one submission in the new folder ``course``; never raises."""
    student = submission.student
    try:
        notebook, repaired = restore(read(submission, chapter), released)
        handed_in = course / "submitted" / student / chapter / f"{NOTEBOOK}.ipynb"
        handed_in.parent.mkdir(parents=True)
        nbformat.write(notebook, handed_in)
        shutil.copy(folder / "gradebook.db", course)
        environment = _environment(course)
        command = [sys.executable, str(ROOT / "tools/autograde.py"), str(course), chapter, student]
        command.append(str(limits.cell_seconds))
        if available():
            command = isolated(command, course, [folder.parent, submission.path.parent])
        with tempfile.TemporaryFile("w+") as log:
            output = dict(stdout=log, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL)
            run = supervise(
                command, limits.seconds, limits.memory_mb, env=environment, cwd=course, **output
            )
            log.seek(0)
            failure = _failure(log, run)
    except UnreadableError as error:
        return Graded(student, failure=str(error))
    except Exception as error:  # a fault of ours: this submission is named, the others go on
        return Graded(student, failure=f"not graded: {type(error).__name__}: {error}")
    return Graded(student, course, failure, tuple(repaired), run.seconds, run.peak_mb)


def _environment(course):
    """The environment of nbgrader and of the kernel: as little as possible of the teacher's own."""
    for name in ("home", "runtime", "matplotlib"):
        (course / name).mkdir()
    for fonts in Path(matplotlib.get_cachedir()).glob(
        "fontlist-*.json"
    ):  # half a minute to make anew
        shutil.copy(fonts, course / "matplotlib")
    kept = ("PATH", "LANG", "LC_ALL", "TMPDIR", "SYSTEMROOT", "LD_LIBRARY_PATH")
    return {
        **{name: os.environ[name] for name in kept if name in os.environ},
        "HOME": str(course / "home"),
        "JUPYTER_RUNTIME_DIR": str(course / "runtime"),
        "MPLCONFIGDIR": str(course / "matplotlib"),
        "OMP_NUM_THREADS": "1",  # as many kernels as cores run side by side
        "PYTHONPATH": str(ROOT),
        # nbgrader takes every line on stderr in a test cell, also a warning, for a failed test
        "PYTHONWARNINGS": "ignore",
    }


def _failure(log, run):
    """Why nbgrader gave no score, or "", from the lines that `tools/autograde.py` printed."""
    cell, outcome = "", None
    for line in log:
        with contextlib.suppress(ValueError, TypeError, AttributeError):  # other programs' lines
            said = json.loads(line)
            cell, outcome = said.get("cell", cell), said if "success" in said else outcome
    where = f" in {str(cell)[:40]}" if cell else ""
    if run.stopped:
        return run.stopped + where
    if outcome is None:
        return "nbgrader itself ended" + where
    if outcome["success"]:
        return ""
    for sign, words in SIGNS.items():
        if sign in outcome["log"]:
            return words + where
    errors = [line.strip() for line in outcome["log"].splitlines() if "Error:" in line]
    return f"nbgrader failed{where}: " + (errors or ["it does not say why"])[-1][:100]


def show_bar(total):
    """Return a function that shows how many submissions are done, on one line of a terminal."""
    done = []

    def show(graded):
        done.append(graded)
        full = 30 * len(done) // total
        line = f"[{'#' * full}{'.' * (30 - full)}] {len(done)}/{total} {graded.student[:30]:30}"
        end = "\r" if sys.stderr.isatty() and len(done) < total else "\n"
        print(line, end=end, file=sys.stderr, flush=True)

    return show


def main():
    """Run the command; return a message if it failed."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("submissions", help="the folder with the submissions")
    parser.add_argument("--chapter", help="needed only if the class has several")
    parser.add_argument("--seed", type=int, default=0, help="the class seed of the release")
    parser.add_argument("--build", type=Path, default=BUILD, help="where the class folders are")
    for name, default in vars(Limits()).items():
        option = "--" + name.replace("_", "-")
        parser.add_argument(option, type=type(default), default=default, metavar=str(default))
    arguments = vars(parser.parse_args())
    limits = Limits(**{name: arguments[name] for name in vars(Limits())})
    folder = class_folder(arguments["seed"], arguments["build"])
    released = sorted(path.name for path in (folder / "release").glob("*"))
    chapter = arguments["chapter"] or (released[0] if len(released) == 1 else None)
    if chapter not in released:
        return (
            f"CHAPTER must be one of {', '.join(released) or 'none'}, released for the class of "
            f"seed {arguments['seed']}; got {chapter!r}. "
            f"First: make release CHAPTER=… SEED={arguments['seed']}"
        )
    try:
        submissions = collect(arguments["submissions"])
    except ValueError as error:
        return str(error)
    if not available():
        print(NOT_ISOLATED, file=sys.stderr)
    graded = grade_class(submissions, folder, chapter, limits, show_bar(len(submissions)))
    scores = write_csv(folder, chapter, graded)
    print(table(graded))
    print(f"Scores: {scores}\nFeedback: {folder / 'feedback'}")
    return None


if __name__ == "__main__":
    sys.exit(main())
