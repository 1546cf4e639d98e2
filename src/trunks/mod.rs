//! Trunks: interconnections, and the choice among them.

pub mod model;
