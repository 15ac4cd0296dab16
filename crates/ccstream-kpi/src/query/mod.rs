//! Answers queries about the columns.

pub mod aggregate;
pub mod answer;
pub(crate) mod buckets;
pub mod chunk;
pub(crate) mod grid;
pub(crate) mod groups;
pub mod kept;
pub mod latest;
pub mod offsets;
pub mod question;
pub(crate) mod state;
