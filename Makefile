# One verb per target; `make` alone lists them.
SHELL := /bin/bash
PYTHON ?= python3
PY := .venv/bin/python
export PYTHON

# Where the data are: your VAELIB_DATA, else a shared folder beside this one, else data/ and a download into it.
ifndef VAELIB_DATA
ifneq ($(wildcard ../shared/data),)
export VAELIB_DATA := $(abspath ../shared/data)
endif
endif

.DEFAULT_GOAL := help
.PHONY: help env data book pdf train results claims rerun sweep test test-slow test-browser planted portability verify numbers lint format lab equations faults mutants bench lock clean

help: ## list what can be made
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /\1\t/' | awk -F'\t' '{printf "  make %-13s %s\n", $$1, $$2}'

env: ## install everything into .venv (the other targets do this first)
	@tools/make_env.sh

# A link, so that papermill and JupyterLab find the data without make; a data/ that holds something is left alone.
data: env
	@rmdir data 2>/dev/null || true
	@if [ -n "$$VAELIB_DATA" ] && [ -d "$$VAELIB_DATA" ] && { [ -L data ] || [ ! -e data ]; }; then ln -sfn "$$VAELIB_DATA" data; fi

book: data ## train, execute and typeset what changed, into _build/html
	@$(PY) -m tools.build

train: data ## train the paper's runs that are not stored yet
	@$(PY) -m vaelib train

results: data ## record the runs that tables in results/ lack: PART=planes SEEDS=3; WORKERS=, SCHEDULER=
	@$(PY) -m tools.results $(PART) $(if $(SEEDS),--seeds $(SEEDS)) --workers "$(WORKERS)" --scheduler "$(SCHEDULER)"

claims: env ## judge the paper's claims from results/ and print the ledger
	@$(PY) -m vaelib claims

rerun: ## one chapter with other parameters: make rerun CHAPTER=mnist LATENT_DIM=10
	@$(PYTHON) -m tools.rerun --make --check
	@$(MAKE) --no-print-directory data MAKEOVERRIDES=
	@$(PY) -m tools.rerun --make

sweep: ## a chapter over a grid: make sweep CHAPTER=mnist LATENT_DIM="1 2 5" SEED="1 2 3"; WORKERS=, DRY_RUN=1, SCHEDULER=
	@$(PYTHON) -m tools.sweep --make --check
	@$(MAKE) --no-print-directory data MAKEOVERRIDES=
	@$(PY) -m tools.sweep --make

pdf: env ## the whole book as one PDF, _build/on-variational-autoencoders.pdf; needs Chromium
	@$(PY) -m tools.pdf --check
	@$(MAKE) --no-print-directory book
	@$(PY) -m tools.pdf

test: env ## the tests: no network, no real data; some four minutes on two cores
	@$(PY) -m pytest -n 2 --dist loadgroup

test-slow: env ## the tests that make test leaves out: chapters at more latent sizes, more signals, clusters; some minutes
	@$(PY) -m pytest -n 2 --dist loadgroup -m slow

test-browser: env ## the built site in a real browser: light, accessible, whole on every screen; needs Chromium
	@$(PY) -m pytest -m browser tests/test_browser.py tests/test_pdf.py

planted: env ## plant falsehoods in every chapter: each finding must notice one; some fifteen minutes
	@$(PY) -m pytest -n 2 -m planted tests/test_planted.py

portability: data ## every chapter as on other processors, from other seeds, at other K: PATHS=AVX2 SEEDS=2; hours, resumes
	@$(PY) -m tools.portability $(filter-out PYTHON=% VAELIB_%,$(MAKEOVERRIDES))

verify: data ## execute the full-size chapters and compare the numbers they publish
	@$(PY) -m pytest --nbval-lax --nbval-current-env --nbval-cell-timeout=3600 book

numbers: data ## put the outputs of the built book into the cells that `make verify` compares
	@$(PY) -m tools.record

lint: env ## ruff, notebooks without outputs, order of imports
	@$(PY) -m ruff check .
	@$(PY) -m ruff format --check .
	@$(PY) -m tools.notebooks --check book/*.ipynb
	@.venv/bin/lint-imports

format: env ## bring code and notebooks into shape and strip outputs
	@$(PY) -m ruff check --fix --quiet .
	@$(PY) -m ruff format --quiet .
	@$(PY) -m tools.notebooks book/*.ipynb

lab: data ## the chapters in JupyterLab
	@$(PY) -m jupyterlab book

equations: env ## write the book's table of equations anew
	@$(PY) -m tools.equations

faults: env ## inject every fault, and write the book's page of what is seen and kept; some ten minutes
	@$(PY) -m tools.faults

mutants: env ## break every equation on purpose; tests and chapters must notice
	@$(PY) -m tools.mutants

bench: data ## race the plain way, pythae, JAX and ours; beside other work; growth; the book's stages: about an hour
	@tools/make_env.sh _build/pythae benchmarks/pythae.txt
	@tools/make_env.sh _build/jax benchmarks/jax.txt
	@$(PY) -m benchmarks $(PARTS)

lock: env ## compile requirements.txt and the locks of the benchmark's peers anew
	@tools/lock.sh

clean: ## remove what was built; trained runs, reruns, data and .venv stay
	@rm -rf _build
