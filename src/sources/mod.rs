//! Sources: who may send us what. `model` is pure; `store` keeps the policies.

pub mod admission;
pub mod api;
pub mod model;
pub mod shape;
pub mod store;
