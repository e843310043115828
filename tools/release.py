"""Make the student's version of a chapter's exercises: no solutions, no hidden tests, no outputs.

    python tools/release.py --chapter 01-gradient-problems --seed 7    # what `make release` runs
    python tools/release.py --store      # the versions that stand in notebooks/, seed 0

The student's folder is build/class-7/release/01-gradient-problems. Every `= 0  # class seed` in the
source becomes `= 7  # class seed`: it draws the numbers of the hidden tests and of the tasks.
"""

import argparse
import os
import re
import shutil
import sys
import tempfile
from pathlib import Path

import nbformat
from course import (
    BUILD,
    NOTEBOOK,
    ROOT,
    SETTINGS,
    SOURCES,
    chapters,
    class_folder,
    nbgrader_api,
    settings,
)

CLASS_SEED = re.compile(r"= *\d+(?= +# class seed$)", re.MULTILINE)
HIDDEN, SOLUTION = (
    re.compile(rf"^ *### BEGIN {what}\n(.*?)^ *### END {what}$", re.DOTALL | re.MULTILINE)
    for what in ("HIDDEN TESTS", "SOLUTION")
)


def seeded(notebook, seed):
    """Set the class seed in every cell of a source notebook, in place; return the notebook."""
    for cell in notebook.cells:
        cell.source = CLASS_SEED.sub(f"= {seed}", cell.source)
    return notebook


def release(chapter, folder, seed=0):
    """Release a chapter in the class folder; return the folder to hand to the students.

    Raises ValueError for an unknown chapter or seed, and RuntimeError when nbgrader fails, or when
    anything of the solutions or hidden tests is left in what it made.
    """
    if chapter not in chapters():
        raise ValueError(f"CHAPTER must be one of {', '.join(chapters())}; got {chapter!r}.")
    if not 0 <= seed < 2**31:
        raise ValueError(f"SEED must be an integer from 0 to 2³¹ − 1; got {seed!r}.")
    folder.mkdir(parents=True, exist_ok=True)
    shutil.copy(SETTINGS, folder)
    source = folder / "source" / chapter / f"{NOTEBOOK}.ipynb"
    source.parent.mkdir(parents=True, exist_ok=True)
    notebook = nbformat.read(SOURCES / chapter / source.name, as_version=4)
    nbformat.write(seeded(notebook, seed), source)
    result = nbgrader_api(settings(folder)).generate_assignment(chapter)
    if not result["success"]:
        raise RuntimeError(f"nbgrader could not make the release:\n{result.get('log', '')}")
    made = folder / "release" / chapter
    if found := leaks(notebook, made):
        raise RuntimeError("the release would show " + "; ".join(found))
    return made


def secrets(notebook):
    """Return the lines of the solutions and of the hidden tests that stand nowhere else in it."""
    sources = [cell.source for cell in notebook.cells]
    regions = [r for source in sources for mark in (HIDDEN, SOLUTION) for r in mark.findall(source)]
    public = "\n".join(HIDDEN.sub("", SOLUTION.sub("", source)) for source in sources)
    lines = {line.strip() for region in regions for line in region.splitlines()}
    return sorted(line for line in lines if len(line) > 8 and line not in public)


def leaks(notebook, folder):
    """Return what a release must not have: files, secret lines, markers, widgets, outputs."""
    found = []
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        if path.name != f"{NOTEBOOK}.ipynb":
            found.append(f"the file {path.name}")
            continue
        released = nbformat.read(path, as_version=4)
        text = "\n".join(cell.source for cell in released.cells)
        marks = ["BEGIN HIDDEN TESTS", "END HIDDEN TESTS", "BEGIN SOLUTION", "END SOLUTION"]
        found += [f"the line {line!r}" for line in [*marks, *secrets(notebook)] if line in text]
        found += ["a widget's state"] if "widgets" in released.metadata else []
        found += ["an output"] if any(cell.get("outputs") for cell in released.cells) else []
        extra = {"outputs", "execution"} & {key for c in released.cells for key in c.metadata}
        found += [f"metadata {key}" for key in sorted(extra)]
    return found


def store():
    """Write the student's version of every chapter, class seed 0, to notebooks/."""
    for chapter in chapters():
        with tempfile.TemporaryDirectory() as folder:
            made = release(chapter, Path(folder)) / f"{NOTEBOOK}.ipynb"
            shutil.copy(made, ROOT / "notebooks" / chapter / made.name)
        print(f"notebooks/{chapter}/{NOTEBOOK}.ipynb")


def main():
    """Run the command; return a message if it failed."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--chapter", default="", help=f"one of {', '.join(chapters())}")
    parser.add_argument("--seed", type=int, default=0, help="the class seed, 0 or more")
    parser.add_argument("--build", type=Path, default=BUILD, help="where the class folders are")
    parser.add_argument("--store", action="store_true", help="write seed 0 to notebooks/")
    arguments = parser.parse_args()
    if arguments.store:
        return store()
    try:
        folder = class_folder(arguments.seed, arguments.build)
        made = release(arguments.chapter, folder, arguments.seed)
    except (ValueError, RuntimeError) as error:
        return str(error)
    print(f"Hand this folder to the students: {os.path.relpath(made)}")
    return None


if __name__ == "__main__":
    sys.exit(main())
