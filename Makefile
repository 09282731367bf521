# Everything a person or the CI does here. `make help` lists it.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.ONESHELL:
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory

export CARGO_TARGET_DIR ?= $(HOME)/.cache/matrixon/target

CARGO ?= cargo
RELEASE := $(CARGO_TARGET_DIR)/release
# the program under test; set MATRIXON_BIN to try another build
MATRIXON_BIN ?= $(RELEASE)/matrixon
CLUSTER_BIN := $(RELEASE)/matrixon-cluster

# where .ci/install and the cluster's scripts put helm and kubeconform
TOOLS := $(or $(MATRIXON_CACHE),$(HOME)/.cache/matrixon)/bin:/var/cache/matrixon-k8s/bin

# make cluster: where it lives, processes of each role, further options, what to do to it
DIR ?= /tmp/mx
REPLICAS ?=
ARGS ?=
CMD ?= status
# make soak: for how many seconds
SOAK ?= 3600

.PHONY: help run build test lint fmt bench dashboards discovery traces versions soak cluster cluster-ctl cluster-down chart image k8s-up k8s-down k8s-test

help: ## This list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /\1\t/' | expand -t 16

run: ## The homeserver as one process on SQLite, in ./data (ARGS: more arguments)
	@exec $(CARGO) run --release --package matrixon --bin matrixon -- serve $(ARGS)

build: ## The release binaries of the server and of the development cluster
	@$(CARGO) build --release --package matrixon --package matrixon-testkit --bins

fmt: ## Format the sources
	@$(CARGO) fmt --all

lint: ## Formatting and clippy, warnings are errors
	@$(CARGO) fmt --all --check
	$(CARGO) clippy --workspace --all-targets -- -D warnings

test: ## All there is to check: lints, tests in both topologies, foreign clients (installs what is missing)
	@.ci/install
	$(MAKE) lint
	$(MAKE) chart
	.ci/rules
	$(CARGO) test --workspace --no-run
	.ci/clients
	MATRIXON_BIN="$(CARGO_TARGET_DIR)/debug/matrixon" .ci/s3-backup
	MATRIXON_BIN="$(CARGO_TARGET_DIR)/debug/matrixon" MATRIXON_CLUSTER_BIN="$(CARGO_TARGET_DIR)/debug/matrixon-cluster" .ci/openapi/run single cluster
	$(CARGO) test --workspace

bench: build ## A short load test of both topologies with a report (OUT: where; PEERS: servers to compare with; ARGS)
	@$(CARGO) build --release --package matrixon-loadtest
	MATRIXON_BIN="$(MATRIXON_BIN)" .ci/bench $(ARGS)

dashboards: build ## Every panel of every dashboard against a real Prometheus and a loaded cluster
	@MATRIXON_BIN="$(MATRIXON_BIN)" MATRIXON_CLUSTER_BIN="$(CLUSTER_BIN)" .ci/dashboards

discovery: build ## Discovery against a real API server (etcd, kube-apiserver, kubectl in K8S_BIN)
	@MATRIXON_BIN="$(MATRIXON_BIN)" MATRIXON_CLUSTER_BIN="$(CLUSTER_BIN)" .ci/k8s-discovery

traces: build ## The trace of one send as a real OpenTelemetry collector gets it (needs Go, which builds the collector)
	@MATRIXON_BIN="$(MATRIXON_BIN)" MATRIXON_CLUSTER_BIN="$(CLUSTER_BIN)" .ci/otlp-collector/run

versions: ## An upgrade from the release at PREVIOUS (a binary) and back, under load: nothing fails
	@MATRIXON_PREVIOUS_BIN="$(PREVIOUS)" $(CARGO) test --release --package matrixon --test faults -- versions

soak: build ## A random process killed every 3 s under load, for SOAK seconds (3600): nothing lost, nothing doubled
	@MATRIXON_SOAK_SECONDS="$(SOAK)" $(CARGO) test --release --package matrixon --test faults -- random_kills

cluster: build ## Start a development cluster: DIR, REPLICAS, ARGS="--topology … --set … --replicas role=N --profile load"
	@MATRIXON_BIN="$(MATRIXON_BIN)" $(CLUSTER_BIN) up --dir "$(DIR)" $(if $(REPLICAS),--replicas $(REPLICAS)) $(ARGS)

cluster-ctl: $(CLUSTER_BIN) ## DIR, CMD="status | kill ROLE INDEX | stop ROLE INDEX | start ROLE INDEX" (also postgres, redis, nats)
	@$(CLUSTER_BIN) ctl --dir "$(DIR)" $(CMD)

cluster-down: $(CLUSTER_BIN) ## End the cluster in DIR, whatever state it is in; its files stay
	@$(CLUSTER_BIN) down --dir "$(DIR)"

chart: ## Render and check the Helm chart and k8s/ with all sets of values, compose files, units, proxies
	@PATH="$(TOOLS):$$PATH" charts/check
	docker/check

image: build ## The container image as IMAGE (localhost/matrixon:dev) in OUT (matrixon-image.tar); needs no Docker and no registry
	@docker/image "$(MATRIXON_BIN)" "$(or $(IMAGE),localhost/matrixon:dev)" "$(or $(OUT),matrixon-image.tar)"

k8s-up: build ## A Kubernetes cluster (K8S: its scripts) with the chart installed, every role twice: http://127.0.0.1:30008
	@MATRIXON_BIN="$(MATRIXON_BIN)" k8s/up $(ARGS)

k8s-down: ## End that cluster
	@k8s/down

k8s-test: k8s-up ## Restart, upgrade, scale, drain and kill it under load (CASES: some of install restart upgrade scale hpa drain kill)
	@$(CARGO) build --release --package matrixon-loadtest
	LOADTEST="$(RELEASE)/matrixon-loadtest" k8s/test/run $(CASES)

$(CLUSTER_BIN):
	@$(CARGO) build --release --package matrixon-testkit --bins
