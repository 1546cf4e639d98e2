//! Call detail records: what a call was, exactly once, also after a crash. `record` is what call
//! control says, `writer` makes it rows, `store` reads them back, `spool` keeps what the database
//! does not take, `export` writes files.

pub mod export;
pub mod query;
pub mod record;
pub mod spool;
pub mod store;
pub(crate) mod writer;
