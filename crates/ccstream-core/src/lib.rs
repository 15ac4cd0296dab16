//! Defines card transactions, and how they are generated, checked and encoded.
//!
//! This crate contacts no service and needs no C compiler. Its only I/O is reading files.
//!
//! ```text
//! generate ─┐
//! replay  ──┴─> codec ─> (Kafka) ─> validate ─> batch ─> table: rows in PostgreSQL's binary COPY format
//! ```
//! Each module uses only modules above it in the list below.

pub mod error;
pub mod private_file;

pub mod sql_type;
pub mod units;

pub mod binary;
pub mod fields;
pub(crate) mod json;

pub mod datum;

pub mod event;

pub mod card_number;
pub mod currency;
pub mod decimal;
pub mod epoch;
pub mod record;

pub mod status;

pub mod codec;
pub mod rejection;

pub mod validate;

pub mod generate;
pub mod truth;

pub mod label;

pub mod describe;

pub mod tokens;

pub mod replay;

pub mod label_file;
pub mod table;

pub mod settings;

pub mod kept;

pub mod batch;

pub use error::{Error, Result};
