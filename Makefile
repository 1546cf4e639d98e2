# make run     build, and start the demo gateway on 127.0.0.1
# make test    every check and every test, real SIP peers included
# make bench   every bar, one line each; make bench GROUP=relay (or sip, links) for one group
# make bench-peers   the same calls through Asterisk, in turns with ours

export PATH := $(HOME)/.cargo/bin:$(PATH)
GROUP ?=

.PHONY: help run test bench bench-peers

help:
	@sed -n 's/^# //p' Makefile

run:
	@.ci/need toolchain
	cargo build --release --locked --bin sluice
	@exec $${CARGO_TARGET_DIR:-target}/release/sluice serve --config conf/demo.toml

test:
	@.ci/need toolchain peers
	cargo ci
	cargo interop --require

bench:
	@.ci/need toolchain bench
	cargo build --release --locked --bin sluice
	cargo build --release --locked --package load --package micro
	$${CARGO_TARGET_DIR:-target}/release/sluice-load bench $(GROUP)

bench-peers:
	@.ci/need toolchain bench asterisk
	cargo build --release --locked --bin sluice
	cargo build --release --locked --package load
	$${CARGO_TARGET_DIR:-target}/release/sluice-load peers
