# make run    the default studies, from raw data to results/report.html
# make test   all checks and tests
# make browser  the tests of results/explorer.html alone, in a real browser (Chromium or one of its family)
# make test-cluster  the workflow on a real SLURM, a quarter of an hour; SLURM_UP=program starts one by `program start`
# make faults  what takes long to break: runs that are killed, encrypted schedulers, and 200 kills at random (an hour)
# make lint   the checks alone
# make clean  remove what was computed; keeps .venv and downloads
# Another interpreter: make run PYTHON=python3.12. Fewer cores: make run CORES=4.

PYTHON ?= python3
CORES ?= all

VENV := .venv
BIN := $(VENV)/bin
REPORT := results/report.html
PINS := envs/constraints.txt
INSTALL := $(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint $(PINS)
# One GPU job a device; without this limit all of them start at once.
GPUS := $(shell nvidia-smi --list-gpus 2>/dev/null | wc -l)
LIMIT := $(if $(filter-out 0,$(GPUS)),--resources gpu=$(GPUS))

.PHONY: run test browser faults test-cluster lint clean
.DELETE_ON_ERROR:

run: $(VENV)/.run
	@$(BIN)/snakemake --cores $(CORES) $(LIMIT)
	@if [ ! -e $(REPORT) ] || [ -n "$$(find results workflow config -newer $(REPORT) -not -path 'results/*/logs*' -print -quit)" ]; \
	then $(BIN)/snakemake --cores 1 --report $(REPORT); fi
	@echo "The report: $(REPORT); maps to choose from: results/explorer.html"

test: lint
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest --numprocesses auto --dist loadfile --cov --cov-report term

browser: $(VENV)/.test
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -m browser

test-cluster: $(VENV)/.test
	IGC_TEST_CLUSTER=1 SLURM_UP='$(SLURM_UP)' $(BIN)/python -m pytest -v tests/cluster

faults: $(VENV)/.test
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -m heavy
	nice $(BIN)/python benchmarks/soak.py --brains --warm --kills 200

lint: $(VENV)/.test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/snakefmt --check Snakefile workflow
	$(BIN)/snakemake --lint

clean:
	rm -rf results resources/partials

$(VENV)/.python:
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] < (3, 14))' 2>/dev/null || \
	{ echo "error: Python 3.11, 3.12 or 3.13 is needed, found $$($(PYTHON) --version 2>&1); run: make PYTHON=python3.12" >&2; exit 2; }
	$(PYTHON) -m venv $(VENV)
	$(INSTALL) pip
	@touch $@

$(VENV)/.run: $(VENV)/.python pyproject.toml $(PINS)
	$(INSTALL) --editable '.[workflow]'
	@touch $@

$(VENV)/.test: $(VENV)/.run
	$(INSTALL) --editable '.[workflow]' --group dev
	@touch $@
