"""The teacher's round trip with the real nbgrader: release, hand in, collect, grade, feed back."""

import copy
import csv
import re
import shutil
import subprocess
import sys
import time
import warnings
from pathlib import Path

import course
import grade
import matplotlib.pyplot as plt
import nbformat
import psutil
import pytest
import release as releasing
import test_exercises
import test_exercises_chapter2
import test_exercises_chapter3
import test_exercises_chapter4
import test_exercises_chapter5
import test_exercises_chapter6
from classroom import KINDS, cell_of, make_class, name, solved
from course import ROOT, SOURCES, gradebook
from grade import Limits, grade_class
from isolate import available, isolated
from nbgrader.utils import compute_checksum
from release import CLASS_SEED, leaks, release, seeded
from report import Graded, merge, own_file, write_csv
from sqlalchemy.exc import SAWarning
from submission import UnreadableError, collect, read, restore
from supervise import supervise

from d2lstab.exercises import CHECKERS

pytestmark = pytest.mark.once

CHAPTERS = course.chapters()
CHAPTER = CHAPTERS[0]  # where any would do
WRONG = [
    *test_exercises.WRONG,
    *test_exercises_chapter2.WRONG,
    *test_exercises_chapter3.WRONG,
    *test_exercises_chapter4.WRONG,
    *test_exercises_chapter5.WRONG,
    *test_exercises_chapter6.WRONG,
]

every_chapter = pytest.mark.parametrize("chapter", CHAPTERS)


def stored(chapter):
    return ROOT / "notebooks" / chapter / "exercises.ipynb"


def source(seed=0, chapter=CHAPTER):
    """The source with solutions and hidden tests, for one class."""
    return seeded(nbformat.read(SOURCES / chapter / "exercises.ipynb", as_version=4), seed)


@pytest.fixture(scope="module")
def class_7(tmp_path_factory):
    """The folder of a class in which every chapter has been released with seed 7."""
    folder = tmp_path_factory.mktemp("build") / "class-7"
    for chapter in CHAPTERS:
        release(chapter, folder, seed=7)
    return folder


def student_version(folder, chapter=CHAPTER):
    return nbformat.read(folder / "release" / chapter / "exercises.ipynb", as_version=4)


# Release


@every_chapter
def test_the_stored_student_version_is_the_one_that_is_generated(class_7, chapter):
    made = student_version(class_7, chapter)
    setup = cell_of(made, "setup")
    setup.source = CLASS_SEED.sub("= 0", setup.source)  # everyone's, and not that of class 7
    setup.metadata.nbgrader.checksum = compute_checksum(setup)
    assert nbformat.writes(made) + "\n" == stored(chapter).read_text(), (
        "run tools/release.py --store"
    )


@every_chapter
def test_a_release_is_one_notebook_without_anything_of_the_solutions(class_7, chapter):
    folder = class_7 / "release" / chapter
    assert [path.name for path in folder.rglob("*")] == ["exercises.ipynb"]
    raw = (folder / "exercises.ipynb").read_text()
    public, secret, hidden = set(), set(), False
    cells = source(chapter=chapter).cells
    for line in "\n".join(cell.source for cell in cells).splitlines():
        hidden = hidden or "### BEGIN" in line
        (secret if hidden else public).add(line.strip())
        hidden = hidden and "### END" not in line
    assert len(secret - public) > 100
    text = "\n".join(cell.source for cell in nbformat.reads(raw, 4).cells)
    assert [line for line in secret - public if len(line) > 8 and line in text] == []
    for word in ("HIDDEN", "SOLUTION", "widget-state", '"image/png"', "text/plain"):
        assert word not in raw, word


def replaced(text):
    return lambda notebook: notebook.cells[3].update(source=text)


LEAKS = {
    "a solution": replaced("    product = W @ product"),
    "a hidden test": replaced(
        "ordered = torch.tensor([[[1.0, 1], [0, 1]], [[1, 0], [0, 10]]], dtype=torch.float64)"
    ),
    "a marker": replaced("### BEGIN HIDDEN TESTS"),
    "a widget": lambda notebook: notebook.metadata.update(widgets={}),
    "an output": lambda nb: nb.cells[3].update(
        outputs=[nbformat.v4.new_output("stream", text="x")]
    ),
    "when it ran": lambda notebook: notebook.cells[3].metadata.update(execution={}),
}


@pytest.mark.parametrize("leak", LEAKS.values(), ids=LEAKS)
def test_a_leak_is_noticed(class_7, tmp_path, leak):
    notebook = student_version(class_7)
    nbformat.write(notebook, tmp_path / "exercises.ipynb")
    assert leaks(source(), tmp_path) == []
    leak(notebook)
    nbformat.write(notebook, tmp_path / "exercises.ipynb")
    assert len(leaks(source(), tmp_path)) == 1


def test_a_file_beside_the_notebook_is_a_leak(tmp_path):
    (tmp_path / "answers.txt").write_text("42")
    assert leaks(source(), tmp_path) == ["the file answers.txt"]


def test_outputs_and_widgets_of_the_source_are_not_released(tmp_path, monkeypatch):
    notebook = source()
    printed = nbformat.v4.new_output("stream", text="the solution is 42")
    cell_of(notebook, "exercise-1-1").outputs = [printed]
    notebook.cells[4].metadata["execution"] = {"iopub.status.busy": "now"}
    notebook.metadata["widgets"] = {"state": {"outputs": "the solution is 42"}}
    (tmp_path / "sources" / CHAPTER).mkdir(parents=True)
    nbformat.write(notebook, tmp_path / "sources" / CHAPTER / "exercises.ipynb")
    for module in (course, releasing):
        monkeypatch.setattr(module, "SOURCES", tmp_path / "sources")
    made = release(CHAPTER, tmp_path / "class") / "exercises.ipynb"
    assert "the solution is" not in made.read_text()
    assert made.read_text() == stored(CHAPTER).read_text()


def test_a_wrong_chapter_or_seed_is_named(tmp_path):
    with pytest.raises(ValueError, match="CHAPTER must be one of 01-gradient-problems"):
        release("1", tmp_path)
    with pytest.raises(ValueError, match="SEED must be"):
        release(CHAPTER, tmp_path, seed=-1)


@every_chapter
def test_the_class_seed_changes_the_tasks_and_the_hidden_tests(class_7, chapter):
    setup = cell_of(student_version(class_7, chapter), "setup").source
    assert "CLASS_SEED = 7  # class seed" in setup
    with gradebook(class_7) as book:
        cells = book.find_notebook("exercises", chapter).source_cells
        tests = {cell.name: cell.source for cell in cells if cell.name.startswith("tests-")}
    assert len(tests) >= 5 and all("seed = 7  # class seed" in text for text in tests.values())
    assert all("seed" in text.replace("seed = 7  # class seed", "") for text in tests.values())


# The hidden tests


def chapter_of(exercise):
    """The chapter's folder, by the number of one of its exercises."""
    return next(name for name in CHAPTERS if int(name[:2]) == int(exercise.split(".")[0]))


@pytest.fixture(scope="module")
def solved_chapters():
    """Everything that each solved notebook defines, the lab left out."""
    namespaces = {chapter: {} for chapter in CHAPTERS}
    for chapter, namespace in namespaces.items():
        for cell in source(chapter=chapter).cells:
            graded = cell.metadata.get("nbgrader", {}).get("grade")
            if cell.cell_type == "code" and not graded and "check(" not in cell.source:
                exec(cell.source.replace("GradientLab(broken)", "None"), namespace)
    plt.close("all")
    return namespaces


@pytest.fixture
def answers(solved_chapters, exercise):
    """What the solved notebook of this exercise's chapter defines."""
    return solved_chapters[chapter_of(exercise)]


def run_tests(exercise, seed, namespace):
    """Run the hidden tests of an exercise for a class."""
    name = f"tests-{exercise.replace('.', '-')}"
    exec(cell_of(source(seed, chapter_of(exercise)), name).source, dict(namespace))


NAMES = {
    exercise: name
    for chapter in CHAPTERS
    for cell in source(chapter=chapter).cells
    for exercise, name in re.findall(r'^check\("([\d.]+)", (\w+)', cell.source)
}
"""What the answer to each exercise that a machine grades is called."""


def test_every_exercise_that_is_checked_is_graded():
    assert list(NAMES) == list(CHECKERS)


@pytest.mark.parametrize("exercise", NAMES)
def test_the_hidden_tests_pass_the_solution_for_many_classes(answers, exercise):
    for seed in range(8):
        if exercise == "1.11":  # the task itself is another one
            exec(cell_of(source(seed), "setup").source, answers)
            exec(cell_of(source(seed), "broken").source, answers)
            exec(cell_of(source(seed), "exercise-1-11").source, answers)
        run_tests(exercise, seed, answers)


@pytest.mark.parametrize(("exercise", "answer", "hint"), WRONG)
def test_the_hidden_tests_fail_every_typical_mistake(answers, exercise, answer, hint):
    with pytest.raises(Exception):  # noqa: B017, whatever a wrong answer does
        run_tests(exercise, 3, {**answers, NAMES[exercise]: answer})


@pytest.mark.parametrize("exercise", NAMES)
def test_the_hidden_tests_fail_what_is_not_filled_in(answers, exercise):
    empty, namespace = nbformat.read(stored(chapter_of(exercise)), as_version=4), dict(answers)
    exec(cell_of(empty, f"exercise-{exercise.replace('.', '-')}").source, namespace)
    with pytest.raises(Exception):  # noqa: B017, whatever an empty answer does
        run_tests(exercise, 3, namespace)


@every_chapter
def test_the_teacher_s_page_tells_what_a_chapter_is_worth(chapter):
    page = (ROOT / "notebooks/00-start-here/for-teachers.md").read_text()
    (line,) = (line for line in page.splitlines() if line.startswith(f"| `{chapter}` |"))
    graded = [cell for cell in source(chapter=chapter).cells if "points" in _record(cell)]
    tests = [cell for cell in graded if not _record(cell)["solution"]]
    written = [name(cell).split("-", 1)[1].replace("-", ".") for cell in graded[len(tests) :]]
    exercises = [number for number in NAMES if chapter_of(number) == chapter]
    _, _, _, machine, reader, _, _ = (part.strip() for part in line.split("|"))
    assert machine == f"{exercises[0]} to {exercises[-1]}, {_points(tests)} points"
    assert reader == f"{', '.join(written)}, {_points(graded) - _points(tests)} points"


def _record(cell):
    return cell.metadata.get("nbgrader", {})


def _points(cells):
    return sum(_record(cell)["points"] for cell in cells)


# Hand in, collect and grade

# A spy who finds nothing out is right.
RIGHT = "spy" if available() else "right"
SMALL = [RIGHT, "partial", "hangs", "crashes", "missing-cells", "garbage"]


@pytest.fixture(scope="module")
def graded_class(class_7, tmp_path_factory):
    """A small class after `tools/grade.py`: its folder, what was printed, what each must get."""
    folder = tmp_path_factory.mktemp("submissions")
    kinds = make_class(folder, source(7), student_version(class_7), dict.fromkeys(SMALL, 1))
    command = [sys.executable, ROOT / "tools/grade.py", folder, "--seed", "7"]
    command += ["--chapter", CHAPTER]
    command += ["--build", class_7.parent, "--cell-seconds", "10", "--seconds", "200"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return class_7, done, kinds


def lines_of(folder):
    with (folder / f"grades-{CHAPTER}.csv").open(encoding="utf-8") as file:
        return {line["student"]: line for line in csv.DictReader(file)}


def test_every_submission_gets_its_score_and_its_reason(graded_class):
    folder, _, kinds = graded_class
    lines = lines_of(folder)
    assert set(lines) == set(kinds)
    for student, kind in kinds.items():
        line = lines[student]
        assert float(line["score"]) == kind.score and kind.reason in line["reason"], line
        assert float(line["max_score"]) == 22
        assert bool(line["reason"]) == bool(kind.reason), line


def test_the_csv_has_every_exercise_and_what_waits_for_a_reader(graded_class):
    right, partial = (lines_of(graded_class[0])[f"{kind}-01"] for kind in (RIGHT, "partial"))
    assert list(right)[-13:] == [f"1.{number}" for number in range(1, 14)]
    assert [float(right[f"1.{n}"]) for n in (1, 2, 12)] == [1, 2, 0] and right["to_read"] == "4.0"
    assert partial["1.6"] == "0.0" and partial["1.5"] == "1.0" and partial["to_read"] == "0.0"


def test_every_submission_gets_a_page_and_the_failed_ones_a_reason(graded_class):
    folder, _, kinds = graded_class
    pages = {s: folder / "feedback" / s / CHAPTER / "exercises.html" for s in kinds}
    text = {student: page.read_text() for student, page in pages.items()}
    assert "the kernel died in exercise-1-3" in text["crashes-01"]
    right = text[f"{RIGHT}-01"]
    assert "numeric_gradient" in right and "Score: 18.0 / 22.0" in right
    assert "HIDDEN TESTS" not in "".join(text.values())


def test_a_lab_is_drawn_while_grading(graded_class):
    path = graded_class[0] / f"autograded/{RIGHT}-01" / CHAPTER / "exercises.ipynb"
    cells = nbformat.read(path, as_version=4).cells
    (lab,) = (cell for cell in cells if cell.source.startswith("lab = GradientLab("))
    assert "image/png" in lab.outputs[0].data


def test_progress_and_the_odd_ones_are_printed(graded_class):
    _, done, kinds = graded_class
    assert f"{len(kinds)}/{len(kinds)}" in done.stderr and "[####" in done.stderr
    odd = [line for line in done.stdout.splitlines() if line.startswith("  ")]
    assert len(odd) == sum(bool(kind.reason) for kind in kinds.values())


def test_the_gradebook_has_every_student_and_keeps_a_reader_s_points(graded_class):
    folder, _, kinds = graded_class
    with gradebook(folder) as book:
        assert {student.id for student in book.students} >= set(kinds)
        grade = book.find_grade("exercise-1-12", "exercises", CHAPTER, f"{RIGHT}-01")
        assert grade.needs_manual_grade
        grade.manual_score, grade.needs_manual_grade = 1.5, False
        book.db.commit()
    again = [Graded(f"{RIGHT}-01", failure="handed in garbage the second time")]
    merge(folder, CHAPTER, again)
    assert again[0].score == 1.5 and again[0].scores["1.1"] == 0
    assert lines_of(folder) and write_csv(folder, CHAPTER, again).exists()


def test_another_chapter_is_graded_beside_the_first(class_7, tmp_path):
    chapter = CHAPTERS[1]  # the solutions of the others are run as they are, hidden tests and all
    empty, handed_in = student_version(class_7, chapter), tmp_path / "submissions"
    # empty and wrong answers: the hidden tests, above
    make_class(handed_in, source(7, chapter), empty, {"right": 1})
    cells = [cell for cell in empty.cells if _record(cell).get("grade")]
    full = _points(cell for cell in cells if not _record(cell)["solution"])
    (right,) = graded = grade_class(collect(handed_in), class_7, chapter, Limits())
    assert (right.student, right.score, right.reason) == ("right-01", full, "")
    assert right.written == _points(cells) - full
    head, *_ = write_csv(class_7, chapter, graded).read_text().splitlines()
    automatic = [exercise for exercise in NAMES if chapter_of(exercise) == chapter]
    assert [number for number in head.split(",") if "." in number][: len(automatic)] == automatic


def run_grade(monkeypatch, *arguments):
    """What `tools/grade.py` returns: the message with which it fails."""
    monkeypatch.setattr(sys, "argv", ["grade.py", *map(str, arguments)])
    return grade.main()


def test_a_class_of_several_chapters_must_say_which_one(class_7, tmp_path, monkeypatch):
    message = run_grade(monkeypatch, tmp_path, "--seed", "7", "--build", class_7.parent)
    assert f"one of {', '.join(CHAPTERS)}" in message


def test_nbgrader_alone_would_pass_a_test_that_is_skipped(class_7):
    # the reason for skip_cells_with_tag in the settings, and for restoring tags
    notebook = student_version(class_7)
    cell_of(notebook, "tests-1-1").metadata.tags = ["skip-execution"]
    restored, _ = restore(notebook, student_version(class_7))
    assert "tags" not in cell_of(restored, "tests-1-1").metadata
    assert course.settings(class_7).Execute.skip_cells_with_tag == ""


# Collecting


@pytest.mark.parametrize(
    ("path", "student"),
    [
        ("ann.ipynb", "ann"),
        ("ann/exercises.ipynb", "ann"),
        (f"ann/{CHAPTER}/exercises.ipynb", "ann"),
        ("ann/my answers.ipynb", "ann"),
        ("Zoë O'Neil.ipynb", "Zoë_O_Neil"),
        ("张伟.ipynb", "张伟"),
    ],
)
def test_a_notebook_is_found_wherever_it_was_put(class_7, tmp_path, path, student):
    (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
    nbformat.write(student_version(class_7), tmp_path / path)
    (found,) = collect(tmp_path)
    assert found.student == student and len(read(found, CHAPTER).cells) > 40


def test_two_entries_of_one_name_are_two_submissions(tmp_path):
    for entry in ("ann.ipynb", "a b.ipynb", "a_b.ipynb"):
        (tmp_path / entry).write_text("{}")
    (tmp_path / "ann").mkdir()
    assert len({submission.student for submission in collect(tmp_path)}) == 4


def test_an_empty_folder_and_no_folder_are_errors(tmp_path):
    for given, words in (("", "must be a folder"), ("/nowhere", "folder"), (tmp_path, "empty")):
        with pytest.raises(ValueError, match=words):
            collect(given)


JUNK = {
    "text": "hello",
    "a list": "[1, 2]",
    "no notebook": '{"cells": 3}',
    "a cell that is none": '{"cells": [1], "nbformat": 4, "nbformat_minor": 5, "metadata": {}}',
    "nothing": "",
}


@pytest.mark.parametrize("text", JUNK.values(), ids=JUNK)
def test_junk_in_a_notebook_file_is_named_and_raises_nothing_else(tmp_path, text):
    (tmp_path / "ann.ipynb").write_text(text)
    (submission,) = collect(tmp_path)
    with pytest.raises(UnreadableError, match="not a notebook: ann.ipynb"):
        read(submission, CHAPTER)


def test_metadata_of_any_kind_does_no_harm(class_7):
    notebook = student_version(class_7)
    notebook.cells[0].metadata.nbgrader = "yes"
    notebook.cells[2].metadata.nbgrader = {"grade_id": "invented", "points": 1000}
    restored, changes = restore(notebook, student_version(class_7))
    assert changes == () and len(restored.cells) == len(notebook.cells)
    assert "nbgrader" not in restored.cells[2].metadata


@pytest.mark.parametrize(
    "kind", ["shuffled", "doubled", "missing-cells", "changed-metadata", "changed-tests"]
)
def test_what_was_released_is_put_back(class_7, kind):
    released = student_version(class_7)
    handed_in = KINDS[kind].make(solved(source(7), released), copy.deepcopy(released))
    restored, _ = restore(handed_in, released)
    known = [cell for cell in restored.cells if name(cell)]
    assert [name(cell) for cell in known] == [name(c) for c in released.cells if name(c)]
    for cell in known:
        assert cell.metadata == cell_of(released, name(cell)).metadata
        if not cell.metadata.nbgrader.solution:
            assert cell.source == cell_of(released, name(cell)).source


def test_nothing_to_grade_is_graded_by_nobody(class_7, tmp_path):
    limits = Limits(jobs=1)
    folder = shutil.copytree(class_7, tmp_path / "class-7")
    essay = folder / "essay.docx"
    essay.write_text("My answers")
    (graded,) = grade_class(collect(_only(folder, essay)), folder, CHAPTER, limits)
    assert graded.score == 0 and graded.reason == "not a notebook: essay.docx"


def _only(folder, path):
    """A folder that holds this file alone."""
    alone = folder / "alone"
    alone.mkdir()
    path.rename(alone / path.name)
    return alone


# Limits

FAMILY = """
import subprocess, sys, time
child = [sys.executable, "-c", "import time\\n{}"]
subprocess.Popen(child, start_new_session=True)
time.sleep(60)
"""


def test_a_process_that_takes_too_long_ends_with_its_children(tmp_path):
    mark = f"time.sleep(61.{time.monotonic_ns() % 10**6})"
    run = supervise([sys.executable, "-c", FAMILY.format(mark)], seconds=2, memory_mb=1000)
    assert run.stopped == "stopped after 2 s" and run.seconds < 20
    time.sleep(0.3)
    commands = [p.info["cmdline"] or [] for p in psutil.process_iter(["cmdline"])]
    assert not any(mark in part for command in commands for part in command)


def test_a_process_that_takes_too_much_memory_is_ended():
    code = "import time\nblock = bytearray(3 * 10**8)\ntime.sleep(60)"
    run = supervise([sys.executable, "-c", code], seconds=60, memory_mb=200)
    assert run.stopped.endswith("MB of memory") and run.peak_mb > 200


def test_a_process_within_the_limits_is_left_alone():
    code = "import time\ntime.sleep(1)"  # long enough to be looked at
    run = supervise([sys.executable, "-c", code], seconds=60, memory_mb=1000)
    assert run.stopped == "" and 1 < run.peak_mb < 200


@pytest.mark.skipif(not available(), reason="bubblewrap cannot be used here")
def test_an_isolated_command_sees_no_solutions_no_home_and_no_network(tmp_path):
    handed_in = tmp_path / "handed-in"
    handed_in.mkdir()
    (handed_in / "ann.ipynb").write_text("{}")
    (tmp_path / "own").mkdir()
    code = (
        "import os, sys, urllib.request\n"
        "print([os.path.exists(path) for path in sys.argv[1:]])\n"
        "open('mine.txt', 'w').write('x')\n"
        "try: urllib.request.urlopen('http://192.0.2.1', timeout=5)\n"
        "except OSError as error: print('unreachable' in str(error))\n"
    )
    paths = [ROOT / "tools/grade.py", SOURCES / CHAPTER, handed_in / "ann.ipynb", tmp_path / "x"]
    command = isolated(
        [sys.executable, "-c", code, *map(str, paths)], tmp_path / "own", [handed_in]
    )
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.stdout.splitlines() == ["[True, False, False, False]", "True"], done.stderr
    assert (tmp_path / "own/mine.txt").exists()


def test_a_link_out_of_a_submission_s_folder_is_not_followed(tmp_path):
    (tmp_path / "own").mkdir()
    (tmp_path / "secret.txt").write_text("the teacher's")
    (tmp_path / "own/mine.db").symlink_to(tmp_path / "secret.txt")
    (tmp_path / "own/mine.txt").write_text("x")
    assert own_file(tmp_path / "own", "mine.db") is None
    assert own_file(tmp_path / "own", "mine.txt").read_text() == "x"


def test_scores_that_a_submission_gave_itself_do_not_count(class_7, tmp_path):
    shutil.copy(class_7 / "gradebook.db", tmp_path)
    with gradebook(tmp_path) as book, warnings.catch_warnings():
        warnings.simplefilter("ignore", SAWarning)
        book.update_or_create_student("eve")
        book.update_or_create_submission(CHAPTER, "eve")
        book.find_grade("tests-1-1", "exercises", CHAPTER, "eve").auto_score = 1000
        book.db.commit()
    greedy, broken = Graded("eve", tmp_path), Graded("eve", tmp_path / "nowhere")
    merge(class_7, CHAPTER, [greedy, broken])
    assert greedy.score == 0 and "tampered" in greedy.reason
    assert broken.score == 0 and "no scores" in broken.reason


# The commands


@pytest.mark.parametrize(
    ("goal", "program"),
    [("release CHAPTER=x SEED=7", "release.py"), ("grade SUBMISSIONS=x SEED=7", "grade.py")],
)
def test_make_runs_the_teacher_s_commands(goal, program):
    command = ["make", "-n", *goal.split()]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert f"tools/{program}" in done.stdout and '--seed "7"' in done.stdout


def test_make_clean_keeps_the_classes(tmp_path):
    (tmp_path / "Makefile").write_text((ROOT / "Makefile").read_text())
    for folder in ("build/class-7", "build/screenshots"):
        (tmp_path / folder).mkdir(parents=True)
    subprocess.run(["make", "clean"], cwd=tmp_path, check=True, capture_output=True)
    assert [path.name for path in Path(tmp_path / "build").iterdir()] == ["class-7"]


def test_grading_without_a_release_says_what_to_do(tmp_path, monkeypatch):
    message = run_grade(monkeypatch, tmp_path, "--build", tmp_path)
    assert "First: make release CHAPTER=" in message
