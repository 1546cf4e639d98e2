//! Bearer tokens: who may ask this node for what. `scope` holds the words, `model` what one is, both
//! pure; `draft` judges a new one; `store` the rows, `api` the JSON. What a request does with a token is in `http::access`.

pub mod api;
pub mod draft;
pub mod model;
pub mod scope;
pub mod store;
