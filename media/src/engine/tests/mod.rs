//! The worker on the twin of the kernel: what a call, an attacker and a full host do to it.

mod attacks;
mod browser;
mod commands;
mod control;
mod fault;
mod feedback;
mod harness;
mod latching;
mod loops;
mod own_reports;
mod pictures;
mod relaying;
mod secure;
mod secure_attack;
mod secure_control;
mod secure_keys;
mod secure_moves;
mod sockets;
mod spray;
mod stock;
mod test_picture;
mod unfit;
mod video;
