//! The fraud guard: a verdict for every outbound attempt before it leaves.
