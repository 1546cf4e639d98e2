//! Call control as a whole: scripted datagrams in, messages, media commands and records out.

mod attempts;
mod reoffers;
mod setup;
mod world;
