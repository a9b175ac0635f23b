# CI and people call only these targets. `make run` and `make test` need nothing else done first.
SHELL := /bin/bash
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
GENERATED_STAMP := $(VENV)/.generated
SYSTEM_STAMP := $(VENV)/.system-packages
BENCH_STAMP := $(VENV)/.bench-installed
PROTOS := $(shell find proto -name '*.proto')
PYTHON ?= $(shell for p in python3 python3.13 python3.12 python3.11; do \
	$$p -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 14))' 2>/dev/null && echo $$p && break; done)
SYSTEM_PACKAGES := sox libsox-fmt-mp3 espeak-ng
TEST_PACKAGES := strace flite nginx

.DEFAULT_GOAL := help
.PHONY: help setup setup-test run test test-fast check check-format check-lint check-types check-imports \
	check-proto check-gateway fix proto cover setup-bench bench bench-quality lock clean ci

help: ## Show this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F':.*## ' '{printf "  %-14s %s\n", $$1, $$2}'

setup: $(STAMP) $(GENERATED_STAMP) $(SYSTEM_STAMP) ## Install what is missing: virtual environment, pinned packages, sox, espeak-ng

$(STAMP): pyproject.toml hatch_build.py requirements.lock $(PROTOS)
	@test -n "$(PYTHON)" || { echo "Python 3.11, 3.12 or 3.13 is needed: apt-get install python3 python3-venv"; exit 1; }
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@echo "Installing packages into $(VENV) ..."
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -c requirements.lock -e '.[dev,audio]'
	@touch $@

# The build hook has generated the code already, but without stubs: mypy's plugins came later.
$(GENERATED_STAMP): $(STAMP)
	@$(BIN)/python hatch_build.py
	@touch $@

$(SYSTEM_STAMP): | $(STAMP)
	@.ci/system-packages $(SYSTEM_PACKAGES)
	@touch $@

setup-test: setup
	@command -v strace >/dev/null && command -v flite >/dev/null && command -v nginx >/dev/null || .ci/system-packages $(TEST_PACKAGES)

run: setup ## Start the service on embedded storage in ./var
	@exec $(BIN)/kazoo-media serve

test: setup-test check ## Run every check and every test
	@$(BIN)/pytest -q

test-fast: setup ## Run the tests that take seconds: units, stores, typed services
	@$(BIN)/pytest -q tests/unit tests/contract tests/rpc

check: check-format check-lint check-types check-imports check-proto check-gateway ## Run every static check

check-format: setup
	@$(BIN)/ruff format --quiet --check . && cd proto && ../$(BIN)/buf format --diff --exit-code

check-lint: setup
	@$(BIN)/ruff check --quiet .

check-types: setup
	@$(BIN)/mypy

check-imports: setup
	@$(BIN)/lint-imports --no-logo

check-proto: setup
	@$(BIN)/buf lint gateway/kazoo_media.binpb --config proto/buf.yaml

check-gateway: setup
	@$(BIN)/python -m kazoo_media.service.envoy validate

fix: setup ## Format, and mend what the linter can mend
	@$(BIN)/ruff format . && $(BIN)/ruff check --fix . && cd proto && ../$(BIN)/buf format -w

proto: setup ## Generate the protobuf code and the descriptor set
	@$(BIN)/python hatch_build.py

cover: setup-test ## Run the tests with branch coverage
	@$(BIN)/pytest -q --timeout 300 --cov --cov-report=term-missing:skip-covered --cov-fail-under=95

setup-bench: $(BENCH_STAMP)

# pesq comes as source: without a C compiler there is no PESQ, and all else is measured.
$(BENCH_STAMP): $(STAMP) $(GENERATED_STAMP) $(SYSTEM_STAMP)
	@echo "Installing what measures into $(VENV) ..."
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -c requirements.lock -e '.[bench]'
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -c requirements.lock -e '.[pesq]' || \
		echo "pesq could not be built: it needs a C compiler and Python's headers"
	@touch $@

bench: setup-bench ## Measure side by side with the peers in tests/bench/peers; prints a table of ratios
	@$(BIN)/python -m tests.bench

bench-quality: setup-bench ## Measure what every preset does to prompts and to hostile inputs; tables and a plot
	@$(BIN)/python -m tests.bench.quality

lock: ## Write requirements.lock anew from the newest versions that pyproject.toml permits
	@rm -rf $(VENV)-lock && $(PYTHON) -m venv $(VENV)-lock
	@$(VENV)-lock/bin/pip install --quiet --disable-pip-version-check '.[all,dev,bench,pesq]'
	@$(VENV)-lock/bin/pip freeze --exclude kazoo-media | grep -v ' @ ' > requirements.lock
	@rm -rf $(VENV)-lock

clean: ## Remove everything that was made, but for data in ./var
	@rm -rf $(VENV) build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis .coverage* .import_linter_cache
	@rm -rf server/kazoo_media/v1 server/kazoo_media/crossbar/v2 gateway/kazoo_media.binpb

ci: test ## What continuous integration runs
