"""What a class's grading gives: the gradebook with every submission, a CSV, a table, feedback."""

import csv
import html
import shutil
import warnings
from dataclasses import dataclass
from pathlib import Path

import nbformat
from course import NOTEBOOK, gradebook
from sqlalchemy.exc import SAWarning


@dataclass
class Graded:
    """One submission after grading; `merge` fills in the scores.

    course : the folder in which it was graded, or None. failure : why it could not be graded, "".
    repaired : what the student had changed and was put back. scores : points by exercise.
    late : the exercises whose tests ran out of time. written : points that wait for a reader.
    """

    student: str
    course: Path | None = None
    failure: str = ""
    repaired: tuple[str, ...] = ()
    seconds: float = 0.0
    peak_mb: float = 0.0
    scores: dict[str, float] | None = None
    late: tuple[str, ...] = ()
    written: float = 0.0
    most: float = 0.0

    @property
    def score(self):
        """Points of all exercises so far."""
        return sum((self.scores or {}).values())

    @property
    def reason(self):
        """All that a teacher should know about how it was graded, or ""."""
        late = [f"{exercise} ran out of time" for exercise in self.late]
        return "; ".join(filter(None, [self.failure, *late, *self.repaired]))


def exercise_of(cell):
    """Return the exercise's number from a cell's name: "1.3" from "tests-1-3"."""
    return cell.split("-", 1)[1].replace("-", ".")


def merge(folder, chapter, graded):
    """Take all submissions into the class's gradebook and folders; fill in their scores."""
    with gradebook(folder) as book, warnings.catch_warnings():
        warnings.simplefilter("ignore", SAWarning)  # of nbgrader's own way to add a submission
        for one in graded:
            book.update_or_create_student(one.student)
            submission = book.update_or_create_submission(chapter, one.student)
            found = {} if one.failure else _auto_scores(one, chapter)
            scores, one.late, one.most = {}, _late(one, chapter), submission.max_score
            (notebook,) = submission.notebooks
            for grade in notebook.grades:
                auto = found.get(grade.name, 0.0)  # what could not be graded has no points
                grade.auto_score = auto
                grade.needs_manual_grade = auto is None
                scores[exercise_of(grade.name)] = grade.manual_score or auto or 0.0
                if auto is None and grade.manual_score is None:
                    one.written += grade.max_score
            book.db.commit()
            one.scores = dict(sorted(scores.items(), key=lambda s: [*map(int, s[0].split("."))]))
            _keep_files(folder, chapter, one)


def own_file(course, path):
    """Return a file of a submission's own folder, or None; a student's code may have left a link
    there that leads to the teacher's files."""
    file = (course / path).resolve()
    return file if file.is_file() and file.is_relative_to(course.resolve()) else None


def _auto_scores(one, chapter):
    """nbgrader's score of each test cell; None for an answer that a person must read."""
    try:
        own_file(one.course, "gradebook.db").stat()
        with gradebook(one.course) as book:
            notebook = book.find_submission_notebook(NOTEBOOK, chapter, one.student)
            scores = {grade.name: grade.auto_score for grade in notebook.grades}
            most = {grade.name: grade.max_score for grade in notebook.grades}
    except Exception as error:  # a student's code can write to this file
        one.failure = f"nbgrader left no scores: {type(error).__name__}"
        return {}
    if any(score is not None and not 0 <= score <= most[name] for name, score in scores.items()):
        one.failure = "the scores have been tampered with"
        return {}
    return scores


def _late(one, chapter):
    """The exercises whose tests nbgrader interrupted."""
    if one.failure:
        return ()
    path = own_file(one.course, Path("autograded", one.student, chapter, f"{NOTEBOOK}.ipynb"))
    cells = nbformat.read(path, as_version=4).cells if path else []
    return tuple(
        exercise_of(cell.metadata.nbgrader.grade_id)
        for cell in cells
        if cell.metadata.get("nbgrader", {}).get("grade")
        and any(output.get("ename") == "CellTimeoutError" for output in cell.get("outputs", []))
    )


def _keep_files(folder, chapter, one):
    """Copy the executed notebook and the feedback into the class folder."""
    for step, kind in (("autograded", "ipynb"), ("feedback", "html")):
        path = Path(step) / one.student / chapter / f"{NOTEBOOK}.{kind}"
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).unlink(missing_ok=True)
        if one.course and (made := own_file(one.course, path)):
            shutil.copy(made, folder / path)
    if one.failure:
        page = folder / "feedback" / one.student / chapter / f"{NOTEBOOK}.html"
        page.write_text(
            f"<!DOCTYPE html><meta charset='utf-8'><title>{NOTEBOOK}</title>"
            f"<h1>{html.escape(chapter)}</h1><p>Your submission got no points, because it could "
            f"not be graded: {html.escape(one.failure)}.</p>\n"
        )


def write_csv(folder, chapter, graded):
    """Write grades-CHAPTER.csv, a line for each submission; return its path."""
    path = folder / f"grades-{chapter}.csv"
    exercises = list(graded[0].scores)
    head = ["student", "score", "max_score", "to_read", "reason", "seconds", "peak_mb", *exercises]
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(head)
        for one in graded:
            line = [one.student, one.score, one.most, one.written, one.reason]
            line += [round(one.seconds, 1), round(one.peak_mb), *one.scores.values()]
            writer.writerow(line)
    return path


def table(graded):
    """Return the class as text: the scores, and below them every submission with a reason."""
    lines = [f"{'student':30} score  of  to read"]
    lines += [f"{g.student[:30]:30} {g.score:5g} {g.most:3g} {g.written:8g}" for g in graded]
    odd = [f"  {g.student}: {g.reason}" for g in graded if g.reason]
    return "\n".join([*lines, f"{len(graded)} submissions, {len(odd)} to look at:", *odd])
