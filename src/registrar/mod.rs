//! The registrar: SIP phones that register here, and whom a number of theirs reaches. `model`,
//! `bindings`, `kept` and `lockout` are pure; `store` keeps the accounts, `keeping` where phones are.

pub mod bindings;
pub mod keeping;
pub mod kept;
pub mod lockout;
pub mod model;
pub mod proof;
pub mod shape;
pub mod store;
