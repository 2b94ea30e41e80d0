# Everything a newcomer and CI call. Needs Python 3.11 or later and make.
PYTHON ?= python3
VENV ?= .venv
BIN = $(VENV)/bin
CATALOG ?=

.DEFAULT_GOAL := help
.PHONY: help setup demo test unit lint bench lock clean

help: ## what can be made
	@grep -E '^[a-z]+:.*## ' Makefile | sed -E 's/:.*## /\t/' | expand -t 10

setup: $(BIN)/.ready ## install into .venv, pinned by the lock files

$(BIN)/.ready: requirements/dev.txt pyproject.toml
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or later is needed: make PYTHON=python3.11")'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --require-hashes -r requirements/dev.txt
	$(BIN)/python -m pip install --quiet --no-deps --no-build-isolation -e .
	$(BIN)/python -m consumers.compiling
	@touch $@

demo: setup ## a shop, its shoppers and its recommendations, live (CATALOG=folder for your own products)
	$(BIN)/recsys demo $(if $(CATALOG),--catalog $(CATALOG))

test: lint unit ## everything: lint, types, unit, contract and Kafka tests
	$(BIN)/python -m pytest tests/contract tests/integration tests/browser

unit: setup ## the fast tests alone, without Kafka, on all cores
	$(BIN)/python -m pytest -n auto -p no:schemathesis tests/unit

lint: setup ## ruff and mypy
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

bench: setup ## freshness and throughput on the embedded Kafka
	$(BIN)/recsys bench freshness
	$(BIN)/recsys bench stream

lock: ## resolve the lock files anew (needs uv)
	for lock in 'default' 'dev --group dev --group bench' 'train --group train' 'peers --group peers' \
		'spark --extra spark'; do \
		set -- $$lock; out=$$1; shift; \
		uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-find-links \
			--no-header --no-annotate --group build $$@ -o requirements/$$out.txt pyproject.toml || exit 1; \
	done

clean: ## remove what was installed and cached here
	rm -rf $(VENV) .pytest_cache .mypy_cache .ruff_cache .hypothesis build test-artifacts
