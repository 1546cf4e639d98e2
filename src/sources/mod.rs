//! Sources: who may send us what.

pub mod admission;
pub mod model;
