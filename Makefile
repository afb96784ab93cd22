# Everything a newcomer types; `make help` lists it.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
ARGS ?= --help
FUZZ_SECONDS ?= 60
CHAOS_SECONDS ?= 60
SEED ?= 1

# gcc analyses paths; another compiler warns only.
ANALYSE := $(shell $(CC) -fanalyzer -E -x c /dev/null >/dev/null 2>&1 && echo -fanalyzer)
NATIVE := $(wildcard vkmapctl/_native/*.c vkmapctl/_native/*.h vkmapctl/_native/*.py)
C_FILES := $(wildcard vkmapctl/_native/*.[ch] benchmarks/*.[ch] tests/native/*.c tests/icd/*.[ch] tests/cluster/*.c tests/clients/programs/*.c)

.DEFAULT_GOAL := help

.PHONY: help
help: ## Show this list
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / { printf "  make %-13s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.PHONY: stress
stress: setup ## Set up, then probe and stress 256 MiB on the best driver found
	@$(BIN)/vkmapctl probe
	@$(BIN)/vkmapctl stress --size 256M

.PHONY: test
test: setup ## Set up, then run the tests that need no browser
	@$(BIN)/pytest

.PHONY: test-all
test-all: setup ## The same with the tests in a browser and on more drivers, all of which it sees to
	@scripts/install-test-tools
	@$(BIN)/pytest tests

.PHONY: test-clients
test-clients: setup ## Record real programs on lavapipe, all of which it sees to
	@scripts/install-clients $(CURDIR)/$(BIN)/python
	@$(BIN)/pytest -m clients tests/clients

.PHONY: test-cluster
test-cluster: setup ## Run a fleet on a real Slurm and by ssh, on hosts that it makes up (as root)
	@scripts/install-cluster $(CURDIR)/$(BIN)/python
	@$(BIN)/pytest -m cluster tests/cluster

.PHONY: test-groups
test-groups: setup ## Run under real limits of memory, in control groups that it makes (as root)
	@PYTHONPATH=tests $(BIN)/python tests/groups/group.py
	@$(BIN)/pytest -m groups tests/groups

.PHONY: test-perturb
test-perturb: setup ## Run tests on lavapipe while the C library fills what is freed, and unmaps what it can
	@MALLOC_PERTURB_=165 MALLOC_MMAP_THRESHOLD_=4096 $(BIN)/pytest -q -k "not selftest" \
		tests/driver/test_probe.py tests/driver/test_verify.py tests/driver/test_facts.py

.PHONY: test-valgrind
test-valgrind: setup ## Run a probe, a stress and checks on lavapipe under valgrind
	@scripts/test-valgrind $(CURDIR)/$(BIN)/python

.PHONY: test-asan
test-asan: setup ## Run the tests of the C code under AddressSanitizer and UndefinedBehaviorSanitizer
	@scripts/test-asan $(CURDIR)/$(BIN)/python

.PHONY: test-tsan
test-tsan: ## Run the loop in several threads under ThreadSanitizer
	@scripts/test-tsan

.PHONY: test-trixie
test-trixie: wheel ## Test the wheel in a Debian 13 root, with its validation layer (as root)
	@scripts/test-trixie $(CURDIR)/$(BIN)/python

.PHONY: test-i386
test-i386: setup wheel ## Test in 32-bit processes, in a Debian 12 root for i386 (as root)
	@scripts/test-i386 $(CURDIR)/$(BIN)/python

.PHONY: test-arm64
test-arm64: $(VENV)/installed ## Test on arm64, in an emulated Debian 13 root (as root); FORM=short takes minutes
	@scripts/test-arm64 $(CURDIR)/$(BIN)/python $(FORM)

.PHONY: test-wheel
test-wheel: setup wheel ## Install the wheel without a compiler on each Python from 3.11 that is here, and test it
	@scripts/test-wheel $(CURDIR)/$(BIN)/python $(VERSIONS)

.PHONY: test-lowest
test-lowest: setup wheel ## Test the wheel with the oldest version of each dependency that is allowed, on Python 3.11
	@scripts/test-lowest $(CURDIR)/$(BIN)/python

.PHONY: fuzz
fuzz: $(VENV)/installed ## Fuzz the readers of files by coverage for FUZZ_SECONDS (60)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --group fuzz
	@mkdir -p build/corpus
	@$(BIN)/python tests/fuzz/fuzz_files.py -max_total_time=$(FUZZ_SECONDS) -timeout=20 -rss_limit_mb=2048 -max_len=65536 build/corpus

.PHONY: chaos
chaos: setup ## Send random signals to random commands with random faults for CHAOS_SECONDS (60); SEED draws others
	@$(BIN)/python tests/chaos/chaos.py --seconds $(CHAOS_SECONDS) --seed $(SEED) $(if $(ONLY),--only $(ONLY))

.PHONY: run
run: setup ## Set up, then run any command: make run ARGS="verify --list"
	@$(BIN)/vkmapctl $(ARGS)

.PHONY: bench
bench: setup wheel ## Measure every budget against its reference; figures to benchmarks/results/local.json
	@scripts/bench $(CURDIR)/$(BIN)/python --json benchmarks/results/local.json

.PHONY: lint
lint: $(VENV)/installed ## Check style and types of Python; layout, warnings and a static analysis of C
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/clang-format --dry-run --Werror $(C_FILES)
	@for source in vkmapctl/_native/*.c tests/icd/*.c tests/cluster/*.c tests/clients/programs/*.c; do $(CC) -std=c11 -O2 -fPIC -Ibenchmarks -Wall -Wextra -Werror $(ANALYSE) -c -o /dev/null $$source || exit 1; done
	@for source in benchmarks/*.c; do $(CC) -std=c11 -O2 -Wall -Wextra -Werror -fsyntax-only $$source || exit 1; done

.PHONY: format
format: $(VENV)/installed ## Lay out Python and C as make lint wants it
	@$(BIN)/ruff check --select I --fix --quiet .
	@$(BIN)/ruff format --quiet .
	@$(BIN)/clang-format -i $(C_FILES)

.PHONY: wheel
wheel: $(VENV)/installed ## Build the sdist, and the abi3 wheel from it, into dist/
	@$(BIN)/python -m build --outdir dist .

.PHONY: deb
deb: wheel ## Build a Debian package in a Debian 13 root, show what is in it, and try it there (as root)
	@scripts/make-deb $(CURDIR)/$(BIN)/python

.PHONY: image
image: $(VENV)/installed ## Build the Containerfile as localhost/vkmapctl; BASE names another image of Debian 13
	@scripts/make-image $(CURDIR)/$(BIN)/python $(BASE)

.PHONY: test-image
test-image: image ## Run the image: probe, verify, stress, a threshold, a recording
	@scripts/test-image

.PHONY: man
man: $(VENV)/installed ## Make the manual page and the completion scripts of share/ from what --help says
	@$(BIN)/python scripts/make-share

.PHONY: pages
pages: $(VENV)/installed ## Make a page of each saved run of docs/results, in build/pages
	@$(BIN)/python scripts/make-pages

.PHONY: docs
docs: $(VENV)/installed ## Make the site of these pages in build/site, and check it
	@scripts/install-docs $(CURDIR)/$(BIN)/python
	@$(BIN)/python scripts/make-site

.PHONY: setup
setup: $(VENV)/installed ## Make .venv with vkmapctl in it, and see to a Vulkan driver
	@scripts/install-driver $(BIN)/vkmapctl

$(VENV)/installed: pyproject.toml setup.py $(NATIVE)
	@scripts/make-venv $(PYTHON) $(VENV)
	@touch $@

.PHONY: clean
clean: ## Remove what the other targets made
	@rm -rf $(VENV) build dist *.egg-info vkmapctl/*.so vkmapctl/_loop.c .pytest_cache .mypy_cache .ruff_cache
