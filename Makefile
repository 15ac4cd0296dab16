# make help lists the targets. Nothing is installed outside .venv and the cache folder of `make kafka`.
SHELL := /bin/sh
.DEFAULT_GOAL := help

VENV := .venv
BIN := $(VENV)/bin
SOURCES := $(shell find src python -type f -not -name '*.so' -not -name '*.pyc' 2>/dev/null) Cargo.toml Cargo.lock pyproject.toml

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

.PHONY: help build demo test test-rust test-python test-fuzz test-faults bench bench-attack bench-duplicates bench-dashboard bench-engine lint kafka screenshots wheel clean

help: ## this list
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' $(MAKEFILE_LIST) | expand -t 14

build: $(VENV)/.built ## .venv with ccstream and all that the demo and the tests need

$(VENV)/.built: $(SOURCES) tools/check-tools.sh
	@python=$$(tools/check-tools.sh) || exit 1; \
	if ! [ -x $(BIN)/python ]; then echo "Making $(VENV) with $$python"; "$$python" -m venv $(VENV); fi
	@$(BIN)/python -m pip install -q 'maturin>=1.9.4,<2'
	@[ -f $@ ] || echo "Building ccstream: 5 to 7 minutes on 2 cores, once"
	@. $(BIN)/activate && PIP_QUIET=1 maturin develop --release --locked --extras embedded,dashboard,dev
	@echo $(OPENSSL_NO_VENDOR) > $@

demo: build ## everything at once, with a dashboard; Ctrl-C ends it
	@$(BIN)/ccstream demo

test: build lint test-rust test-fuzz test-python ## every check and every test, on services of its own

lint: build ## formatting, clippy, ruff, mypy, stubtest
	cargo fmt --check
	cargo clippy --locked --all-targets -- -D warnings
	PYO3_PYTHON=$(abspath $(BIN)/python) cargo clippy --locked --all-targets --features python -- -D warnings
	RUSTDOCFLAGS='-D warnings' cargo doc --locked --no-deps --document-private-items -q
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/stubtest ccstream._ccstream

test-rust: build ## the Rust tests, on an embedded broker and PostgreSQL
	$(BIN)/python tests/with_services.py cargo test --locked

test-python: build ## the Python tests, on the embedded services and on Apache Kafka
	$(BIN)/pytest

# Seconds for each target; without a sanitizer, which stable Rust does not have and safe code does not need.
FUZZ_SECONDS ?= 20
FUZZ := target/tools/bin/cargo-fuzz
# Beside the other builds, wherever they are.
FUZZ_OUT := $(or $(CARGO_TARGET_DIR),target)/fuzz
FUZZ_RUN := $(FUZZ) run --sanitizer none --fuzz-dir fuzz --target-dir $(FUZZ_OUT)

test-fuzz: $(FUZZ) ## any bytes into validate and codec, from the corpus kept; FUZZ_SECONDS=20 each
	@for target in validate codec; do \
	  mkdir -p $(FUZZ_OUT)/new-$$target; \
	  $(FUZZ_RUN) $$target $(FUZZ_OUT)/new-$$target fuzz/corpus/$$target -- -max_total_time=$(FUZZ_SECONDS) \
	    -max_len=700 -dict=fuzz/json.dict -verbosity=0 -print_final_stats=1 >$(FUZZ_OUT)/$$target.log 2>&1 \
	  || { tail -n 60 $(FUZZ_OUT)/$$target.log; exit 1; }; \
	  echo "$$target: $$(sed -n 's/^stat::number_of_executed_units: *//p' $(FUZZ_OUT)/$$target.log) inputs, no failure"; done

$(FUZZ):
	cargo install --quiet --locked --root target/tools cargo-fuzz

test-faults: build ## the faults at length: two hours, seeds printed
	CCSTREAM_FAULTS=long $(BIN)/pytest -s tests/python/faults

bench: build ## all of it side by side, into bench/results.json and the README: three quarters of an hour
	$(BIN)/python bench/ingest.py --peers target/peers
	$(BIN)/python bench/producers.py
	$(BIN)/python bench/latency.py
	$(BIN)/python bench/poison.py --peers target/peers
	$(BIN)/python bench/startup.py

bench-attack: build ## the attack six times, for the README's table of faults: an hour
	$(BIN)/python bench/attack.py

bench-duplicates: build ## what duplicates cost, beside a staging table
	$(BIN)/python bench/duplicates.py

bench-dashboard: build ## the page and its engine at 100 thousand to 10 million rows: half an hour
	$(BIN)/python bench/page.py

bench-engine: build ## the engine beside pandas, polars and DuckDB on the same rows
	$(BIN)/python -m pip install -q polars duckdb pyarrow
	$(BIN)/python bench/engine.py

kafka: build ## Apache Kafka itself on port 9094, as docker-compose.yml configures it; Ctrl-C ends it
	@$(BIN)/python tests/apache_kafka.py

screenshots: build ## the README's pictures, from a real run (needs chromium)
	$(BIN)/python tools/screenshots.py

wheel: build ## a wheel for any machine of this kind, in dist/
	OPENSSL_NO_VENDOR=0 $(BIN)/maturin build --release --locked --out dist

clean: ## what builds have made; not the services' data
	rm -rf $(VENV) target dist
