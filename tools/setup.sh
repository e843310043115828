#!/usr/bin/env bash
# Make the virtual environment VENV from the file REQUIREMENTS: tools/setup.sh VENV REQUIREMENTS
# Running it again, also after an interruption, installs only what is missing.
set -euo pipefail
venv=$1
requirements=$2
export PIP_DISABLE_PIP_VERSION_CHECK=1

# A command called python3.11 may exist and fail (pyenv's shims do), so each candidate is run.
python=""
found=""
for candidate in "${PYTHON:-}" python3.11 python3; do
    version=$("$candidate" -c 'import sys; print("%d.%d" % sys.version_info[:2])' 2>/dev/null) || continue
    found="$found, $candidate is $version"
    [ "$version" = 3.11 ] || continue
    python=$candidate
    if "$python" -c "import ensurepip, venv" 2>/dev/null; then break; fi
done
if [ -z "$python" ]; then
    found=${found:-, no python3.11 or python3 on the PATH}
    echo "Python 3.11 is needed, but found here: ${found#, }; install it and run" \
        "'make PYTHON=/path/to/python3.11', or use conda:" \
        "'conda env create -f environment.yml && conda activate d2lstab && pip install --no-deps -e .'" >&2
    exit 1
fi
if ! "$python" -c "import ensurepip, venv" 2>/dev/null; then
    echo "$python cannot make virtual environments because its ensurepip module is missing:" \
        "install it with 'sudo apt install python3.11-venv' and run make again." >&2
    exit 1
fi

if ! "$venv/bin/python" -c 'import pip, sys; sys.exit(sys.version_info[:2] != (3, 11))' 2>/dev/null; then
    echo "[1/4] Making the virtual environment $venv with $("$python" --version): some seconds"
    "$python" -m venv --clear "$venv"
fi
install=("$venv/bin/python" -m pip install --progress-bar on --no-compile)

# On Linux, plain torch is the CUDA build of several GB; this index has the CPU build. Few retries,
# and --no-deps so that it is asked for two packages only: where it cannot be reached, the set-up
# loses some seconds and takes what pip finds elsewhere.
echo "[2/4] Installing PyTorch (about 200 MB): half a minute to five minutes"
"${install[@]}" --no-deps --retries 1 --timeout 15 \
    --extra-index-url https://download.pytorch.org/whl/cpu \
    $(grep -E '^(torch|torchvision)==' "$requirements")

# pip would compile with one core, file after file. Some files are templates, or for other versions.
compile_all=("$venv/bin/python" -m compileall -qq "$venv/lib")
"${compile_all[@]}" >/dev/null 2>&1 &

# The pinned list is whole on Linux, where it was made: nothing needs to be looked up.
whole=""
if [ "$requirements" = requirements.txt ] && [ "$(uname)" = Linux ]; then whole=--no-deps; fi
echo "[3/4] Installing the other packages of $requirements (about 500 MB): one to five minutes"
"${install[@]}" $whole -r "$requirements"

echo "[4/4] Installing d2lstab itself and the book's package, compiling all: half a minute"
"${install[@]}" --no-deps --no-build-isolation -e . "$(grep -o 'd2l==[0-9.]*' pyproject.toml | head -1)"
wait
"${compile_all[@]}" -j 0 >/dev/null 2>&1 &

# nbgrader comes for the teacher's commands; its buttons in JupyterLab would puzzle every reader.
"$venv/bin/python" -m jupyter server extension disable --sys-prefix \
    nbgrader.server_extensions.{formgrader,validate_assignment,assignment_list,course_list} \
    >/dev/null 2>&1
"$venv/bin/python" -m jupyter labextension disable --level=sys_prefix @jupyter/nbgrader >/dev/null 2>&1
wait
