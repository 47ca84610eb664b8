# The contributor's guide: `make` prints it. Nothing needs to be installed first but Python and make.

PYTHON ?=
ARGS ?=

BIN := .venv/bin
PYTEST := $(BIN)/python -m pytest --quiet
# Tests are small: one thread each, as many at a time as there are cores; the blocks of a page
# follow from each other, so a file stays in one process.
PARALLEL := OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1
WORKERS ?= auto
ENVIRONMENT_SOURCES := pyproject.toml tools/make_environment.py

.DEFAULT_GOAL := help
.PHONY: help demo test lint types coverage slow bench peers docs oldest format environment clean

help: ## This list
	@sed -n 's/^\([a-z]*\):[^#]*## \(.*\)/  make \1\t\2/p' $(MAKEFILE_LIST) | expand -t 19
	@echo
	@echo "  PYTHON=python3.12 names the Python to use. ARGS='-k softmax' goes to test, slow, coverage,"
	@echo "  peers and bench. The first call makes .venv."

demo: .venv/stamp ## Train a network on digits, check its gradient, open one derivative
	@$(BIN)/chainrule demo

test: .venv/stamp ## Run the tests, the examples of every docstring and of the documents
	@$(PARALLEL) $(PYTEST) --numprocesses=$(WORKERS) --dist=loadfile $(ARGS)

lint: .venv/stamp ## Check format, style and that imports go only downwards
	@$(BIN)/ruff format --check --quiet . || { echo "run: make format"; exit 1; }
	@$(BIN)/ruff check --quiet .
	@said=$$($(BIN)/lint-imports --no-cache) || { echo "$$said"; exit 1; }

types: .venv/stamp ## Check the types, strictly
	@$(BIN)/mypy

coverage: .venv/stamp ## Run the tests and hold the branch coverage of graph, ops and transform at 98 %
	@$(PARALLEL) $(PYTEST) --numprocesses=$(WORKERS) --dist=loadfile --cov --cov-report=term $(ARGS)

slow: .venv/stamp ## Run the tests that take long
	@$(PYTEST) -m slow $(ARGS)

bench: .venv-bench/stamp ## Time what is promised, in turn with its peers (an environment of its own)
	@.venv-bench/bin/python -m benchmarks $(ARGS)

peers: .venv-peers/stamp ## Compare every op with PyTorch and HIPS autograd (an environment of its own)
	@.venv-peers/bin/python -m pytest --quiet peers $(ARGS)

docs: .venv/stamp ## Build the documentation into site/, where a broken link is an error
	@NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --quiet

oldest: .venv-oldest/stamp ## Run the tests with the oldest dependencies that pyproject.toml allows
	@$(PARALLEL) .venv-oldest/bin/python -m pytest --quiet --numprocesses=$(WORKERS) --dist=loadfile $(ARGS)

format: .venv/stamp ## Format the code and repair what can be repaired
	@$(BIN)/ruff check --fix-only --quiet .
	@$(BIN)/ruff format --quiet .

environment: .venv/stamp ## Make .venv and nothing more
	@:

clean: ## Remove the environments and everything that was built
	@rm -rf .venv* site dist .coverage* htmlcov
	@rm -rf .hypothesis .import_linter_cache .mypy_cache .pytest_cache .ruff_cache
	@find src tests tools peers benchmarks -name __pycache__ -prune -exec rm -rf {} + 2>/dev/null || true

.venv/stamp: $(ENVIRONMENT_SOURCES)
	@python=$$(tools/find_python.sh "$(PYTHON)") && \
	    "$$python" tools/make_environment.py .venv test,lint,docs

# PyTorch at its pinned release, for the Python that its wheel was chosen for.
.venv-peers/stamp: $(ENVIRONMENT_SOURCES)
	@python=$$(tools/find_python.sh "$(or $(PYTHON),python3.11)") && \
	    "$$python" tools/make_environment.py .venv-peers test,peers

.venv-bench/stamp: $(ENVIRONMENT_SOURCES)
	@python=$$(tools/find_python.sh "$(or $(PYTHON),python3.11)") && \
	    "$$python" tools/make_environment.py .venv-bench bench

.venv-oldest/stamp: $(ENVIRONMENT_SOURCES)
	@python=$$(tools/find_python.sh "$(or $(PYTHON),python3.11)") && \
	    "$$python" tools/make_environment.py --oldest .venv-oldest test
