"""Execute notebooks and store them as a reader should find them: with pictures, without widgets.

    python tools/execute_notebooks.py                      # all lessons
    python tools/execute_notebooks.py notebooks/01-*/*.ipynb

A stored widget breaks GitHub's view and shows "model not found"; its PNG and its text stay.
"""

import argparse
import time
from pathlib import Path

import nbformat
from nbclient import NotebookClient

ROOT = Path(__file__).resolve().parent.parent
KERNEL = {"display_name": "Python 3 (ipykernel)", "language": "python", "name": "python3"}
WIDGET = "application/vnd.jupyter.widget-view+json"


def lessons(root=ROOT):
    """Return the lessons in reading order: all notebooks of the course but its exercises."""
    skipped = {"solutions", ".ipynb_checkpoints", "exercises.ipynb"}
    paths = sorted((root / "notebooks").rglob("*.ipynb"))
    return [path for path in paths if not skipped & set(path.relative_to(root).parts)]


def lesson_number(path):
    """Return the number by which the course calls a lesson: 1.4."""
    return f"{int(path.parent.name[:2])}.{path.name[0]}"


def clean(notebook):
    """Remove from an executed notebook what differs between machines or needs a kernel."""
    notebook.metadata = {"kernelspec": KERNEL, "language_info": {"name": "python"}}
    for cell in notebook.cells:
        tags = cell.metadata.get("tags")
        cell.metadata = {"tags": tags} if tags else {}
        if cell.cell_type == "code":
            cell.outputs = list(filter(None, map(_without_widget, cell.outputs)))
    return nbformat.from_dict(notebook)


def _without_widget(output):
    """Return the output without its widget view, or None if nothing else is in it to look at."""
    data = output.get("data")
    if data is None or WIDGET not in data:
        return output
    del data[WIDGET]
    return output if set(data) - {"text/plain"} else None


def execute(path):
    """Execute the notebook at ``path`` in its own folder and store it; return the seconds taken."""
    start = time.perf_counter()
    notebook = nbformat.read(path, as_version=4)
    client = NotebookClient(
        notebook,
        timeout=120,
        kernel_name="python3",
        extra_arguments=["--log-level=ERROR"],  # the kernel warns of its own plain TCP connection
        record_timing=False,
        coalesce_streams=True,  # or a cell's text falls apart where the kernel happens to pause
        store_widget_state=False,
        resources={"metadata": {"path": str(path.parent)}},
    )
    client.execute()
    nbformat.write(clean(notebook), path)
    return time.perf_counter() - start


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("notebooks", nargs="*", type=Path, help="default: all lessons")
    for path in parser.parse_args().notebooks or lessons():
        print(f"{path} ...", end=" ", flush=True)
        print(f"{execute(path.resolve()):.1f} s")
