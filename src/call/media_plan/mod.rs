//! From session descriptions to `media::LegPlan` and back. Pure.
//!
//! The two dialogs of a call negotiate with their peers through us: what one side offers is offered
//! to the other, what that one answers is answered here. Owns codecs, numbers, addresses and
//! directions; who may offer when is the business of `sip`.

pub mod codec;
pub mod leg;
pub mod remote;

#[cfg(test)]
mod tests;
