//! Call control as a whole: scripted datagrams in, messages, media commands and records out.

mod aliases;
mod attempts;
mod clock;
mod commands;
mod delayed;
mod extensions;
mod floods;
mod guard;
mod guest_shares;
mod guests;
mod hostile_guests;
mod offerless;
mod panics;
mod placed;
mod proofs;
mod registrations;
mod reoffers;
mod setup;
mod srtp;
mod video;
mod video_sides;
mod ways;
pub(crate) mod world;
