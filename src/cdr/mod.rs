//! Call detail records: what a call was, exactly once, also after a crash. `record` is what call
//! control says, `writer` makes it rows, `store` reads them back.

pub mod record;
pub mod store;
pub(crate) mod writer;
