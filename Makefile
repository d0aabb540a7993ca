# Two commands matter: `make run` shows the thing at work, `make test` shows that it holds. Both do their own set-up.

GO      ?= go
BIN     := bin
VERSION ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo dev)
LDFLAGS := -s -w -X main.version=$(VERSION)
STORY   ?= examples/trajectories/fix-a-failing-test.json
# Packages that need nothing but Go: run often and in any order, since they are quick.
PURE    := ./sandbox ./sandbox/wire ./sandbox/ledger ./transport/breaker ./actors/kit ./supervisor/config ./internal/cgroup ./internal/child ./internal/cli ./internal/reap

.DEFAULT_GOAL := help
.PHONY: help run build gvisor gvisor-test conform-test docker-test collector-test client-test vscode-test test test-ordinary test-repeat check lint vuln fuzz soak bench micro chaos setup clean

help: ## show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## /{printf "  make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

run: build ## build, then play the recorded story in a supervised sandbox
	@$(BIN)/sandtree run --trajectory $(STORY)

build: ## build bin/sandtree and bin/sandboxd (static)
	@.ci/setup run
	@mkdir -p $(BIN)
	CGO_ENABLED=0 $(GO) build -trimpath -ldflags '$(LDFLAGS)' -o $(BIN)/sandboxd ./cmd/sandboxd
	CGO_ENABLED=0 $(GO) build -trimpath -ldflags '$(LDFLAGS)' -o $(BIN)/sandtree ./cmd/sandtree

gvisor: ## build bin/sandtree-gvisor, the companion of the gvisor backend (80 MB; takes minutes the first time)
	@mkdir -p $(BIN)
	cd cmd/sandtree-gvisor && CGO_ENABLED=0 $(GO) build -trimpath -ldflags '-s -w' -o ../../$(BIN)/sandtree-gvisor .
	@# Once more, with the filters that it has made of itself: a sandbox starts faster by a third.
	$(BIN)/sandtree-gvisor filters >$(BIN)/filters.json && mv $(BIN)/filters.json cmd/sandtree-gvisor/filters/$$($(GO) env GOARCH).json
	cd cmd/sandtree-gvisor && CGO_ENABLED=0 $(GO) build -trimpath -ldflags '-s -w' -o ../../$(BIN)/sandtree-gvisor .

test: setup ## all tests, with the race detector
	@GO=$(GO) .ci/test ./...

test-repeat: setup ## the packages that need nothing installed, 20 times in random order
	$(GO) test -race -count=20 -shuffle=on -timeout 14m $(PURE)

conform-test: setup ## the conformance suite in every place that needs no container, and drivers on images
	CONFORM=1 GO=$(GO) .ci/test -count=1 -run 'TestConformance|OnImages' ./testing/runtimetest ./backends/local ./backends/jail

test-ordinary: setup ## the jail backend, as a user who is not root
	CONFORM=1 CI_PROMISES_ORDINARY="jail bash busybox ldd" .ci/ordinary ./backends/jail

chaos: setup ## exactly-once under fire, the long form: hundreds of kills
	CHAOS=full $(GO) test -race -count=1 -timeout 20m -run TestChaos -v ./testing/chaos

check: lint test conform-test test-ordinary test-repeat collector-test chaos bench micro ## what CI runs

lint: setup ## gofmt, vet, staticcheck, shellcheck
	@test -z "$$(gofmt -l . | tee /dev/stderr)" || { echo 'run gofmt -w on the files above'; exit 1; }
	$(GO) vet ./...
	$(GO) tool staticcheck ./...
	shellcheck .ci/*

docker-test: setup ## the docker backend at length: chaos, and all conformance cases inside containers
	CI=true CI_PROMISES="docker ldd" CHAOS=full CONFORM=1 $(GO) test -race -count=1 -timeout 14m ./backends/docker ./testing/dockerd

gvisor-test: setup gvisor ## the gvisor backend, as root, with its companion, which is built first
	@test -z "$$(gofmt -l cmd/sandtree-gvisor)" || { gofmt -l cmd/sandtree-gvisor; exit 1; }
	cd cmd/sandtree-gvisor && CGO_ENABLED=0 $(GO) test .
	CI=true CI_PROMISES="gvisor root cgroup" CONFORM=1 $(GO) test -race -count=1 -timeout 14m ./backends/gvisor

collector-test: ## traces against the OpenTelemetry collector's own receiver (a module of its own; a minute, the first time)
	@test -z "$$(gofmt -l testing/collector)" || { gofmt -l testing/collector; exit 1; }
	cd testing/collector && $(GO) vet ./... && $(GO) test -race -count=1 -timeout 10m ./...

client-test: ## drive sandboxd with the Python client of OpenHands, from PyPI (needs Python 3.12)
	@.ci/python-client

vscode-test: ## VS Code with a real code-server, which is installed from the npm registry first
	@program="$$(.ci/vscode)" && CODE_SERVER="$$program" $(GO) test -count=1 -run 'TestRealCodeServer' -v ./sandbox/server

vuln: ## known vulnerabilities in what we link (needs the Go vulnerability database)
	@.ci/vuln

fuzz: setup ## every fuzz target for FUZZTIME (default 60s; CI takes 10s) each
	@.ci/fuzz

soak: setup ## 10,000 commands and 32 sessions are exact (1 minute), 100,000 leave nothing (3)
	SOAK=full $(GO) test -count=1 -timeout 30m -run 'TestManyCommandsAreExact|TestCommandsLeaveNothing' -v ./sandbox/server

bench: setup ## speed as ratios to the bare machine, measured in one run; fails beyond the stated bounds
	@.ci/bench

micro: ## hot pieces against the base commit, as ratios; fails where one has become slower by a fifth, twice
	@.ci/micro

setup:
	@.ci/setup test
	@.ci/docker
	@.ci/mcp
	@.ci/promtool

clean: ## remove what was built
	rm -rf $(BIN)
