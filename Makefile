# Everything that CI does, anyone can do: make test, make lint.

GO      ?= go
FUZZ    ?= 10s
KEEP    ?= 8
ROUNDS  ?= 300
KILLS   ?= 30
SOAK    ?=

.PHONY: build demo test scan-score lint bench bench-parts bench-go fuzz torture soak-core soak parts clean

build: ## one static binary: bin/coffer
	CGO_ENABLED=0 $(GO) build -trimpath -ldflags '-s -w' -o bin/coffer ./cmd/coffer

demo: ## the main job, end to end, in a temporary folder
	$(GO) run ./cmd/coffer demo

parts: ## install from Debian's packages what the tests need and is missing
	./scripts/parts

test: parts ## all tests: race detector, shuffled, real clients and programs
	CGO_ENABLED=1 $(GO) test -race -shuffle=on -timeout 15m $$($(GO) list ./... | grep -v '/internal/rotationsoak$$')
	CGO_ENABLED=1 $(GO) test -race -shuffle=on -timeout 15m ./internal/rotationsoak # a load, which others would starve
	cd conformance && CGO_ENABLED=1 $(GO) test -race -shuffle=on -timeout 15m ./...
	cd examples/go && CGO_ENABLED=1 $(GO) test -race -shuffle=on -timeout 5m ./...
	cd bench && CGO_ENABLED=1 $(GO) test -race -shuffle=on -timeout 5m ./...
	./scripts/fuzz -t 1s -b 90

scan-score: ## recall and precision of the scanner on its labelled samples; FAULTS=-faults lists the misses
	$(GO) test -v -count=1 -run TestScore ./scan $(FAULTS)

lint: ## gofmt, vet, staticcheck, govulncheck
	./scripts/lint

bench: build bench-parts ## coffer beside baselines of the same run: docs/performance.md
	cd bench && $(GO) run . -coffer ../bin/coffer -out ../docs/performance.md $(BENCH)

bench-parts: ## install from Debian's packages what bench needs and is missing
	./bench/parts

bench-go: ## the Go benchmarks of single packages, with their allocations
	$(GO) test -run '^$$' -bench . -benchmem ./...

fuzz: ## every fuzz target for FUZZ each; KEEP inputs of each that add coverage stay
	./scripts/fuzz -t $(FUZZ) -k $(KEEP)

torture: ## kill the server ROUNDS times under load; nothing acknowledged may be lost
	$(GO) test -v -count=1 -timeout 0 ./internal/torture -torture.rounds=$(ROUNDS)

soak-core: ## use the server, built with the race detector, for SOAK (10m); nothing may grow
	$(GO) test -v -count=1 -timeout 0 ./internal/soak -run TestNothingGrows -soak.time=$(or $(SOAK),10m)

soak: parts ## rotate under load for SOAK (1m), not one request may fail: docs/rotation-soak.svg; then kill -9, KILLS times
	$(GO) test -v -count=1 -timeout 0 ./internal/rotationsoak -soak.time=$(or $(SOAK),1m) -soak.kills=$(KILLS) -soak.svg=$(CURDIR)/docs/rotation-soak.svg

clean:
	rm -rf bin
