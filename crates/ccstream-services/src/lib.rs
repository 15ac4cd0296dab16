//! This crate contains everything that communicates with Kafka and PostgreSQL.
//!
//! ```text
//! produce ─> Kafka ─> consume ─> postgres ─> PostgreSQL ─> live: the engine that a page asks
//!                 └─> analyze ─────┘              │
//!                                                 └─────> operate: doctor, verify, rejections
//! ```
//! The modules below are ordered: each uses only those above it, which `tests/structure.rs` checks.

pub mod sqlstate;

pub mod error;

pub mod report;

pub mod kafka;
pub mod produce;

pub mod describe;

pub mod postgres;

pub mod consume;

pub mod analyze;

pub mod live;
pub mod operate;

pub use error::{Error, Result};

/// Starts a runtime with one thread, for the asynchronous clients (PostgreSQL's, and Kafka's for administration).
///
/// Errors: [`Error::System`], if the operating system refuses it.
pub fn runtime() -> Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(Error::system("starting a runtime"))
}
