# Duly. `make` lists what there is.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
PYTHON ?= $(shell requirements/python.sh)
BIN := .venv/bin
MEMBERS := $(wildcard libs/* services/* tools/*) training
STAMP := .venv/.ready
COMPILED := .venv/.compiled
PEERS := $(or $(DULY_STATE),.duly)/peers/.ready
export PYTHONDONTWRITEBYTECODE =

##@ Start
setup: $(STAMP) ## Make the environment (.venv, with the duly command)
up: setup $(COMPILED) ## Start the stack with an empty ledger; Ctrl-C ends it
	@$(BIN)/duly up $(ARGS)
demo: setup $(COMPILED) ## Play a company's receivables; LEDGER=DIR takes your own ledger, ARGS= goes to `duly demo`
	@$(BIN)/duly demo $(if $(LEDGER),--ledger "$(LEDGER)") $(ARGS)
demo-once: setup $(COMPILED) ## The same, checked and ended: exits 0 only if every check holds
	@$(BIN)/duly demo --once $(if $(LEDGER),--ledger "$(LEDGER)") $(ARGS)
down: ## Stop a running stack
	@if [ -x $(BIN)/duly ]; then $(BIN)/duly down; fi
purge: down ## Remove everything that was made here: runs, jars, models, environment
	@if [ -z "$${DULY_STATE:-}" ]; then rm -rf .duly; \
	  elif [ -x $(BIN)/duly ]; then $(BIN)/duly purge; \
	  else echo "$$DULY_STATE is left: without $(BIN)/duly nobody can tell whether it is ours" >&2; fi
	@rm -rf .venv
	@echo "removed $${DULY_STATE:-.duly} and .venv"

##@ Test
test: setup $(COMPILED) ## The whole test suite
	@$(BIN)/python -m pytest -n 2 $(or $(T),libs services training tools tests bench) $(ARGS)
unit: setup ## Fast tests only: no servers
	@$(BIN)/python -m pytest -q -m "not kafka and not postgres and not docker and not sockets and not slow" $(ARGS)
test-chaos: setup $(COMPILED) ## scoring killed, frozen, joined and simulated: SEEDS=100, SHELL_KIND=batch|take, ARGS="--first 7"
	@$(BIN)/python -m duly_chaos --seeds $(or $(SEEDS),100) $(if $(SHELL_KIND),--shell $(SHELL_KIND)) $(ARGS)
parity: setup $(COMPILED) ## Training, back-test and a worker that is killed read one log: equal bytes; EVENTS=100000
	@DULY_PARITY_EVENTS=$(or $(EVENTS),100000) $(BIN)/python -m pytest -s -v tests/integration/parity $(ARGS)
chaos: setup $(COMPILED) ## Kill services at random while a demo plays; SEED=n
	@$(BIN)/duly demo --once --chaos $(or $(SEED),1) $(ARGS)
test-docker: images ## Build the images and test them; needs a Docker engine
	@DULY_REQUIRE=docker $(BIN)/python -m pytest -m docker tests/docker $(ARGS)

##@ Quality
check: setup lint types arch proto-check generated manifests ## Everything that can be checked without running the system
lint: setup ## ruff: style, names, imports
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
types: setup ## mypy, strict
	@$(BIN)/mypy $(foreach member,$(MEMBERS),$(wildcard $(member)/src/duly_* $(member)/src/[a-ce-z]*)) bench
	@MYPYPATH=deploy/k8s $(BIN)/mypy -p manifest_checks
arch: setup ## Who may import whom; docs, topics and settings against the code
	@$(BIN)/lint-imports
	@$(BIN)/python -m pytest -q tests/architecture
proto-check: setup ## buf: lint, and no breaking change against the last release of the contracts
	@cd proto && ../$(BIN)/buf lint
	@cd proto && ../$(BIN)/buf breaking --against ../libs/contracts/released.binpb
generated: setup ## Nothing generated is stale
	@$(BIN)/python proto/generate_stubs.py --check
	@$(BIN)/python docs/generate_reference.py --check
	@$(BIN)/python deploy/k8s/generate_topics.py --check
manifests: setup ## Render and check the Kubernetes manifests, offline
	@$(BIN)/python -m pytest -q tests/manifests
fix: setup ## Let ruff mend what it can
	@$(BIN)/ruff check --fix .
	@$(BIN)/ruff format .

##@ Generate
generate: setup ## Stubs, reference pages, README tables, topic manifests
	@$(BIN)/python proto/generate_stubs.py
	@$(BIN)/python docs/generate_reference.py
	@$(BIN)/python deploy/k8s/generate_topics.py
lock: setup ## Resolve requirements/*.in into hashed files
	@requirements/lock.sh

##@ Deploy
images: setup ## Build the five images; needs a Docker engine
	@deploy/docker/build.sh

##@ Measure
bench: setup $(COMPILED) ## Throughput and latency of the hot paths, as JSON
	@$(BIN)/python -m bench $(ARGS)
bench-peers: setup $(PEERS) ## The engine job on our shells, Faust, Quix Streams and aiokafka, each tuned and checked
	@$(BIN)/python -m bench.peers $(ARGS)

bench-load: setup $(COMPILED) ## One scoring worker on a ramp, then at a peak with a hot debtor and a tick: figures; SHELL_KIND=batch|take
	@$(BIN)/python -m duly_chaos --load $(if $(SHELL_KIND),--shell $(SHELL_KIND)) $(ARGS)

##@ Model
train: setup ## Train on a ledger export and register the model: LEDGER=DIR, by default the simulated company's
	@$(BIN)/duly train $(if $(LEDGER),--ledger "$(LEDGER)") $(ARGS)
evaluate: setup ## Judge the model at rolling monthly origins of a ledger: LEDGER=DIR, ARGS="--months 9"
	@$(BIN)/duly evaluate $(if $(LEDGER),--ledger "$(LEDGER)") $(ARGS)
backtest: setup ## What would have been predicted: LEDGER=DIR, ARGS="--known-until 2026-01-01 --out predictions.csv"
	@$(BIN)/duly backtest $(if $(LEDGER),--ledger "$(LEDGER)") $(ARGS)
judge: setup ## What became of it, as JSON: LEDGER=DIR, ARGS="--predictions predictions.csv"
	@$(BIN)/duly judge $(if $(LEDGER),--ledger "$(LEDGER)") $(ARGS)
promote: $(if $(V),setup) ## Let a registered version score, from the next business date on: V=2
	@$(if $(V),,echo "say which version: make promote V=2" >&2; exit 2;) $(BIN)/duly promote $(V) $(ARGS)
rollback: setup ## Back to the version before, at once: V=1 that one, V=rules no model
	@$(BIN)/duly rollback $(if $(V),--to $(V)) $(ARGS)

help: ## This list
	@awk 'BEGIN {FS = ":.*## "} /^##@ / {printf "\n%s\n", substr($$0, 5)} /^[a-z-]+:.*## / {printf "  make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

$(STAMP): requirements/dev.txt requirements/bootstrap.txt requirements/compiler.txt $(addsuffix /pyproject.toml,$(MEMBERS)) \
  $(wildcard libs/booster/src/duly_booster/setwalk.*)
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Duly needs Python 3.11 or newer, this is %d.%d. Say which: make PYTHON=python3.12" % sys.version_info[:2])'
	@echo "environment: 1/3 folder, of $(PYTHON)"; test -x $(BIN)/python || $(PYTHON) -m venv .venv
	@echo "environment: 2/3 packages, each checked against its hash"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements/bootstrap.txt
	@$(BIN)/uv pip sync --quiet --python $(BIN)/python --require-hashes --compile-bytecode requirements/dev.txt
	@echo "environment: 3/3 Duly itself"
	@$(BIN)/uv pip install --quiet --python $(BIN)/python --no-deps --no-build-isolation $(addprefix -e ./,$(MEMBERS))
	@$(BIN)/python -m duly_booster.build --require 2>/dev/null || \
	  { $(BIN)/uv pip install --quiet --python $(BIN)/python --require-hashes -r requirements/compiler.txt 2>/dev/null || true; \
	    $(BIN)/python -m duly_booster.build; }
	@touch $@

$(COMPILED): $(STAMP) $(wildcard $(addsuffix /*.py,libs/contracts/src/duly_contracts libs/risk/src/duly_risk libs/compiled/src/duly_compiled \
             services/scoring/src/scoring/application services/scoring/src/scoring/domain))
	@echo "the step of scoring: compiled by mypyc, a minute where it has changed"
	@$(BIN)/python -m duly_compiled.build
	@touch $@

$(PEERS): requirements/peers.txt $(STAMP)
	@echo "environment of the peers: packages, each checked against its hash"
	@$(BIN)/uv venv --quiet --allow-existing --python $(BIN)/python $(@D)
	@$(BIN)/uv pip sync --quiet --python $(@D)/bin/python --require-hashes --compile-bytecode requirements/peers.txt
	@touch $@

.PHONY: setup up demo demo-once down purge test unit test-chaos parity chaos test-docker check lint types arch proto-check generated manifests fix generate lock images bench bench-load train evaluate backtest judge promote rollback help bench-peers
