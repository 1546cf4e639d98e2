//! Shapes the benches share.
