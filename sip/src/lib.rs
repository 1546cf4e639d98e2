//! The SIP core, sans-IO.
//!
//! Contract: *after every `handle_input` or command, drain [`endpoint::Endpoint::poll_output`] to
//! `None` before the next.* Time is an argument, randomness comes from one seed, and nothing here
//! owns a socket, a thread, a lock or a clock.

#![forbid(unsafe_code)]

pub mod auth;
pub mod b2bua;
pub mod cause;
pub mod counters;
pub mod deadline;
pub mod dialog;
pub mod endpoint;
pub mod error;
pub mod event;
pub mod fuzzing;
pub mod identifier;
pub mod limits;
pub mod message;
pub mod offer_answer;
pub mod registration;
pub mod sdp;
pub mod session_timer;
pub mod table;
pub mod transaction;
pub mod transport;
