//! All that talks to Kafka and PostgreSQL.
//!
//! ```text
//! produce ─> Kafka ─> consume ─> postgres ─> PostgreSQL ─> live: the engine that a page asks
//!                                                 └─────> operate: doctor, verify, rejections
//! ```
//! Data flows down the list of modules below; each uses only those above it. `tests/structure.rs` holds the crate to that.

pub mod sqlstate;

pub mod error;

pub mod report;

pub mod kafka;
pub mod produce;

pub mod postgres;

pub mod consume;
pub mod live;
pub mod operate;

pub use error::{Error, Result};

/// A small runtime of one thread, for the asynchronous clients (PostgreSQL, Kafka's admin).
///
/// Errors: [`Error::System`] where the system refuses one.
pub fn runtime() -> Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(Error::system("starting a runtime"))
}
