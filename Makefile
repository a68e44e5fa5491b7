# PYTHON selects the interpreter, 3.11 or newer: make test PYTHON=python3.13
PYTHON ?= python3
# Each interpreter has its own environment.
VENV ?= $(if $(filter python3,$(PYTHON)),.venv,.venv-$(notdir $(PYTHON)))
# Test processes at once.
JOBS ?= 2

BIN := $(VENV)/bin
COMPILE := $(BIN)/uv pip compile --quiet --generate-hashes --no-strip-extras --no-emit-index-url --universal \
	--python-version 3.11 --custom-compile-command "make requirements"

.DEFAULT_GOAL := help
.PHONY: help run test lint types cover test-core format dashboards dashboard-pictures docs requirements venv-run venv-test clean

help: ## show this list
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' $(MAKEFILE_LIST) | expand -t 22
	@echo
	@echo "PYTHON=python3.13 selects the interpreter (3.11 or newer, default python3)."

run: venv-run ## start the daemon on CONFIG=FILE, or without it on a local sandbox
ifdef CONFIG
	@exec $(BIN)/monitor run -c "$(CONFIG)"
else
	@exec scripts/run-sandbox.sh $(BIN)/monitor .sandbox
endif

test: lint types cover ## everything CI runs: lint, types, import rules, tests, coverage of the core

lint: venv-test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: venv-test
	$(BIN)/mypy

cover: venv-test
	$(BIN)/pytest -q -n $(JOBS) --doctest-modules --cov --cov-report= tests monitor/core
	$(BIN)/coverage report --include='monitor/core/*' --fail-under=100

test-core: venv-test ## the tests of the core and of the imports alone
	$(BIN)/pytest -q -n $(JOBS) --doctest-modules tests/core tests/test_imports.py monitor/core

format: venv-test ## rewrite the code as `make test` wants it
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

dashboards: venv-test ## write the Grafana dashboards anew from their code
	$(BIN)/python -m grafana.generate

dashboard-pictures: venv-test ## draw the dashboards anew for the docs, from a scripted hour
	$(BIN)/python -m grafana.pictures

docs: venv-test ## write the generated pages of docs/reference and the drawings anew
	$(BIN)/python -m scripts.reference
	$(BIN)/python -m scripts.drawings

requirements: venv-test ## pin anew what pyproject.toml allows, with hashes (UPGRADE=--upgrade for the newest)
	$(COMPILE) $(UPGRADE) pyproject.toml -o requirements/runtime.txt
	$(COMPILE) $(UPGRADE) pyproject.toml --extra reports -c requirements/runtime.txt -o requirements/reports.txt
	$(COMPILE) $(UPGRADE) pyproject.toml --extra reports --extra notify -c requirements/reports.txt -o requirements/full.txt
	$(COMPILE) $(UPGRADE) pyproject.toml --group dev -c requirements/full.txt -o requirements/dev.txt
	$(COMPILE) $(UPGRADE) --group build -c requirements/dev.txt -o requirements/build.txt

venv-run:
	@scripts/make-venv.sh "$(PYTHON)" "$(VENV)" run

venv-test:
	@scripts/make-venv.sh "$(PYTHON)" "$(VENV)" test

clean: ## remove environments, caches and the sandbox
	rm -rf .venv .venv-* .sandbox build dist .coverage .coverage.* htmlcov .hypothesis .mypy_cache .pytest_cache .ruff_cache
