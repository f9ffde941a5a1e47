# Everything that a person does with this project. `make` alone lists it.
SHELL := /bin/sh
BIN := .venv/bin
# Nothing here tells anybody anything: the libraries' usage reports stay off.
export DO_NOT_TRACK := 1
export MLFLOW_DISABLE_TELEMETRY := true
export ORT_DISABLE_TELEMETRY := 1

.DEFAULT_GOAL := help
.PHONY: help setup lock run train airflow test lint format clean

help: ## list these targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## /{printf "  make %-8s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: ## build .venv (PYTHON=python3.12 chooses another Python of 3.11 to 3.13)
	@sh infra/local/setup.sh

run: setup ## start everything on this machine and train a first champion (CSV=path loads your customers)
	@exec $(BIN)/python -m infra.local.run $(if $(CSV),--csv "$(CSV)")

train: setup ## train once more on the stack that is up (REASON="why")
	@exec $(BIN)/python -m infra.local.train $(if $(REASON),--reason "$(REASON)")

airflow: setup ## Airflow's own command line for this stack (ARGS="dags list")
	@exec $(BIN)/python -m infra.local.airflow_command $(ARGS)

test: setup ## run the tests (ARGS="tests/include -x")
	@$(BIN)/python -m pytest $(ARGS)

lint: setup ## ruff and mypy
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy

format: setup ## let ruff put the code in order
	@$(BIN)/ruff check --fix .
	@$(BIN)/ruff format .

lock: setup ## resolve constraints.txt anew (ARGS=--upgrade takes newer versions)
	@$(BIN)/python -m infra.local.lock $(ARGS)

clean: ## delete caches and the environment; var/ with its data stays
	rm -rf .venv .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
