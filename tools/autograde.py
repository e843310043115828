"""Grade one submission with nbgrader, in a course folder of its own; `tools/grade.py` starts it.

It prints lines of JSON: the cell that starts to run, and in the end what became of all. It writes
no file for that: the student's code runs in this folder, too, and could leave a link in its place.
"""

import argparse
import json
import sys
from pathlib import Path

from course import nbgrader_api, settings

SETUP_SECONDS = 120  # on a busy machine the first import of torch alone takes half a minute


def _is_ours(cell):
    """Whether a cell has neither a student's code nor calls it."""
    record = cell.metadata.get("nbgrader", {})
    return record.get("locked", False) and not record.get("grade", False)


def autograde(folder, chapter, student, cell_seconds):
    """Run nbgrader's autograde and generate_feedback; return {"success": …, "log": …}."""

    def note(cell, cell_index):
        name = cell.metadata.get("nbgrader", {}).get("grade_id", f"cell {cell_index + 1}")
        print(json.dumps({"cell": name}), flush=True)

    config = settings(folder)
    config.Execute.timeout_func = lambda cell: SETUP_SECONDS if _is_ours(cell) else cell_seconds
    config.Execute.on_cell_start = note
    config.KernelManager.ip = str(folder / "runtime/kernel")  # where its sockets are made
    api = nbgrader_api(config)
    result = api.autograde(chapter, student)
    if result["success"]:
        result = api.generate_feedback(chapter, student)
    return {"success": result["success"], "log": result.get("log", "") + result.get("error", "")}


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("chapter")
    parser.add_argument("student")
    parser.add_argument("cell_seconds", type=int)
    arguments = parser.parse_args()
    outcome = autograde(**vars(arguments))
    print("\n" + json.dumps(outcome), flush=True)
    sys.exit(0 if outcome["success"] else 1)
