# Two commands matter: `make demo` and `make test`. Both install what they need first.

PYTHON ?= python3.11
VENV   := .venv
BIN    := $(VENV)/bin
READY  := $(VENV)/.ready
BENCH  := build/bench
NETS   := build/bench-networks
DEMO   ?= demo

export OMP_NUM_THREADS ?= 1
export MPLBACKEND := Agg

.PHONY: install demo test lint types floors unit notebooks test-slow verification bench clean help

help:
	@echo "make demo          run the synthetic NOA study end to end and print where the report lies"
	@echo "make test          everything CI runs: lint, types, floors, tests, notebooks"
	@echo "make test-slow     the simulations and the long trainings"
	@echo "make verification  write docs/verification.md: every statistic beside R's numbers"
	@echo "make bench         speed ratios against the peers, in environments of their own"
	@echo "make clean         remove what these commands made, the environments included"

install: $(READY)

# torch comes first and alone, so that no other package can pull in a build of its own choice.
$(READY): pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --constraint constraints.txt torch==2.13.0
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable ".[dl,onnx,notebooks,dev]"
	@touch $(READY)

demo: $(READY)
	$(BIN)/usstats demo $(DEMO)

test: lint types floors unit notebooks

lint: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(READY)
	$(BIN)/mypy

floors: $(READY)
	$(BIN)/lint-imports

unit: $(READY)
	$(BIN)/pytest -m "not slow" -n 2

notebooks: $(READY)
	$(BIN)/pytest --nbmake --nbmake-timeout=600 -n 2 --no-header notebooks/*.ipynb

test-slow: $(READY)
	$(BIN)/pytest -m slow -n 2

verification: $(READY)
	$(BIN)/python -m tests.verification

# confidenceinterval holds setuptools at 68, so the peers never enter the environment of the study.
$(BENCH)/.ready: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(BENCH)
	$(BENCH)/bin/python -m pip install --quiet --constraint constraints.txt --editable ".[bench]"
	@touch $@

$(NETS)/.ready: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(NETS)
	$(NETS)/bin/python -m pip install --quiet --constraint constraints.txt torch==2.13.0
	$(NETS)/bin/python -m pip install --quiet --constraint constraints.txt --editable ".[dl,onnx,monai]"
	@touch $@

bench: $(BENCH)/.ready $(NETS)/.ready
	$(BENCH)/bin/python -m tests.benchmarks statistics
	$(NETS)/bin/python -m tests.benchmarks networks

clean:
	rm -rf $(VENV) $(DEMO) build *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
