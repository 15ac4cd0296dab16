//! Credit-card transactions from Kafka into PostgreSQL: exactly once, at COPY speed, bad messages kept.
//!
//! ```text
//! generate ─┐                         ┌─> validate ─> batch ─> store ─> PostgreSQL
//! replay  ──┴─> codec ─> produce ─> Kafka ─> consume ──────────┘           │
//!                                                verify, doctor, rejections ┘
//! ```
//! Data flows down the list of modules below; each uses only what stands above it. `tests/structure.rs`
//! holds the crate to that.

pub mod sqlstate;

pub mod error;

pub mod event;

pub mod card_number;
pub mod decimal;
pub mod generate;

pub mod config;

pub mod codec;
pub mod rejection;

pub mod validate;

mod columns;
pub mod replay;

mod batch;
mod kafka;
mod librdkafka;
pub mod produce;
pub mod store;

pub mod consume;
pub mod doctor;
pub mod ends;
pub mod kpi;
pub mod rejections;
pub mod verify;

#[cfg(feature = "python")]
mod python;

pub use error::{Error, Result};

/// A small runtime of one thread, for the asynchronous clients (PostgreSQL, Kafka's admin).
pub(crate) fn runtime() -> Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Error::Inconsistent(format!("the system refused a runtime: {error}")))
}
