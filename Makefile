# `make demo` and `make test` need git, make, Python 3.11 and a package registry, and nothing else.
PYTHON ?= $(shell command -v python3.11 || command -v python3)
export PATH := $(CURDIR)/.venv/bin:$(PATH)
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c

.PHONY: help install install-dev demo repro test test-all lint lock clean

help:  ## what can be made
	@grep -hE '^[a-z-]+:.*##' Makefile | sed -E 's/:.*## /\t/'

demo: install  ## run the whole pipeline and print the comparison of both tracks
	@dvc repro
	@python -m stages.report --show

install: .venv/.installed  ## make .venv with the locked requirements

install-dev: .venv/.installed-dev  ## the same, with what the tests need

.venv/bin/python:
	@"$(PYTHON)" -c 'import sys; sys.exit(sys.version_info[:2] != (3, 11))' || { echo 'Decant needs Python 3.11: make PYTHON=/path/to/python3.11' >&2; exit 1; }
	@"$(PYTHON)" -m venv .venv

.venv/.installed: requirements.txt | .venv/bin/python
	@.venv/bin/python -m pip install --quiet --disable-pip-version-check -r requirements.txt
	@touch .venv/.installed

.venv/.installed-dev: requirements-dev.txt .venv/.installed
	@.venv/bin/python -m pip install --quiet --disable-pip-version-check -r requirements-dev.txt
	@touch .venv/.installed-dev

test: install-dev  ## the tests
	@python -m pytest -m 'not slow'

test-all: install-dev  ## the tests, with kills and the browser (needs chromium)
	@python -m pytest

lint: install-dev  ## ruff and mypy
	@ruff check .
	@ruff format --check .
	@mypy

lock:  ## resolve requirements.in anew and write both lock files
	@scratch=$$(mktemp -d) && "$(PYTHON)" -m venv "$$scratch" && \
	"$$scratch/bin/python" -m pip install --quiet -r requirements.in && \
	{ echo '# Locked by `make lock` from requirements.in.'; "$$scratch/bin/python" -m pip freeze | sed 's/+cpu$$//'; } > requirements.txt && \
	"$$scratch/bin/python" -m pip install --quiet -r requirements-dev.in && \
	{ echo '# Locked by `make lock` from requirements-dev.in.'; "$$scratch/bin/python" -m pip freeze | sed 's/+cpu$$//'; } > requirements-dev.txt && \
	rm -rf "$$scratch"

clean:  ## remove .venv
	@rm -rf .venv
