//! Call control: what happens to a call. Pure: no clock, socket, runtime or channel.
//!
//! `control::CallControl` owns a `sip::Endpoint` and is driven like one: `handle_input(now, input)`,
//! then `poll_output(&mut buffer)` until `None`; `poll_deadline()` says when to feed
//! [`event::Input::Expired`]. Everything it wants of the world it asks for with an
//! [`event::Output`].

mod admission;
pub mod alias;
mod answer;
pub mod browser;
mod callers;
mod challenges;
pub mod command;
mod connected;
pub mod control;
pub mod counters;
mod crypto;
mod delayed;
mod draining;
mod ending;
pub mod event;
mod events;
mod expiry;
mod extension;
pub mod failover;
mod former_peers;
pub mod inform;
mod invite;
pub mod ladder;
mod live;
pub mod local_party;
pub mod media_plan;
mod offerless;
mod one_call;
mod orders;
mod overload;
mod pings;
mod place;
mod ports;
mod refresh;
mod refusing;
mod registrar;
mod registration;
mod reoffer;
mod reoffer_answer;
mod route;
pub mod snapshot;
pub mod stock;
mod stopping;
mod telling;
pub mod trunk_load;
mod video;
pub mod view;

#[cfg(test)]
pub(crate) mod tests;
