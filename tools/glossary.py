"""Write the glossary: every term that a lesson marks and gives its Chinese name, with its place.

    python tools/glossary.py        # writes notebooks/00-start-here/glossary.md

A term is defined as **covariate shift** (协变量偏移) or *prior* (先验概率; Saerens et al. 2002):
marked, and its Chinese name at once behind it in parentheses, up to the first comma or semicolon.
"""

import re
from pathlib import Path

import nbformat
from execute_notebooks import lesson_number, lessons

NOTEBOOKS = Path(__file__).resolve().parent.parent / "notebooks"
GLOSSARY = NOTEBOOKS / "00-start-here" / "glossary.md"
TERM = re.compile(r"\*{1,2}([^*\n]+?)\*{1,2}\s\(([^();,]*[\u4e00-\u9fff][^();,]*)[^()]*\)")

HEAD = """# Glossary

The terms of the course with their Chinese names, and the lesson that defines each. Where several
define a term, each for its own use, all are named. Written by `tools/glossary.py` from the lessons
themselves.

| term | 中文 | lesson |
|---|---|---|
"""


def terms(markdown):
    """Return (English, Chinese) for every term that a text defines."""
    found = [(english, chinese.strip()) for english, chinese in TERM.findall(markdown)]
    return [pair for pair in found if "《" not in pair[1]]  # a book's title


def glossary():
    """Return the text of the glossary."""
    rows, names = {}, {}
    for path in lessons():
        notebook = nbformat.read(path, as_version=4)
        link = f"[{lesson_number(path)}](../{path.parent.name}/{path.name})"
        for cell in notebook.cells:
            for english, chinese in terms(cell.source) if cell.cell_type == "markdown" else []:
                key = (_name(english).lower().removesuffix("s"), chinese)  # one for both numbers
                names.setdefault(key, _name(english))
                rows.setdefault(key, {})[link] = None
    lines = (f"| {names[key]} | {key[1]} | {', '.join(rows[key])} |" for key in sorted(rows))
    return HEAD + "\n".join(lines) + "\n"


def _name(english):
    """The term as a glossary has it: no capital letter but that of a name."""
    first, rest = english[0], english[1:]
    word = re.split(r"[ -]", english)[0]
    keep = word in PEOPLE or word.endswith("'s") or not word[1:].islower()
    return english if keep else first.lower() + rest


PEOPLE = ("Gauss–Hermite", "Kullback–Leibler", "Kolmogorov–Smirnov", "Lyapunov", "Monte", "Xavier",
          "Jacobian", "Haar", "He")  # fmt: skip

if __name__ == "__main__":
    GLOSSARY.write_text(glossary(), encoding="utf-8")
    print(f"{GLOSSARY.relative_to(NOTEBOOKS.parent)} is written")
