//! ccstream.
mod batch;
pub mod card_number;
pub mod codec;
mod columns;
pub mod config;
pub mod decimal;
pub mod error;
pub mod event;
pub mod generate;
mod kafka;
pub mod produce;
pub mod replay;
pub mod store;
pub mod validate;
pub use error::{Error, Result};

/// A small runtime of one thread, for the asynchronous clients (PostgreSQL, Kafka's admin).
pub(crate) fn runtime() -> Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Error::Inconsistent(format!("the system refused a runtime: {error}")))
}
