//! What a card transaction is, how it is checked, and how it is written: no service, no clock but the one given, no C.
//!
//! ```text
//! generate ─┐
//! replay  ──┴─> codec ─> (Kafka) ─> validate ─> batch ─> table: rows as PostgreSQL's binary COPY takes them
//! ```
//! Data flows down the list of modules below; each uses only those above it.

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
pub mod generate;

pub mod codec;
pub mod rejection;

pub mod validate;

pub mod record;
pub mod tokens;

pub mod replay;
pub mod table;

pub mod settings;

pub mod kept;

pub mod batch;

pub use error::{Error, Result};
