//! Model peers: phones that call and trunks that are called, on SIP code of their own.
//!
//! Nothing here uses the product: a misreading of an RFC must not be shared by both sides.

mod early;
mod exchange;
pub(crate) mod keys;
pub(crate) mod leg;
pub(crate) mod manual;
pub(crate) mod media;
pub(crate) mod plan;
mod request;
pub(crate) mod response;
pub(crate) mod session;
pub(crate) mod text;
pub(crate) mod voice;

#[cfg(test)]
mod tests;
