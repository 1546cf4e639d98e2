//! Call flows against the facade, with scripted peers and a virtual clock.

mod world;

mod basic;
