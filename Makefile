# Everything runs in a virtual environment that the first target makes. On a bare Debian or Ubuntu:
#   apt-get install -y git make python3 python3-venv
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
OUT ?= build/ct
N ?= 2700
SEED ?= 0
# One more than the processors: tests that wait for a browser, a cluster or a store leave theirs to another.
JOBS ?= 3
CT_CORPUS := $(OUT)/corpus

# Hundreds of processes of the suite import the same modules, and each of its own reads six hundred files of tests: they
# are compiled once, also where the environment asks for no bytecode.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: help ct test test-rest test-lowest coverage flaky lint docs bench fuzz fuzz-parsers chaos sbom audit docs-commands mutants pages serve clean
help:
	@echo "make ct     phantom CT in DICOM -> corpus -> training -> zero-shot report ($(OUT)/report/index.html), 10 to 25 minutes on 2 cores"
	@echo "make test   the whole test suite, in JOBS processes (3)"
	@echo "make test-rest  what the suite has one of and CI runs all of: the other configs, domains, widths and cases"
	@echo "make test-lowest  make test with the oldest libraries that the bounds of pyproject.toml allow (10 GB of disk)"
	@echo "make coverage  the same as make test, and which lines and branches of the core it runs"
	@echo "make flaky  the suite RUNS times (50, hours): is there a test that fails now and then?"
	@echo "make lint   ruff, the order of layers (import-linter) and mypy --strict"
	@echo "make docs   the documentation as a site (build/site/index.html); a link that leads nowhere is an error"
	@echo "make bench  speed and memory side by side with other tools, on one page (build/bench/index.html), hours; BENCH=--quick a quarter of an hour"
	@echo "make mutants does a test die when the code lies? Some 480 listed mutations, some two hours on 2 cores"
	@echo "make docs-commands  every command of README and docs, from a wheel of this checkout in an environment of its own"
	@echo "make chaos  commands disturbed by full disks, failing calls, kills, power cuts and clocks: is every byte right in the end?"
	@echo "make fuzz-parsers  a million hostile inputs for every parser, guided by coverage; half an hour on one core"
	@echo "make sbom   what an installed voxtile consists of, with licences, as CycloneDX (build/sbom.json)"
	@echo "make audit  known vulnerabilities of what is installed (needs the internet), and licences of the default install"
	@echo "make serve  the pages of 'voxtile serve', by npm (apt-get install -y npm)"
	@echo "make pages  the same without an environment of Python"
	@echo "make fuzz   the property tests again, with examples that no run has drawn before"

$(BIN)/python:
	$(PYTHON) -m venv $(VENV)

$(VENV)/.user: pyproject.toml | $(BIN)/python
	$(BIN)/python -m pip install --quiet -e '.[medical]'
	@touch $@

$(VENV)/.dev: pyproject.toml | $(BIN)/python
	$(BIN)/python -m pip install --quiet -e '.[all,dev]'
	@touch $@ $(VENV)/.user

ct: $(VENV)/.user
	$(BIN)/voxtile phantom ct $(OUT)/phantom --n $(N) --seed $(SEED)
	@# A phantom has nobody to protect, and plain names give the same split on every machine.
	$(BIN)/voxtile convert dicom $(OUT)/phantom/dicom $(CT_CORPUS) --reports $(OUT)/phantom/reports.csv --split-fractions 0.72,0.08,0.20 --no-deidentify --licence "CC0-1.0 (synthetic phantom)"
	$(BIN)/voxtile facts $(CT_CORPUS) --from reports
	$(BIN)/voxtile caption $(CT_CORPUS) --kind fact --facts-source reports --absent 99
	$(BIN)/voxtile facts $(CT_CORPUS) --from labels --labels $(OUT)/phantom/labels.csv
	$(BIN)/lightning fit -c domains/medical/ct.yaml --data.corpus $(CT_CORPUS) --seed_everything $(SEED) --name ct
	$(BIN)/voxtile evaluate "$$(ls -t runs/ct/version_*/checkpoints/last.ckpt | head -n 1)" medical/ct-findings --corpus $(CT_CORPUS) --out $(OUT)/report
	@echo "Open $(OUT)/report/index.html"

test: $(VENV)/.dev
	$(BIN)/python -P -m pytest -m "not sweep" -n $(JOBS) --dist loadfile --no-loadscope-reorder

test-rest: $(VENV)/.dev
	$(BIN)/python -P -m pytest -m "sweep(ci=True)" -n $(JOBS) --dist loadfile --no-loadscope-reorder

LOWEST := $(VENV)-lowest/bin
test-lowest:
	$(PYTHON) -m venv $(VENV)-lowest
	@mkdir -p build
	$(LOWEST)/python -m pip install --quiet uv
	$(LOWEST)/uv pip compile --quiet --resolution lowest-direct --python $(LOWEST)/python --extra all --extra dev pyproject.toml -o build/lowest.txt
	$(LOWEST)/uv pip install --quiet --python $(LOWEST)/python -r build/lowest.txt
	$(LOWEST)/uv pip install --quiet --python $(LOWEST)/python --no-deps -e .
	$(LOWEST)/python -P -m pytest -m "not sweep" -n $(JOBS) --dist loadfile --no-loadscope-reorder

coverage: $(VENV)/.dev
	@rm -rf build/coverage && mkdir -p build/coverage
	$(BIN)/python -P -m coverage run -m pytest -m "not sweep or sweep(ci=True)" -n $(JOBS) --dist loadfile --no-loadscope-reorder
	$(BIN)/python -P -m coverage combine --quiet
	$(BIN)/python -P -m coverage report

RUNS ?= 50
flaky: $(VENV)/.dev
	$(BIN)/python -P benchmarks/suite_runs.py --runs $(RUNS) --jobs $(JOBS)

lint: $(VENV)/.dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports --no-cache
	$(BIN)/mypy

docs: $(VENV)/.dev
	NO_MKDOCS_2_WARNING=1 $(BIN)/python -P -m mkdocs build --strict
	@echo "Open build/site/index.html; for its search: $(BIN)/python -m http.server -d build/site"

$(VENV)/.bench: $(VENV)/.dev
	$(BIN)/python -m pip install --quiet -e '.[all,dev,bench]'
	@touch $@

BENCH ?=
bench: $(VENV)/.bench
	$(BIN)/python -P benchmarks/run.py $(BENCH)

mutants: $(VENV)/.dev
	$(BIN)/python -P benchmarks/mutants.py

fuzz: $(VENV)/.dev
	$(BIN)/python -P -m pytest -m "sweep or hypothesis" --hypothesis-profile=fuzz

chaos: $(VENV)/.dev
	$(BIN)/python -P benchmarks/chaos

$(VENV)/.fuzz: $(VENV)/.dev
	$(BIN)/python -m pip install --quiet -e '.[all,dev,fuzz]'
	@touch $@

fuzz-parsers: $(VENV)/.fuzz
	$(BIN)/python -P benchmarks/fuzz --executions 1000000 --out build/fuzz.json

$(VENV)/.security: pyproject.toml | $(BIN)/python
	$(BIN)/python -m pip install --quiet -e '.[security]'
	@touch $@

sbom: $(VENV)/.security
	$(BIN)/python -P benchmarks/supply_chain.py sbom --out build/sbom.json

audit: $(VENV)/.security
	$(BIN)/python -P benchmarks/supply_chain.py audit

WEB := core/voxtile/serve/web

$(WEB)/node_modules/.package-lock.json: $(WEB)/package-lock.json
	@command -v npm > /dev/null || { echo "npm is not installed; on Debian or Ubuntu: apt-get install -y npm"; exit 1; }
	npm --prefix $(WEB) ci
	@touch $@

pages: $(WEB)/node_modules/.package-lock.json
	npm --prefix $(WEB) run build

serve: $(VENV)/.user pages
	$(BIN)/python -m pip install --quiet -e '.[medical,serve]'
	@echo "Now: $(BIN)/voxtile serve CORPUS"

docs-commands:
	$(PYTHON) benchmarks/docs_commands

clean:
	rm -rf build
