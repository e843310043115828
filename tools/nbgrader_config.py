"""The settings of nbgrader for this course; `make release` copies this file into a class folder."""

from nbconvert.preprocessors import ClearMetadataPreprocessor
from nbgrader.preprocessors import ClearHiddenTests, NbGraderPreprocessor

c = get_config()  # noqa: F821, nbgrader defines it

# A stub that runs: before anything is filled in, the student's notebook has no error.
c.ClearSolutions.code_stub = {"python": "# your code here\n..."}
c.ClearSolutions.text_stub = "*Your answer here.*"

# nbgrader itself leaves widget states in a release, and with them whatever a cell printed.
c.GenerateAssignment.preprocessors.prepend([ClearMetadataPreprocessor])
c.ClearMetadataPreprocessor.enabled = True
c.ClearMetadataPreprocessor.preserve_cell_metadata_mask = {
    "nbgrader",
    "deletable",
    "editable",
    "tags",
}
c.ClearMetadataPreprocessor.preserve_nb_metadata_mask = {"kernelspec", ("language_info", "name")}


class HideTracebacks(NbGraderPreprocessor):
    """Leave of a failed test only its last line: the others show the hidden tests around it."""

    def preprocess_cell(self, cell, resources, cell_index):
        if cell.metadata.get("nbgrader", {}).get("grade"):
            for output in cell.get("outputs", []):
                if output.output_type == "error":
                    output.traceback = output.traceback[-1:]
        return cell, resources


# Hidden tests stay hidden in the feedback.
c.GenerateFeedback.preprocessors.prepend([ClearHiddenTests, HideTracebacks])

# A cell that hangs is interrupted, and the next one runs.
c.Execute.timeout = 30
c.Execute.interrupt_on_timeout = True
c.Execute.iopub_timeout = 60
c.Execute.startup_timeout = 120
# By default a test cell with the tag "skip-execution" does not run, and counts as passed.
c.Execute.skip_cells_with_tag = ""
# Sockets in the file system: kernels side by side cannot take each other's port, and no network
# is needed, not even the loopback one.
c.KernelManager.transport = "ipc"
