//! ccstream.
pub mod card_number;
pub mod codec;
pub mod decimal;
pub mod error;
pub mod event;
pub mod generate;
pub mod validate;
pub use error::{Error, Result};
