//! Sources: who may send us what (PRODUCT §2). `model` is pure; `store` talks to the database.

pub mod model;
