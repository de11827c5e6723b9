# `make demo` and `make test` need Python 3.10 or newer and nothing else: each makes .venv itself.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin

# With CEPH=16, 18 or 20 tests take that Ceph, which is installed where it is missing, not the one on PATH.
WITH_CEPH := $(if $(CEPH),ceph=$$(tests/live/install_ceph $(CEPH)) && PATH="$$ceph:$$PATH")

.PHONY: demo unit test live campaigns clients lint types docs bench tox clean
.DELETE_ON_ERROR:

demo: $(VENV)/.demo
	@$(BIN)/python examples/demo.py

# The quick path: the tier that needs no socket, on all cores and without coverage.
unit: $(VENV)/.test
	@$(BIN)/python -m pytest -q -n auto $(ARGS)

# The unit and faults tiers come first: coverage is measured over them alone (tests/conftest.py).
test: $(VENV)/.test
	@$(WITH_CEPH) $(BIN)/python -m pytest --cov --cov-report=term-missing:skip-covered \
	    $(wildcard tests/unit tests/faults tests/upstream tests/docs tests/live) $(ARGS)

live: $(VENV)/.test
	@$(WITH_CEPH) $(BIN)/python -m pytest tests/live $(ARGS)

# Kills, interrupts, restarts and power cuts by the hundred; takes more than an hour. See tests/campaigns.
campaigns: $(VENV)/.test
	@$(WITH_CEPH) PYTHONPATH=tests $(BIN)/python -m campaigns $(ARGS)

# Programs on libcloud's storage API, each as PyPI has it, in environments of tox; needs Ceph.
clients: $(VENV)/.tox
	@$(WITH_CEPH) $(BIN)/tox run-parallel --parallel-no-spinner -e clients,accsr,salt $(ARGS)

lint: $(VENV)/.lint
	@$(BIN)/ruff check --quiet .
	@$(BIN)/ruff format --quiet --check .

types: $(VENV)/.types
	@$(BIN)/mypy --no-error-summary

docs: $(VENV)/.docs
	@$(BIN)/sphinx-build -E -q -n -W --keep-going docs docs/_build/html
	@echo "docs/_build/html/index.html"

# A quick set, in ten minutes; with ALL=1 everything, in hours. Needs Linux and Ceph: see benchmarks/README.rst.
bench: .venv-bench/.ready
	@.venv-bench/bin/python -m benchmarks $(if $(ALL),--all) $(ARGS)

tox: $(VENV)/.tox
	@$(BIN)/tox run-parallel --parallel-no-spinner $(ARGS)

clean:
	rm -rf $(VENV) .venv-bench .tox .coverage .coverage.* .hypothesis .mypy_cache .pytest_cache .ruff_cache \
	    build dist docs/_build

# One stamp file per extra of pyproject.toml; -qq keeps pip's warnings about itself away, and dots show that it works.
$(VENV)/.demo: EXTRAS := examples,server
$(VENV)/.test: EXTRAS := test,dask,tables,types
$(VENV)/.lint: EXTRAS := lint
$(VENV)/.types: EXTRAS := types
$(VENV)/.docs: EXTRAS := docs
$(VENV)/.tox: EXTRAS := tox
# An environment of its own: one of the peers decides how new the others may be.
.venv-bench/.ready: benchmarks/requirements.txt pyproject.toml
	@$(PYTHON) -m venv .venv-bench
	@echo "installing what the benchmarks compare with into .venv-bench"
	@.venv-bench/bin/python -m pip install -qq --disable-pip-version-check --requirement $< --editable .
	@touch $@

$(VENV)/.%: pyproject.toml | $(VENV)/pyvenv.cfg
	@echo "installing libcloud-aurora[$(EXTRAS)] into $(VENV)"
	@(while sleep 2 && kill -0 $$$$ 2>/dev/null; do printf .; done) & dots=$$!; \
	    $(BIN)/python -m pip install -qq --disable-pip-version-check --editable ".[$(EXTRAS)]"; code=$$?; \
	    kill $$dots; echo; exit $$code
	@touch $@

$(VENV)/pyvenv.cfg:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 10))' || \
	    { echo "libcloud-aurora needs Python 3.10 or newer; try: make PYTHON=python3.12" >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || \
	    { echo "$(PYTHON) cannot make environments; try: apt-get install python3-venv" >&2; exit 1; }
	@$(PYTHON) -m venv $(VENV) || { rm -rf $(VENV); exit 1; }
