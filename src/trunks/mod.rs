//! Trunks: SIP interconnections and the rules by which they carry calls (PRODUCT §6). `model` is
//! pure; `store` talks to the database.

pub mod model;
