//! Kafka's clients: what producer, consumer and doctor share of them.

pub(crate) mod advertised;
pub(crate) mod client;
pub mod ends;
pub(crate) mod ffi;
pub(crate) mod options;
