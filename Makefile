# make run     build, and start the demo gateway on 127.0.0.1
# make test    every check and every test, real SIP peers and browsers included
# make bench   every bar, one line each; make bench GROUP=relay (or sip, links, browser) for one group
# make bench-peers   the same sessions and calls through rtpengine, rtpproxy, Asterisk and FreeSWITCH, in turns with ours
# make install     the release build, unit, user and configuration (DESTDIR, PREFIX=/usr/local)
# make uninstall   takes them away; configuration and data stay

export PATH := $(HOME)/.cargo/bin:$(PATH)
GROUP ?=

DESTDIR ?=
PREFIX ?= /usr/local
BINDIR ?= $(PREFIX)/bin
CONFDIR ?= /etc/sluice
UNITDIR ?= /usr/lib/systemd/system
SYSUSERSDIR ?= /usr/lib/sysusers.d
TMPFILESDIR ?= /usr/lib/tmpfiles.d
BINARY ?= $${CARGO_TARGET_DIR:-target}/release/sluice

.PHONY: help run test bench bench-peers build install uninstall

help:
	@sed -n '/^$$/q; s/^# //p' Makefile

run:
	@.ci/need toolchain
	cargo build --release --locked --bin sluice
	@exec $${CARGO_TARGET_DIR:-target}/release/sluice serve --config conf/demo.toml

test:
	@.ci/need toolchain peers browsers
	cargo ci
	cargo interop --require

bench:
	@.ci/need toolchain bench
	cargo build --release --locked --bin sluice
	cargo build --release --locked --package load --package micro
	$${CARGO_TARGET_DIR:-target}/release/sluice-load bench $(GROUP)

bench-peers:
	@.ci/need toolchain bench relays asterisk
	cargo build --release --locked --bin sluice
	cargo build --release --locked --package load
	$${CARGO_TARGET_DIR:-target}/release/sluice-load peers

build:
	@.ci/need toolchain
	cargo build --release --locked --bin sluice

# With BINARY=FILE nothing is built: packages bring their own.
install:
	@[ -x $(BINARY) ] || $(MAKE) --no-print-directory build
	install -D -m 0755 $(BINARY) $(DESTDIR)$(BINDIR)/sluice
	install -d -m 0755 $(DESTDIR)$(UNITDIR)
	sed -e 's|@BINDIR@|$(BINDIR)|g' -e 's|@CONFDIR@|$(CONFDIR)|g' systemd/sluice.service \
		> $(DESTDIR)$(UNITDIR)/sluice.service
	chmod 0644 $(DESTDIR)$(UNITDIR)/sluice.service
	install -D -m 0644 systemd/sluice.sysusers $(DESTDIR)$(SYSUSERSDIR)/sluice.conf
	install -D -m 0644 systemd/sluice.tmpfiles $(DESTDIR)$(TMPFILESDIR)/sluice.conf
	install -d -m 0750 $(DESTDIR)$(CONFDIR)
	[ -e $(DESTDIR)$(CONFDIR)/sluice.toml ] || \
		install -m 0640 conf/sluice.toml $(DESTDIR)$(CONFDIR)/sluice.toml
	install -m 0644 conf/turnserver.conf.example $(DESTDIR)$(CONFDIR)/turnserver.conf.example
	@[ -n "$(DESTDIR)" ] || [ ! -d /run/systemd/system ] || { \
		systemd-sysusers sluice.conf; systemd-tmpfiles --create sluice.conf; \
		systemctl daemon-reload; echo "systemctl enable --now sluice starts it"; }

uninstall:
	@[ -n "$(DESTDIR)" ] || [ ! -d /run/systemd/system ] || systemctl disable --now sluice || true
	rm -f $(DESTDIR)$(BINDIR)/sluice $(DESTDIR)$(UNITDIR)/sluice.service
	rm -f $(DESTDIR)$(SYSUSERSDIR)/sluice.conf $(DESTDIR)$(TMPFILESDIR)/sluice.conf
	@echo "$(DESTDIR)$(CONFDIR) and /var/lib/sluice stay"
