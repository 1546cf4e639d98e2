//! The deterministic world: the product's real cores between model peers and a seeded network.
//!
//! One number, the seed, decides everything that happens: who calls whom, what the peers do, what
//! the network does to each datagram, when the link store answers. Checkers look at every step.
//! A run that fails is printed as a ladder and repeated with its seed.

#![forbid(unsafe_code)]
#![expect(
    clippy::indexing_slicing,
    clippy::expect_used,
    clippy::let_underscore_must_use,
    let_underscore_drop,
    reason = "a world for tests: its own mistakes shall stop it at once"
)]

mod agenda;
mod checker;
mod flow;
mod gateway;
mod guest;
mod network;
mod order;
mod peer;
mod random;
mod run;
mod store;
mod streams;
mod swarm;
mod time;
mod trace;
mod world;

pub use flow::play;
pub use run::{Failure, Summary, run_seed, trace_seed};

#[cfg(test)]
mod abandoned;
#[cfg(test)]
mod tests;
