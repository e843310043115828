"""make and tools/setup.sh: one sentence for a Python that does not fit, nothing installed twice."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent

pytestmark = pytest.mark.once
BASH = shutil.which("bash")
MAKE = shutil.which("make")


@pytest.fixture
def set_up(tmp_path):
    """Return a function that runs the set-up with fake Pythons alone on the PATH."""

    def run(**pythons):
        for name, script in pythons.items():
            fake = tmp_path / name.replace("_", ".")
            fake.write_text(f"#!{BASH}\n{script}\n")
            fake.chmod(0o755)
        command = [BASH, str(ROOT / "tools/setup.sh"), str(tmp_path / "venv"), "requirements.txt"]
        environment = {"PATH": str(tmp_path)}
        done = subprocess.run(command, env=environment, cwd=ROOT, capture_output=True, text=True)
        assert not (tmp_path / "venv").exists()
        assert done.stdout == ""
        return done.returncode, done.stderr

    return run


def test_another_python_gets_one_sentence_with_the_mend(set_up):
    status, message = set_up(python3_11="echo 'pyenv: not installed' >&2; exit 127",
                             python3="echo 3.13")  # fmt: skip
    assert status == 1 and message.count("\n") == 1
    assert message.startswith("Python 3.11 is needed, but found here: python3 is 3.13;")
    assert "make PYTHON=" in message and "conda env create -f environment.yml" in message


def test_no_python_gets_one_sentence_too(set_up):
    status, message = set_up()
    assert status == 1 and message.count("\n") == 1
    assert "no python3.11 or python3 on the PATH" in message


def test_a_python_without_ensurepip_is_told_which_package_is_missing(set_up):
    status, message = set_up(python3_11='[[ "$2" == *ensurepip* ]] && exit 1; echo 3.11')
    assert status == 1 and message.count("\n") == 1
    assert "apt install python3.11-venv" in message


@pytest.fixture
def plan(tmp_path):
    """Return a function that says what make would run for a target, in a folder already set up."""
    if MAKE is None:
        pytest.skip("make is not installed")
    for name in ("Makefile", "pyproject.toml", "requirements.txt", "requirements-modern.txt"):
        shutil.copy(ROOT / name, tmp_path)
        os.utime(tmp_path / name, (1, 1))
    for venv in (".venv", ".venv-modern"):
        (tmp_path / venv).mkdir()
        (tmp_path / venv / ".complete").touch()

    def run(*arguments):
        command = [MAKE, "--dry-run", *arguments]
        # A make that runs these tests must not pass on its own SET and options.
        environment = {"PATH": os.environ["PATH"]}
        done = subprocess.run(
            command, env=environment, cwd=tmp_path, capture_output=True, text=True
        )
        return done.stdout + done.stderr

    return run


@pytest.mark.parametrize("target", ["lab", "test", "bench"])
@pytest.mark.parametrize("chosen", ["pinned", "modern"])
def test_a_second_run_installs_nothing(plan, target, chosen):
    commands = plan(target, f"SET={chosen}")
    assert f"{'.venv' if chosen == 'pinned' else '.venv-modern'}/bin/python -m" in commands
    assert "setup.sh" not in commands


@pytest.mark.parametrize("changed", ["requirements.txt", "pyproject.toml", ".venv/.complete"])
def test_a_changed_pin_or_an_interrupted_set_up_installs_again(plan, tmp_path, changed):
    if changed.endswith(".complete"):
        (tmp_path / changed).unlink()
    else:
        os.utime(tmp_path / changed)
        os.utime(tmp_path / ".venv/.complete", (2, 2))
    assert "tools/setup.sh .venv requirements.txt" in plan("test")


def test_an_unknown_set_is_named(plan):
    assert "SET is pinned or modern, not 'old'" in plan("test", "SET=old")
