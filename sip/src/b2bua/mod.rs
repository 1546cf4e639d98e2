//! The user agent core of both sides (RFC 3261 §8, §9, §11 to §15), and the call between them.
//!
//! Owns calls and legs: one file for each thing that can happen across the two sides. Nothing of
//! one leg crosses to the other here; only what call control hands in is written on a leg.
//!
//! # What the core answers by itself
//!
//! | request | outside a dialog | within a dialog |
//! |---|---|---|
//! | INVITE | 100, `CallOffered` | 100, `Reoffered` |
//! | OPTIONS | 200 with Allow, Accept, Supported (503 while draining) | 200 |
//! | BYE | 481 | 200 |
//! | CANCEL | 200 where an INVITE waits, else 481 | the same |
//! | REFER | 403 | 603 |
//! | SUBSCRIBE | 489 | 489 |
//! | NOTIFY | 481: we subscribe to nothing (RFC 6665 §4.1.3) | 481 |
//! | UPDATE | 405 | 200, or `Reoffered` |
//! | PRACK | 405 | 200 where it acknowledges one of ours, else 481 |
//! | REGISTER | `RegisterOffered` where Allow names it, else 405 | 405 |
//! | INFO | 405 | 200 and `InfoReceived` where Allow names it, else 405 |
//! | MESSAGE, PUBLISH | 405 | 405 |
//! | any other | 501 | 501 |
//!
//! Refusals outside a call keep no state (RFC 3261 §8.2.7): one datagram, no timer, and a tag that
//! the same request always gets again.

pub(crate) mod acknowledge;
pub(crate) mod attempt;
mod bye;
pub(crate) mod call;
mod cancel;
mod challenge;
mod compose;
pub(crate) mod core;
mod early;
mod failed_flow;
pub mod fork;
pub(crate) mod identity;
pub(crate) mod info;
mod invariants;
mod leg;
pub(crate) mod local;
pub(crate) mod modify;
pub(crate) mod offered;
pub(crate) mod options;
mod overload;
pub(crate) mod place;
mod prack;
mod reason;
pub(crate) mod recovery;
pub(crate) mod register;
pub(crate) mod registrar;
pub(crate) mod reoffer;
pub(crate) mod session_timer;
mod uac;
mod uas;
mod update;

#[cfg(test)]
mod tests;
