//! Trunks: interconnections, and the choice among them.

pub mod health;
pub mod model;
pub mod select;
