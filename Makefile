# make lab    opens the course in JupyterLab         make bench  runs the benchmarks
# make test   runs every check                       make clean  removes what these made
# make release CHAPTER=01-gradient-problems          the student's folder, in build/class-0
# make grade SUBMISSIONS=folder                       scores and feedback; the same SEED as released
# Each sets up what it needs, in .venv, and the second time installs nothing.
# SET=modern takes the newest numpy, matplotlib and ipython instead of the pinned set (.venv-modern).
# PYTHON=/path/to/python3.11 chooses the Python; JUPYTER_ARGS goes to JupyterLab.
# SEED=7 makes and grades the variant of class 7; GRADE_ARGS goes to tools/grade.py (--help).

SET ?= pinned
ifeq ($(SET),pinned)
VENV := .venv
REQUIREMENTS := requirements.txt
# These solutions are run, and graded, as a submission that is right (tests/test_teacher.py).
TESTS := --ignore-glob=*/solutions/0[12]*
else ifeq ($(SET),modern)
VENV := .venv-modern
REQUIREMENTS := requirements-modern.txt
# What is left out does not depend on what is newer here, or takes long and is torch (or, in chapter
# 3, scikit-learn) nearly alone. Left are the first lesson, one with scikit-learn, one with pandas, and
# the page that has cells of every chapter.
LEFT_OUT := exercises \
	2-trace-backpropagation 5-go-back-through-time 6-watch-a-network-train 7-compare-the-cures \
	8-train-without-gradients 1-break-the-symmetry 2-keep-the-variance 3-aim-for-isometry \
	5-train-ten-thousand-layers 6-start-blocks-at-zero 2-weight-what-you-have 3-count-the-flu \
	4-notice-the-shift 5-follow-the-concept 2-normalize-the-weights 4-scale-the-weights \
	5-go-deep 6-test-the-story 2-decay-the-weights 3-drop-units 4-perturb-the-inputs \
	6-limit-the-weights 7-control-the-step 3-compare-activations 4-turn-the-knobs \
	6-close-the-loop 3-mind-the-batch 5-clip-the-gradient 2-use-every-tool \
	1-find-the-cure 1-multiply-many-numbers 4-find-the-edge-of-chaos 1-name-the-shift 1-choose-the-axes
TESTS := -m "not once" $(patsubst %,--ignore-glob=*/%.ipynb,$(LEFT_OUT))
else
$(error SET is pinned or modern, not '$(SET)')
endif

BIN := $(VENV)/bin
FIRST := notebooks/00-start-here/1-see-gradients-live.ipynb
# JupyterLab refuses to run as root (in a container, say) unless it is told to.
ROOT_ARGS := $(if $(filter 0,$(shell id -u)),--allow-root)

SEED ?= 0

.PHONY: lab test bench release grade clean

lab: $(VENV)/.complete
	@echo "Opening JupyterLab in the browser; stop it here with Ctrl-C"
	@$(BIN)/python -m jupyterlab --ServerApp.root_dir="$(CURDIR)" $(ROOT_ARGS) $(JUPYTER_ARGS) $(FIRST)

# The tests, and the lessons by nbval: each cell runs, and what is tagged so is compared. Three files
# run side by side, so each gets one thread: a kernel that starts and a browser that paints leave a
# core idle a sixth of the time. They are handed out in the order of collection, the slowest first
# (tests/conftest.py): by the number of tests, as is pytest-xdist's habit, the browser would come
# last and alone. What is compiled is kept, or every kernel would compile the package again.
test: $(VENV)/.complete
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	OMP_NUM_THREADS=1 PYTHONDONTWRITEBYTECODE= $(BIN)/python -m pytest tests d2lstab notebooks $(TESTS) \
		--nbval-lax --nbval-current-env --nbval-cell-timeout=120 \
		-n 3 --dist loadfile --no-loadscope-reorder

bench: $(VENV)/.complete
	$(BIN)/python -m benchmarks
	$(BIN)/python -m benchmarks.monitor
	$(BIN)/python -m benchmarks.browser
	$(BIN)/python -m benchmarks.scale

release: $(VENV)/.complete
	@$(BIN)/python tools/release.py --chapter "$(CHAPTER)" --seed "$(SEED)"

grade: $(VENV)/.complete
	@$(BIN)/python tools/grade.py --chapter "$(CHAPTER)" --seed "$(SEED)" $(GRADE_ARGS) "$(SUBMISSIONS)"

# Touched last, so that an interrupted set-up is taken up again.
$(VENV)/.complete: $(REQUIREMENTS) pyproject.toml
	@PYTHON="$(PYTHON)" bash tools/setup.sh $(VENV) $(REQUIREMENTS)
	@touch $@

# The classes stay: nothing can make a class's grades again.
clean:
	rm -rf .venv .venv-modern $(filter-out build/class-%,$(wildcard build/*)) *.egg-info .pytest_cache .ruff_cache .hypothesis
