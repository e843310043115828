"""Write the table of contents, and into each lesson the minutes that it takes to read.

    python tools/contents.py        # writes notebooks/00-start-here/contents.md and the openings

A lesson's minutes are counted, not guessed. Adults read 238 words of English prose a minute, most
of them 175 to 300, and fewer in a second language (Brysbaert, Journal of Memory and Language 109,
2019); the other numbers are ours.
"""

import re
from itertools import groupby
from pathlib import Path

import nbformat
from execute_notebooks import lesson_number, lessons

CONTENTS = Path(__file__).resolve().parent.parent / "notebooks/00-start-here/contents.md"
WORDS_PER_MINUTE, LINES_OF_CODE_PER_MINUTE = 200, 20
MINUTES = {"formula": 1, "figure": 1, "lab": 5}
FORMULA = re.compile(r"\$\$.+?\$\$", re.DOTALL)
STATED = re.compile(r"(?<=\*\*You need\*\* )(about )?(\d+)(?= minutes)")

HEAD = f"""# Contents

Every lesson in reading order, with the minutes for reading, predicting and playing. Counted are
{WORDS_PER_MINUTE} words or {LINES_OF_CODE_PER_MINUTE} lines of code a minute,
{MINUTES["formula"]} for each displayed formula, {MINUTES["figure"]} for each figure and
{MINUTES["lab"]} for each lab. The cells themselves take seconds; each lesson says how many.
Beside this page: the [notation](notation.md) and the [glossary](glossary.md).
"""


def minutes(notebook):
    """Return the minutes that a lesson takes to read, to the nearest 5."""
    prose = "\n".join(c.source for c in notebook.cells if c.cell_type == "markdown")
    code = [c for c in notebook.cells if c.cell_type == "code"]
    words = re.sub(r"\]\([^)]*\)", " ", FORMULA.sub(" ", prose)).split()
    figures = [cell for cell in code if any("image/png" in o.get("data", {}) for o in cell.outputs)]
    labs = [cell for cell in figures if "Lab(" in cell.source]
    total = (
        len(words) / WORDS_PER_MINUTE
        + sum(len(cell.source.splitlines()) for cell in code) / LINES_OF_CODE_PER_MINUTE
        + MINUTES["formula"] * len(FORMULA.findall(prose))
        + MINUTES["figure"] * (len(figures) - len(labs))
        + MINUTES["lab"] * len(labs)
    )
    return 5 * round(total / 5)


def stated_minutes(notebook):
    """Return the minutes that the lesson's opening says, None if it says none."""
    found = STATED.search(notebook.cells[0].source)
    return int(found[2]) if found else None


def contents():
    """Return the text of the table of contents."""
    text, total = HEAD, 0
    for chapter, paths in groupby(lessons(), key=lambda path: path.parent):
        name = chapter.name[3:].replace("-", " ").capitalize()
        text += f"\n## {int(chapter.name[:2])} · {name}\n\n| lesson | minutes |\n|---|---|\n"
        for path in paths:
            notebook = nbformat.read(path, as_version=4)
            title = notebook.cells[0].source.splitlines()[0].removeprefix("# ")
            link = f"[{lesson_number(path)} {title}](../{chapter.name}/{path.name})"
            text += f"| {link} | {minutes(notebook)} |\n"
            total += minutes(notebook)
        if (exercises := chapter / "exercises.ipynb").exists():
            text += f"\n[{_exercises(exercises)} exercises](../{chapter.name}/{exercises.name})\n"
    return text + f"\nAll lessons together: {total / 60:.0f} hours, without the exercises.\n"


def _exercises(path):
    """Return how many answers a notebook of exercises asks for."""
    records = [c.metadata.get("nbgrader", {}) for c in nbformat.read(path, as_version=4).cells]
    return sum(record.get("solution", False) for record in records)


if __name__ == "__main__":
    for path in lessons():
        notebook = nbformat.read(path, as_version=4)
        opening = notebook.cells[0]
        opening.source = STATED.sub(f"about {minutes(notebook)}", opening.source)
        nbformat.write(notebook, path)
    CONTENTS.write_text(contents(), encoding="utf-8")
    print(CONTENTS)
