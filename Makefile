# The one set of commands: people, continuous integration, documentation and hooks all call these targets.
# All paths are relative to this file's folder, whose own path may contain spaces.

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.NOTPARALLEL:

BIN := .venv/bin
# -rs names every skipped test and the tool it misses. One numerical thread: the tests' data is small, and threads that
# outnumber the free cores wait for each other.
PYTEST = OMP_NUM_THREADS=$${OMP_NUM_THREADS:-1} $(BIN)/python -m pytest -rs
# Files go to the processes in the order of their folders: those that start servers, which are slow, before the unit tests.
IN_ORDER = --no-loadscope-reorder
ORDINARY = not fuzz and not faults and not cluster and not live
export PYTHONUNBUFFERED := 1
# Tests start hundreds of Python processes: each would compile our own modules anew where an environment forbids .pyc files.
export PYTHONDONTWRITEBYTECODE :=

# ------------------------------------------------------------------ what a newcomer needs

.PHONY: help
help: ## Show this help
	@echo "Usage: make TARGET"
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  %-15s %s\n", $$1, $$2 }' Makefile
	@echo "More: .venv/bin/churn --help"

.PHONY: up
up: .venv/.runtime ## Train, register and serve on this machine until Ctrl-C (options: CONTRACT=FILE PORT=8000 MLFLOW_PORT=5000)
	@$(BIN)/churn up

.PHONY: demo
demo: .venv/.runtime ## Do the same once: predict for one customer, stop everything, exit with 0
	@$(BIN)/churn demo

.PHONY: test
test: .venv/.dev ## Run every test but the long ones and those that need a cluster (option: TEST_WORKERS=4)
	@echo "Unit, contract and service tests; a test whose tool is missing is named at the end, and fails where CI=true"
	LONG_SECONDS=$${LONG_SECONDS:-0} $(PYTEST) -m "$(ORDINARY)" -n $${TEST_WORKERS:-4} --dist loadfile $(IN_ORDER)

.PHONY: test-long
test-long: .venv/.dev ## Run the exhaustive sweeps, whole; continuous integration runs a rotating sample of them
	$(PYTEST) -m "long and $(ORDINARY)" -n $${TEST_WORKERS:-4} --dist loadfile $(IN_ORDER)

# ------------------------------------------------------------------ what a change must pass

.PHONY: lint
lint: .venv/.dev ## Check style (ruff) and the layers of the packages (import-linter), without changing a file
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	@report=$$($(BIN)/lint-imports --no-cache --no-logo) || { echo "$$report"; exit 1; }

.PHONY: format
format: .venv/.dev ## Fix what ruff can fix, and format the code
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

.PHONY: types
types: .venv/.dev ## Check types (mypy, strict)
	PYTHONPATH=tests $(BIN)/python -m support.check_types

.PHONY: check
check: lint types test ## Run everything that a change must pass: lint, types, test

.PHONY: test-cluster
test-cluster: .venv/.dev ## Apply every stack to the cluster of KUBECONFIG (creates and deletes the churn-* namespaces there)
	$(PYTEST) -m cluster

.PHONY: test-live
test-live: .venv/.dev ## Run the dev stack for real on the throw-away cluster of KUBECONFIG, which needs the images (CONTRIBUTING.md)
	CHURN_LIVE=yes $(PYTEST) -m live -s

.PHONY: test-faults
test-faults: .venv/.dev ## Cause ten faults and wait for their notifications (11 minutes, on a machine that is not busy)
	$(PYTEST) -m faults

.PHONY: fuzz
fuzz: .venv/.dev ## Send thousands of generated requests to the live API (Schemathesis)
	$(PYTEST) -m fuzz

# ------------------------------------------------------------------ the platform

.PHONY: boosting
boosting: .venv/.boosting ## Install XGBoost and LightGBM into .venv, for `churn train --model xgboost` or lightgbm

.PHONY: infra
infra: .venv/.infra ## Install what `pulumi up` and `churn render` need into .venv

.PHONY: images
images: .venv/.infra ## Build the project's own images (option: CHURN_BUILD='podman build')
	@$(BIN)/churn images build

.PHONY: cluster-up
cluster-up: .venv/.infra ## Deploy the whole platform to the current cluster of this machine, or a new one of kind; print the addresses
	@$(BIN)/churn cluster up

.PHONY: cluster-down
cluster-down: .venv/.infra ## Remove the platform, and the kind cluster if cluster-up created it
	@$(BIN)/churn cluster down

.PHONY: dashboards
dashboards: .venv/.runtime ## Write the Grafana dashboards as JSON to dashboards-json, for manual import
	@$(BIN)/churn dashboards write

# ------------------------------------------------------------------ figures and real data

.PHONY: bench
bench: .venv/.dev ## Measure serving against other servers and write docs/performance.md
	$(BIN)/python -m benchmarks

.PHONY: bench-training
bench-training: .venv/.dev ## Measure training and file scoring (a million rows) and write docs/training.md
	$(BIN)/python -m benchmarks.training

.PHONY: bench-gates
bench-gates: .venv/.dev ## Measure how often the gates are wrong (200 seeds, half an hour) and write it to docs/training.md
	$(BIN)/python -m benchmarks.gates

.PHONY: bench-models
bench-models: .venv/.dev ## Measure other kinds of models, and several in one API, and write it to docs/performance.md
	$(BIN)/python -m benchmarks.models

.PHONY: bench-throttled
bench-throttled: .venv/.dev ## Measure Redis under an API at its CPU limit and write it to docs/performance.md (as root)
	$(BIN)/python -m benchmarks.throttled

.PHONY: bench-backup
bench-backup: .venv/.dev ## Measure backup and restore against plain tools and write the figures in docs/dr.md (not as root)
	$(BIN)/python -m benchmarks.backup

.PHONY: pictures
pictures: .venv/.dev ## Redraw the pictures in docs/pictures.md (needs chromium and chromium-driver)
	OMP_NUM_THREADS=1 $(BIN)/python -m benchmarks.pictures

.PHONY: telco
telco: .venv/.dev ## Train on the 7,043 real IBM Telco customers
	$(BIN)/churn data telco --force
	$(BIN)/churn train --data "$${CHURN_HOME:-.churn}/data/telco.csv"

# ------------------------------------------------------------------ housekeeping

LOCK = $(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header

.PHONY: lock
lock: .venv/.dev ## Rewrite the lock files; each is a subset of requirements/dev.lock
	$(LOCK) --extra build --extra training --extra boosting --extra infra --extra ops --extra telco --extra dev --group mlflow -o requirements/dev.lock pyproject.toml
	$(LOCK) --extra build --extra training -c requirements/dev.lock -o requirements/training.lock pyproject.toml
	$(LOCK) --extra build --extra training --extra boosting -c requirements/dev.lock -o requirements/boosting.lock pyproject.toml
	$(LOCK) --extra build --extra training --extra infra -c requirements/dev.lock -o requirements/infra.lock pyproject.toml
	$(LOCK) -c requirements/dev.lock -o requirements/api.lock pyproject.toml
	$(LOCK) --extra ops -c requirements/dev.lock -o requirements/ops.lock pyproject.toml
	$(LOCK) --group pyproject.toml:mlflow -c requirements/dev.lock -o requirements/mlflow.lock
	$(LOCK) -o tests/tools/checkov/requirements.lock tests/tools/checkov/requirements.in
	$(LOCK) -o tests/tools/parliament/requirements.lock tests/tools/parliament/requirements.in
	$(LOCK) -o tests/tools/postgres16/requirements.lock tests/tools/postgres16/requirements.in

.PHONY: clean
clean: ## Remove caches and build folders
	rm -rf build dist .bench .hypothesis .mypy_cache .pytest_cache .ruff_cache
	find . -name __pycache__ -not -path './.venv/*' -prune -exec rm -rf {} +

.PHONY: dist-clean
dist-clean: clean ## Also remove .venv and all data, models and keys of the embedded platform
	rm -rf .venv .churn

# ------------------------------------------------------------------ the environment

# uv needs a tenth of pip's processor time and keeps what it unpacked. That of the machine is used, else the locked one of
# .venv; pip installs where neither works, as where only pip knows the package index. Both check every hash of the lock, and
# leave it to the first import to compile a module: of the large packages few modules are ever used.
INSTALL = for uv in uv $(BIN)/uv; do \
		if command -v $$uv >/dev/null 2>&1 && $$uv --version >/dev/null 2>&1; then \
			$$uv pip install --quiet --python $(BIN)/python "$$@" && exit; \
			echo "$$uv failed; trying with pip ..."; \
		fi; \
	done; \
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-compile "$$@"

define install
@echo "Installing the $$(grep -c '^[a-z0-9].*==' $(1)) packages of $(1) into .venv; the first time takes some minutes ..."
@set -- --require-hashes -r $(1); $(INSTALL)
@echo "Installing this project into .venv ..."
@set -- --no-build-isolation --no-deps -e .; $(INSTALL)
endef

.venv/.made:
	@sh -eu requirements/make-venv.sh .venv
	@touch $@

.venv/.runtime: .venv/.made requirements/training.lock pyproject.toml
	$(call install,requirements/training.lock)
	@touch $@

.venv/.boosting: .venv/.made requirements/boosting.lock pyproject.toml
	$(call install,requirements/boosting.lock)
	@touch $@ .venv/.runtime

.venv/.infra: .venv/.made requirements/infra.lock pyproject.toml
	$(call install,requirements/infra.lock)
	@touch $@

# Contains the runtime as well, so targets that need only the runtime do not install it again.
.venv/.dev: .venv/.made requirements/dev.lock pyproject.toml
	@sed -n '/^uv==/,/[^\\]$$/p' requirements/dev.lock >.venv/uv.lock
	@set -- --require-hashes -r .venv/uv.lock; $(INSTALL)
	$(call install,requirements/dev.lock)
	@touch $@ .venv/.runtime .venv/.boosting .venv/.infra
