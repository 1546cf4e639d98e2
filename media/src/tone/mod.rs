//! What `local:tone` plays and what is heard while it rings. `local:tone` is 440 Hz in G.711, written over the payload that came. A codec other than
//! PCMU and PCMA cannot be written here, so its packets go back as they came, as in `local:echo`.

mod g711;
mod generator;

pub use g711::{encode_pcma, encode_pcmu};
pub use generator::{TonePhase, ToneTable};
