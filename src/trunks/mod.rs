//! Trunks: interconnections, and the choice among them.

pub mod health;
pub mod identity;
pub mod model;
pub mod select;
