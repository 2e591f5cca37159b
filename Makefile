# `make help` lists the targets. On a fresh Debian machine with Rust, every target installs what it needs.

CARGO_DENY_VERSION := 0.20.2
DENY := target/tools/bin/cargo-deny
VENV := target/venv
BENCH_VENV := target/bench/venv
PROGRAMS := snmp-master snmp-operator snmp-sidecar
HOST := $(shell rustc --print host-tuple)
# Static and at a fixed address, so that no relocations are written when the program starts.
STATIC := -C target-feature=+crt-static -C relocation-model=static
ifneq ($(filter x86_64-%,$(HOST)),)
# Rust's own linker, the default on this platform, can also fold identical functions.
STATIC += -C link-arg=-Wl,--icf=all
endif
# Test clusters need root. PATH is kept, because sudo would change it.
AS_ROOT := $(if $(filter-out 0,$(shell id -u)),sudo --preserve-env env "PATH=$(PATH)")

.DEFAULT_GOAL := help
.PHONY: help demo test unit chart interop e2e cluster-up cluster-down cluster-shell soak lint release bench fuzz generate setup clean

help: ## Lists the targets
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / { printf "  make %-13s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

demo: ## Runs the main job end to end on this machine: SnmpSubtree files in, an SNMP walk out
	@tests/setup demo
	@echo "building the programs (takes minutes the first time; cached below target/)"
	@cargo build --quiet $(addprefix --package ,$(PROGRAMS) snmp-operator-tests) --bins
	@target/debug/demo

test: setup ## Runs all checks and tests, with a summary at the end
	@tests/run lint unit chart interop e2e

unit: ## Tests pure code: properties, snapshots, fuzz corpora, and the codec against the agentx crate
	@tests/run unit

chart: ## Tests the Helm chart: renderings, values, and the rights of its programs
	@tests/run chart

interop: setup ## Tests sidecar and master together with net-snmp, FRRouting, pysnmp and real exporters
	@tests/run interop

e2e: ## Builds and starts a real Kubernetes with one node, and tests in it; needs Go and root
	@tests/setup e2e
	@tests/run e2e

cluster-up: release ## Starts that Kubernetes for your own use, with our images; CLUSTER_NAME=… for more than one
	@tests/setup e2e
	@tests/cluster/build
	@cargo build --quiet --package snmp-operator-tests --bin cluster
	@tests/cluster/run up
	@tests/cluster/run load

cluster-shell: ## Opens a shell outside the cluster, from which kubectl, helm and snmpwalk reach it
	@tests/cluster/run shell

cluster-down: ## Stops the cluster and removes all its files
	@tests/cluster/run down

soak: setup ## Runs the sidecar under random faults for SOAK_SECONDS (default 600); SOAK_MASTER=ours or snmpd, SEED repeats a run
	@cargo build --quiet $(addprefix --package ,$(PROGRAMS) snmp-operator-tests) --bins
	@SOAK_SECONDS=$(SOAK_SECONDS) SOAK_MASTER=$(SOAK_MASTER) SEED=$(SEED) target/debug/soak

lint: $(DENY) ## Checks format, clippy, documentation and dependencies
	@tests/run lint

release: ## Builds the programs as they ship, static and stripped, into target/release-static
	@echo "building the static programs (takes minutes, because each program is optimized as a whole)"
	@RUSTFLAGS="$(STATIC)" cargo build --quiet --locked --release --target $(HOST) --target-dir target/static \
	  $(addprefix --package ,$(PROGRAMS))
	@mkdir -p target/release-static
	@ln -f $(addprefix target/static/$(HOST)/release/,$(PROGRAMS)) target/release-static

bench: release $(BENCH_VENV)/installed ## Compares speed and memory with other programs, into target/bench/report.md; ROWS="parser codec" selects groups
	@tests/setup bench
	@tests/setup e2e
	@tests/cluster/build
	@echo "building the bench (takes minutes the first time; cached below target/)"
	@cargo build --quiet --profile bench-run --package snmp-operator-bench
	@$(AS_ROOT) target/bench-run/bench $(ROWS)

fuzz: ## Runs FUZZ_TARGETS (default all) for FUZZ_SECONDS each (default 60); needs a nightly toolchain
	@tests/fuzz $(or $(FUZZ_SECONDS),60) $(FUZZ_TARGETS)

generate: ## Generates crds/*.yaml from the API types, the chart's copies, and docs/values.md
	@cargo run --quiet --package snmp-operator -- crds -o crds
	@charts/generate

setup: $(DENY) $(VENV)/installed ## Installs what the tests need, once
	@tests/setup test
	@tests/setup e2e

$(DENY):
	@echo "building cargo-deny $(CARGO_DENY_VERSION) into target/tools (takes minutes, once)"
	@cargo install --quiet --locked --debug --version $(CARGO_DENY_VERSION) --root target/tools --target-dir target/tools/build cargo-deny
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

clean: ## Removes everything that was built
	@! ls target/cluster/*/cluster.json 2>/dev/null || { echo "these clusters are running: stop them first with make cluster-down" >&2; exit 1; }
	@rm -rf target
