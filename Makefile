.DEFAULT_GOAL := help
PYTHON ?= python3
BIN := .venv/bin
LOCKS := requirements.lock requirements-embedded.lock requirements-dev.lock
LOCK = $(BIN)/uv pip compile --quiet --universal --generate-hashes --no-emit-index-url --no-annotate --no-header \
	--python-version 3.11
SCRIPTS = .ci/audit .ci/check-bicep .ci/sql-indentation
CLIENT = clients/python
TYPESCRIPT = clients/typescript
CLIENT_BIN = $(CLIENT)/.venv/bin
PIP = $(BIN)/pip install --disable-pip-version-check
# pip where uv is missing or finds no registry: it does not read pip's settings
install = $(BIN)/uv pip install --python $(BIN)/python $(1) || $(PIP) $(1)
# of the system, or of a package from PyPI where that has none or an older one
WITH_NODE = PATH="$(CURDIR)/build/node/bin:$$PATH"
NODE_FITS = $(WITH_NODE) node --eval '$(NODE_VERSION)' 2>/dev/null
NODE_VERSION = const [major, minor] = process.versions.node.split("."); process.exit(major > 20 || (major == 20 && minor >= 19) ? 0 : 1)
CONSOLE = $(shell find console/src clients/typescript/src -name openapi.ts -o -type f -print 2>/dev/null) \
	$(addprefix console/,index.html package.json vite.config.ts)
# one more than cores: tests wait for PostgreSQL
WORKERS = -n $$($(BIN)/python -c 'import os; print(os.cpu_count() + 1)') --dist loadgroup
# else each worker and each process that a test starts compiles everything anew
unexport PYTHONDONTWRITEBYTECODE

.PHONY: help serve console test test-all faults wheel clients test-clients fuzz check errors format bench sdk sdk-python sdk-typescript sbom audit check-deploy lock clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-8s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

serve: .venv/serve-ready ## serve on 127.0.0.1:8765, with an embedded PostgreSQL unless one is configured
	@{ $(NODE_FITS) && npm_config_fetch_retries=0 $(MAKE) --no-print-directory --silent console; } \
		|| echo 'The page in a browser is not built: `make console` builds it, also without Node'
	@exec $(BIN)/amplifier-api serve

test: .venv/ready ## run the short tests on a real PostgreSQL, in under 3 minutes
	$(BIN)/pytest -m "not slow and not faults" $(WORKERS)

test-all: .venv/ready ## run all tests: also soaks, real processes, every PostgreSQL, clients, the documentation
	$(BIN)/pytest -m "not faults" $(WORKERS)

faults: .venv/ready ## break PostgreSQL, the network and processes under load, one after the other, in 15 minutes; FAULTS=short: in 4
	rm -rf build/faults
	$(BIN)/pytest -m faults tests/faults

clients: clients-python clients-typescript ## build the packages of clients/ into build/clients

test-clients: test-clients-python test-clients-typescript ## test clients/ against a service of this checkout, with every framework that they serve

.PHONY: clients-python test-clients-python clients-typescript test-clients-typescript
clients-python: .venv/ready
	$(BIN)/uv build --quiet --out-dir build/clients $(CLIENT)

test-clients-python: .venv/ready $(CLIENT)/.venv/ready
	$(CLIENT_BIN)/mypy --config-file $(CLIENT)/pyproject.toml $(CLIENT)/amplifier_client
	$(CLIENT_BIN)/pytest $(CLIENT)

# an environment of its own: frameworks want other versions than the service
$(CLIENT)/.venv/ready: $(CLIENT)/requirements.lock $(CLIENT)/pyproject.toml | .venv/serve-ready
	$(PYTHON) -m venv $(CLIENT)/.venv
	$(BIN)/uv pip install --python $(CLIENT_BIN)/python --require-hashes --requirement $< \
		|| $(CLIENT_BIN)/pip install --require-hashes --requirement $<
	$(BIN)/uv pip install --python $(CLIENT_BIN)/python --no-deps --editable $(CLIENT) \
		|| $(CLIENT_BIN)/pip install --no-deps --editable $(CLIENT)
	@touch $@

clients-typescript: $(TYPESCRIPT)/node_modules/ready
	cd $(TYPESCRIPT) && npm run --silent build
	mkdir -p build/clients && cd $(TYPESCRIPT) && npm pack --silent --pack-destination $(CURDIR)/build/clients

test-clients-typescript: clients-typescript .venv/ready
	cd $(TYPESCRIPT) && npm test --silent

$(TYPESCRIPT)/node_modules/ready: $(TYPESCRIPT)/package-lock.json
	cd $(TYPESCRIPT) && npm ci --no-audit --no-fund
	@touch $@

console: amplifier/static/console/index.html ## build the page in a browser into the package

amplifier/static/console/index.html: console/node_modules/ready $(CONSOLE)
	@echo "Building the console"
	cd console && $(WITH_NODE) npm run --silent build -- --logLevel warn

console/node_modules/ready: console/package-lock.json
	$(NODE_FITS) || $(MAKE) --no-print-directory build/node/ready
	cd console && $(WITH_NODE) npm ci --no-audit --no-fund
	@touch $@

build/node/ready: requirements-node.lock
	$(PYTHON) -m venv build/node
	build/node/bin/pip install --disable-pip-version-check --quiet --require-hashes --requirement $<
	@touch $@

.PHONY: check-console
check-console: console/node_modules/ready
	cd console && $(WITH_NODE) npm run --silent check

wheel: .venv/ready console ## build the package into dist/, with the console in it
	$(BIN)/uv build --quiet --wheel --out-dir dist

fuzz: .venv/ready ## look longer for what the tests try in short: FUZZ_EXAMPLES=1000 sequences of calls, FUZZ_SECONDS=600
	FUZZ_EXAMPLES=$${FUZZ_EXAMPLES:-300} FUZZ_SECONDS=$${FUZZ_SECONDS:-300} \
		$(BIN)/pytest tests/end_to_end/test_model.py tests/end_to_end/test_model_concurrent.py tests/end_to_end/test_fuzz.py

# PYTHONWARNINGS: sqlfluff's workers leave semaphores behind
check: .venv/ready ## lint, format, types, import contracts, the style of queries, migrations, the OpenAPI document
	$(BIN)/ruff check . $(SCRIPTS)
	$(BIN)/ruff format --check . $(SCRIPTS)
	$(BIN)/mypy
	$(BIN)/lint-imports
	PYTHONWARNINGS=ignore $(BIN)/sqlfluff lint --processes 2 --disable-progress-bar queries
	$(BIN)/python .ci/sql-indentation queries
	$(BIN)/amplifier-api migrate check
	$(BIN)/amplifier-api queries stub --check --scratch
	$(BIN)/amplifier-api queries check --plans --scratch
	$(BIN)/amplifier-api openapi --check
	$(BIN)/python clients/python/generate.py --check
	@if $(NODE_FITS); then $(MAKE) --no-print-directory check-console; fi

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

check-deploy: .venv/ready build/deploy/ready ## validate what is in deploy/: schemas of Kubernetes, models of Azure, checkov
	$(BIN)/kubernetes-validate --strict --no-warn $(filter-out %/kustomization.yaml %/servicemonitor.yaml,$(wildcard deploy/kubernetes/*.yaml))
	build/deploy/bin/python .ci/check-bicep deploy/azure
	build/deploy/bin/checkov --config-file deploy/.checkov.yaml

build/deploy/ready: requirements-deploy.lock .venv/ready
	$(PYTHON) -m venv build/deploy
	$(BIN)/uv pip install --python build/deploy/bin/python --require-hashes --requirement $< \
		|| build/deploy/bin/pip install --require-hashes --requirement $<
	@touch $@

sbom: .venv/ready ## list what the image installs in build/sbom.json, and the page in build/sbom-console.json (CycloneDX)
	rm -rf build/image && $(PYTHON) -m venv --without-pip build/image
	$(BIN)/python -m pip --python build/image/bin/python install --quiet --disable-pip-version-check \
		--require-hashes --requirement requirements.lock
	$(BIN)/python -m pip --python build/image/bin/python install --quiet --disable-pip-version-check --no-deps .
	$(BIN)/cyclonedx-py environment --output-reproducible --output-file build/sbom.json build/image/bin/python
	rm -rf build/image
	$(NODE_FITS) || $(MAKE) --no-print-directory build/node/ready
	cd console && $(WITH_NODE) npm sbom --package-lock-only --omit dev --sbom-format cyclonedx > ../build/sbom-console.json

audit: .venv/ready ## look for known vulnerabilities of what the image installs (asks PyPI)
	@$(BIN)/python .ci/audit requirements.lock

lock: .venv/ready ## write the lock files anew from pyproject.toml
	$(LOCK) --extra azure --extra mcp --extra redact --extra runtime --extra telemetry pyproject.toml --output-file requirements.lock
	$(BIN)/python -c 'import tomllib; print(*tomllib.load(open("pyproject.toml", "rb"))["project"]["optional-dependencies"]["embedded"])' \
		| $(LOCK) - --constraint requirements.lock --output-file requirements-embedded.lock
	$(LOCK) --all-extras --group dev pyproject.toml --constraint requirements.lock \
		--constraint requirements-embedded.lock --output-file requirements-dev.lock
	$(LOCK) --group deploy --output-file requirements-deploy.lock
	$(LOCK) --group console --output-file requirements-node.lock
	$(LOCK) --all-extras --group $(CLIENT)/pyproject.toml:dev $(CLIENT)/pyproject.toml --output-file $(CLIENT)/requirements.lock

clean: ## remove the environment and what was generated
	rm -rf .venv node_modules build dist console/node_modules amplifier/static/console

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
