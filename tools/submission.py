"""Find the students' notebooks in a folder, and put back in each what a student must not change.

A folder may hold ann.ipynb, ann/exercises.ipynb or ann/01-gradient-problems/exercises.ipynb for the
student "ann", in any mixture. Every entry is a submission, and none is dropped.
"""

import copy
import json
import re
from dataclasses import dataclass
from pathlib import Path

import nbformat
from course import NOTEBOOK
from release import CLASS_SEED

OURS = ("nbgrader", "tags")  # metadata of a released cell that nobody else changes
LARGEST = 50_000_000  # bytes of a notebook; a full one of this course has a hundred thousand


class UnreadableError(Exception):
    """What was handed in cannot be graded; the message says why."""


@dataclass(frozen=True)
class Submission:
    """student : who handed it in. path : the notebook, or the file or folder that has none."""

    student: str
    path: Path


def collect(given):
    """Return every submission in a folder, by student; ValueError if it is none or empty."""
    folder = Path(given)
    if not given or not folder.is_dir():  # "" would be the working directory
        raise ValueError(f"SUBMISSIONS must be a folder; got {str(given)!r}.")
    entries = [path for path in sorted(folder.iterdir()) if not path.name.startswith((".", "__"))]
    if not entries:
        raise ValueError(f"SUBMISSIONS is empty: {folder}.")
    found = {}
    for path in entries:
        name = path.stem if path.suffix == ".ipynb" else path.name
        name = re.sub(r"[^\w.@-]", "_", name)  # nbgrader makes folders and patterns of it
        found[name if name not in found else f"{name}-{len(found)}"] = path
    return [Submission(name, path) for name, path in found.items()]


def read(submission, chapter):
    """Return the notebook that was handed in; `UnreadableError` if there is none."""
    path = _notebook(submission.path, chapter)
    if path.stat().st_size > LARGEST:
        raise UnreadableError(f"not graded: {path.name} is larger than {LARGEST // 10**6} MB")
    try:
        notebook = json.loads(path.read_text(encoding="utf-8"))
        for cell in notebook.get("cells", []):
            cell.pop("id", None)  # may be there twice, after copying a cell
        notebook["nbformat_minor"] = min(notebook["nbformat_minor"], 4)  # the last without ids
        return nbformat.reads(json.dumps(notebook), as_version=4)
    except Exception as error:  # whatever may be in a file that is called .ipynb
        text = " ".join(str(error).split())[:80]
        raise UnreadableError(f"not a notebook: {path.name} cannot be read ({text})") from error


def _notebook(path, chapter):
    if path.is_file():
        if path.suffix != ".ipynb":
            raise UnreadableError(f"not a notebook: {path.name}")
        return path
    name = f"{NOTEBOOK}.ipynb"
    for candidate in (path / name, path / chapter / name):
        if candidate.is_file():
            return candidate
    notebooks = [p for p in sorted(path.rglob("*.ipynb")) if ".ipynb_checkpoints" not in p.parts]
    if len(notebooks) == 1:
        return notebooks[0]
    raise UnreadableError(f"no notebook {name} in the folder, and {len(notebooks)} others")


def restore(submitted, released):
    """Return a notebook to grade, and what had to be put back, in words.

    It has the released notebook's cells in their order, with the student's answers in them, and the
    student's own cells where they stood. Whatever else stood in a released cell (tests, points,
    tags, its place) is as it was released. `UnreadableError` if it is another notebook.
    """
    known = {name: cell for cell in released.cells if (name := _name(cell))}
    answers, own, repaired, last = {}, {None: []}, {}, None
    for cell in submitted.cells:
        name = _name(cell)
        if name in known:
            if name in answers:
                repaired.setdefault("twice, the last one counts", []).append(name)
            answers[name], last = cell, name
            own.setdefault(name, [])
        else:
            own[last].append(_plain(cell))
    if not answers:
        raise UnreadableError("no exercise of this chapter is in the notebook")
    cells = own[None]
    for name, cell in known.items():
        restored, change = _restored(cell, answers.get(name))
        if change:
            repaired.setdefault(f"{change}, put back", []).append(name)
        cells += [restored, *own.get(name, [])]
    for number, cell in enumerate(cells):
        cell["id"] = f"cell-{number}"
    changes = tuple(f"{change}: {', '.join(names)}" for change, names in repaired.items())
    return nbformat.v4.new_notebook(cells=cells, metadata=released.metadata), changes


def _name(cell):
    """The name by which nbgrader knows a cell, or None."""
    record = cell.get("metadata", {}).get("nbgrader")
    return record.get("grade_id") if isinstance(record, dict) else None


def _plain(cell):
    """A student's own cell, as code or text and nothing else."""
    make = nbformat.v4.new_code_cell if cell.cell_type == "code" else nbformat.v4.new_markdown_cell
    return make(cell.source)


def _restored(released, submitted):
    """The released cell with the student's answer in it, and in a word what was changed."""
    cell = copy.deepcopy(released)
    if submitted is None:
        return cell, "missing"
    changed = submitted.source.strip() != released.source.strip()
    forged = any(submitted.metadata.get(key) != released.metadata.get(key) for key in OURS)
    seeds = [CLASS_SEED.findall(c.source) for c in (released, submitted)]
    if cell.metadata.nbgrader.solution:
        cell.source = submitted.source
        return cell, "changed" if forged or submitted.cell_type != cell.cell_type else ""
    if changed and all(seeds) and seeds[0] != seeds[1]:
        return cell, f"from the class with seed {seeds[1][0].strip('= ')}"
    return cell, "changed" if changed or forged else ""
