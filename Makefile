# The project's commands. Each works on a fresh machine: the first run makes .venv from requirements.lock.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
# Not with --quiet, which hides the warnings from --strict as well (MkDocs 1.6.1).
MKDOCS := NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict

.PHONY: demo test check bench faults crds manifests docs dist lock format clean

$(STAMP): requirements.lock pyproject.toml
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --require-hashes -r requirements.lock
	$(BIN)/python -m pip install --quiet --no-deps --no-build-isolation -e '.[sandbox]'
	touch $@

demo: $(STAMP)
	$(BIN)/sovereign sandbox demo $(if $(ARGOCD),--argocd)

# Files side by side, since most of a scenario is waiting. JOBS=0: one after the other, in one process.
JOBS ?= 2
test: check
	SOVEREIGN_FAULTS_EVERY=20 $(BIN)/python -m pytest tests --ignore=tests/bench --numprocesses $(JOBS) --dist loadfile

check: $(STAMP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/sovereign crds --check
	$(MKDOCS)

bench: $(STAMP)
	$(BIN)/python -m pytest -q -s tests/bench

faults: $(STAMP)
	$(BIN)/python -m pytest -q tests/faults

crds: $(STAMP)
	$(BIN)/sovereign crds --write

# Needs no network. To write: `.venv/bin/mkdocs serve`.
docs: crds
	$(MKDOCS)

# The kustomize base is the chart, rendered, without what only `helm uninstall` asks. Helm comes from PATH or is built once; tests/integration/chart/test_manifests.py compares.
manifests: crds
	helm=$$($(BIN)/python -c "from sovereigncloud_sandbox.toolchain import Toolchain; print(Toolchain().resolve('helm'))") && \
	{ echo "# Generated from charts/sovereign-cloud-operator by \`make manifests\`. Do not edit."; \
	  $$helm template sovereign-cloud-operator charts/sovereign-cloud-operator --namespace sovereign-system \
	    --set crds.install=false --set uninstall.policy=Release --no-hooks; } > manifests/base/operator.yaml

# The files of a release (docs/releases.md): the same commit gives the same bytes.
dist: $(STAMP)
	$(BIN)/python release/dist.py

format: $(STAMP)
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

# Three locks of the same versions: everything (this Makefile), what the image runs, what builds its wheel (Dockerfile). A fourth,
# of its own versions: the installer's image (release/installer).
PIP_COMPILE := $(BIN)/pip-compile --quiet --strip-extras --generate-hashes --allow-unsafe --no-emit-index-url \
  --no-emit-find-links --no-emit-trusted-host --no-header
lock: $(STAMP)
	$(PIP_COMPILE) --all-extras --all-build-deps --output-file requirements.lock pyproject.toml
	$(PIP_COMPILE) --constraint requirements.lock --output-file requirements.runtime.lock pyproject.toml
	$(PIP_COMPILE) --constraint requirements.lock --only-build-deps --all-build-deps --output-file requirements.build.lock pyproject.toml
	$(PIP_COMPILE) --output-file release/installer/requirements.lock release/installer/requirements.in

clean:
	rm -rf $(VENV) dist build site
