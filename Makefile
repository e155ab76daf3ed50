# Two commands set everything up: `make demo` (see it live) and `make test` (prove it).
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed

CORPORA ?= corpora

.PHONY: install demo up unit test test-containers test-upgrade coverage check bench bench-search fuzz bench-auth score-auth score-bounces docs lock clean

install: $(INSTALLED)

$(INSTALLED): requirements.lock pyproject.toml
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@echo "Installing into $(VENV) (once, a minute or two) ..."
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements.lock
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --editable .
	@$(BIN)/python -m local.install_kafka
	@$(BIN)/python -m local.install_axe
	@$(BIN)/python -m local.install_clickhouse
	@$(BIN)/python -m local.install_helm
	@$(BIN)/python -m local.install_s3proxy
	@$(BIN)/python -m local.install_canaille
	@touch $@

demo: $(INSTALLED)
	@exec $(BIN)/mailscope demo

up: $(INSTALLED)
	@exec $(BIN)/mailscope up

# Pure tests: no broker, no network, seconds.
unit: $(INSTALLED)
	@$(BIN)/python -m pytest tests/unit

test: $(INSTALLED)
	@$(BIN)/python -m pytest -m "not long" --numprocesses 2 --dist loadfile tests/unit tests/integration
	@$(BIN)/python -m pytest -m "not long and not alone" --numprocesses 2 --dist loadfile tests/e2e
	@$(BIN)/python -m pytest -m "not long and alone" tests/e2e tests/chaos

# All storms, the long ones too; each prints its seed and what it counted.
chaos: $(INSTALLED)
	@$(BIN)/python -m pytest -s tests/chaos
	@$(BIN)/python -m pytest -s -m long tests/e2e

# The real Dockerfile and docker-compose.yml, used and killed; needs a running dockerd and docker-compose, as root. By hand.
test-containers: $(INSTALLED)
	@$(BIN)/python -m tests.containers.try_compose

# Stage by stage from an earlier commit to this one, while mail goes on: make test-upgrade FROM=HEAD~1
test-upgrade: $(INSTALLED)
	@FROM=$(FROM) $(BIN)/python -m pytest -s -m long -k upgrade tests/chaos/test_rolling.py

# What the unit tests reach; what all tests reach, in all processes: make coverage SUITE=
SUITE ?= tests/unit
coverage: $(INSTALLED)
	@$(BIN)/coverage erase
	@$(BIN)/coverage run -m pytest $(SUITE)
	@$(BIN)/coverage combine --quiet
	@$(BIN)/coverage report

check: $(INSTALLED)
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/python -m commands.write_docs --check

# How long each page takes over a log of ROWS mails; with FOLDER, the log is kept for the next time.
ROWS ?= 1000000
FOLDER ?=
bench-search: $(INSTALLED)
	@$(BIN)/python -W ignore -m tests.benchmarks.bench_pages $(ROWS) $(FOLDER)

bench: $(INSTALLED)
	@$(BIN)/python -m tests.benchmarks.run

# The pure readers against hostile input, SECONDS each: make fuzz SECONDS=450 is an hour. What it finds is left in FUZZ.
SECONDS ?= 60
FUZZ ?= .fuzz
fuzz: $(INSTALLED)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable ".[fuzz]"
	@for target in $$($(BIN)/python -c "from tests.fuzz.readers import TARGETS; print(*TARGETS)"); do \
	  echo "$$target, $(SECONDS) s"; \
	  $(BIN)/python -m tests.fuzz.fuzz_readers $$target $(FUZZ)/$$target $(SECONDS) 2> $(FUZZ)-$$target.log \
	    || { tail -30 $(FUZZ)-$$target.log; exit 1; }; \
	done

# Authentication against other people's suites: make score-auth CORPORA=folder
score-auth: $(INSTALLED)
	@$(BIN)/python -m tests.score.score_auth $(CORPORA)

# Reports and bounces against other people's labels: make score-bounces CORPORA=folder
score-bounces: $(INSTALLED)
	@$(BIN)/python -m tests.score.score_bounces $(CORPORA)

bench-auth: $(INSTALLED)
	@$(BIN)/python -m tests.benchmarks.bench_auth

docs: $(INSTALLED)
	@$(BIN)/python -m commands.write_docs

# The lock holds names and versions only, never an address.
lock:
	@$(BIN)/python -m pip install --quiet uv
	@$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --extra dev --extra local --no-header --no-annotate --no-emit-index-url -o requirements.lock pyproject.toml

clean:
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache
