# Two commands do all set-up on a fresh machine: `make demo` and `make test`.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
export PIP_DISABLE_PIP_VERSION_CHECK := 1

.PHONY: demo test lint test-slow test-data test-gpu docs clean

demo: $(VENV)/.core  ## install, then learn the data set that ships with the package
	$(BIN)/plait demo --out demo-run

test: $(VENV)/.dev lint  ## install, then every check that CI makes
	$(BIN)/python -m pytest -n 2 --dist worksteal -q

lint: $(VENV)/.dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

test-slow: $(VENV)/.dev  ## tests of more than about ten seconds each
	$(BIN)/python -m pytest -q -m slow

test-data: $(VENV)/.dev  ## tests on real data sets, from the folder in PLAIT_DATA
	$(BIN)/python -m pytest -q -m data

test-gpu: $(VENV)/.dev  ## tests that need a CUDA device
	$(BIN)/python -m pytest -q -m gpu

docs: $(VENV)/.dev  ## write docs/cli.md from --help
	$(BIN)/python scripts/cli_reference.py

$(VENV)/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "Python 3.11 or newer is needed; name one by: make PYTHON=python3.11 $(MAKECMDGOALS)"; exit 1; }
	$(PYTHON) -m venv $(VENV)

$(VENV)/.core: pyproject.toml | $(VENV)/bin/python
	$(BIN)/pip install --quiet --editable .
	@touch $@

$(VENV)/.dev: pyproject.toml $(VENV)/.core
	$(BIN)/pip install --quiet --editable '.[dev]'
	@touch $@

clean:
	rm -rf $(VENV) demo-run
