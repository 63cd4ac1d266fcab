# Works from a bare clone with python3 (3.11 to 3.13) and make. Another interpreter: make demo PYTHON=python3.12
PYTHON ?= python3
# A test waits for other programs about half of its time.
JOBS ?= 3
CREDENTIALS ?= 100000
EXAMPLES ?= 1000
WRITERS_S ?= 600

VENV := .venv
READY := $(VENV)/.ready
BIN := $(VENV)/bin

# Where the UI keeps its history; DEMO=1 shows what make demo or make tutorial left behind.
DEMO ?=
UI_HOME ?= $(CURDIR)/$(if $(DEMO),.demo/dagster_home,.dagster_home)
UI_PORT ?= 3000

# The best few of what the browser saw, kept in docs/screenshots.
SCREENSHOTS := graph refused census checks picture-census-picture launchpad report report-dark

export DAGSTER_DISABLE_TELEMETRY := 1
# Each command starts some processes: compiled once, not in each.
unexport PYTHONDONTWRITEBYTECODE

.DEFAULT_GOAL := help
.PHONY: help setup demo tutorial test check ui soak bench clean docs screenshots

help: ## this list
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-11s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

setup: $(READY) ## install everything into .venv, once

$(READY): constraints.txt pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' 2>/dev/null || { \
	  echo "credstore_pipeline needs Python 3.11, 3.12 or 3.13, and $(PYTHON) is $$($(PYTHON) --version 2>/dev/null || echo not there)."; \
	  echo "Name another one: make $(firstword $(MAKECMDGOALS)) PYTHON=python3.12"; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { \
	  echo "$(PYTHON) cannot make virtual environments. On Debian and Ubuntu: apt-get install python3-venv"; exit 1; }
	@test -e $(VENV)/.made || { echo "Setting up $(VENV) (once; some minutes at most) ..."; \
	  $(PYTHON) -m venv --clear $(VENV) && touch $(VENV)/.made; }
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[dev]'
	@touch $@

demo: $(READY) ## the whole migration on a made-up store: refused, allowed, repeated, read back
	@$(BIN)/python -m credstore_pipeline.demo run

tutorial: $(READY) ## the demo's store and an empty target, to be migrated by hand as docs/tutorial.md tells
	@$(BIN)/python -m credstore_pipeline.demo fresh

test: $(READY) ## every test that takes neither minutes nor Debian packages; .ci/run runs the others too
	$(BIN)/python -m pytest -n $(JOBS) --dist worksteal $(PYTEST)

check: $(READY) ## format, lint, types, and that Dagster can load the definitions
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/dagster definitions validate -w workspace.yaml

ui: $(READY) ## Dagster's UI on this machine; DEMO=1 opens it on what make demo or tutorial left
	@mkdir -p $(UI_HOME)
	@test -e $(UI_HOME)/dagster.yaml || cp credstore_pipeline/dagster_home/dagster.yaml $(UI_HOME)/
	@set -a; $(if $(DEMO),. ./.demo/settings.env;) set +a; \
	  DAGSTER_SENSOR_GRPC_TIMEOUT_SECONDS=600 DAGSTER_HOME="$(UI_HOME)" exec $(BIN)/dagster dev -w workspace.yaml -h 127.0.0.1 -p $(UI_PORT)

docs: $(READY) ## the documentation as a site, in build/site
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --quiet

screenshots: $(READY) ## pictures of the UI and the report for the documentation; needs Chromium
	CREDSTORE_SCREENSHOTS="$(CURDIR)/artifacts/ui" $(BIN)/python -m pytest -m ci credstore_pipeline_tests/ui
	@mkdir -p docs/screenshots
	cp $(SCREENSHOTS:%=artifacts/ui/%.png) docs/screenshots/

soak: $(READY) ## the state machine of the window, EXAMPLES=1000 times 50 steps, and two writers for WRITERS_S=600
	CREDSTORE_SOAK_EXAMPLES=$(EXAMPLES) CREDSTORE_WRITERS_S=$(WRITERS_S) $(BIN)/python -m pytest -m ci -s \
	  -n 2 --dist worksteal credstore_pipeline_tests/sync

bench: $(READY) ## measure against pgloader, an ORM script and SQLite; CREDENTIALS=333333 for a million rows
	@$(BIN)/python -m credstore_pipeline.bench --credentials $(CREDENTIALS)
	@$(BIN)/python -m credstore_pipeline.bench.access

clean: ## remove what demo, tests and tools left; .venv and .dagster_home stay
	rm -rf .demo artifacts .hypothesis .mypy_cache .pytest_cache .ruff_cache .tmp_dagster_home_* build dist
	find credstore_pipeline credstore_pipeline_tests -name __pycache__ -type d -exec rm -rf {} +
