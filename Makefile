# napari-cellcls: everything a fresh machine needs is `make demo` and `make test`.

SHELL := /bin/bash
.DEFAULT_GOAL := help

PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
OUT ?= demo

export VENV PYTHON

.PHONY: help demo test test-core test-tensorflow test-gui lint format docs serve bench system clean

help:  ## Show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-16s %s\n", $$1, $$2 }' Makefile

demo: $(VENV)/.installed-app  ## Install, classify both samples without a window, say where the results are
	$(BIN)/cellcls demo --out "$(OUT)"
	@scripts/open_napari.sh

test: system $(VENV)/.installed-dev  ## Install what tests need, then run every check and every test
	@scripts/check.sh lint docs core tensorflow gui

test-core: $(VENV)/.installed-dev  ## Tests that need neither a display nor TensorFlow
	@scripts/check.sh core

test-tensorflow: $(VENV)/.installed-dev  ## Tests that start TensorFlow
	@scripts/check.sh tensorflow

test-gui: system $(VENV)/.installed-dev  ## Tests that open napari, on a virtual display
	@scripts/check.sh gui

lint: $(VENV)/.installed-dev  ## Style, types and the arrows between the rooms
	@scripts/check.sh lint

format: $(VENV)/.installed-dev  ## Let ruff rewrite the layout of the code and mend what it can
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

docs: $(VENV)/.installed-dev  ## Build the documentation strictly into site/
	@scripts/check.sh docs

serve: $(VENV)/.installed-dev  ## Show the documentation while writing it
	$(BIN)/mkdocs serve

bench: $(VENV)/.installed-dev  ## Measure speed and memory on this machine
	@scripts/bench.sh

system:  ## System libraries for napari on a virtual display (installs them where it may)
	@scripts/system_packages.sh install

clean:  ## Remove what was built; the sources stay
	rm -rf "$(VENV)" site dist build demo .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(VENV)/.created: scripts/make_venv.sh
	@scripts/make_venv.sh
	@touch $@

$(VENV)/.installed-app: pyproject.toml $(VENV)/.created
	@scripts/install.sh -e ".[qt]"
	@touch $@

$(VENV)/.installed-dev: pyproject.toml $(VENV)/.created
	@scripts/install.sh -e ".[qt,test,docs,czi,nd2,lif]" \
	    || { echo "Without the readers for CZI, ND2 and LIF: their tests are skipped"; scripts/install.sh -e ".[qt,test,docs]"; }
	@touch $@ $(VENV)/.installed-app
