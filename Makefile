# Everything that a person does with this project. `make` alone lists it.
SHELL := /bin/sh
BIN := .venv/bin
# Nothing here tells anybody anything: the libraries' usage reports stay off.
export DO_NOT_TRACK := 1
export MLFLOW_DISABLE_TELEMETRY := true
export ORT_DISABLE_TELEMETRY := 1
# A dozen processes import the same gigabyte of packages: without bytecode on disk each would compile it anew.
export PYTHONDONTWRITEBYTECODE :=

# Compose in whichever form this machine has it; asked only where a target needs it.
COMPOSE = $(shell docker compose version >/dev/null 2>&1 && echo docker compose || echo docker-compose)

# What people write reaches a command as it stands: make would read a $5 in it, and the shell a quote.
export GIVEN_REASON := $(value REASON)
export GIVEN_ASKED_BY := $(value ASKED_BY)
export GIVEN_CUSTOMER := $(value CUSTOMER)
export GIVEN_API_ID := $(value API_ID)
WHOM = $(words $(if $(GIVEN_CUSTOMER),customer) $(if $(GIVEN_API_ID),id))

.DEFAULT_GOAL := help
.PHONY: $(shell sed -n 's/^\([a-z-]*\):.*/\1/p' $(MAKEFILE_LIST))

help: ## list these targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## /{printf "  make %-16s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: ## build .venv (PYTHON=python3.12 chooses another Python of 3.11 to 3.13)
	@sh infra/local/setup.sh

run: setup ## start everything on this machine and train a first champion (CSV=path loads your customers, HISTORY=24 makes up that many months, REPLACE=1 instead of made-up ones)
	@exec $(BIN)/python -m infra.local.run $(if $(CSV),--csv "$(CSV)") $(if $(filter-out 0,$(HISTORY)),--history "$(HISTORY)") $(if $(filter-out 0,$(REPLACE)),--replace)

check: setup ## say whether a CSV file can be loaded, and list its faults (CSV=path; SCORING=1: whether it can be scored)
	@exec $(BIN)/python -m include.customers check "$(or $(CSV),$(error name the file: make check CSV=path))" $(if $(filter-out 0,$(SCORING)),--scoring)

load-history: setup ## load months of customers and their exits (SNAPSHOTS=path EXITS=path: CSV or parquet files, or directories of them)
	@exec $(BIN)/python -m infra.local.commands load-history $(if $(SNAPSHOTS),--snapshots "$(SNAPSHOTS)") $(if $(EXITS),--exits "$(EXITS)")

train: setup ## train once more on the stack that is up (REASON="why")
	@exec $(BIN)/python -m infra.local.commands train $(if $(GIVEN_REASON),--reason="$$GIVEN_REASON")

tune: setup ## search hyperparameters on the stack that is up (ARGS="--trials 20 --minutes 10 --write")
	@exec $(BIN)/python -m infra.local.commands tune $(ARGS)

demo: setup ## let customers change on the stack that is up, and watch drift, retraining and promotion
	@exec $(BIN)/python -m infra.local.demo

score: setup ## score every customer now, on the stack that is up, and print the summary
	@exec $(BIN)/python -m infra.local.commands score $(ARGS)

rollback: setup ## put an earlier version back into production (VERSION=2 REASON="why")
	@test -n "$(VERSION)" -a -n "$(if $(GIVEN_REASON),given)" || { echo 'make rollback: say which and why: make rollback VERSION=2 REASON="why"' >&2; exit 2; }
	@exec $(BIN)/python -m infra.local.commands rollback "$(VERSION)" --reason="$$GIVEN_REASON"

promote: setup ## approve the promotion that waits for a person, or put a version into production (REASON="why", CANDIDATE=7 or VERSION=2; without: show what waits)
	@test -n "$$GIVEN_REASON" || { echo 'make promote: say why: make promote REASON="why"' >&2; exit 2; }
	@exec $(BIN)/python -m infra.local.commands promote $(if $(VERSION),"$(VERSION)") $(if $(CANDIDATE),--candidate "$(CANDIDATE)") --reason="$$GIVEN_REASON"

history: setup ## which version was put into production when, by whom, and why (ARGS="--last 100")
	@exec $(BIN)/python -m infra.local.commands history $(ARGS)

forget: setup ## erase one customer from database, store and logs, and prove it (CUSTOMER=number, '-' reads it; or API_ID=id, of the log alone; ASKED_BY="who")
	@test $(WHOM) = 1 || { echo 'make forget: say whom, by CUSTOMER or by API_ID: make forget CUSTOMER=708082083 ASKED_BY="data protection, case 17"' >&2; exit 2; }
	@exec $(BIN)/python -m infra.local.commands forget $(if $(GIVEN_ASKED_BY),--asked-by="$$GIVEN_ASKED_BY") $(if $(GIVEN_API_ID),--log-only) -- "$$GIVEN_API_ID$$GIVEN_CUSTOMER"

airflow: setup ## Airflow's own command line for this stack (ARGS="dags list")
	@exec $(BIN)/python -m infra.local.commands airflow $(ARGS)

clean-data: setup ## delete customers, models, logs: all that a stack that is down left below var/
	@exec $(BIN)/python -m infra.local.commands clean-data

# A process a core.
PYTEST = OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n logical --maxprocesses 4 --dist loadfile --no-loadscope-reorder

test: setup ## run the tests, a process a core (ARGS="-m 'not slow'" is the short form, ARGS="tests/include -x")
	@$(PYTEST) --ignore=tests/e2e/faults $(ARGS)

faults: setup ## break each part of the system on purpose, and see what it promised then (ARGS="-k sign_in")
	@$(PYTEST) tests/e2e/faults $(ARGS)

bench: bench-api bench-training bench-scoring bench-drift bench-dashboard ## every benchmark that needs no real customers, as ratios

bench-api: setup ## requests a second against a do-nothing route and the usual way of serving
	@exec $(BIN)/python -W ignore -m tests.bench.bench_api $(ARGS)

bench-training: setup ## a training run from trigger to success (CSV=path to real customers, or ARGS="--customers 1000000")
	@exec $(BIN)/python -m tests.bench.bench_training $(CSV) $(ARGS)

bench-growth: setup ## what each stage costs as customers grow (ARGS="--rows 10000,100000,1000000 --workers 1")
	@exec $(BIN)/python -W ignore -m tests.bench.bench_growth $(ARGS)

bench-scoring: setup ## a million customers from the database to parquet and table
	@exec $(BIN)/python -m tests.bench.bench_scoring $(ARGS)

bench-dashboard: setup ## the first page with a million customers, in a real browser (ARGS="--rows 100000")
	@exec $(BIN)/python -m tests.bench.bench_dashboard $(ARGS)

bench-model: setup ## how good the models are, over 20 splits (CSV=path to real customers)
	@OMP_NUM_THREADS=1 $(BIN)/python -m research.render experiment $(if $(CSV),--csv "$(CSV)") --splits 20 $(ARGS)

bench-drift: setup ## what a day of drift detection costs: 10 million predictions (ARGS="--rows 1000000")
	@OMP_NUM_THREADS=1 $(BIN)/python -m tests.bench.bench_drift $(ARGS)

bench-alarms: setup ## how often quiet and shifted days ring (CSV=path to real customers)
	@OMP_NUM_THREADS=1 $(BIN)/python -m research.render drift_study $(if $(CSV),--csv "$(CSV)") --days 500 $(ARGS)

bench-year: setup ## a made-up year whose rule changes in month 7: outcomes, alerts, retraining (ARGS="--directory DIR --no-retraining")
	@OMP_NUM_THREADS=1 $(BIN)/python -W ignore -m tests.bench.bench_year $(ARGS)

bench-warning: setup ## how early leavers are seen on made-up history, beside its own rule; and a million customers x 24 months (ARGS="--large 0")
	@OMP_NUM_THREADS=1 $(BIN)/python -W ignore -m tests.bench.bench_warning $(ARGS)

soak: setup ## the API for an hour of promotions and killed workers, and whether it grows (ARGS="--minutes 3")
	@OMP_NUM_THREADS=1 $(BIN)/python -W ignore -m tests.bench.soak $(ARGS)

research: setup ## run both notebooks and render them into dist/research (CSV=path to real customers, ARGS="--trials 50 --splits 20 --days 500")
	@OMP_NUM_THREADS=1 $(BIN)/python -m research.render $(if $(CSV),--csv "$(CSV)") $(ARGS)

screenshots: setup ## take the dashboard's pictures anew, on the stack that is up with made-up customers
	@exec $(BIN)/python -m tests.e2e.screenshots

audit: setup ## known vulnerabilities in what constraints.txt pins, as the Python Packaging Authority's database has them
	@$(BIN)/python -m uv tool run pip-audit==2.10.1 --requirement constraints.txt --no-deps --disable-pip

# The one text that is skipped is an example within a message.
secrets: setup ## passwords, keys and tokens in this checkout and its history, by their shape; asks nobody whether they work
	@$(BIN)/python -m uv tool run --quiet --from kingfisher-bin==2.14.0 kingfisher scan . --no-validate --no-update-check --redact --skip-regex 'redis://:password@host'

lint: setup ## ruff, mypy, who may import whom, the workflows, and the templates for AWS
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports --no-logo
	@$(BIN)/zizmor --offline --quiet --no-progress .github
	@$(BIN)/check-jsonschema --quiet --builtin-schema vendor.github-workflows .github/workflows/*.yml
	@$(BIN)/check-jsonschema --quiet --builtin-schema vendor.dependabot .github/dependabot.yml
	@$(BIN)/cfn-lint

format: setup ## let ruff put the code in order
	@$(BIN)/ruff check --fix .
	@$(BIN)/ruff format .

mwaa: setup ## pack dags/, plugins.zip and requirements.txt for Amazon MWAA into dist/mwaa
	@$(BIN)/python -m infra.aws.mwaa

aws-plan: setup ## what the stacks of infra/aws would change on AWS; changes nothing (ARGS="--until access")
	@exec $(BIN)/python -m infra.aws.stacks plan $(ARGS)

aws-deploy: setup ## make or change the stacks on AWS, in their order (ARGS="--until access")
	@exec $(BIN)/python -m infra.aws.stacks deploy $(ARGS)

aws-destroy: setup ## take service and access away again (ARGS="--data churn": network and data, too)
	@exec $(BIN)/python -m infra.aws.stacks destroy $(ARGS)

lock: setup ## resolve constraints.txt anew (ARGS=--upgrade takes newer versions)
	@$(BIN)/python -m infra.local.lock $(ARGS)

images: ## build every image of this checkout, labelled (ARGS="--registry HOST/churn/ --tag TAG churn-webapp")
	@exec python3 -m infra.compose.build $(ARGS)

deploy-aws: ## run a commit on the machine that infra/aws/ made, by Systems Manager (TAG=commit)
	@exec python3 -m infra.deploy.remote "$(or $(TAG),$(error name the commit: make deploy-aws TAG=commit))"

deploy: ## run another image set on this machine, or go back to the present one by itself (TAG=commit)
	@exec python3 -m infra.deploy.host "$(or $(TAG),$(error name the images: make deploy TAG=commit))" $(ARGS)

env: ## write .env with random secrets for the containers, once
	@exec python3 -m infra.compose.environment

up: ## start everything in containers and wait until it is ready (ARGS=--build)
	@CHURN_GIT_COMMIT="$${CHURN_GIT_COMMIT:-$$(git rev-parse HEAD 2>/dev/null)}" exec python3 -m infra.compose.up $(ARGS)

down: ## stop the containers (ARGS=--volumes deletes their data, too)
	@exec $(COMPOSE) down $(ARGS)

logs: ## follow the containers' logs (ARGS="webapp mlflow")
	@exec $(COMPOSE) logs --follow --tail=100 $(ARGS)

backup: ## databases and object store of the running containers into backups/ (ARGS="--to DIRECTORY")
	@exec python3 -m infra.compose.backup $(ARGS)

restore: ## fill empty containers from a backup (FROM=backups/… ARGS=--replace deletes what is there)
	@exec python3 -m infra.compose.restore "$(FROM)" $(ARGS)

forget-in-containers: ## make forget for the containers, and which backups still hold the customer (CUSTOMER=number, ASKED_BY="who")
	@test $(WHOM) = 1 -a -n "$(if $(GIVEN_ASKED_BY),given)" || { echo 'make forget-in-containers: say whom, and who asks: CUSTOMER=708082083 ASKED_BY="data protection, case 17"' >&2; exit 2; }
	@exec python3 -m infra.compose.forget --asked-by="$$GIVEN_ASKED_BY" $(if $(GIVEN_API_ID),--log-only) -- "$$GIVEN_API_ID$$GIVEN_CUSTOMER"

test-containers: setup ## build, start and break the containers, for real (ARGS="-k first_start" is the short form)
	@CHURN_TEST_CONTAINERS=1 $(BIN)/python -m pytest tests/containers $(ARGS)

clean: ## delete caches and the environment; var/ with its data stays
	rm -rf .venv .import_linter_cache .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
