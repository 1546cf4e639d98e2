//! Call control: what happens to a call. Pure: no clock, socket, runtime or channel.
//!
//! `control::CallControl` owns a `sip::Endpoint` and is driven like one: `handle_input(now, input)`,
//! then `poll_output(&mut buffer)` until `None`; `poll_deadline()` says when to feed
//! [`event::Input::Expired`]. Everything it wants of the world it asks for with an
//! [`event::Output`].

pub mod alias;
pub mod event;
pub mod snapshot;
pub mod stock;
