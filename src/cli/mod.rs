//! The command line: arguments to library calls, results to text or JSON. Nothing is decided here
//! that another surface would decide again.

mod arguments;
mod call_arguments;
mod calls;
mod cdr;
mod client;
mod doctor;
mod extensions;
mod fields;
mod guard;
mod limits;
mod links;
mod metrics;
mod output;
mod run;
mod settings;
mod sources;
mod tokens;
mod trunks;

pub use arguments::Arguments;
pub use output::Output;
pub use run::{Outcome, run};
