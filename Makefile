# `make help` says what each target does. A fresh Debian machine with Rust needs no other command before any of them.

CARGO_DENY_VERSION := 0.20.2
DENY := target/tools/bin/cargo-deny
VENV := target/venv
BENCH_VENV := target/bench/venv
PROGRAMS := snmp-master snmp-operator snmp-sidecar
HOST := $(shell rustc --print host-tuple)
# Static, and at one address: so nothing is written into the pages of tables when the program starts.
STATIC := -C target-feature=+crt-static -C relocation-model=static
ifneq ($(filter x86_64-%,$(HOST)),)
# Rust's own linker, the default there, can also fold functions that came out the same.
STATIC += -C link-arg=-Wl,--icf=all
endif
# Test clusters take root's rights; PATH stays, which sudo would change.
AS_ROOT := $(if $(filter-out 0,$(shell id -u)),sudo --preserve-env env "PATH=$(PATH)")

.DEFAULT_GOAL := help
.PHONY: help demo test unit chart interop e2e cluster-up cluster-down cluster-shell soak lint release bench fuzz generate setup clean

help: ## Show this list
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / { printf "  make %-13s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

demo: ## From SnmpSubtree files to an SNMP walk, on this machine, in front of your eyes
	@tests/setup demo
	@echo "building the programs (minutes the first time, cached under target/ after that)"
	@cargo build --quiet $(addprefix --package ,$(PROGRAMS) snmp-operator-tests) --bins
	@target/debug/demo

test: setup ## All checks and tests, with one summary at the end
	@tests/run lint unit chart interop e2e

unit: ## Tests of pure code: properties, snapshots, fuzz corpora, the codec against the agentx crate
	@tests/run unit

chart: ## Tests of the Helm chart: what it renders and refuses, and what its programs may do
	@tests/run chart

interop: setup ## Tests across processes: sidecar and master, with net-snmp, FRRouting, pysnmp and real exporters
	@tests/run interop

e2e: ## Tests in a real Kubernetes of one node, which is built and started for them; needs Go and root
	@tests/setup e2e
	@tests/run e2e

cluster-up: release ## Start that Kubernetes for yourself, with our images in it; CLUSTER_NAME=… for more than one
	@tests/setup e2e
	@tests/cluster/build
	@cargo build --quiet --package snmp-operator-tests --bin cluster
	@tests/cluster/run up
	@tests/cluster/run load

cluster-shell: ## A shell outside it, from which kubectl, helm and snmpwalk reach it
	@tests/cluster/run shell

cluster-down: ## End it and remove all there is of it
	@tests/cluster/run down

soak: setup ## The sidecar under random faults for SOAK_SECONDS (default 600), under SOAK_MASTER=ours or snmpd; SEED repeats one
	@cargo build --quiet $(addprefix --package ,$(PROGRAMS) snmp-operator-tests) --bins
	@SOAK_SECONDS=$(SOAK_SECONDS) SOAK_MASTER=$(SOAK_MASTER) SEED=$(SEED) target/debug/soak

lint: $(DENY) ## Format, clippy, documentation, dependencies
	@tests/run lint

release: ## The programs as they ship: static and stripped, into target/release-static
	@echo "building the static programs (minutes where they are not up to date: the whole of each is optimized at once)"
	@RUSTFLAGS="$(STATIC)" cargo build --quiet --locked --release --target $(HOST) --target-dir target/static \
	  $(addprefix --package ,$(PROGRAMS))
	@mkdir -p target/release-static
	@ln -f $(addprefix target/static/$(HOST)/release/,$(PROGRAMS)) target/release-static

bench: release $(BENCH_VENV)/installed ## Speed and memory beside the peers, into target/bench/report.md; ROWS="parser codec" for some alone
	@tests/setup bench
	@tests/setup e2e
	@tests/cluster/build
	@echo "building the bench (minutes the first time, cached under target/ after that)"
	@cargo build --quiet --profile bench-run --package snmp-operator-bench
	@$(AS_ROOT) target/bench-run/bench $(ROWS)

fuzz: ## Fuzz FUZZ_TARGETS (default all) for FUZZ_SECONDS each (default 60); needs a nightly toolchain
	@tests/fuzz $(or $(FUZZ_SECONDS),60) $(FUZZ_TARGETS)

generate: ## Write crds/*.yaml anew from the API types, and the chart's copies and docs/values.md
	@cargo run --quiet --package snmp-operator -- crds -o crds
	@charts/generate

setup: $(DENY) $(VENV)/installed ## Install what the tests need, once
	@tests/setup test
	@tests/setup e2e

$(DENY):
	@echo "building cargo-deny $(CARGO_DENY_VERSION) into target/tools (minutes, once)"
	@cargo install --quiet --locked --version $(CARGO_DENY_VERSION) --root target/tools --target-dir target/tools/build cargo-deny
	@rm -rf target/tools/build

$(VENV)/installed: tests/requirements.txt
$(VENV)/installed: TIER := test
$(BENCH_VENV)/installed: tests/bench/requirements.txt
$(BENCH_VENV)/installed: TIER := bench
$(VENV)/installed $(BENCH_VENV)/installed:
	@tests/setup $(TIER)
	@echo "installing $< into $(@D)"
	@rm -rf $(@D) && /usr/bin/python3 -m venv $(@D) && $(@D)/bin/pip install --quiet --requirement $<
	@touch $@

clean: ## Remove all that was built
	@! ls target/cluster/*/cluster.json 2>/dev/null || { echo "these clusters are up: take them down first" >&2; exit 1; }
	@rm -rf target
