"""The pages beside the lessons: contents, notation and glossary say what the lessons say."""

import re
from pathlib import Path

import nbformat
import pytest
from contents import CONTENTS, STATED, contents, minutes, stated_minutes
from execute_notebooks import lessons
from glossary import GLOSSARY, glossary, terms
from test_notebooks import MATH, broken_links_of, good_notebook, prose, relative

pytestmark = pytest.mark.once

ROOT = Path(__file__).resolve().parent.parent
PAGES = [ROOT / "README.md", *sorted((ROOT / "notebooks").rglob("*.md"))]
NOTATION = ROOT / "notebooks/00-start-here/notation.md"
DEFINED = re.compile(r"^\| (.*?) \|.*\[\d\.\d\]\((.*?)\) \|$", re.MULTILINE)


@pytest.mark.parametrize("path", PAGES, ids=relative)
def test_relative_links_of_a_page_lead_to_files(path):
    assert broken_links_of(path.read_text(encoding="utf-8"), path.parent) == []


def test_the_glossary_has_every_term_that_the_lessons_mark():
    assert GLOSSARY.read_text(encoding="utf-8") == glossary(), "run tools/glossary.py"


def test_a_term_is_marked_and_its_chinese_name_stands_behind_it():
    text = "A **dead\nunit** (无), *prior* (先验概率; Saerens), **EM**\n(期望最大化, EM), **x** (y)"
    assert terms(text) == [("prior", "先验概率"), ("EM", "期望最大化")]
    assert terms("*Dive into Deep Learning* (《动手学深度学习》)") == []


def test_the_contents_name_every_lesson_with_its_minutes():
    assert CONTENTS.read_text(encoding="utf-8") == contents(), "run tools/contents.py"


@pytest.mark.parametrize("path", lessons(), ids=relative)
def test_a_lesson_states_the_minutes_that_it_takes(path):
    notebook = nbformat.read(path, as_version=4)
    assert stated_minutes(notebook) == minutes(notebook), "run tools/contents.py"


def test_minutes_are_counted_in_words_code_formulas_figures_and_labs():
    notebook = good_notebook()
    assert minutes(notebook) == 0
    notebook.cells[3].source = "word " * 2000 + "$$x$$ " * 10
    assert minutes(notebook) == 2000 / 200 + 10
    notebook.cells[1].source = "x = 1\n" * 100
    assert minutes(notebook) == 20 + 100 / 20
    picture = nbformat.v4.new_output("display_data", data={"image/png": "x"})
    notebook.cells[1].outputs = [picture] * 2
    assert minutes(notebook) == 25, "one figure rounds away"
    notebook.cells[1].source += "GradientLab()"
    assert minutes(notebook) == 25 + 5
    assert STATED.sub("about 30", "**You need** 5 minutes") == "**You need** about 30 minutes"


def test_every_sign_of_the_notation_is_in_the_lesson_that_defines_it():
    rows = DEFINED.findall(NOTATION.read_text(encoding="utf-8"))
    assert len(rows) > 30
    for signs, link in rows:
        notebook = nbformat.read(NOTATION.parent / link, as_version=4)
        formulas = " ".join(MATH.findall("\n".join(prose(notebook))))
        for sign in re.findall(r"\$(.+?)\$", signs):
            parts = re.split(r"\\cdot| \\ge.*", sign)
            assert all(part in formulas for part in parts), f"{sign} in {link}"


def test_every_name_of_the_notation_is_in_the_package():
    source = "\n".join(p.read_text(encoding="utf-8") for p in (ROOT / "d2lstab").rglob("*.py"))
    names = re.findall(r"`(\w+)`", NOTATION.read_text(encoding="utf-8"))
    assert len(names) > 20
    assert [name for name in names if not re.search(rf"\b{name}\b", source)] == []
