//! Sources: who may send us what.

pub mod model;
