# `make help` says what each target does. A fresh Debian machine with Rust needs no other command before any of them.

CARGO_DENY_VERSION := 0.20.2
DENY := target/tools/bin/cargo-deny
VENV := target/venv

.DEFAULT_GOAL := help
.PHONY: help demo test unit interop soak lint fuzz generate setup clean

help: ## Show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-10s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

demo: setup ## From SnmpSubtree files to an SNMP walk, on this machine, in front of your eyes
	@echo "building the programs (minutes the first time, cached under target/ after that)"
	@cargo build --quiet --workspace --bins
	@target/debug/demo

test: setup ## All checks and tests, with one summary at the end
	@tests/run lint unit interop

unit: ## Tests of pure code: properties, snapshots, fuzz corpora, the codec against the agentx crate
	@tests/run unit

interop: setup ## Tests across processes: the sidecar under net-snmp's snmpd, with real exporters
	@tests/run interop

soak: setup ## The sidecar under random faults for SOAK_SECONDS (default 600): its memory, every answer; SEED repeats one
	@cargo build --quiet --package snmp-sidecar --package snmp-operator-tests --bins
	@SOAK_SECONDS=$(SOAK_SECONDS) SEED=$(SEED) target/debug/soak

lint: $(DENY) ## Format, clippy, documentation, dependencies
	@tests/run lint

fuzz: ## Fuzz each target for FUZZ_SECONDS (default 60); needs a nightly toolchain and cargo-fuzz
	@tests/fuzz $(or $(FUZZ_SECONDS),60)

generate: ## Write crds/*.yaml anew from the API types
	@cargo run --quiet --package snmp-operator -- crds -o crds

setup: $(DENY) $(VENV)/installed ## Install what the tests and the demo need, once
	@tests/setup

$(DENY):
	@echo "building cargo-deny $(CARGO_DENY_VERSION) into target/tools (minutes, once)"
	@cargo install --quiet --locked --version $(CARGO_DENY_VERSION) --root target/tools --target-dir target/tools/build cargo-deny
	@rm -rf target/tools/build

$(VENV)/installed: tests/requirements.txt
	@tests/setup
	@echo "installing $< into $(VENV)"
	@rm -rf $(VENV) && /usr/bin/python3 -m venv $(VENV) && $(VENV)/bin/pip install --quiet --requirement $<
	@touch $@

clean: ## Remove all that was built
	@rm -rf target
