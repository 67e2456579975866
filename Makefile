# `make` shows what can be made; every target runs what CI runs.
SHELL := /bin/bash
.DEFAULT_GOAL := help
PYTHON ?= $(shell command -v python3.11 || command -v python3)
BIN := .venv/bin
export PATH := $(CURDIR)/$(BIN):$(PATH)
export PYTHONDONTWRITEBYTECODE :=

.PHONY: help setup demo test check format apps lab hub screenshots bench lock clean

help: ## show this list
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "  make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: ## install everything into .venv; quick when it is there
	@PYTHON="$(PYTHON)" .ci/setup
	@.ci/viewer

demo: setup ## run the main job on the built-in sample world
	@geolab demo

test: setup ## run every test: units, notebooks, browser
	@.ci/system-packages
	@pytest tests
	@GEOLAB_HOME="$$(mktemp -d)" pytest --nbmake --nbmake-timeout=900 notebooks

check: setup ## style, types, layers, clean notebooks
	@ruff check . && ruff format --check . && basedpyright && lint-imports && nbstripout --verify --extra-keys "metadata.papermill cell.metadata.papermill" notebooks/*.ipynb notebooks/apps/*.ipynb

format: setup ## format code and strip notebooks
	@nbstripout --extra-keys "metadata.papermill cell.metadata.papermill" notebooks/*.ipynb notebooks/apps/*.ipynb && ruff check --fix --quiet . ; ruff format .

apps: setup ## open the apps: Home, data, map, models (PORT=8866)
	@jupyter server --config=jupyter_config/apps_config.py

lab: setup ## open JupyterLab with the tiles and Voila beside it
	@jupyter lab --config=jupyter_config/jupyter_server_config.py $(if $(filter 0,$(shell id -u)),--allow-root)

hub: setup ## a hub for a trial: two projects, three people, on PORT or 8000
	@jupyter_config/hub/install-proxy && PYTHONPATH=jupyter_config/hub exec python jupyter_config/hub/geolab_hub/tied.py python -m geolab_hub trial

screenshots: setup ## take pictures of every page into build/screenshots
	@python tests/browser/screenshots.py

bench: setup ## print what was measured, with ratios to the bounds
	@for file in bench/*.py; do echo "== $$file"; python "$$file"; done

lock: setup ## resolve requirements.lock again from pyproject.toml
	@.ci/lock

clean: ## remove .venv and caches; never a workspace
	@rm -rf .venv .ruff_cache .pytest_cache build dist
