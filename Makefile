# `make demo` gives a first image, `make test` runs every test. Both install what they need into .venv, once.

PYTHON ?= python3
BIN := .venv/bin
SETUP := .venv/.installed

# Also `make docs`: the documentation site, in site/; open site/index.html.
.PHONY: demo test lint docs accelerator-kit accelerator clean

demo: $(SETUP)-demo
	$(BIN)/jaxstyle run experiments/quickstart.toml

test: $(SETUP)-test
	$(BIN)/python -m pytest --numprocesses 2 --dist worksteal

lint: $(SETUP)-test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/pyright

docs: $(SETUP)-docs
	$(BIN)/python docs/build.py

# What an accelerator does: `make accelerator-kit` here, with a network, then `make accelerator PYTHON=… OUT=…` there, with
# none, where PYTHON has jax for the device; benchmarks/accelerator/README.md.
KIT := $(CURDIR)/.accelerator
OUT ?= $(KIT)/results
FLAGS ?=

accelerator-kit: $(SETUP)-demo
	PYTHONPATH=$(CURDIR)/benchmarks $(BIN)/python -m accelerator.fill

accelerator:
	$(PYTHON) benchmarks/accelerator/install.py $(KIT) $(KIT)/site
	PYTHONPATH=$(CURDIR):$(CURDIR)/benchmarks:$(KIT)/site $(PYTHON) -m accelerator --out $(OUT) $(FLAGS)

# A file whose time says when the extra was last installed: nothing is installed again until pyproject.toml changes.
$(SETUP)-%: pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "jaxstyle needs Python 3.11 or newer; name one with: make PYTHON=python3.12 $(MAKECMDGOALS)"; exit 1; }
	@test -x $(BIN)/python || $(PYTHON) -m venv .venv
	@echo "installing jaxstyle[$*] into .venv (once)"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[$*]'
	@touch $@

clean:
	rm -rf .venv build site
