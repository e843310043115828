"""A class as nbgrader sees it: one folder with its source, release, gradebook, grades, feedback.

build/class-7/ is the class whose seed is 7. Every nbgrader command works in it.
"""

import logging
import os
import sys
from pathlib import Path

from nbgrader.api import Gradebook
from nbgrader.apps import NbGraderAPI
from nbgrader.coursedir import CourseDirectory
from traitlets.config import Config, PyFileConfigLoader

ROOT = Path(__file__).resolve().parent.parent
BUILD = ROOT / "build"
SOURCES = ROOT / "notebooks/solutions"
SETTINGS = ROOT / "tools/nbgrader_config.py"
NOTEBOOK = "exercises"


def chapters():
    """Return the names of the chapters that have exercises."""
    return sorted(path.parent.name for path in SOURCES.glob(f"*/{NOTEBOOK}.ipynb"))


def class_folder(seed, build=BUILD):
    """Return the folder of the class with this seed."""
    return build / f"class-{seed}"


def settings(folder):
    """Return nbgrader's settings for the course in ``folder``."""
    config = PyFileConfigLoader(SETTINGS.name, path=str(SETTINGS.parent)).load_config()
    config.merge(Config({"CourseDirectory": {"root": str(folder)}}))
    return config


def nbgrader_api(config):
    """Return nbgrader's programming interface, quiet."""
    # nbgrader calls the program `alembic`, which stands beside the Python of the environment
    programs = os.environ["PATH"].split(os.pathsep)
    if (own := str(Path(sys.executable).parent)) not in programs:
        os.environ["PATH"] = os.pathsep.join([own, *programs])
    api = NbGraderAPI(coursedir=CourseDirectory(config=config), config=config)
    api.log.propagate = False
    api.log_level = logging.WARNING
    return api


def gradebook(folder):
    """Open the gradebook of the course in ``folder``; a context manager."""
    return Gradebook(f"sqlite:///{(folder / 'gradebook.db').absolute()}")
