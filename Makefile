# Plain cargo underneath; `make help` lists what there is.
# RUSTFLAGS live in .cargo/config.toml, so that every build shares what it compiled.
.DEFAULT_GOAL := help

PORT ?= 3000
DATA ?= ./data/demo
BENCH_DATA ?= ./data/bench
export PORT DATA

CARGO ?= cargo
JOBS ?= $(shell nproc 2>/dev/null || echo 2)
KEYTURN = $(or $(CARGO_TARGET_DIR),target)/debug/keyturn
WASM = --lib --no-default-features --features hydrate --target wasm32-unknown-unknown
PLAYWRIGHT = cd end2end && node_modules/.bin/playwright test

.PHONY: help demo demo-reset build browser browser-if-possible pin-browser-glue \
	test test-tools test-rust test-e2e interop other-browsers whole-procedure screenshots screenshots-at-size bench held-up attacks check clean

help: ## this list
	@sed -n 's/^\([a-z0-9-]*\):[^#]*## \(.*\)/  \1|\2/p' $(MAKEFILE_LIST) | awk -F'|' '{printf "%-20s %s\n", $$1, $$2}'

demo: ## build and serve the demo on http://127.0.0.1:3000 (PORT and DATA change that)
	@$(MAKE) --no-print-directory -j$(JOBS) build browser-if-possible
	@exec $(KEYTURN) demo

demo-reset: ## forget what was done in the demo; the next `make demo` starts over
	@if [ -e "$(DATA)" ] && [ ! -e "$(DATA)/demo.json" ]; then \
		echo "$(DATA) is not a folder of the demo: nothing was removed" >&2; exit 1; fi
	@rm -rf -- "$(DATA)"
	@echo "$(DATA) is gone; \`make demo\` starts over."

build: ## the server and command line, development profile
	+$(CARGO) build

browser: ## the library that the browser loads, into target/site/pkg/
	+.ci/browser.sh

browser-if-possible:
	+@CARGO_TERM_PROGRESS_WHEN=never .ci/browser.sh --optional

pin-browser-glue: ## after an update of wasm-bindgen: bring .ci/browser-glue to the version of Cargo.lock
	@version=$$(sed -n '/^name = "wasm-bindgen"$$/{n;s/^version = "\(.*\)"$$/\1/p;}' Cargo.lock) && \
	sed -i "s/^\(wasm-bindgen-cli-support = \"=\).*\"/\1$$version\"/" .ci/browser-glue/Cargo.toml && \
	$(CARGO) update --manifest-path .ci/browser-glue/Cargo.toml

test: ## everything: tools, checks, both halves, Rust tests, the browser tests
	@for step in test-tools "-j$(JOBS) --output-sync=target check browser" test-rust test-e2e; do \
		echo "== $$step"; $(MAKE) --no-print-directory $$step || exit 1; done

test-tools: ## install what the tests need and the machine lacks
	@.ci/install-test-tools.sh

test-rust: ## unit, property, snapshot and integration tests
	+TMPDIR=$$(.ci/fast-tmp.sh) RUST_TEST_THREADS=$$(($(JOBS) * 2)) INSTA_UPDATE=no \
		$(CARGO) test --locked -- --skip interop::

interop: build browser test-tools ## the slow meetings with real programs, and docs/interop.md of what held
	@rm -f target/interop/found.jsonl
	+TMPDIR=$$(.ci/fast-tmp.sh) $(CARGO) test --locked --lib -- interop:: real::
	@$(MAKE) --no-print-directory other-browsers whole-procedure
	@.ci/interop-matrix.py

whole-procedure: ## each secret rotated with nothing of our own on the other side, in Firefox
	$(PLAYWRIGHT) --config playwright.real.config.ts

other-browsers: ## the procedure in Firefox and in WebKitGTK
	cd end2end && node browsers/firefox.mjs
	cd end2end && xvfb-run --auto-servernum node browsers/webkit.mjs

test-e2e: build browser test-tools ## the browser tests
	$(PLAYWRIGHT)

screenshots: build browser test-tools ## every page, wide and narrow, light and dark, into end2end/artifacts/screenshots/
	cd end2end && SCREENSHOTS=1 node_modules/.bin/playwright test

screenshots-at-size: browser test-tools ## every audit page over the year of `make bench`, as above
	@[ -e "$(BENCH_DATA)/keyturn.db" ] || $(CARGO) run --locked --release -- bench-data --data "$(BENCH_DATA)"
	+$(CARGO) build --locked --release
	cd end2end && BENCH_DATA="$(abspath $(BENCH_DATA))" SCREENSHOTS=1 node_modules/.bin/playwright test --config playwright.size.config.ts

bench: ## what the product costs against the least that could do the same, at a million rows (BENCH_DATA)
	@[ -e "$(BENCH_DATA)/keyturn.db" ] || $(CARGO) run --locked --release -- bench-data --data "$(BENCH_DATA)"
	+BENCH_DATA="$(abspath $(BENCH_DATA))" $(CARGO) bench --locked --bench ratios
	+$(CARGO) bench --locked --bench proofs -- --quiet

held-up: ## a withdrawal of consent beside 200 sign-ins at once, 1,000 half-open connections and keys of 121 names
	+$(CARGO) bench --locked --bench held_up

attacks: ## tampers with copies of the year of `make bench` as somebody with the database would; all of it has to be found
	@[ -e "$(BENCH_DATA)/keyturn.db" ] || $(CARGO) run --locked --release -- bench-data --data "$(BENCH_DATA)"
	+BENCH_DATA="$(abspath $(BENCH_DATA))" $(CARGO) bench --locked --bench attacks

check: test-tools ## formatting, lints for both halves, unused dependencies
	$(CARGO) fmt --check
	@.ci/wasm-target.sh
	+$(CARGO) clippy --locked --all-targets -- -D warnings
	+$(CARGO) clippy --locked $(WASM) -- -D warnings
	@.ci/unused-dependencies.sh

clean: ## remove what was built; the demo's data stays
	$(CARGO) clean
	rm -rf end2end/node_modules end2end/artifacts
