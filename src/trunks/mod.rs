//! Trunks: interconnections, and the choice among them.

pub mod api;
pub mod apply;
pub mod health;
pub mod identity;
pub mod model;
pub(crate) mod names;
pub mod place;
pub mod preset;
pub mod select;
pub mod shape;
pub mod store;
pub mod test;
pub mod text;
