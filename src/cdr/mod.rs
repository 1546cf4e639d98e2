//! Call detail records: what a call was, exactly once, also after a crash.

pub mod record;
