.DEFAULT_GOAL := help
PYTHON ?= python3
BIN := .venv/bin
LOCKS := requirements.lock requirements-embedded.lock requirements-dev.lock
LOCK = $(BIN)/uv pip compile --quiet --universal --generate-hashes --no-emit-index-url --no-annotate --no-header \
	--python-version 3.11
PIP = $(BIN)/pip install --disable-pip-version-check
# pip where uv is missing or finds no registry: it does not read pip's settings
install = $(BIN)/uv pip install --python $(BIN)/python $(1) || $(PIP) $(1)
# one more than cores: tests wait for PostgreSQL
WORKERS = -n $$($(BIN)/python -c 'import os; print(os.cpu_count() + 1)') --dist loadgroup
# else each worker and each process that a test starts compiles everything anew
unexport PYTHONDONTWRITEBYTECODE

.PHONY: help serve test test-all fuzz check errors format bench sdk sdk-python sdk-typescript lock clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-8s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

serve: .venv/serve-ready ## serve on 127.0.0.1:8765, with an embedded PostgreSQL unless one is configured
	@exec $(BIN)/amplifier-api serve

test: .venv/ready ## run the short tests on a real PostgreSQL, in under 3 minutes
	$(BIN)/pytest -m "not slow" $(WORKERS)

test-all: .venv/ready ## run all tests: also soaks, real processes, every PostgreSQL, clients, the documentation
	$(BIN)/pytest $(WORKERS)

fuzz: .venv/ready ## look longer for what the tests try in short: FUZZ_EXAMPLES=1000 sequences of calls, FUZZ_SECONDS=600
	FUZZ_EXAMPLES=$${FUZZ_EXAMPLES:-300} FUZZ_SECONDS=$${FUZZ_SECONDS:-300} \
		$(BIN)/pytest tests/end_to_end/test_model.py tests/end_to_end/test_model_concurrent.py tests/end_to_end/test_fuzz.py

# PYTHONWARNINGS: sqlfluff's workers leave semaphores behind
check: .venv/ready ## lint, format, types, import contracts, the style of queries, migrations, the OpenAPI document
	$(BIN)/ruff check . .ci/sql-indentation
	$(BIN)/ruff format --check . .ci/sql-indentation
	$(BIN)/mypy
	$(BIN)/lint-imports
	PYTHONWARNINGS=ignore $(BIN)/sqlfluff lint --processes 2 --disable-progress-bar queries
	$(BIN)/python .ci/sql-indentation queries
	$(BIN)/amplifier-api migrate check
	$(BIN)/amplifier-api queries stub --check --scratch
	$(BIN)/amplifier-api queries check --plans --scratch
	$(BIN)/amplifier-api openapi --check

errors: .venv/ready ## write openapi/errors.json and the OpenAPI document anew, with errors that the tests provoke
	rm -rf build/errors
	ERROR_EXAMPLES=$(CURDIR)/build/errors $(BIN)/pytest $(WORKERS) tests/api tests/web
	$(BIN)/python -m tests.openapi.error_examples build/errors
	$(BIN)/amplifier-api openapi

format: .venv/ready ## rewrite the code in the house style
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: .venv/ready ## run the benchmarks and print their tables (needs wrk)
	$(BIN)/python -m benchmarks

sdk: sdk-python sdk-typescript ## generate clients for Python and TypeScript into build/sdk (needs npm)

sdk-python: build/sdk/python/ready
sdk-typescript: build/sdk/typescript/ready

build/sdk/python/ready: .venv/ready openapi/openapi.json openapi/python-client.yaml
	rm -rf $(@D) && mkdir -p $(@D)
	$(BIN)/openapi-python-client generate --path openapi/openapi.json --config openapi/python-client.yaml \
		--meta none --output-path $(@D)/amplifier_client
	@touch $@

build/sdk/typescript/ready: node_modules/ready openapi/openapi.json
	rm -rf $(@D) && mkdir -p $(@D)
	node_modules/.bin/openapi-typescript openapi/openapi.json --output $(@D)/amplifier.d.ts
	@touch $@

node_modules/ready: package-lock.json
	npm ci --no-audit --no-fund
	@touch $@

lock: .venv/ready ## write the lock files anew from pyproject.toml
	$(LOCK) --extra runtime pyproject.toml --output-file requirements.lock
	$(BIN)/python -c 'import tomllib; print(*tomllib.load(open("pyproject.toml", "rb"))["project"]["optional-dependencies"]["embedded"])' \
		| $(LOCK) - --constraint requirements.lock --output-file requirements-embedded.lock
	$(LOCK) --extra embedded --extra runtime --group dev pyproject.toml --constraint requirements.lock \
		--constraint requirements-embedded.lock --output-file requirements-dev.lock

clean: ## remove the environment and what was generated
	rm -rf .venv node_modules build

# what serving needs
.venv/serve-ready: $(LOCKS) pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed: make PYTHON=python3.12")'
	$(PYTHON) -m venv .venv
	-@sed -n '/^uv==/,/[^\]$$/p' requirements-dev.lock | $(PIP) --require-hashes --requirement /dev/stdin
	$(call install,--require-hashes --requirement requirements.lock --requirement requirements-embedded.lock)
	$(call install,--no-deps --editable .)
	@touch $@

# what tests and checks need besides
.venv/ready: $(LOCKS) pyproject.toml | .venv/serve-ready
	$(call install,--require-hashes --requirement requirements-dev.lock)
	@touch $@
