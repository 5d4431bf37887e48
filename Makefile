# Two commands set everything up: `make demo` and `make test`.
# Each installs into .venv once; a stamp file there remembers it.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin

export PIP_DISABLE_PIP_VERSION_CHECK := 1
export PIP_NO_INPUT := 1
# Twice quiet: errors are shown, warnings about the machine's own pip settings are not.
PIP_INSTALL := -m pip --quiet --quiet install
# Of the tests: who is done first takes over from the others.
IN_PARALLEL := --numprocesses auto --dist worksteal
# A dot a second in a terminal, as long as the shell of the recipe lives.
DOTS := if [ -t 2 ]; then (while kill -0 $$$$ 2>/dev/null; do printf . >&2; sleep 1; done) & \
  dots=$$!; trap 'kill $$dots 2>/dev/null; echo >&2' EXIT; trap 'exit 130' INT TERM; fi

.PHONY: demo test check kernels wheel floors notebooks bench clean help

help:
	@echo "make demo       install, live through a simulated lender's months, draw the page"
	@echo "make test       install, run all tests"
	@echo "make check      ruff, ruff format, mypy --strict"
	@echo "make kernels    the kernels' tests in plain Python (no JIT)"
	@echo "make wheel      build, install outside the checkout, exercise"
	@echo "make floors     run the tests on the lowest versions that pyproject.toml allows"
	@echo "make notebooks  run the notebooks, compare .py and .ipynb"
	@echo "make bench      benchmarks (minutes)"

$(VENV)/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "deadreckon needs Python 3.11 or newer; $(PYTHON) is \
	$$($(PYTHON) --version 2>&1). Try: make PYTHON=python3.11" >&2; exit 1; }
	@echo "==> creating $(VENV)"
	@$(PYTHON) -m venv $(VENV) || { rm -rf $(VENV); exit 1; }

$(VENV)/.demo-installed: pyproject.toml | $(VENV)/bin/python
	@echo "==> installing deadreckon (about a minute)"
	@$(DOTS); $(BIN)/python $(PIP_INSTALL) --editable '.[plot,job]'
	@touch $@

$(VENV)/.test-installed: pyproject.toml | $(VENV)/bin/python
	@echo "==> installing deadreckon and what its tests need (about a minute)"
	@$(DOTS); $(BIN)/python $(PIP_INSTALL) --editable '.[plot,job,test]'
	@touch $@ $(VENV)/.demo-installed

demo: $(VENV)/.demo-installed
	@echo "==> deadreckon demo"
	@$(BIN)/deadreckon demo

test: $(VENV)/.test-installed
	@echo "==> pytest"
	@$(BIN)/python -m pytest -q $(IN_PARALLEL)

check: $(VENV)/.test-installed
	@echo "==> ruff check"
	@$(BIN)/ruff check .
	@echo "==> ruff format --check"
	@$(BIN)/ruff format --check .
	@echo "==> mypy --strict"
	@$(BIN)/mypy

kernels: $(VENV)/.test-installed
	@echo "==> pytest of the kernels, without the JIT"
	@NUMBA_DISABLE_JIT=1 $(BIN)/python -m pytest -q tests/estimator/_kernels tests/calibration

wheel: $(VENV)/bin/python
	@PYTHON=$(abspath $(BIN))/python .ci/wheel

floors: $(VENV)/bin/python
	@PYTHON=$(abspath $(BIN))/python .ci/floors

notebooks: $(VENV)/.test-installed
	@echo "==> notebooks"
	@$(BIN)/python .ci/notebooks.py

bench: $(VENV)/.test-installed
	@echo "==> benchmarks that need no data from elsewhere (benchmarks/README.md has all)"
	@$(BIN)/python -m benchmarks.speed
	@$(BIN)/python -m benchmarks.coverage
	@$(BIN)/python -m benchmarks.crashes

clean:
	rm -rf $(VENV) build dist demo .pytest_cache .mypy_cache .ruff_cache .hypothesis
