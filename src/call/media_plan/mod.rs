//! From what a leg's peers agreed on to `media::LegPlan`. Pure.
//!
//! The two dialogs of a call negotiate with their peers through us: what one side offers is offered
//! to the other, what that one answers is answered here. What descriptions mean and say is the
//! business of `sip::offer_answer`; owned here is what the worker is told, how a source is learnt,
//! which codecs are carried across, and addresses where no peer of ours can be.

pub mod abilities;
pub mod address;
mod keys;
pub mod leg;
pub mod protection;
pub mod video;

#[cfg(test)]
mod tests;
