//! Settings: what an operator changes at run time, in the database, for every node. `model` is pure
//! (names, defaults, rules); `store` keeps them. What is local to one node is in `config`.

pub mod api;
pub mod model;
pub mod store;
