//! Links: what a click or a call to a request path reaches (PRODUCT §1). `model`, `draft`, `rules`
//! and `resolve` are pure; `store` talks to the database, `known` remembers what it said, `api` holds
//! the JSON shapes.

pub mod api;
pub mod draft;
pub(crate) mod known;
pub mod model;
pub mod resolve;
pub mod rules;
pub mod store;
