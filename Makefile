# CI and people call only these targets. `make run` and `make test` need nothing else done first.
SHELL := /bin/bash
VENV := .venv
BIN := $(VENV)/bin
TOOLS := $(VENV)/tools
GENERATOR := $(VENV)/generator
# Without kept bytecode each of the many processes that the product and the tests start compiles all
# modules again: a third of the time of the tests.
unexport PYTHONDONTWRITEBYTECODE
# What is installed already; a stamp is made again when what it was made from is newer.
PACKAGES_STAMP := $(VENV)/.packages
PROJECT_STAMP := $(VENV)/.project
TEST_STAMP := $(VENV)/.test-packages
BENCH_STAMP := $(VENV)/.bench-packages
CALL_STAMP := $(VENV)/.call-packages
TOOLS_STAMP := $(VENV)/.tools
GENERATOR_STAMP := $(VENV)/.generator
SYSTEM_STAMP := $(VENV)/.system-packages
TEST_SYSTEM_STAMP := $(VENV)/.test-system-packages
PROTOS := $(shell find proto -name '*.proto')
PYTHON ?= $(shell for p in python3 python3.14 python3.13 python3.12 python3.11; do \
	$$p -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 15))' 2>/dev/null && echo $$p && break; done)
PIP_INSTALL := -m pip install --quiet --disable-pip-version-check
# Python compiles what it imports at the first start: a tenth of the space of compiling all.
LOCKED := $(PIP_INSTALL) --require-hashes --no-compile
SYSTEM_PACKAGES := sox libsox-fmt-mp3 espeak-ng libseccomp2 bubblewrap
CALL_PACKAGES := sip-tester
TEST_PACKAGES := strace flite nginx prometheus postgresql systemd

# Side by side, a file at a time: a file's tests share what they start. In the order of the folders,
# the slow end-to-end tests first.
SIDE_BY_SIDE := -n logical --dist loadfile --no-loadscope-reorder

.DEFAULT_GOAL := help
.PHONY: help setup setup-test run test test-fast test-long test-typescript test-call check check-format check-lint check-types \
	check-imports check-proto check-gateway fix proto cover setup-bench bench bench-recordings bench-quality soak torture cluster lock audit sbom clean ci

help: ## Show this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F':.*## ' '{printf "  %-15s %s\n", $$1, $$2}'

setup: $(PROJECT_STAMP) $(SYSTEM_STAMP) ## Install what serving needs: virtual environment, locked packages, sox, espeak-ng

setup-test: setup $(TEST_STAMP) $(GENERATOR_STAMP) $(TEST_SYSTEM_STAMP) ## Install what the checks and tests need as well

$(BIN)/python:
	@test -n "$(PYTHON)" || { echo "Python 3.11 to 3.14 is needed: apt-get install python3 python3-venv"; exit 1; }
	@$(PYTHON) -m venv $(VENV)

$(PACKAGES_STAMP): requirements/serve.txt requirements/build.txt | $(BIN)/python
	@echo "Installing packages into $(VENV) ..."
	@$(BIN)/python $(LOCKED) $(patsubst %,-r %,$^)
	@touch $@

# The build hook runs on the locked packages, not on newer ones that pip would fetch for it.
$(PROJECT_STAMP): pyproject.toml hatch_build.py $(PROTOS) $(PACKAGES_STAMP)
	@$(BIN)/python $(PIP_INSTALL) --no-deps --no-build-isolation -e .
	@touch $@

$(TEST_STAMP): requirements/test.txt $(PACKAGES_STAMP)
	@echo "Installing what tests into $(VENV) ..."
	@$(BIN)/python $(LOCKED) -r $<
	@touch $@

# Its packages disagree with those of the tests: it has an environment of its own.
$(GENERATOR_STAMP): requirements/generator.txt | $(BIN)/python
	@$(BIN)/python -m venv $(GENERATOR)
	@$(GENERATOR)/bin/python $(LOCKED) -r $<
	@touch $@

$(SYSTEM_STAMP): Makefile | $(PACKAGES_STAMP)
	@.ci/system-packages $(SYSTEM_PACKAGES)
	@touch $@

$(TEST_SYSTEM_STAMP): Makefile | $(PACKAGES_STAMP)
	@.ci/system-packages $(TEST_PACKAGES)
	@touch $@

run: setup ## Start the service on embedded storage in ./var
	@exec $(BIN)/kazoo-media serve

test: setup-test check ## Run every check and every test
	@$(BIN)/pytest -q $(SIDE_BY_SIDE)

test-fast: setup-test ## Run the tests that take seconds: units, stores, typed services
	@$(BIN)/pytest -q $(SIDE_BY_SIDE) tests/unit tests/contract tests/rpc

test-long: setup-test ## Run the tests that repeat at their full length: hostile requests, cut uploads, random audio, a million documents in PostgreSQL
	@KAZOO_TEST_LONG=1 $(BIN)/pytest -q $(SIDE_BY_SIDE) --timeout 600 tests/e2e/test_hostile_requests.py \
		tests/e2e/test_hostile_grpc.py tests/e2e/test_cut_uploads.py tests/unit/media/test_random_audio.py \
		tests/gateway/rest/test_tus.py tests/rpc/test_stream_ends.py \
		tests/unit/metadata/test_postgres_plans.py

test-typescript: setup-test ## Generate TypeScript clients and call the service, upload by tus-js-client; needs Node.js 20 and npm
	@command -v npm >/dev/null || { echo "Node.js 20 or later with npm is needed"; exit 1; }
	@$(BIN)/pytest -q tests/typescript/test_typescript.py

$(CALL_STAMP): requirements/call.txt Makefile $(TEST_STAMP)
	@.ci/system-packages $(CALL_PACKAGES)
	@$(BIN)/python $(LOCKED) -r $<
	@touch $@

test-call: setup-test $(CALL_STAMP) ## Record a real call, from sipp to PJSIP, while the service is restarted; a minute
	@$(BIN)/pytest -q tests/call/test_call.py

check: check-format check-lint check-types check-imports check-proto check-gateway ## Run every static check

check-format: setup-test
	@$(BIN)/ruff format --quiet --check . && cd proto && ../$(BIN)/buf format --diff --exit-code

check-lint: setup-test
	@$(BIN)/ruff check --quiet .

check-types: setup-test
	@$(BIN)/mypy

check-imports: setup-test
	@$(BIN)/lint-imports --no-logo

check-proto: setup-test
	@$(BIN)/buf lint gateway/kazoo_media.binpb --config proto/buf.yaml

check-gateway: setup
	@$(BIN)/python -m kazoo_media.service.envoy validate deploy/envoy/front.yaml

fix: setup-test ## Format, and mend what the linter can mend
	@$(BIN)/ruff format . && $(BIN)/ruff check --fix . && cd proto && ../$(BIN)/buf format -w

proto: setup ## Generate the protobuf code and the descriptor set
	@$(BIN)/python hatch_build.py

cover: setup-test ## Run the tests with branch coverage
	@$(BIN)/pytest -q $(SIDE_BY_SIDE) --timeout 300 --cov --cov-report=term-missing:skip-covered --cov-fail-under=95

setup-bench: setup-test $(BENCH_STAMP)

# pesq is a source package: without a C compiler the table has no PESQ.
$(BENCH_STAMP): requirements/bench.txt requirements/pesq.txt $(TEST_STAMP)
	@echo "Installing what measures into $(VENV) ..."
	@$(BIN)/python $(LOCKED) -r requirements/bench.txt
	@$(BIN)/python $(LOCKED) -r requirements/pesq.txt || \
		echo "pesq could not be built: it needs a C compiler and Python's headers"
	@touch $@

bench: setup-bench ## Measure side by side with the peers in tests/bench/peers; prints a table of ratios
	@$(BIN)/python -m tests.bench

bench-recordings: setup-bench ## Measure recordings: how many at once, what runs beside them, how long a finish takes
	@$(BIN)/python -m tests.bench.recordings

bench-quality: setup-bench ## Measure what every preset does to prompts and to hostile inputs; tables and a plot
	@$(BIN)/python -m tests.bench.quality

soak: setup-test ## Ten minutes of ordinary traffic beside attackers: latency and memory, minute by minute
	@$(BIN)/python -m tests.soak

torture: setup-test ## Three minutes of recorders over a bad network while the service is killed and its disk is full
	@$(BIN)/python -m tests.torture

cluster: setup-test ## Three minutes of recorders on three nodes while nodes, PostgreSQL and S3 fail, then a rolling restart
	@$(BIN)/python -m tests.cluster
	@$(BIN)/python -m tests.cluster.rolling

$(TOOLS_STAMP): requirements/tools.txt | $(BIN)/python
	@$(BIN)/python -m venv $(TOOLS)
	@$(TOOLS)/bin/python $(LOCKED) -r $<
	@touch $@

lock: $(TOOLS_STAMP) ## Write requirements/ from the newest versions that pyproject.toml permits
	@.ci/lock $(TOOLS)/bin/uv

audit: $(TOOLS_STAMP) ## Look the locked packages up in published advisories; fails where none can be looked up
	@.ci/audit $(TOOLS)/bin/pip-audit

sbom: $(TOOLS_STAMP) ## Write build/sbom.cdx.json, a CycloneDX list of what serving installs
	@.ci/sbom $(TOOLS)/bin/python $(TOOLS)/bin/cyclonedx-py build/sbom.cdx.json

clean: ## Remove everything that was made, except data in ./var
	@rm -rf $(VENV) build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis .coverage* .import_linter_cache
	@rm -rf server/kazoo_media/v1 server/kazoo_media/crossbar/v2 gateway/kazoo_media.binpb

ci: test ## What continuous integration runs
