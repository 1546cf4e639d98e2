//! Sluice, the appliance: a click on a link becomes a SIP call on the best trunk.
//!
//! Two pure cores (`sip`, `media`) know neither each other nor the clock; this crate is what stands
//! around them. What decides is pure (`call`, `fraud_guard`, every `model.rs`); what does I/O drives
//! it from outside.

#![forbid(unsafe_code)]

pub mod boot;
pub mod call;
pub mod cdr;
pub mod cli;
pub mod config;
pub mod doctor;
pub mod field_errors;
pub mod fraud_guard;
pub mod fuzzing;
pub mod guard_rules;
pub mod health;
pub mod hep;
pub mod http;
pub mod links;
pub mod log;
pub mod metrics;
pub mod registrar;
pub mod registration;
pub mod settings;
pub mod shell;
pub mod sources;
pub mod storage;
pub mod tokens;
pub mod trunks;
