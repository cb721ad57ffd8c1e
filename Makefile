# Everything a person or CI calls. `make help` lists it.
SHELL := /bin/bash
.DEFAULT_GOAL := help
PY := .venv/bin/python
# Many tests wait for a broker: two processes take little more than half the time of one. JOBS=0 runs them in one.
JOBS ?= 2
AT_ONCE := -n $(JOBS) --dist loadscope --no-loadscope-reorder

.PHONY: help install runtime demo test check bench chaos attacks fuzz docs format clean

help: ## list the targets
	@grep -hE '^[a-z]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-9s %s\n", $$1, $$2}'

install: ## install what is missing: Python environment in .venv, RabbitMQ; for the tests a JDK, Node and a browser
	@scripts/setup all

runtime: ## install only what the relay itself and its sandbox need: Python environment, RabbitMQ
	@scripts/setup runtime

demo: runtime ## see it run: a private broker, four levels of agencies, real documents, receipts and statuses
	@.venv/bin/truc demo

test: install ## run the tests (the long fault campaign in its short form); ARGS='-k word' narrows them
	@scripts/in-memory $(PY) -m pytest --ignore=tests/house $(AT_ONCE) $(ARGS)

check: install ## style, types, import rules, documentation, licences, packaging
	@$(PY) -m ruff check .
	@$(PY) -m ruff format --check .
	@$(PY) -m mypy
	@$(PY) -m pytest tests/house $(ARGS)

bench: install ## measure format and verification beside bare parser and libxmlsec1, then the whole path beside the bare broker, as docs/benchmarks.md shows it
	@$(if $(ARGS),,.venv/bin/truc bench --format && .venv/bin/truc bench --trust &&) .venv/bin/truc bench $(ARGS)

chaos: install ## the long fault campaign: kills and cuts with many seeds
	@$(PY) -m pytest tests -m campaign $(ARGS)

attacks: install ## the attack corpus with its mutants; then 10,000 documents judged by us, by libxmlsec1 and by the JDK
	@$(PY) -m pytest tests/attacks $(AT_ONCE)
	@$(PY) -m tests.differential --documents 10000 $(ARGS)

fuzz: install ## the long fuzz run: a million inputs for each parser, guided by coverage; ARGS='package --runs 3000000'
	@$(PY) -m tests.fuzz $(ARGS)

docs: install ## write the generated pages anew: commands, configuration, errors, metrics
	@$(PY) -m scripts.gendocs

format: install ## let ruff put the code in order
	@$(PY) -m ruff check --fix-only --quiet .
	@$(PY) -m ruff format --quiet .

clean: ## remove what was built or cached (not .venv)
	@rm -rf build dist .mypy_cache .pytest_cache .ruff_cache .hypothesis
	@find . -name __pycache__ -type d -not -path './.venv/*' -prune -exec rm -rf {} +
