# What a person runs. CI runs the same targets (.ci/run), and `make` alone prints this list.
.DEFAULT_GOAL := help
.SUFFIXES:
.DELETE_ON_ERROR:
MAKEFLAGS += --no-print-directory --no-builtin-rules

PYTHON ?= $(shell command -v python3.11 || command -v python3)
BIN := .venv/bin
unexport PYTHONPATH PYTHONHOME VIRTUAL_ENV

.PHONY: help
help: ## Print this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-10s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

# --- the virtual environment -----------------------------------------------------------------
# One stamp a level: base runs the product, test runs the suite, dev checks the code. Each list holds
# the one before it. pip reads the hashes; uv, itself from the hashed list, only makes it faster, so
# that where uv cannot reach the registry that pip is set up for, pip does the whole work.

.PHONY: setup
setup: .venv/dev.stamp ## Build .venv with everything (the other targets do what they need of it)

.venv/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
		|| { echo 'Relance needs Python 3.11 or newer: make PYTHON=/path/to/python3.11' >&2; exit 1; }
	@$(PYTHON) -m venv .venv

.venv/build.stamp: requirements/build.txt | .venv/bin/python
	@echo 'setting up .venv'
	@$(BIN)/python -m pip install -qq --disable-pip-version-check --require-hashes -r $<
	@touch $@

.venv/%.stamp: requirements/%.txt pyproject.toml .venv/build.stamp
	@$(BIN)/uv pip install -q --python $(BIN)/python --require-hashes -r $< 2>.venv/uv.log \
		|| $(BIN)/python -m pip install -qq --disable-pip-version-check --require-hashes -r $<
	@$(BIN)/python -m pip install -qq --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@
