# Every target does its own set-up. On a machine with git, make and python3 nothing else is needed.
SHELL := /bin/bash
PYTHON ?= python3
VENV := .venv
UV := $(VENV)/bin/uv
export TZ ?= UTC
# Tests start hundreds of programs. Each would else compile all its modules again.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: run setup servers test check jobs certificates format soak clocks bench bench-full docs audit wheel release image clean help

help: ## list the targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 10

setup: $(VENV)/.ready ## make .venv with the locked dependencies and bin/liushui

$(UV):
	@$(PYTHON) -c 'import sys; sys.exit("liushui needs Python 3.11 or later, this is " + sys.version.split()[0]) if sys.version_info < (3, 11) else None'
	@echo "Installing the locked dependencies into $(VENV). This usually takes about a minute, once."
	@$(PYTHON) -m venv $(VENV)
	@$(VENV)/bin/python -m pip install --quiet --disable-pip-version-check "uv>=0.9"

$(VENV)/.ready: $(UV) pyproject.toml uv.lock
	@$(UV) sync --frozen --quiet --inexact --compile-bytecode --python $(VENV)/bin/python
	@touch $@

run: setup ## simulate the providers, sync every account, serve: the whole journey, nothing to configure
	@exec $(VENV)/bin/liushui demo

servers: ## what tests need beside Python: PostgreSQL, Chromium, libfaketime, systemd, nginx, hledger, ledger, pdftotext, a Chinese font
	@tools/servers

# One worker more than cores, because many tests wait for a server or a browser. Files in the order of tests/conftest.py,
# which begins with those that take long. Ledgers are written and synced to the disk thousands of times, so that they are
# kept in memory where it has room for them.
WORKERS = $$($(VENV)/bin/python -c 'import os; print((os.cpu_count() or 1) + 1)')
MEMORY = $$(df --output=avail /dev/shm 2>/dev/null | awk 'NR == 2 && $$1 > 4000000 { print "TMPDIR=/dev/shm" }')

test: setup servers ## every test, files side by side on all cores
	$(VENV)/bin/python -m compileall -q src tests soak bench
	env $(MEMORY) $(VENV)/bin/python -m pytest --numprocesses $(WORKERS) --dist loadfile --no-loadscope-reorder

check: setup ## format, lint, types, licences, and known vulnerabilities of the packages
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/ruff check .
	$(VENV)/bin/mypy
	$(VENV)/bin/python -m tools.licences >/dev/null || { $(VENV)/bin/python -m tools.licences; exit 1; }
	@# 3: the advisory service was not reached, which it says. A known hole is an error.
	$(VENV)/bin/python -m tools.audit || [ $$? -eq 3 ]

jobs: setup servers ## the jobs of a finance person in Chromium, in every width, language and theme
	env $(MEMORY) LIUSHUI_TEST_JOBS=all $(VENV)/bin/python -m pytest --numprocesses auto --dist load tests/web/jobs

certificates: setup ## change 10,000 single bytes of certificates, rows and proofs, and accept 1,000 as they are
	LIUSHUI_TEST_CHANGES=10000 LIUSHUI_TEST_CERTIFICATES=1000 \
	  $(VENV)/bin/python -m pytest --timeout 7200 --durations 9 tests/certificate/test_checker.py

format: setup ## rewrite the code to the house's format
	$(VENV)/bin/ruff format .
	$(VENV)/bin/ruff check --fix .

soak: setup ## ten thousand seeded syncs under faults, kills and deviations, and their tally; ARGS="--runs 300"
	$(VENV)/bin/python -m soak --deviations --runs 10000 $(ARGS)

clocks: setup servers ## syncs of every provider with wrong clocks, in any order, with rates and kills: half an hour
	$(VENV)/bin/python -m pytest --numprocesses auto tests/sync/long_clocks.py

bench: setup ## measure against peers, as ratios in one run; ARGS="--only sync"
	$(UV) sync --frozen --quiet --inexact --group bench --python $(VENV)/bin/python
	$(VENV)/bin/python -m bench $(ARGS)

bench-full: setup ## the same with a million flows, and ten million where sizes are compared: over an hour
	$(UV) sync --frozen --quiet --inexact --group bench --python $(VENV)/bin/python
	$(VENV)/bin/python -m bench --flows 1000000 --memory-flows 100000 10000000 $(ARGS)

docs: setup ## write the generated pages again
	$(VENV)/bin/python -m tools.docgen

audit: setup ## known vulnerabilities of the packages; fails also where that cannot be told
	$(VENV)/bin/python -m tools.audit

wheel: setup ## build the wheel into dist/
	rm -f dist/liushui-*.whl
	$(VENV)/bin/python -m hatchling build --target wheel

release: check audit wheel ## the wheel, the source, and the list of all packages with their digests (SBOM, CycloneDX)
	$(VENV)/bin/python -m hatchling build --target sdist
	$(UV) export --frozen --quiet --no-dev --all-extras --format cyclonedx1.5 \
	  --output-file dist/liushui-$$($(VENV)/bin/liushui --version | cut -d' ' -f2).cdx.json

image: wheel ## build the container image localhost/liushui from Debian and the wheel; needs buildah and mmdebstrap
	$(UV) export --frozen --quiet --no-dev --no-emit-project --output-file dist/requirements.txt
	deploy/image/build dist/liushui-*.whl dist/requirements.txt
	deploy/image/check localhost/liushui:$$($(VENV)/bin/liushui --version | cut -d' ' -f2)

clean: ## remove everything that was made
	rm -rf $(VENV) .cache .mypy_cache .ruff_cache .pytest_cache .hypothesis build dist
