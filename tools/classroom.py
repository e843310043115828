"""Make up a class: submissions of every kind, right and wrong and hostile, with what each must get.

The grading's tests and its benchmark use it; each kind is a function of the solved and the empty
notebook that returns what is handed in.
"""

import copy
from dataclasses import dataclass

import nbformat
from release import CLASS_SEED, SOLUTION


@dataclass(frozen=True)
class Kind:
    """make : (solved, empty) → a notebook, or text for a file that is none. score : it must get,
    out of 18 that need no reader. reason : a part of what the report must say, "" for nothing."""

    make: object
    score: float
    reason: str = ""
    suffix: str = ".ipynb"


def solved(source, released):
    """Return the released notebook with the source's solutions filled in."""
    answers = {name(cell): cell.source for cell in source.cells if name(cell)}
    notebook = copy.deepcopy(released)
    for cell in notebook.cells:
        if name(cell) and cell.metadata.nbgrader.solution:
            cell.source = SOLUTION.sub(r"\1", answers[name(cell)])
    return notebook


def name(cell):
    """Return nbgrader's name of a cell, or None."""
    return cell.metadata.get("nbgrader", {}).get("grade_id")


def cell_of(notebook, wanted):
    """Return the cell of that name."""
    return next(cell for cell in notebook.cells if name(cell) == wanted)


def answer(exercise, code):
    """A kind of notebook: solved, but for one exercise, whose answer is ``code``."""

    def make(solved, empty):
        cell_of(solved, f"exercise-{exercise}").source = code
        return solved

    return make


def first(code):
    """A kind of notebook: solved, with a cell of the student's own at the start."""

    def make(solved, empty):
        solved.cells.insert(2, nbformat.v4.new_code_cell(code))
        return solved

    return make


def partial(solved, empty):
    for number in range(1, 6):
        wanted = f"exercise-1-{number}"
        cell_of(empty, wanted).source = cell_of(solved, wanted).source
    return empty


def wrong(solved, empty):
    for cell in empty.cells:
        if name(cell) and cell.metadata.nbgrader.solution and cell.cell_type == "code":
            cell.source = cell.source.replace("    ...", "    return 0.0")
    return empty


def changed_tests(solved, empty):
    for cell in empty.cells:
        if name(cell) and cell.metadata.nbgrader.grade and cell.cell_type == "code":
            cell.source = "assert True"
    return empty


def changed_metadata(solved, empty):
    for cell in empty.cells:
        if name(cell) and cell.metadata.nbgrader.grade:
            cell.metadata.nbgrader.points = 100
            cell.metadata.tags = ["skip-execution"]
    return empty


def unlocked_tests(solved, empty):
    for cell in empty.cells:
        if name(cell) and cell.metadata.nbgrader.grade and cell.cell_type == "code":
            cell.cell_type, cell.source = "markdown", "done"
            cell.metadata.nbgrader.update(solution=True, locked=False)
            del cell["outputs"], cell["execution_count"]
    return empty


def missing_cells(solved, empty):
    gone = ("exercise-1-1", "tests-1-1", "tests-1-2", "setup")
    solved.cells = [cell for cell in solved.cells if name(cell) not in gone]
    return solved


def shuffled(solved, empty):
    solved.cells = solved.cells[::-1]
    return solved


def other_class(solved, empty):
    cell = cell_of(solved, "setup")
    cell.source = CLASS_SEED.sub("= 99", cell.source)
    return solved


def doubled(solved, empty):
    draft = copy.deepcopy(cell_of(solved, "exercise-1-1"))
    draft.source = "def numeric_gradient(f, X):\n    return X"
    solved.cells.insert(2, draft)
    return solved


def other_notebook(solved, empty):
    return nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell("print('hello')")])


STUBBORN = """
while True:
    try:
        while True:
            pass
    except BaseException:
        pass
"""
HOG = "blocks = []\nwhile True:\n    blocks.append(bytearray(10**8))"
SEED = "CLASS_SEED = 99  # class seed\nbroken = broken_network(CLASS_SEED)"
LAB = "from d2lstab.labs import ChainLab\n\nlab = GradientLab()\nlab.set(depth=20)\nChainLab()"
WARN = "\nimport warnings\n\nwarnings.warn('careful')\nwarnings.simplefilter('default')"

LINK = """
import os
import tempfile

with tempfile.NamedTemporaryFile("w", delete=False) as file:
    file.write("not of this folder")
os.chdir("../../..")  # to the folder of the course
os.remove("gradebook.db")
os.symlink(file.name, "gradebook.db")
"""
SPY = """
import os
import socket
from pathlib import Path

import d2lstab

root = Path(d2lstab.__file__).parent.parent
secrets = list(root.glob("notebooks/solutions/*/*.ipynb"))
try:
    socket.create_connection(("192.0.2.1", 80), 1)
except OSError as error:
    secrets += [] if error.errno == 101 else [error]  # 101: the network is unreachable
try:
    (root / "d2lstab/here.txt").write_text("was here")
    secrets.append("writable")
except OSError:
    pass
if secrets:
    os._exit(1)
"""

KINDS = {
    "right": Kind(lambda solved, empty: solved, 18),
    "empty": Kind(lambda solved, empty: empty, 0),
    "partial": Kind(partial, 8),
    "wrong": Kind(wrong, 0),
    "lab": Kind(first(LAB), 18),
    "raises": Kind(first("1 / 0"), 18),
    "warns": Kind(first(WARN), 18),
    "hangs": Kind(
        # a loop that naps: one that is busy would take the time of the others
        answer(
            "1-2", "import time\n\n\ndef log10_norm(Ws):\n    while True:\n        time.sleep(0.01)"
        ),
        16,
        "1.2 ran out",
    ),
    "hangs-at-once": Kind(first("while True:\n    pass"), 18),
    "stubborn": Kind(first(STUBBORN), 0, " in cell 3"),
    "hog": Kind(first(HOG), 0, "of memory in cell 3"),
    "crashes": Kind(
        answer("1-3", "import os\n\nos._exit(1)"), 0, "the kernel died in exercise-1-3"
    ),
    "segfault": Kind(first("import ctypes\n\nctypes.string_at(0)"), 0, "the kernel died in cell 3"),
    "links": Kind(first(LINK), 0, "nbgrader failed"),
    "spy": Kind(first(SPY), 18),  # where submissions are isolated
    "changed-tests": Kind(changed_tests, 0, "changed, put back: tests-1-1, tests-1-2"),
    "changed-metadata": Kind(changed_metadata, 0, "changed, put back: tests-1-1, tests-1-2"),
    "unlocked-tests": Kind(unlocked_tests, 0, "changed, put back: tests-1-1, tests-1-2"),
    "missing-cells": Kind(missing_cells, 17, "missing, put back: setup, exercise-1-1, tests-1-1"),
    "shuffled": Kind(shuffled, 18),
    "doubled": Kind(doubled, 18, "twice, the last one counts: exercise-1-1"),
    "other-class": Kind(other_class, 18, "from the class with seed 99"),
    "changed-seed": Kind(first(SEED), 16),
    "other-notebook": Kind(other_notebook, 0, "no exercise of this chapter"),
    "garbage": Kind(lambda solved, empty: "{'cells': ", 0, "not a notebook"),
    "essay": Kind(lambda solved, empty: "My answers", 0, "not a notebook: ", suffix=".docx"),
    "folder": Kind(lambda solved, empty: solved, 18, suffix="/exercises.ipynb"),
    "empty-folder": Kind(lambda solved, empty: "", 0, "no notebook", suffix="/readme.txt"),
}


def make_class(folder, source, released, counts):
    """Write submissions to ``folder``: ``counts`` of each kind; return the kind of each student."""
    students = {}
    for kind, count in counts.items():
        for number in range(1, count + 1):
            student = f"{kind}-{number:02d}"
            path = folder / f"{student}{KINDS[kind].suffix}"
            made = KINDS[kind].make(solved(source, released), copy.deepcopy(released))
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(made if isinstance(made, str) else nbformat.writes(made))
            inside = "/" in KINDS[kind].suffix or KINDS[kind].suffix == ".ipynb"
            students[student if inside else path.name] = KINDS[kind]
    return students
