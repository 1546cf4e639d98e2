//! Links: what a click or a call to a request path reaches (PRODUCT §1). `model` and `resolve` are
//! pure; `store` talks to the database.

pub mod model;
pub mod resolve;
