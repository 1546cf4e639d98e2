//! The registrar: SIP phones that register here, and whom a number of theirs reaches. `model`,
//! `bindings` and `lockout` are pure; `store` keeps the accounts.

pub mod bindings;
pub mod lockout;
pub mod model;
pub mod proof;
pub mod shape;
pub mod store;
