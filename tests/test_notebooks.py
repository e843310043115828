"""Every notebook keeps the rules of the course; every rule is seen to fail on a broken notebook.

A rule is a function that takes a notebook and returns a list of complaints.
"""

import ast
import copy
import re
from pathlib import Path

import nbformat
import pytest
from execute_notebooks import WIDGET, clean, lesson_number, lessons

pytestmark = pytest.mark.once

COURSE = Path(__file__).resolve().parent.parent / "notebooks"
LESSONS = lessons()
SOURCES = sorted(COURSE.glob("solutions/*/exercises.ipynb"))
NOTEBOOKS = [*LESSONS, *sorted(COURSE.glob("[0-9]*/exercises.ipynb"))]
CHECKED = "nbval-check-output"
LONGEST_CELL = 12
MATH = re.compile(r"\$\$.+?\$\$|\$.+?\$", re.DOTALL)
# What notation.md writes otherwise: ε, log, E, Var and Cov, the transpose, a layer's outputs.
OTHER_NOTATION = (
    r"\\varepsilon",
    r"\\ln\b",
    r"\\mathbb\s*\{?E|(?<!mathrm )(?<![A-Za-z\\])E(?=[\[_])",
    r"\\(mathrm|text)\{(Var|Cov)\}",
    r"\\mathbf\s*\{?\w\}?\^T",
    r"\\mathbf\s*\{?a\}?_\{?[l0L]\b",
)


def relative(path):
    """Return a short name of a notebook: chapter/lesson."""
    return f"{path.parent.name}/{path.name}"


def code_cells(notebook):
    """Return the code cells that hold code."""
    return [c for c in notebook.cells if c.cell_type == "code" and c.source.strip()]


def checked_cells(notebook):
    """Return the code cells whose output nbval compares."""
    return [c for c in code_cells(notebook) if CHECKED in c.metadata.get("tags", [])]


def prose(notebook):
    """Return the sources of the markdown cells."""
    return [cell.source for cell in notebook.cells if cell.cell_type == "markdown"]


def output_types(notebook):
    """Return every MIME type stored in any output."""
    outputs = [output for cell in code_cells(notebook) for output in cell.outputs]
    return {kind for output in outputs for kind in output.get("data", {})}


def has_text(cell):
    """Return whether an output of the cell is text that nbval can compare."""
    return any("text" in o or "text/plain" in o.get("data", {}) for o in cell.outputs)


def first_line(cell):
    return cell.source.splitlines()[0]


def imports(cell):
    """Return the lines of import statements, at any depth, in a code cell."""
    tree = ast.parse("\n".join(re.sub(r"^[%!].*", "pass", s) for s in cell.source.splitlines()))
    return [n.lineno for n in ast.walk(tree) if isinstance(n, (ast.Import, ast.ImportFrom))]


# The rules.


def checked_cells_without_output(notebook):
    cells = checked_cells(notebook)
    return [first_line(c) for c in cells if c.execution_count is None or not has_text(c)]


def semicolons_in_checked_cells(notebook):
    lines = [line for cell in checked_cells(notebook) for line in cell.source.splitlines()]
    return [line for line in lines if line.split("#")[0].rstrip().endswith(";")]


def stored_widgets(notebook):
    views = [kind for kind in output_types(notebook) if kind == WIDGET]
    return views + [key for key in notebook.metadata if key == "widgets"]


def svg_outputs(notebook):
    return [kind for kind in output_types(notebook) if "svg" in kind]


def matplotlib_magics(notebook):
    lines = [line for cell in code_cells(notebook) for line in cell.source.splitlines()]
    return [line for line in lines if line.startswith("%matplotlib")]


def errors_and_warnings(notebook):
    outputs = [output for cell in code_cells(notebook) for output in cell.outputs]
    return [
        output.get("ename") or output.text
        for output in outputs
        if output.output_type == "error" or output.get("name") == "stderr"
    ]


def too_few_checked_cells(notebook):
    count = len(checked_cells(notebook))
    return [f"{count} cells are checked, at least 2 are needed"] if count < 2 else []


def too_long_cells(notebook):
    cells = [(c, len(c.source.strip().splitlines())) for c in code_cells(notebook)]
    return [f"{lines} lines: {first_line(cell)}" for cell, lines in cells if lines > LONGEST_CELL]


def foreign_kernel(notebook):
    kernel = notebook.metadata.get("kernelspec", {}).get("name")
    return [] if kernel == "python3" else [f"kernel {kernel}"]


def late_imports(notebook):
    first, *later = code_cells(notebook) or [nbformat.v4.new_code_cell()]
    missing = [] if imports(first) else ["the first code cell imports nothing"]
    return missing + [first_line(cell) for cell in later if imports(cell)]


def cells_out_of_order(notebook):
    counts = [cell.execution_count for cell in code_cells(notebook)]
    return [] if counts == list(range(1, len(counts) + 1)) else [str(counts)]


def incomplete_opening(notebook):
    text = (prose(notebook) or [""])[0]
    missing = [] if re.match(r"# \S", text) else ["a title"]
    missing += [f"**{w}**" for w in ("You will see", "You will learn", "You need")
                if not re.search(rf"\*\*{w}[.:]?\*\*", text)]  # fmt: skip
    return missing + ([] if re.search(r"\d+ minutes", text) else ["how many minutes"])


def incomplete_closing(notebook):
    headings = re.findall(r"^## +(.*?) *$", "\n".join(prose(notebook)), re.MULTILINE)
    if "Summary" not in headings or headings[-1] != "Further reading":
        return [f"sections: {headings}"]
    return []


def broken_links(notebook, folder=Path(__file__).parent):
    return broken_links_of("\n".join(prose(notebook)), folder)


def broken_links_of(text, folder):
    links = re.findall(r"\]\(([^)#\s]+)", text)
    local = [link for link in links if not re.match(r"[a-z]+:", link)]
    return [link for link in local if not (folder / link).exists()]


def other_notation(notebook):
    formulas = MATH.findall("\n".join(prose(notebook)))
    return [sign for sign in OTHER_NOTATION if any(re.search(sign, f) for f in formulas)]


# The rules of exercises, for the source with solutions and hidden tests.


def role(cell):
    """What nbgrader does with a cell: "answer", "tests", "written" or ""."""
    record = cell.metadata.get("nbgrader", {})
    if record.get("solution"):
        return "written" if record.get("grade") else "answer"
    return "tests" if record.get("grade") else ""


def cells_with_role(notebook, *roles):
    return [cell for cell in notebook.cells if role(cell) in roles]


def too_few_exercises(notebook):
    graded, written = (len(cells_with_role(notebook, r)) for r in ("tests", "written"))
    return [] if graded >= 3 and graded + written >= 5 else [f"{graded} graded, {written} written"]


def answers_without_a_check(notebook):
    following = zip(notebook.cells, [*notebook.cells[1:], nbformat.v4.new_code_cell()], strict=True)
    return [
        first_line(cell)
        for cell, after in following
        if role(cell) == "answer" and not after.source.startswith("check(")
    ]


def answers_without_a_solution(notebook):
    cells = cells_with_role(notebook, "answer", "written")
    return [first_line(cell) for cell in cells if "### BEGIN SOLUTION" not in cell.source]


def graded_in_plain_sight(notebook):
    open_part = re.compile("### BEGIN HIDDEN TESTS.*### END HIDDEN TESTS", re.DOTALL)
    cells = cells_with_role(notebook, "tests")
    return [first_line(c) for c in cells if "assert" in open_part.sub("", c.source)] + [
        first_line(c) for c in cells if "assert" not in c.source
    ]


def graded_alike_in_every_class(notebook):
    cells = cells_with_role(notebook, "tests")
    return [first_line(c) for c in cells if not re.search(r"= 0  # class seed$", c.source, re.M)]


def untagged_answers(notebook):
    cells = cells_with_role(notebook, "answer", "written")
    return [first_line(cell) for cell in cells if "X" not in cell.metadata.get("tags", [])]


def stored_outputs(notebook):
    return [first_line(c) for c in code_cells(notebook) if c.outputs or c.execution_count]


# The rules applied to the notebooks of the course.

every_notebook = pytest.mark.parametrize("path", NOTEBOOKS, ids=relative)
every_lesson = pytest.mark.parametrize("path", LESSONS, ids=relative)
every_source = pytest.mark.parametrize("path", SOURCES, ids=relative)


def read(path):
    notebook = nbformat.read(path, as_version=4)
    nbformat.validate(notebook)
    return notebook


def test_there_are_lessons_and_exercises():
    assert LESSONS and SOURCES
    assert {path.parent.name for path in SOURCES} == {
        path.parent.name for path in NOTEBOOKS if path.name == "exercises.ipynb"
    }


def test_the_page_for_the_wall_links_to_every_lesson_by_number_and_title():
    text = "\n".join(prose(read(COURSE / "07-look-back/1-find-the-cure.ipynb")))
    for path in (path for path in LESSONS if path.parent.name[:2] not in ("00", "07")):
        title = prose(read(path))[0].splitlines()[0].removeprefix("# ")
        assert f"[{lesson_number(path)} {title}](../{relative(path)})" in text


@every_notebook
def test_checked_cells_have_been_run_and_have_text(path):
    assert checked_cells_without_output(read(path)) == []


@every_notebook
def test_checked_cells_end_no_line_with_a_semicolon(path):
    assert semicolons_in_checked_cells(read(path)) == []


@every_notebook
def test_no_widget_is_stored(path):
    assert stored_widgets(read(path)) == []


@every_notebook
def test_no_svg_is_stored(path):
    assert svg_outputs(read(path)) == []


@every_notebook
def test_no_backend_is_chosen(path):
    assert matplotlib_magics(read(path)) == []


@every_notebook
def test_no_error_and_no_warning_is_stored(path):
    assert errors_and_warnings(read(path)) == []


@every_lesson
def test_a_lesson_has_at_least_two_checked_cells(path):
    assert too_few_checked_cells(read(path)) == []


@every_notebook
def test_code_cells_are_short(path):
    assert too_long_cells(read(path)) == []


@every_notebook
def test_the_kernel_is_python3(path):
    assert foreign_kernel(read(path)) == []


@every_notebook
def test_the_first_code_cell_has_all_imports(path):
    assert late_imports(read(path)) == []


@every_lesson
def test_every_code_cell_has_been_run_in_order(path):
    assert cells_out_of_order(read(path)) == []


@every_notebook
def test_a_notebook_opens_with_what_you_will_see_learn_and_need(path):
    assert incomplete_opening(read(path)) == []


@every_notebook
def test_a_notebook_closes_with_summary_and_further_reading(path):
    assert incomplete_closing(read(path)) == []


@every_notebook
def test_relative_links_lead_to_files(path):
    assert broken_links(read(path), path.parent) == []


@every_notebook
def test_formulas_are_written_as_the_page_of_notation_says(path):
    assert other_notation(read(path)) == []


EXERCISE_RULES = (
    too_few_exercises,
    answers_without_a_check,
    answers_without_a_solution,
    graded_in_plain_sight,
    graded_alike_in_every_class,
    untagged_answers,
    stored_outputs,
    late_imports,
    foreign_kernel,
    stored_widgets,
)


@every_source
@pytest.mark.parametrize("rule", EXERCISE_RULES)
def test_the_source_of_exercises_keeps_its_rules(path, rule):
    assert rule(read(path)) == []


@pytest.mark.parametrize("path", NOTEBOOKS[len(LESSONS) :], ids=relative)
def test_the_student_s_version_has_no_outputs(path):
    assert stored_outputs(read(path)) == []


@every_lesson
def test_a_notebook_is_stored_as_the_script_stores_it(path):
    notebook = read(path)
    assert clean(copy.deepcopy(notebook)) == notebook, "run tools/execute_notebooks.py"


# The rules themselves: silent on a good notebook, heard on a broken one.

OPENING = "# Watch\n\n**You will see** a.\n\n**You will learn** b.\n\n**You need** 20 minutes."
CLOSING = "## Summary\n\nIt works.\n\n## Further reading\n\n- [It](https://d2l.ai)"


def printed(source, count, text="1\n", tags=(CHECKED,)):
    output = nbformat.v4.new_output("stream", text=text)
    cell = nbformat.v4.new_code_cell(source, execution_count=count, outputs=[output])
    return {**cell, "metadata": {"tags": list(tags)}}


def good_notebook():
    cells = [
        nbformat.v4.new_markdown_cell(OPENING),
        printed("import torch\nprint(1)", 1),
        printed("print(1)", 2),
        nbformat.v4.new_markdown_cell(CLOSING),
    ]
    metadata = {"kernelspec": {"name": "python3", "display_name": "Python 3 (ipykernel)"}}
    return nbformat.from_dict({**nbformat.v4.new_notebook(), "cells": cells, "metadata": metadata})


def shown(kind):
    """Return an output that shows data of a MIME type."""
    return nbformat.v4.new_output("display_data", data={kind: "x"})


def set_second(**changes):
    """Return a change to the second code cell."""
    return lambda notebook: notebook.cells[2].update(changes)


def set_prose(index, old, new):
    """Return a change to the text of one markdown cell."""

    def change(notebook):
        cell = notebook.cells[index]
        assert old in cell.source
        cell.source = cell.source.replace(old, new)

    return change


BREAKS = {
    "a checked cell never run": (checked_cells_without_output, set_second(execution_count=None)),
    "a checked cell without output": (checked_cells_without_output, set_second(outputs=[])),
    "a checked cell with a picture only": (
        checked_cells_without_output,
        set_second(outputs=[shown("image/png")]),
    ),
    "a semicolon in a checked cell": (
        semicolons_in_checked_cells,
        set_second(source="print(1);  # one"),
    ),
    "a widget view": (stored_widgets, lambda n: n.cells[2].outputs.append(shown(WIDGET))),
    "a widget state": (stored_widgets, lambda n: n.metadata.update(widgets={})),
    "an SVG": (svg_outputs, lambda n: n.cells[2].outputs.append(shown("image/svg+xml"))),
    "a chosen backend": (matplotlib_magics, set_second(source="%matplotlib inline\nprint(1)")),
    "an error": (
        errors_and_warnings,
        lambda n: n.cells[2].outputs.append(nbformat.v4.new_output("error", ename="ValueError")),
    ),
    "a warning": (
        errors_and_warnings,
        lambda n: n.cells[2].outputs.append(nbformat.v4.new_output("stream", name="stderr")),
    ),
    "one checked cell": (too_few_checked_cells, set_second(metadata={})),
    "a cell of 13 lines": (too_long_cells, set_second(source="print(1)\n" * 13)),
    "another kernel": (foreign_kernel, lambda n: n.metadata.kernelspec.update(name="python311")),
    "an import in a later cell": (
        late_imports,
        set_second(source="if True:\n    from torch import nn"),
    ),
    "no import in the first cell": (late_imports, lambda n: n.cells[1].update(source="print(1)")),
    "cells run out of order": (cells_out_of_order, set_second(execution_count=3)),
    "no title": (incomplete_opening, set_prose(0, "# Watch", "Watch")),
    "no word on what you will learn": (
        incomplete_opening,
        set_prose(0, "**You will learn**", "Learn"),
    ),
    "no minutes": (
        incomplete_opening,
        set_prose(0, "20 minutes", "patience"),
    ),
    "no summary": (incomplete_closing, set_prose(3, "## Summary", "## Finally")),
    "no further reading": (
        incomplete_closing,
        set_prose(3, "## Further reading", "## More"),
    ),
    "another letter for a layer's outputs": (
        other_notation,
        set_prose(3, "It works.", r"$\mathbf{a}_l = \varphi(\mathbf z_l)$"),
    ),
    "a natural logarithm by another name": (
        other_notation,
        set_prose(3, "It works.", r"$$\mathrm E \ln x$$"),
    ),
    "a link to nowhere": (
        broken_links,
        set_prose(3, "https://d2l.ai", "../02-x/nowhere.ipynb"),
    ),
}


@pytest.mark.parametrize(("rule", "change"), BREAKS.values(), ids=BREAKS)
def test_a_rule_is_silent_on_a_good_notebook_and_heard_on_a_broken_one(rule, change):
    notebook = good_notebook()
    assert rule(notebook) == []
    change(notebook)
    assert rule(notebook) != []


def exercise(number):
    """The cells of one good exercise: text, answer, check and tests."""
    answer = dict(solution=True, grade=False, grade_id=f"exercise-{number}")
    tests = dict(solution=False, grade=True, points=1, grade_id=f"tests-{number}")
    hidden = "### BEGIN HIDDEN TESTS\nseed = 0  # class seed\nassert f(seed)\n### END HIDDEN TESTS"
    solution = "def f(x):\n    ### BEGIN SOLUTION\n    return x\n    ### END SOLUTION"
    new = nbformat.v4.new_code_cell
    return [
        nbformat.v4.new_markdown_cell("## What is x?"),
        new(solution, metadata={"nbgrader": answer, "tags": ["X"]}),
        new(f'check("{number}", f)'),
        new("# hidden\n" + hidden, metadata={"nbgrader": tests}),
    ]


def good_exercises():
    notebook = good_notebook()
    notebook.cells[1:3] = [nbformat.v4.new_code_cell("import torch")]
    written = dict(solution=True, grade=True, points=2, grade_id="exercise-9")
    metadata = {"nbgrader": written, "tags": ["X"]}
    notebook.cells[2:2] = [
        *[cell for number in range(3) for cell in exercise(number)],
        *[
            nbformat.v4.new_markdown_cell(
                "### BEGIN SOLUTION\nx\n### END SOLUTION", metadata=metadata
            )
            for _ in range(2)
        ],
    ]
    return notebook


def set_cell(index, **changes):
    return lambda notebook: notebook.cells[index].update(changes)


EXERCISE_BREAKS = {
    "two graded exercises": (too_few_exercises, lambda n: n.cells.pop(5)),
    "no check": (answers_without_a_check, set_cell(4, source="f(1)")),
    "no solution": (answers_without_a_solution, set_cell(3, source="def f(x):\n    return x")),
    "an open test": (graded_in_plain_sight, set_cell(5, source="assert f(1)")),
    "no test": (graded_in_plain_sight, set_cell(5, source="f(1)")),
    "one class": (graded_alike_in_every_class, set_cell(5, source="seed = 0")),
    "no tag": (untagged_answers, lambda n: n.cells[3].metadata.pop("tags")),
    "a run": (stored_outputs, set_cell(4, execution_count=1)),
    "an output": (stored_outputs, set_cell(4, outputs=[shown("text/plain")])),
}


@pytest.mark.parametrize(("rule", "change"), EXERCISE_BREAKS.values(), ids=EXERCISE_BREAKS)
def test_a_rule_of_exercises_is_heard_on_broken_ones(rule, change):
    notebook = good_exercises()
    assert [broken for broken in EXERCISE_RULES if broken(notebook)] == []
    change(notebook)
    assert rule(notebook) != []


def test_cleaning_keeps_the_picture_and_the_text_of_a_lab():
    notebook = good_notebook()
    lab = {WIDGET: {"model_id": "1"}, "image/png": "x", "text/plain": "GradientLab"}
    notebook.cells[2].outputs = [
        nbformat.v4.new_output("display_data", data=dict(lab)),
        nbformat.v4.new_output("display_data", data={WIDGET: {}, "text/plain": "VBox(...)"}),
        nbformat.v4.new_output("stream", text="stable\n"),
    ]
    notebook.cells[2].metadata["collapsed"] = True
    ids = [cell.id for cell in notebook.cells]
    cleaned = clean(notebook)
    kept = [output.get("data", output.get("text")) for output in cleaned.cells[2].outputs]
    assert kept == [{"image/png": "x", "text/plain": "GradientLab"}, "stable\n"]
    assert cleaned.cells[2].metadata == {"tags": [CHECKED]}
    assert [cell.id for cell in cleaned.cells] == ids
