//! Real peers against the real binary: sipp, baresip, and a phone of our own where a peer must
//! misbehave. Every test has a network namespace of its own, so ports are fixed and nothing is
//! shared; what a test waits for is an event, with a deadline.
//!
//! What takes most of a minute stands in `long`, which `cargo interop` runs beside the others.
//!
//! Needs root, `ip`, `tc`, `sipp`, `baresip` and `sngrep`; Chromium, Firefox and node for the tests in `browser`. A test that finds one missing prints `not run: …`; with
//! `SLUICE_INTEROP=require` it fails.

#![forbid(unsafe_code)]
#![expect(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::print_stdout,
    reason = "what a test's own set-up lacks ends the test, and `not run` is for people"
)]

mod baresip;
mod browser;
mod capture;
mod certified;
mod cucm;
mod events;
mod extensions;
mod gateway;
mod hold;
mod identity;
mod long;
mod node;
mod operation;
mod party;
mod phone;
mod picture;
mod placed;
mod quality;
mod read_only;
mod refused;
mod sipp;
mod srtp;
mod systemd;
mod tcp;
mod tone;
mod trace;
mod video;
mod world;
