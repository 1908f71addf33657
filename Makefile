# From raw data to champion with one command. `make` alone shows what there is.

SHELL := /bin/bash
.DEFAULT_GOAL := help
.PHONY: help run up down test coverage lint lock bench setup
unexport PYTHONDONTWRITEBYTECODE

PROJECT ?= churn
PIPELINES := .venv/bin/pipelines

help: ## show this
	@grep -hE '^[a-z]+:.*## ' $(MAKEFILE_LIST) | sort | awk -F ':.*## ' '{printf "  make %-8s %s\n", $$1, $$2}'

run: setup ## raw data to champion on Airflow (PROJECT=churn); the stack stays up to look around
	@$(PIPELINES) stack run $(PROJECT)

up: setup ## start Airflow and MLflow on 127.0.0.1
	@$(PIPELINES) stack up

down: ## stop exactly what was started
	@if [ -x $(PIPELINES) ]; then $(PIPELINES) stack down; else echo "nothing was set up, so nothing runs"; fi

test coverage: export OMP_NUM_THREADS := 1 # two processes share the cores, where threads that wait for each other crawl

test: setup ## every test, those on a real Airflow included
	@.venv/bin/python -m pytest -n 2 --dist loadscope --no-loadscope-reorder tests pipelines

coverage: setup ## the tests without a stack, and that they reach 90 % of pipelines/ (tracing takes nearly twice the time)
	@rm -f .coverage .coverage.*
	@.venv/bin/python -m coverage run -m pytest -n 2 --dist loadscope --no-loadscope-reorder tests pipelines \
		--ignore tests/integration/airflow --ignore tests/integration/stack
	@.venv/bin/python -m coverage combine --quiet
	@.venv/bin/python -m coverage report

lint: setup ## style, types, layers, projects, files of containers and workflows
	@.venv/bin/ruff format --check .
	@.venv/bin/ruff check .
	@.venv/bin/mypy
	@.venv/bin/lint-imports
	@.venv/bin/yamllint --strict .
	@.venv/bin/check-jsonschema --builtin-schema vendor.compose-spec docker/compose.yaml
	@.venv/bin/check-jsonschema --builtin-schema vendor.github-workflows .github/workflows/*.yml
	@.venv/bin/hadolint docker/Dockerfile
	@$(PIPELINES) lint
	@$(PIPELINES) render --check

lock: ## write requirements.lock from pyproject.toml
	@bin/setup lock

bench: setup ## medians with spread of all that has a speed goal
	@.venv/bin/python -m bench

setup: ## make or mend .venv from the lock (all others do it when needed)
	@bin/setup
