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
TOGETHER := --quiet -n 3 --dist worksteal -m "not alone"
ALONE := --quiet -m alone
# Many tests are about timeouts. On a busy machine one of thousands may come too late; it gets one
# more chance by itself, and what is really broken fails again.
AGAIN = { echo "==> Once more, one by one: what failed"; $(1) --quiet --last-failed; }
# Folders other than src that hold Python, as far as they exist.
CODE := src $(wildcard tests examples benchmarks)

# Whether `make test` adds to the coverage that was measured before.
KEEP ?=

# How long `make soak` and `make fuzz` are, and what they do.
EVENTS ?= 1000000
MINUTES ?= 10
SEED ?= 1
# Which parts `make bench` measures (default: all), and the version of node's client.
ONLY ?=
EVENTSOURCE := 5.1.5

INTERPRETER := $(shell PYTHON="$(PYTHON)" scripts/find-python)

# Another interpreter than last time: make the environment anew.
ifneq ($(shell cat $(VENV)/.python 2>/dev/null),$(INTERPRETER))
.PHONY: $(VENV)/.python
endif

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
	@$(BIN)/resilient-sse demo

.PHONY: test
test: $(VENV)/.test ## Run the tests
	@echo "==> Running the tests"
	@$(if $(KEEP),,$(BIN)/coverage erase)
	@$(BIN)/coverage run -m pytest $(TOGETHER) || $(call AGAIN,$(BIN)/coverage run -m pytest)

.PHONY: test-quick
test-quick: $(VENV)/.test ## Run the tests without coverage
	@echo "==> Running the tests"
	@$(BIN)/python -m pytest $(TOGETHER) || $(call AGAIN,$(BIN)/python -m pytest)

.PHONY: test-servers
test-servers: $(VENV)/.test ## Run the tests with real servers, broken networks and killed processes
	@echo "==> Running the tests that need the machine to themselves"
	@$(BIN)/coverage run -m pytest $(ALONE) || $(call AGAIN,$(BIN)/coverage run -m pytest)

.PHONY: coverage
coverage: ## After test and test-servers: every line and branch must have been run
	@echo "==> Checking the coverage"
	@$(BIN)/coverage combine --quiet --append
	@$(BIN)/coverage report $(if $(shell command -v redis-server),,--fail-under=0)

.PHONY: soak-cursors
soak-cursors: $(VENV)/.test ## Kill, stop and cut off programs hundreds of times (about an hour)
	@echo "==> Killing programs at random moments"
	@RESILIENT_SSE_KILLS=300 RESILIENT_SSE_FAULTS=200 $(BIN)/python -m pytest -s -v \
		tests/test_cursors_exactly_once.py tests/test_cursors_chaos.py

.PHONY: test-others
test-others: ## Run the tests on every other supported Python found
	@set -e; default="$(INTERPRETER)"; for other in $$(scripts/find-python --all); do \
		if [ "$$other" = "$$default" ]; then continue; fi; \
		echo "==> With $$other"; \
		$(MAKE) test-quick PYTHON="$$other" VENV=".venv-$$(basename "$$other")"; \
	done

.PHONY: test-all
test-all: test test-others ## Run the tests on every supported Python found

.PHONY: test-wheel
test-wheel: wheel $(VENV)-wheel/.wheel-test ## Run the tests against the built wheel, without src
	@scripts/test-wheel $(VENV)-wheel

.PHONY: test-lowest
test-lowest: ## Run the tests with the oldest dependencies that pyproject.toml allows
	@$(MAKE) $(VENV)-lowest/.test VENV=$(VENV)-lowest
	@echo "==> Installing the oldest dependencies"
	@$(VENV)-lowest/bin/python scripts/lowest_dependencies.py > $(VENV)-lowest/lowest.txt
	@cat $(VENV)-lowest/lowest.txt
	@$(VENV)-lowest/bin/python -m pip --quiet install --requirement $(VENV)-lowest/lowest.txt
	@echo "==> Running the tests with them"
	@$(VENV)-lowest/bin/python -m pytest $(TOGETHER) || \
		$(call AGAIN,$(VENV)-lowest/bin/python -m pytest)

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
	@$(BIN)/mkdocs --quiet build --strict
	@echo "Open site/index.html"

.PHONY: pictures
pictures: $(VENV)/.test ## Record the pictures of the command again
	@echo "==> Recording docs/images"
	@$(BIN)/python -m scripts.pictures docs/images

.PHONY: check
check: lint types layers docs test ## Everything that must hold before a change is merged

.PHONY: wheel
wheel: $(VENV)/.test ## Build the source distribution and the wheel into dist/
	@echo "==> Building the wheel"
	@rm -rf dist
	@$(BIN)/hatchling build

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

$(VENV)/.test $(VENV)/.lint $(VENV)/.docs: $(VENV)/.%: $(VENV)/.python pyproject.toml constraints.txt
	@echo "==> Installing resilient_sse and the $* tools into $(VENV)"
	@$(PIP_INSTALL) --editable '.[all]' --group $*
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
