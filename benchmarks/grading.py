"""Grade a made-up class of 100 with nbgrader: are all scores as they should be, how long, how much?

python -m benchmarks.grading [STUDENTS] [JOBS]     (100 take ten minutes on two cores)
"""

import statistics
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tools"))

# The teacher's tools are programs, not a package: their folder must be on the path first (E402).
import nbformat  # noqa: E402
from classroom import KINDS, make_class  # noqa: E402
from grade import Limits, grade_class, show_bar  # noqa: E402
from isolate import available  # noqa: E402
from release import release  # noqa: E402
from submission import collect  # noqa: E402

CHAPTER, SEED = "01-gradient-problems", 7
ORDINARY = {"right": 26, "partial": 24, "empty": 10, "wrong": 10}  # of 100; of the others 1 or 2


def counts(students: int) -> dict[str, int]:
    """How many of each kind: seven in ten ordinary ones, the rest odd ones in turn."""
    chosen = {kind: round(students * share / 100) for kind, share in ORDINARY.items()}
    odd = [kind for kind in KINDS if kind not in ORDINARY and (kind != "spy" or available())]
    for number in range(students - sum(chosen.values())):
        kind = odd[number % len(odd)]
        chosen[kind] = chosen.get(kind, 0) + 1
    return chosen


def main(students: int = 100, jobs: int = Limits().jobs) -> int:
    """Print what came out; return the number of submissions with another score than they must."""
    limits = replace(Limits(), cell_seconds=15, seconds=150, jobs=jobs)
    with tempfile.TemporaryDirectory() as temporary:
        folder, handed_in = Path(temporary) / "class", Path(temporary) / "submissions"
        made = release(CHAPTER, folder, SEED)
        source = nbformat.read(folder / "source" / CHAPTER / "exercises.ipynb", as_version=4)
        released = nbformat.read(made / "exercises.ipynb", as_version=4)
        kinds = make_class(handed_in, source, released, counts(students))
        start = time.monotonic()
        graded = grade_class(collect(handed_in), folder, CHAPTER, limits, show_bar(len(kinds)))
        wall = time.monotonic() - start
    wrong = [g for g in graded if not _as_it_should_be(g, kinds[g.student])]
    for g in wrong:
        print(f"WRONG {g.student}: {g.score} points, {kinds[g.student].score} due; {g.reason!r}")
    ordinary = [g for g in graded if g.student.rsplit("-", 1)[0] in ORDINARY]
    print(f"{len(graded)} of {len(kinds)} submissions, {len(wrong)} with another score or reason")
    print(f"{wall:.0f} s on {jobs} cores: {wall / len(graded):.1f} s a submission")
    print(f"{statistics.median(g.seconds for g in ordinary):.1f} s from start to end, median")
    print(f"{max(g.peak_mb for g in ordinary):.0f} MB at most for one, shared pages twice")
    return len(wrong) + len(kinds) - len(graded)


def _as_it_should_be(graded, kind) -> bool:
    named = kind.reason in graded.reason and bool(kind.reason) == bool(graded.reason)
    return graded.score == kind.score and named


if __name__ == "__main__":
    sys.exit(main(*map(int, sys.argv[1:])))
