# One command per wish; `make` alone explains them. Everything is built into .venv/ and dataplane/target/.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
CARGO := cargo
RUST := $(shell find dataplane -not -path 'dataplane/target*' -not -path 'dataplane/fuzz*' \
          \( -name '*.rs' -o -name 'Cargo.toml' -o -name 'Cargo.lock' \) 2>/dev/null)
UV := uv==0.13.8
FUZZ_SECONDS ?= 60
LAB ?=
TESTS ?=
BENCH ?=

.PHONY: help
help:  ## this list
	@echo "zonegate: secure ingress/egress transfer gateway for secondary DNS"
	@echo
	@awk -F ':[^#]*## ' '/^[a-z-]+:[^#]*## / { printf "  make %-7s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)
	@echo
	@echo "Needed: python3 (3.11 or later, with venv), cargo (Rust 1.88 or later), make."

.PHONY: run
run: build  ## set up, build, and start the lab: a whole ring on loopback (LAB="--seconds 60 --port 5353")
	@$(BIN)/zonegate lab $(LAB)

.PHONY: build
build: $(VENV)/.built  ## set up .venv and build the native module; does nothing when nothing changed

.PHONY: check
check: build  ## what needs no running: formats, lints, types, arrows between packages, the native module's stub
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python -m mypy.stubtest dataplane._native
	$(CARGO) fmt --manifest-path dataplane/Cargo.toml --all -- --check
	$(CARGO) fmt --manifest-path dataplane/fuzz/Cargo.toml -- --check
	$(CARGO) clippy --manifest-path dataplane/Cargo.toml --workspace --all-targets --locked -- -D warnings

.PHONY: test
test: build  ## all tests, Rust and Python (TESTS="tests/lab -k tsig"); real peers are used where they are installed
	$(CARGO) test --manifest-path dataplane/Cargo.toml --workspace --exclude skin --locked --quiet
	$(BIN)/python -m pytest $(TESTS)

.PHONY: peers
peers:  ## install the real neighbours that tests and bench use: name servers, proxies, load generators (root or sudo)
	tests/peers.sh

.PHONY: bench
bench: build  ## measure against dnsdist and NSD on this machine (BENCH="udp tcp"); takes minutes
	$(BIN)/python -m bench $(BENCH)

.PHONY: fuzz
fuzz:  ## fuzz every target of dataplane/fuzz for FUZZ_SECONDS each
	tests/fuzz.sh $(FUZZ_SECONDS)

.PHONY: docs
docs: build  ## write docs/settings.md and docs/metrics.md anew, from the classes and the collector
	$(BIN)/python -m gateway.config.reference > docs/settings.md
	$(BIN)/python -m gateway.metrics_reference > docs/metrics.md

.PHONY: interop
interop: build  ## write docs/interop.md anew, by running each pair of programs that it shows (needs the peers, and root)
	$(BIN)/python -m tests.interop

.PHONY: lock
lock:  ## choose the newest allowed versions anew: requirements.lock and dataplane/Cargo.lock
	$(PYTHON) -m venv build/lock
	build/lock/bin/python -m pip install --quiet $(UV)
	build/lock/bin/uv pip compile pyproject.toml --extra dev --universal --python-version 3.11 --generate-hashes --upgrade \
	    --no-emit-index-url --custom-compile-command "make lock" --quiet --output-file requirements.lock
	$(CARGO) update --manifest-path dataplane/Cargo.toml

.PHONY: wheel
wheel: build  ## a wheel for deployment, in dist/
	$(BIN)/maturin build --release --locked --out dist

.PHONY: clean
clean:  ## remove what was built, .venv too
	rm -rf $(VENV) build dist dataplane/target dataplane/fuzz/target dataplane/_native*.so

$(VENV)/.installed: requirements.lock
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or later is needed, this is " + sys.version)'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
	@touch $@

$(VENV)/.built: $(VENV)/.installed pyproject.toml $(RUST)
	@command -v $(CARGO) > /dev/null || { echo "cargo is needed: install Rust 1.88 or later" >&2; exit 1; }
	VIRTUAL_ENV=$(abspath $(VENV)) PIP_QUIET=1 $(BIN)/maturin develop --release --locked --quiet
	@touch $@
