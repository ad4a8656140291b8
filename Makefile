# Two commands on a fresh machine: `make demo` and `make test`. `make` alone lists the rest.
# Where packages come from is the machine's business (pip's own configuration and PIP_*), never this file's.

PYTHON ?= python3
BIN := .venv/bin
MADE := .venv/.made
ASSETS := $(or $(KUBEBUILDER_ASSETS),$(CURDIR)/.assets)
ASSETS_SECONDS ?= 900
WORKERS ?= $(shell n=$$(getconf _NPROCESSORS_ONLN); echo $$((n < 7 ? n + 1 : 8)))
# One more than there are processors: tests wait for servers more than they compute.
SHELL := /bin/sh
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
unexport PYTHONPATH PYTHONHOME

# A virtual environment knows its own path: one that was moved, copied or only half made is made again.
ifneq ($(shell cat $(MADE) 2>/dev/null),$(CURDIR))
REMAKE := remake
endif

.PHONY: help demo demo-clean test coverage e2e assets robustness mutants oracles lint format bench lock clean .venv remake

help:  ## list the targets
	@awk -F ':.*## ' '/^[a-z0-9.-]+:.*## /{printf "  make %-11s %s\n", $$1, $$2}' $(firstword $(MAKEFILE_LIST))

demo: .venv  ## a complete playground: a change walks dev -> qa -> prod
	$(BIN)/promotion demo

demo-clean:  ## remove the playground
	rm -rf .demo

test: lint  ## lint, types, layers and all tests but e2e
	$(BIN)/python -m pytest -n $(WORKERS) --dist loadgroup

coverage: .venv  ## the same tests with coverage, which makes them twice as slow
	$(BIN)/python -m pytest -n $(WORKERS) --dist loadgroup --cov --cov-report term

e2e: .venv assets  ## the slow tests: Prefect, a browser, an installation from nothing, a cluster, a short robustness
	$(BIN)/python -m pytest -m e2e -n 2 --dist loadfile --timeout 600
	KUBEBUILDER_ASSETS="$(ASSETS)" $(BIN)/python -m pytest -m cluster -n auto --maxprocesses 2 --dist loadfile --timeout 600
	$(BIN)/python -m pytest -m robustness -n auto --maxprocesses 2 --timeout 600

assets:  ## build a Kubernetes API server for tests, where there is Go and a recipe; once, 6 to 8 minutes
	@if [ -n "$$KUBEBUILDER_ASSETS" ]; then echo "assets: those of KUBEBUILDER_ASSETS"; \
	elif ! command -v go >/dev/null || [ ! -x ../shared/cluster/build ]; then echo "assets: none, without Go and ../shared/cluster/build"; \
	else timeout "$(ASSETS_SECONDS)" ../shared/cluster/build "$(ASSETS)" || echo "assets: could not be built, so the tests on a cluster are skipped" >&2; fi

robustness: .venv  ## half an hour of kills, faults and crowds, judged by a checker of its own (ROBUSTNESS_SEED replays)
	ROBUSTNESS=1 $(BIN)/python -m pytest -m robustness -n auto --maxprocesses 4 --timeout 1800
	$(BIN)/python -m pytest tests/test_machine.py --hypothesis-profile=thorough -s

mutants: .venv  ## remove each guard of docs/safety.md in turn, in a copy: does a test notice? (ONLY=S4)
	$(BIN)/python -m tests.mutants -j "$$(nproc)" $(addprefix --only ,$(ONLY))

oracles: .venv  ## what other projects' tests say of the health of objects, against our rules (docs/health.md)
	$(BIN)/python -m tests.oracles

lint: .venv  ## ruff, mypy --strict and import-linter
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-logo

format: .venv  ## mend what ruff can mend
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: .venv  ## measure the budgets, as ratios within one run
	$(BIN)/python -m bench

.venv: $(MADE)  ## make the virtual environment when it is missing or out of date

$(MADE): requirements.lock $(REMAKE)
	@command -v $(PYTHON) >/dev/null || { echo "make: no $(PYTHON); install Python >= 3.11, or: make PYTHON=/path/to/python" >&2; exit 2; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	  echo "make: $$($(PYTHON) -V 2>&1) is too old, Python >= 3.11 is needed; for example: make PYTHON=python3.12" >&2; exit 2; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { \
	  echo "make: $(PYTHON) -m venv does not work; on Debian and Ubuntu: apt-get install python3-venv" >&2; exit 2; }
	@git version 2>/dev/null | $(PYTHON) -c 'import re, sys; got = re.findall(r"\d+", sys.stdin.read())[:2]; \
	  sys.exit(0 if [int(n) for n in got] >= [2, 38] else "make: git >= 2.38 is needed; found: " + (".".join(got) or "none"))'
	$(PYTHON) -m venv --clear .venv
	$(BIN)/python -m pip install --quiet --no-deps --require-hashes -r requirements.lock
	$(BIN)/python -m pip check
	$(BIN)/python -m pip install --quiet --no-deps --no-build-isolation -e .
	@printf '%s' '$(CURDIR)' > $@

lock:  ## compile requirements.lock again from pyproject.toml (UPGRADE=--upgrade: to the newest versions)
	@set -e; uv=$$(mktemp -d); trap 'rm -rf "$$uv"' EXIT; \
	$(PYTHON) -m venv "$$uv"; "$$uv/bin/python" -m pip install --quiet uv; \
	env $${PIP_INDEX_URL:+"UV_DEFAULT_INDEX=$$PIP_INDEX_URL"} $${PIP_FIND_LINKS:+"UV_FIND_LINKS=$$PIP_FIND_LINKS"} \
	  $${PIP_CERT:+"SSL_CERT_FILE=$$PIP_CERT"} \
	  "$$uv/bin/uv" pip compile --quiet --universal --python-version 3.11 --extra dev --generate-hashes \
	  --no-emit-index-url --no-emit-find-links --no-header --no-annotate $(UPGRADE) pyproject.toml -o requirements.lock

clean: demo-clean  ## remove everything that was made
	rm -rf .venv build dist .coverage .coverage.* .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis
	find promotion flows tests bench -name __pycache__ -type d -prune -exec rm -rf {} +
