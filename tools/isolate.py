"""Shut a command off from the network, the teacher's files and other processes, by bubblewrap.

nbgrader runs students' code with the rights of whoever calls it. Inside it can read the system and
this course without its solutions, and write to one folder that is thrown away afterwards.
"""

import shutil
import subprocess
import sys
import tempfile
from functools import lru_cache
from pathlib import Path

from course import ROOT, SOURCES


@lru_cache(maxsize=1)
def available():
    """Return whether bubblewrap is installed and may make namespaces here."""
    if not shutil.which("bwrap"):
        return False
    with tempfile.TemporaryDirectory() as folder:
        trial = isolated(["true"], Path(folder), [])
        return subprocess.run(trial, capture_output=True, timeout=30).returncode == 0


def isolated(command, writable, hidden):
    """Return the command as it runs inside, with one writable folder and more folders hidden."""
    mounts = {Path(folder).resolve(): "--tmpfs" for folder in [*hidden, SOURCES]}
    mounts |= {Path.home(): "--tmpfs", Path(tempfile.gettempdir()): "--tmpfs"}
    # the programs stay visible, also where they lie in the home folder
    mounts |= {folder: "--ro-bind" for folder in (ROOT, Path(sys.prefix), Path(sys.base_prefix))}
    inside = ["bwrap", "--unshare-all", "--die-with-parent", "--new-session"]
    inside += ["--ro-bind", "/", "/", "--dev", "/dev", "--proc", "/proc"]
    for folder, mount in sorted(mounts.items()):  # what lies inside comes after what is around it
        if folder.is_dir():
            inside += [mount, str(folder)] + ([str(folder)] if mount == "--ro-bind" else [])
    inside += ["--bind", str(writable), str(writable), "--chdir", str(writable)]
    return [*inside, "--", *command]
