//! This module has what producer, consumer and doctor share of their Kafka clients.

pub(crate) mod advertised;
pub(crate) mod client;
pub mod ends;
pub(crate) mod ffi;
pub(crate) mod options;
