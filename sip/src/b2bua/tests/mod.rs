//! Call flows against the facade, with scripted peers and a virtual clock.

mod world;

mod attempts;
mod basic;
mod broken_connections;
mod cancels;
mod chaos;
mod connected;
mod delayed;
mod forks;
mod infos;
mod locals;
mod overloads;
mod places;
mod pracks;
mod recoveries;
mod registers;
mod reoffers;
mod requests;
mod sessions;
mod shares;
mod smuggling;
mod streams;
mod tagless;
mod updates;
