# What a person runs. CI runs the same targets (.ci/run), and `make` alone prints this list.
.DEFAULT_GOAL := help
.SUFFIXES:
.DELETE_ON_ERROR:
MAKEFLAGS += --no-print-directory --no-builtin-rules

PYTHON ?= python3.11 python3 python3.12 python3.13
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
	@:

.venv/bin/python:
	@for python in $(PYTHON); do \
		$$python -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && exec $$python -m venv .venv; \
	done; echo 'Relance needs Python 3.11 or newer: make PYTHON=/path/to/python3.11' >&2; exit 1

.venv/build.stamp: requirements/build.txt | .venv/bin/python
	@echo 'setting up .venv' >&2
	@$(BIN)/python -m pip install -qq --disable-pip-version-check --require-hashes -r $<
	@touch $@

.venv/%.stamp: requirements/%.txt pyproject.toml .venv/build.stamp
	@$(BIN)/uv pip install -q --system-certs --python $(BIN)/python --require-hashes -r $< 2>.venv/uv.log \
		|| $(BIN)/python -m pip install -qq --disable-pip-version-check --require-hashes -r $<
	@$(BIN)/python -m pip install -qq --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@

# --- run it ----------------------------------------------------------------------------------

.PHONY: demo
demo: .venv/base.stamp ## Play the main job on real input, from import to payment, and exit
	@$(BIN)/relance demo

.PHONY: run
run: .venv/base.stamp ## Run the whole service here with embedded servers; prints URL, docs and a key
	@exec $(BIN)/relance up

# --- judge it --------------------------------------------------------------------------------

# Two workers: more compete with the embedded servers for the cores of a small machine.
.PHONY: test
test: .venv/test.stamp ## Run the whole test suite, with the small contract and fault tests
	@$(BIN)/python -m pytest -n 2

.PHONY: check
check: .venv/dev.stamp ## Format, lint, types, layers, own rules, migrations, OpenAPI and event schema drift
	@$(BIN)/python -m checks.all

.PHONY: format
format: .venv/dev.stamp ## Format the code and mend what ruff can mend
	@$(BIN)/ruff format -q
	@$(BIN)/ruff check -q --fix --exit-zero

.PHONY: contract
contract: .venv/test.stamp ## Schemathesis in full, two tenants, real database
	@$(BIN)/python -m pytest tests/contract --full

.PHONY: bench
bench: .venv/test.stamp ## Benchmarks beside their references, one JSON object a line (QUICK=1: two minutes)
	@$(BIN)/python -m bench $(if $(QUICK),--quick)

.PHONY: fault
fault: .venv/test.stamp ## Kill things for real and print a table of promises and figures
	@$(BIN)/python -m pytest tests/faults --full -s

.PHONY: mutants
mutants: .venv/test.stamp ## Plant each known flaw in turn and show which test turns red
	@$(BIN)/python -m checks.mutants

# --- dependencies ----------------------------------------------------------------------------
# A release younger than a week does not enter unseen; one that must is named here with the day it is
# taken from (ruff 0.17.6 and SQLAlchemy 2.1.9 are the versions that our notes were measured on).

YOUNG = ruff=2026-11-20 sqlalchemy=2026-11-17

LOCK = $(BIN)/uv pip compile -q --universal --python-version 3.11 --generate-hashes --no-header --no-annotate \
	--no-emit-index-url --exclude-newer '1 week' $(addprefix --exclude-newer-package ,$(YOUNG))

.PHONY: lock
lock: .venv/build.stamp ## Compile requirements/*.txt from pyproject.toml (UPGRADE=1 to move versions)
	@$(LOCK) pyproject.toml --group test --group dev --group build -o requirements/dev.txt $(if $(UPGRADE),--upgrade)
	@$(LOCK) pyproject.toml --group test --group build -c requirements/dev.txt -o requirements/test.txt
	@$(LOCK) pyproject.toml --group build -c requirements/dev.txt -o requirements/base.txt
	@$(LOCK) --group pyproject.toml:build -c requirements/dev.txt -o requirements/build.txt

.PHONY: clean
clean: ## Remove .venv and the caches (never the data of a running Relance)
	@rm -rf .venv .pytest_cache .ruff_cache .import_linter_cache .hypothesis build
