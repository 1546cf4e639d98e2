//! Configuration: one TOML file for what is local to a node; everything else is in the database.
//!
//! Parse, don't validate: [`Config::load`] gives a configuration with every default filled in, or
//! every problem of the file at once, each with its line. `reader` walks the document, `schema` holds
//! the types, `load` and `tables` know the keys.

mod import;
mod load;
mod objects;
mod problem;
mod reader;
mod schema;
mod tables;

pub use import::FirstImport;
pub use load::{load_sources, load_trunks};
pub use objects::{source_of_object, trunk_of_object};
pub use problem::{ConfigErrors, Problem};
pub use schema::{
    AcmeConfig, BrowserConfig, CdrConfig, Config, HepConfig, HttpConfig, HttpsConfig, LimitsConfig,
    LogConfig, MediaBackend, MediaConfig, NodeConfig, SipConfig,
};
