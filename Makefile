# Everything a developer runs. Needs only make and Python 3.11 or newer; `make help` lists the rest.
#
# Tools live in a virtual environment. A stamp file in it says which group of tools is installed;
# it is renewed when pyproject.toml or constraints.txt change, so a second run starts at once.

PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
PIP_INSTALL = $(BIN)/python -m pip --quiet --disable-pip-version-check install \
	--constraint constraints.txt --build-constraint constraints.txt
# Most tests wait more than they work, so a few run at a time.
TOGETHER = --quiet -n 4 --dist worksteal $(HOW_MUCH) --httpx2 $(HTTPX2) -m "not alone"
ALONE := --quiet -m alone
# What is missing in a wheel is found by whatever uses it: not every case need be tried again.
OF_THE_WHEEL := cli contrib decoding dialects docs http instrumentation project session testing
# Who runs tests runs them through this script: it says who gets a second chance, and lists who
# failed first. It is given a name for that list.
RUN_TESTS = scripts/run_tests.py --name $@-$(notdir $(INTERPRETER))
# Folders other than src that hold Python, as far as they exist.
CODE := src $(wildcard tests examples benchmarks)

# What measures which lines the tests run: it makes them a third slower, so `make check` asks for it.
COVERAGE ?=
# What only `make check` runs in full.
HOW_MUCH ?= --brief
# How much of what runs over both HTTP libraries runs over the second, httpx2: "all" of it, or a
# "third" that another day draws anew.
HTTPX2 ?= third
# How long `make soak` and `make fuzz` are, and what they do.
EVENTS ?= 1000000
MINUTES ?= 10
SEED ?= 1
# Which parts `make bench` measures (default: all), and the version of node's client.
ONLY ?=
EVENTSOURCE := 5.1.5
# The vendors' servers and clients that are written for node; they judge the dialects.
VENDORS_OF_NODE := pouchdb@9.0.0 pouchdb-adapter-memory@9.0.0 express-pouchdb@4.2.0 express@4.22.3 \
	@durable-streams/server@0.3.7 @durable-streams/client@0.2.7
# The version of the gateway that `make test-vendors` runs.
LITELLM := 1.108.7

INTERPRETER := $(shell PYTHON="$(PYTHON)" scripts/find-python)

# Another interpreter than last time: make the environment anew.
ifneq ($(shell cat $(VENV)/.python 2>/dev/null),$(INTERPRETER))
.PHONY: $(VENV)/.python
endif

# Hundreds of processes import the library and its tests: compiled once they start in a fraction of
# the time.
unexport PYTHONDONTWRITEBYTECODE

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
# Two installations into one environment at a time would break it.
.NOTPARALLEL:
MAKEFLAGS += --no-print-directory

.PHONY: help
help: ## Show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' Makefile

.PHONY: demo
demo: $(VENV)/.demo ## See a client survive what a network does to it
	@$(BIN)/python -m examples.demo

.PHONY: test
test: $(VENV)/.test ## Run the tests
	@echo "==> Running the tests"
	@$(BIN)/coverage erase
	@$(BIN)/python $(RUN_TESTS) $(COVERAGE) -- $(TOGETHER)

.PHONY: test-servers
test-servers: $(VENV)/.test ## Run the tests with real servers, broken networks and killed processes
	@echo "==> Running the tests that need the machine to themselves"
	@$(BIN)/python $(RUN_TESTS) $(COVERAGE) -- $(ALONE)

.PHONY: coverage
coverage: ## After test and test-servers with COVERAGE=--coverage: every branch must have been run
	@echo "==> Checking the coverage"
	@$(BIN)/coverage combine --quiet --append
	@$(BIN)/coverage report $(if $(shell command -v redis-server),,--fail-under=0)
	@$(if $(shell command -v redis-server),,echo "Without redis-server: lines not run are no failure")

.PHONY: soak-cursors
soak-cursors: $(VENV)/.test ## Kill, stop and cut off programs hundreds of times (half an hour)
	@echo "==> Killing programs at random moments"
	@RESILIENT_SSE_KILLS=300 RESILIENT_SSE_FAULTS=200 $(BIN)/python -m pytest -s -v \
		tests/cursors/test_exactly_once.py tests/cursors/test_chaos.py

.PHONY: test-others
test-others: ## Run the tests on every other supported Python found
	@set -e; default="$(INTERPRETER)"; for other in $$(scripts/find-python --all); do \
		if [ "$$other" = "$$default" ]; then continue; fi; \
		echo "==> With $$other"; \
		$(MAKE) test PYTHON="$$other" VENV=".venv-$$(basename "$$other")"; \
	done

.PHONY: test-unstable
test-unstable: ## Run the tests on the newest Pythons, from Debian unstable (needs root on Debian)
	@if scripts/debian-unstable prepare; then \
		set -e; for version in 3.14 3.15; do \
			echo "==> With Debian unstable's Python $$version"; \
			scripts/debian-unstable run make test \
				PYTHON=python$$version VENV=.venv-unstable-python$$version; \
		done; \
	else \
		echo "==> Skipped, for this reason: the tests on Debian unstable's Pythons"; \
	fi

.PHONY: test-all
test-all: test test-others test-unstable ## Run the tests on every supported Python found

.PHONY: test-vendors
test-vendors: $(VENV)/.test $(VENV)/.vendors $(VENV)-litellm/.gateway ## Have vendors' clients and servers judge the dialects, and cut after every byte
	@echo "==> Running the tests of the dialects"
	@RESILIENT_SSE_EVERY_BYTE=1 RESILIENT_SSE_LITELLM=$(abspath $(VENV)-litellm/bin/litellm) \
		$(BIN)/python $(RUN_TESTS) -- $(TOGETHER) tests/dialects

.PHONY: test-wheel
test-wheel: wheel $(VENV)-wheel/.wheel-test ## Run the tests of each part against the built wheel, without src
	@scripts/test-wheel $(VENV)-wheel --name $@-$(notdir $(INTERPRETER)) -- $(TOGETHER) \
		$(addprefix tests/,$(OF_THE_WHEEL))

.PHONY: test-lowest
test-lowest: ## Run the tests with the oldest dependencies that pyproject.toml allows
	@$(MAKE) $(VENV)-lowest/.test VENV=$(VENV)-lowest
	@echo "==> Installing the oldest dependencies"
	@$(VENV)-lowest/bin/python scripts/lowest_dependencies.py > $(VENV)-lowest/lowest.txt
	@cat $(VENV)-lowest/lowest.txt
	@$(VENV)-lowest/bin/python -m pip --quiet install --requirement $(VENV)-lowest/lowest.txt
	@echo "==> Running the tests with them"
	@$(VENV)-lowest/bin/python $(RUN_TESTS) -- $(TOGETHER)

.PHONY: soak
soak: $(VENV)/.test ## Read a million events from a server that keeps breaking (EVENTS, SEED)
	@echo "==> Soaking"
	@$(BIN)/python -m benchmarks.soak --events $(EVENTS) --seed $(SEED)

.PHONY: bench
bench: $(VENV)/.bench ## Measure everything beside its peers (ONLY="decoder burst"), write tables and plots
	@echo "==> Measuring"
	@$(BIN)/python -m benchmarks $(ONLY)

.PHONY: fuzz
fuzz: $(VENV)/.test ## Feed noise to the decoder and to the client (MINUTES, SEED)
	@echo "==> Fuzzing for $(MINUTES) minutes"
	@$(BIN)/python -m tests.fuzz --minutes $(MINUTES) --seed $(SEED)

.PHONY: lint
lint: $(VENV)/.lint ## Check style and formatting
	@echo "==> Checking style and formatting"
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/typos

.PHONY: format
format: $(VENV)/.lint ## Repair what can be repaired in style and formatting
	@$(BIN)/ruff check --fix-only .
	@$(BIN)/ruff format .

.PHONY: types
types: $(VENV)/.test $(VENV)/.lint ## Check types with mypy and pyright
	@echo "==> Checking types with mypy"
	@$(BIN)/mypy $(CODE)
	@echo "==> Checking types with pyright"
	@$(BIN)/pyright --pythonpath $(BIN)/python

.PHONY: layers
layers: $(VENV)/.lint ## Check that imports go one way, from plug-ins down to values
	@echo "==> Checking the layers"
	@$(BIN)/lint-imports --no-cache

.PHONY: docs
docs: $(VENV)/.docs ## Build the documentation into site/
	@echo "==> Building the documentation"
	@$(BIN)/python scripts/build_site.py
	@echo "Open site/index.html"

.PHONY: pictures
pictures: $(VENV)/.test ## Record the pictures of the command again
	@echo "==> Recording docs/images"
	@$(BIN)/python -m scripts.pictures docs/images

.PHONY: check
check: COVERAGE := --coverage
check: HOW_MUCH :=
check: lint types layers docs test test-servers coverage ## Everything that must hold before a change is merged

.PHONY: wheel
wheel: $(VENV)/.test ## Build the source distribution and the wheel into dist/
	@echo "==> Building the wheel"
	@rm -rf dist
	@$(BIN)/hatchling build

.PHONY: dist-check
dist-check: wheel $(VENV)/.release ## Check that the package index would take what is built
	@echo "==> Checking the distributions"
	@$(BIN)/twine check --strict dist/*

.PHONY: release-check
release-check: dist-check ## What keeps it from being released: no home, no date in CHANGELOG.md
	@$(BIN)/python scripts/release_check.py

.PHONY: clean
clean: ## Remove everything that these targets made
	rm -rf .venv .venv-* .cache .coverage .coverage.* .hypothesis .import_linter_cache \
		.mypy_cache .pytest_cache .ruff_cache dist site
	find $(CODE) scripts -name __pycache__ -type d -prune -exec rm -rf {} +

# Stamps.

$(VENV)/.python:
	@test -n "$(INTERPRETER)"
	@echo "==> Creating $(VENV) with $(INTERPRETER)"
	@"$(INTERPRETER)" -m venv --clear $(VENV)
	@$(BIN)/python -m pip --quiet --disable-pip-version-check install --constraint constraints.txt pip
	@echo "$(INTERPRETER)" > $@

# The demonstration needs the library and its command, no more.
$(VENV)/.demo: $(VENV)/.python pyproject.toml constraints.txt
	@echo "==> Installing resilient_sse and its command into $(VENV)"
	@$(PIP_INSTALL) --editable '.[cli]'
	@touch $@

# The vendors' clients, and those that are written for node if there is a node; without it their
# tests are skipped.
$(VENV)/.vendors: $(VENV)/.python pyproject.toml constraints.txt
	@echo "==> Installing resilient_sse and the vendors' clients into $(VENV)"
	@$(PIP_INSTALL) --editable '.[all]' --group vendors
	@npm install --silent --prefix $(VENV)/node $(VENDORS_OF_NODE) || \
		echo "==> Without the vendors' clients for node: npm could not install them"
	@touch $@

$(VENV)/.test $(VENV)/.lint $(VENV)/.docs $(VENV)/.release: $(VENV)/.%: $(VENV)/.python pyproject.toml constraints.txt
	@echo "==> Installing resilient_sse and the $* tools into $(VENV)"
	@$(PIP_INSTALL) --editable '.[all]' --group $*
	@touch $@

# A gateway with hundreds of dependencies, which are not ours to agree with; without it its tests
# are skipped.
$(VENV)-litellm/.gateway: $(VENV)/.python
	@echo "==> Installing litellm into $(VENV)-litellm"
	@"$(INTERPRETER)" -m venv --clear $(VENV)-litellm
	@$(VENV)-litellm/bin/python -m pip --quiet --disable-pip-version-check install \
		"litellm[proxy]==$(LITELLM)" || echo "==> Without litellm: pip could not install it"
	@touch $@

# The peers, and node's if there is a node; without it, it is left out of the tables.
$(VENV)/.bench: $(VENV)/.python pyproject.toml constraints.txt
	@echo "==> Installing resilient_sse and its peers into $(VENV)"
	@$(PIP_INSTALL) --editable '.[all]' --group bench
	@npm install --silent --prefix $(VENV)/node eventsource@$(EVENTSOURCE) || \
		echo "==> Without node's eventsource: npm could not install it"
	@touch $@

# Like .test, but the library comes from its wheel.
$(VENV)-wheel/.wheel-test: $(VENV)/.python pyproject.toml constraints.txt
	@echo "==> Creating $(VENV)-wheel"
	@"$(INTERPRETER)" -m venv --clear $(VENV)-wheel
	@$(VENV)-wheel/bin/python -m pip --quiet --disable-pip-version-check install \
		--constraint constraints.txt pip
	@echo "==> Installing the wheel and the test tools into $(VENV)-wheel"
	@$(VENV)-wheel/bin/python -m pip --quiet --disable-pip-version-check install \
		--constraint constraints.txt "$$(echo dist/*.whl)[all]" --group test
	@touch $@
