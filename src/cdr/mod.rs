//! Call detail records: `record` is what call control says happened, `writer` stores it, `store`
//! reads it back.

pub mod record;
